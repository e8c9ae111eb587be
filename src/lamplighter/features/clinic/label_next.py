"""`label_next`: which images without a label are worth a person's time."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from lamplighter.arguments import checked
from lamplighter.errors import ArgumentError, DatasetError
from lamplighter.evaluation.calibration import softmax
from lamplighter.features.clinic.cross_validation import OutOfFold, in_blocks, learned_head
from lamplighter.features.clinic.label_errors import check_finite, share_text
from lamplighter.features.clinic.neighbors import directions_of, joined_groups, near_copies
from lamplighter.features.heads.model_selection import Samples

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lamplighter.features.extraction import Features

_UNCERTAIN = 20  # images that are looked at for each one that is wanted, the most uncertain
_LEAST = 1000  # images that are looked at in any case


@dataclass(frozen=True, kw_only=True)
class Proposal:
    """An image that is worth labeling next.

    Attributes:
        path: the file, relative to the root of its data set.
        suggestion: the most probable class, "" where no model could be learned.
        probability: that of the suggestion, 0..1; None where no model could be learned.
        runner_up: the class that is probable next, "" where no model could be learned.
        reason: why, in words.
    """

    path: str
    suggestion: str
    probability: float | None
    runner_up: str
    reason: str

    def to_dict(self) -> dict[str, Any]:
        """Return it in plain JSON types."""
        return asdict(self)


@checked
def label_next(features: Features, *, count: int = 20, seed: int = 0) -> tuple[Proposal, ...]:
    """Return the images without a label that are best labeled next, the best first.

    Those of which a linear head, learned from the labeled images, is uncertain, and which differ
    from one another: BADGE (Ash et al., 2020, arXiv:1906.03671). Each image stands for the gradient
    of the last layer if the most probable class were true: its length is the uncertainty, its
    direction what would be learned. They are chosen as the seeds of k-means++ are, the longest
    first, with a gradient of 0 as one more center: nothing is learned from what is certain.

    Where fewer than two classes have labeled images there is nothing to be uncertain of, and the
    images are chosen that are farthest from those labeled or chosen (k-center greedy, Sener and
    Savarese, 2018, arXiv:1708.00489).

    Args:
        features: of files with and without labels.
        count: how many at most, 1 or more.
        seed: of the folds and the draws; the same seed gives the same answer.

    Raises:
        DatasetError: every image has a label.
        ModelError: a feature is NaN or infinite.
        ArgumentError: `count` is less than 1.
    """
    if count < 1:
        raise ArgumentError(f"the count of images must be 1 or more, received {count}.")
    check_finite(features)
    labels = features.files.labels
    rows = np.flatnonzero(labels < 0)
    if not len(rows):
        raise DatasetError(
            f"all {len(labels):,} images have a label; put those without one into a folder "
            "unlabelled beside the folders of the classes, or leave their label empty in the CSV."
        )
    if len(np.unique(labels[labels >= 0])) < 2:
        return _farthest(features, rows, count)
    model = _Model(features, seed=seed)
    uncertainty = model.uncertainty(rows)
    most = max(_LEAST, _UNCERTAIN * count)
    candidates = rows[np.sort(np.argsort(-uncertainty, kind="stable")[:most])]
    shares = model.probabilities(candidates)
    vectors = directions_of(features.vectors[candidates])
    chosen = badge(shares, vectors, count=count, seed=seed)
    return tuple(
        _proposal(features.files.paths[candidates[place]], shares[place], model.class_names)
        for place in chosen
    )


def badge(
    probabilities: NDArray[np.float64],
    vectors: NDArray[np.float32],
    *,
    count: int,
    seed: int,
) -> list[int]:
    """Return rows by k-means++ on the gradients of the last layer, the longest gradient first.

    The gradient of an image is (p - e) x h, of K D numbers: p its probabilities, e 1 at the most
    probable class, h its features. Two products of K and D numbers give the distance of two of
    them, so that they are never made. A gradient of 0 is a center from the beginning, so that what
    is certain is not taken for different.

    Args:
        probabilities: shape (N, K).
        vectors: features, shape (N, D).
        count: how many at most; fewer where the others are as those chosen, or certain.
        seed: of the draws.
    """
    rng = np.random.default_rng(seed)
    slopes = probabilities.copy()  # (N, K)
    slopes[np.arange(len(slopes)), slopes.argmax(1)] -= 1
    lengths = np.square(slopes).sum(1) * np.square(vectors.astype(np.float64)).sum(1)
    if not len(lengths):
        return []
    chosen = [int(lengths.argmax())]
    apart = lengths.copy()  # squared distance to the nearest center
    while True:
        last = chosen[-1]
        products = (slopes @ slopes[last]) * (vectors @ vectors[last])
        apart = np.minimum(apart, np.maximum(lengths + lengths[last] - 2 * products, 0))
        apart[chosen] = 0
        apart[apart < 1e-9 * lengths.max()] = 0  # rounding, not another image
        if len(chosen) == min(count, len(lengths)) or not apart.any():
            return chosen
        chosen.append(int(rng.choice(len(apart), p=apart / apart.sum())))


class _Model:
    """A calibrated linear head that has learned from all images with a label."""

    def __init__(self, features: Features, *, seed: int) -> None:
        files = features.files
        rows = np.flatnonzero(files.labels >= 0)
        classes, labels = np.unique(files.labels[rows], return_inverse=True)
        self.class_names = tuple(files.class_names[label] for label in classes)
        self._vectors = features.vectors
        copies = near_copies(
            directions_of(features.vectors[rows]), labels, [features.hashes[row] for row in rows]
        )
        groups = joined_groups(copies.groups, [files.groups[row] for row in rows])
        samples = Samples(features.vectors[rows], labels, len(classes), groups)
        folds = OutOfFold(samples, seed=seed)
        self._temperature = folds.temperature
        self._head = learned_head(samples, np.arange(len(rows)), folds.settings, seed=seed)

    def probabilities(self, rows: NDArray[np.intp]) -> NDArray[np.float64]:
        """Return those of these images, shape (n, K)."""
        return softmax(self._head.logits(self._vectors[rows]), self._temperature)

    def uncertainty(self, rows: NDArray[np.intp]) -> NDArray[np.float64]:
        """Return 1 less the margin between the two most probable classes, 0..1, shape (n,)."""
        found = []
        for part in in_blocks(rows, len(self.class_names)):
            first_two = np.partition(self.probabilities(part), -2, axis=1)[:, -2:]
            found.append(1 - (first_two[:, 1] - first_two[:, 0]))
        return np.concatenate(found)


def _proposal(path: str, shares: NDArray[np.float64], names: tuple[str, ...]) -> Proposal:
    second, first = np.argsort(shares, kind="stable")[-2:]
    return Proposal(
        path=path,
        suggestion=names[first],
        probability=float(shares[first]),
        runner_up=names[second],
        reason=f"it may be {names[first]} ({share_text(shares[first])}) or {names[second]} "
        f"({share_text(shares[second])})",
    )


def _farthest(features: Features, rows: NDArray[np.intp], count: int) -> tuple[Proposal, ...]:
    """Return images far from those labelled and from one another: k-center greedy."""
    vectors = directions_of(features.vectors[rows])
    apart = np.full(len(rows), np.inf)
    labeled = np.flatnonzero(features.files.labels >= 0)
    for start in range(0, len(labeled), _LEAST):
        others = directions_of(features.vectors[labeled[start : start + _LEAST]])
        apart = np.minimum(apart, 1 - (vectors @ others.T).max(1))
    if not len(labeled):  # begin with the most typical one
        apart = vectors @ vectors.mean(0)
    chosen: list[int] = []
    while len(chosen) < min(count, len(rows)):
        chosen.append(int(apart.argmax()))
        near = 1 - vectors @ vectors[chosen[-1]]
        apart = near if len(chosen) == 1 and not len(labeled) else np.minimum(apart, near)
        apart[chosen] = -np.inf
    reason = "it differs from the images that are labeled, or above it in this list"
    return tuple(
        Proposal(
            path=features.files.paths[rows[place]],
            suggestion="",
            probability=None,
            runner_up="",
            reason=reason,
        )
        for place in chosen
    )
