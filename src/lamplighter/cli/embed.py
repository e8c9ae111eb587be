"""`lamplighter embed`: compute feature vectors."""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from lamplighter.cli import options
from lamplighter.cli.backbone_arguments import (
    Backbone,
    FitOption,
    Mean,
    Size,
    Std,
    chosen_backbone,
)
from lamplighter.cli.data_arguments import found_files, say, say_set_aside
from lamplighter.cli.options import AsJson, ImageFolder
from lamplighter.cli.outputs import check_new
from lamplighter.cli.terminal import bar, printable
from lamplighter.text import counted

if TYPE_CHECKING:
    from lamplighter.features.extraction import Features
    from lamplighter.features.index.update import Changes
    from lamplighter.models.classifier import Classifier


def embed(
    folder: ImageFolder,
    backbone: Backbone = "efficientnet-lite0",
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Write the vectors, file names and labels to this .npz file."
        ),
    ] = None,
    index: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Create or update an index for `lamplighter similar`.",
        ),
    ] = None,
    fit: FitOption = None,
    size: Size = None,
    mean: Mean = None,
    std: Std = None,
    precision: Annotated[
        Literal["fp32", "int8"],
        typer.Option(metavar="KIND", help="fp32: exact; int8: faster, nearly the same vectors."),
    ] = "fp32",
    whole: Annotated[
        bool,
        typer.Option(
            "--whole",
            metavar="",
            help="Decode large JPEG files at full size: slower, exact to the pixel.",
        ),
    ] = False,
    no_cache: Annotated[
        bool,
        typer.Option(
            "--no-cache",
            metavar="",
            help="Neither read nor write the cache: compute every vector again.",
        ),
    ] = False,
    force: Annotated[bool, options.force("Overwrite the .npz file if it exists.")] = False,
    as_json: AsJson = False,
) -> None:
    """Compute the features of images: one vector for each image.

    The vectors are cached: a second run computes those of new images only. A file that cannot be
    read is reported and left out.
    """
    if out is not None:
        from lamplighter.features.files import check_features_target

        check_features_target(out)
        check_new(out, "--out", force=force)
    from lamplighter.features.extraction import embed as extract
    from lamplighter.features.extraction import fingerprint
    from lamplighter.saving.quantized import at_precision

    files = found_files(folder)
    for note in files.notes:
        say(f"note: {note}")
    backbone, network = chosen_backbone(backbone, files, fit, size=size, mean=mean, std=std)
    classifier = at_precision(network, precision)
    if index is not None and index.exists():
        _check_network(index, fingerprint(classifier, scaled=not whole))
    start = time.perf_counter()
    with bar("embedding") as progress:
        features = extract(
            classifier, files, cache=not no_cache, scaled=not whole, progress=progress
        )
    seconds = time.perf_counter() - start
    say_set_aside(features.files.set_aside)
    tell = say if as_json else _print
    tell(_summary(features, seconds))
    document = _document(features, seconds)
    if out is not None:
        from lamplighter.features.files import save_features

        save_features(features, out)
        tell(f"wrote {out} ({out.stat().st_size / 1e6:.1f} MB)")
        document["out"] = str(out)
    if index is not None:
        changes = _index(features, index, backbone, classifier, precision)
        tell(_index_line(index, changes))
        document["index"] = {"path": str(index), **(asdict(changes) if changes else {})}
    if as_json:
        typer.echo(json.dumps(document, indent=2))


def _summary(features: Features, seconds: float) -> str:
    count, dimension = features.vectors.shape
    speed = f"{count / seconds:,.0f} images/s" if seconds else ""
    known = f", {features.cached:,} from the cache" if features.cached else ""
    what = f"{counted(count, 'image')}, {dimension:,} features each"
    return f"{what}, in {seconds:.1f} s ({speed}{known})"


def _print(line: str) -> None:
    typer.echo(printable(line))


def _document(features: Features, seconds: float) -> dict[str, Any]:
    count, dimension = features.vectors.shape
    return {
        "images": count,
        "dimension": dimension,
        "seconds": seconds,
        "cached": features.cached,
        "network": features.network,
        "set_aside": [asdict(file) for file in features.files.set_aside],
    }


def _check_network(path: Path, network: str) -> None:
    """Refuse an index of another network before any image is embedded.

    Raises:
        SimilarIndexError: it is one.
    """
    from lamplighter.errors import SimilarIndexError
    from lamplighter.features.index.index import Index

    with Index.open(path) as index:
        if index.network != network:
            raise SimilarIndexError(
                f"{path} was made with another network or preprocessing ({index.source}); choose "
                "the same ones, or another file for --index."
            )


def _index(
    features: Features, path: Path, backbone: str, classifier: Classifier, precision: str
) -> Changes | None:
    """Make an index of similar images, or bring it up to date and return what changed."""
    from lamplighter.features.index.index import Index
    from lamplighter.features.similar import source_of

    if path.exists():
        with Index.open(path) as index:
            changes = index.update(features)
            index.prepare()
        return changes
    source = source_of(backbone, classifier, path, precision=precision)
    with Index.create(path, features, source=source) as index:
        index.prepare()
    return None


def _index_line(path: Path, changes: Changes | None) -> str:
    if changes is None:
        return f"wrote {path} ({path.stat().st_size / 1e6:.1f} MB)"
    return (
        f"updated {path}: {changes.added:,} added, {changes.replaced:,} replaced, "
        f"{changes.relabelled:,} with another label, {changes.removed:,} removed, "
        f"{changes.unchanged:,} unchanged"
    )
