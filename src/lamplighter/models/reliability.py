"""`Trust`: the temperature of a classifier, and its reference for "unknown"."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from lamplighter.errors import ModelError, ShapeError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

UNKNOWN = "unknown"
_LOWEST, _HIGHEST = 0.01, 100.0  # temperatures that leave probabilities their meaning
_CHUNK = 512  # images compared at a time; memory does not grow with their number


@dataclass(frozen=True, eq=False)
class Trust:
    """What makes the answers of a classifier trustworthy, measured on its validation split.

    Probabilities are softmax(logits / temperature). An image is unknown where its features lie
    farther from the training images than `threshold`: the cosine distance, 0..2, to the
    `neighbours`-th nearest one (Sun et al., 2022, arXiv:2204.06507).

    Attributes:
        temperature: 0.01..100; more than 1 makes a classifier less sure of itself.
        reference: features of training images, float32, shape (M, D), each of length 1; None
            where nothing is called unknown.
        neighbours: which of the nearest training images counts, 1..M.
        threshold: the largest distance that is still known, 0..2; None with no reference.
        measured: what was measured when it was made; plain JSON types.

    Raises:
        ModelError: a value is out of range, or not all of what belongs together is given.
    """

    temperature: float = 1.0
    reference: NDArray[np.float32] | None = None
    neighbours: int = 1
    threshold: float | None = None
    measured: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not _LOWEST <= self.temperature <= _HIGHEST:
            raise ModelError(
                f"the temperature must be in {_LOWEST}..{_HIGHEST:g}, received {self.temperature}."
            )
        if (self.reference is None) != (self.threshold is None):
            given = "threshold" if self.reference is None else "reference"
            raise ModelError(
                f"what is unknown needs a reference and a threshold, received only a {given}."
            )
        if self.reference is not None:
            _check_vectors(self.reference, "the reference")
        most = 1 if self.reference is None else len(self.reference)
        if not 1 <= self.neighbours <= most:
            raise ModelError(
                f"neighbours must be in 1..{most}, as many as the reference has vectors, "
                f"received {self.neighbours}."
            )
        if self.threshold is not None and not 0 <= self.threshold <= 2:
            raise ModelError(
                f"the threshold is a cosine distance and must be in 0..2, received "
                f"{self.threshold}."
            )

    @cached_property
    def _directions(self) -> NDArray[np.float32]:
        assert self.reference is not None
        return unit_length(self.reference)

    def distances(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return how far images lie from the training images, 0..2, shape (N,).

        Args:
            features: of N images, from the same network, shape (N, D).

        Raises:
            ModelError: there is no reference, or a feature is NaN or infinite.
            ShapeError: the features have another width than the reference.
        """
        if self.reference is None:
            raise ModelError(
                "there is no reference of training images to measure a distance to; make the "
                "trust from a network with features."
            )
        return distances_to_directions(features, self._directions, self.neighbours)


def unknown_label(class_names: Iterable[str]) -> str:
    """Return what an image is called that belongs to no class: a name that no class has.

    Example:
        >>> unknown_label(["cat", "dog"]), unknown_label(["cat", "unknown"])
        ('unknown', '(unknown)')
    """
    taken, label = set(class_names), UNKNOWN
    while label in taken:
        label = f"({label})"
    return label


def unit_length(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return each row of `vectors` (N, D) divided by its length; a row of zeros stays."""
    lengths = np.linalg.norm(vectors.astype(np.float64), axis=1, keepdims=True)
    scaled: NDArray[np.float32] = (vectors / np.where(lengths > 0, lengths, 1)).astype(np.float32)
    return scaled


def distances_to_directions(
    features: NDArray[np.float32], directions: NDArray[np.float32], neighbours: int
) -> NDArray[np.float32]:
    """Return the cosine distance of each row to its `neighbours`-th nearest direction.

    Args:
        features: shape (N, D).
        directions: vectors of length 1, shape (M, D).
        neighbours: 1..M.

    Returns:
        1 - cosine, 0..2, float32, shape (N,).

    Raises:
        ModelError: a feature is NaN or infinite, or `neighbours` is not in 1..M.
        ShapeError: the widths differ.
    """
    _check_vectors(features, "features")
    if features.shape[1] != directions.shape[1]:
        raise ShapeError(
            f"features are compared with others of their network, received {features.shape[1]} "
            f"numbers an image and {directions.shape[1]} in the reference; make the trust anew."
        )
    if not 1 <= neighbours <= len(directions):
        raise ModelError(
            f"neighbours must be in 1..{len(directions)}, as many as the reference has vectors, "
            f"received {neighbours}."
        )
    found = np.empty(len(features), dtype=np.float32)
    for start in range(0, len(features), _CHUNK):
        part = unit_length(features[start : start + _CHUNK])
        apart = 1 - part @ directions.T  # (n, M)
        nearest = np.partition(apart, neighbours - 1, axis=1)[:, neighbours - 1]
        found[start : start + _CHUNK] = np.clip(nearest, 0, 2)  # rounding may pass the ends
    return found


def _check_vectors(vectors: NDArray[np.float32], what: str) -> None:
    if vectors.ndim != 2 or not np.issubdtype(vectors.dtype, np.floating):
        raise ShapeError(
            f"{what} must be floats of shape (N, D), received {vectors.dtype} of shape "
            f"{vectors.shape}."
        )
    if not np.isfinite(vectors).all():
        raise ModelError(f"{what} must be finite, received NaN or an infinite number.")
