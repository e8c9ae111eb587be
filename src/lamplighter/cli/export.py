"""`lamplighter export`: the network of a bundle for other software."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from lamplighter.cli import options
from lamplighter.cli.classifier_arguments import named_classifier
from lamplighter.cli.options import Bundle
from lamplighter.cli.outputs import check_new
from lamplighter.cli.terminal import printable
from lamplighter.errors import OutputError

_SUFFIXES = {
    "onnx": ".onnx",
    "bundle": ".lamp",
    "state-dict": ".pt",
    "torch-export": ".pt2",
}


def export(
    bundle: Bundle,
    format: Annotated[  # noqa: A002 - the name of the option
        Literal["onnx", "bundle", "state-dict", "torch-export"],
        typer.Option(
            metavar="FORMAT",
            help="onnx: for most other software; state-dict: PyTorch weights for "
            "torch.load; torch-export: a PyTorch program for torch.export.load; "
            "bundle: the same bundle with an ONNX graph, if it was saved "
            "without one.",
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="The file to write. Default: named after the bundle."),
    ] = None,
    force: Annotated[bool, options.force("Overwrite the output file if it exists.")] = False,
) -> None:
    """Export the network of a bundle for other software.

    Class names and preprocessing are not part of the exported file (except with the format bundle).
    """
    classifier = named_classifier(bundle)
    out = out or _beside(bundle, _SUFFIXES[format])
    if format != "bundle" and out.resolve() == bundle.resolve():
        raise OutputError(f"--out must not be the bundle itself, received {out}; choose another.")
    check_new(out, "--out", force=force)
    from lamplighter.saving.export import export as write

    write(classifier, out, format)
    typer.echo(printable(f"wrote {out} ({out.stat().st_size / 1e6:.1f} MB)"))


def _beside(bundle: Path, suffix: str) -> Path:
    """Return the file for what is exported; a dot in the name of a network is part of it."""
    named = bundle.suffix.lower() == ".lamp" or bundle.exists()
    return bundle.with_suffix(suffix) if named else Path(f"{bundle}{suffix}")
