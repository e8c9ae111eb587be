"""Calibration: reliability diagrams, expected calibration error, temperature scaling."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from lamplighter.errors import ArgumentError, DatasetError
from lamplighter.evaluation.intervals import RESAMPLES, Estimate, bootstrap, estimate_from, wilson
from lamplighter.text import align, percent

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

LOWEST, HIGHEST = 0.05, 20.0  # temperatures between which one is looked for
BINS = 15
_STEPS = 60
_CLOSE = 1e-10


def fit_temperature(logits: ArrayLike, labels: ArrayLike) -> float:
    """Return the T for which softmax(logits / T) gives the true classes the highest likelihood.

    Guo et al., 2017, arXiv:1706.04599. The negative log-likelihood is convex in 1/T; its slope is
    brought to 0 by Newton's method, kept within a bracket.

    Args:
        logits: scores before the softmax, shape (N, K).
        labels: true classes, shape (N,); images whose label is not in 0..K - 1, those of classes
            that the classifier does not know, are left out.

    Returns:
        A temperature, 0.05..20; more than 1 where the classifier was too sure of itself. Where
        every answer is right, or there is no image, it is 1: the likelihood then only grows as
        T falls, and says nothing of how sure to be.

    Raises:
        DatasetError: shapes differ, or a logit is NaN or infinite.

    Example:
        >>> sure = np.array([[4.0, 0.0]] * 4)  # 98 % sure of each, and right of three in four
        >>> round(fit_temperature(sure, [0, 0, 0, 1]), 3)  # 4 / ln 3
        3.641
    """
    scores, true = known_rows(logits, labels)
    own = scores[np.arange(len(true)), true]
    if np.all(own >= scores.max(axis=1, initial=-np.inf)):
        return 1.0
    relative = scores - own[:, np.newaxis]  # (N, K); that of the true class is 0

    low, high = 1 / HIGHEST, 1 / LOWEST
    if _slope(relative, low)[0] >= 0:
        return HIGHEST
    if _slope(relative, high)[0] <= 0:
        return LOWEST
    inverse = 1.0
    for _ in range(_STEPS):
        slope, curvature = _slope(relative, inverse)
        low, high = (inverse, high) if slope < 0 else (low, inverse)
        step = slope / curvature if curvature > 0 else np.inf
        following = inverse - step
        if not low < following < high:
            following = (low * high) ** 0.5
        if abs(following - inverse) <= _CLOSE * inverse:
            break
        inverse = following
    return float(1 / inverse)


def softmax(logits: ArrayLike, temperature: float = 1.0) -> NDArray[np.float64]:
    """Return the probabilities of each row of `logits` / `temperature`, float64, shape (N, K)."""
    scaled = np.asarray(logits, dtype=np.float64) / temperature
    shifted = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    probabilities: NDArray[np.float64] = shifted / shifted.sum(axis=1, keepdims=True)
    return probabilities


def calibration_error(
    probabilities: ArrayLike,
    labels: ArrayLike,
    bins: int = BINS,
    *,
    confidence: float = 0.95,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Estimate:
    """Return the expected calibration error with its bootstrap interval.

    ECE = Σ n_b / N |accuracy_b - confidence_b| over bins b of equal width (Guo et al., 2017,
    arXiv:1706.04599), where the confidence of an image is its highest probability. The interval
    is that of `bootstrap`; it begins at 0 where a classifier that is perfectly calibrated would
    err as much by chance (J. Bröcker and L. A. Smith, 2007, Weather Forecast. 22:651-661).

    Args:
        probabilities: each row sums to 1, shape (N, K).
        labels: true classes, shape (N,); those not in 0..K - 1 are always wrong.
        bins: how many.
        confidence: how often the interval is to hold the true error, 0..1.
        resamples: how many draws.
        seed: of the draws.

    Raises:
        DatasetError: shapes differ, there is no image, or a probability is out of range.
        ArgumentError: `bins` is less than 1, or `confidence` out of range.

    Example:
        >>> error = calibration_error([[0.9, 0.1]] * 4, [0, 0, 0, 1])
        >>> round(error.value, 3)  # 90 % sure and right of three in four
        0.15
    """
    sure, right = _answers(probabilities, labels)
    place = _places(sure, bins)

    def error(counts: NDArray[np.int64]) -> float:
        return _error(place, counts * (right - sure), bins)

    estimate = bootstrap(error, len(sure), confidence=confidence, resamples=resamples, seed=seed)
    generator = np.random.default_rng(seed)
    chance = [
        _error(place, (generator.random(len(sure)) < sure) - sure, bins) for _ in range(resamples)
    ]
    low = estimate.low
    if estimate.value <= np.quantile(chance, (1 + confidence) / 2):
        low = 0.0
    return Estimate(estimate.value, low, estimate.high, confidence)


@dataclass(frozen=True, eq=False)
class Reliability:
    """How often a classifier is right, by how sure it is: bins of equal width from 0 to 1.

    Attributes:
        count: images in each bin, shape (B,).
        confidence: their mean highest probability, 0..1, shape (B,); NaN in an empty bin.
        accuracy: the share of them that is right, 0..1, shape (B,); NaN in an empty bin.
        low: lower end of the 95 % Wilson interval of the accuracy, shape (B,).
        high: its upper end, shape (B,).
        error: the expected calibration error.
    """

    count: NDArray[np.int64]
    confidence: NDArray[np.float64]
    accuracy: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    error: Estimate

    def table(self) -> str:
        """Return the bins that have images as text."""
        rows = [["probability", "images", "mean", "right", "95 % interval"]]
        edges = np.linspace(0, 100, len(self.count) + 1)
        for number in np.flatnonzero(self.count):
            between = f"{edges[number]:.0f} to {edges[number + 1]:.0f} %"
            shares = percent(self.confidence[number]), percent(self.accuracy[number])
            interval = f"{100 * self.low[number]:.2f} to {100 * self.high[number]:.2f}"
            rows.append([between, f"{self.count[number]:,}", *shares, interval])
        return align(rows)

    def to_dict(self) -> dict[str, Any]:
        """Return all values as plain JSON types; None stands for the values of an empty bin."""
        values: dict[str, Any] = {"count": self.count.tolist(), "error": self.error.to_dict()}
        for name in ("confidence", "accuracy", "low", "high"):
            values[name] = [None if np.isnan(n) else float(n) for n in getattr(self, name)]
        return values

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Reliability:
        """Return what `to_dict` was taken of.

        Raises:
            KeyError, TypeError, ValueError: the values are not of that form.
        """
        count = np.array(values["count"], dtype=np.int64)
        confidence, accuracy, low, high = (
            np.array(values[name], dtype=np.float64)  # None becomes NaN
            for name in ("confidence", "accuracy", "low", "high")
        )
        if count.ndim != 1 or any(
            c.shape != count.shape for c in (confidence, accuracy, low, high)
        ):
            raise ValueError("the columns differ in length")
        return cls(count, confidence, accuracy, low, high, estimate_from(values["error"]))


def reliability(
    probabilities: ArrayLike, labels: ArrayLike, bins: int = BINS, *, seed: int = 0
) -> Reliability:
    """Return how often a classifier is right, by how sure it is.

    Args:
        probabilities: each row sums to 1, shape (N, K).
        labels: true classes, shape (N,); those not in 0..K - 1 are always wrong.
        bins: how many.
        seed: of the interval of the calibration error.

    Raises:
        DatasetError: shapes differ, there is no image, or a probability is out of range.
        ArgumentError: `bins` is less than 1.
    """
    sure, right = _answers(probabilities, labels)
    place = _places(sure, bins)
    count = np.bincount(place, minlength=bins)
    hits = np.bincount(place, right, bins)
    there = count > 0
    confidence = np.full(bins, np.nan)
    confidence[there] = np.bincount(place, sure, bins)[there] / count[there]
    shares = np.full((3, bins), np.nan)
    for number in np.flatnonzero(there):
        share = wilson(int(hits[number]), int(count[number]))
        shares[:, number] = share.value, share.low, share.high
    error = calibration_error(probabilities, labels, bins, seed=seed)
    return Reliability(count.astype(np.int64), confidence, shares[0], shares[1], shares[2], error)


def known_rows(
    logits: ArrayLike, labels: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return scores and labels of the images whose class is one of the K.

    Raises:
        DatasetError: shapes differ, or a logit is NaN or infinite.
    """
    scores, true = np.asarray(logits, dtype=np.float64), np.asarray(labels)
    if scores.ndim != 2 or true.shape != scores.shape[:1]:
        raise DatasetError(
            "each row of scores needs one label, received scores of shape "
            f"{scores.shape} and labels of shape {true.shape}."
        )
    if not np.isfinite(scores).all():
        raise DatasetError("scores must be finite, received NaN or an infinite one.")
    known = (true >= 0) & (true < scores.shape[1])
    return scores[known], true[known].astype(np.int64)


def _slope(relative: NDArray[np.float64], inverse: float) -> tuple[float, float]:
    """Return the first and second derivative of the mean negative log-likelihood by 1/T."""
    weights = softmax(relative * inverse)
    mean = (weights * relative).sum(axis=1)
    spread = (weights * relative**2).sum(axis=1) - mean**2
    return float(mean.mean()), float(spread.mean())


def _answers(
    probabilities: ArrayLike, labels: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return how sure each answer is and whether it is right."""
    shares, true = np.asarray(probabilities, dtype=np.float64), np.asarray(labels)
    if shares.ndim != 2 or true.shape != shares.shape[:1] or not len(true):
        raise DatasetError(
            "a calibration needs one image or more, each with probabilities and a label, "
            f"received shapes {shares.shape} and {true.shape}."
        )
    if not np.all((shares >= 0) & (shares <= 1 + 1e-6)):
        raise DatasetError("probabilities must be in 0..1, received others; take the softmax.")
    return shares.max(axis=1), shares.argmax(axis=1) == true


def _places(sure: NDArray[np.float64], bins: int) -> NDArray[np.int64]:
    if bins < 1:
        raise ArgumentError(f"there must be one bin or more, received {bins}.")
    return np.minimum((sure * bins).astype(np.int64), bins - 1)


def _error(place: NDArray[np.int64], gaps: NDArray[np.float64], bins: int) -> float:
    return float(np.abs(np.bincount(place, gaps, bins)).sum() / len(place))
