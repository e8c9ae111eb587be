"""Errors of torch in the words of a trial: what does not fit what, and the remedy."""

from __future__ import annotations

import contextlib
import math
from typing import TYPE_CHECKING, Any

import torch

from lamplighter.errors import ClassCountError, NonFiniteLossError, ShapeError, TrainingError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from torch import Tensor

    from lamplighter.models.classifier import Classifier
    from lamplighter.training.lint import Lint
    from lamplighter.training.view import TrialView

# How torch's layers put it that they cannot take an input.
_MISFITS = ("cannot be multiplied", "expected input", "Kernel size can't be", "too small")


def unpack(batch: Any) -> tuple[Tensor, Tensor]:
    """Return images and targets of a batch.

    Raises:
        TrainingError: the batch is not a pair.
    """
    if isinstance(batch, (list, tuple)) and len(batch) == 2:
        return batch[0], batch[1]
    raise TrainingError(
        f"a batch must be a pair of inputs and targets, received {type(batch).__name__}"
        f"{f' of {len(batch)}' if isinstance(batch, (list, tuple)) else ''}."
    )


@contextlib.contextmanager
def shapes_explained(images: Any, classifier: Classifier | None) -> Iterator[None]:
    """Say which images do not fit the network, where a layer of it complains.

    Raises:
        ShapeError: the images do not fit.
    """
    try:
        yield
    except RuntimeError as error:
        reason = str(error).splitlines()[0] if str(error) else ""
        if not isinstance(images, torch.Tensor) or not any(m in reason for m in _MISFITS):
            raise
        expected = ""
        if classifier is not None:
            size = classifier.preprocessing
            expected = f"expected (B, {size.channels}, {size.height}, {size.width}), "
        raise ShapeError(
            f"the network does not take images of this shape: {expected}received "
            f"{tuple(images.shape)}; resize the images or build the network for them ({reason})."
        ) from error


@contextlib.contextmanager
def labels_explained(lint: Lint, criterion: Any, logits: Tensor, targets: Any) -> Iterator[None]:
    """Say which labels have no output, where the loss complains.

    Raises:
        TrainingError: there are such labels.
    """
    try:
        yield
    except (IndexError, RuntimeError, ValueError):
        if isinstance(targets, torch.Tensor) and logits.ndim == 2:
            lint.check_labels(criterion, targets, logits.shape[1])
        raise


def first_reason(error: Exception) -> str:
    """Return the first thing that an error of several lines complains of, without a full stop."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if not lines:
        return type(error).__name__
    told = lines[1] if lines[0].endswith(":") and len(lines) > 1 else lines[0]
    return told.rstrip(".:")


def check_outputs(logits: Tensor, classifier: Classifier) -> None:
    """Look whether a network has one output for each class.

    Raises:
        ClassCountError: it has not.
    """
    if logits.shape[1:] != (classifier.num_classes,):
        raise ClassCountError(
            f"the network must give one output for each of the {classifier.num_classes} classes, "
            f"received outputs of shape {tuple(logits.shape)}; change its last layer."
        )


def non_finite(losses: Sequence[float], view: TrialView, step: int) -> NonFiniteLossError:
    """Return the error that names the first loss that is not a number.

    Args:
        losses: of the batches of the epoch, of which the last one is not finite.
        view: with the images of the last one.
        step: number of the last one, counted from 1.
    """
    finite = [math.isfinite(loss) for loss in losses]
    batch = finite.index(False)
    images: Any = view.images
    if isinstance(images, torch.Tensor) and not bool(torch.isfinite(images).all()):
        cause = "the images of this batch hold NaN or infinite values; mend the data"
    else:
        cause = f"try a learning rate below {view.learning_rate:g}, or gradient clipping"
    return NonFiniteLossError(
        f"the loss became {losses[batch]} at step {step - (len(finite) - 1 - batch)} "
        f"(epoch {view.epoch + 1}, batch {batch + 1}): {cause}."
    )
