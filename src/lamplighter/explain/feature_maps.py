"""Feature maps: a layer's output for an image, channel by channel."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from lamplighter.errors import DataError, UnknownLayerError
from lamplighter.explain.hooks import (
    activations_of,
    check_finite,
    find_layer,
    forward_pass,
    network_of,
    spatial_maps,
    untouched,
)
from lamplighter.explain.images import prepare, shown
from lamplighter.explain.style import DIVERGING, SEQUENTIAL, image_grid, scale_of
from lamplighter.models.classifier import check_classifier

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from matplotlib.figure import Figure
    from numpy.typing import NDArray
    from torch import Tensor, nn

    from lamplighter.explain.images import OneImage
    from lamplighter.models.classifier import Classifier


def chosen_channels(
    count: int, wanted: Sequence[int] | None, most: int, what: str, layer: str
) -> list[int]:
    """Return the numbers of the channels to draw: those wanted, or the first `most`.

    Args:
        count: how many there are.
        wanted: numbers from 0 to count - 1, at least one; None for the first.
        most: how many are drawn where none are named.
        what: what one of them is called.
        layer: the name of the layer.

    Raises:
        UnknownLayerError: there is no channel of that number, or none is wanted.
    """
    if wanted is None:
        return list(range(min(count, most)))
    numbers = [int(number) for number in wanted]
    beyond = [number for number in numbers if not 0 <= number < count]
    if beyond or not numbers:
        received = f"received {beyond[0]}" if beyond else "received none"
        raise UnknownLayerError(
            f"layer {layer!r} has {count:,} {what}s, numbered 0 to {count - 1}, {received}."
        )
    return numbers


def selection_text(chosen: Sequence[int], count: int, what: str) -> str:
    """Return how many of `count` are drawn, such as "the first 64 of 1,280 maps"."""
    plural = what if count == 1 else f"{what}s"
    if list(chosen) == list(range(count)):
        return f"{count:,} {plural}"
    if list(chosen) == list(range(len(chosen))):
        first = "the first" if len(chosen) == 1 else f"the first {len(chosen):,}"
        return f"{first} of {count:,} {plural}"
    return f"{len(chosen):,} of {count:,} {plural}"


_MOST = 64  # maps that are drawn unless others are asked for
_SHARE = 0.998  # of the activations that are within the scale


def feature_maps(
    classifier: Classifier, image: OneImage, layer: str | None = None
) -> NDArray[np.float32]:
    """Return what a layer makes of an image: a map of activations for each channel.

    Args:
        classifier: whose network it is.
        image: the path of an image file, a PIL image, or what else `explain.images.prepare` takes.
        layer: as `named_modules` has it (see `lamplighter.layers`); by default the first that
            gives maps.

    Returns:
        Activations, shape (C, H, W).

    Raises:
        UnknownLayerError: there is no such layer, or what it gives are no maps of more than one
            pixel.
        ModelError: activations are not finite, or the torch network cannot be built.
        ImageError: the image cannot be read.
        ShapeError: pixels are of another size than the network's.
    """
    check_classifier(classifier, "feature_maps")
    return _maps(classifier, _one(classifier, image), layer)[1]


def plot_feature_maps(
    classifier: Classifier,
    image: OneImage,
    layer: str | None = None,
    *,
    channels: Sequence[int] | None = None,
) -> Figure:
    """Return what a layer makes of an image as a figure: the image, then the maps on one scale.

    Activations of both signs are blue below 0 and red above. The scale leaves out the few largest
    activations, one in 500, which would make all others look alike. Of more than 64 maps the first
    64 are drawn, and the title says so.

    Args:
        classifier: whose network it is.
        image: as for `feature_maps`.
        layer: as for `feature_maps`.
        channels: the numbers of the maps to draw.

    Raises:
        MissingPackageError: matplotlib is not installed.
        LamplighterError: as `feature_maps` does; or there is no such channel.
    """
    inputs = _one(classifier, image)
    name, maps = _maps(classifier, inputs, layer)
    count, height, width = maps.shape
    chosen = chosen_channels(count, channels, _MOST, "map", name)
    drawn = maps[chosen]  # (c, H, W)
    signed = bool(drawn.min() < 0 < drawn.max())
    return image_grid(
        [shown(inputs, classifier)[0], *drawn],
        titles=["image", *(str(number) for number in chosen)],
        title=f"{name}: {selection_text(chosen, count, 'map')} of {height} x {width}",
        label="activation",
        cmap=DIVERGING if signed else SEQUENTIAL,
        limits=scale_of([drawn], centred=signed, share=_SHARE),
    )


def _one(classifier: Classifier, image: OneImage) -> Tensor:
    inputs = prepare(classifier, image)  # (N, C, H, W)
    if len(inputs) != 1:
        raise DataError(f"feature maps are those of one image, received {len(inputs)}.")
    return inputs


def _maps(
    classifier: Classifier, inputs: Tensor, layer: str | None
) -> tuple[str, NDArray[np.float32]]:
    """Return the name of the layer and its maps (C, H, W) of the one image in `inputs`."""
    network = network_of(classifier)
    size = inputs.shape[2], inputs.shape[3]
    names = (
        [layer] if layer is not None else [name for name in dict(network.named_modules()) if name]
    )
    with untouched(network), torch.no_grad(), activations_of(network, names) as outputs:
        forward_pass(network, inputs)
    if layer is None:
        layer = _first_with_maps(network, outputs, size)
    if layer not in outputs:
        raise UnknownLayerError(
            f"layer {layer!r}, a {type(find_layer(network, layer)).__name__}, gives no tensor when "
            "an image is looked at; `lamplighter layers` lists those that give maps."
        )
    maps = spatial_maps(outputs[layer], size, count=1)
    if maps is None:
        raise UnknownLayerError(
            f"feature maps have height and width, but layer {layer!r} gives "
            f"{' x '.join(map(str, outputs[layer].shape[1:]))} for an image; "
            "`lamplighter layers` lists those that give maps."
        )
    check_finite(maps, f"the activations of layer {layer!r}")
    made: NDArray[np.float32] = maps[0].float().cpu().numpy().copy()
    return layer, made


def _first_with_maps(network: nn.Module, outputs: dict[str, Tensor], size: tuple[int, int]) -> str:
    """Return the first layer without layers of its own whose output are maps."""
    for name, module in network.named_modules():
        leaf = not any(True for _ in module.children())
        if leaf and name in outputs and spatial_maps(outputs[name], size, count=1) is not None:
            return str(name)
    raise UnknownLayerError(
        f"feature maps have height and width, and no layer of {type(network).__name__} gives such; "
        "choose a network with convolutions, such as simple-cnn."
    )
