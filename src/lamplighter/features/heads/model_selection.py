"""Cross-validated search for a head's parameters."""

from __future__ import annotations

import functools
import warnings
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from lamplighter.errors import DatasetError, ParityError
from lamplighter.evaluation.calibration import fit_temperature, softmax
from lamplighter.evaluation.metrics import confusion_matrix, macro_f1
from lamplighter.inference.runtime import head_logits
from lamplighter.machine import usable_cores
from lamplighter.saving.head_graphs import standalone_graph

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from numpy.typing import NDArray

    from lamplighter.models.head_weights import HeadWeights

_Part = TypeVar("_Part")
_Result = TypeVar("_Result")

FOLDS = 3
_LEAD = 4.0
PROVEN_ON = 64  # vectors that a head and the library that it was learned with are compared on
_NEAR = 0.01  # how far a probability may differ there: float32 against float64, and no more
MOST = 2000  # vectors that a search looks at; the head itself learns from all


@dataclass(frozen=True)
class Samples:
    """What a head learns from.

    Attributes:
        vectors: features, float32 (N, D), finite.
        labels: their classes, int64 (N,), 0..K - 1; two or more different ones.
        num_classes: K.
        groups: what must stay together in a fold, int64 (N,); None if nothing must.
    """

    vectors: NDArray[np.float32]
    labels: NDArray[np.int64]
    num_classes: int
    groups: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, rows: NDArray[np.intp]) -> Samples:
        """Return these rows alone."""
        groups = None if self.groups is None else self.groups[rows]
        return Samples(self.vectors[rows], self.labels[rows], self.num_classes, groups)

    def balancing(self, power: float = 1.0) -> NDArray[np.float64]:
        """Return a weight for each class, (N / P count)^power for P classes that are there."""
        counts = np.bincount(self.labels, minlength=self.num_classes)
        there = (counts > 0).sum()
        weights: NDArray[np.float64] = (len(self) / (there * np.maximum(counts, 1))) ** power
        return weights


@dataclass(frozen=True)
class Fold:
    """One part of a cross-validation.

    Attributes:
        train: rows to learn from.
        test: rows to be tried on.
    """

    train: NDArray[np.intp]
    test: NDArray[np.intp]


class Search:
    """Parameters are tried by cross-validation; those of the best macro-F1 are chosen.

    The folds are stratified by class and keep groups together. There may be none, where each
    class has one vector only or all are of one group: then the first parameters are chosen.

    Args:
        samples: what the head will learn from; of more than 2,000 some are taken by lot, so many
            of each class as is its share.
        seed: of the lot and the folds.

    Attributes:
        samples: what is searched with.
        folds: at most 3.
    """

    def __init__(self, samples: Samples, *, seed: int) -> None:
        self.samples = samples.take(lot(samples.labels, MOST, seed=seed))
        self.folds = folds_of(self.samples, seed=seed)
        self._rows: list[dict[str, Any]] = []
        self._tried: list[dict[str, Any]] = []
        self._best: tuple[float, int, NDArray[np.float64] | None] = (-1.0, 0, None)

    def add(self, parameters: dict[str, Any], decisions: Sequence[NDArray[np.floating]]) -> None:
        """Note how `parameters` did: a score for each class (n, K), for the rows of each fold."""
        scores = [
            macro_f1(
                confusion_matrix(
                    self.samples.labels[fold.test], given.argmax(1), self.samples.num_classes
                )
            )
            for fold, given in zip(self.folds, decisions, strict=True)
        ]
        mean = float(np.mean(scores)) if scores else None
        self._tried.append(parameters)
        self._rows.append(
            parameters
            | {
                "macro_f1": None if mean is None else round(mean, 4),
                "spread": None if mean is None else round(float(np.std(scores)), 4),
            }
        )
        if mean is not None and mean > self._best[0]:  # of equal ones the first
            self._best = mean, len(self._rows) - 1, np.concatenate(decisions).astype(np.float64)

    @property
    def parameters(self) -> dict[str, Any]:
        """The best parameters."""
        return self._tried[self._best[1]]

    def answers(self) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Return what the best parameters gave for rows they had not seen, and their classes.

        Rows of a class that was not in their training are left out: a head with all the data
        knows each class.

        Returns:
            Scores (n, K) and labels (n,); n is 0 where there are no folds.
        """
        labels = self.samples.labels
        if self._best[2] is None:
            return np.zeros((0, self.samples.num_classes)), labels[:0]
        seen = [np.isin(labels[fold.test], labels[fold.train]) for fold in self.folds]
        true = np.concatenate([labels[fold.test] for fold in self.folds])
        known = np.concatenate(seen)
        return self._best[2][known], true[known]

    def chosen(self, **more: Any) -> dict[str, Any]:
        """Return the parameters, how they did and all that was tried, in plain JSON types."""
        best = self._rows[self._best[1]]
        return {
            "parameters": self.parameters | more,
            "macro_f1": best["macro_f1"],
            "spread": best["spread"],
            "folds": len(self.folds),
            "grouped": self.samples.groups is not None,
            "vectors": len(self.samples),
            "grid": self._rows,
        }


def on_every_core(work: Callable[[_Part], _Result], parts: Iterable[_Part]) -> list[_Result]:
    """Return what `work` makes of each part, in their order, on as many threads as cores.

    scikit-learn fits outside of Python's lock, with one thread of BLAS.
    """
    with ThreadPoolExecutor(usable_cores()) as pool:
        return list(pool.map(work, parts))


def check_head(
    head: HeadWeights, vectors: NDArray[np.float32], said: NDArray[np.floating[Any]]
) -> None:
    """Refuse a head whose ONNX graph does not answer as the library that it was learned with.

    Args:
        head: features (M, D) -> logits (M, K).
        vectors: M that it has learned from.
        said: the logits of the library, shape (M, K).

    Raises:
        ParityError: a probability differs by more than 0.01.
    """
    logits = head_logits(standalone_graph(head), vectors)
    difference = float(np.abs(softmax(logits) - softmax(said)).max())
    if not difference <= _NEAR:  # of NaN as well
        raise ParityError(
            "a head must give the probabilities of the library that it was learned with within "
            f"{_NEAR}, received a difference of {difference:.2g} on {len(vectors)} of its images; "
            "are some features very much larger than the others?"
        )


def sharpness(
    decisions: NDArray[np.float64], labels: NDArray[np.int64], *, usual: float = 1.0
) -> float:
    """Return what decisions are to be multiplied by to make the most likely probabilities.

    Where all are right no factor is the most likely one; then the first class leads the second by
    4 in the median, which is about 98 to 2.

    Args:
        decisions: of rows that were not learned from, shape (n, K).
        labels: their classes, shape (n,).
        usual: what it is where there is no row, or none differs from another.
    """
    first_two = np.sort(decisions, axis=1)[:, -2:]
    lead = float(np.median(first_two[:, 1] - first_two[:, 0])) if len(labels) else 0.0
    if lead <= 0:
        return usual
    return _LEAD / lead / fit_temperature(decisions * _LEAD / lead, labels)


def lot(labels: NDArray[np.int64], most: int, *, seed: int) -> NDArray[np.intp]:
    """Return all rows or, of more than `most`, some by lot: of each class its share, in order."""
    if len(labels) <= most:
        return np.arange(len(labels))
    rng = np.random.default_rng(seed)
    kept = []
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        kept.append(rng.permutation(rows)[: -(-len(rows) * most // len(labels))])
    return np.sort(np.concatenate(kept))


def numbered_groups(groups: Sequence[str] | None, count: int) -> NDArray[np.int64] | None:
    """Return a number for each name, and one of its own for each "", or None if all are "".

    Raises:
        DatasetError: there are not as many groups as vectors.
    """
    if groups is None or not any(groups):
        return None
    if len(groups) != count:
        raise DatasetError(
            f"each vector needs its group, received {len(groups)} groups for {count} vectors."
        )
    names = {name: index for index, name in enumerate(dict.fromkeys(groups))}
    return np.array(
        [names[name] if name else len(names) + row for row, name in enumerate(groups)],
        dtype=np.int64,
    )


def folds_of(samples: Samples, *, parts: int = FOLDS, seed: int) -> list[Fold]:
    """Return at most so many folds, stratified by class, groups kept together; maybe none."""
    groups = None if samples.groups is None else samples.groups.tobytes()
    return list(_folds(samples.labels.tobytes(), groups, parts, seed))


@functools.lru_cache(maxsize=8)  # each kind of head asks for the same, and groups take a while
def _folds(labels_: bytes, groups_: bytes | None, parts: int, seed: int) -> tuple[Fold, ...]:
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

    labels = np.frombuffer(labels_, dtype=np.int64)
    groups = None if groups_ is None else np.frombuffer(groups_, dtype=np.int64)
    parts = min(parts, int(np.bincount(labels).max()))
    if groups is not None:
        parts = min(parts, len(np.unique(groups)))
    if parts < 2:
        return ()
    kind = StratifiedKFold if groups is None else StratifiedGroupKFold
    splitter = kind(parts, shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        # Rare classes are in some folds only, which is as it must be.
        warnings.filterwarnings("ignore", message="The least populated class")
        pairs = list(splitter.split(np.zeros(len(labels)), labels, groups))
    folds = [Fold(train, test) for train, test in pairs]
    return tuple(
        fold for fold in folds if len(fold.test) and len(np.unique(labels[fold.train])) > 1
    )
