"""`lamplighter layers`, `filters` and `feature-maps`: look inside a network."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lamplighter.cli import options
from lamplighter.cli.classifier_arguments import named_classifier
from lamplighter.cli.options import AsJson, Bundle
from lamplighter.cli.outputs import beside, check_figure, write_figure
from lamplighter.cli.terminal import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lamplighter.explain.layers import LayerInfo

_NEEDS = "looking inside a network"

Layer = Annotated[
    str | None,
    typer.Option(
        metavar="LAYER",
        help="The layer, one of `lamplighter layers BUNDLE`. Default: the first that can be drawn.",
    ),
]
Channels = Annotated[
    list[int] | None,
    typer.Option("--channel", metavar="N", help="Draw this channel only; can be repeated."),
]
Out = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE", help="The picture: .png, .pdf or .svg. Default: beside the bundle."
    ),
]
Force = Annotated[bool, options.force("Overwrite the picture if it exists.")]


def layers(
    bundle: Bundle,
    as_json: AsJson = False,
) -> None:
    """List the layers of a network, with output shapes and numbers of parameters.

    `feature-maps` can draw layers whose output has height and width; `filters` draws convolutions.
    """
    from lamplighter.saving.tracing import needs_training_packages

    classifier = named_classifier(bundle)
    with needs_training_packages(_NEEDS):
        from lamplighter.explain.layers import layers as listed

        found = listed(classifier)
    if as_json:
        typer.echo(json.dumps({"layers": [dataclasses.asdict(layer) for layer in found]}, indent=2))
        return
    typer.echo("\n".join(_table(found)))


def filters(
    bundle: Bundle,
    layer: Layer = None,
    channels: Channels = None,
    out: Out = None,
    force: Force = False,
) -> None:
    """Draw the filters of a convolution.

    The filters of the first convolution are drawn in colour or grey, as the images are; a filter
    of a deeper layer has one picture per input channel. Of a large layer only the first filters are
    drawn; the title says how many.
    """
    out = out or beside(bundle, f"filters-{layer}" if layer else "filters")
    check_figure(out, "--out", force=force)
    from lamplighter.saving.tracing import needs_training_packages

    classifier = named_classifier(bundle)
    with needs_training_packages(_NEEDS):
        from lamplighter.explain.filters import plot_filters

        figure = plot_filters(classifier, layer, channels=channels)
    write_figure(figure, out)


def feature_maps(
    bundle: Bundle,
    image: Annotated[Path, typer.Argument(metavar="IMAGE", help="The input image.")],
    layer: Layer = None,
    channels: Channels = None,
    out: Out = None,
    force: Force = False,
) -> None:
    """Draw the feature maps of a layer for an image: the activations of each channel.

    Of a large layer only the first 64 maps are drawn; the title says so.
    """
    of_layer = f"-{layer}" if layer else ""
    out = out or beside(bundle, f"maps{of_layer}-{image.stem}")
    check_figure(out, "--out", force=force)
    from lamplighter.saving.tracing import needs_training_packages

    classifier = named_classifier(bundle)
    with needs_training_packages(_NEEDS):
        from lamplighter.explain.feature_maps import plot_feature_maps

        figure = plot_feature_maps(classifier, image, layer, channels=channels)
    write_figure(figure, out)


def _table(found: Sequence[LayerInfo]) -> list[str]:
    """Return the layers as lines of aligned columns."""
    rows = [("layer", "kind", "output", "parameters", "maps")]
    for layer in found:
        shape = layer.output_shape
        output = "-" if shape is None else " x ".join(map(str, shape)) or "1"
        maps = "yes" if layer.spatial else ""
        rows.append(
            (printable(layer.name), printable(layer.kind), output, f"{layer.parameters:,}", maps)
        )
    wide = [max(len(row[column]) for row in rows) for column in range(4)]
    lines = [
        f"{name:<{wide[0]}}  {kind:<{wide[1]}}  {output:<{wide[2]}}  {count:>{wide[3]}}  {maps}"
        for name, kind, output, count, maps in rows
    ]
    return [line.rstrip() for line in lines]
