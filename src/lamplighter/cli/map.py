"""`lamplighter map`: draw images as points by their features."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lamplighter.cli import options
from lamplighter.cli.classifier_arguments import named_classifier
from lamplighter.cli.data_arguments import split_of
from lamplighter.cli.options import Bundle, SplitName
from lamplighter.cli.outputs import beside, check_figure, save_figure
from lamplighter.cli.terminal import bar, printable, wrapped

if TYPE_CHECKING:
    from lamplighter.evaluation.data_map import DataMap

_MOST = 2000


class Method(StrEnum):
    """How features are brought into the plane."""

    PCA = "pca"
    TSNE = "tsne"


def map_data(
    bundle: Bundle,
    data: Annotated[
        str,
        typer.Argument(
            metavar="DATA",
            help="The images to draw: mnist, emoji, a folder with one folder of "
            "photos per class, a .zip of it, or a CSV file with the columns "
            "path and label.",
        ),
    ],
    split: SplitName = None,
    method: Annotated[
        Method,
        typer.Option(
            help="pca: takes a second, and its distances have a meaning; tsne: takes "
            "up to a minute, and shows groups better."
        ),
    ] = Method.PCA,
    thumbnails: Annotated[
        int,
        typer.Option(
            metavar="N", min=0, help="Draw up to N of the images themselves as thumbnails."
        ),
    ] = 0,
    limit: Annotated[
        int,
        typer.Option(
            metavar="N", min=2, help="Maximum number of images; of more, a random sample is drawn."
        ),
    ] = _MOST,
    seed: Annotated[
        int, typer.Option(metavar="N", min=0, help="Random seed: the same seed gives the same map.")
    ] = 0,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="The picture: .png, .pdf or .svg. Default: beside the bundle."
        ),
    ] = None,
    force: Annotated[bool, options.force("Overwrite the picture if it exists.")] = False,
    as_json: Annotated[
        bool,
        typer.Option(
            "--json", metavar="", help="Print one JSON document with the position of each image."
        ),
    ] = False,
) -> None:
    """Draw a map of images, in which similar images are near each other.

    Images are similar if the network computes similar features for them. The colour of a point is
    its true class; mistakes have a ring.
    """
    out = out or beside(bundle, "map")
    check_figure(out, "--out", force=force)
    classifier = named_classifier(bundle)
    from lamplighter.evaluation.data_map import map_of
    from lamplighter.evaluation.data_map_plot import plot_data_map

    images, split = split_of(data, split, classifier.preprocessing)
    count = min(limit, len(images[split]))
    with bar("mapping") as progress:
        made = map_of(
            classifier,
            images,
            split,
            method=method.value,
            limit=limit,
            seed=seed,
            progress=None if progress is None else lambda done: progress(done, count),
        )
    figure = plot_data_map(made, thumbnails=thumbnails)
    save_figure(figure, out)
    if as_json:
        typer.echo(json.dumps(made.to_dict() | {"picture": str(out)}, indent=2))
        return
    typer.echo(_text(made, out))


def _text(made: DataMap, out: Path) -> str:
    lines = [made.describe()]
    if made.explained is not None:
        first, second = (f"{100 * share:.0f} %" for share in made.explained)
        lines.append(f"the two axes explain {first} and {second} of the variance of the features")
    lines.append(f"wrote {out}")
    return "\n".join(wrapped(printable(line)) for line in lines)
