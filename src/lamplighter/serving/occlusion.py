"""Occlusion: which parts of an image an answer rests on, by covering them one after another."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from lamplighter.images.preprocessing import Preprocessing
    from lamplighter.serving.batching import Prepare

_POSITIONS = 100  # of the cover, about
_DARK = 0.25  # mean of images, 0..1, below which black stands for nothing


@dataclass(frozen=True)
class Covers:
    """Where an image is covered: windows of one size, half of it apart, up to each edge.

    The same places as `lamplighter explain` takes for the method "occlusion".

    Attributes:
        height: of the image, in pixels.
        width: of the image, in pixels.
        window: height and width of the cover.
        step: from one place to the next.
        tops: of its places, from the top down.
        lefts: of its places, from the left on.
    """

    height: int
    width: int
    window: tuple[int, int]
    step: int
    tops: tuple[int, ...]
    lefts: tuple[int, ...]

    @classmethod
    def of(cls, height: int, width: int) -> Covers:
        """Return about 100 places that cover an image of this size."""
        side = round(2 * math.sqrt(height * width / _POSITIONS))
        side = max(1, min(height, width, side))
        step = max(1, side // 2)
        tops, lefts = (_starts(length, side, step) for length in (height, width))
        return cls(height, width, (side, side), step, tops, lefts)

    def __len__(self) -> int:
        return len(self.tops) * len(self.lefts)


def covered(
    image: NDArray[np.float32], preprocessing: Preprocessing, covers: Covers
) -> Sequence[Prepare]:
    """Return what makes each of the covered images, so that few are in memory at a time.

    The cover is black where images are dark in the mean, as digits drawn on black are, else the
    mean color that the preprocessing subtracts.

    Args:
        image: as preprocessed, shape (C, H, W).
        preprocessing: of the classifier.
        covers: of the size of the image.
    """
    color = np.zeros((preprocessing.channels, 1, 1), dtype=np.float32)
    if np.mean(preprocessing.mean) < _DARK:
        black = [
            -mean / std for mean, std in zip(preprocessing.mean, preprocessing.std, strict=True)
        ]
        color = np.array(black, dtype=np.float32).reshape(-1, 1, 1)
    return [
        functools.partial(_with_cover, image, color, top, left, covers.window)
        for top in covers.tops
        for left in covers.lefts
    ]


def heat(scores: NDArray[np.float32], whole: float, covers: Covers) -> NDArray[np.float32]:
    """Return how far the score falls where a pixel is covered, in the mean over the covers.

    Occlusion (Zeiler and Fergus, 2014, arXiv:1311.2901).

    Args:
        scores: of the covered images, in the order of `covered`, shape (len(covers),).
        whole: the score of the image itself.
        covers: as given to `covered`.

    Returns:
        Shape (H, W); negative where the score rises.
    """
    falls = np.zeros((covers.height, covers.width), dtype=np.float32)
    times = np.zeros_like(falls)
    tall, wide = covers.window
    places = ((top, left) for top in covers.tops for left in covers.lefts)
    for (top, left), score in zip(places, scores, strict=True):
        falls[top : top + tall, left : left + wide] += whole - score
        times[top : top + tall, left : left + wide] += 1
    return falls / times


def _with_cover(
    image: NDArray[np.float32],
    color: NDArray[np.float32],
    top: int,
    left: int,
    window: tuple[int, int],
) -> NDArray[np.float32]:
    hidden = image.copy()
    hidden[:, top : top + window[0], left : left + window[1]] = color
    return hidden


def _starts(length: int, side: int, step: int) -> tuple[int, ...]:
    """Return where covers begin along one side; the last one may reach over the edge."""
    return tuple(range(0, length - side + step, step))
