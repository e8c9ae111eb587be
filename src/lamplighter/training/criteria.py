"""What a trial needs to know of the loss that it is given."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn import functional

from lamplighter.errors import TrainingError


def is_cross_entropy(criterion: Any) -> bool:
    """Return whether a criterion takes logits and class indices, and applies the softmax itself."""
    return isinstance(criterion, nn.CrossEntropyLoss) or criterion is functional.cross_entropy


def is_for_classes(criterion: Any) -> bool:
    """Return whether a criterion takes one output for each class."""
    return is_cross_entropy(criterion) or isinstance(criterion, nn.NLLLoss)


def is_of_ones_own(criterion: Any) -> bool:
    """Return whether a criterion may have its own way with labels, such as leaving some out."""
    if isinstance(criterion, nn.Module):
        return type(criterion) not in (nn.CrossEntropyLoss, nn.NLLLoss)
    return criterion is not functional.cross_entropy


def check_loss(loss: Any) -> None:
    """Look whether a criterion gave one number.

    Raises:
        TrainingError: it gave something else.
    """
    if not isinstance(loss, torch.Tensor) or loss.ndim:
        shape = f" of shape {tuple(loss.shape)}" if isinstance(loss, torch.Tensor) else ""
        raise TrainingError(
            "the criterion must return one number, a tensor of shape (), received a "
            f"{type(loss).__name__}{shape}; let it take the mean, as reduction='mean' does."
        )
