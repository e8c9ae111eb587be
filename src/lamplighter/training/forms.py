"""Checks of the form of inputs, outputs and targets against the loss.

torch says some of it in its own words, long after the data was made; some it computes in silence.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.overrides import TorchFunctionMode

from lamplighter.errors import TrainingError
from lamplighter.training.criteria import (
    is_cross_entropy,
    is_for_classes,
    is_for_labels,
    is_of_ones_own,
    is_pointwise,
    name_of,
    needs_floats,
    takes_probabilities,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor

_FULL_TYPES = {torch.float32, torch.float64}  # autocast puts up with those of reduced precision
_INDEX_TYPES = (torch.int64, torch.uint8)  # of class indices, as torch's losses take them


def check_batch(inputs: Any, targets: Any) -> None:
    """Look at the first batch before the network does.

    Raises:
        TrainingError: it holds arrays of numpy, or one example alone.
    """
    for what, values in (("inputs", inputs), ("targets", targets)):
        if isinstance(values, np.ndarray):
            raise TrainingError(
                f"a batch must hold tensors, received {what} as an array of numpy; make them with "
                "torch.from_numpy(...), or give a DataLoader, which does."
            )
    single = isinstance(targets, (bool, int, float)) or getattr(targets, "ndim", None) == 0
    if single and isinstance(inputs, torch.Tensor):
        raise TrainingError(
            "a batch must hold several examples, received one with its target, as a Dataset gives "
            f"them (inputs of shape {tuple(inputs.shape)}); wrap it: DataLoader(dataset, "
            "batch_size=32)."
        )


def check_targets(criterion: Any, outputs: Any, targets: Any) -> None:
    """Refuse targets whose form a loss of torch does not take, or takes in a way nobody means.

    Args:
        criterion: the loss; of one's own, it may take what it likes.
        outputs: of the network, shape (B, K).
        targets: of a batch.

    Raises:
        TrainingError: the targets are of another type or shape.
    """
    if not isinstance(outputs, torch.Tensor) or is_of_ones_own(criterion):
        return
    if not isinstance(targets, torch.Tensor):
        raise TrainingError(
            f"{name_of(criterion)} takes targets as one tensor, received a "
            f"{type(targets).__name__}; make it with torch.tensor(...)."
        )
    if is_cross_entropy(criterion) and outputs.ndim > 1 and outputs.shape[1] == 1:
        raise TrainingError(
            f"{name_of(criterion)} needs an output for each of two classes or more, received "
            f"outputs of shape {tuple(outputs.shape)}, whose loss is always 0; take "
            "nn.BCEWithLogitsLoss for a single output, yes or no."
        )
    wrong = None
    if is_for_classes(criterion) and outputs.ndim > 1:
        wrong = _wrong_classes(criterion, outputs, targets)
    elif is_pointwise(criterion):
        wrong = _wrong_points(criterion, outputs, targets)
    if wrong is not None:
        expected, remedy = wrong
        raise TrainingError(
            f"{name_of(criterion)} takes {expected}, received targets of "
            f"{_type(targets)} and shape {tuple(targets.shape)} for outputs of shape "
            f"{tuple(outputs.shape)}; {remedy}."
        )
    if takes_probabilities(criterion) and bool(((outputs < 0) | (outputs > 1)).any()):
        raise TrainingError(
            f"{name_of(criterion)} takes probabilities, 0..1, received outputs in "
            f"{outputs.min():.3g}..{outputs.max():.3g}; take nn.BCEWithLogitsLoss, which has the "
            "sigmoid in it, or end the network with nn.Sigmoid()."
        )


def check_range(criterion: Any, targets: Any) -> str | None:
    """Return what is wrong with targets that a loss of yes and no takes for neither, if anything.

    Only 0..1 has a meaning there, but torch computes with any number, and the loss falls for ever.
    """
    if not is_for_labels(criterion) or not isinstance(targets, torch.Tensor) or not targets.numel():
        return None
    low, high = targets.min().item(), targets.max().item()
    if low >= 0 and high <= 1:
        return None
    return (
        f"{name_of(criterion)} takes targets in 0..1, received {low:g}..{high:g}: give a 0 or 1 "
        "for each output; for one class of several take nn.CrossEntropyLoss."
    )


def are_shares(targets: Tensor) -> bool:
    """Return whether each row of targets (B, K) is a distribution over K classes, as one-hot is."""
    rows = targets.float()
    sums = rows.sum(dim=1)
    return bool((rows >= 0).all()) and torch.allclose(sums, torch.ones_like(sums), atol=1e-2)


def are_bits(targets: Tensor) -> bool:
    """Return whether targets hold nothing but 0 and 1."""
    return bool(((targets == 0) | (targets == 1)).all())


def misfit_of_type(inputs: Tensor, network: torch.nn.Module) -> str | None:
    """Return the remedy where inputs are of another type of number than the weights."""
    weights = next((p for p in network.parameters() if p.is_floating_point()), None)
    if weights is None or inputs.dtype == weights.dtype:
        return None
    remedy = f"give inputs.to(torch.{_type(weights)})"
    if not inputs.is_floating_point():
        scaled = " / 255, as Preprocessing and ToDtype(torch.float32, scale=True) do"
        remedy = f"give inputs.float(){scaled if inputs.dtype == torch.uint8 else ''}"
    elif weights.dtype != torch.float32:
        remedy += ", or take the weights as they usually are, network.float()"
    return (
        f"the network computes in {_type(weights)}, received inputs of {_type(inputs)} and shape "
        f"{tuple(inputs.shape)}; {remedy}."
    )


class Stretching(TorchFunctionMode):
    """Watch a loss of one's own: does it compare all outputs with all targets?

    Of (B, 1) and (B,) torch makes (B, B), so that each output is compared with the targets of all
    images, and learns their mean.

    Attributes:
        seen: whether it did.
    """

    def __init__(self) -> None:
        super().__init__()
        self.seen = False

    @staticmethod
    def is_possible(outputs: Any, targets: Any) -> bool:
        """Return whether outputs and targets are such that it can happen."""
        shapes = {tuple(getattr(values, "shape", ())) for values in (outputs, targets)}
        return any(shape[0] > 1 and shapes == {shape, (*shape, 1)} for shape in shapes if shape)

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[Any],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Call a function of torch and look at the shapes of what it took and gave."""
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        taken = [arg for arg in (*args, *kwargs.values()) if isinstance(arg, torch.Tensor)]
        if len(taken) == 2 and self.is_possible(*taken):
            # torch's own losses stretch and take the mean in one.
            square = (len(taken[0]), len(taken[0]))
            self.seen |= is_pointwise(func) or getattr(result, "shape", None) == square
        return result


def _wrong_classes(criterion: Any, outputs: Tensor, targets: Tensor) -> tuple[str, str] | None:
    """Return what a loss of classes takes and the remedy, where the targets are something else."""
    positions = (outputs.shape[0], *outputs.shape[2:])
    shape = ", ".join(["B", *map(str, positions[1:])]) + ("," if len(positions) == 1 else "")
    expected = f"class indices of int64, shape ({shape})"
    if targets.shape == positions:
        if targets.dtype in _INDEX_TYPES:
            return None
        return expected, "give targets.long()"
    if targets.shape == outputs.shape:
        if is_cross_entropy(criterion) and targets.is_floating_point():
            return None
        if targets.ndim == 2 and not are_shares(targets):
            return expected, (
                "an image with several labels needs nn.BCEWithLogitsLoss and targets.float()"
            )
        remedy = "give targets.argmax(dim=1)"
        if is_cross_entropy(criterion):
            expected += ", or probabilities of the classes as floats"
            remedy += ", or targets.float()"
        return expected, remedy
    if targets.shape == (*positions, 1):
        long = "" if targets.dtype in _INDEX_TYPES else ".long()"
        return expected, f"give targets.squeeze({len(positions)}){long}"
    if targets.ndim == outputs.ndim and targets.shape[0] == outputs.shape[0]:
        return expected, "give the network as many outputs as the targets have classes"
    return expected, "give one class index for each image"


def _wrong_points(criterion: Any, outputs: Tensor, targets: Tensor) -> tuple[str, str] | None:
    """Return what a pointwise loss takes and the remedy, where the targets are something else."""
    binary = is_for_labels(criterion)
    expected = "a target for each output, of the same shape"
    as_floats = ""
    if needs_floats(criterion) and not targets.is_floating_point():
        as_floats = ".float()"
    elif takes_probabilities(criterion) and {targets.dtype, outputs.dtype} == _FULL_TYPES:
        as_floats = f".to(torch.{_type(outputs)})"
    if targets.shape == outputs.shape:
        return (f"targets of {_type(outputs)}", f"give targets{as_floats}") if as_floats else None
    if targets.shape == (*outputs.shape, 1):
        return expected, f"give targets.squeeze({outputs.ndim}){as_floats}"
    if outputs.shape == (*targets.shape, 1):
        return expected, f"give targets.unsqueeze({targets.ndim}){as_floats}"
    if outputs.ndim == 2 and targets.shape == outputs.shape[:1]:
        if targets.is_floating_point() and not binary:
            return expected, "give the network one output, or the targets a column for each"
        return expected, (
            "for one class of several take nn.CrossEntropyLoss, or give a 0 or 1 for each output"
        )
    return expected, "give both the same shape"


def _type(values: Tensor) -> str:
    return str(values.dtype).removeprefix("torch.")
