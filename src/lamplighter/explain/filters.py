"""The filters of a convolution, as pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from lamplighter.errors import UnknownLayerError
from lamplighter.evaluation.plots import NEUTRAL, finished
from lamplighter.explain.feature_maps import chosen_channels, selection_text
from lamplighter.explain.hooks import check_finite, find_layer, network_of
from lamplighter.explain.style import (
    DIVERGING,
    GREY,
    SMALL,
    TITLE,
    image_grid,
    new_page,
    scale_of,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from lamplighter.models.classifier import Classifier

_MOST = 64  # filters that are drawn unless others are asked for
_ROWS, _COLUMNS = 32, 32  # filters and their input channels, where each has several
_CONVOLUTIONS = (nn.Conv2d, nn.ConvTranspose2d)


def filters(classifier: Classifier, layer: str | None = None) -> NDArray[np.float32]:
    """Return the filters of a convolution, one for each channel that it makes.

    Args:
        classifier: whose network it is in.
        layer: as `named_modules` has it (see `lamplighter.layers`); by default the first.

    Returns:
        The weights, shape (F, C, h, w): F filters, each over the C input channels that it sees
        (of a grouped convolution its group's, of a depthwise one 1), h x w pixels.

    Raises:
        UnknownLayerError: there is no such convolution; the message names near ones.
        ModelError: weights are not finite, or the torch network cannot be built.
    """
    name, module = _convolution(network_of(classifier), layer)
    weight: torch.Tensor = module.weight.detach().float().cpu()
    if isinstance(module, nn.ConvTranspose2d):  # (C, F / groups, h, w), other than Conv2d has it
        inputs, outputs, *size = weight.shape
        grouped = weight.reshape(module.groups, inputs // module.groups, outputs, *size)
        weight = grouped.transpose(1, 2).flatten(0, 1)
    check_finite(weight, f"the filters of layer {name!r}")
    return weight.numpy().copy()


def plot_filters(
    classifier: Classifier, layer: str | None = None, *, channels: Sequence[int] | None = None
) -> Figure:
    """Return the filters of a convolution as a figure, all on one scale.

    Those that see the image are drawn in its colours, or in grey, with 0 in the middle. Deeper
    ones are drawn for each input channel by itself, blue below 0 and red above: a row for each
    filter, a column for each channel it sees. Of large layers the first 64 filters are drawn, or
    32 filters of 32 input channels each, and the title says so.

    Args:
        classifier: whose network it is in.
        layer: as for `filters`.
        channels: the numbers of the filters to draw.

    Raises:
        UnknownLayerError: there is no such convolution, or no such filter.
        ModelError: weights are not finite, or the torch network cannot be built.
        MissingPackageError: matplotlib is not installed.
    """
    network = network_of(classifier)
    name, module = _convolution(network, layer)
    weights = filters(classifier, name)
    count, inputs, height, width = weights.shape
    image = _sees_image(network, module, classifier.preprocessing.channels)
    rows = _MOST if image or inputs == 1 else _ROWS
    chosen = chosen_channels(count, channels, rows, "filter", name)
    what = f"{name}: {selection_text(chosen, count, 'filter')} of {height} x {width}"
    limits = scale_of([weights], centred=True)
    drawn = weights[chosen]  # (f, C, h, w)
    if image and inputs == 3:
        colours = 0.5 + drawn.transpose(0, 2, 3, 1) / (2 * limits[1])  # (f, h, w, 3), 0..1
        return image_grid(
            list(colours),
            titles=[str(number) for number in chosen],
            title=f"{what} in colour; mid-grey is 0",
        )
    if inputs == 1:
        return image_grid(
            list(drawn[:, 0]),
            titles=[str(number) for number in chosen],
            title=what if image else f"{what}, each on one input channel",
            label="weight",
            cmap=GREY if image else DIVERGING,
            limits=limits,
        )
    return _by_input(drawn[:, :_COLUMNS], chosen, what, inputs, limits=limits)


def _by_input(
    drawn: NDArray[np.float32],
    chosen: Sequence[int],
    what: str,
    inputs: int,
    *,
    limits: tuple[float, float],
) -> Figure:
    """Return filters (f, c, h, w) as rows of their input channels."""
    from matplotlib.ticker import MaxNLocator

    rows, columns, tall, wide = drawn.shape
    picture = mosaic(drawn)
    scale = min(5.4 / picture.shape[1], 7.4 / picture.shape[0], 0.48 / min(tall, wide, 3))
    size = picture.shape[1] * scale, picture.shape[0] * scale
    figure = new_page(max(4.2, size[0] + 1.6), size[1] + 1.2)
    axes: Any = figure.add_subplot()
    image = axes.imshow(
        picture, cmap=DIVERGING, vmin=limits[0], vmax=limits[1], interpolation="nearest"
    )
    if tall * wide > 1:
        ends = picture.shape[0] - 0.5, picture.shape[1] - 0.5
        axes.vlines(np.arange(1, columns) * wide - 0.5, -0.5, ends[0], NEUTRAL, linewidth=0.6)
        axes.hlines(np.arange(1, rows) * tall - 0.5, -0.5, ends[1], NEUTRAL, linewidth=1.2)
    across, down = _ticks(columns, 0.2 * columns / size[0]), _ticks(rows, 0.13 * rows / size[1])
    axes.set_xticks(across * wide + (wide - 1) / 2, across, fontsize=SMALL)
    labels = [str(chosen[row]) for row in down]
    axes.set_yticks(down * tall + (tall - 1) / 2, labels, fontsize=SMALL)
    axes.tick_params(length=2)
    some = f"the first {columns} of {inputs}" if columns < inputs else f"{inputs}"
    axes.set_xlabel(f"input channel ({some})", fontsize=SMALL + 1)
    axes.set_ylabel("filter", fontsize=SMALL + 1)
    axes.set_title(what.replace(": ", ":\n", 1), fontsize=TITLE)
    bar = figure.colorbar(image, ax=axes, shrink=min(1.0, 2.4 / size[1]), pad=0.03, aspect=18)
    bar.locator = MaxNLocator(nbins=5)
    bar.update_ticks()
    bar.ax.tick_params(labelsize=SMALL)
    bar.set_label("weight", fontsize=SMALL)
    return finished(figure)


def mosaic(tiles: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return tiles (R, C, h, w) in R rows and C columns, shape (R h, C w)."""
    rows, columns, height, width = tiles.shape
    return tiles.transpose(0, 2, 1, 3).reshape(rows * height, columns * width)


def _ticks(count: int, least: float) -> NDArray[np.int64]:
    """Return the numbers below `count`, at least so many apart, that have room on an axis."""
    step = next((step for step in (1, 2, 4, 5, 8, 10, 16) if step >= least), 32)
    return np.arange(0, count, step)


def _convolution(network: nn.Module, layer: str | None) -> tuple[str, Any]:
    """Return the convolution `layer`, or the first, with its name."""
    names = [name for name, module in network.named_modules() if _is_convolution(module)]
    if isinstance(network, _CONVOLUTIONS):
        return "network", network
    if not names:
        raise UnknownLayerError(
            f"filters are those of a convolution, and {type(network).__name__} has none; choose "
            "a network with convolutions, such as simple-cnn."
        )
    name = names[0] if layer is None else layer
    return name, find_layer(network, name, _CONVOLUTIONS)


def _is_convolution(module: nn.Module) -> bool:
    return isinstance(module, _CONVOLUTIONS)


def _sees_image(network: nn.Module, module: nn.Module, channels: int) -> bool:
    """Return whether a convolution is the first, or beside the first, to see the image."""
    for other in network.modules():
        if isinstance(other, _CONVOLUTIONS):
            if other.in_channels != channels or other.groups != 1:
                return False
            if other is module:
                return True
    return False
