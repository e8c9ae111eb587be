"""The experiment lint: classic mistakes, each said in one line with its remedy."""

from __future__ import annotations

import contextlib
import logging
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.utils.data import (
    DataLoader,
    RandomSampler,
    SequentialSampler,
    SubsetRandomSampler,
    WeightedRandomSampler,
)

from lamplighter.datasets.batches import Batches
from lamplighter.errors import TrainingError
from lamplighter.inference.runtime import evaluating
from lamplighter.names import unknown_name
from lamplighter.training.callbacks.base import unknown_hooks
from lamplighter.training.criteria import (
    is_cross_entropy,
    is_for_classes,
    is_for_labels,
    is_of_ones_own,
    name_of,
    takes_logits,
)
from lamplighter.training.distributed import is_first
from lamplighter.training.fingerprints import overlap, same_data, sampler_of
from lamplighter.training.forms import (
    Stretching,
    are_bits,
    are_shares,
    check_range,
    check_targets,
)
from lamplighter.training.ignore_index import are_indices, ignored_index
from lamplighter.training.loaders import same_random_numbers

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from torch import Tensor

_LOGGER = logging.getLogger("lamplighter.lint")

CHECKS = {
    "same-data": "validation or test data that is, or overlaps, the training data",
    "unshuffled": "training batches that come in the same order in every epoch",
    "softmax": "a softmax or sigmoid before a loss that has its own, or none before one without",
    "labels": "labels outside the classes",
    "targets": "targets of several labels or of a regression where a class is counted",
    "shapes": "a loss of one's own that compares the outputs of all images with all targets",
    "mode": "a network in evaluation mode while training, or the other way round",
    "one-class": "training batches that hold one class each",
    "exploding": "a learning rate at which the loss explodes",
    "no-gradient": "weights that get no gradient, or that the optimizer does not know",
    "dropout-in-eval": "dropout, or other chance, that stays on in evaluation",
    "callbacks": "a callback that is never called, or whose pictures nobody sees",
    "order": "answers to data that is shuffled",
}
"""Each check of the experiment lint: the name that silences it, and what it looks for."""

_EXAMPLES = 32
_FIRST_BATCHES = 3
_EXPLODED = 5.0
# Metrics that look for one class of each image.
_COUNTING_CLASSES = {"acc", "accuracy", "top_1_acc", "top_5_acc", "top_10_acc"}
# How torch calls the gradients of what leaves numbers as they are.
_RESHAPING = ("View", "UnsafeView", "Squeeze", "Unsqueeze", "Reshape", "Alias", "ToCopy")


@dataclass(frozen=True)
class Finding:
    """One mistake that was seen.

    Attributes:
        name: what silences it, a key of `CHECKS`.
        message: what was seen and the remedy, in one line.
    """

    name: str
    message: str

    def __str__(self) -> str:
        return f"[{self.name}] {self.message}"


@dataclass
class Lint:
    """Look at a trial before and while it trains; each mistake is said once.

    Attributes:
        silence: names of `CHECKS` not to look for.
        findings: what was seen so far.

    Raises:
        TrainingError: a name to silence is not known.
    """

    silence: Sequence[str] = ()
    findings: list[Finding] = field(default_factory=list)
    _first_batch: dict[int, Tensor] = field(default_factory=dict)
    _one_class: int = 0
    _shuffled: bool = False
    _moved: set[str] = field(default_factory=set)
    _first_loss: float | None = None

    def __post_init__(self) -> None:
        if isinstance(self.silence, str):
            self.silence = (self.silence,)
        for name in self.silence:
            if name not in CHECKS:
                raise TrainingError(unknown_name("check to silence", name, CHECKS))

    def say(self, name: str, message: str) -> None:
        """Report a mistake, unless it was reported before or is silenced."""
        if name in self.silence or any(finding.name == name for finding in self.findings):
            return
        finding = Finding(name, message)
        self.findings.append(finding)
        if is_first():
            _LOGGER.warning("%s", finding)

    def before_training(
        self, train: Any, others: Mapping[str, Any], network: nn.Module, optimizer: Any
    ) -> None:
        """Look at what can be seen before the first batch: data, its order, the optimizer."""
        for name, other in others.items():
            self._same_data(train, name, other)
        self._order(train)
        self._unknown_to_optimizer(network, optimizer)

    def callbacks(self, callbacks: Sequence[Any]) -> None:
        """Look for callbacks that do nothing, before the first batch."""
        lightning: Any = sys.modules.get("pytorch_lightning")
        for callback in callbacks:
            name = type(callback).__name__
            if lightning is not None and isinstance(callback, lightning.Callback):
                for hook, hint in unknown_hooks(callback, lightning.Callback):
                    self.say(
                        "callbacks",
                        f"Lightning never calls {name}.{hook}(), of which it knows nothing{hint}",
                    )
            elif not getattr(callback, "is_seen", True):
                self.say(
                    "callbacks",
                    f"nobody sees what {name} draws, since this is no notebook: give it a folder, "
                    f"{name}('pictures').",
                )

    def before_predicting(self, batches: Any) -> None:
        """Look whether the answers will come in an order that somebody knows."""
        sampler = sampler_of(batches) if isinstance(batches, DataLoader) else None
        if isinstance(sampler, (RandomSampler, SubsetRandomSampler, WeightedRandomSampler)):
            self.say(
                "order",
                "the data to predict is shuffled, so that nobody knows which answer is whose: "
                "give a DataLoader with shuffle=False.",
            )

    def before_step(self, network: nn.Module, images: Any, *, epoch: int, batches: float) -> None:
        """Look at the first of an epoch's batches before it is learned from."""
        self._mode_in_training(network)
        if not isinstance(images, torch.Tensor):
            return
        first = self._first_batch.get(epoch - 1, images[:0])
        if epoch == 0 and "dropout-in-eval" not in self.silence:
            self._chance_in_evaluation(network, images[:_EXAMPLES])
        elif epoch == 1 and batches > 1 and torch.equal(first, images[:_EXAMPLES]):
            self.say(
                "unshuffled",
                "the first training batch of the second epoch is that of the first: shuffle the "
                "training data, for example with DataLoader(..., shuffle=True).",
            )
        self._first_batch = {epoch: images[:_EXAMPLES].clone()}

    def first_batches(self, batch: int, criterion: Any, logits: Tensor, targets: Tensor) -> None:
        """Look at outputs and targets of the first batches of the first epoch.

        Raises:
            TrainingError: a label has no output.
        """
        if takes_logits(criterion) and isinstance(logits, torch.Tensor):
            self._sigmoid(criterion, logits)
        if not is_for_classes(criterion) or getattr(logits, "ndim", 0) < 2:
            return
        if not is_of_ones_own(criterion) and "labels" not in self.silence:
            self.check_labels(criterion, targets, logits.shape[1])
        if batch < _FIRST_BATCHES and len(targets) >= 8 and bool((targets == targets[0]).all()):
            self._one_class += 1
            if self._one_class == _FIRST_BATCHES:
                self._say_one_class()
        self._softmax(criterion, logits.detach())

    def targets(self, metrics: Sequence[Any], criterion: Any, outputs: Any, targets: Any) -> None:
        """Look at the form of the targets of a first batch, before the loss does.

        Raises:
            TrainingError: the loss does not take such targets, or takes them in a way nobody
                means.
        """
        check_targets(criterion, outputs, targets)
        wrong = None if "labels" in self.silence else check_range(criterion, targets)
        if wrong is not None:
            self.say("labels", wrong)
            raise TrainingError(wrong)
        self._no_classes(metrics, criterion, outputs, targets)

    @contextlib.contextmanager
    def stretching(self, criterion: Any, outputs: Any, targets: Any) -> Iterator[None]:
        """Look at the shapes that a loss of one's own computes with."""
        if not (is_of_ones_own(criterion) and Stretching.is_possible(outputs, targets)):
            yield
            return
        with Stretching() as watch:
            yield
        if watch.seen:
            self.say(
                "shapes",
                f"the loss compares outputs of shape {tuple(outputs.shape)} with targets of shape "
                f"{tuple(targets.shape)}, every output with every target, so the network learns "
                "the mean of the targets: give both the same shape, for example by squeeze(1).",
            )

    def check_labels(self, criterion: Any, targets: Tensor, num_classes: int) -> None:
        """Look for class indices that have no logit, and that the criterion does not ignore.

        Raises:
            TrainingError: there are some, so that training cannot start.
        """
        if not are_indices(targets):
            return
        targets = targets[targets != ignored_index(criterion)]
        if not len(targets):
            return
        low, high = int(targets.min()), int(targets.max())
        if low < 0 or high >= num_classes:
            remedy = "count the classes from 0"
            if high >= num_classes:
                remedy += f", or give the network {high + 1} outputs"
            else:
                remedy += ", or have these left out: CrossEntropyLoss(ignore_index=...)"
            message = (
                f"labels must be in 0..{num_classes - 1} for a network of {num_classes} outputs, "
                f"received {low}..{high}: {remedy}."
            )
            self.say("labels", message)
            raise TrainingError(message)

    def gradients(self, batch: int, network: nn.Module, *, batches: float) -> None:
        """Look at the gradients of the first of an epoch's batches, after the backward pass."""
        trainable = {name: p for name, p in network.named_parameters() if p.requires_grad}
        self._moved |= {
            name for name, p in trainable.items() if p.grad is not None and bool(p.grad.any())
        }
        still = [name for name in trainable if name not in self._moved]
        looked_at = int(min(_FIRST_BATCHES, batches))
        if batch == looked_at - 1 and still:
            self.say(
                "no-gradient",
                f"{_names(still)} got no gradient in the first {looked_at} batches: they are "
                "not used in forward(), were detached, or every unit behind them is dead.",
            )

    def loss(self, losses: Sequence[float], step: int, learning_rate: float) -> None:
        """Look at the last ten losses or so: did they explode?"""
        recent = sum(losses) / len(losses)
        if self._first_loss is None:
            self._first_loss = losses[0]
        first = max(self._first_loss, 0.1)
        if recent > _EXPLODED * first:
            self.say(
                "exploding",
                f"the loss rose from {first:.3g} to {recent:.3g} by step {step}: the learning rate "
                f"{learning_rate:g} is too high; try {learning_rate / 10:g}, or "
                "find_learning_rate(trial).",
            )

    def in_evaluation(self, network: nn.Module) -> bool:
        """Return whether the network is in evaluation mode, at the first batch of an evaluation."""
        training = [name or "the network" for name, m in network.named_modules() if m.training]
        if training:
            self.say(
                "mode",
                f"{_names(training)} is in training mode while evaluating: does its train() or "
                "eval() call super()'s and return self?",
            )
        return not training

    def _say_one_class(self) -> None:
        seen = f"the first {_FIRST_BATCHES} training batches hold one class each"
        if self._shuffled:
            message = (
                f"{seen} though they are shuffled, so that the others are rare: take larger "
                "batches, or draw the classes evenly (with_images(..., balance='sampler'), or "
                "torch's WeightedRandomSampler)."
            )
        else:
            message = f"{seen}: the data is sorted by class; shuffle it."
        self.say("one-class", message)

    def _same_data(self, train: Any, name: str, other: Any) -> None:
        if isinstance(train, Batches) and isinstance(other, Batches):
            shared = overlap(train, other)
            if shared:
                self.say(
                    "same-data",
                    f"{shared:,} of the {len(other.labels):,} {name} images are training images "
                    "too: scores on them say nothing about new images; split the data again.",
                )
        elif same_data(train, other):
            self.say(
                "same-data",
                f"the {name} data is, or overlaps, the training data: scores on it say nothing "
                f"about new images; give the {name} generator data of its own.",
            )

    def _order(self, train: Any) -> None:
        sampler = sampler_of(train) if isinstance(train, DataLoader) else None
        unshuffled = (isinstance(train, Batches) and not train.shuffle) or (
            isinstance(sampler, SequentialSampler)
        )
        self._shuffled = isinstance(sampler, RandomSampler) or (
            isinstance(train, Batches) and not unshuffled
        )
        if unshuffled and len(train) > 1:
            self.say(
                "unshuffled",
                "the training batches come in the same order in every epoch: use shuffle=True.",
            )

    def _unknown_to_optimizer(self, network: nn.Module, optimizer: Any) -> None:
        known = {id(p) for group in optimizer.param_groups for p in group["params"]}
        unknown = [
            name for name, p in network.named_parameters() if p.requires_grad and id(p) not in known
        ]
        if unknown:
            self.say(
                "no-gradient",
                f"{_names(unknown)} will not change: the optimizer does not know them; make it "
                "from network.parameters() after the last change to the network, or freeze them.",
            )

    def _no_classes(
        self, metrics: Sequence[Any], criterion: Any, outputs: Any, targets: Any
    ) -> None:
        """Look for targets (B, K) that are no distributions where a class is counted."""
        if not isinstance(outputs, torch.Tensor) or not isinstance(targets, torch.Tensor):
            return
        if outputs.ndim != 2 or outputs.shape[1] < 2 or targets.shape != outputs.shape:
            return
        named = {metric for metric in metrics if isinstance(metric, str)}
        counting = sorted(named & _COUNTING_CLASSES)
        shares, bits = are_shares(targets), are_bits(targets)
        message = None
        if is_for_labels(criterion):
            message = _of_labels(named, targets, exclusive=shares)
        elif shares:
            return
        elif is_for_classes(criterion):
            message = (
                f"{name_of(criterion)} takes for each image the probabilities of the classes, "
                f"which sum to 1, received sums of {targets.sum(dim=1).min():.3g} to "
                f"{targets.sum(dim=1).max():.3g}: several labels of an image need "
                "nn.BCEWithLogitsLoss."
            )
        elif counting and bits:
            message = (
                f"the targets hold several labels of an image, of which {_quoted(counting)} counts "
                "the first alone: take 'binary_acc', 'subset_acc' or 'macro_f1'."
            )
        elif counting:
            message = (
                f"the targets are no classes, and {_quoted(counting)} tells how often output and "
                "target are highest at the same place: take 'mse', or a metric of torchmetrics."
            )
        if message is not None:
            self.say("targets", message)

    def _sigmoid(self, criterion: Any, outputs: Tensor) -> None:
        node = outputs.grad_fn
        while node is not None and node.name().startswith(_RESHAPING):
            node = node.next_functions[0][0]
        if node is not None and node.name().startswith("Sigmoid"):
            self.say(
                "softmax",
                f"the network's outputs are probabilities already, and {name_of(criterion)} takes "
                "their sigmoid again: remove the sigmoid from the end of the network.",
            )

    def _softmax(self, criterion: Any, logits: Tensor) -> None:
        if logits.ndim != 2:
            return
        if not is_cross_entropy(criterion):
            sums = logits.float().logsumexp(dim=1)  # 0 of logarithms of probabilities
            if not is_of_ones_own(criterion) and bool((sums.abs() > 0.1).any()):
                self.say(
                    "softmax",
                    f"{name_of(criterion)} takes the logarithms of probabilities, and the outputs "
                    "of the network are none: end it with nn.LogSoftmax(dim=1), or take "
                    "nn.CrossEntropyLoss, which has it in it.",
                )
            return
        if bool((logits >= 0).all()) and torch.allclose(
            logits.float().sum(dim=1), torch.ones(len(logits), device=logits.device), atol=1e-3
        ):
            self.say(
                "softmax",
                "the network's outputs are probabilities already, and CrossEntropyLoss takes "
                "their softmax again: remove the softmax from the end of the network.",
            )

    def _mode_in_training(self, network: nn.Module) -> None:
        if not network.training:
            self.say(
                "mode",
                "the network is in evaluation mode while training (dropout off, BatchNorm "
                "frozen): some code called network.eval(); call network.train() after it.",
            )

    def _chance_in_evaluation(self, network: nn.Module, images: Tensor) -> None:
        devices = [images.device] if images.is_cuda else []
        with evaluating(network), torch.no_grad(), same_random_numbers(*devices):
            if not self.in_evaluation(network):
                return
            first, second = network(images), network(images)
        if isinstance(first, torch.Tensor) and not torch.equal(
            first.nan_to_num(), second.nan_to_num()
        ):
            self.say(
                "dropout-in-eval",
                "in evaluation mode the network gives two answers to the same images: use "
                "nn.Dropout, or F.dropout(x, p, training=self.training).",
            )


def _of_labels(named: set[str], targets: Tensor, *, exclusive: bool) -> str | None:
    """Return what the accuracies in use say of targets (B, K) of a loss of yes and no."""
    tops = sorted(name for name in named & _COUNTING_CLASSES if name.startswith("top"))
    if exclusive:
        if not named & {"acc", "accuracy"} or tops:
            return None
        return (
            "the targets are one class for each image, and with a loss of yes and no 'acc' is the "
            f"share of single answers that are right, {1 - 1 / targets.shape[1]:.2f} for a no to "
            f"all {targets.shape[1]}: take 'top_1_acc', or class indices and nn.CrossEntropyLoss."
        )
    if tops:
        return (
            f"the targets hold several labels of an image, of which {_quoted(tops)} counts the "
            "first alone: take 'binary_acc', 'subset_acc' or 'macro_f1'."
        )
    if not named & {"acc", "accuracy"} or named & {"subset_acc", "macro_f1", "f1_by_label"}:
        return None
    none = (targets <= 0.5).float().mean().item()
    return (
        "the targets hold several labels of an image, and 'acc' is the share of single labels that "
        f"are right, {none:.2f} for an answer without any: 'subset_acc' counts the images of which "
        "all are right, 'macro_f1' is the mean F1 of the labels."
    )


def _quoted(names: Sequence[str]) -> str:
    return " and ".join(map(repr, names))


def _names(names: Sequence[str]) -> str:
    shown = ", ".join(names[:3])
    return shown if len(names) <= 3 else f"{shown} and {len(names) - 3} more"
