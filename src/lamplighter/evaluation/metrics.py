"""Scores of a classifier, all of them counted from its confusion matrix.

In the formulas TP is the number of images of a class that were given to it, FP that of images
of other classes that were given to it, FN that of images of the class given to others.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from lamplighter.errors import DatasetError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True, eq=False)
class ClassScores:
    """Scores of each class; NaN where a score is 0 divided by 0.

    Attributes:
        precision: TP / (TP + FP), 0..1, shape (K,); NaN for a class that was never predicted.
        recall: TP / (TP + FN), 0..1, shape (K,); NaN for a class without images.
        f1: 2 TP / (2 TP + FP + FN), 0..1, shape (K,); NaN for a class with neither.
        support: TP + FN, the images of each class, shape (K,).
    """

    precision: NDArray[np.float64]
    recall: NDArray[np.float64]
    f1: NDArray[np.float64]
    support: NDArray[np.int64]


def confusion_matrix(
    labels: ArrayLike, predicted: ArrayLike, num_classes: int
) -> NDArray[np.int64]:
    """Return how often each class was taken for each: rows are true, columns predicted.

    Args:
        labels: true classes, integers in 0..K - 1, shape (N,).
        predicted: predicted classes, integers in 0..K - 1, shape (N,).
        num_classes: K.

    Returns:
        Counts that sum to N, shape (K, K).

    Raises:
        DatasetError: shapes differ, or a class is not an integer in 0..K - 1.

    Example:
        >>> confusion_matrix([0, 0, 1, 2], [0, 1, 1, 1], 3)
        array([[1, 1, 0],
               [0, 1, 0],
               [0, 1, 0]])
    """
    rows = _classes(labels, num_classes)
    columns = _classes(predicted, num_classes)
    if rows.shape != columns.shape:
        raise DatasetError(
            "each label needs one prediction, received "
            f"{len(rows)} labels and {len(columns)} predictions."
        )
    counts = np.bincount(rows * num_classes + columns, minlength=num_classes**2)
    return counts.astype(np.int64).reshape(num_classes, num_classes)


def accuracy(confusion: NDArray[np.int64]) -> float:
    """Return the share of images that were given to their class: Σ TP / N.

    Args:
        confusion: counts, rows true, columns predicted, shape (K, K).

    Returns:
        A share, 0..1.

    Raises:
        DatasetError: the matrix counts no image.

    Example:
        >>> accuracy(np.array([[8, 2], [1, 9]]))
        0.85
    """
    _check(confusion)
    return float(np.trace(confusion) / confusion.sum())


def class_scores(confusion: NDArray[np.int64]) -> ClassScores:
    """Return precision, recall, F1 and support of each class.

    Args:
        confusion: counts, rows true, columns predicted, shape (K, K).

    Raises:
        DatasetError: the matrix counts no image.

    Example:
        >>> scores = class_scores(np.array([[8, 2], [1, 9]]))
        >>> scores.recall
        array([0.8, 0.9])
        >>> scores.precision.round(3), scores.f1.round(3), scores.support
        (array([0.889, 0.818]), array([0.842, 0.857]), array([10, 10]))
    """
    _check(confusion)
    hits = np.diagonal(confusion)
    support = confusion.sum(axis=1)
    said = confusion.sum(axis=0)
    return ClassScores(
        precision=_ratio(hits, said),
        recall=_ratio(hits, support),
        f1=_ratio(2 * hits, support + said),
        support=support,
    )


def macro_f1(confusion: NDArray[np.int64]) -> float:
    """Return the mean F1 of the classes that have images: each counts alike, rare or common.

    A class without images is left out of the mean, since nothing can be said of its recall.
    Images that were wrongly given to it count against the classes they belong to.

    Args:
        confusion: counts, rows true, columns predicted, shape (K, K).

    Returns:
        A mean of F1 = 2 TP / (2 TP + FP + FN), 0..1.

    Raises:
        DatasetError: the matrix counts no image.

    Example:
        >>> round(macro_f1(np.array([[8, 2], [1, 9]])), 4)
        0.8496
        >>> round(macro_f1(np.array([[8, 2, 0], [1, 9, 0], [0, 0, 0]])), 4)
        0.8496
    """
    scores = class_scores(confusion)
    return float(scores.f1[scores.support > 0].mean())


def in_top_k(scores: ArrayLike, labels: ArrayLike, k: int) -> NDArray[np.bool_]:
    """Return for each image whether its class is among the `k` with the highest scores.

    Of equal scores the class with the lower index comes first, as in `Predictions.top`.

    Args:
        scores: logits or probabilities, shape (N, K).
        labels: true classes, integers in 0..K - 1, shape (N,).
        k: how many guesses there are, at least 1.

    Returns:
        Right or wrong, shape (N,).

    Raises:
        DatasetError: shapes differ, a label is not in 0..K - 1, or a number is out of range.

    Example:
        >>> in_top_k([[0.5, 0.3, 0.2], [0.1, 0.6, 0.3]], [1, 0], 2)
        array([ True, False])
    """
    values = np.asarray(scores)
    if values.ndim != 2 or k < 1:
        raise DatasetError(
            "the top k need scores of shape (N, K) and a k of at least 1, "
            f"received the shape {values.shape} and {k}."
        )
    true = _classes(labels, values.shape[1])
    if len(true) != len(values):
        raise DatasetError(
            "each row of scores needs one label, received "
            f"{len(values)} rows and {len(true)} labels."
        )
    if not np.isfinite(values).all():
        raise DatasetError("scores must be finite, received NaN or an infinite one.")
    own = values[np.arange(len(true)), true][:, np.newaxis]  # (N, 1)
    earlier = np.arange(values.shape[1]) < true[:, np.newaxis]  # (N, K)
    better = (values > own) | ((values == own) & earlier)
    hits: NDArray[np.bool_] = better.sum(axis=1) < k
    return hits


def top_k_accuracy(scores: ArrayLike, labels: ArrayLike, k: int = 5) -> float:
    """Return the share of images whose class is among the `k` with the highest scores.

    Args:
        scores: logits or probabilities, shape (N, K).
        labels: true classes, integers in 0..K - 1, shape (N,).
        k: how many guesses there are, at least 1.

    Returns:
        A share, 0..1.

    Raises:
        DatasetError: there is no image, shapes differ, or a number is out of range.

    Example:
        >>> top_k_accuracy([[0.5, 0.3, 0.2], [0.1, 0.6, 0.3]], [1, 0], k=2)
        0.5
    """
    hits = in_top_k(scores, labels, k)
    if not len(hits):
        raise DatasetError("a score needs one image or more, received none.")
    return float(hits.mean())


def _classes(values: ArrayLike, num_classes: int) -> NDArray[np.int64]:
    classes: NDArray[Any] = np.asarray(values)
    if not classes.size:
        return np.zeros(0, dtype=np.int64)
    if classes.ndim != 1 or not np.issubdtype(classes.dtype, np.integer):
        raise DatasetError(
            "classes must be integers of shape (N,), received "
            f"{classes.dtype} of shape {classes.shape}."
        )
    if classes.min() < 0 or classes.max() >= num_classes:
        raise DatasetError(
            f"classes must be in 0..{num_classes - 1}, received {classes.min()}..{classes.max()}."
        )
    return classes.astype(np.int64)


def _check(confusion: NDArray[np.int64]) -> None:
    if confusion.ndim != 2 or confusion.shape[0] != confusion.shape[1]:
        raise DatasetError(
            f"a confusion matrix must be of shape (K, K), received {confusion.shape}."
        )
    if not confusion.any():
        raise DatasetError("a score needs one image or more, received a matrix of zeros.")


def _ratio(part: NDArray[np.int64], whole: NDArray[np.int64]) -> NDArray[np.float64]:
    ratio = np.full(len(whole), np.nan)
    np.divide(part, whole, out=ratio, where=whole > 0)
    return ratio
