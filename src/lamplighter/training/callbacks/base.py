"""Callbacks of one's own: a class with some of the hooks, or a decorated function.

A hook gets a `TrialView`. In a distributed training callbacks run in the first process alone,
except those that change the training itself (`everywhere = True`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from lamplighter.errors import OutputError, TrainingError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from torch import Tensor
    from torch.optim import Optimizer
    from torch.optim.lr_scheduler import LRScheduler

    from lamplighter.training.view import TrialView

    Hook = Callable[[TrialView], Any]


class Callback:
    """Watch or steer a trial: override the hooks that you need.

    Attributes:
        everywhere: run in every process of a distributed training, not in the first alone.
    """

    everywhere: ClassVar[bool] = False

    def on_start(self, view: TrialView) -> None:
        """Before the first epoch of a run."""

    def on_epoch_start(self, view: TrialView) -> None:
        """Before the batches of an epoch."""

    def on_batch_start(self, view: TrialView) -> None:
        """Before the forward pass; `images` and `targets` are those of the batch."""

    def on_backward(self, view: TrialView) -> None:
        """After the backward pass, before the weights change."""

    def on_batch_end(self, view: TrialView) -> None:
        """After the weights have changed."""

    def on_validation_start(self, view: TrialView) -> None:
        """Before the validation batches."""

    def on_validation_batch_end(self, view: TrialView) -> None:
        """After the forward pass on a validation batch."""

    def on_validation_end(self, view: TrialView) -> None:
        """After the validation batches."""

    def on_epoch_end(self, view: TrialView) -> None:
        """After training and validation of an epoch; `metrics` holds all its values."""

    def on_end(self, view: TrialView) -> None:
        """After the last epoch of a run."""


class BatchTransform(Callback):
    """A callback that changes training batches before the forward pass, such as mixup."""

    everywhere = True

    def transform_batch(self, images: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Return new images (B, C, H, W) and targets, (B,) or (B, K)."""
        raise NotImplementedError


class CriterionTransform(Callback):
    """A callback that gives training another loss; held-out data is measured with the trial's."""

    everywhere = True

    def training_criterion(self, criterion: Any) -> Any:
        """Return the loss to train with, and leave `criterion` as it is."""
        raise NotImplementedError


class SchedulerCallback(Callback):
    """A callback that brings a scheduler of the learning rate."""

    everywhere = True
    interval: str = "epoch"
    monitor: str | None = None

    def make_scheduler(self, optimizer: Optimizer, steps: int | None, done: int) -> LRScheduler:
        """Return the scheduler of a run.

        Args:
            optimizer: whose learning rate it changes.
            steps: changes of the weights in this run, if that is known.
            done: changes of the weights in earlier runs.
        """
        raise NotImplementedError


HOOKS = tuple(name for name in vars(Callback) if name.startswith("on_"))


class FunctionCallback(Callback):
    """A decorated function as a callback; it can still be called."""

    def __init__(self, hook: str, function: Hook) -> None:
        self.function = function
        setattr(self, hook, function)
        self.__doc__ = function.__doc__

    def __call__(self, view: TrialView) -> Any:
        """Call the function itself."""
        return self.function(view)


def on_start(function: Hook) -> FunctionCallback:
    """Run a function before the first epoch of a run."""
    return FunctionCallback("on_start", function)


def on_epoch_start(function: Hook) -> FunctionCallback:
    """Run a function before the batches of an epoch."""
    return FunctionCallback("on_epoch_start", function)


def on_batch_start(function: Hook) -> FunctionCallback:
    """Run a function before each forward pass in training."""
    return FunctionCallback("on_batch_start", function)


def on_backward(function: Hook) -> FunctionCallback:
    """Run a function after each backward pass, before the weights change."""
    return FunctionCallback("on_backward", function)


def on_batch_end(function: Hook) -> FunctionCallback:
    """Run a function after each change of the weights."""
    return FunctionCallback("on_batch_end", function)


def on_validation_start(function: Hook) -> FunctionCallback:
    """Run a function before the validation batches."""
    return FunctionCallback("on_validation_start", function)


def on_validation_batch_end(function: Hook) -> FunctionCallback:
    """Run a function after each validation batch."""
    return FunctionCallback("on_validation_batch_end", function)


def on_validation_end(function: Hook) -> FunctionCallback:
    """Run a function after the validation batches."""
    return FunctionCallback("on_validation_end", function)


def on_epoch_end(function: Hook) -> FunctionCallback:
    """Run a function after training and validation of an epoch."""
    return FunctionCallback("on_epoch_end", function)


def on_end(function: Hook) -> FunctionCallback:
    """Run a function after the last epoch of a run."""
    return FunctionCallback("on_end", function)


def overriding(callbacks: list[Callback], hook: str) -> list[Callback]:
    """Return the callbacks that do something in `hook`, so that idle hooks cost no time."""
    return [
        callback
        for callback in callbacks
        if hook in vars(callback) or getattr(type(callback), hook) is not getattr(Callback, hook)
    ]


def make_folder(folder: Path) -> None:
    """Make a folder for what a callback writes, with those above it.

    Raises:
        OutputError: it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"{folder} cannot be made to write to: {error.strerror}; choose another folder."
        ) from error


def check_monitor(monitor: str | None, known: Iterable[str]) -> None:
    """Refuse to watch a metric that is not among the `known` ones; None watches nothing.

    Raises:
        TrainingError: it is not.
    """
    if monitor is not None and monitor not in known:
        raise TrainingError(
            f"there is no metric {monitor!r} in the history to watch; there are "
            f"{', '.join(sorted(known))}."
        )
