"""Callbacks that change how a network learns."""

from __future__ import annotations

import copy
import math
from typing import TYPE_CHECKING, Any, Literal

from torch import nn
from torch.optim.lr_scheduler import LRScheduler, OneCycleLR, ReduceLROnPlateau

from lamplighter.arguments import check_further, checked
from lamplighter.errors import TrainingError
from lamplighter.training.callbacks.base import (
    BatchTransform,
    Callback,
    CriterionTransform,
    SchedulerCallback,
)
from lamplighter.training.ignore_index import are_indices

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor
    from torch.optim import Optimizer

    from lamplighter.training.view import TrialView


class Scheduler(SchedulerCallback):
    """Change the learning rate with any scheduler of torch.

    ::

        Scheduler(lambda optimizer: StepLR(optimizer, step_size=3))

    Args:
        make: returns the scheduler for an optimizer.
        interval: step it after each "epoch" or after each "step", a change of the weights.
        monitor: the metric that ReduceLROnPlateau watches, such as "val_loss".

    Raises:
        TrainingError: `make` is no function, or the interval is not known.
    """

    @checked
    def __init__(
        self,
        make: Callable[[Optimizer], Any],
        *,
        interval: Literal["epoch", "step"] = "epoch",
        monitor: str | None = None,
    ) -> None:
        if not callable(make):
            raise TrainingError(
                "Scheduler takes a function of the optimizer, such as lambda optimizer: "
                f"StepLR(optimizer, step_size=3), received {type(make).__name__}."
            )
        if interval not in ("epoch", "step"):
            raise TrainingError(
                f"a scheduler steps after each 'epoch' or 'step', received interval={interval!r}."
            )
        self.make = make
        self.interval = interval
        self.monitor = monitor
        self._scheduler: LRScheduler | None = None
        self._kept: dict[str, Any] = {}  # the state for a scheduler that is not made yet

    def make_scheduler(self, optimizer: Optimizer, steps: int | None, done: int) -> LRScheduler:
        """Return the scheduler; a later run of the same trial goes on with it.

        Raises:
            TrainingError: there is none, or it does not get the metric that it watches.
        """
        if self._scheduler is None or self._scheduler.optimizer is not optimizer:
            # Making a scheduler sets the learning rate anew, which the optimizer has already.
            rates = [group["lr"] for group in optimizer.param_groups]
            self._scheduler = self._made(optimizer)
            if self._kept:
                self._scheduler.load_state_dict(self._kept)
                self._kept = {}
                for group, rate in zip(optimizer.param_groups, rates, strict=True):
                    group["lr"] = rate
        return self._scheduler

    def _made(self, optimizer: Optimizer) -> LRScheduler:
        made: Any = self.make(optimizer)
        if not hasattr(made, "step") or not hasattr(made, "optimizer"):
            raise TrainingError(
                "the function that Scheduler is given must return a scheduler of torch, received "
                f"{type(made).__name__}."
            )
        at_epochs = self.monitor is not None and self.interval == "epoch"
        if isinstance(made, ReduceLROnPlateau) and not at_epochs:
            raise TrainingError(
                "ReduceLROnPlateau watches a metric at the end of each epoch: give Scheduler "
                "monitor='val_loss' or another name in the history, and interval='epoch'; received "
                f"monitor={self.monitor!r} and interval={self.interval!r}."
            )
        scheduler: LRScheduler = made
        return scheduler

    def state_dict(self) -> dict[str, Any]:
        """Return the state of the scheduler."""
        return self._kept if self._scheduler is None else self._scheduler.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Keep the state for the scheduler of the next run."""
        self._scheduler, self._kept = None, state


class _Cycle(OneCycleLR):
    """A cycle that keeps its end when a checkpoint was written in a shorter or longer run.

    Args:
        optimizer: whose learning rate it changes.
        max_lr: the peak.
        begun: changes of the weights before it.
        arguments: what else OneCycleLR takes.
    """

    def __init__(self, optimizer: Optimizer, max_lr: Any, *, begun: int, **arguments: Any) -> None:
        self.begun = begun
        super().__init__(optimizer, max_lr, **arguments)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take back the place in the cycle."""
        # What is resumed is planned as one run, from the first step of the first one.
        length = self.total_steps - (state_dict["begun"] - self.begun)
        if length != state_dict["total_steps"]:
            scale = length / self.total_steps
            phases = [
                {**phase, "end_step": (phase["end_step"] + 1) * scale - 1}
                for phase in self._schedule_phases
            ]
            state_dict = {**state_dict, "total_steps": length, "_schedule_phases": phases}
        super().load_state_dict(state_dict)


class OneCycle(SchedulerCallback):
    """Raise the learning rate to a peak and let it fall to almost nothing, once in a run.

    Smith and Topin, 2017, arXiv:1708.07120; torch's OneCycleLR.

    Args:
        max_lr: the peak; one value, or one for each group of parameters; None takes the
            learning rate that each group has as its own peak.
        warm_up: share of the run until the peak, 0..1.
        arguments: what else OneCycleLR takes, such as `div_factor`.

    Raises:
        ArgumentError: OneCycleLR takes no such argument.
    """

    interval = "step"

    @checked
    def __init__(
        self, max_lr: float | list[float] | None = None, *, warm_up: float = 0.3, **arguments: Any
    ) -> None:
        filled = ("optimizer", "max_lr", "total_steps", "pct_start")
        check_further(OneCycle, arguments, OneCycleLR, filled=filled)
        self.max_lr = max_lr
        self.warm_up = warm_up
        self.arguments = arguments

    def make_scheduler(self, optimizer: Optimizer, steps: int | None, done: int) -> LRScheduler:
        """Return a cycle over `steps` changes of the weights.

        Raises:
            TrainingError: it is not known how many there will be.
        """
        if steps is None:
            raise TrainingError(
                "OneCycle needs to know how many batches an epoch has; say so with for_steps(...)."
            )
        steps = max(steps, 1)
        warm_up = min(self.warm_up, 1 - 1e-9)
        if math.isclose(warm_up * steps, 1):
            warm_up *= 1 + 1e-6  # torch divides by the length of the rise, warm_up * steps - 1
        peaks = self.max_lr
        if peaks is None:  # a run before has left its peaks, and rates of almost nothing
            peaks = [group.get("max_lr", group["lr"]) for group in optimizer.param_groups]
        return _Cycle(
            optimizer,
            peaks,
            begun=done,
            total_steps=steps,
            pct_start=warm_up,
            **self.arguments,
        )


class GradientClipping(Callback):
    """Bound the gradients before each change of the weights.

    Args:
        max_norm: bound of the norm of all gradients together (Pascanu et al., 2012,
            arXiv:1211.5063).
        max_value: bound of each value.

    Raises:
        TrainingError: neither or both bounds are given, or it is not above 0.
    """

    everywhere = True

    @checked
    def __init__(self, max_norm: float | None = None, *, max_value: float | None = None) -> None:
        if (max_norm is None) == (max_value is None):
            raise TrainingError("GradientClipping needs either max_norm or max_value.")
        bound = max_norm if max_norm is not None else max_value
        if bound is None or not bound > 0:
            raise TrainingError(f"GradientClipping takes a bound above 0, received {bound}.")
        self.max_norm = max_norm
        self.max_value = max_value

    def on_backward(self, view: TrialView) -> None:
        """Clip the gradients, of which a replay has none."""
        if view.network is None:
            return
        if self.max_norm is not None:
            nn.utils.clip_grad_norm_(view.network.parameters(), self.max_norm)
        elif self.max_value is not None:
            nn.utils.clip_grad_value_(view.network.parameters(), self.max_value)


class LabelSmoothing(CriterionTransform):
    """Spread a part of each target over all classes, in training alone.

    Szegedy et al., 2015, arXiv:1512.00567; the label_smoothing of torch's CrossEntropyLoss.

    Args:
        amount: the part, 0..1.

    Raises:
        TrainingError: the part is not within 0..1.
    """

    @checked
    def __init__(self, amount: float = 0.1) -> None:
        if not 0 <= amount <= 1:
            raise TrainingError(f"LabelSmoothing takes an amount in 0..1, received {amount}.")
        self.amount = amount

    def training_criterion(self, criterion: Any) -> nn.CrossEntropyLoss:
        """Return the loss with smoothed targets.

        Raises:
            TrainingError: the criterion is not CrossEntropyLoss.
        """
        if not isinstance(criterion, nn.CrossEntropyLoss):
            raise TrainingError(
                "LabelSmoothing needs nn.CrossEntropyLoss as the criterion, "
                f"received {type(criterion).__name__}."
            )
        smoothed = copy.copy(criterion)
        smoothed.label_smoothing = self.amount
        return smoothed


class MixUp(BatchTransform):
    """Train on weighted means of pairs of images and of their targets.

    Zhang et al., 2017, arXiv:1710.09412; torchvision's MixUp.

    Args:
        num_classes: K.
        alpha: of the Beta distribution of the weights, above 0; larger mixes more.

    Raises:
        TrainingError: a value is out of range.
    """

    @checked
    def __init__(self, num_classes: int, *, alpha: float = 0.2) -> None:
        from torchvision.transforms import v2

        if num_classes < 2 or not 0 < alpha < math.inf:
            raise TrainingError(
                "MixUp takes the number of classes, 2 or more, and an alpha above 0, "
                f"received {num_classes} and {alpha}."
            )
        self._classes = num_classes
        self._mix = v2.MixUp(alpha=alpha, num_classes=num_classes)

    def transform_batch(self, images: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Return mixed images (B, C, H, W) and probabilities of the classes (B, K).

        Raises:
            TrainingError: the targets do not say of which of the classes the images are.
        """
        try:
            mixed: tuple[Tensor, Tensor] = self._mix(images, targets)
        except (RuntimeError, ValueError) as error:
            received = f"targets of shape {tuple(targets.shape)}"
            if are_indices(targets):
                received = f"labels in {int(targets.min())}..{int(targets.max())}"
            raise TrainingError(
                f"MixUp needs images (B, C, H, W) and labels in 0..{self._classes - 1}, shape (B,),"
                f" or probabilities (B, {self._classes}), received {received} ({error}); leave "
                "images without a class out of the training data."
            ) from error
        return mixed
