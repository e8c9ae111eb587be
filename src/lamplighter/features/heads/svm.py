"""A head of support vectors."""

from __future__ import annotations

from functools import partial
from itertools import product
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from lamplighter.features.heads.model_selection import (
    PROVEN_ON,
    Samples,
    Search,
    check_head,
    lot,
    on_every_core,
    sharpness,
)
from lamplighter.models.head_weights import HeadWeights

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lamplighter.features.heads.model_selection import Fold

COSTS = (10.0, 1.0)  # the usual one first
# Parts of 1 / (D x the mean variance of a feature), which scikit-learn calls "scale".
GAMMAS = (1 / 4, 1.0, 1 / 16)
MOST = 8000  # vectors that are learned from: their kernel takes half a gigabyte
_UNSEEN = 10.0  # how far a class without vectors stays below the mean of the others
_USUAL_SCALE = 4.0  # of decisions, which are about 1 and -1, where nothing can be tried


def search(samples: Samples, *, balanced: bool, seed: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what a head is to be learned with, and the search for it.

    Tried are C and gamma of the RBF kernel. The features are made 1 long, centred,
    and stretched so that their mean squared length is 1; gamma and C are for these.
    """
    tried = Search(samples, seed=seed)
    prepared = _prepared(tried.samples.vectors, *_scaling(tried.samples.vectors))
    for gamma in GAMMAS:
        kernel = _kernel(prepared, gamma)
        work = partial(_unseen, tried.samples, kernel, balanced)
        decisions = iter(on_every_core(work, product(COSTS, tried.folds)))
        for cost in COSTS:
            tried.add({"gamma": gamma, "C": cost}, [next(decisions) for _ in tried.folds])
    scale = sharpness(*tried.answers(), usual=_USUAL_SCALE)
    settings = tried.parameters | {"scale": scale, "balanced": balanced}
    return settings, tried.chosen(scale=round(scale, 4))


def learn(samples: Samples, settings: dict[str, Any]) -> HeadWeights:
    """Return a head that has learned with what a search found.

    Of more than 8,000 vectors a sample is learned from, stratified by class.
    """
    samples = samples.take(lot(samples.labels, MOST, seed=0))
    scaling = _scaling(samples.vectors)
    vectors = _prepared(samples.vectors, *scaling)
    kernel = _kernel(vectors, settings["gamma"])
    machines = _machines(samples, kernel, settings["C"], settings["balanced"])
    coefficients, intercepts = machines.coefficients, machines.intercepts
    support = np.flatnonzero(coefficients.any(axis=0))
    if not len(support):  # vectors that do not differ
        support = np.arange(1)
    parts = {
        "centre": scaling[0],
        "stretch": scaling[1],
        "vectors": vectors[support],
        "coefficients": settings["scale"] * coefficients[:, support],
        "intercepts": settings["scale"] * intercepts,
        "gamma": settings["gamma"],
    }
    weights = {name: np.asarray(value, dtype=np.float32) for name, value in parts.items()}
    head = HeadWeights("svm", weights, {"num_vectors": len(support)})
    check_head(head, samples.vectors[:PROVEN_ON], settings["scale"] * machines.said)
    return head


def _unit(vectors: NDArray[np.float32]) -> NDArray[np.float64]:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit: NDArray[np.float64] = vectors / np.maximum(lengths, 1e-12).astype(np.float64)
    return unit


def _scaling(vectors: NDArray[np.float32]) -> tuple[NDArray[np.float64], float]:
    """Return the mean (D,) and what makes the mean squared length of centred vectors 1."""
    unit = _unit(vectors)
    centre: NDArray[np.float64] = unit.mean(0)
    square = float(np.square(unit - centre).sum(1).mean())
    return centre, 1 / square**0.5 if square > 1e-12 else 1.0


def _prepared(
    vectors: NDArray[np.float32], centre: NDArray[np.float64], stretch: float
) -> NDArray[np.float64]:
    prepared: NDArray[np.float64] = (_unit(vectors) - centre) * stretch
    return prepared


def _kernel(vectors: NDArray[np.float64], gamma: float) -> NDArray[np.float64]:
    """Return the RBF kernel of N vectors with one another, (N, N)."""
    products: NDArray[np.float64] = vectors @ vectors.T
    lengths = np.diagonal(products).copy()
    products *= -2  # from here on in place: the matrix may take hundreds of megabytes
    products += lengths[:, np.newaxis]
    products += lengths
    np.maximum(products, 0, out=products)
    products *= -gamma
    return np.exp(products, out=products)


def _unseen(
    samples: Samples, kernel: NDArray[np.float64], balanced: bool, part: tuple[float, Fold]
) -> NDArray[np.float64]:
    """Return what machines of this C say of the rows of a fold that they have not seen, (n, K)."""
    cost, fold = part
    learned = samples.take(fold.train)
    own = np.ascontiguousarray(kernel[np.ix_(fold.train, fold.train)])
    machines = _machines(learned, own, cost, balanced, at_once=False)
    unseen = kernel[np.ix_(fold.test, fold.train)]
    decisions: NDArray[np.float64] = unseen @ machines.coefficients.T + machines.intercepts
    return decisions


class _Machines(NamedTuple):
    """A machine of scikit-learn for each of K classes, which have learned from N vectors.

    Attributes:
        coefficients: of each vector for each class, shape (K, N).
        intercepts: shape (K,).
        said: what scikit-learn decides of the first M vectors, shape (M, K).
    """

    coefficients: NDArray[np.float64]
    intercepts: NDArray[np.float64]
    said: NDArray[np.float64]


def _machines(
    samples: Samples,
    kernel: NDArray[np.float64],
    cost: float,
    balanced: bool,
    *,
    at_once: bool = True,
) -> _Machines:
    """Return what machines of this C have learned.

    A class without vectors follows the mean of the others, which never wins.
    """
    weights = samples.balancing()[samples.labels] if balanced else None

    def machine(label: int) -> tuple[NDArray[np.float64], float, NDArray[np.float64]]:
        from sklearn.svm import SVC

        one = SVC(C=cost, kernel="precomputed", cache_size=500)
        one.fit(kernel, samples.labels == label, sample_weight=weights)
        row = np.zeros(len(samples))
        row[one.support_] = one.dual_coef_[0]
        return row, float(one.intercept_[0]), one.decision_function(kernel[:PROVEN_ON])

    present = [int(label) for label in np.unique(samples.labels)]
    if len(present) == 2:  # what speaks for one speaks against the other
        row, intercept, said = machine(present[1])
        found = [(-row, -intercept, -said), (row, intercept, said)]
    else:
        found = on_every_core(machine, present) if at_once else [machine(c) for c in present]
    rows, offsets, decisions = (np.array(part) for part in zip(*found, strict=True))
    coefficients = np.tile(rows.mean(0), (samples.num_classes, 1))
    intercepts = np.full(samples.num_classes, offsets.mean() - _UNSEEN)
    said = np.tile(decisions.mean(0)[:, np.newaxis] - _UNSEEN, (1, samples.num_classes))
    coefficients[present], intercepts[present], said[:, present] = rows, offsets, decisions.T
    return _Machines(coefficients, intercepts, said)
