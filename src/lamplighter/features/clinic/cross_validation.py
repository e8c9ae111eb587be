"""Probabilities of images by a linear head that has not learned from them, nor from their copies.

The head is a linear discriminant: one solution of linear equations for each fold, where a logistic
regression takes hundreds of steps.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from lamplighter.evaluation.calibration import fit_temperature, softmax
from lamplighter.features.heads import linear
from lamplighter.features.heads.model_selection import Samples, lot

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from lamplighter.models.head_weights import HeadWeights

FOLDS = 5
_LEARNED = 20_000  # vectors that one head learns from at most: 0.1 GB for 1,280 numbers each
_AT_ONCE = 2_000_000  # probabilities in memory: 16 MB
_METHODS = ("discriminant",)


class OutOfFold:
    """Heads that have each learned from all folds but one, and answer for that one.

    Args:
        samples: N vectors, their labels, and their groups, which stay in one fold.
        seed: of the folds and the search.

    Attributes:
        folds: the fold of each row, shape (N,).
        known: whether the head that answers for a row has learned its class, shape (N,).
        settings: what the heads are learned with: the search's choice on all folds together.
        temperature: what logits are divided by.
    """

    def __init__(self, samples: Samples, *, seed: int) -> None:
        self._samples, self._seed = samples, seed
        self.settings, _ = linear.search(samples, balanced=False, seed=seed, methods=_METHODS)
        self.folds = assign_folds(samples.labels, samples.groups, parts=FOLDS, seed=seed)
        self.known = np.zeros(len(samples), dtype=bool)
        self._heads: dict[int, HeadWeights] = {}
        for fold in np.unique(self.folds):
            inside, outside = self.folds == fold, np.flatnonzero(self.folds != fold)
            classes = np.unique(samples.labels[outside])
            if len(classes) < 2:
                continue
            self._heads[int(fold)] = learned_head(samples, outside, self.settings, seed=seed)
            self.known |= inside & np.isin(samples.labels, classes)
        self.temperature = self._fitted_temperature()

    def blocks(self) -> Iterator[tuple[NDArray[np.intp], NDArray[np.float64]]]:
        """Yield rows that are known, and their probabilities (n, K)."""
        for fold, head in self._heads.items():
            rows = np.flatnonzero(self.known & (self.folds == fold))
            for part in in_blocks(rows, self._samples.num_classes):
                yield part, softmax(head.logits(self._samples.vectors[part]), self.temperature)

    def _fitted_temperature(self) -> float:
        """Return the temperature that makes the labels most likely, on a sample of the rows."""
        labels, known = self._samples.labels, np.flatnonzero(self.known)
        if not len(known):
            return 1.0
        most = max(1, _AT_ONCE // self._samples.num_classes)
        rows = known[lot(labels[known], most, seed=self._seed)]
        logits = np.empty((len(rows), self._samples.num_classes))
        for fold, head in self._heads.items():
            own = self.folds[rows] == fold
            logits[own] = head.logits(self._samples.vectors[rows[own]])
        return fit_temperature(logits, labels[rows])


def learned_head(
    samples: Samples, rows: NDArray[np.intp], settings: dict[str, Any], *, seed: int
) -> HeadWeights:
    """Return a head that has learned from `rows`, of many of them from some by lot."""
    chosen = rows[lot(samples.labels[rows], _LEARNED, seed=seed)]
    return linear.learn(samples.take(chosen), settings)


def in_blocks(rows: NDArray[np.intp], num_classes: int) -> Iterator[NDArray[np.intp]]:
    """Yield `rows` in parts whose probabilities take 16 MB at most."""
    step = max(1, _AT_ONCE // num_classes)
    for start in range(0, len(rows), step):
        yield rows[start : start + step]


@dataclass
class _Filling:
    """How full each of F folds is.

    Attributes:
        of_class: rows of each class, shape (K, F).
        total: rows, shape (F,).
    """

    of_class: NDArray[np.int64]
    total: NDArray[np.int64]

    def place(self, labels: NDArray[np.int64]) -> int:
        """Return the fold with the least of these classes, of equal ones the emptiest; fill it."""
        own = self.of_class[labels].sum(0)
        fold = int(np.lexsort((self.total, own))[0])
        np.add.at(self.of_class[:, fold], labels, 1)
        self.total[fold] += len(labels)
        return fold


def assign_folds(
    labels: NDArray[np.int64], groups: NDArray[np.int64] | None, *, parts: int, seed: int
) -> NDArray[np.int64]:
    """Return the fold of each row, stratified by class, groups kept together.

    The largest groups are placed first, each into the fold that has least of its classes. Unlike
    scikit-learn's StratifiedGroupKFold it needs no table of all groups by all classes, which of
    100,000 images of 1,000 classes takes 0.8 GB; and the images of a class lie in as many folds
    as they can, so that one of two images is learned from while the other is asked for.

    Args:
        labels: classes, shape (N,).
        groups: what must stay together, shape (N,); None if nothing must.
        parts: the most folds.
        seed: of the order among groups of one size.

    Returns:
        Numbers in 0..parts - 1, shape (N,).
    """
    filling = _Filling(
        np.zeros((int(labels.max(initial=0)) + 1, parts), dtype=np.int64),
        np.zeros(parts, dtype=np.int64),
    )
    numbers = (
        np.arange(len(labels)) if groups is None else np.unique(groups, return_inverse=True)[1]
    )
    order = np.argsort(numbers, kind="stable")
    sizes = np.bincount(numbers)
    members = np.split(order, np.cumsum(sizes)[:-1])
    lottery = np.random.default_rng(seed).permutation(len(sizes))
    folds = np.empty(len(labels), dtype=np.int64)
    for number in lottery[np.argsort(-sizes[lottery], kind="stable")]:
        rows = members[number]
        folds[rows] = filling.place(labels[rows])
    return folds
