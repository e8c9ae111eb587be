"""`TrialView`: what a callback sees of a trial while it runs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor, nn
    from torch.optim import Optimizer

    from lamplighter.models.classifier import Classifier


@dataclass
class TrialView:
    """The state of a running trial, as a callback may read it.

    Attributes:
        epoch: number of the epoch, counted from 0.
        epochs: how many epochs there will be.
        batch: number of the batch in the epoch, counted from 0.
        batches: how many batches an epoch has; None where that is not known.
        step: how many times the weights have been changed.
        metrics: running values in an epoch, all values of it at its end.
        history: one dictionary for each finished epoch.
        network: the network in training.
        optimizer: what changes its weights.
        criterion: the loss function.
        classifier: the classifier in training; None where the trial was given a bare network.
        images: inputs of the current batch, shape (B, C, H, W).
        targets: targets of the current batch, shape (B,).
        logits: outputs for the current batch, shape (B, K).
        loss: loss of the current batch.
        validating: whether there is validation data.
    """

    epochs: int
    epoch: int = 0
    batch: int = 0
    batches: int | None = None
    step: int = 0
    metrics: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    network: nn.Module | None = None
    optimizer: Optimizer | None = None
    criterion: Any = None
    classifier: Classifier | None = None
    images: Tensor | None = None
    targets: Tensor | None = None
    logits: Tensor | None = None
    loss: Tensor | None = None
    validating: bool = False
    stopping: bool = False

    def __deepcopy__(self, memo: dict[int, Any]) -> TrialView:
        # Weight averaging copies what trains for its weights; there is one trial still.
        return self

    def stop(self) -> None:
        """Ask the trial to stop at the end of this epoch."""
        self.stopping = True

    @property
    def learning_rate(self) -> float:
        """The learning rate of the optimizer's first group of parameters."""
        if self.optimizer is None:
            return float("nan")
        return float(self.optimizer.param_groups[0]["lr"])
