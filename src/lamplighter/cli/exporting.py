"""Commands on a bundle as a file: info, export."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from lamplighter.errors import OutputError

if TYPE_CHECKING:
    from collections.abc import Iterator

_SUFFIXES = {"onnx": ".onnx", "state-dict": ".pt", "torch-export": ".pt2"}


def info(
    bundle: Annotated[Path, typer.Argument(help="The classifier, NAME.lamp.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Say what is in a bundle: network, classes, preprocessing, training, scores."""
    from lamplighter.saving.bundle import describe

    description = describe(bundle)
    if as_json:
        typer.echo(json.dumps(description, indent=2))
        return
    for name, value in _lines(description):
        typer.echo(f"{name:<14}{value}")


def export(
    bundle: Annotated[Path, typer.Argument(help="The classifier, NAME.lamp.")],
    format: Annotated[  # noqa: A002 - the name of the option
        Literal["onnx", "state-dict", "torch-export"], typer.Option(help="What to write.")
    ],
    out: Annotated[
        Path | None, typer.Option(help="The file to write; by default beside the bundle.")
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Replace the file, if it is there.")
    ] = False,
) -> None:
    """Write the network of a bundle for other software."""
    from lamplighter.saving.bundle import load

    classifier = load(bundle)
    out = out or bundle.with_suffix(_SUFFIXES[format])
    if out.exists() and not force:
        raise OutputError(
            f"{out} is there already: choose another --out, or replace it with --force."
        )
    from lamplighter.saving.export import export as write

    write(classifier, out, format)
    typer.echo(f"wrote {out} ({out.stat().st_size / 1e6:.1f} MB)")


def _lines(description: dict[str, Any]) -> Iterator[tuple[str, str]]:
    from lamplighter.data.preprocessing import Preprocessing
    from lamplighter.evaluation.intervals import Estimate

    architecture, record = description["architecture"], description["record"]
    yield "network", architecture["name"] or f"{architecture['class']} (a class of its own)"
    if architecture["arguments"]:
        yield "", ", ".join(f"{k}={v}" for k, v in architecture["arguments"].items())
    names = description["class_names"]
    yield "classes", f"{len(names)}: {', '.join(names[:12])}{', ...' if len(names) > 12 else ''}"
    yield "input", Preprocessing.from_dict(description["preprocessing"]).describe()
    if record["recipe"]:
        yield "recipe", ", ".join(f"{k} {v}" for k, v in record["recipe"].items())
    for split, score in record["scores"].items():
        accuracy = Estimate(**score["accuracy"])
        yield split, f"accuracy {accuracy} on {score['count']:,} images of {score['data']}"
    for split, fingerprint in record["data"].items():
        yield f"{split} data", f"SHA-256 {fingerprint[:16]}..."
    parity = description["parity"]
    yield "ONNX graph", f"differs from torch by at most {parity['max_difference']:.1e}"
    versions = ", ".join(f"{k} {v}" for k, v in description["versions"].items())
    yield "written", f"{description['created']} with {versions}"
