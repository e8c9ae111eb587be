"""The rungs of the ladder: kNN, SVM, linear, head, last blocks, full fine-tuning."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from lamplighter.errors import LamplighterError, TrainingError
from lamplighter.features.heads.fitting import HEADS, FittedHead
from lamplighter.inference.runtime import runtime
from lamplighter.models import registry
from lamplighter.models.head_weights import HeadWeights
from lamplighter.models.registry import STRATEGIES
from lamplighter.text import first_line
from lamplighter.transfer.context import (
    Context,
    Plan,
    begin,
    known_labels,
    note_seconds,
    planned,
    report_on,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from lamplighter.datasets.image_data import ImageData
    from lamplighter.evaluation.report import Report
    from lamplighter.models.classifier import Classifier
    from lamplighter.training.callbacks import Callback
    from lamplighter.training.view import TrialView

RUNGS = tuple(STRATEGIES)
NEED_TORCH = ("head", "blocks", "full")

_HEAD_EPOCHS, _HEAD_RATE, _HEAD_BATCH = 60, 3e-3, 32
_MOST_EPOCHS = {"blocks": 12, "full": 10}
_FEWEST_EPOCHS = 2
_RATES = {"blocks": 1e-3, "full": 1e-3}
_DECAYS = {"blocks": 0.7, "full": 0.7}
_BATCH = 32
_AT_ONCE = 100  # images that a tuned network answers at once


class BudgetSpentError(LamplighterError):
    """A rung does not fit into what is left of the budget; the message says what it needs."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Rung:
    """What one rung costs and gains.

    Attributes:
        name: one of `RUNGS`, or of a strategy that was registered.
        report: on the validation split.
        seconds: how long it took to learn, the features apart; what was done before a stop
            included.
        per_image: seconds to answer for one image, decoding apart; where the network itself has
            learned, those of the backbone, whose layers it has.
        details: what was chosen for it; plain JSON types.
        logits: of the validation images, shape (N, K).
        make: returns the classifier.
        fitted: its head on features; None where the network itself has learned.
    """

    name: str
    report: Report
    seconds: float
    per_image: float
    details: dict[str, Any]
    logits: NDArray[np.float32]
    make: Callable[[], Classifier]
    fitted: FittedHead | None = None

    @property
    def tuned(self) -> bool:
        """Whether the network itself has learned."""
        return self.fitted is None

    @property
    def summary(self) -> str:
        """What it does, in a few words."""
        return STRATEGIES.get(self.name) or registry.find(self.name, kind="strategy").summary

    def to_dict(self) -> dict[str, Any]:
        """Return its scores and costs as plain JSON types."""
        return {
            "name": self.name,
            "summary": self.summary,
            "validation": self.report.to_dict(),
            "training_seconds": self.seconds,
            "seconds_per_image": self.per_image,
            "details": self.details,
        }


def climb(name: str, context: Context) -> Rung:
    """Return what the rung `name` costs and gains.

    Raises:
        BudgetSpentError: the budget is spent, or the rung is known not to fit into the rest.
    """
    if time.monotonic() >= context.deadline:
        raise BudgetSpentError("the budget was used up before it could start")
    if name in HEADS:
        return _on_features(name, context, context.fitted(name))
    if name == "head" or name not in RUNGS:
        return _on_features(name, context, learned_head(name, context))
    return _tuned(name, context)


def _on_features(name: str, context: Context, fitted: FittedHead) -> Rung:
    start = time.perf_counter()
    logits = head_logits(fitted, context.val.vectors)
    per_image = context.backbone_seconds + (time.perf_counter() - start) / len(logits)
    return Rung(
        name=name,
        report=report_on(context.val, "val", logits, context.class_names),
        seconds=fitted.seconds,
        per_image=per_image,
        details=fitted.chosen,
        logits=logits,
        make=lambda: context.classifier_with(fitted, context.class_names),
        fitted=fitted,
    )


def head_logits(fitted: FittedHead, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return what a head says of feature vectors (N, D), shape (N, K)."""
    return fitted.head.logits(vectors).astype(np.float32)


def learned_head(name: str, context: Context) -> FittedHead:
    """Return the head of "head", or of a strategy that was registered, without a search before.

    Raises:
        TrainingError: a strategy fails, or what it returns is no head for these features.
    """
    return _trained_head(context) if name == "head" else _registered_head(name, context)


def _registered_head(name: str, context: Context) -> FittedHead:
    """Return the head that a strategy which was registered learns from the training features.

    Raises:
        TrainingError: it fails, or what it returns is no head for these features and classes.
    """
    strategy = registry.find(name, kind="strategy").load()
    vectors, count = context.train.vectors, len(context.class_names)
    start = time.perf_counter()
    try:
        head = strategy(vectors, known_labels(context.train, context.class_names), count)
    except LamplighterError:
        raise
    except Exception as error:  # whatever the code of others raises
        raise TrainingError(
            f"the strategy {name!r} failed: {type(error).__name__}: {first_line(error)}"
        ) from error
    seconds = time.perf_counter() - start
    if not isinstance(head, HeadWeights):
        raise TrainingError(
            f"the strategy {name!r} must return HeadWeights, received a {type(head).__name__}."
        )
    sizes, wanted = (head.num_features, head.num_classes), (vectors.shape[1], count)
    if sizes != wanted:
        raise TrainingError(
            f"the strategy {name!r} must return a head for {wanted[0]:,} features and {wanted[1]} "
            f"classes, received one for {sizes[0]:,} and {sizes[1]}."
        )
    return FittedHead(head, {"strategy": name}, seconds)


def _trained_head(context: Context) -> FittedHead:
    """Return a new last layer, trained from scratch on the features."""
    import torch
    from torch import nn

    from lamplighter.models.head_weights import of_module
    from lamplighter.models.heads import LinearHead
    from lamplighter.training.balancing import class_weights
    from lamplighter.training.callbacks import LabelSmoothing, OneCycle, on_epoch_end
    from lamplighter.training.loaders import seed_all
    from lamplighter.training.trial import Trial, load_engine

    load_engine()  # not counted: it is loaded once for all trials
    start = time.perf_counter()
    seed_all(context.seed)
    count = len(context.class_names)
    head = LinearHead(context.train.vectors.shape[1], count)
    labels = known_labels(context.train, context.class_names)
    weights = class_weights(labels, count) if context.balanced else None
    # Fitted by gradient descent, features of one scale are learned from sooner.
    mean, std = context.train.vectors.mean(axis=0), float(context.train.vectors.std())
    scaled = torch.from_numpy((context.train.vectors - mean) / std)
    ends: list[float] = []

    @on_epoch_end
    def check_budget(_: TrialView) -> None:
        # The first epoch sets things up as well, so that the second tells what the others take.
        ends.append(time.monotonic())
        if len(ends) == 2:
            epoch, others, left = ends[1] - ends[0], _HEAD_EPOCHS - 2, context.deadline - ends[1]
            if others * epoch > left:
                raise _over_budget(epoch, others, left)

    trial = Trial(
        head,
        torch.optim.AdamW(head.parameters(), lr=_HEAD_RATE, weight_decay=0.02),
        nn.CrossEntropyLoss(weight=weights),
        metrics=["loss", "acc"],
        callbacks=[OneCycle(None), LabelSmoothing(0.05), check_budget, _telling(context)],
        verbose=0,
        seed=context.seed,
    ).with_train_data(scaled, torch.from_numpy(labels), batch_size=_HEAD_BATCH)
    trial.with_trainer(devices=1, accelerator="cpu").run(_HEAD_EPOCHS)
    with torch.no_grad():  # the scale becomes part of the weights
        head.weight.div_(std)
        head.bias.sub_(head.weight @ torch.from_numpy(mean))
    chosen = {"epochs": _HEAD_EPOCHS, "learning_rate": _HEAD_RATE, "balanced": context.balanced}
    learned = of_module(head)
    assert learned is not None  # it is linear
    return FittedHead(learned, chosen, time.perf_counter() - start)


def _tuned(name: str, context: Context) -> Rung:
    """Return the rung whose last block, or all of it, is fine-tuned, from the linear head on."""
    from lamplighter.inference.predictor import predict_pixels

    tuned = fine_tuned(name, context, folder=name)
    logits = predict_pixels(tuned.classifier, context.pixels()["val"].images).logits
    return Rung(
        name=name,
        report=report_on(context.val, "val", logits, context.class_names),
        seconds=tuned.seconds,
        per_image=context.backbone_seconds,
        details=tuned.details,
        logits=logits,
        make=lambda: tuned.classifier,
    )


@dataclass(frozen=True, eq=False)
class Tuned:
    """A classifier whose network has learned, how long that took, and with what."""

    classifier: Classifier
    seconds: float
    details: dict[str, Any]


def fine_tuned(name: str, context: Context, *, folder: str, epochs: int | None = None) -> Tuned:
    """Return what the rung `name`, one that tunes the network, makes of the training images.

    Args:
        name: "blocks" or "full".
        context: what it stands on.
        folder: where within the context's its checkpoint is kept.
        epochs: of how many it is; by default as many as are of use and fit into the budget.
    """
    from lamplighter.datasets.augmentation import photo_augmentation
    from lamplighter.training.callbacks import on_epoch_end
    from lamplighter.training.trial import load_engine
    from lamplighter.transfer.fine_tuning import fine_tune

    load_engine()
    start = time.perf_counter()
    classifier = context.classifier_with(context.fitted("linear"), context.class_names)
    data = context.pixels()
    since = None if name == "full" else _last_block(classifier)
    place = context.folder / folder if context.folder is not None else None
    plan = planned(place, context) if context.resume else None
    resume = plan is not None
    if plan is None:
        plan = Plan(epochs or _affordable(name, context, classifier, data, since))
        begin(place, context, plan.epochs)
    start -= plan.seconds  # of the part that was done before a stop

    @on_epoch_end
    def keep_time(_: TrialView) -> None:
        if place is not None:
            note_seconds(place, time.perf_counter() - start)

    rates = {"learning_rate": _RATES[name], "decay": _DECAYS[name]}
    fine_tune(
        classifier,
        data,
        since=since,
        epochs=plan.epochs,
        **rates,
        batch_size=_BATCH,
        augmentation=photo_augmentation() if name == "full" else None,
        balanced=context.balanced,
        seed=context.seed,
        folder=place,
        resume=resume,
        callbacks=[keep_time, _telling(context)],
        verbose=context.watch.verbose,
    )
    details = {"since": since, "epochs": plan.epochs, **rates, "augmented": name == "full"}
    return Tuned(classifier, time.perf_counter() - start, details)


def _telling(context: Context) -> Callback:
    """Return the callback that tells the watch of each epoch."""
    from lamplighter.training.callbacks import on_epoch_end

    @on_epoch_end
    def tell(view: TrialView) -> None:
        context.watch.epoch_done(view.epoch, view.epochs, view.metrics)

    return tell


def own_answers(
    classifier: Classifier, context: Context, split: str
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return what a tuned network says of a split, (N, K), and its features, (N, D)."""
    wanted, images = classifier.preprocessing, context.pixels()[split].images
    compute = runtime(classifier)
    parts = [
        compute.with_features(wanted.normalise(images[start : start + _AT_ONCE]))
        for start in range(0, len(images), _AT_ONCE)
    ]
    logits, vectors = zip(*parts, strict=True)
    return np.concatenate(logits), np.concatenate(vectors)


def _last_block(classifier: Classifier) -> str:
    """Return the first stage of the last block with what follows it.

    That is one residual block or the like: the last two stages before the head.
    """
    from lamplighter.transfer.freezing import members_of

    names = [name for name, _ in members_of(classifier.read_network())]
    return names[max(0, len(names) - 3)]


def _affordable(
    name: str, context: Context, classifier: Classifier, data: ImageData, since: str | None
) -> int:
    """Return how many epochs fit into the budget, at most as many as are of use."""
    from lamplighter.datasets.augmentation import photo_augmentation
    from lamplighter.transfer.fine_tuning import seconds_per_step

    steps = -(-len(data["train"]) // _BATCH)
    changes = photo_augmentation() if since is None else None
    epoch = steps * seconds_per_step(
        classifier, data, since=since, batch_size=_BATCH, augmentation=changes
    )
    measured = len(data["val"]) * context.backbone_seconds
    left = context.deadline - time.monotonic()
    if since is None:
        epoch += measured
    else:  # what comes before is computed once
        left -= len(data["train"]) * context.backbone_seconds + measured
    epochs = min(_MOST_EPOCHS[name], int(left / epoch)) if epoch else _MOST_EPOCHS[name]
    if epochs < _FEWEST_EPOCHS:
        raise _over_budget(epoch, _MOST_EPOCHS[name], left)
    return epochs


def _over_budget(epoch: float, epochs: int, left: float) -> BudgetSpentError:
    """Return the error on epochs that take longer than the time that is left."""
    left = max(0.0, left)
    return BudgetSpentError(
        f"an epoch takes about {spoken(epoch)}, and {spoken(left)} of the budget are "
        f"left; for {epochs} epochs add about {spoken(epochs * epoch - left)} to the "
        "budget"
    )


def spoken(seconds: float) -> str:
    """Return a time in words, as exact as it is of use."""
    if seconds < 1:
        return f"{seconds:.2g} s"
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.1f} min"
