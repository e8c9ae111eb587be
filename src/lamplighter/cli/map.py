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
            help="What to map: mnist, emoji, a folder with a folder of photos for each class, a "
            ".zip of it, or a CSV file with the columns path and label.",
        ),
    ],
    split: SplitName = None,
    method: Annotated[
        Method,
        typer.Option(
            help="pca takes a second and its distances can be read; tsne takes up to a minute and "
            "shows groups better."
        ),
    ] = Method.PCA,
    thumbnails: Annotated[
        int,
        typer.Option(
            metavar="N", min=0, help="Show up to N of the images themselves at their points."
        ),
    ] = 0,
    limit: Annotated[
        int,
        typer.Option(
            metavar="N", min=2, help="The most images that are drawn; of more, a random sample."
        ),
    ] = _MOST,
    seed: Annotated[
        int, typer.Option(metavar="N", min=0, help="The same seed gives the same map.")
    ] = 0,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="The picture: .png, .pdf or .svg; by default beside the bundle."
        ),
    ] = None,
    force: Annotated[bool, options.force("Replace the file, if it is there.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", metavar="", help="Print one JSON document with each point.")
    ] = False,
) -> None:
    """Draw images as points, similar ones near each other.

    Images are similar where the network computes similar features. Points are coloured by their
    true class, and mistakes have a ring.
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
        lines.append(f"the two axes hold {first} and {second} of the variance of the features")
    lines.append(f"wrote {out}")
    return "\n".join(wrapped(printable(line)) for line in lines)
