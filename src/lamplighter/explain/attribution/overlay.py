"""A map of an explanation as colours over the image, and in words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Seen apart with each kind of colour blindness (Okabe and Ito, 2008).
FOR, AGAINST = (213, 94, 0), (0, 114, 178)
_STRONGEST = 190  # of 255: the image is seen through the colour


def overlay(values: NDArray[np.floating[Any]]) -> NDArray[np.uint8]:
    """Return a map as colours to lay over the image: orange speaks for the class, blue against it.

    The larger a value, the less of the image is seen through it; 0 is transparent.

    Args:
        values: a map, shape (H, W).

    Returns:
        RGBA, uint8, shape (H, W, 4).
    """
    largest = float(np.abs(values).max(initial=0.0))
    strength = np.abs(values) / largest if largest else np.zeros_like(values)
    colours = np.zeros((*values.shape, 4), dtype=np.uint8)
    colours[..., :3] = np.where((values >= 0)[..., np.newaxis], FOR, AGAINST)
    colours[..., 3] = (strength * _STRONGEST).round()
    return colours


def place_in_words(values: NDArray[np.floating[Any]]) -> str:
    """Return in words where a map (H, W) is largest, for those who cannot see it."""
    height, width = values.shape
    row, column = divmod(int(values.argmax()), width)
    down = ("at the top", "in the middle", "at the bottom")[3 * row // height]
    across = (" on the left", "", " on the right")[3 * column // width]
    return down + across
