"""Reliability diagrams and accuracy-coverage curves."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lamplighter.errors import DatasetError
from lamplighter.evaluation.calibration import Reliability
from lamplighter.evaluation.calibration import reliability as measure
from lamplighter.evaluation.open_set import Coverage
from lamplighter.evaluation.plots import BLUE, GRID, INK, NEUTRAL, ORANGE, finished, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from lamplighter.evaluation.report import Report
    from lamplighter.models.reliability import Trust


def reliabilities(trust: Trust) -> tuple[Reliability, Reliability]:
    """Return how reliable the probabilities were before and after the temperature.

    Raises:
        DatasetError: `trust` has no such measurement.
    """
    try:
        measured = trust.measured["calibration"]
        before, after = (Reliability.from_dict(measured[name]) for name in ("before", "after"))
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise _not_measured("calibration", error) from error
    return before, after


def coverage_of(trust: Trust) -> Coverage:
    """Return how accuracy falls as more is answered.

    Raises:
        DatasetError: `trust` has no such measurement.
    """
    try:
        return Coverage.from_dict(trust.measured["unknown"]["curve"])
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise _not_measured("coverage", error) from error


def plot_reliability(trust: Trust) -> Figure:
    """Return reliability diagrams before and after the temperature as a figure.

    Args:
        trust: what `add_trust` or `make_trust` returned, or that of a loaded classifier.

    Raises:
        DatasetError: `trust` has no such measurement.
        MissingPackageError: matplotlib is not installed.
    """
    before, after = reliabilities(trust)
    return draw_reliability({"as trained": before, f"temperature {trust.temperature:.2f}": after})


def plot_report_reliability(report: Report) -> Figure:
    """Return a reliability diagram of the images of a report as a figure.

    Args:
        report: what `evaluate` returned.

    Raises:
        MissingPackageError: matplotlib is not installed.
    """
    measured = measure(report.predictions.probabilities, report.labels)
    return draw_reliability({f"{report.data}, {report.split}": measured})


def plot_coverage(trust: Trust) -> Figure:
    """Return the accuracy on what is answered, by how much is answered, as a figure.

    Args:
        trust: what `add_trust` or `make_trust` returned, or that of a loaded classifier.

    Raises:
        DatasetError: `trust` has no such measurement.
        MissingPackageError: matplotlib is not installed.
    """
    return draw_coverage(coverage_of(trust), threshold=trust.threshold)


def draw_reliability(reliabilities: dict[str, Reliability]) -> Figure:
    """Return reliability diagrams side by side: how often right, by how sure.

    Dots on the diagonal are calibrated; the bars at them are 95 % Wilson intervals. Below is how
    many images each bin has.

    Args:
        reliabilities: one or more, by the titles of their diagrams.

    Raises:
        MissingPackageError: matplotlib is not installed.
    """
    figure = new_figure(0.6 + 4.2 * len(reliabilities), 5.2)
    grid = figure.subplots(
        2, len(reliabilities), squeeze=False, height_ratios=(3.2, 1), sharex=True
    )
    most = max(int(reliability.count.max()) for reliability in reliabilities.values())
    for column, (title, reliability) in enumerate(reliabilities.items()):
        upper, lower = grid[0, column], grid[1, column]
        _draw_bins(upper, reliability)
        error = f"{reliability.error:.1f}".replace(" (", "\n(", 1)
        upper.set_title(f"{title}\ncalibration error {error}", fontsize=10)
        edges = np.linspace(0, 100, len(reliability.count) + 1)
        lower.bar(
            edges[:-1], reliability.count, width=edges[1], align="edge", color=BLUE, alpha=0.45
        )
        lower.set_ylim(0, 1.25 * most)
        lower.set_xlabel("highest probability, %")
        for number in np.flatnonzero(reliability.count):
            middle = (edges[number] + edges[number + 1]) / 2
            text = f"{reliability.count[number]:,}"
            lower.text(
                middle,
                reliability.count[number],
                text,
                ha="center",
                va="bottom",
                fontsize=7,
                color=INK,
            )
        for axes in (upper, lower):
            axes.set_axisbelow(True)
            axes.grid(color=GRID, linewidth=0.8)
    grid[0, 0].set_ylabel("right, %")
    grid[1, 0].set_ylabel("images")
    return finished(figure)


def draw_coverage(curve: Coverage, *, threshold: float | None = None) -> Figure:
    """Return the accuracy on what is answered, by the share that is answered, nearest first.

    Args:
        curve: what `coverage_curve` returned.
        threshold: the distance from which on "unknown" is said; marked in the figure.

    Raises:
        MissingPackageError: matplotlib is not installed.
    """
    figure = new_figure(6.4, 4.6)
    axes = figure.add_subplot()
    shares = 100 * curve.coverage
    axes.fill_between(
        shares, 100 * curve.low, 100 * curve.high, color=BLUE, alpha=0.15, linewidth=0
    )
    axes.plot(shares, 100 * curve.accuracy, color=BLUE, marker=".", markersize=4)
    if threshold is not None:
        place = float(np.interp(threshold, curve.threshold, shares))
        axes.axvline(place, color=ORANGE, linestyle="--", linewidth=1.2)
        axes.annotate(
            f"threshold {threshold:.3f} ",
            (place, 0.02),
            xycoords=("data", "axes fraction"),
            ha="right" if place > 50 else "left",
            color=ORANGE,
            fontsize=9,
        )
    axes.set_xlim(0, 102)
    # The first few images have intervals so wide that they would press all others together.
    lowest = float(curve.low[curve.coverage >= min(0.1, curve.coverage[-1])].min())
    axes.set_ylim(max(0.0, 100 * lowest - 5), 101)
    axes.set_xlabel("answered, % of the images, those nearest to the training images first")
    axes.set_ylabel("right, % of the answered")
    axes.set_title(f"area under the curve {curve.area:.1f}", fontsize=10)
    axes.grid(color=GRID, linewidth=0.8)
    return finished(figure)


def _draw_bins(axes: Axes, reliability: Reliability) -> None:
    there = reliability.count > 0
    sure, right = 100 * reliability.confidence[there], 100 * reliability.accuracy[there]
    reach = right - 100 * reliability.low[there], 100 * reliability.high[there] - right
    axes.plot([0, 100], [0, 100], color=NEUTRAL, linestyle="--", linewidth=1)
    axes.errorbar(
        sure,
        right,
        np.maximum(reach, 0),
        fmt="o-",
        color=BLUE,
        markersize=4,
        elinewidth=1,
        capsize=2,
        linewidth=1,
    )
    axes.set_xlim(0, 100)
    axes.set_ylim(-2, 102)


def _not_measured(what: str, error: Exception) -> DatasetError:
    return DatasetError(
        f"this classifier has no {what} measured ({error!r}); measure it with add_trust."
    )
