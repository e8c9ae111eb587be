"""Refitting the chosen method on training and validation images together.

What was held out to choose by need not stay unlearned. The temperature and the threshold of
"unknown" come from images that whatever answered them had not learned from: of a head on features
from cross-validation, as in scikit-learn's `CalibratedClassifierCV(ensemble=False)` (Platt, 1999,
Advances in Large Margin Classifiers, 61-74); of what takes longer from the validation images before
it learned again.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from lamplighter.datasets.image_data import ImageData, Split
from lamplighter.evaluation.open_set import distances, make_reference
from lamplighter.features.heads.fitting import HEADS, FittedHead, fit_again
from lamplighter.features.heads.model_selection import Samples, folds_of, numbered_groups
from lamplighter.transfer.context import known_labels
from lamplighter.transfer.strategies import (
    BudgetSpentError,
    Rung,
    fine_tuned,
    head_logits,
    learned_head,
    own_answers,
    spoken,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from lamplighter.models.classifier import Classifier
    from lamplighter.transfer.context import Context

_FOLDS = 3  # of the training images; the validation images are one more
_BELOW = 20.0  # how far below all others the score of a class is that a head did not know


@dataclass(frozen=True, eq=False, kw_only=True)
class HeldOut:
    """What is known of N images from something that had not learned from them.

    Attributes:
        logits: shape (N, K), of the classes after learning again.
        labels: their classes, shape (N,); -1 where what answered had not learned the class.
        distances: to the nearest image that what answered had learned from, 0..2, shape (N,).
        source: where these are from, in words.
    """

    logits: NDArray[np.float32]
    labels: NDArray[np.int64]
    distances: NDArray[np.float32]
    source: str


@dataclass(frozen=True, eq=False, kw_only=True)
class Refit:
    """The chosen rung after it has learned again.

    Attributes:
        images: how many it has learned from.
        seconds: how long that took, cross-validation included.
        class_names: the K classes that have a training or a validation image.
        classifier: with them, without its trust.
        fitted: its head; None where the network itself has learned.
        held_out: what temperature and threshold are measured by.
    """

    images: int
    seconds: float
    class_names: tuple[str, ...]
    classifier: Classifier
    fitted: FittedHead | None
    held_out: HeldOut


def refit(rung: Rung, context: Context) -> Refit:
    """Return the rung after it has learned from training and validation images.

    The parameters that were searched for, and the number of epochs, stay as they are.

    Raises:
        BudgetSpentError: it would take longer than what is left of the budget.
    """
    both = context.both
    pooled = replace(
        context, train=both, class_names=both.files.classes_present(), pixels=_Pooled(context)
    )
    _check_time(rung, context)
    start = time.perf_counter()
    if rung.name in HEADS:
        assert rung.fitted is not None
        labels = known_labels(both, pooled.class_names)
        fitted = fit_again(rung.fitted, both.vectors, labels, len(pooled.class_names))
        held_out = _cross_validated(rung, context, pooled)
    elif rung.fitted is not None:
        fitted = learned_head(rung.name, pooled)
        held_out = _before(rung, context, pooled)
    else:
        held_out = _before(rung, context, pooled)  # the network of before is not kept beside it
        classifier = fine_tuned(
            rung.name, pooled, epochs=rung.details["epochs"], folder=f"{rung.name}-refit"
        ).classifier
        fitted = None
    if fitted is not None:
        classifier = context.classifier_with(fitted, pooled.class_names)
    return Refit(
        images=len(both),
        seconds=time.perf_counter() - start,
        class_names=pooled.class_names,
        classifier=classifier,
        fitted=fitted,
        held_out=held_out,
    )


def _check_time(rung: Rung, context: Context) -> None:
    """Refuse what would take minutes that are not left; heads on features take a second."""
    if rung.name in HEADS:
        return
    needed = rung.seconds * len(context.both) / len(context.train)
    left = max(0.0, context.deadline - time.monotonic())
    if needed > left:
        raise BudgetSpentError(
            f"it takes about {spoken(needed)}, and {spoken(left)} of the budget are "
            f"left; add about {spoken(needed - left)} to the budget"
        )


class _Pooled:
    """Gives the training and validation images as one training split."""

    def __init__(self, context: Context) -> None:
        self._pixels = context.pixels

    def __call__(self) -> ImageData:
        data = self._pixels()
        parts = [data["train"], data["val"]]
        whole = Split(
            np.concatenate([part.images for part in parts]),
            np.concatenate([part.labels for part in parts]),
            (*parts[0].paths, *parts[1].paths),
        )
        return ImageData(
            {"train": whole}, data.class_names, preprocessing=data.preprocessing, name=data.name
        )


def _cross_validated(rung: Rung, context: Context, pooled: Context) -> HeldOut:
    """Return what heads with the same parameters say of images that they did not learn from.

    The validation images are a fold of their own, since they may be of other days or places than
    the training images, as the images to come will be. Groups are kept together.
    """
    assert rung.fitted is not None
    both, names = pooled.train, pooled.class_names
    labels = known_labels(both, names)
    count = len(context.train)
    first = np.arange(count)
    logits = np.empty((len(both), len(names)), dtype=np.float32)
    apart = np.empty(len(both), dtype=np.float32)
    seen = np.zeros(len(both), dtype=bool)

    own = np.arange(count, len(both))
    logits[own] = _widened(rung.logits, context.class_names, names)
    apart[own] = _distances(context, pooled, learned=first, asked=own)
    seen[own] = np.isin(labels[own], labels[first])
    for asked in _parts(context, labels[first]):
        learned = _others(both.files.groups, asked)
        if len(np.unique(labels[learned])) < 2:
            continue
        fitted = fit_again(rung.fitted, both.vectors[learned], labels[learned], len(names))
        logits[asked] = head_logits(fitted, both.vectors[asked])
        apart[asked] = _distances(context, pooled, learned=learned, asked=asked)
        seen[asked] = np.isin(labels[asked], labels[learned])
        own = np.concatenate([own, asked])
    return HeldOut(
        logits=logits[own],
        labels=np.where(seen, labels, -1)[own],
        distances=apart[own],
        source="cross-validation on training and validation images",
    )


def _parts(context: Context, labels: NDArray[np.int64]) -> list[NDArray[np.intp]]:
    """Return the rows of each fold of the training images."""
    groups = numbered_groups(context.train.files.groups, len(context.train))
    samples = Samples(context.train.vectors, labels, int(labels.max()) + 1, groups)
    return [fold.test for fold in folds_of(samples, parts=_FOLDS, seed=context.seed)]


def _others(groups: Sequence[str], asked: NDArray[np.intp]) -> NDArray[np.intp]:
    """Return the rows that are not asked for, nor of a group of those that are."""
    taken = {groups[row] for row in asked} - {""}
    rows = set(asked.tolist())
    return np.array(
        [row for row, group in enumerate(groups) if row not in rows and group not in taken],
        dtype=np.intp,
    )


def _distances(
    context: Context, pooled: Context, *, learned: NDArray[np.intp], asked: NDArray[np.intp]
) -> NDArray[np.float32]:
    vectors, labels = pooled.train.vectors, known_labels(pooled.train, pooled.class_names)
    reference = make_reference(
        vectors[learned], labels[learned], len(pooled.class_names), seed=context.seed
    )
    return distances(vectors[asked], reference)


def _before(rung: Rung, context: Context, pooled: Context) -> HeldOut:
    """Return what the rung said of the validation images before it learned again."""
    train, val = context.train.vectors, context.val.vectors
    if rung.tuned:
        classifier = rung.make()
        train, val = (own_answers(classifier, context, split)[1] for split in ("train", "val"))
    labels = known_labels(context.train, context.class_names)
    reference = make_reference(train, labels, len(context.class_names), seed=context.seed)
    known = known_labels(context.val, context.class_names) >= 0
    return HeldOut(
        logits=_widened(rung.logits, context.class_names, pooled.class_names),
        labels=np.where(known, known_labels(context.val, pooled.class_names), -1),
        distances=distances(val, reference),
        source="the validation images, before it was trained on them",
    )


def _widened(
    logits: NDArray[np.float32], before: Sequence[str], after: Sequence[str]
) -> NDArray[np.float32]:
    """Return logits of the classes `before` as such of the classes `after`, shape (N, K)."""
    wide = np.repeat(logits.min(axis=1, keepdims=True) - _BELOW, len(after), axis=1)
    wide[:, [after.index(name) for name in before]] = logits
    return wide.astype(np.float32)
