"""The style of figures: colour scales, grids of pictures, titles."""

from __future__ import annotations

import math
import textwrap
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from lamplighter.evaluation.plots import finished, new_figure

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray


def scale_of(
    values: Sequence[NDArray[Any]], *, centred: bool = False, share: float = 1.0
) -> tuple[float, float]:
    """Return the least and the largest of all `values`, NaN aside; `centred` about 0.

    Args:
        values: arrays of any shape.
        centred: as far below 0 as above it.
        share: of the values that are within the scale; less than 1 leaves out the few that would
            make all others look alike.
    """
    parts = [part[np.isfinite(part)].ravel() for part in values]
    finite = np.concatenate([*parts, np.empty(0)])
    if not finite.size:
        finite = np.array([0.0, 1.0])
    if share < 1:
        ends = np.quantile(np.abs(finite), share) * np.array([-1, 1])
        inner = ends if centred else np.quantile(finite, [1 - share, share])
        finite = inner if inner[1] > inner[0] else finite
    low, high = float(finite.min()), float(finite.max())
    if centred:
        reach = max(abs(low), abs(high)) or 1.0
        return -reach, reach
    return (low, high) if high > low else (low, low + 1.0)


SEQUENTIAL = "viridis"  # of values that begin at 0
DIVERGING = "RdBu_r"  # of values on both sides of 0: blue below, white at 0, red above
GREY = "gray"

TITLE, SMALL = 10.0, 8.0  # points
DPI = 144  # of a figure as it is shown

# In inches.
_WIDEST = 7.2  # what a page has
_LARGEST, _SMALLEST = 2.4, 0.62  # the side of a square cell
_WIDE = 4.5  # the longer side of one that is not square
_NARROWEST = 3.6  # a figure, so that its title has room
_MARGIN, _GAP = 0.14, 0.1
_PAD = 4.0  # points between a cell and the words above it
_BAR = 0.95  # colour bar with its numbers and words
_SHORT = 1.8  # height of all cells up to which the colour bar lies below them
_BELOW = 0.72  # that one with its numbers and words
_LINE = 1.35 / 72  # height of a line, for each point of its letters
_LETTER = 0.56 / 72  # width of a letter, for each point of its height
_SQUARES = 64  # pixels up to which those of an image are shown as squares


@dataclass(frozen=True)
class Grid:
    """A figure with a cell for each image.

    Attributes:
        figure: holds it all.
        cells: one for each image, in reading order, without ticks.
        bar: where a colour bar goes, or None.
    """

    figure: Figure
    cells: list[Axes]
    bar: Axes | None


def image_grid(
    images: Sequence[NDArray[Any]],
    *,
    titles: Sequence[str] = (),
    title: str = "",
    label: str = "",
    cmap: str = SEQUENTIAL,
    limits: tuple[float, float] | None = None,
    overlays: Sequence[NDArray[Any] | None] = (),
    columns: int | None = None,
) -> Figure:
    """Return images side by side, those that are colour-coded on one scale with one colour bar.

    Args:
        images: RGB pictures (H, W, 3), uint8 or 0..1, or values (H, W), NaN where there is none;
            of one aspect ratio.
        titles: one for each image, cut to its width; or none.
        title: stands above all.
        label: what the values are; without it there is no colour bar.
        cmap: a colour map of matplotlib for values.
        limits: least and largest value of the scale; by default those there are, for DIVERGING
            the same on both sides of 0.
        overlays: values (H, W) laid over an image, half transparent; None for an image without.
        columns: images in a row; by default as many as look well on a page.

    Raises:
        MissingPackageError: matplotlib is not installed.
    """
    values = [image for image in [*images, *overlays] if image is not None and image.ndim == 2]
    low, high = limits or scale_of(values, centred=cmap == DIVERGING)
    lines = [line.split("\n") for line in titles]
    height, width = images[0].shape[:2]
    grid = axes_grid(
        len(images),
        aspect=width / height,
        lines=max(map(len, lines), default=0),
        title=title,
        bar=bool(label and values),
        columns=columns,
    )
    drawn: Any = None
    for number, (cell, image) in enumerate(zip(grid.cells, images, strict=True)):
        over = overlays[number] if overlays else None
        picture = draw_image(cell, image, cmap=cmap, limits=(low, high))
        drawn = picture if image.ndim == 2 else drawn
        if over is not None:
            drawn = draw_image(cell, over, cmap=cmap, limits=(low, high), alpha=0.6)
        if lines:
            write_title(cell, lines[number])
    if grid.bar is not None and drawn is not None:
        draw_bar(grid, drawn, label, values=values)
    return finished(grid.figure)


def new_page(width: float, height: float) -> Figure:
    """Return an empty white figure of so many inches, as finely drawn as all of this room.

    Raises:
        MissingPackageError: matplotlib is not installed.
    """
    figure = new_figure(width, height)
    figure.set_dpi(DPI)
    return figure


def axes_grid(
    count: int,
    *,
    aspect: float = 1.0,
    lines: int = 0,
    title: str = "",
    bar: bool = False,
    columns: int | None = None,
) -> Grid:
    """Return a figure with `count` empty cells, laid out to fit a page's width.

    Args:
        count: cells, at least 1.
        aspect: width of a cell over its height.
        lines: lines of text above each cell.
        title: stands above all, in as many lines as it needs.
        bar: leave room for a colour bar: on the right, or below where that would be short.
        columns: cells in a row.

    Raises:
        MissingPackageError: matplotlib is not installed.
    """
    columns = min(columns or _columns(count, aspect), count)
    rows = math.ceil(count / columns)
    right = _BAR if bar else 0.0
    room = (_WIDEST - 2 * _MARGIN - right - (columns - 1) * _GAP) / columns
    most = min(_WIDE, _LARGEST * math.sqrt(max(aspect, 1 / aspect)))  # cells of one area
    longest = max(min(most, room if aspect >= 1 else room / aspect), _SMALLEST)
    wide, tall = (longest, longest / aspect) if aspect >= 1 else (longest * aspect, longest)
    above = lines * SMALL * _LINE + (_PAD / 72 + 0.02 if lines else 0.0)
    inner = columns * wide + (columns - 1) * _GAP
    body = rows * (tall + above) + (rows - 1) * _GAP
    below = _BELOW if bar and body - above < _SHORT else 0.0
    right = 0.0 if below else right
    width = max(_NARROWEST, inner + 2 * _MARGIN + right)
    words = textwrap.wrap(title, max(12, int((width - 2 * _MARGIN) / (TITLE * _LETTER))))
    top = _MARGIN + (len(words) * TITLE * _LINE + 0.1 if words else 0.0)
    height = top + body + below + _MARGIN
    figure = new_page(width, height)
    figure.set_layout_engine("none")  # all is placed below, and a hundred cells take it seconds
    left = (width - inner - right) / 2
    if words:
        figure.suptitle("\n".join(words), x=0.5, y=1 - _MARGIN / height, va="top", fontsize=TITLE)
    cells = []
    for number in range(count):
        row, column = divmod(number, columns)
        x = left + column * (wide + _GAP)
        y = height - top - row * (tall + above + _GAP) - above - tall
        cells.append(_cell(figure, (x / width, y / height, wide / width, tall / height)))
    if not bar:
        return Grid(figure, cells, None)
    length = min(inner if below else body - above, 3.2)
    place = (left + inner + 0.16, height - top - above - (body - above + length) / 2, 0.13, length)
    if below:
        place = ((width - length) / 2, _MARGIN + _BELOW - 0.13 - 0.1, length, 0.13)
    box = (place[0] / width, place[1] / height, place[2] / width, place[3] / height)
    return Grid(figure, cells, figure.add_axes(box))


def draw_image(
    cell: Axes,
    image: NDArray[Any],
    *,
    cmap: str = SEQUENTIAL,
    limits: tuple[float, float] | None = None,
    alpha: float | None = None,
) -> Any:
    """Draw an RGB picture (H, W, 3) or values (H, W) into a cell; small pixels stay squares."""
    height, width = image.shape[:2]
    low, high = limits if limits is not None and image.ndim == 2 else (None, None)
    return cell.imshow(
        image,
        cmap=cmap if image.ndim == 2 else None,
        vmin=low,
        vmax=high,
        alpha=alpha,
        extent=(0, 1, 1, 0),  # so that a picture and a map of fewer pixels lie on one another
        aspect="auto",
        interpolation="nearest" if max(height, width) <= _SQUARES else "antialiased",
        interpolation_stage="data" if image.ndim == 2 else "rgba",  # colours must not mix
    )


def draw_bar(grid: Grid, drawn: Any, label: str, *, values: Sequence[NDArray[Any]] = ()) -> None:
    """Draw the colour bar of what `draw_image` gave, with its few numbers and words.

    Args:
        grid: laid out with room for it.
        drawn: what `draw_image` gave.
        label: what the values are.
        values: all that are drawn; where some are beyond the scale, the bar ends in a point.
    """
    from matplotlib.ticker import FixedLocator, MaxNLocator

    assert grid.bar is not None
    place = grid.bar.get_position()
    tall = place.height * grid.figure.get_figheight()
    length = max(tall, place.width * grid.figure.get_figwidth())
    flat = length > tall
    low, high = drawn.get_clim()
    least, most = scale_of(values) if values else (low, high)
    ends = {(True, True): "both", (True, False): "min", (False, True): "max"}
    beyond = ends.get((least < low, most > high), "neither")
    bar = grid.figure.colorbar(
        drawn,
        cax=grid.bar,
        extend=beyond,
        extendfrac=0.04,
        orientation="horizontal" if flat else "vertical",
    )
    steps = max(2, min(6, int(length / (0.55 if flat else 0.4))))
    bar.locator = MaxNLocator(nbins=steps, steps=[1, 2, 2.5, 5, 10], min_n_ticks=2)
    if (low, high) == (-1.0, 1.0):
        bar.locator = FixedLocator([-1, -0.5, 0, 0.5, 1])
    bar.update_ticks()
    bar.ax.tick_params(labelsize=SMALL, length=2.5)
    middle = (place.x0 + place.x1) / 2
    room = 1.9 * min(middle, 1 - middle) * grid.figure.get_figwidth() if flat else max(length, 1.0)
    letters = int(room / (SMALL * _LETTER))
    words = textwrap.wrap(label, letters)
    if len(words) > 2:  # there is room for two lines
        words = [words[0], _shortened(" ".join(words[1:]), letters)]
    bar.set_label("\n".join(words), fontsize=SMALL)


def write_title(cell: Axes, lines: Sequence[str]) -> None:
    """Write lines above a cell, each cut to its width."""
    figure: Any = cell.figure
    width = cell.get_position().width * figure.get_figwidth() + 0.8 * _GAP
    letters = max(3, int(width / (SMALL * _LETTER)))
    text = "\n".join(_shortened(line, letters) for line in lines)
    cell.set_title(text, fontsize=SMALL, pad=_PAD, linespacing=1.1)


def _columns(count: int, aspect: float) -> int:
    """Return how many cells in a row fill a page well, few of the last row being empty."""
    wanted = max(1.0, math.sqrt(1.3 * count / aspect))
    choices = range(max(1, round(0.75 * wanted)), round(1.25 * wanted) + 1)
    return min(choices, key=lambda columns: -count % columns + 1.5 * abs(columns - wanted))


def _cell(figure: Figure, box: tuple[float, float, float, float]) -> Axes:
    cell = figure.add_axes(box)
    cell.set_xticks([])
    cell.set_yticks([])
    for edge in cell.spines.values():
        edge.set_linewidth(0.6)
    return cell


def _shortened(text: str, most: int) -> str:
    return text if len(text) <= most else text[: max(1, most - 2)].rstrip() + ".."
