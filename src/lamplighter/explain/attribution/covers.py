"""What occlusion covers an image with, and where: the same with torch and with ONNX Runtime."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from lamplighter.errors import ModelError
from lamplighter.names import wrong_choice

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lamplighter.images.preprocessing import Preprocessing

BASELINES = ("black", "mean", "blur")
_DARK = 0.25  # mean of images, 0..1, that are drawn on black
_POSITIONS = 100  # of the window that occludes, about


def baseline_name(preprocessing: Preprocessing, name: str | None) -> str:
    """Return which baseline stands for nothing being there.

    Args:
        preprocessing: of the classifier.
        name: "black", "mean" or "blur"; None for "black" where images are dark in the mean (as
            digits drawn on black are), else "mean".

    Raises:
        ModelError: there is no such baseline.
    """
    if name is None:
        return "black" if float(np.mean(preprocessing.mean)) < _DARK else "mean"
    if name not in BASELINES:
        raise ModelError(wrong_choice("baseline", name, BASELINES))
    return name


class Window(NamedTuple):
    """A rectangle that is moved over an image, and how far from one place to the next.

    Attributes:
        tall: its height in pixels.
        wide: its width in pixels.
        down: pixels from one row of places to the next.
        across: pixels from one column of places to the next.
    """

    tall: int
    wide: int
    down: int
    across: int

    def places(self, height: int, width: int) -> list[tuple[slice, slice]]:
        """Return the rows and columns of each place; the last ones may end at the border."""
        rows = range(0, _last(height, self.tall, self.down) + 1, self.down)
        columns = range(0, _last(width, self.wide, self.across) + 1, self.across)
        return [
            (slice(row, row + self.tall), slice(column, column + self.wide))
            for row in rows
            for column in columns
        ]


def window_over(
    height: int,
    width: int,
    window: int | tuple[int, int] | None,
    stride: int | tuple[int, int] | None,
) -> Window:
    """Return the window that is moved over an image of `height` x `width` pixels.

    Args:
        height: rows of the image.
        width: columns of the image.
        window: height and width in pixels, or one number for both; by default a square of such
            a size that about 100 places cover the image.
        stride: from one place to the next; by default half the window.

    Raises:
        ModelError: it does not fit into the image, or would leave gaps.
    """
    side = max(1, min(height, width, round(2 * math.sqrt(height * width / _POSITIONS))))
    tall, wide = _pair("window", window, (side, side))
    if tall > height or wide > width:
        raise ModelError(
            f"window must fit into the image of {height} x {width} pixels, received "
            f"{tall} x {wide}; make it smaller."
        )
    down, across = _pair("stride", stride, (max(1, tall // 2), max(1, wide // 2)))
    if down > tall or across > wide:
        raise ModelError(
            f"stride must be at most the window, so that all is covered, received {down} x "
            f"{across} for {tall} x {wide}; make it smaller."
        )
    return Window(tall, wide, down, across)


def cover_color(preprocessing: Preprocessing, name: str) -> NDArray[np.float32]:
    """Return the color of a cover as the network is given it, float32, shape (C, 1, 1).

    Args:
        preprocessing: of the classifier.
        name: "black", or "mean" for the mean color that the preprocessing subtracts.
    """
    mean = np.array(preprocessing.mean, dtype=np.float32).reshape(-1, 1, 1)
    std = np.array(preprocessing.std, dtype=np.float32).reshape(-1, 1, 1)
    return -mean / std if name == "black" else np.zeros_like(mean)


def mean_falls(
    falls: NDArray[np.float32], window: Window, height: int, width: int
) -> NDArray[np.float32]:
    """Return at each pixel the mean over all places of the window that cover it.

    Args:
        falls: of the score with the window at each of its P places, shape (P,).
        window: what covers.
        height: rows of the image.
        width: columns of the image.

    Returns:
        float32, shape (H, W).
    """
    sums, counts = np.zeros((height, width)), np.zeros((height, width))
    for fall, (rows, columns) in zip(falls, window.places(height, width), strict=True):
        sums[rows, columns] += fall
        counts[rows, columns] += 1
    return (sums / counts).astype(np.float32)


def check_count(name: str, value: object) -> None:
    """Refuse a setting that is no whole number of at least 1.

    Raises:
        ModelError: it is none.
    """
    if type(value) is not int or value < 1:
        raise ModelError(f"{name} must be a whole number of at least 1, received {value!r}.")


def _last(length: int, window: int, stride: int) -> int:
    """Return where the last place begins, so that the end of the image is covered."""
    return -(-(length - window) // stride) * stride


def _pair(
    name: str, value: int | tuple[int, int] | None, default: tuple[int, int]
) -> tuple[int, int]:
    """Return (height, width) of a setting that may be one number for both."""
    if value is None:
        return default
    pair = tuple(value) if isinstance(value, list | tuple) else (value, value)
    if len(pair) != 2:
        raise ModelError(f"{name} must be one number or (height, width), received {value!r}.")
    for number in pair:
        check_count(name, number)
    return pair[0], pair[1]
