"""The history of a trial as curves."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from lamplighter.evaluation.plots import new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def plot_history(history: list[dict[str, Any]]) -> Figure:
    """Return a figure of the history: one panel for each metric, training and validation in it.

    Args:
        history: one dictionary for each epoch, as `Trial.history`.
    """
    from matplotlib.ticker import MaxNLocator

    skipped = ("running_", "val_", "test_", "train_", "validation_steps")
    names = [
        name
        for name, value in (history[0] if history else {}).items()
        if not name.startswith(skipped) and isinstance(value, (int, float))
    ]
    figure = new_figure(4.2 * max(len(names), 1), 3.2)
    epochs = range(1, len(history) + 1)
    for position, name in enumerate(names, start=1):
        axes = figure.add_subplot(1, len(names), position)
        for key, label, style in ((name, "training", "o-"), (f"val_{name}", "validation", "s--")):
            if key in history[0]:
                axes.plot(
                    epochs, [entry.get(key, math.nan) for entry in history], style, label=label
                )
        axes.set_title(name)
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(visible=True, alpha=0.3)
        axes.legend()
    return figure
