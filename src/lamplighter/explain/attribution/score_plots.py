"""Plots of the sanity check and of the comparison of methods."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

from lamplighter.evaluation.plots import INK, finished
from lamplighter.explain.attribution.method_comparison import CHANCE
from lamplighter.explain.attribution.plots import (
    over_picture,
    plot_curves,
    say_if_empty,
    strength_of,
)
from lamplighter.explain.style import (
    DIVERGING,
    SEQUENTIAL,
    TITLE,
    axes_grid,
    draw_bar,
    draw_image,
    write_title,
)
from lamplighter.text import counted

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from lamplighter.explain.attribution.curves import Curve
    from lamplighter.explain.attribution.method_comparison import MethodComparison, MethodScore
    from lamplighter.explain.attribution.sanity import SanityCheck


def plot_sanity(check: SanityCheck) -> Figure:
    """Return the maps of a sanity check: a row for each image, with its own weights and random.

    From the left: the image, its map, and its map in each stage, with the rank correlation of the
    two. Maps are drawn as `plot_attribution` does, each scaled to its own 99th percentile.

    Args:
        check: what `sanity_check` returned.

    Raises:
        MissingPackageError: matplotlib is not installed.
    """
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    before = check.before
    columns = 2 + len(check.after)
    height, width = before.pictures.shape[1:3]
    signed = before.method.signed or bool((before.maps < 0).any() or (check.after < 0).any())
    verdict = check.verdict[0].upper() + check.verdict[1:]
    grid = axes_grid(
        columns * len(before),
        aspect=width / height,
        lines=2,
        title=verdict,
        bar=True,
        columns=columns,
    )
    for number, picture in enumerate(before.pictures):
        cells = grid.cells[number * columns : (number + 1) * columns]
        draw_image(cells[0], picture)
        write_title(cells[0], ["image", ""])
        maps = [before.maps[number], *check.after[:, number]]
        titles = [[f"why {before.target_names[number]}", "own weights"]]
        titles += [
            [f"{layers} layers random", _written(similarity)]
            for layers, similarity in zip(check.layers, check.similarities[:, number], strict=True)
        ]
        for cell, values, lines in zip(cells[1:], maps, titles, strict=True):
            draw_image(cell, over_picture(picture, strength_of(values), signed))
            say_if_empty(cell, values)
            write_title(cell, lines)
    drawn = ScalarMappable(Normalize(-1 if signed else 0, 1), DIVERGING if signed else SEQUENTIAL)
    draw_bar(grid, drawn, f"{before.method.unit}, share of 99th percentile")
    return finished(grid.figure)


def plot_comparison(comparison: MethodComparison) -> Figure:
    """Return the deletion and insertion curves of each method beside those of chance.

    The legend has the area under each curve, the mean over images. Chance is dotted; a star marks
    the methods that do not pass the sanity check, whatever their curves say.

    Args:
        comparison: what `compare_methods` returned.

    Raises:
        MissingPackageError: matplotlib is not installed.
    """
    curves = [
        curve
        for score in comparison.scores
        for curve in (_marked(score, score.deletion), _marked(score, score.insertion))
    ]
    figure = plot_curves(curves)
    chance = [score.name for score in comparison.scores].index(CHANCE)
    for panel in figure.axes:
        legend = panel.get_legend()
        assert legend is not None
        for line in (panel.get_lines()[chance], legend.get_lines()[chance]):
            line.set(color=INK, linestyle=":", linewidth=2.2)
    images = len(comparison.scores[0].deletion.areas)
    title = f"Methods of attribution on {counted(images, 'image')}"
    if any(_doubtful(score) for score in comparison.scores):
        title += "\n* does not pass the sanity check: not to be believed, whatever its curves"
    figure.suptitle(title, fontsize=TITLE)
    return finished(figure)


def _doubtful(score: MethodScore) -> bool:
    return score.sanity is not None and not score.sanity.passed


def _marked(score: MethodScore, curve: Curve) -> Curve:
    """Return a curve that has a star in its name where its method is not to be believed."""
    return replace(curve, method=f"{curve.method} *") if _doubtful(score) else curve


def _written(similarity: float) -> str:
    return (
        "not compared" if math.isnan(similarity) else f"correlates {round(similarity, 2) + 0.0:.2f}"
    )
