"""Confident learning: which labels probabilities contradict, and how many of each class are wrong.

Northcutt, Jiang and Chuang, 2021, "Confident Learning: Estimating Uncertainty in Dataset Labels",
JAIR 70:1373-1411. The probabilities come in blocks of rows, so that those of many images and
classes need not be in memory at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lamplighter.errors import DatasetError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from numpy.typing import ArrayLike, NDArray

    # Rows, and their probabilities (n, K); each call begins anew.
    Blocks = Callable[[], Iterable[tuple[NDArray[np.intp], NDArray[np.float64]]]]

NONE = -1  # no class
_CLOSE = 1e-6  # a probability this little below a threshold reaches it: rounding, and no more


@dataclass(frozen=True, eq=False, kw_only=True)
class ConfidentLearning:
    """What probabilities of N images say of their labels, of K classes.

    Attributes:
        labels: the given classes, shape (N,); -1 for an image that is not judged.
        self_confidence: the probability of the given class, 0..1, shape (N,); NaN where none.
        suggestion: the most probable of the other classes, shape (N,); -1 where not judged.
        suggested_probability: that of the suggestion, shape (N,); NaN where not judged.
        confident: the class that the image confidently is of, shape (N,): the most probable one
            of those whose threshold it reaches; -1 where there is none.
        thresholds: for each class the mean self-confidence of its images, shape (K,); NaN for a
            class without any.
        joint: the confident joint: images by given (row) and confident (column) class, shape
            (K, K).
    """

    labels: NDArray[np.int64]
    self_confidence: NDArray[np.float64]
    suggestion: NDArray[np.int64]
    suggested_probability: NDArray[np.float64]
    confident: NDArray[np.int64]
    thresholds: NDArray[np.float64]
    joint: NDArray[np.int64]

    @property
    def off_diagonal(self) -> NDArray[np.bool_]:
        """Whether an image is confidently of another class than the given one, shape (N,)."""
        judged = (self.labels != NONE) & (self.confident != NONE)
        found: NDArray[np.bool_] = judged & (self.confident != self.labels)
        return found

    def wrong_in_class(self) -> NDArray[np.int64]:
        """Return how many labels of each class are estimated to be wrong, shape (K,).

        The joint calibrated to the number of images of each class (eq. 3 of the paper).
        """
        counted = self.joint.sum(1)
        off = counted - self.joint.diagonal()
        sizes = np.bincount(self.labels[self.labels >= 0], minlength=len(self.joint))
        shares = np.divide(off, counted, out=np.zeros(len(off)), where=counted > 0)
        wrong: NDArray[np.int64] = np.rint(shares * sizes).astype(np.int64)
        return wrong

    @property
    def contradicted(self) -> NDArray[np.bool_]:
        """Whether another class is more probable than the given one, shape (N,)."""
        found: NDArray[np.bool_] = self.self_confidence < self.suggested_probability
        return found

    def pruned_by_class(self) -> NDArray[np.bool_]:
        """Return of each class the images of least self-confidence, as many as are wrong in it.

        "Prune by class" of the paper (method 3), without those whose label is the most probable.

        Returns:
            Whether the label is probably wrong, shape (N,).
        """
        chosen = np.zeros(len(self.labels), dtype=bool)
        order = np.argsort(self.self_confidence, kind="stable")
        for label, wrong in enumerate(self.wrong_in_class()):
            if wrong:
                chosen[order[self.labels[order] == label][:wrong]] = True
        return chosen & self.contradicted


def confident_learning(probabilities: ArrayLike, labels: ArrayLike) -> ConfidentLearning:
    """Return what probabilities say of labels.

    Args:
        probabilities: of each image for each class, by a model that has not learned from the
            image, shape (N, K), rows that sum to 1.
        labels: the given classes, integers in 0..K - 1, shape (N,); -1 for an image without one.

    Raises:
        DatasetError: shapes differ, a label is no class, or a probability is none.

    Example:
        >>> shares = [[0.9, 0.1], [0.8, 0.2], [0.1, 0.9], [0.95, 0.05]]
        >>> found = confident_learning(shares, [0, 0, 1, 1])
        >>> found.off_diagonal.tolist(), found.joint.tolist()
        ([False, False, False, True], [[1, 0], [1, 1]])
    """
    shares, given = np.asarray(probabilities, dtype=np.float64), np.asarray(labels)
    if shares.ndim != 2 or given.shape != shares.shape[:1]:
        raise DatasetError(
            "each image needs a probability for each class, and a label, received probabilities "
            f"of shape {shares.shape} and labels of shape {given.shape}."
        )
    if not np.issubdtype(given.dtype, np.integer):
        raise DatasetError(
            f"labels must be class numbers, 0..{shares.shape[1] - 1}, received {given.dtype}; "
            "look up the names among the class names."
        )
    if len(given) and not NONE <= given.min() <= given.max() < shares.shape[1]:
        raise DatasetError(
            f"labels must be in -1..{shares.shape[1] - 1}, received {given.min()}..{given.max()}."
        )
    sums = shares.sum(1)
    if not (np.isfinite(sums).all() and (shares >= 0).all() and np.allclose(sums, 1, atol=1e-3)):
        raise DatasetError(
            "probabilities must be 0 or more and sum to 1 for each image, received NaN or other "
            "numbers; are they logits?"
        )
    rows = np.arange(len(given))
    return learn_confidently(
        lambda: [(rows, shares)], given.astype(np.int64), num_classes=shares.shape[1]
    )


def learn_confidently(
    blocks: Blocks, labels: NDArray[np.int64], *, num_classes: int
) -> ConfidentLearning:
    """Return what probabilities in blocks say of labels; the blocks are read twice.

    Args:
        blocks: gives rows and their probabilities; rows that it does not give are not judged.
        labels: the given classes, shape (N,); -1 for none.
        num_classes: K.
    """
    own = np.full(len(labels), np.nan)
    second = np.full(len(labels), np.nan)
    suggestion = np.full(len(labels), NONE, dtype=np.int64)
    for rows, shares in blocks():
        rows, shares = rows[labels[rows] >= 0], shares[labels[rows] >= 0]
        places = np.arange(len(rows)), labels[rows]
        own[rows] = shares[places]
        others = shares.copy()
        others[places] = -1.0
        suggestion[rows] = others.argmax(1)
        second[rows] = others.max(1, initial=-1.0)
    judged = np.where(np.isnan(own), NONE, labels)
    known = judged >= 0
    counts = np.bincount(judged[known], minlength=num_classes)
    sums = np.bincount(judged[known], own[known], num_classes)
    thresholds = np.divide(sums, counts, out=np.full(num_classes, np.nan), where=counts > 0)
    confident = np.full(len(labels), NONE, dtype=np.int64)
    for rows, shares in blocks():
        # Nothing reaches NaN: no image is confidently of a class that has none.
        reached = np.where(shares >= thresholds - _CLOSE, shares, -1.0)
        confident[rows] = np.where(reached.max(1) >= 0, reached.argmax(1), NONE)
    joint = np.zeros((num_classes, num_classes), dtype=np.int64)
    counted = known & (confident >= 0)
    np.add.at(joint, (judged[counted], confident[counted]), 1)
    return ConfidentLearning(
        labels=judged,
        self_confidence=own,
        suggestion=suggestion,
        suggested_probability=second,
        confident=confident,
        thresholds=thresholds,
        joint=joint,
    )
