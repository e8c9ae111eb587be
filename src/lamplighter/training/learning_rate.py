"""How high may the learning rate be?"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lamplighter.errors import TrainingError
from lamplighter.training.loaders import TRAIN_DATA

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from lamplighter.training.trial import Trial


@dataclass(frozen=True)
class LearningRates:
    """The loss against the learning rate.

    Attributes:
        rates: learning rates that were tried, rising.
        losses: the smoothed loss at each.
        suggestion: where the loss falls fastest; None where it never does.
    """

    rates: list[float]
    losses: list[float]
    suggestion: float | None


def find_learning_rate(
    trial: Trial, *, low: float = 1e-6, high: float = 1.0, steps: int = 100
) -> LearningRates:
    """Raise the learning rate step by step over one short training and watch the loss.

    Smith, 2015, arXiv:1506.01186; Lightning's finder. The trial is left as it was.

    Args:
        trial: with optimizer, criterion and training data.
        low: the first learning rate.
        high: the last one.
        steps: how many are tried; fewer where the loss explodes before.

    Raises:
        TrainingError: the trial cannot run, or has too few batches.
    """
    from lamplighter.training import engine

    train = trial.sources[TRAIN_DATA]
    if trial.plan().view.optimizer is None or train.batches is None:
        raise TrainingError("to look for a learning rate, a trial needs optimizer and data.")
    state = copy.deepcopy(trial.state_dict())
    try:
        finder = engine.search_learning_rate(
            trial.plan(),
            train,
            arguments=trial.trainer_arguments,
            rates=(low, high),
            steps=steps,
        )
    finally:
        trial.load_state_dict(state)
    if finder is None or len(finder.results["loss"]) < 3:
        raise TrainingError("there are too few training batches to look for a learning rate.")
    return LearningRates(
        [float(rate) for rate in finder.results["lr"]],
        [float(loss) for loss in finder.results["loss"]],
        finder.suggestion(),
    )


def plot_learning_rates(found: LearningRates) -> Figure:
    """Return a figure of the loss against the learning rate, with the suggestion marked."""
    from lamplighter.evaluation.plots import new_figure

    figure = new_figure(5.5, 3.6)
    axes = figure.add_subplot()
    axes.plot(found.rates, found.losses)
    if found.suggestion is not None:
        loss = float(np.interp(found.suggestion, found.rates, found.losses))
        axes.plot([found.suggestion], [loss], "o", label=f"suggestion {found.suggestion:.2g}")
        axes.legend()
    axes.set_xscale("log")
    axes.set_xlabel("learning rate")
    axes.set_ylabel("loss (smoothed)")
    return figure
