"""A short training in which the learning rate rises step by step.

Lightning's own finder halves the first losses by a slip in its smoothing, differentiates by the
rate rather than its logarithm, and draws a bar of its own.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from torch.optim.lr_scheduler import ExponentialLR

from lamplighter.training.step import TrialModule

if TYPE_CHECKING:
    from torch import Tensor

    from lamplighter.training.plan import Plan

_SMOOTHING = 0.9  # weight of the losses before
_EXPLODED = 4.0  # times the lowest loss


class Search(TrialModule):
    """A trial whose learning rate rises geometrically until the loss explodes.

    Args:
        plan: what is trained.
        rates: the first and the last learning rate.
        steps: how many are tried, at least 2.
    """

    def __init__(self, plan: Plan, rates: tuple[float, float], steps: int) -> None:
        super().__init__(plan)
        self.rates = rates
        self.steps = steps
        self.tried: list[tuple[float, float]] = []
        self._average = 0.0
        self._lowest = math.inf

    def configure_optimizers(self) -> Any:
        """Return the trial's optimizer at the first rate, with what raises it."""
        low, high = self.rates
        optimizer = self.view.optimizer
        assert optimizer is not None
        for group in optimizer.param_groups:
            group["lr"] = group["initial_lr"] = low
        rising = ExponentialLR(optimizer, (high / low) ** (1 / (self.steps - 1)))
        return [optimizer], [{"scheduler": rising, "interval": "step"}]

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        """Return the loss of a batch, and note it with the learning rate."""
        rate = self.view.learning_rate
        loss = super().training_step(batch, batch_idx)
        assert self.view.loss is not None
        self._average = _SMOOTHING * self._average + (1 - _SMOOTHING) * self.view.loss.item()
        # Divided by the sum of the weights so far, as the average began at 0.
        smoothed = self._average / (1 - _SMOOTHING ** (len(self.tried) + 1))
        self.tried.append((rate, smoothed))
        self._lowest = min(self._lowest, smoothed)
        if not smoothed <= _EXPLODED * self._lowest:
            self.trainer.should_stop = True
        return loss

    def _stop_at_non_finite(self) -> None:
        self.trainer.should_stop = True
