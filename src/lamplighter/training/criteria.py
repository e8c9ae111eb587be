"""What a trial needs to know of the loss that it is given."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn import functional

from lamplighter.errors import TrainingError

# Losses of torch by what they ask of outputs and targets.
_CROSS_ENTROPY = (nn.CrossEntropyLoss,)
_FOR_CLASSES = (nn.CrossEntropyLoss, nn.NLLLoss)
_OF_LOGITS = (nn.BCEWithLogitsLoss, nn.MultiLabelSoftMarginLoss)
_OF_SHARES = (nn.BCELoss,)
_POINTWISE = (nn.MSELoss, nn.L1Loss, nn.SmoothL1Loss, nn.HuberLoss)
_FUNCTIONS: dict[Any, type[nn.Module]] = {
    functional.cross_entropy: nn.CrossEntropyLoss,
    functional.nll_loss: nn.NLLLoss,
    functional.binary_cross_entropy: nn.BCELoss,
    functional.binary_cross_entropy_with_logits: nn.BCEWithLogitsLoss,
    functional.multilabel_soft_margin_loss: nn.MultiLabelSoftMarginLoss,
    functional.mse_loss: nn.MSELoss,
    functional.l1_loss: nn.L1Loss,
    functional.smooth_l1_loss: nn.SmoothL1Loss,
    functional.huber_loss: nn.HuberLoss,
}
_OF_TORCH = (*_FOR_CLASSES, *_OF_LOGITS, *_OF_SHARES, *_POINTWISE)


def check_criterion(criterion: Any) -> None:
    """Refuse what cannot be a loss; None is none yet.

    Raises:
        TrainingError: it is no function, or a class of losses in place of one.
    """
    if isinstance(criterion, type):
        raise TrainingError(
            "the criterion must be a function of (outputs, targets), received the class "
            f"{criterion.__name__}; call it: {criterion.__name__}()."
        )
    if criterion is not None and not callable(criterion):
        raise TrainingError(
            "the criterion must be a function of (outputs, targets), such as "
            f"nn.CrossEntropyLoss(), received {criterion!r}."
        )


def is_cross_entropy(criterion: Any) -> bool:
    """Return whether a criterion takes logits and class indices, and applies the softmax itself."""
    return _is(criterion, _CROSS_ENTROPY)


def is_for_classes(criterion: Any) -> bool:
    """Return whether a criterion takes one output for each class."""
    return _is(criterion, _FOR_CLASSES)


def is_for_labels(criterion: Any) -> bool:
    """Return whether a criterion takes each output for a question of its own, yes or no."""
    return _is(criterion, (*_OF_LOGITS, *_OF_SHARES))


def takes_logits(criterion: Any) -> bool:
    """Return whether a criterion takes the sigmoid of each output itself."""
    return _is(criterion, _OF_LOGITS)


def takes_probabilities(criterion: Any) -> bool:
    """Return whether a criterion takes each output for the probability of a yes."""
    return _is(criterion, _OF_SHARES)


def needs_floats(criterion: Any) -> bool:
    """Return whether a criterion for yes or no computes with floating-point targets alone."""
    return _is(criterion, (nn.BCELoss, nn.BCEWithLogitsLoss))


def is_pointwise(criterion: Any) -> bool:
    """Return whether a criterion compares each output with a target of its own."""
    return _is(criterion, (*_OF_LOGITS, *_OF_SHARES, *_POINTWISE))


def is_of_ones_own(criterion: Any) -> bool:
    """Return whether a criterion may have its own way with labels, such as leaving some out."""
    return _kind(criterion) not in _OF_TORCH


def name_of(criterion: Any) -> str:
    """Return what a criterion is called."""
    return str(getattr(criterion, "__name__", type(criterion).__name__))


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


def _is(criterion: Any, kinds: tuple[type[nn.Module], ...]) -> bool:
    kind = _kind(criterion)
    return kind is not None and issubclass(kind, kinds)


def _kind(criterion: Any) -> type[nn.Module] | None:
    """Return the class of a criterion, or the class that does as the function does."""
    if isinstance(criterion, nn.Module):
        return type(criterion)
    # A callable of one's own may have no hash.
    return next((kind for function, kind in _FUNCTIONS.items() if criterion is function), None)
