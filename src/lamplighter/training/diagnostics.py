"""What is wrong with a step of a trial: the guard that looks, and torch's errors in its words."""

from __future__ import annotations

import contextlib
import math
from typing import TYPE_CHECKING, Any

import torch
from lightning_utilities.core.apply_func import apply_to_collection

from lamplighter.errors import (
    ClassCountError,
    LamplighterError,
    NonFiniteLossError,
    ShapeError,
    TrainingError,
)
from lamplighter.models.classifier import Classifier
from lamplighter.training.criteria import check_loss, is_for_classes, is_of_ones_own
from lamplighter.training.forms import check_batch, check_targets, misfit_of_type
from lamplighter.training.ignore_index import counted, unified

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from torch import Tensor

    from lamplighter.training.lint import Lint
    from lamplighter.training.plan import Plan
    from lamplighter.training.view import TrialView

# How torch's layers put it that they cannot take an input.
_MISFITS = ("cannot be multiplied", "expected input", "Kernel size can't be", "too small")
# How they put it that its numbers are of another type than their weights.
_TYPES = ("type", "not implemented for")
_BAD_WEIGHTS = "the weights hold NaN or infinite values; begin with a new network"


class Guard:
    """Looks at the steps of a trial, and says what is wrong in a trial's words.

    It looks closely at the first batch of each pass, less at the next two of the first epoch, and
    from then on at what torch complains of alone.

    Args:
        plan: with the lint, the metrics, the criterion and the view of the trial.
    """

    def __init__(self, plan: Plan) -> None:
        self._lint = plan.lint
        self._metrics = plan.metrics
        self._view = plan.view
        self._looking = False

    def begin_epoch(self, epoch: int) -> None:
        """Look at the first batches of the first epoch."""
        self._looking = epoch == 0

    def unpacked(self, batch: Any, number: int) -> tuple[Tensor, Tensor]:
        """Return images and targets of a batch, whose form is looked at where it is the first."""
        images, targets = unpack(batch)
        if number == 0:
            check_batch(images, targets)
        return images, targets

    @contextlib.contextmanager
    def inputs(self, images: Any, number: int, *, batches: float | None = None) -> Iterator[None]:
        """Look at what goes into the network, which answers while this lasts.

        Args:
            images: of the batch.
            number: of the batch, counted from 0.
            batches: how many there are in an epoch of training; None while evaluating.
        """
        network = self._view.network
        assert network is not None
        with inputs_explained(images, self._view):
            if number == 0 and batches is None:
                self._lint.in_evaluation(network)
            elif number == 0 and batches is not None:
                epoch = self._view.epoch
                self._lint.before_step(network, images, epoch=epoch, batches=batches)
            yield

    @contextlib.contextmanager
    def outputs(
        self, logits: Any, targets: Any, number: int, *, training: bool = False
    ) -> Iterator[None]:
        """Look at what the network answered, of which the loss is taken while this lasts."""
        view = self._view
        if number == 0:
            self._lint.targets(self._metrics, view.criterion, logits, targets)
        if training and self._looking:
            if view.classifier is not None:
                check_outputs(logits, view.classifier)
            self._lint.first_batches(number, view.criterion, logits, targets)
        with labels_explained(self._lint, view.criterion, logits, targets):
            if number:
                yield
                return
            with self._lint.stretching(view.criterion, logits, targets):
                yield

    def loss(self, loss: Any) -> None:
        """Look whether the loss of a training batch is a number that has a gradient."""
        if self._looking:
            check_loss(loss)

    def gradients(self, number: int, *, batches: float) -> None:
        """Look at the gradients of the first batches."""
        if self._looking:
            assert self._view.network is not None
            self._lint.gradients(number, self._view.network, batches=batches)
            self._looking = number < 2


def check_parts(model: Any, optimizer: Any) -> None:
    """Refuse what cannot be trained, or cannot train.

    Raises:
        TrainingError: it is one of these.
    """
    if not isinstance(model, (Classifier, torch.nn.Module)):
        remedy = "make one, for example by Classifier.new('better-cnn', data)"
        if isinstance(model, type):
            remedy = f"call it: {model.__name__}()"
        raise TrainingError(
            f"a trial trains a Classifier or a module of torch.nn, received {model!r}; {remedy}."
        )
    if optimizer is not None and not hasattr(optimizer, "param_groups"):
        remedy = "for example torch.optim.Adam(network.parameters())"
        if isinstance(optimizer, torch.nn.Module):
            remedy = "the order is Trial(model, optimizer, criterion)"
        raise TrainingError(
            f"the optimizer must be one of torch.optim over the network's weights, received "
            f"{optimizer!r}; {remedy}."
        )


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
def inputs_explained(images: Any, view: TrialView) -> Iterator[None]:
    """Say which images do not fit the network, where a layer of it complains.

    Raises:
        ShapeError: the images are of another shape.
        TrainingError: their numbers are of another type than the weights.
    """
    try:
        yield
    except ValueError as error:
        if "more than 1 value per channel" not in str(error):
            raise
        raise ShapeError(
            "batch normalisation needs more than one image in a training batch, received images "
            f"of shape {tuple(images.shape)}; take another batch size, or drop_last=True."
        ) from error
    except RuntimeError as error:
        reason = str(error).splitlines()[0] if str(error) else ""
        if not isinstance(images, torch.Tensor):
            raise
        if any(word in reason for word in _TYPES) and view.network is not None:
            wrong = misfit_of_type(images, view.network)
            if wrong is not None:
                raise TrainingError(wrong) from error
        if not any(m in reason for m in _MISFITS):
            raise
        expected = ""
        if view.classifier is not None:
            size = view.classifier.preprocessing
            expected = f"expected (B, {size.channels}, {size.height}, {size.width}), "
        raise ShapeError(
            f"the network does not take images of this shape: {expected}received "
            f"{tuple(images.shape)}; resize the images or build the network for them ({reason})."
        ) from error


@contextlib.contextmanager
def labels_explained(lint: Lint, criterion: Any, logits: Any, targets: Any) -> Iterator[None]:
    """Say which labels have no output, where the loss complains, or what else does not fit.

    Of a loss of one's own nobody knows what it takes: its error gets a note of what it received.

    Raises:
        TrainingError: labels have no output, outputs no classes, or targets are in another form.
    """
    try:
        yield
    except LamplighterError:
        raise
    except (IndexError, RuntimeError, TypeError, ValueError) as error:
        _explain(error, criterion, logits, targets)
        if isinstance(logits, torch.Tensor) and logits.ndim == 2:
            if isinstance(targets, torch.Tensor):
                lint.check_labels(criterion, targets, logits.shape[1])
        elif is_for_classes(criterion) and getattr(logits, "ndim", 0) < 2:
            received = (
                f"outputs of shape {tuple(logits.shape)}"
                if isinstance(logits, torch.Tensor)
                else f"a {type(logits).__name__} of outputs"
            )
            raise TrainingError(
                f"this criterion needs one output for each class, (B, K), received {received}; "
                "change the last layer, or take another criterion, such as "
                "nn.BCEWithLogitsLoss for a single output."
            ) from error
        raise


def _explain(error: Exception, criterion: Any, logits: Any, targets: Any) -> None:
    """Say what is wrong with the targets of a loss of torch, or note what a loss received.

    Raises:
        TrainingError: the targets are in another form.
    """
    try:
        check_targets(criterion, logits, targets)
    except TrainingError as explained:
        raise explained from error
    if is_of_ones_own(criterion):
        error.add_note(f"The loss received outputs: {_form(logits)}; targets: {_form(targets)}.")


def _form(values: Any) -> str:
    if not isinstance(values, torch.Tensor):
        return f"a {type(values).__name__}"
    return f"{str(values.dtype).removeprefix('torch.')} of shape {tuple(values.shape)}"


def first_reason(error: Exception) -> str:
    """Return the first thing that an error of several lines complains of, without a full stop."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if not lines:
        return type(error).__name__
    told = lines[1] if lines[0].endswith(":") and len(lines) > 1 else lines[0]
    return told.rstrip(".:")


def check_outputs(logits: Any, classifier: Classifier) -> None:
    """Look whether a network has one output for each class.

    Raises:
        ClassCountError: it has not.
    """
    if isinstance(logits, torch.Tensor) and logits.shape[1:] != (classifier.num_classes,):
        raise ClassCountError(
            f"the network must give one output for each of the {classifier.num_classes} classes, "
            f"received outputs of shape {tuple(logits.shape)}; change its last layer."
        )


def detached(outputs: Any) -> Any:
    """Return outputs without what is kept for their gradient; some networks have several."""
    if isinstance(outputs, torch.Tensor):
        return outputs.detach()
    return apply_to_collection(outputs, torch.Tensor, torch.Tensor.detach)


def one_tensor(outputs: Any) -> Tensor:
    """Return the outputs of a network, of which there must be one tensor.

    Raises:
        TrainingError: there are several.
    """
    if not isinstance(outputs, torch.Tensor):
        raise TrainingError(
            "to predict, a network must answer with one tensor in evaluation mode, received a "
            f"{type(outputs).__name__}; let its forward() choose one."
        )
    return outputs


def check_held_out(loss: Any, images: Any, view: TrialView, batch: int) -> None:
    """Look whether the loss of a batch of held-out data is a number, or why it is not.

    Raises:
        NonFiniteLossError: the images or the weights are not finite.
    """
    if _is_finite(loss):
        return
    cause = None
    if not _is_finite(images):
        cause = "its images hold NaN or infinite values; mend the data"
    elif not _has_finite_weights(view):
        cause = _BAD_WEIGHTS
    if cause is not None:
        raise NonFiniteLossError(
            f"the loss is not finite in batch {batch + 1} of the held-out data: {cause}."
        )


def _is_finite(values: Any) -> bool:
    return not isinstance(values, torch.Tensor) or bool(torch.isfinite(values).all())


def _has_finite_weights(view: TrialView) -> bool:
    assert view.network is not None
    return all(map(_is_finite, view.network.parameters()))


def non_finite(losses: Sequence[float], view: TrialView, step: int) -> NonFiniteLossError:
    """Return the error that names the first loss that is not a number.

    Args:
        losses: of the batches of the epoch, of which the last one is not finite.
        view: with the images of the last one.
        step: number of the last one, counted from 1.
    """
    finite = [math.isfinite(loss) for loss in losses]
    batch = finite.index(False)
    images, targets = view.images, view.targets
    number = step - (len(finite) - 1 - batch)
    if not _is_finite(images):
        cause = "the images of this batch hold NaN or infinite values; mend the data"
    elif number == 1 and not _has_finite_weights(view):
        cause = _BAD_WEIGHTS
    elif isinstance(targets, torch.Tensor) and counted(unified(targets, view.criterion)) == 0:
        cause = "the loss ignores all labels of this batch; take larger batches, or leave them out"
    else:
        cause = f"try a learning rate below {view.learning_rate:g}, or gradient clipping"
    return NonFiniteLossError(
        f"the loss became {losses[batch]} at step {number} "
        f"(epoch {view.epoch + 1}, batch {batch + 1}): {cause}."
    )
