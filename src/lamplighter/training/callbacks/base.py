"""Callbacks of one's own: a class with some of the hooks, or a decorated function.

A hook gets a `TrialView`. In a distributed training callbacks run in the first process alone,
except those that change the training itself (`everywhere = True`).
"""

from __future__ import annotations

import inspect
import re
import sys
from typing import TYPE_CHECKING, Any, ClassVar

from lamplighter.errors import OutputError, TrainingError
from lamplighter.names import meant

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
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
        needs_metrics: it is of no use to a trial that measures nothing.
    """

    everywhere: ClassVar[bool] = False
    needs_metrics: ClassVar[bool] = False

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


def check_callbacks(callbacks: Iterable[Any]) -> None:
    """Refuse what is no callback, and hooks that would never be called or could not be.

    Raises:
        TrainingError: one of them is.
    """
    for callback in callbacks:
        if isinstance(callback, Callback):
            _check_hooks(callback)
        elif not _is_lightnings(callback):
            raise TrainingError(
                "a callback must be one of lamplighter.callbacks, a function decorated with one "
                "of its hooks, or a callback or logger of pytorch_lightning, "
                f"received {callback!r}{_remedy(callback)}."
            )


def unknown_hooks(callback: Any, base: type) -> list[tuple[str, str]]:
    """Return the methods of a callback that are called as if they were hooks, and are none.

    Args:
        callback: of a class below `base`.
        base: has all hooks there are.

    Returns:
        Of each its name and what may have been meant, "; did you mean 'on_end'?" or ".".
    """
    hooks = [name for name in vars(base) if name.startswith("on_")]
    plain = {name.replace("_", ""): name for name in hooks}
    own = [kind for kind in type(callback).__mro__ if issubclass(kind, base) and kind is not base]
    found = {
        name: _meant_hook(name, hooks)
        for kind in own
        if not kind.__module__.startswith("pytorch_lightning")
        for name, member in vars(kind).items()
        if callable(member)
        and name not in hooks
        and (re.match("on[_A-Z]", name) or name.replace("_", "").lower() in plain)
    }
    return list(found.items())


def _meant_hook(name: str, hooks: Sequence[str]) -> str:
    """Return the hook of the same words in another order or of another library, or alike."""
    words = _words(name)
    for hook in hooks:
        if _words(hook) == words:
            return f"; did you mean {hook!r}?"
    return meant(name, hooks) or "."


def _words(hook: str) -> list[str]:
    # Keras begins and Torchbearer has samples and steps where others start and have batches.
    other = {"begin": "start", "before": "start", "after": "end", "sample": "batch"}
    apart = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", hook).lower()  # onEpochEnd
    words = [other.get(word, word) for word in apart.split("_")]
    return sorted(word for word in words if word not in ("", "on", "train", "training", "fit"))


def _check_hooks(callback: Callback) -> None:
    kind = type(callback).__name__
    for hook, hint in unknown_hooks(callback, Callback):
        raise TrainingError(
            f"a trial would never call {kind}.{hook}(), which is none of its hooks{hint} There are "
            f"{', '.join(HOOKS)}."
        )
    for hook in HOOKS:
        if overriding([callback], hook) and not _takes_one(getattr(callback, hook)):
            named, taken = f"{kind}.{hook}", "self, view"
            if isinstance(callback, FunctionCallback):
                named, taken = f"the function of {hook}", "view"
            raise TrainingError(
                f"{named} must take one argument, the view of the trial: def {hook}({taken})."
            )


def _takes_one(hook: Hook) -> bool:
    try:
        inspect.signature(hook).bind(None)
    except TypeError:
        return False
    except ValueError:  # a function of C, which tells nothing
        return True
    return True


def _is_lightnings(callback: Any) -> bool:
    """Return whether this is a callback or logger of Lightning's, which need not be imported."""
    lightning: Any = sys.modules.get("pytorch_lightning")
    if lightning is None:
        return False
    return isinstance(callback, (lightning.Callback, lightning.loggers.Logger))


def _remedy(callback: Any) -> str:
    kind = callback if isinstance(callback, type) else type(callback)
    if isinstance(callback, type):
        return f"; call it: {kind.__name__}(...)"
    if kind.__module__.startswith("lightning."):
        return "; import it from pytorch_lightning, which trains here, not from lightning"
    if inspect.isfunction(callback):
        return "; decorate it, for example with @on_epoch_end"
    if any(hasattr(callback, hook) for hook in HOOKS):
        return f"; let it be one: class {kind.__name__}(Callback)"
    return ""


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


def is_measured(monitor: str | None, trainer: Any) -> bool:
    """Return whether this epoch of Lightning's trainer measures what is watched.

    `with_trainer(check_val_every_n_epoch=...)` validates in some epochs alone.
    """
    every = trainer.check_val_every_n_epoch or 1
    return not (monitor or "").startswith("val_") or (trainer.current_epoch + 1) % every == 0


def check_monitor(monitor: str | None, known: Iterable[str]) -> None:
    """Refuse to watch a metric that is not among the `known` ones; None watches nothing.

    Raises:
        TrainingError: it is not.
    """
    known = sorted(known)
    if monitor is not None and monitor not in known:
        raise TrainingError(
            f"there is no metric {monitor!r} in the history to watch; there are "
            f"{', '.join(known) or 'none'}{meant(monitor, known) or '.'}"
        )
