"""A picture of one digit in two grey levels, its ground and its ink: drawn, scanned, evenly lit.

The ground is what there is more of at the border, also of a tight crop or where thick strokes
cover more than half of the picture. What a stroke encloses is never the digit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from lamplighter.data.ink import View, view_of
from lamplighter.data.patches import (
    blobs,
    components,
    edge,
    filled,
    holds_square,
    is_straight,
    rectangularity,
)
from lamplighter.data.surroundings import holds_writing

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL import Image

    from lamplighter.data.patches import Blob

    Floats = NDArray[np.float32]
    Mask = NDArray[np.bool_]

_LEAST_CONTRAST = 20.0  # between the two levels
_EVEN = 0.1  # of the contrast, by which nine tenths of the ground may differ from its level
_FADING = 0.035  # of the long side of the image, over which the strokes of a small one fade out
_MOST_PIECES = 3  # that may enclose others: a digit, its bar, what is about it
_SPECK = 0.12  # long side of what counts for nothing, as a share of the digit's
_FORM = (16 / 28, 24 / 28)  # long side of MNIST's digits, as a share of the image's
_OFF_CENTRE = 1.5 / 28  # of the image's side, by which their middle is off at most
_SHEET = 0.93  # of the rectangle about it a sheet covers more
_BROAD = 0.33  # side of a square that no stroke holds, as a share of the digit's long side


class Levels(NamedTuple):
    """The two grey levels of a picture, 0..255."""

    ground: float
    ink: float

    def view(self, image: Image.Image) -> View:
        """Return what departs from the ground of `image`, towards the ink.

        Raises:
            ImageError: nothing does.
        """
        grey = np.asarray(image.convert("L"), dtype=np.float32)
        sign = np.float32(1 if self.ink > self.ground else -1)
        departure: Floats = (grey - np.float32(self.ground)) * sign
        return view_of(departure, _noise(np.abs(departure), abs(self.ink - self.ground)))


def find_levels(image: Image.Image) -> Levels | None:
    """Return the levels of `image`, of mode L or RGB, if it is one digit on an even ground."""
    grey = np.asarray(image.convert("L"))
    if np.ptp(grey) < _LEAST_CONTRAST or min(grey.shape) < 3:
        return None
    light = grey > _threshold(grey)
    levels = {is_light: float(np.median(grey[light == is_light])) for is_light in (False, True)}
    if levels[True] - levels[False] < _LEAST_CONTRAST:
        return None
    ink = _ink(light)
    if not _is_digit(ink):
        return None
    ink_is_light = bool(light[ink][0])
    found = Levels(ground=levels[not ink_is_light], ink=levels[ink_is_light])
    ground = grey[~_near(ink)]
    departure = np.abs(ground - np.float32(found.ground))
    even = not ground.size or np.quantile(departure, 0.9) <= _EVEN * abs(found.ink - found.ground)
    return found if even else None


def _near(ink: Mask) -> Mask:
    """Return `ink` (H, W) and the pixels about it in which enlarged strokes fade out."""
    reach = 1 + round(_FADING * max(ink.shape))
    sums = np.pad(ink.astype(np.int32), ((reach + 1, reach), (reach + 1, reach)))
    sums = sums.cumsum(axis=0).cumsum(axis=1)
    side = 2 * reach + 1
    inside = sums[side:, side:] - sums[:-side, side:] - sums[side:, :-side] + sums[:-side, :-side]
    near: Mask = inside > 0
    return near


def _noise(departure: Floats, contrast: float) -> float:
    ground = departure[departure < contrast / 2]
    return float(np.quantile(ground, 0.3)) / 0.385 if ground.size else 0.0


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
    between[divided] = (total[-1] * weight - weight[-1] * total)[divided] ** 2 / (weight * rest)[
        divided
    ]
    best = np.flatnonzero(between >= between.max() * (1 - 1e-9))
    return int((best[0] + best[-1]) // 2)  # between two levels that are far apart, the middle


def _ink(light: Mask) -> Mask:
    """Return the ink of a picture in two levels, `light` or not, (H, W): the less at its border.

    So it is in tight crops, too: of 3,000 digits of MNIST, thick and thin, the ink covered at most
    half of the border.
    """
    border = np.concatenate([light[0], light[-1], light[1:-1, 0], light[1:-1, -1]])
    return ~light if border.mean() > 0.5 else light


def _is_digit(ink: Mask) -> bool:
    """Return whether `ink` (H, W) is one digit: no sheet, no desk, nothing about it or in it."""
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
    inside = filled(labels == main.label)
    if not is_straight(inside):
        return True
    holes = inside & ~ink
    if holes.any():
        return not holds_writing(holes)
    return _has_form(inside, main) or not holds_square(inside, round(_BROAD * main.box.long_side))


def _has_form(inside: Mask, mark: Blob) -> bool:
    """Return whether a `mark` without holes is about as large as MNIST's digits, in the middle.

    So lies a thick 8 whose holes are closed, which covers no more of a rectangle than other 8s;
    a sheet of paper covers all of its own.
    """
    size = len(inside)
    place = [float(axis.mean()) / size for axis in np.nonzero(inside)]
    return (
        inside.shape == (size, size)
        and _FORM[0] * size <= mark.box.long_side <= _FORM[1] * size
        and max(abs(share - 0.5) for share in place) < _OFF_CENTRE
        and rectangularity(inside) < _SHEET
    )
