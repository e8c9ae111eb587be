"""`lamplighter card`: the model card of a bundle."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lamplighter.cli import options
from lamplighter.cli.outputs import check_new
from lamplighter.cli.terminal import printable
from lamplighter.errors import OutputError


def card(
    bundle: Annotated[
        Path, typer.Argument(metavar="BUNDLE", help="The classifier: a bundle (NAME.lamp).")
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="The file to write, by custom README.md. Default: to stdout."
        ),
    ] = None,
    license: Annotated[  # noqa: A002 - the name of the option
        str | None,
        typer.Option(
            metavar="NAME",
            help="The license that you share it under, as Hugging Face calls it: apache-2.0, mit, "
            "cc-by-4.0, other. Default: left out.",
        ),
    ] = None,
    force: Annotated[bool, options.force("Overwrite the output file if it exists.")] = False,
) -> None:
    """Write the model card of a bundle: Markdown, with the metadata that Hugging Face reads.

    It says what the bundle knows (classes, recipe, scores with their intervals, calibration) and
    names what it does not know.
    """
    from lamplighter.files.writing import written_whole
    from lamplighter.saving.model_card import model_card

    if out is not None:
        if out.suffix.lower() not in (".md", ".markdown"):
            raise OutputError(f"--out must be a file ending in .md, received {out}.")
        check_new(out, "--out", force=force)
    text = model_card(bundle, license=license)
    if out is None:
        typer.echo(text, nl=False)
        return
    with written_whole(out) as file:
        file.write(text.encode())
    typer.echo(printable(f"wrote {out}"))
