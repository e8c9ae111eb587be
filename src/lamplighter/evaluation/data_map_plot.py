"""Plots of a data map. Nothing here shows or saves: a figure has `savefig`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lamplighter.errors import ArgumentError
from lamplighter.evaluation.plots import COLOURS as FIRST_COLOURS
from lamplighter.evaluation.plots import INK, finished, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from lamplighter.evaluation.data_map import DataMap

# After those of all plots the dark ones of Tol's "muted" scheme, made for colour-blind eyes too.
COLOURS = (*FIRST_COLOURS, "#332288", "#882255", "#117733", "#999933", "#aa4499")
MARKERS = ("o", "s", "^", "D", "P")
_STYLES = len(COLOURS) * len(MARKERS)  # 12 and 5 have no factor in common: each pair comes once
_OTHER = "#b8b8b8"
_HEIGHT = 5.4  # inches
_LINE = 0.168  # inches, height of a line of the legend
_LETTER = 0.068  # inches, width of a letter of the legend
_LONGEST = 26  # letters of a name in the legend
_THUMBNAIL = 0.46  # inches, longer side
_FRAME = 0.05  # inches, what the frame of a thumbnail adds to its width
_APART = 1.12  # distance of two thumbnails over their size


def plot_data_map(data_map: DataMap, *, thumbnails: int = 0) -> Figure:
    """Return a map of a data set as a figure: points by class, mistakes in a ring.

    Up to 60 classes have a colour and marker each; of more, the most frequent have, and the
    others are grey.

    Args:
        data_map: what `map_of` returned.
        thumbnails: at most so many images are shown where they lie, spread over the map, none
            over another; fewer where there is no room.

    Raises:
        ArgumentError: `thumbnails` is less than 0.
        MissingPackageError: matplotlib is not installed.
    """
    if thumbnails < 0:
        raise ArgumentError(f"a map has 0 thumbnails or more, received {thumbnails}.")
    groups = _groups(data_map)
    names = [name for name, _, _, _ in groups]
    beside = 0.75 + _LETTER * max(len("mistake (99), dashed frame"), *map(len, names))
    height = max(_HEIGHT, 0.9 + _LINE * (len(groups) + 2))
    figure = new_figure(_HEIGHT + beside, height)
    axes: Any = figure.add_subplot()
    size = float(np.clip(6000 / len(data_map), 7, 30))  # square points
    handles = [
        axes.scatter(*data_map.points[members].T, s=size, c=colour, marker=marker, linewidths=0)
        for _, members, colour, marker in groups
    ]
    if data_map.predicted is not None:
        wrong = data_map.points[~data_map.right]
        rings = {"s": 2.4 * size, "facecolors": "none", "edgecolors": INK, "linewidths": 0.8}
        handles.append(axes.scatter(*wrong.T, **rings))
        names.append(f"mistake ({len(wrong):,})" + (", dashed frame" if thumbnails else ""))
    _write(axes, data_map)
    legend: Any = figure.legend(
        handles, names, loc="outside right upper", fontsize=8, title="true class", frameon=False
    )
    for handle in legend.legend_handles:
        handle.set_sizes([34])
    finished(figure)
    if thumbnails:
        _draw_thumbnails(figure, axes, data_map, thumbnails, dict(_colours(groups)))
    return figure


def spread(places: NDArray[np.float64], count: int, size: tuple[float, float]) -> NDArray[np.int64]:
    """Return at most `count` of `places` (M, 2), far from one another: boxes there do not overlap.

    Each next one is the farthest from all before it, measured in boxes.

    Args:
        places: centres of boxes.
        count: how many at most.
        size: width and height of a box.
    """
    scaled = places / np.array(size)
    chosen: list[int] = []
    # The first is the one farthest out, and from then on the distance to the nearest counts.
    distance = np.abs(scaled - scaled.mean(axis=0)).max(axis=1) + 1.0
    while len(chosen) < count:
        farthest = int(distance.argmax())
        if distance[farthest] < 1.0:
            break
        chosen.append(farthest)
        to_it = np.abs(scaled - scaled[farthest]).max(axis=1)
        distance = to_it if len(chosen) == 1 else np.minimum(distance, to_it)
    return np.array(chosen, dtype=np.int64)


def _groups(data_map: DataMap) -> list[tuple[str, NDArray[np.bool_], str, str]]:
    """Return name, members, colour and marker of each class on the map, then of the others."""
    counts = np.bincount(data_map.labels, minlength=len(data_map.class_names))
    present = np.flatnonzero(counts)
    named = present
    if len(present) > _STYLES:
        order = np.argsort(-counts[present], kind="stable")
        named = np.sort(present[order[: _STYLES - 1]])
    groups = []
    rest = ~np.isin(data_map.labels, named)
    if rest.any():  # first, so that they lie below
        others = len(present) - len(named)
        groups.append((f"{others:,} other classes", rest, _OTHER, "o"))
    for number, label in enumerate(named):
        colour, marker = COLOURS[number % len(COLOURS)], MARKERS[number % len(MARKERS)]
        name = _drawable(data_map.class_names[label])
        groups.append((name, data_map.labels == label, colour, marker))
    return groups[1:] + groups[:1] if rest.any() else groups


def _colours(groups: list[tuple[str, NDArray[np.bool_], str, str]]) -> list[tuple[int, str]]:
    return [
        (int(member), colour)
        for _, members, colour, _ in groups
        for member in np.flatnonzero(members)
    ]


def _write(axes: Axes, data_map: DataMap) -> None:
    """Write title and axes."""
    title = "\n".join(data_map.describe().rsplit(": ", 1))
    axes.set_title(title, fontsize=10)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.margins(0.05)
    if data_map.explained is None:
        axes.set_xlabel(
            f"t-SNE, perplexity {data_map.perplexity:.3g}: neighbours are alike; sizes of groups "
            "and\ndistances between them mean little",
            fontsize=8,
        )
        return
    axes.set_aspect("equal", adjustable="datalim")  # so that distances can be read
    for number, share in enumerate(data_map.explained, start=1):
        write = axes.set_xlabel if number == 1 else axes.set_ylabel
        write(f"principal component {number}: {100 * share:.0f} % of the variance", fontsize=8)


def _draw_thumbnails(
    figure: Figure, axes: Axes, data_map: DataMap, count: int, colours: dict[int, str]
) -> None:
    from matplotlib.patches import Rectangle

    figure.draw_without_rendering()  # the layout is known from here on
    figure.set_layout_engine("none")
    height, width = data_map.images.shape[2:]
    inches = _THUMBNAIL * np.array([width, height]) / max(width, height)
    _make_room(figure, axes, data_map.points, inches + _FRAME)
    to_pixels, pixels = axes.transData, inches * figure.dpi
    places: Any = to_pixels.transform(data_map.points)
    for number in spread(places, count, tuple(_APART * pixels)):
        corners = np.array([places[number] - pixels / 2, places[number] + pixels / 2])
        (left, bottom), (right, top) = to_pixels.inverted().transform(corners)
        image = data_map.images[data_map.indices[number]]
        axes.imshow(
            image[0] if len(image) == 1 else image.transpose(1, 2, 0),
            cmap="gray",
            vmin=0,
            vmax=255,
            extent=(left, right, bottom, top),
            aspect=axes.get_aspect(),
            zorder=4,
            interpolation="nearest" if max(height, width) <= 64 else "antialiased",
        )
        wrong = not data_map.right[number]
        frame = Rectangle((left, bottom), right - left, top - bottom, fill=False, zorder=5)
        frame.set(edgecolor=colours[int(number)], linewidth=1.8)
        axes.add_patch(frame)
        if wrong:
            ring = Rectangle((left, bottom), right - left, top - bottom, fill=False, zorder=6)
            ring.set(edgecolor=INK, linewidth=1.8, linestyle=(0, (2, 2)))
            axes.add_patch(ring)


def _make_room(
    figure: Figure, axes: Any, points: NDArray[np.float64], inches: NDArray[np.float64]
) -> None:
    """Set the limits of axes so that a box of so many inches is whole at each of the points."""
    box = np.array(axes.get_window_extent().size) / figure.dpi  # inches
    low, high = points.min(axis=0), points.max(axis=0)
    per_inch = (high - low) / (box - inches)
    if axes.get_aspect() != "auto":
        per_inch[:] = per_inch.max()
    per_inch[per_inch <= 0] = 1.0  # of points that are all in one place
    middle, half = (low + high) / 2, per_inch * box / 2
    axes.set_xlim(middle[0] - half[0], middle[0] + half[0])
    axes.set_ylim(middle[1] - half[1], middle[1] + half[1])


def _drawable(name: str) -> str:
    """Return a name as a legend can hold it: on one line, not too long, not taken for hidden."""
    line = " ".join(name.split())
    line = line if len(line) <= _LONGEST else line[: _LONGEST - 3] + "..."
    return f" {line}" if line.startswith("_") else line
