"""`lamplighter export`: the network of a bundle for other software."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from lamplighter.cli import options
from lamplighter.cli.classifier_arguments import named_classifier
from lamplighter.cli.options import Bundle
from lamplighter.cli.outputs import check_new, check_new_package
from lamplighter.cli.terminal import printable, wrapped
from lamplighter.errors import OutputError

if TYPE_CHECKING:
    from lamplighter.datasets.files import ImageFiles


def export(
    bundle: Bundle,
    format: Annotated[  # noqa: A002 - the name of the option
        Literal["onnx", "bundle", "state-dict", "torch-export", "litert", "coreml"],
        typer.Option(
            metavar="FORMAT",
            help="onnx: for most other software; state-dict: PyTorch weights for "
            "torch.load; torch-export: a PyTorch program for torch.export.load; "
            "bundle: the same bundle with an ONNX graph, if it was saved "
            "without one; litert (needs ai-edge-litert), coreml (needs coremltools): models for "
            "telephones, of images that are resized already, with class names and probabilities.",
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="The file to write. Default: named after the bundle."),
    ] = None,
    with_preprocessing: Annotated[
        bool,
        typer.Option(
            "--with-preprocessing",
            metavar="",
            help="onnx: put preprocessing, calibration and class names into the model: images of "
            "any size in, class names and probabilities out.",
        ),
    ] = False,
    precision: Annotated[
        Literal["fp32", "int8"] | None,
        typer.Option(
            metavar="KIND",
            help="onnx: fp32, or int8: 8-bit integers, smaller and on most processors faster; what "
            "it loses is measured. Default: as in the bundle.",
        ),
    ] = None,
    images: Annotated[
        str | None,
        typer.Option(
            metavar="FOLDER",
            help="Images to prove the model on, and to measure on what int8 loses: a folder, .zip "
            "or CSV file; its test split, if it has one. Default: pictures that come with "
            "Lamplighter.",
        ),
    ] = None,
    as_is: Annotated[
        bool,
        typer.Option(
            "--as-is",
            metavar="",
            help="With --with-preprocessing: use the whole image, without searching for a digit "
            "in it, which no ONNX model can.",
        ),
    ] = False,
    force: Annotated[bool, options.force("Overwrite the output file if it exists.")] = False,
) -> None:
    """Export the network of a bundle for other software.

    Class names and preprocessing are not part of the exported file with the formats state-dict and
    torch-export, nor with onnx unless --with-preprocessing is given.
    """
    from lamplighter.saving.export import SUFFIXES, check_export, write_export

    _check_together(format, with_preprocessing, precision, images, as_is=as_is)
    classifier = named_classifier(bundle)
    if as_is:
        classifier.preprocessing = dataclasses.replace(classifier.preprocessing, find_digit=False)
    out = out or _beside(bundle, SUFFIXES[format])
    if format != "bundle" and out.resolve() == bundle.resolve():
        raise OutputError(f"--out must not be the bundle itself, received {out}; choose another.")
    check_export(out, format, preprocessing=with_preprocessing, precision=precision)
    if format == "coreml":
        check_new_package(out, "--out", force=force)
    else:
        check_new(out, "--out", force=force)
    written = write_export(
        classifier,
        out,
        format,
        preprocessing=with_preprocessing,
        precision=precision,
        images=None if images is None else _proof_files(images),
    )
    typer.echo(printable(f"wrote {out} ({_size_of(out) / 1e6:.1f} MB)"))
    if written.proof is not None:
        by = {"litert": ", by LiteRT", "coreml": ", read back and computed by ONNX Runtime, since "
            "Core ML itself runs on Apple's systems alone"}  # fmt: skip
        typer.echo(wrapped(printable(f"{written.proof}{by.get(format, '')}"), 0))
    if written.loss is not None:
        typer.echo(wrapped(printable(f"{precision}: {written.loss}"), 6))


def _check_together(
    format: str,  # noqa: A002
    with_preprocessing: bool,
    precision: str | None,
    images: str | None,
    *,
    as_is: bool,
) -> None:
    """Refuse options that would do nothing."""
    if as_is and not with_preprocessing:
        raise typer.BadParameter("--as-is goes with --with-preprocessing.")
    compared = with_preprocessing or precision is not None or format in ("litert", "coreml")
    if images is not None and not compared:
        raise typer.BadParameter(
            "--images goes with --with-preprocessing, --precision, litert and coreml."
        )


def _proof_files(images: str) -> ImageFiles:
    """Return the images that the user names; of those with splits the test split, if there is."""
    from lamplighter.cli.data_arguments import found_files, say_set_aside

    files = found_files(images)
    say_set_aside(files.set_aside)
    return files.split("test") if "test" in files.split_names else files


def _size_of(path: Path) -> int:
    """Return the bytes of a file, or of all files in a folder."""
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())


def _beside(bundle: Path, suffix: str) -> Path:
    """Return the file for what is exported; a dot in the name of a network is part of it."""
    named = bundle.suffix.lower() == ".lamp" or bundle.exists()
    return bundle.with_suffix(suffix) if named else Path(f"{bundle}{suffix}")
