"""Plots of a report. Nothing here shows or saves: a figure has `savefig`."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from lamplighter.errors import MissingPackageError
from lamplighter.installation import install_command

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from lamplighter.evaluation.report import Report

_MOST_NUMBERED = 20  # classes up to which each cell shows its count
_MOST_NAMED = 100  # classes up to which each has its name beside the matrix
INK = "#1a1a1a"
BLUE, ORANGE, NEUTRAL = "#2b6cb0", "#c05621", "#8a8a8a"
FRAME, GRID = "#c8c8c8", "#e4e4e4"
# Okabe and Ito's colours without yellow, which white swallows: told apart by colour-blind eyes.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#444444")


def new_figure(width: float, height: float) -> Figure:
    """Return an empty white figure that draws without a screen.

    Args:
        width: in inches.
        height: in inches.

    Raises:
        MissingPackageError: matplotlib is not installed.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingPackageError(
            f"plots need matplotlib, which is not installed; {install_command('plots')}."
        ) from error
    figure = Figure(figsize=(width, height), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    figure.set_facecolor("white")
    return figure


def finished(figure: Figure) -> Figure:
    """Return a figure with dark words on white, whatever matplotlib's style is.

    Words are drawn as they are: a class may be named with a $, which would begin a formula. Tick
    labels are left out, since those of numbers are formulas; what is written inside axes keeps
    its colour.
    """
    legends = [*figure.legends]
    words: list[Any] = [*figure.texts]
    for axes in figure.axes:
        axes.set_facecolor("white")
        axes.tick_params(which="both", colors=INK)
        for edge in axes.spines.values():
            edge.set_edgecolor(FRAME)
        words += [axes.title, axes.xaxis.label, axes.yaxis.label]
        for text in axes.texts:
            text.set_parse_math(False)
        legend = axes.get_legend()
        legends += [legend] if legend is not None else []
    for legend in legends:
        legend.get_frame().set(facecolor="white", edgecolor=FRAME)
        words += [legend.get_title(), *legend.get_texts()]
    for text in words:
        text.set_parse_math(False)
        text.set_color(INK)
    return figure


def plot_confusion(report: Report) -> Figure:
    """Return the confusion matrix of a report as a figure (see `draw_confusion`).

    Args:
        report: what `evaluate` returned.

    Raises:
        MissingPackageError: matplotlib is not installed.
    """
    title = f"{report.data}, {report.split}: accuracy {report.accuracy}"
    return draw_confusion(report.confusion, report.class_names, title=title)


def draw_confusion(
    confusion: NDArray[np.int64], class_names: Sequence[str], *, title: str = ""
) -> Figure:
    """Return a confusion matrix as a figure: rows true, columns predicted.

    Colours show shares of the true class. Right answers and mistakes have a scale each, blue
    and orange, since mistakes are far rarer; that of mistakes goes with the square root, so
    that single ones can be seen. Up to 20 classes each cell shows its count as well, where it has
    one or lies on the diagonal of a class with images.

    Args:
        confusion: counts, rows true, columns predicted, shape (K, K).
        class_names: K names.
        title: stands above the matrix.

    Raises:
        MissingPackageError: matplotlib is not installed.
    """
    classes = len(confusion)
    side = min(max(4.2, 0.56 * classes if classes <= _MOST_NUMBERED else 0.135 * classes), 14.0)
    figure = new_figure(side + 3.0, side + 1.2)
    figure.set_layout_engine("constrained", h_pad=0.12)  # inches; else the title may be cut
    from matplotlib.colors import PowerNorm

    shares = confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    diagonal = np.eye(classes, dtype=bool)
    worst = float(shares[~diagonal].max(initial=1e-3))
    axes = figure.add_subplot()
    right = axes.imshow(np.ma.masked_where(~diagonal, shares), cmap="Blues", vmin=0, vmax=1)
    wrong = axes.imshow(
        np.ma.masked_where(diagonal | (confusion == 0), shares),
        cmap="Oranges",
        norm=PowerNorm(0.5, vmin=0, vmax=worst),
    )
    scales = [(wrong, "mistaken")] if confusion[~diagonal].any() else []
    for image, meaning in (*scales, (right, "right")):
        bar = figure.colorbar(image, ax=axes, format=_percent, shrink=0.7, pad=0.02, aspect=25)
        bar.set_label(f"{meaning}, share of the true class")
    _name_axes(axes, class_names)
    axes.set_title(title, fontsize=10)
    if classes <= _MOST_NUMBERED:
        darkness = np.where(diagonal, shares, np.sqrt(shares / worst))
        _write_counts(axes, confusion, darkness > 0.6)
    return finished(figure)


def _percent(share: float, _: int | None = None) -> str:
    return f"{100 * share:.3g} %"


def _name_axes(axes: Axes, names: Sequence[str]) -> None:
    classes = len(names)
    step = math.ceil(classes / _MOST_NAMED)
    places = list(range(0, classes, step))
    shown = [_shortened(names[place]) for place in places]
    size = 10 if classes <= _MOST_NUMBERED else max(5.0, 10 - classes / 20)
    upright = max(map(len, shown)) > 4 or classes > _MOST_NUMBERED
    as_they_are: Any = {"fontsize": size, "parse_math": False}
    axes.set_xticks(places, shown, rotation=90 if upright else 0, **as_they_are)
    axes.set_yticks(places, shown, **as_they_are)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    if step == 1:
        axes.set_xticks(np.arange(classes - 1) + 0.5, minor=True)
        axes.set_yticks(np.arange(classes - 1) + 0.5, minor=True)
        axes.grid(which="minor", color=GRID, linewidth=0.8 if classes <= 50 else 0.3)
        axes.tick_params(which="minor", length=0)


def _write_counts(axes: Axes, counts: NDArray[np.int64], dark: NDArray[np.bool_]) -> None:
    size = min(10.0, 36 / max(len(f"{counts.max():,}"), 3.6))
    # Where a class has images, and none is right, that is worth saying.
    written = (counts > 0) | (np.eye(len(counts), dtype=bool) & counts.any(axis=1))
    for row, column in zip(*np.nonzero(written), strict=True):
        axes.text(
            column,
            row,
            f"{counts[row, column]:,}",
            ha="center",
            va="center",
            fontsize=size,
            color="white" if dark[row, column] else INK,
        )


def _shortened(name: str, most: int = 30) -> str:
    return name if len(name) <= most else name[: most - 3] + "..."
