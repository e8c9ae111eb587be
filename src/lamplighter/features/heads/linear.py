"""A head of one linear layer: logistic regression or linear discriminants."""

from __future__ import annotations

import contextlib
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from lamplighter.features.heads.model_selection import (
    PROVEN_ON,
    Search,
    check_head,
    on_every_core,
    sharpness,
)
from lamplighter.models.head_weights import HeadWeights

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from lamplighter.features.heads.model_selection import Fold, Samples

    _Layer = tuple[NDArray[np.float64], NDArray[np.float64]]  # weights (K, R) and bias (K,)

METHODS = ("logistic", "discriminant")
COSTS = (0.1, 1.0, 10.0, 100.0)  # inverse of the penalty on the weights
SHRINKAGES = (0.1, 0.3, 0.5)
_USUAL = 10.0
_STEPS = 300
_CLOSE = 1e-5
_UNSEEN = 10.0  # how far a class without vectors stays below the mean of the others
# The usual one first: it is taken where nothing can be tried.
_CHOICES: tuple[dict[str, Any], ...] = (
    *(
        {"method": "logistic", "C": cost, "shrinkage": None}
        for cost in sorted(COSTS, key=lambda cost: cost != _USUAL)
    ),
    *({"method": "discriminant", "C": None, "shrinkage": part} for part in SHRINKAGES),
)


def search(
    samples: Samples, *, balanced: bool, seed: int, methods: Sequence[str] = METHODS
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what a head is to be learned with, and the search for it.

    Tried are multinomial logistic regression with some penalties, and linear discriminants with
    some parts of shrinkage. The features are centred, and stretched so that their mean squared
    length is 1: C is for these.

    Args:
        samples: what the head will learn from.
        balanced: whether rare classes count as much as common ones.
        seed: of the folds.
        methods: those to try, of `METHODS`.
    """
    choices = [choice for choice in _CHOICES if choice["method"] in methods]
    tried = Search(samples, seed=seed)
    turned = _Turned(tried.samples.vectors)

    def unseen(fold: Fold) -> list[NDArray[np.float64]]:
        learned = tried.samples.take(fold.train)
        layers = _layers(turned.vectors[fold.train], learned, choices, balanced)
        return [turned.vectors[fold.test] @ layer.T + bias for layer, bias in layers]

    with _near_enough():
        decisions = on_every_core(unseen, tried.folds)
    for number, choice in enumerate(choices):
        tried.add(choice, [fold[number] for fold in decisions])
    settings = tried.parameters | {"balanced": balanced}
    # Discriminants of few vectors are too sure of themselves, the penalised regression is not.
    discriminant = settings["method"] == "discriminant"
    settings["scale"] = sharpness(*tried.answers()) if discriminant else 1.0
    return settings, tried.chosen(scale=round(settings["scale"], 4))


def learn(samples: Samples, settings: dict[str, Any]) -> HeadWeights:
    """Return a head that has learned with what a search found."""
    turned = _Turned(samples.vectors)
    with _near_enough():
        ((weight, bias),) = _layers(turned.vectors, samples, [settings], settings["balanced"])
    scaled = weight * settings["scale"], bias * settings["scale"]
    whole = [values.astype(np.float32) for values in turned.back(*scaled)]
    head = HeadWeights("linear", dict(zip(("weight", "bias"), whole, strict=True)))
    said = turned.vectors[:PROVEN_ON] @ scaled[0].T + scaled[1]
    check_head(head, samples.vectors[:PROVEN_ON], said)
    return head


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


def _layers(
    vectors: NDArray[np.float32],
    samples: Samples,
    choices: Sequence[dict[str, Any]],
    balanced: bool,
) -> list[_Layer]:
    """Return a layer for each choice; each regression starts from the one with less weight."""
    path = _Path(vectors, samples.labels, "balanced" if balanced else None)
    order = sorted(range(len(choices)), key=lambda number: choices[number]["C"] or np.inf)
    scatter = None
    found: dict[int, _Layer] = {}
    for number in order:
        choice = choices[number]
        if choice["method"] == "logistic":
            found[number] = path.layer(choice["C"], samples.num_classes)
        else:
            scatter = scatter or _Scatter(vectors, samples, balanced)
            found[number] = scatter.layer(choice["shrinkage"])
    return [found[number] for number in range(len(choices))]


class _Scatter:
    """Linear discriminants: classes of one covariance, each around its mean.

    The covariance is shrunk towards that of a sphere, without which it could not be inverted
    where vectors are few (Friedman, 1989, J. Am. Stat. Assoc. 84:165-175). With `balanced` each
    class is as likely, and counts as much in the covariance, as the others.
    """

    def __init__(self, vectors: NDArray[np.float32], samples: Samples, balanced: bool) -> None:
        self._classes, places, counts = np.unique(
            samples.labels, return_inverse=True, return_counts=True
        )
        self._num_classes = samples.num_classes
        sums = np.zeros((len(counts), vectors.shape[1]))
        np.add.at(sums, places, vectors)
        self._means = sums / counts[:, np.newaxis]
        self._priors = np.full(len(counts), 1 / len(counts)) if balanced else counts / len(places)
        within = vectors - self._means[places].astype(np.float32)
        within *= np.sqrt(self._priors / counts)[places, np.newaxis].astype(np.float32)
        self._covariance = (within.T @ within).astype(np.float64)

    def layer(self, shrinkage: float) -> _Layer:
        """Return weights (K, R) and bias (K,) for this part of shrinkage, above 0, at most 1."""
        from scipy.linalg import solve

        size = len(self._covariance)
        spread = max(float(np.trace(self._covariance)) / size, 1e-12)
        shrunk = (1 - shrinkage) * self._covariance + shrinkage * spread * np.eye(size)
        weight = solve(shrunk, self._means.T, assume_a="pos").T
        bias = np.log(self._priors) - (weight * self._means).sum(1) / 2
        return _all_classes(weight, bias, self._classes, self._num_classes)


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

    def layer(self, cost: float, num_classes: int) -> _Layer:
        """Return weights (K, R) and bias (K,) for this C."""
        model = self._model.set_params(C=cost)
        model.fit(self._vectors, self._labels)
        weight, bias = model.coef_.astype(np.float64), model.intercept_.astype(np.float64)
        if len(model.classes_) == 2:  # of two classes, one score: that of the second
            weight, bias = np.concatenate([-weight, weight]) / 2, np.concatenate([-bias, bias]) / 2
        return _all_classes(weight, bias, model.classes_, num_classes)


def _all_classes(
    weight: NDArray[np.float64],
    bias: NDArray[np.float64],
    classes: NDArray[np.int64],
    num_classes: int,
) -> _Layer:
    """Return the layer of K classes; one without vectors follows the mean, which never wins."""
    weights = np.tile(weight.mean(0), (num_classes, 1))
    biases = np.full(num_classes, bias.mean() - _UNSEEN)
    weights[classes], biases[classes] = weight, bias
    return weights, biases
