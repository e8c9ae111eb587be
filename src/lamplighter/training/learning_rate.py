"""`find_learning_rate`: the learning-rate range test (Smith 2017)."""

from __future__ import annotations

import contextlib
import copy
import math
import random
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from lamplighter.arguments import checked
from lamplighter.errors import TrainingError
from lamplighter.training.callbacks.base import SchedulerCallback
from lamplighter.training.lint import CHECKS, Lint
from lamplighter.training.loaders import TRAIN_DATA

if TYPE_CHECKING:
    from collections.abc import Iterator

    from matplotlib.figure import Figure
    from torch import nn
    from torch.optim import Optimizer

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


@checked
def find_learning_rate(
    trial: Trial, *, low: float = 1e-6, high: float = 1.0, steps: int = 100
) -> LearningRates:
    """Raise the learning rate step by step over one short training and watch the loss.

    Smith, 2015, arXiv:1506.01186. The trial is left as it was, but for batches that can be
    taken once alone.

    Args:
        trial: with optimizer, criterion and training data.
        low: the first learning rate.
        high: the last one.
        steps: how many are tried; fewer where the loss explodes before.

    Raises:
        TrainingError: the trial cannot run, or a value is out of range.
    """
    from lamplighter.training import engine

    if not 0 < low < high or steps < 3:
        raise TrainingError(
            "the search needs 0 < low < high and 3 steps or more, "
            f"received {low}, {high} and {steps}."
        )
    plan, train = trial.plan(), trial.sources[TRAIN_DATA]
    if plan.view.optimizer is None or plan.view.criterion is None or train.batches is None:
        raise TrainingError(
            "to look for a learning rate, a trial needs an optimizer, a criterion and training "
            "data: Trial(model, optimizer, criterion).with_generators(train_generator)."
        )
    # What other callbacks would watch, log or schedule is no training.
    changing = [c for c in plan.callbacks if c.everywhere and not isinstance(c, SchedulerCallback)]
    apart = replace(
        plan,
        view=replace(plan.view, history=[], metrics={}, epoch=0, step=0),
        callbacks=changing,
        lint=Lint(list(CHECKS)),
    )
    with _left_as_it_was(trial.network, plan.view.optimizer):
        tried = engine.search_learning_rate(
            apart,
            train,
            arguments=trial.trainer_arguments,
            rates=(low, high),
            steps=steps,
            seed=trial.seed,
        )
    pairs = [(float(rate), float(loss)) for rate, loss in tried if math.isfinite(loss)]
    if len(pairs) < 3:
        raise TrainingError(
            f"the loss was finite at {len(pairs)} learning rates alone, 3 are needed; "
            "begin with a lower one."
        )
    rates, losses = (list(values) for values in zip(*pairs, strict=True))
    return LearningRates(rates, losses, _steepest(rates, losses))


@contextlib.contextmanager
def _left_as_it_was(network: nn.Module, optimizer: Optimizer) -> Iterator[None]:
    """Give back weights, gradients, modes, optimizer and random numbers afterwards."""
    weights = copy.deepcopy(network.state_dict())
    state = copy.deepcopy(optimizer.state_dict())
    gradients = [weight.grad for weight in network.parameters()]
    modes = [(module, module.training) for module in network.modules()]
    numbers = torch.get_rng_state(), np.random.get_state(), random.getstate()  # noqa: NPY002
    for weight in network.parameters():
        weight.grad = None
    try:
        yield
    finally:
        network.load_state_dict(weights)
        optimizer.load_state_dict(state)
        for weight, gradient in zip(network.parameters(), gradients, strict=True):
            weight.grad = gradient
        for module, training in modes:
            module.training = training
        torch.set_rng_state(numbers[0])
        np.random.set_state(numbers[1])  # noqa: NPY002
        random.setstate(numbers[2])


def _steepest(rates: list[float], losses: list[float]) -> float | None:
    """Return the rate at which the loss falls fastest against the logarithm of the rate.

    The first tenth, in which the smoothed loss settles, and what follows the lowest loss do not
    count.
    """
    slopes = np.gradient(np.array(losses), np.log(rates))
    first = len(losses) // 10
    last = int(np.argmin(losses))
    if last <= first:
        return None
    place = first + int(np.argmin(slopes[first:last]))
    return rates[place] if slopes[place] < 0 else None


def plot_learning_rates(found: LearningRates) -> Figure:
    """Return a figure of the loss against the learning rate, with the suggestion marked."""
    from lamplighter.evaluation.plots import COLOURS, GRID, finished, new_figure

    figure = new_figure(5.5, 3.6)
    axes = figure.add_subplot()
    axes.plot(found.rates, found.losses, color=COLOURS[0])
    if found.suggestion is not None:
        loss = float(np.interp(found.suggestion, found.rates, found.losses))
        words = f"suggestion {found.suggestion:.2g}"
        axes.plot([found.suggestion], [loss], "o", color=COLOURS[1], label=words)
        axes.legend()
    # What follows the lowest loss would squash all before it.
    before = found.losses[: int(np.argmin(found.losses)) + 1]
    low, high = min(before), max(before)
    room = max(0.1 * (high - low), 1e-3 * abs(high), 1e-9)
    axes.set_ylim(low - room, high + 5 * room)
    axes.grid(color=GRID, linewidth=0.8)
    axes.set_xscale("log")
    axes.set_xlabel("learning rate")
    axes.set_ylabel("loss (smoothed)")
    return finished(figure)
