"""`lamplighter page`: a classifier as one HTML file that runs in the browser."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lamplighter.cli import options
from lamplighter.cli.classifier_arguments import named_classifier
from lamplighter.cli.options import Bundle
from lamplighter.cli.outputs import check_new
from lamplighter.cli.terminal import printable
from lamplighter.errors import OutputError


def page(
    bundle: Bundle,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="The page to write. Default: named after the bundle."),
    ] = None,
    name: Annotated[
        str | None,
        typer.Option(
            metavar="TEXT", help="What the page calls the classifier. Default: as the bundle."
        ),
    ] = None,
    texts: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="A JSON file with the texts of the page in another language; what is not in it "
            "stays English.",
        ),
    ] = None,
    print_texts: Annotated[
        bool,
        typer.Option(
            "--print-texts",
            metavar="",
            help="Print the English texts as JSON, to be translated, and write no page.",
        ),
    ] = False,
    force: Annotated[bool, options.force("Overwrite the output file if it exists.")] = False,
) -> None:
    """Write one HTML file that classifies in the browser, without a server or a connection.

    Open it from the disk, mail it, or put it on any web server. Pictures are dropped on it, pasted,
    chosen, drawn or taken by the camera; they never leave the device. It answers as `predict` does.
    """
    if print_texts:
        import json

        from lamplighter.webpage.texts import english

        typer.echo(json.dumps(english(), indent=2, ensure_ascii=False))
        return
    named = bundle.suffix.lower() == ".lamp" or bundle.exists()
    out = out or (bundle.with_suffix(".html") if named else Path(f"{bundle}.html"))
    check_new(out, "--out", force=force)
    from lamplighter.webpage.page import web_page
    from lamplighter.webpage.texts import translated

    words = translated(texts) if texts else None
    classifier = named_classifier(bundle)
    if out.exists() and bundle.exists() and out.samefile(bundle):
        raise OutputError(f"--out must not be the bundle itself, received {out}; choose another.")
    web_page(classifier, out, name=name, texts=words)
    typer.echo(printable(f"wrote {out} ({out.stat().st_size / 1e6:.1f} MB); open it in a browser"))
