"""`lamplighter data`: list the data sets, or write one to a folder."""

from __future__ import annotations

import contextlib
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lamplighter.cli.options import AsJson
from lamplighter.cli.terminal import printable, quoted, wrapped
from lamplighter.errors import DownloadError
from lamplighter.names import unknown_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_SETS = {
    "mnist": {
        "content": "70,000 handwritten digits, 28 x 28 grey, 10 classes",
        "size": "9 MB, comes with the package",
        "licence": "CC BY-SA 3.0 (LeCun, Cortes, Burges)",
        "use": "lamplighter train mnist",
    },
    "emoji": {
        "content": "825 emoji by two artists, 64 x 64 colour, 17 classes",
        "size": "3 MB, comes with the package",
        "licence": "Noto Emoji: Apache-2.0 (Google); Twemoji: CC BY 4.0 (Twitter and others)",
        "use": "lamplighter data emoji DIR",
    },
    "digits": {
        "content": "10 pictures of digits in pen, chalk and on a screen, JPEG and PNG",
        "size": "0.2 MB, comes with the package",
        "licence": "Lamplighter's own: Apache-2.0",
        "use": "lamplighter data digits DIR",
    },
    "boats": {
        "content": "6,456 photos of boats in Venice, 800 x 240 colour",
        "size": "about 350 MB, downloaded",
        "licence": "for research use (MarDCT, ARGOS-Venice: Bloisi et al., 2015)",
        "use": "lamplighter data boats DIR",
    },
}


def data(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="[NAME]", help="digits, emoji or boats. Without it, all data sets are listed."
        ),
    ] = None,
    folder: Annotated[
        Path | None, typer.Argument(metavar="[DIR]", help="The folder to create.")
    ] = None,
    url: Annotated[
        str | None, typer.Option(metavar="URL", help="Download the boats from this URL.")
    ] = None,
    sha256: Annotated[
        str | None,
        typer.Option(metavar="HEX", help="The SHA-256 that the downloaded archive must have."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List the data sets, or write one as a folder of images.

    Emoji and boats get the subfolders train, val and test, each with one folder per class. To
    continue an interrupted download, run the same command again.
    """
    if name is None:
        typer.echo(json.dumps(_SETS, indent=2) if as_json else _listed())
        return
    _check_use(name, folder, downloading=url is not None or sha256 is not None)
    assert folder is not None
    if name == "digits":
        _write_digits(folder, as_json=as_json)
        return
    values = _write_emoji(folder) if name == "emoji" else _download_boats(folder, url, sha256)
    if as_json:
        typer.echo(json.dumps({"name": name, "folder": str(folder), **values}, indent=2))
        return
    counts = ", ".join(f"{split} {count:,}" for split, count in values["images"].items())
    typer.echo(printable(f"wrote {folder}: {counts} images, {values['classes']} classes"))
    if "sha256" in values:
        typer.echo(f"SHA-256 of the archive: {values['sha256']}")
    typer.echo(f"licence: {_SETS[name]['licence']}")
    # A folder that is called as embedded data is named so that it is meant.
    place = quoted(f"./{folder}" if str(folder) in ("mnist", "emoji") else folder)
    _say(f"next: lamplighter train {place}, or lamplighter transfer {place}")


def _check_use(name: str, folder: Path | None, *, downloading: bool) -> None:
    if name == "mnist":
        raise typer.BadParameter(
            "mnist comes with the package and needs no folder: lamplighter train mnist."
        )
    if name not in _SETS:
        raise typer.BadParameter(unknown_name("data set", name, _SETS))
    if folder is None:
        raise typer.BadParameter(
            f"the data set {name} needs a folder to write to, received none; "
            f"give one: lamplighter data {name} DIR."
        )
    if downloading and name != "boats":
        raise typer.BadParameter(
            "--url and --sha256 need the data set boats, which is the only "
            f"download, received {name}; leave them out."
        )


def _listed() -> str:
    blocks = []
    for name, facts in _SETS.items():
        lines = [wrapped(f"{name:<8}{facts['content']}", 8)]
        lines += [wrapped(f"        {facts[key]}", 8) for key in ("size", "licence", "use")]
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks)


def _write_digits(folder: Path, *, as_json: bool) -> None:
    from lamplighter.datasets.samples import digit_files

    names = digit_files(folder)
    if as_json:
        document = {"name": "digits", "folder": str(folder), "images": names}
        typer.echo(json.dumps(document, indent=2))
        return
    typer.echo(printable(f"wrote {folder}: {', '.join(names)}"))
    typer.echo(f"licence: {_SETS['digits']['licence']}")
    _say(f"next: lamplighter predict digits.lamp {quoted(folder)}/*")


def _write_emoji(folder: Path) -> dict[str, Any]:
    from lamplighter.datasets.emoji import emoji_classes, emoji_files

    return {"images": emoji_files(folder), "classes": len(emoji_classes())}


def _download_boats(folder: Path, url: str | None, sha256: str | None) -> dict[str, Any]:
    from lamplighter.datasets.boats import BOATS_URL, fetch_boats

    try:
        with _bars() as progress:
            fetched = fetch_boats(folder, url or BOATS_URL, sha256=sha256, progress=progress)
    except DownloadError as error:
        raise DownloadError(f"{error} Without the internet: lamplighter data emoji DIR.") from error
    return {"images": fetched.images, "classes": fetched.classes, "sha256": fetched.sha256}


@contextlib.contextmanager
def _bars() -> Iterator[Callable[[str, int, int | None], None] | None]:
    """Give what draws a bar for each stage on stderr, where that is a terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=20),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
        tasks: dict[str, int] = {}

        def tell(stage: str, done: int, total: int | None) -> None:
            if stage not in tasks:
                tasks[stage] = bars.add_task(stage, total=total)
            bars.update(bars.task_ids[tasks[stage]], completed=done, total=total)

        yield tell


def _say(line: str) -> None:
    sys.stderr.write(printable(line) + "\n")
    sys.stderr.flush()
