"""Pictures of attribution: maps over images, and curves that score them."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from lamplighter.errors import DataError, ShapeError
from lamplighter.evaluation.plots import COLOURS, GRID, INK, finished
from lamplighter.explain.style import (
    DIVERGING,
    SEQUENTIAL,
    SMALL,
    TITLE,
    Grid,
    axes_grid,
    draw_bar,
    draw_image,
    new_page,
    write_title,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from lamplighter.explain.attribution.attribution import Attribution
    from lamplighter.explain.attribution.curves import Curve

_EMPTY = "nothing speaks for it"
_PERCENTILE = 99  # of absolute values that has the strongest colour
_DASHES = ("-", "--", "-.", ":")
_MOST_LINES = len(COLOURS) * len(_DASHES)


def plot_attribution(
    attributions: Attribution | Sequence[Attribution], *, columns: int | None = None
) -> Figure:
    """Return maps drawn over their images, each image first without.

    The stronger a value, the less of the grey image shows through. All maps of a method have one
    scale, up to their 99th percentile together, so that images can be compared; each method has
    its own, since values of different methods have none in common. Of maps with a sign, blue
    speaks against the class, red for it. A map of which all values are 0 says so.

    Args:
        attributions: what `attribute` returned, or several methods on the same images.
        columns: cells in a row; by default an image and its maps.

    Raises:
        DataError: there is no attribution.
        ShapeError: they are not of the same images.
        MissingPackageError: matplotlib is not installed.
    """
    many = list(attributions) if isinstance(attributions, Sequence) else [attributions]
    if not many:
        raise DataError("there must be one attribution or more to plot, received none.")
    first = many[0]
    if any(one.pictures.shape != first.pictures.shape for one in many):
        raise ShapeError(
            "attributions that are plotted together must be of the same images, received "
            f"{[one.pictures.shape for one in many]}; plot each by itself."
        )
    height, width = first.pictures.shape[1:3]
    signed = [one.method.signed or bool((one.maps < 0).any()) for one in many]
    shares = [strength_of(one.maps) for one in many]  # (N, H, W) each
    columns = columns or _columns(len(many), width / height)
    in_rows = math.ceil((len(many) + 1) / columns) * columns  # each image begins a row
    count = len(first) * (in_rows if len(first) > 1 else len(many) + 1)
    grid = axes_grid(
        count,
        aspect=width / height,
        lines=2,
        title=_title(many),
        bar=True,
        columns=columns,
    )
    for number in range(len(first)):
        cells = iter(grid.cells[number * in_rows :])
        cell = next(cells)
        draw_image(cell, first.pictures[number])
        top = int(first.probabilities[number].argmax())
        write_title(cell, [f"seen: {first.class_names[top]}", _share(first, number, top)])
        for one, has_sign, share in zip(many, signed, shares, strict=True):
            cell = next(cells)
            target = int(one.targets[number])
            name = one.method.title if len(many) > 1 else f"why {one.class_names[target]}"
            draw_image(cell, over_picture(first.pictures[number], share[number], has_sign))
            say_if_empty(cell, one.maps[number])
            lines = [name, f"{_share(one, number, target)}"]
            if len(many) > 1:
                lines = [name, f"{one.class_names[target]}, {lines[1]}"]
            write_title(cell, lines)
        for cell in list(cells)[: in_rows - len(many) - 1]:
            cell.set_visible(False)
    _draw_bars(grid, _bars(many, signed))
    return finished(grid.figure)


def plot_curves(curves: Sequence[Curve]) -> Figure:
    """Return deletion and insertion curves, the mean over images, with their areas in a legend.

    Args:
        curves: of several methods on the same images, one kind or both.

    Raises:
        DataError: there is no curve.
        MissingPackageError: matplotlib is not installed.
    """
    kinds = [kind for kind in ("deletion", "insertion") if any(c.kind == kind for c in curves)]
    if not kinds:
        raise DataError("there must be one curve or more to plot, received none.")
    figure = new_page(0.4 + 4.0 * len(kinds), 4.6)
    panels = figure.subplots(1, len(kinds), squeeze=False, sharey=True)[0]
    for panel, kind in zip(panels, kinds, strict=True):
        good, verb = ("small", "gone") if kind == "deletion" else ("large", "shown")
        chosen = [curve for curve in curves if curve.kind == kind]
        for number, curve in enumerate(chosen):
            panel.plot(
                100 * curve.fractions,
                100 * curve.probabilities.mean(0),
                color=COLOURS[number % len(COLOURS)],
                linestyle=_DASHES[number // len(COLOURS) % len(_DASHES)],
                linewidth=1.6,
                label=f"{curve.method}, {curve.area.value:.2f}",
            )
        panel.set_title(f"{kind} (a {good} area is good)", fontsize=TITLE)
        panel.set_xlabel(f"pixels {verb}, %  (the rest: {chosen[0].baseline})", fontsize=SMALL)
        if kind == "deletion":
            panel.set_xlabel(f"pixels gone, %  (in their place: {chosen[0].baseline})")
        panel.xaxis.label.set_fontsize(SMALL)
        panel.set_xlim(0, 100)
        panel.set_ylim(-2, 102)
        panel.grid(color=GRID, linewidth=0.8)
        panel.tick_params(labelsize=SMALL)
        panel.legend(
            fontsize=SMALL,
            title="method, area",
            title_fontsize=SMALL,
            loc="upper center",
            bbox_to_anchor=(0.5, -0.16),
            ncols=2,
            frameon=False,
        )
    panels[0].set_ylabel("probability of the class, mean over images, %", fontsize=SMALL)
    return finished(figure)


def strength_of(values: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return maps as shares of the 99th percentile of their absolute values, cut to -1..1.

    Args:
        values: maps of one method, which have this scale together, shape (..., H, W).
    """
    strong = float(np.percentile(np.abs(values), _PERCENTILE))
    strong = strong or float(np.abs(values).max()) or 1.0
    shares: NDArray[np.float64] = np.clip(values.astype(np.float64) / strong, -1, 1)
    return shares


def over_picture(
    picture: NDArray[np.uint8], shares: NDArray[np.float64], signed: bool
) -> NDArray[np.float64]:
    """Return a map in colour over a pale grey picture (H, W, 3), 0..1."""
    from matplotlib import colormaps

    grey = picture.astype(np.float64).mean(2, keepdims=True) / 255
    pale = 0.6 + 0.4 * grey if signed else 0.75 * grey
    colours = colormaps[DIVERGING if signed else SEQUENTIAL](
        (shares + 1) / 2 if signed else np.clip(shares, 0, 1)
    )[..., :3]
    strength = np.abs(shares)[..., None]
    opacity = 0.25 + 0.65 * np.sqrt(strength) if not signed else 0.05 + 0.9 * np.sqrt(strength)
    over: NDArray[np.float64] = opacity * colours + (1 - opacity) * pale
    return over


def say_if_empty(cell: Axes, values: NDArray[np.float32]) -> None:
    """Write over a map (H, W) of which all values are 0 that there is nothing."""
    if values.any():
        return
    figure: Any = cell.figure
    width = 72 * cell.get_position().width * figure.get_figwidth()  # points
    cell.text(
        0.5,
        0.5,
        "\n".join(textwrap.wrap(_EMPTY, max(10, int(width / (0.6 * SMALL))))),
        ha="center",
        va="center",
        fontsize=SMALL,
        color=INK,
        bbox={"facecolor": "white", "edgecolor": "none", "pad": 2.0},
    )


def _bars(many: Sequence[Attribution], signed: Sequence[bool]) -> list[tuple[str, float, str]]:
    """Return colour map, least value and words of each colour bar that is needed."""
    bars = []
    of_one = f"{many[0].method.unit}, share of 99th percentile"
    if not all(signed):
        bars.append((SEQUENTIAL, 0.0, of_one if len(many) == 1 else "strength"))
    if any(signed):
        bars.append((DIVERGING, -1.0, of_one if len(many) == 1 else "against or for"))
    return bars


def _draw_bars(grid: Grid, bars: Sequence[tuple[str, float, str]]) -> None:
    """Draw the colour bars, one above the other where there are two."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    assert grid.bar is not None
    box, places = grid.bar.get_position(), [grid.bar]
    if len(bars) == 2 and box.width > box.height:
        width = 0.44 * box.width
        grid.bar.set_position((box.x0, box.y0, width, box.height))
        places.append(grid.figure.add_axes((box.x1 - width, box.y0, width, box.height)))
    elif len(bars) == 2:
        height = 0.44 * box.height
        grid.bar.set_position((box.x0, box.y1 - height, box.width, height))
        places.append(grid.figure.add_axes((box.x0, box.y0, box.width, height)))
    for place, (cmap, low, words) in zip(places, bars, strict=True):
        drawn = ScalarMappable(Normalize(low, 1.0), cmap)
        draw_bar(Grid(grid.figure, grid.cells, place), drawn, words)


def _title(many: Sequence[Attribution]) -> str:
    if len(many) == 1:
        return f"{many[0].method.title} ({many[0].method.paper})"
    return "What the answer rests on, as shares of the 99th percentile of each method"


def _columns(methods: int, aspect: float) -> int:
    cells = methods + 1
    if methods == 1 and aspect > 2:
        return 1
    if cells <= 4 and aspect <= 2:
        return cells
    return 2 if aspect > 2 else (cells + 1) // 2


def _share(one: Attribution, number: int, index: int) -> str:
    return f"{100 * float(one.probabilities[number, index]):.1f} %"
