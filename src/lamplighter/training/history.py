"""The history of a trial as lines of text and as curves."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from lamplighter.evaluation.plots import COLOURS, GRID, finished, new_figure

if TYPE_CHECKING:
    from collections.abc import Mapping

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# What stands in an entry beside the metrics.
COUNTS = ("train_steps", "validation_steps")
_COLUMNS = 3


def values_line(values: Mapping[str, Any]) -> str:
    """Return the numbers among `values` with their names: "loss 0.1234, acc 0.9876"."""
    return ", ".join(f"{name} {_rounded(value)}" for name, value in values.items() if _is(value))


def epoch_line(epoch: int, epochs: int, metrics: Mapping[str, Any]) -> str:
    """Return one line on an epoch.

    Args:
        epoch: its number, counted from 0.
        epochs: how many there will be.
        metrics: its entry in the history.
    """
    shown = {
        name: value
        for name, value in metrics.items()
        if name not in COUNTS and not name.startswith("running_")
    }
    return f"epoch {epoch + 1}/{epochs}: {values_line(shown)}".rstrip(": ")


def plot_history(history: list[dict[str, Any]]) -> Figure:
    """Return a figure of the history: one panel for each metric, training and validation in it.

    Args:
        history: one dictionary for each epoch, as `Trial.history`.
    """
    names = _names(history)
    columns = 2 if len(names) == 4 else min(max(len(names), 1), _COLUMNS)
    rows = math.ceil(len(names) / columns) or 1
    figure = new_figure(4.2 * columns, 3.2 * rows)
    for position, name in enumerate(names, start=1):
        _draw(figure.add_subplot(rows, columns, position), history, name)
    return finished(figure)


def _names(history: list[dict[str, Any]]) -> list[str]:
    """Return the metrics of all epochs, without a prefix, in the order of their appearance."""
    found: dict[str, None] = {}
    for entry in history:
        for key, value in entry.items():
            if key not in COUNTS and not key.startswith(("running_", "test_", "train_")):
                found |= {key.removeprefix("val_"): None} if _is(value) else {}
    return list(found)


def _draw(axes: Axes, history: list[dict[str, Any]], name: str) -> None:
    from matplotlib.ticker import MaxNLocator

    epochs = range(1, len(history) + 1)
    for key, label, style, colour in (
        (name, "training", "o-", COLOURS[0]),
        (f"val_{name}", "validation", "s--", COLOURS[1]),
    ):
        if any(key in entry for entry in history):
            values = [entry.get(key, math.nan) for entry in history]
            axes.plot(epochs, values, style, color=colour, label=label, markersize=4)
    axes.set_xlabel("epoch")
    axes.set_ylabel(name)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.set_xlim(0.5, len(history) + 0.5)
    axes.grid(color=GRID, linewidth=0.8)
    axes.legend()


def _is(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _rounded(value: float) -> str:
    """Return four places, or three figures of what four places do not fit."""
    if isinstance(value, int):
        return str(value)
    return f"{value:.4f}" if value == 0 or 1e-3 <= abs(value) < 1e5 else f"{value:.3g}"
