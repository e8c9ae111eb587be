"""Text and progress bars for a terminal."""

from __future__ import annotations

import contextlib
import shlex
import shutil
import sys
import textwrap
import time
from typing import TYPE_CHECKING

from lamplighter.text import printable as printable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lamplighter.datasets.files import Progress


def quoted(path: str | Path) -> str:
    """Return `path` as one word of a command for a shell."""
    return shlex.quote(str(path))


def wrapped(text: str, indent: int = 0) -> str:
    """Return `text` in lines that fit the terminal, all but the first indented."""
    width = max(40, shutil.get_terminal_size().columns)
    return textwrap.fill(
        text,
        width,
        subsequent_indent=" " * indent,
        break_long_words=False,
        break_on_hyphens=False,
    )


_EVERY = 5.0  # seconds between two lines


@contextlib.contextmanager
def bar(label: str, unit: str = "images", *, in_lines: bool = False) -> Iterator[Progress | None]:
    """Give what draws a bar with the speed so far, to be told (done, of how many).

    Args:
        label: what is done.
        unit: of what is counted.
        in_lines: where stderr is no terminal, write a line every five seconds instead of nothing.
    """
    if not sys.stderr.isatty():
        yield _in_lines(label, unit) if in_lines else None
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


def _in_lines(label: str, unit: str) -> Progress:
    """Return what writes a line from time to time, for a log or a notebook."""
    last = time.monotonic()

    def tell(done: int, total: int) -> None:
        nonlocal last
        if time.monotonic() - last >= _EVERY:
            last = time.monotonic()
            sys.stderr.write(f"{label}: {done:,} of {total:,} {unit}\n")
            sys.stderr.flush()

    return tell
