"""Metrics of a trial, by name or from torchmetrics, gathered batch by batch."""

from __future__ import annotations

import copy
import math
import time
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import nn

from lamplighter.errors import TrainingError
from lamplighter.training.distributed import summed
from lamplighter.training.ignored import IGNORED, are_indices, counted, unified
from lamplighter.training.values import Values

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor
    from torch.optim import Optimizer

    from lamplighter.training.view import TrialView

    BatchTotal = Callable[[Tensor, Tensor, Tensor | None], Tensor]

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


def accuracy(logits: Tensor, targets: Tensor, loss: Tensor | None) -> Tensor:
    """Return how many of a batch have their highest logit at the target."""
    if not isinstance(logits, torch.Tensor):
        raise TrainingError(
            "'acc' needs one tensor of outputs, (B, K), received a "
            f"{type(logits).__name__}; leave 'acc' out where a network has several outputs."
        )
    if logits.ndim != 2 or logits.shape[1] < 2:
        raise TrainingError(
            "'acc' needs one output for each class, (B, K), received outputs of shape "
            f"{tuple(logits.shape)}; for one output take torchmetrics' BinaryAccuracy."
        )
    return (logits.argmax(dim=1) == _indices(targets)).sum()


def top_k_accuracy(k: int) -> BatchTotal:
    """Return a function that counts those whose target is among the `k` highest logits."""

    def value(logits: Tensor, targets: Tensor, loss: Tensor | None) -> Tensor:
        highest = logits.topk(min(k, logits.shape[1]), dim=1).indices  # (B, k)
        return (highest == _indices(targets).unsqueeze(1)).any(dim=1).sum()

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
    "acc": ("acc", accuracy),
    "accuracy": ("acc", accuracy),
    "loss": ("loss", loss_value),
    "mse": ("mse", mean_squared_error),
    "top_5_acc": ("top_5_acc", top_k_accuracy(5)),
    "top_10_acc": ("top_10_acc", top_k_accuracy(10)),
}


def make_metrics(wanted: Sequence[Any], view: TrialView) -> list[Metric]:
    """Return fresh metrics, one for each of `wanted`.

    Args:
        wanted: names ('acc' or 'accuracy', 'loss', 'top_5_acc', 'top_10_acc', 'mse', 'lr',
            'epoch time'), metrics of torchmetrics, or (name, metric of torchmetrics).
        view: whose optimizer has 'lr', and whose criterion may ignore labels.

    Raises:
        TrainingError: one of them is not known.
    """
    return [_make_metric(metric, view) for metric in wanted]


def gather(metrics: Sequence[Metric], *, training: bool) -> dict[str, Any]:
    """Return the values of all metrics by name."""
    values: dict[str, Any] = {}
    for metric in metrics:
        values |= metric.compute(training=training)
    return values


def _make_metric(wanted: Any, view: TrialView) -> Metric:
    if isinstance(wanted, str):
        if wanted in _NAMED:
            return MeanMetric(*_NAMED[wanted], criterion=view.criterion)
        if wanted == "lr":
            return LearningRate(view.optimizer)
        if wanted in ("epoch time", "epoch_time"):
            return EpochTime()
    elif isinstance(wanted, tuple) and len(wanted) == 2 and hasattr(wanted[1], "update"):
        return TorchMetric(wanted[1], str(wanted[0]))
    elif hasattr(wanted, "update") and hasattr(wanted, "compute"):
        return TorchMetric(wanted)
    names = ", ".join(repr(name) for name in [*_NAMED, "lr", "epoch time"])
    raise TrainingError(
        f"a metric must be one of {names}, a metric of torchmetrics or (name, metric), "
        f"received {wanted!r}."
    )


def _mean(total: float, count: float) -> float:
    """Return total / count; NaN where nothing counts."""
    return total / count if count else math.nan


def _plain(value: Any) -> Any:
    """Return a number, or a list of numbers, of a tensor or several."""
    if isinstance(value, torch.Tensor):
        return value.item() if value.numel() == 1 else value.tolist()
    return [_plain(part) for part in value] if isinstance(value, (list, tuple)) else value


def _indices(targets: Tensor) -> Tensor:
    """Return class indices (B,), also of targets that mixup has made probabilities (B, K)."""
    return targets.argmax(dim=1) if targets.ndim == 2 else targets


def scalars(values: dict[str, Any]) -> dict[str, float]:
    """Return the numbers among `values`, which are all that Lightning can log."""
    return {name: float(v) for name, v in values.items() if isinstance(v, (int, float))}
