"""Open-set recognition: distances to training images, and the threshold of "unknown"."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

import numpy as np

from lamplighter.errors import DatasetError
from lamplighter.evaluation.intervals import RESAMPLES, Estimate, bootstrap, estimate_from, wilson
from lamplighter.models.reliability import distances_to_directions, unit_length
from lamplighter.text import align, percent

if TYPE_CHECKING:
    from numpy.typing import NDArray

REFERENCE = 2000  # training images that a classifier remembers at most
_POINTS = 50  # of a curve that is kept


def distances(
    features: NDArray[np.float32], reference: NDArray[np.float32], neighbours: int = 1
) -> NDArray[np.float32]:
    """Return the cosine distance of each image to its `neighbours`-th nearest training image.

    Sun et al., 2022, arXiv:2204.06507, who measure it between vectors of length 1.

    Args:
        features: of N images, shape (N, D).
        reference: features of training images from the same network, shape (M, D).
        neighbours: which of the nearest counts, 1..M.

    Returns:
        1 - cosine, 0..2, float32, shape (N,); 1 for an image whose features are all 0.

    Raises:
        ShapeError: the widths differ.
        ModelError: a feature is NaN or infinite, or `neighbours` is not in 1..M.

    Example:
        >>> training = np.array([[3.0, 0.0], [0.0, 2.0]])
        >>> distances(np.array([[1.0, 0.0], [-1.0, 0.0]]), training).tolist()
        [0.0, 1.0]
    """
    return distances_to_directions(features, unit_length(reference), neighbours)


def choose_reference(
    labels: NDArray[np.int64],
    num_classes: int,
    neighbours: int = 1,
    *,
    most: int = REFERENCE,
    seed: int = 0,
) -> NDArray[np.int64]:
    """Return which training images to remember: a stratified sample, their places in order.

    Each class keeps its share, and as many as there are neighbours first of all, since an image
    of a class of which nothing is remembered would be called unknown.

    Args:
        labels: class of each training image, shape (M,); those not in 0..K - 1 are left out.
        num_classes: K.
        neighbours: how many of each class come first.
        most: how many at most.
        seed: of the sample.
    """
    labels = np.asarray(labels)
    candidates = np.flatnonzero((labels >= 0) & (labels < num_classes))
    if len(candidates) <= most:
        return candidates
    candidates = np.random.default_rng(seed).permutation(candidates)
    order = np.argsort(labels[candidates], kind="stable")
    sizes = np.bincount(labels[candidates], minlength=num_classes)
    starts = np.repeat(np.cumsum(sizes) - sizes, sizes)
    rank = np.empty(len(candidates), dtype=np.int64)  # of each image within its class
    rank[order] = np.arange(len(candidates)) - starts
    share = (rank + 0.5) / sizes[labels[candidates]]
    first = np.lexsort((share, np.where(rank < neighbours, rank, neighbours)))
    return np.sort(candidates[first[:most]])


def make_reference(
    features: NDArray[np.float32],
    labels: NDArray[np.int64] | None,
    num_classes: int,
    neighbours: int = 1,
    *,
    seed: int = 0,
) -> NDArray[np.float32]:
    """Return the vectors to remember as a bundle keeps them: length 1, rounded to float16.

    Args:
        features: of the training images, shape (M, D).
        labels: their classes, shape (M,); None counts all as one class.
        num_classes: K.
        neighbours: how many of each class come first where some have to be chosen.
        seed: of that choice.

    Raises:
        DatasetError: shapes do not fit one another, or no image is of one of the K classes.
    """
    if labels is None:
        labels = np.zeros(len(features), dtype=np.int64)
    if len(labels) != len(features) or neighbours < 1:
        raise DatasetError(
            "a reference needs one label for each training image and one neighbour or more, "
            f"received {len(features)} images, {len(labels)} labels and {neighbours} neighbours."
        )
    kept = choose_reference(labels, num_classes, neighbours, seed=seed)
    if not len(kept):
        raise DatasetError("a reference needs one training image of a known class, received none.")
    return unit_length(features[kept]).astype(np.float16).astype(np.float32)


def choose_threshold(distances: NDArray[np.float32], coverage: float = 0.95) -> float:
    """Return the smallest distance within which at least a share `coverage` of images lies.

    Args:
        distances: of images of known classes that were not trained on, shape (N,).
        coverage: the share of them that is to count as known, above 0, at most 1.

    Raises:
        DatasetError: there is no image, or `coverage` is out of range.

    Example:
        >>> choose_threshold(np.array([0.5, 0.25, 1.0, 0.75]), 0.75)
        0.75
    """
    if not 0 < coverage <= 1 or not len(distances):
        raise DatasetError(
            "a threshold needs one image or more and a coverage above 0 and at most 1, such as "
            f"0.95, received {len(distances)} images and {coverage}."
        )
    # Rounding must not ask for one image more than the share is.
    within = max(1, math.ceil(coverage * len(distances) - 1e-9))
    return float(np.sort(distances)[within - 1])


@dataclass(frozen=True)
class Answered:
    """What is left when images that are called unknown are not answered.

    Attributes:
        share: of the images, how many are answered.
        accuracy: the share of those that is right; None if there are none.
    """

    share: Estimate
    accuracy: Estimate | None

    @classmethod
    def of(cls, known: NDArray[np.bool_], right: NDArray[np.bool_]) -> Answered:
        """Return it for N images, by whether each is known and answered right."""
        count = int(known.sum())
        accuracy = wilson(int(right[known].sum()), count) if count else None
        return cls(wilson(count, len(known)), accuracy)

    def __str__(self) -> str:
        share = f"{percent(self.share.value)} of the images"
        return f"{share}, accuracy on them {self.accuracy}" if self.accuracy else share

    def to_dict(self) -> dict[str, Any]:
        """Return the values as plain JSON types."""
        accuracy = self.accuracy.to_dict() if self.accuracy is not None else None
        return {"share": self.share.to_dict(), "accuracy": accuracy}


@dataclass(frozen=True, eq=False)
class Coverage:
    """How often answers are right when only the nearest images are answered.

    Attributes:
        coverage: the share of images that is answered, rising to 1, shape (P,).
        accuracy: the share of those that is right, shape (P,).
        low: lower end of its 95 % Wilson interval, shape (P,).
        high: its upper end, shape (P,).
        threshold: the largest distance that is answered, shape (P,).
        area: the accuracy averaged over all coverages, the area under the curve.
    """

    coverage: NDArray[np.float64]
    accuracy: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    threshold: NDArray[np.float64]
    area: Estimate

    def table(self, rows: int = 10) -> str:
        """Return about so many points of the curve as text."""
        lines = [["answered", "right", "95 % interval", "largest distance"]]
        last = len(self.coverage) - 1
        for point in sorted({round(place) for place in np.linspace(0, last, rows)}):
            interval = f"{100 * self.low[point]:.2f} to {100 * self.high[point]:.2f}"
            shares = percent(self.coverage[point]), percent(self.accuracy[point])
            lines.append([*shares, interval, f"{self.threshold[point]:.4f}"])
        return align(lines)

    def to_dict(self) -> dict[str, Any]:
        """Return all values as plain JSON types."""
        columns = {name: getattr(self, name).tolist() for name in _COLUMNS}
        return {**columns, "area": self.area.to_dict()}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Coverage:
        """Return what `to_dict` was taken of.

        Raises:
            KeyError, TypeError, ValueError: the values are not of that form.
        """
        columns = [np.array(values[name], dtype=np.float64) for name in _COLUMNS]
        if any(column.ndim != 1 or column.shape != columns[0].shape for column in columns):
            raise ValueError("the columns differ in length")
        coverage, accuracy, low, high, threshold = columns
        return cls(coverage, accuracy, low, high, threshold, estimate_from(values["area"]))


_COLUMNS = ("coverage", "accuracy", "low", "high", "threshold")


def coverage_curve(
    distances: NDArray[np.float32],
    right: NDArray[np.bool_],
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Coverage:
    """Return how accuracy falls as more is answered, the nearest images first.

    Images at one distance are answered together. The curve has at most 50 points; its area is
    taken of every image.

    Args:
        distances: of N images to the training images, shape (N,).
        right: whether the answer for each is right, shape (N,).
        resamples: draws for the interval of the area.
        seed: of the draws.

    Raises:
        DatasetError: there is no image, or the shapes differ.

    Example:
        >>> curve = coverage_curve(np.array([0.25, 0.5, 0.75]), np.array([True, True, False]))
        >>> curve.coverage.round(2).tolist(), curve.accuracy.round(2).tolist()
        ([0.33, 0.67, 1.0], [1.0, 1.0, 0.67])
        >>> round(curve.area.value, 4) == round((1 + 1 + 2 / 3) / 3, 4)
        True
    """
    if distances.ndim != 1 or distances.shape != right.shape or not len(distances):
        raise DatasetError(
            "a curve needs one image or more, each with a distance and whether it is right, "
            f"received shapes {distances.shape} and {right.shape}."
        )
    order = np.argsort(distances, kind="stable")
    ordered, hits = distances[order], right[order].astype(np.int64)
    found, group = np.unique(ordered, return_inverse=True)  # rising, as they stand

    def area(counts: NDArray[np.int64]) -> float:
        """Return the mean over n = 1..N of the accuracy on the n nearest, ties shared evenly."""
        images = np.bincount(group, counts, len(found))
        mean = np.bincount(group, counts * hits, len(found)) / np.maximum(images, 1)
        shared = np.repeat(mean, images.astype(np.int64))
        return float(np.mean(np.cumsum(shared) / np.arange(1, len(shared) + 1)))

    total = len(ordered)
    ends = np.searchsorted(ordered, found, side="right")  # images within each distance
    wanted = np.ceil(np.linspace(1, total, min(_POINTS, total))).astype(np.int64)
    ends = np.unique(ends[np.searchsorted(ends, wanted)])
    shares = [wilson(int(hits[:end].sum()), int(end)) for end in ends]
    return Coverage(
        coverage=ends / total,
        accuracy=np.array([share.value for share in shares]),
        low=np.array([share.low for share in shares]),
        high=np.array([share.high for share in shares]),
        threshold=ordered[ends - 1].astype(np.float64),
        area=bootstrap(area, total, resamples=resamples, seed=seed),
    )


def separation(
    known: NDArray[np.float32], unknown: NDArray[np.float32], *, confidence: float = 0.95
) -> Estimate:
    """Return how often an image of an unknown class lies farther away than one of a known class.

    That is the area under the receiver operating characteristic (AUROC); equal distances count
    half. The interval holds the areas whose standard error, after Hanley and McNeil, reaches what
    was measured (R. G. Newcombe, 2006, Statist. Med. 25:559-573, method 5): it has a width even
    where all lie farther.

    Args:
        known: distances of images of known classes, shape (N,).
        unknown: distances of images of classes that training never saw, shape (M,).
        confidence: how often the interval is to hold the true area, 0..1.

    Raises:
        DatasetError: there is no image of one or the other.

    Example:
        >>> separation(np.array([0.1, 0.2, 0.4]), np.array([0.3, 0.5])).value.__round__(3)
        0.833
    """
    if not len(known) or not len(unknown):
        raise DatasetError(
            "known and unknown images are told apart where there are some of both, received "
            f"{len(known)} and {len(unknown)}."
        )
    ordered = np.sort(known)
    below = np.searchsorted(ordered, unknown, side="left")
    upto = np.searchsorted(ordered, unknown, side="right")
    value = float((below + upto).mean() / 2 / len(known))
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    ends = [_farthest(value, end, len(known), len(unknown), z) for end in (0.0, 1.0)]
    return Estimate(value, ends[0], ends[1], confidence)


def _farthest(value: float, end: float, known: int, unknown: int, z: float) -> float:
    """Return the area nearest to `end` that is within z of its standard errors from `value`."""
    mean = (known + unknown) / 2 - 1

    def within(area: float) -> bool:
        spread = 1 + mean * (1 - area) / (2 - area) + mean * area / (1 + area)
        variance = area * (1 - area) * spread / (known * unknown)
        return abs(area - value) <= z * math.sqrt(max(0.0, variance))

    near, far = value, end
    for _ in range(60):
        middle = (near + far) / 2
        near, far = (middle, far) if within(middle) else (near, middle)
    return near
