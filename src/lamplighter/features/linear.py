"""A head of one linear layer: multinomial logistic regression."""

from __future__ import annotations

import contextlib
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from lamplighter.features.search import Search, on_every_core
from lamplighter.models.heads import LinearHead

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from lamplighter.features.search import Fold, Samples

COSTS = (0.1, 1.0, 10.0, 100.0)  # inverse of the penalty on the weights
_USUAL = 10.0
_STEPS = 300
_CLOSE = 1e-5
_UNSEEN = 10.0  # how far a class without vectors stays below the mean of the others


def fit(
    samples: Samples, *, balanced: bool, seed: int
) -> tuple[LinearHead, dict[str, Any], dict[str, Any]]:
    """Return a head, its arguments (none), and the search for its penalty.

    The features are centred, and stretched so that their mean squared length is 1: C is for
    these. Both are then made part of the layer.
    """
    search = Search(samples, seed=seed)
    weight = "balanced" if balanced else None
    turned = _Turned(search.samples.vectors)
    labels = search.samples.labels

    def tried(fold: Fold) -> list[NDArray[np.float64]]:
        path = _Path(turned.vectors[fold.train], labels[fold.train], weight)
        layers = (path.layer(cost, samples.num_classes) for cost in COSTS)
        return [turned.vectors[fold.test] @ layer.T + bias for layer, bias in layers]

    with _near_enough():
        decisions = on_every_core(tried, search.folds)
    # The usual one first: it is taken where nothing can be tried.
    for number in sorted(range(len(COSTS)), key=lambda number: COSTS[number] != _USUAL):
        search.add({"C": COSTS[number]}, [fold[number] for fold in decisions])
    whole = turned if search.samples.vectors is samples.vectors else _Turned(samples.vectors)
    path = _Path(whole.vectors, samples.labels, weight)
    head = LinearHead(samples.vectors.shape[1], samples.num_classes)
    with torch.no_grad(), _near_enough():
        for parameter, values in zip(
            (head.weight, head.bias),
            whole.back(*path.layer(search.parameters["C"], samples.num_classes)),
            strict=True,
        ):
            parameter.copy_(torch.from_numpy(values))
    return head.eval(), {}, search.chosen()


@contextlib.contextmanager
def _near_enough() -> Iterator[None]:
    """Let regressions end before they have converged: near enough to be compared."""
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():  # outside of the threads, which share the filters
        warnings.simplefilter("ignore", ConvergenceWarning)
        yield


class _Turned:
    """Vectors centred, stretched and, where they are fewer than their numbers, turned.

    N vectors lie in N dimensions. Turned so that these come first, they are shorter, and a
    penalised logistic regression on them has the same answers.

    Args:
        vectors: features, shape (N, D).

    Attributes:
        vectors: float32 (N, R).
    """

    def __init__(self, vectors: NDArray[np.float32]) -> None:
        self._centre: NDArray[np.float64] = vectors.mean(0, dtype=np.float64)
        centred = vectors - self._centre
        square = float(np.square(centred).sum(1).mean())
        centred *= 1 / square**0.5 if square > 0 else 1.0
        self._stretch = 1 / square**0.5 if square > 0 else 1.0
        self._turn: NDArray[np.float64] | None = None
        if len(vectors) < vectors.shape[1]:
            values, axes = np.linalg.eigh(centred @ centred.T)
            kept = values > 1e-10 * max(float(values[-1]), 1e-300)
            self._turn = centred.T @ (axes[:, kept] / np.sqrt(values[kept]))  # (D, R)
            centred = axes[:, kept] * np.sqrt(values[kept])
        self.vectors: NDArray[np.float32] = centred.astype(np.float32)

    def back(
        self, weight: NDArray[np.float64], bias: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the layer (K, D), (K,) for features as they were."""
        if self._turn is not None:
            weight = weight @ self._turn.T
        weight = weight * self._stretch
        return weight, bias - weight @ self._centre


class _Path:
    """Logistic regressions of one data set, each starting from the last."""

    def __init__(
        self, vectors: NDArray[np.float32], labels: NDArray[np.int64], weight: str | None
    ) -> None:
        from sklearn.linear_model import LogisticRegression

        self._vectors, self._labels = vectors, labels
        self._model = LogisticRegression(
            class_weight=weight, max_iter=_STEPS, tol=_CLOSE, warm_start=True
        )

    def layer(
        self, cost: float, num_classes: int
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return weights (K, R) and bias (K,) for this C."""
        model = self._model.set_params(C=cost)
        model.fit(self._vectors, self._labels)
        weight, bias = model.coef_.astype(np.float64), model.intercept_.astype(np.float64)
        if len(model.classes_) == 2:  # of two classes, one score: that of the second
            weight, bias = np.concatenate([-weight, weight]) / 2, np.concatenate([-bias, bias]) / 2
        # A class without vectors follows the mean of the others, which never wins.
        weights = np.tile(weight.mean(0), (num_classes, 1))
        biases = np.full(num_classes, bias.mean() - _UNSEEN)
        weights[model.classes_], biases[model.classes_] = weight, bias
        return weights, biases
