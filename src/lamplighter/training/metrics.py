"""Metrics of a trial, by name or from torchmetrics, gathered batch by batch."""

from __future__ import annotations

import copy
import math
import time
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import nn

from lamplighter.errors import TrainingError
from lamplighter.names import meant
from lamplighter.training.criteria import (
    is_for_classes,
    is_for_labels,
    takes_logits,
    takes_probabilities,
)
from lamplighter.training.distributed import summed
from lamplighter.training.ignore_index import IGNORED, are_indices, counted, unified

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor
    from torch.optim import Optimizer

    from lamplighter.training.view import TrialView

    BatchTotal = Callable[[Tensor, Tensor, Tensor | None], Tensor]

_ROOM = 1024


class Values:
    """A growing list of numbers, which stay on their device until they are read.

    They are copied into one tensor. Kept as they are, each would lie in memory between the large
    blocks of its step and keep these from being used again: two megabytes a step.
    """

    def __init__(self) -> None:
        self._kept: Tensor | None = None
        self._count = 0

    def append(self, value: Tensor) -> None:
        """Add a number: a tensor of shape ()."""
        if self._kept is None:
            self._kept = torch.empty(_ROOM, dtype=value.dtype, device=value.device)
        elif self._count == len(self._kept):
            self._kept = torch.cat([self._kept, torch.empty_like(self._kept)])
        self._kept[self._count] = value
        self._count += 1

    def __len__(self) -> int:
        return self._count

    @property
    def device(self) -> torch.device:
        """Where they are; the CPU while there is none."""
        return torch.device("cpu") if self._kept is None else self._kept.device

    def read(self, last: int | None = None) -> list[float]:
        """Return all numbers, or the last ones; the device is waited for."""
        if self._kept is None:
            return []
        first = 0 if last is None else max(0, self._count - last)
        numbers: list[float] = self._kept[first : self._count].tolist()
        return numbers


# Running values are means over this many batches.
RUNNING_BATCHES = 50


class Metric(Protocol):
    """What a trial measures over the batches of an epoch."""

    name: str

    def reset(self) -> None:
        """Begin a new epoch."""

    def update(self, logits: Tensor, targets: Tensor, loss: Tensor | None) -> None:
        """Take in a batch: logits (B, K), targets (B,) or (B, K), loss ()."""

    def compute(self, *, training: bool) -> dict[str, Any]:
        """Return the values of the epoch by name."""

    def names(self, *, training: bool) -> set[str] | None:
        """Return the names of the numbers that there will be; None where that is not known."""


class MeanMetric:
    """The mean over all images that the loss does not ignore of a value that each batch has.

    In training, `running_NAME` is the mean over the last 50 batches.

    Args:
        name: what it is called in results.
        batch_total: gives the sum over a batch from logits, targets and loss.
        criterion: the loss, which may ignore another label than -100.
    """

    def __init__(self, name: str, batch_total: BatchTotal, *, criterion: Any = None) -> None:
        self.name = name
        self._criterion = criterion
        self._batch_total = batch_total
        self.reset()

    def reset(self) -> None:
        """Begin a new epoch."""
        self._totals = Values()
        self._sizes: list[int | Tensor] = []

    def update(self, logits: Tensor, targets: Tensor, loss: Tensor | None) -> None:
        """Take in a batch."""
        targets = unified(targets, self._criterion)
        # Not read here, which would make the device wait at every batch.
        self._totals.append(self._batch_total(logits, targets, loss))
        self._sizes.append(counted(targets))

    def running(self) -> float:
        """Return the mean over the last 50 batches of this process; NaN before the first."""
        if not len(self._totals):
            return math.nan
        return _mean(*self._sums(RUNNING_BATCHES))

    def compute(self, *, training: bool) -> dict[str, float]:
        """Return the mean over all images of all processes, and the running mean in training."""
        if not len(self._totals):
            return {}
        sums = [*self._sums(RUNNING_BATCHES), *self._sums(None)]
        sums = summed(sums, self._totals.device)
        results = {f"running_{self.name}": _mean(*sums[:2])} if training else {}
        return results | {self.name: _mean(*sums[2:])}

    def names(self, *, training: bool) -> set[str]:
        """Return the names of the numbers that there will be."""
        return {self.name, f"running_{self.name}"} if training else {self.name}

    def _sums(self, last: int | None) -> tuple[float, float]:
        """Return the sum over the images of all or the last batches, and how many these are."""
        totals = self._totals.read(last)
        sizes = self._sizes[-len(totals) :]
        on_device = [size for size in sizes if isinstance(size, torch.Tensor)]
        count = sum(size for size in sizes if isinstance(size, int))
        if on_device:
            count += int(torch.stack(on_device).sum())
        return math.fsum(totals), float(count)


class LearningRate:
    """The learning rate at the end of an epoch; a list where there are several groups."""

    name = "lr"

    def __init__(self, optimizer: Optimizer | None) -> None:
        self._optimizer = optimizer

    def reset(self) -> None:
        """Begin a new epoch."""

    def update(self, logits: Tensor, targets: Tensor, loss: Tensor | None) -> None:
        """Take in a batch; nothing is needed of it."""

    def compute(self, *, training: bool) -> dict[str, Any]:
        """Return the learning rate, in training alone."""
        if not training or self._optimizer is None:
            return {}
        rates = [float(group["lr"]) for group in self._optimizer.param_groups]
        return {"lr": rates[0] if len(rates) == 1 else rates}

    def names(self, *, training: bool) -> set[str]:
        """Return the name, where there is one group, whose rate is one number."""
        groups = self._optimizer.param_groups if self._optimizer is not None else []
        return {"lr"} if training and len(groups) == 1 else set()


class EpochTime:
    """The seconds from the start of an epoch to its end, with its validation; or of a pass."""

    name = "epoch_time"

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Begin a new epoch."""
        self._start = time.perf_counter()

    def update(self, logits: Tensor, targets: Tensor, loss: Tensor | None) -> None:
        """Take in a batch; nothing is needed of it."""

    def compute(self, *, training: bool) -> dict[str, float]:
        """Return the seconds since the start."""
        return {"epoch_time": time.perf_counter() - self._start}

    def names(self, *, training: bool) -> set[str]:
        """Return the name."""
        return {"epoch_time"}


class F1:
    """The F1 of each class or label, 2 TP / (2 TP + FP + FN), counted over the whole epoch.

    With a loss of yes and no, and with targets (B, K) of any but a loss of classes, each output is
    a label of its own, and its `Decision` is compared with a target above 0.5 or not. Else each
    image has one class, which is compared with the highest output.

    Args:
        criterion: the loss.
        average: give the mean over the classes that have images, "macro_f1", in which each counts
            alike, rare or common; else a list, "f1_by_label", NaN where neither an image nor an
            answer is of the class.
    """

    def __init__(self, criterion: Any, *, average: bool) -> None:
        self.name = "macro_f1" if average else "f1_by_label"
        self._average = average
        self._criterion = criterion
        self._decision = Decision(criterion)
        self.reset()

    def reset(self) -> None:
        """Begin a new epoch."""
        self._counts: Tensor | None = None  # (3, K): TP, said, true

    def update(self, logits: Tensor, targets: Tensor, loss: Tensor | None) -> None:
        """Take in a batch."""
        said, true = self._answers(logits, unified(targets, self._criterion))  # (B, K)
        counts = torch.stack([(said & true).sum(0), said.sum(0), true.sum(0)])
        # In place: what outlives a step would lie between its large blocks of memory.
        self._counts = counts if self._counts is None else self._counts.add_(counts)

    def compute(self, *, training: bool) -> dict[str, Any]:
        """Return the mean or the list, over the images of all processes."""
        if self._counts is None:
            return {}
        sums = summed(self._counts.flatten().tolist(), self._counts.device)
        hits, said, true = torch.tensor(sums, dtype=torch.float64).view(3, -1)
        each = 2 * hits / (said + true)
        if not self._average:
            return {self.name: each.tolist()}
        return {self.name: each[true > 0].mean().item()}

    def names(self, *, training: bool) -> set[str]:
        """Return the name of the mean; a list is no number."""
        return {self.name} if self._average else set()

    def _answers(self, logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Return what was said and what is true of each label, (B, K) each."""
        several = targets.ndim == 2 and not is_for_classes(self._criterion)
        if several or is_for_labels(self._criterion):
            true = _bits(self.name, logits, targets)
            return self._decision(logits).view(len(true), -1), true.view(len(true), -1)
        _check_outputs(self.name, logits)
        indices = _indices(self.name, logits, targets)
        known = indices != IGNORED
        labels = torch.arange(logits.shape[1], device=logits.device)  # (K,)
        said = logits.argmax(dim=1).unsqueeze(1) == labels
        return said & known.unsqueeze(1), indices.unsqueeze(1) == labels


class Decision:
    """Which outputs say yes: probabilities above 0.5, logits above 0.

    The loss tells which of them the outputs are. One's own does not, so that the first batch
    does: outputs that all lie in 0..1 are taken for probabilities.

    Args:
        criterion: the loss.
    """

    def __init__(self, criterion: Any) -> None:
        self._bound: float | None = None
        if takes_logits(criterion):
            self._bound = 0.0
        elif takes_probabilities(criterion):
            self._bound = 0.5

    def __call__(self, outputs: Tensor) -> Tensor:
        """Return yes or no for each output, in its shape."""
        if self._bound is None:
            self._bound = 0.5 if bool(((outputs >= 0) & (outputs <= 1)).all()) else 0.0
        return outputs > self._bound


class TorchMetric:
    """A metric of torchmetrics, under the name of its class or one of your own.

    Where it has several values by name, as a MetricCollection, they keep their names.
    torchmetrics gathers from the processes of a distributed training by itself.
    """

    def __init__(self, metric: Any, name: str | None = None) -> None:
        self.name = name or type(metric).__name__
        self._metric = copy.deepcopy(metric)

    def reset(self) -> None:
        """Begin a new epoch."""
        self._metric.reset()

    def update(self, logits: Tensor, targets: Tensor, loss: Tensor | None) -> None:
        """Take in a batch."""
        self._metric.to(logits.device).update(logits, targets)

    def compute(self, *, training: bool) -> dict[str, Any]:
        """Return the value of the epoch: a number, or a list where it has several."""
        value = self._metric.compute()
        values = value if isinstance(value, dict) else {self.name: value}
        return {name: _plain(value) for name, value in values.items()}

    def names(self, *, training: bool) -> set[str] | None:
        """Return the names of a collection, or of a metric that is known to give one value."""
        if hasattr(self._metric, "keys"):
            return {str(name) for name in self._metric.keys()}  # noqa: SIM118 - they are renamed
        single = type(self._metric).__module__.startswith(_OF_ONE_VALUE)
        return {self.name} if single else None


_OF_ONE_VALUE = (
    "torchmetrics.classification",
    "torchmetrics.regression",
    "torchmetrics.aggregation",
)


def accuracy(logits: Tensor, targets: Tensor, loss: Tensor | None) -> Tensor:
    """Return how many of a batch have their highest logit at the target."""
    return _hits("acc", logits, targets)


def top_k_accuracy(k: int) -> BatchTotal:
    """Return a function that counts those whose target is among the `k` highest logits."""

    def value(logits: Tensor, targets: Tensor, loss: Tensor | None) -> Tensor:
        name = f"top_{k}_acc"
        if k == 1:
            return _hits(name, logits, targets)
        _check_outputs(name, logits)
        highest = logits.topk(min(k, logits.shape[1]), dim=1).indices  # (B, k)
        return (highest == _indices(name, logits, targets).unsqueeze(1)).any(dim=1).sum()

    return value


def binary_accuracy(decision: Decision, name: str = "binary_acc") -> BatchTotal:
    """Return a function that adds up the share of the labels of each image that are right.

    Of targets (B, K) that is torchmetrics' MultilabelAccuracy(average="micro") and Keras'
    BinaryAccuracy. Where few labels hold for an image, answering none is right for most of them.
    """

    def value(logits: Tensor, targets: Tensor, loss: Tensor | None) -> Tensor:
        right = decision(logits) == _bits(name, logits, targets)
        return right.flatten(1).float().mean(dim=1).sum() if right.ndim > 1 else right.sum()

    return value


def subset_accuracy(decision: Decision) -> BatchTotal:
    """Return a function that counts the images of which all labels are right.

    The accuracy_score of scikit-learn for several labels, MultilabelExactMatch of torchmetrics.
    """

    def value(logits: Tensor, targets: Tensor, loss: Tensor | None) -> Tensor:
        right = decision(logits) == _bits("subset_acc", logits, targets)
        return right.flatten(1).all(dim=1).sum() if right.ndim > 1 else right.sum()

    return value


def mean_squared_error(logits: Tensor, targets: Tensor, loss: Tensor | None) -> Tensor:
    """Return the mean squared difference of each image, added up; class indices as one-hot."""
    if logits.ndim == 2 and are_indices(targets):
        ignored = (targets == IGNORED).unsqueeze(1)  # (B, 1)
        targets = targets.masked_fill(targets == IGNORED, 0)
        one_hot = nn.functional.one_hot(targets, logits.shape[1]).to(logits.dtype)
        targets = torch.where(ignored, logits, one_hot)
    return nn.functional.mse_loss(logits, targets.reshape(logits.shape)) * len(logits)


def loss_value(logits: Tensor, targets: Tensor, loss: Tensor | None) -> Tensor:
    """Return the loss of the batch, a mean over the images that count, times how many these are."""
    if loss is None:
        raise TrainingError("the metric 'loss' needs a criterion, and the trial has none.")
    count = counted(targets)
    if isinstance(count, int):
        return loss * count if count else torch.zeros_like(loss)
    return torch.where(count > 0, loss * count, torch.zeros_like(loss))  # no mean of nothing


_NAMED: dict[str, tuple[str, BatchTotal]] = {
    "loss": ("loss", loss_value),
    "mse": ("mse", mean_squared_error),
    "top_1_acc": ("top_1_acc", top_k_accuracy(1)),
    "top_5_acc": ("top_5_acc", top_k_accuracy(5)),
    "top_10_acc": ("top_10_acc", top_k_accuracy(10)),
}
_ACCURACY = ("acc", "accuracy")
_SEVERAL_LABELS = ("binary_acc", "subset_acc", "macro_f1", "f1_by_label")
_NAMES = (*_ACCURACY, *_NAMED, *_SEVERAL_LABELS, "lr", "epoch time", "epoch_time")


def make_metrics(wanted: Sequence[Any], view: TrialView) -> list[Metric]:
    """Return fresh metrics, one for each of `wanted`.

    Args:
        wanted: names, as `Trial` has them, metrics of torchmetrics, or (name, metric of
            torchmetrics).
        view: whose optimizer has 'lr', and whose criterion may ignore labels.

    Raises:
        TrainingError: one of them is not known.
    """
    check_metrics(wanted)
    return [_make_metric(metric, view) for metric in wanted]


def as_list(metrics: Any) -> list[Any]:
    """Return a list of metrics, of which one may stand alone; whether they are any is not asked."""
    if isinstance(metrics, str) or _is_torch_metric(metrics):
        return [metrics]
    try:
        return list(metrics)
    except TypeError:
        return [metrics]


def check_metrics(wanted: Sequence[Any]) -> None:
    """Look whether each of `wanted` can be measured.

    Raises:
        TrainingError: one of them is not known.
    """
    for metric in wanted:
        named = isinstance(metric, tuple) and len(metric) == 2 and isinstance(metric[0], str)
        measuring = metric[1] if named else metric
        known = metric in _NAMES if isinstance(metric, str) else _is_torch_metric(measuring)
        if known:
            continue
        hint = meant(metric, _NAMES) or "."
        if isinstance(metric, type):
            hint = f"; call it: {metric.__name__}(...)."
        raise TrainingError(
            f"a metric must be one of {', '.join(map(repr, _NAMES[:-1]))}, a metric of "
            f"torchmetrics or (name, metric), received {metric!r}{hint}"
        )


def gather(metrics: Sequence[Metric], *, training: bool) -> dict[str, Any]:
    """Return the values of all metrics by name."""
    values: dict[str, Any] = {}
    for metric in metrics:
        values |= metric.compute(training=training)
    return values


def _make_metric(wanted: Any, view: TrialView) -> Metric:
    if isinstance(wanted, tuple):
        return TorchMetric(wanted[1], wanted[0])
    if not isinstance(wanted, str):
        return TorchMetric(wanted)
    criterion = view.criterion
    name: str = wanted
    match wanted:
        case "lr":
            return LearningRate(view.optimizer)
        case "epoch time" | "epoch_time":
            return EpochTime()
        case "macro_f1" | "f1_by_label":
            return F1(criterion, average=wanted == "macro_f1")
        case "binary_acc":
            total = binary_accuracy(Decision(criterion))
        case "subset_acc":
            total = subset_accuracy(Decision(criterion))
        case "acc" | "accuracy":
            name, total = "acc", accuracy
            if is_for_labels(criterion):
                total = binary_accuracy(Decision(criterion), name)
        case _:
            name, total = _NAMED[wanted]
    return MeanMetric(name, total, criterion=criterion)


def _is_torch_metric(metric: Any) -> bool:
    measures = hasattr(metric, "update") and hasattr(metric, "compute")
    return measures and not isinstance(metric, type)


def _check_outputs(name: str, logits: Any) -> None:
    """Refuse outputs among which none is the highest.

    Raises:
        TrainingError: there are several tensors, or not one output for each class.
    """
    if not isinstance(logits, torch.Tensor):
        raise TrainingError(
            f"{name!r} needs one tensor of outputs, (B, K), received a "
            f"{type(logits).__name__}; leave {name!r} out where a network has several outputs."
        )
    if logits.ndim != 2 or logits.shape[1] < 2:
        raise TrainingError(
            f"{name!r} needs one output for each class, (B, K), received outputs of shape "
            f"{tuple(logits.shape)}; for one output, yes or no, take 'binary_acc', for maps "
            "a metric of torchmetrics."
        )


def _hits(name: str, logits: Tensor, targets: Tensor) -> Tensor:
    """Return how many of a batch have their highest logit at the target."""
    _check_outputs(name, logits)
    return (logits.argmax(dim=1) == _indices(name, logits, targets)).sum()


def _bits(name: str, logits: Tensor, targets: Tensor) -> Tensor:
    """Return the yes or no of each target, in the shape of the outputs.

    Raises:
        TrainingError: there is not one target for each output.
    """
    if not isinstance(logits, torch.Tensor):
        _check_outputs(name, logits)
    if targets.shape != logits.shape:
        # A network of one output, (B, 1), and targets (B,) mean the same.
        if {targets.shape, logits.shape} != {logits.shape[:1], (*logits.shape[:1], 1)}:
            raise TrainingError(
                f"{name!r} needs a target, 0 or 1, for each output, received targets of shape "
                f"{tuple(targets.shape)} for outputs of shape {tuple(logits.shape)}; for class "
                "indices take 'acc'."
            )
        targets = targets.reshape(logits.shape)
    return targets > 0.5


def _mean(total: float, count: float) -> float:
    """Return total / count; NaN where nothing counts."""
    return total / count if count else math.nan


def _plain(value: Any) -> Any:
    """Return a number, or a list of numbers, of a tensor or several."""
    if isinstance(value, torch.Tensor):
        return value.item() if value.numel() == 1 else value.tolist()
    return [_plain(part) for part in value] if isinstance(value, (list, tuple)) else value


def _indices(name: str, logits: Tensor, targets: Tensor) -> Tensor:
    """Return class indices (B,), also of targets that mixup has made probabilities (B, K).

    Raises:
        TrainingError: the targets are neither.
    """
    if targets.ndim == 1:
        return targets
    if targets.shape != logits.shape:
        raise TrainingError(
            f"{name!r} needs class indices, (B,), or a probability for each class, (B, K), "
            f"received targets of shape {tuple(targets.shape)} for outputs of shape "
            f"{tuple(logits.shape)}; give targets.squeeze(1), or leave {name!r} out."
        )
    return targets.argmax(dim=1)


def scalars(values: dict[str, Any]) -> dict[str, float]:
    """Return the numbers among `values`, which are all that Lightning can log."""
    return {name: float(v) for name, v in values.items() if isinstance(v, (int, float))}
