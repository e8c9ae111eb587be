"""Digits in two grey levels: which of them is ink, told by the border.

The ground is what there is more of at the border, also of a tight crop or where thick strokes
cover more than half of the picture. So what a stroke encloses is never taken for the digit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from lamplighter.images.digits.connected_components import (
    Box,
    blobs,
    components,
    edge,
    filled,
    holds_square,
    is_straight,
    widened,
)
from lamplighter.images.digits.foreground import View, view_of
from lamplighter.images.digits.page_detection import holds_writing

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL import Image

    Floats = NDArray[np.float32]
    Mask = NDArray[np.bool_]

_LEAST_CONTRAST = 20.0  # between the two levels
_EVEN = 0.1  # of the contrast, by which nine tenths of the ground may differ from its level
_FADING = 0.035  # of the long side of the image, over which the strokes of a small one fade out
_MOST_PIECES = 3  # that may enclose others: a digit, its bar, what is about it
_SPECK = 0.12  # long side of what counts for nothing, as a share of the digit's
_BROAD = 0.33  # side of a square that no stroke holds, as a share of the digit's long side


class Levels(NamedTuple):
    """The two grey levels of a picture.

    Attributes:
        ground: that of what the digit stands on, 0..255.
        ink: that of its strokes, 0..255.
        sheet: whether what is inked may as well be a blank sheet.
    """

    ground: float
    ink: float
    sheet: bool = False

    @property
    def contrast(self) -> float:
        """How far the two are apart, in grey levels."""
        return abs(self.ink - self.ground)

    def departure(self, image: Image.Image) -> Floats:
        """Return how far each pixel of `image` departs from the ground, towards the ink, (H, W)."""
        grey = np.asarray(image.convert("L"), dtype=np.float32)
        sign = np.float32(1 if self.ink > self.ground else -1)
        departure: Floats = (grey - np.float32(self.ground)) * sign
        return departure

    def view(self, image: Image.Image) -> View:
        """Return what departs from the ground of `image`, towards the ink.

        Raises:
            ImageError: nothing does.
        """
        departure = self.departure(image)
        ground = np.abs(departure[departure < self.contrast / 2])
        noise = float(np.quantile(ground, 0.3)) / 0.385 if ground.size else 0.0
        return view_of(departure, noise)


def find_levels(image: Image.Image) -> Levels | None:
    """Return the levels of `image`, of mode L or RGB; None if it is no digit on an even ground."""
    grey = np.asarray(image.convert("L"))
    if np.ptp(grey) < _LEAST_CONTRAST or min(grey.shape) < 3:
        return None
    light = grey > _threshold(grey)
    ink = _ink(light)
    ground = _ground(grey, ink)
    levels = Levels(ground=float(np.median(ground)), ink=float(np.median(grey[ink])))
    uneven = float(np.quantile(np.abs(ground - levels.ground), 0.9))
    if levels.contrast < _LEAST_CONTRAST or uneven > _EVEN * levels.contrast:
        return None
    if not _is_digit(ink):
        return None
    return levels._replace(sheet=_is_sheet(ink))


def _ground(grey: NDArray[np.uint8], ink: Mask) -> NDArray[np.uint8]:
    """Return the pixels of `grey` (H, W) that are ground and nothing else, shape (N,)."""
    free = grey[~widened(ink, 1 + round(_FADING * max(ink.shape)))]
    if free.size:
        return free
    # In a tight crop strokes fade out over all of it: the tenth that is least like them.
    beside = np.sort(grey[~ink])
    tenth = 1 + len(beside) // 10
    return beside[-tenth:] if grey[ink].max() < beside[0] else beside[:tenth]


def _threshold(grey: NDArray[np.uint8]) -> int:
    """Return the level that divides `grey` (H, W) best: what is above it is light.

    The variance between the two classes is largest (Otsu, 1979, "A threshold selection method
    from gray-level histograms").
    """
    counts = np.bincount(grey.reshape(-1), minlength=256).astype(np.float64)
    weight = counts.cumsum()
    total = (counts * np.arange(256)).cumsum()
    rest = weight[-1] - weight
    divided = (weight > 0) & (rest > 0)
    between = np.zeros(256)
    apart = total[-1] * weight - weight[-1] * total
    between[divided] = apart[divided] ** 2 / (weight * rest)[divided]
    best = np.flatnonzero(between >= between.max() * (1 - 1e-9))
    return int((best[0] + best[-1]) // 2)  # between two levels that are far apart, the middle


def _ink(light: Mask) -> Mask:
    """Return the ink of a picture in two levels, `light` or not, (H, W).

    It is what covers less of the border, in tight crops too: of 6,000 digits of MNIST, made
    thick and thin, the ink covered at most half of the border.
    """
    border = np.concatenate([light[0], light[-1], light[1:-1, 0], light[1:-1, -1]])
    return ~light if border.mean() > 0.5 else light


def _is_digit(ink: Mask) -> bool:
    """Return whether `ink` (H, W) is one digit: nothing about it or in it, no sheet written on."""
    labels = components(ink)
    pieces = sorted(blobs(labels, ink.astype(np.float32)), key=lambda piece: -piece.ink)
    main = pieces[0]
    others = [piece for piece in pieces if piece.box.long_side >= _SPECK * main.box.long_side]
    at_border = set(np.unique(labels[edge(np.ones_like(ink))]).tolist())
    if len(others) > 1 and any(piece.label in at_border for piece in others):
        return False
    for piece in others[:_MOST_PIECES]:
        inside = filled(labels == piece.label)
        enclosed = set(np.unique(labels[inside]).tolist()) - {0, piece.label}
        least = _SPECK * piece.box.long_side
        if any(other.box.long_side >= least for other in pieces if other.label in enclosed):
            return False
    # Of a sheet that reaches all borders nothing would be seen of the desk about it.
    whole = main.box == Box(0, 0, ink.shape[1], ink.shape[0])
    inside = filled(labels == main.label)
    return whole or not is_straight(inside) or not holds_writing(inside, inside & ~ink)


def _is_sheet(ink: Mask) -> bool:
    """Return whether `ink` (H, W) is straight, broad and without holes."""
    rows, columns = np.nonzero(ink)
    side = round(_BROAD * max(np.ptp(rows) + 1, np.ptp(columns) + 1))
    return holds_square(ink, side) and is_straight(ink) and bool((filled(ink) == ink).all())
