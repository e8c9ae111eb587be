"""A head of nearest neighbours."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lamplighter.features.heads.model_selection import PROVEN_ON, Search, check_head
from lamplighter.models.head_weights import TIED, WEIGHTS, HeadWeights, nearest, voted
from lamplighter.models.reliability import unit_length

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lamplighter.features.heads.model_selection import Fold, Samples

NEIGHBOURS = (1, 3, 5, 10, 20, 40)
_BALANCING = (0.5, 1.0)  # powers of the inverse class frequency
_SMOOTHING = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3)
_USUAL = 0.01


def search(samples: Samples, *, balanced: bool, seed: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what a head is to be learned with, and the search for it.

    Tried are how many neighbours vote, how, and, if `balanced`, how far rare classes are raised;
    then `smoothing` is chosen for the likelihood of the answers that cross-validation gave.
    """
    tried = Search(samples, seed=seed)
    grid = _grid(len(samples), balanced)
    found = [_shares(tried.samples, fold, grid) for fold in tried.folds]
    for index, parameters in enumerate(grid):
        tried.add(parameters, [shares[index] for shares in found])
    smoothing = _smoothing(*tried.answers())
    return tried.parameters | {"smoothing": smoothing}, tried.chosen()


def learn(samples: Samples, settings: dict[str, Any]) -> HeadWeights:
    """Return a head that has learned with what a search found."""
    head = _head(samples, settings, settings["smoothing"])
    few = samples.vectors[:PROVEN_ON]
    check_head(head, few, head.logits(few))
    return head


def _grid(count: int, balanced: bool) -> list[dict[str, Any]]:
    return [
        {"neighbours": neighbours, "weights": weights, "balancing": power}
        for neighbours in NEIGHBOURS
        if neighbours == 1 or neighbours < count
        for weights in (WEIGHTS if neighbours > 1 else WEIGHTS[:1])
        for power in (_BALANCING[: min(neighbours, 2)] if balanced else (0.0,))
    ]


def _shares(
    samples: Samples, fold: Fold, grid: list[dict[str, Any]]
) -> list[NDArray[np.floating[Any]]]:
    """Return what each of the grid's heads gives for the fold; neighbours are found once."""
    train = samples.take(fold.train)
    known = _head(train, grid[0], _USUAL)
    similarities, which = nearest(known, samples.vectors[fold.test], NEIGHBOURS[-1])
    shares = []
    for parameters in grid:
        head = _with(known, train, parameters, _USUAL)
        most = head.arguments["neighbours"] + TIED
        shares.append(voted(head, similarities[:, :most], which[:, :most]))
    return shares


def _head(samples: Samples, parameters: dict[str, Any], smoothing: float) -> HeadWeights:
    centre = samples.vectors.mean(0, dtype=np.float64).astype(np.float32)
    references = unit_length(samples.vectors - centre)
    weights = {"centre": centre, "references": references, "labels": samples.labels}
    return _with(HeadWeights("knn", weights), samples, parameters, smoothing)


def _with(
    known: HeadWeights, samples: Samples, parameters: dict[str, Any], smoothing: float
) -> HeadWeights:
    """Return a head of the same neighbours that votes with other parameters."""
    class_weights = samples.balancing(parameters["balancing"]).astype(np.float32)
    arguments = {
        "num_references": len(samples),
        "neighbours": min(parameters["neighbours"], len(samples)),
        "weights": parameters["weights"],
        "smoothing": smoothing,
    }
    return HeadWeights("knn", {**known.weights, "class_weights": class_weights}, arguments)


def _smoothing(shares: NDArray[np.float64], labels: NDArray[np.int64]) -> float:
    if not len(labels):
        return _USUAL
    own = shares[np.arange(len(labels)), labels]

    def surprise(smoothing: float) -> float:
        likely = (own + smoothing) / (1 + shares.shape[1] * smoothing)
        return float(-np.log(likely).mean())

    return min(_SMOOTHING, key=surprise)
