"""`lamplighter studio`: see, fix and teach a classifier in the browser."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from lamplighter.cli.terminal import printable


def studio(
    folder: Annotated[
        Path | None,
        typer.Argument(
            metavar="[FOLDER]",
            help="A folder of images, a .zip of it, or a CSV of paths. Without one the page asks.",
        ),
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(
            metavar="N", min=0, max=65535, help="Where to listen. Default: 8642, or the next free."
        ),
    ] = None,
    browser: Annotated[
        bool, typer.Option("--browser/--no-browser", help="Open the page in the browser.")
    ] = True,
) -> None:
    """See, label and mend photos in the browser, and make a classifier of them.

    Only this machine can open the page, and only with the secret in its address. Photos are never
    changed; each step is kept at once, and can be undone. Ctrl-C ends it.
    """
    from lamplighter.studio.server import run_studio

    ended = run_studio(folder, port=port, browser=browser, tell=_say)
    if not ended:  # all that is to be kept is in the journal: nobody waits for the rest
        sys.stdout.flush()
        os._exit(0)


def _say(line: str) -> None:
    typer.echo(printable(line))
