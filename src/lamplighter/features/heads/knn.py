"""A head of nearest neighbours."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.nn import functional as f

from lamplighter.features.heads.model_selection import Search
from lamplighter.models.heads import TIED, WEIGHTS, KNNHead

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


def learn(samples: Samples, settings: dict[str, Any]) -> tuple[KNNHead, dict[str, Any]]:
    """Return a head that has learned with what a search found, and its arguments."""
    head = _head(samples, settings, settings["smoothing"])
    return head, _arguments(len(samples), settings, settings["smoothing"])


def _grid(count: int, balanced: bool) -> list[dict[str, Any]]:
    return [
        {"neighbours": neighbours, "weights": weights, "balancing": power}
        for neighbours in NEIGHBOURS
        if neighbours == 1 or neighbours < count
        for weights in (WEIGHTS if neighbours > 1 else WEIGHTS[:1])
        for power in (_BALANCING[: min(neighbours, 2)] if balanced else (0.0,))
    ]


def _shares(samples: Samples, fold: Fold, grid: list[dict[str, Any]]) -> list[NDArray[np.float32]]:
    """Return what each of the grid's heads gives for the fold; neighbours are found once."""
    train = samples.take(fold.train)
    head = _head(train, grid[0], _USUAL)
    asked = torch.from_numpy(samples.vectors[fold.test])
    nearest, which = head.nearest(asked, NEIGHBOURS[-1])
    shares = []
    for parameters in grid:
        head.neighbours = min(parameters["neighbours"], len(train))
        head.weights = parameters["weights"]
        head.class_weights.copy_(torch.from_numpy(train.balancing(parameters["balancing"])))
        most = head.neighbours + TIED
        shares.append(head.voted(nearest[:, :most], which[:, :most]).numpy())
    return shares


def _arguments(count: int, parameters: dict[str, Any], smoothing: float) -> dict[str, Any]:
    return {
        "num_references": count,
        "neighbours": min(parameters["neighbours"], count),
        "weights": parameters["weights"],
        "smoothing": smoothing,
    }


def _head(samples: Samples, parameters: dict[str, Any], smoothing: float) -> KNNHead:
    arguments = _arguments(len(samples), parameters, smoothing)
    head = KNNHead(samples.vectors.shape[1], samples.num_classes, **arguments)
    vectors = torch.from_numpy(samples.vectors)
    centre = torch.from_numpy(samples.vectors.mean(0, dtype=np.float64).astype(np.float32))
    head.centre.copy_(centre)
    head.references.copy_(f.normalize(vectors - centre))
    head.labels.copy_(torch.from_numpy(samples.labels))
    head.class_weights.copy_(torch.from_numpy(samples.balancing(parameters["balancing"])))
    return head.eval()


def _smoothing(shares: NDArray[np.float64], labels: NDArray[np.int64]) -> float:
    if not len(labels):
        return _USUAL
    own = shares[np.arange(len(labels)), labels]

    def surprise(smoothing: float) -> float:
        likely = (own + smoothing) / (1 + shares.shape[1] * smoothing)
        return float(-np.log(likely).mean())

    return min(_SMOOTHING, key=surprise)
