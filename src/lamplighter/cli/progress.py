"""A bar on stderr for work on many files; nothing where stderr is no terminal."""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lamplighter.data.files import Progress


@contextlib.contextmanager
def bar(label: str, unit: str = "images") -> Iterator[Progress | None]:
    """Give what draws a bar with the speed so far, to be told (done, of how many)."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[speed]}"),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(label, total=None, speed="")

        def tell(done: int, total: int) -> None:
            elapsed = progress.tasks[0].elapsed
            speed = f"{done / elapsed:.0f} {unit}/s" if elapsed else ""
            progress.update(task, completed=done, total=total, speed=speed)

        yield tell
