"""Quality of single images: blur, darkness, over-exposure, frames, low information.

Every measure is taken of the small image that the audit decodes anyway, whose shorter side has 64
to 127 pixels: about what a network sees. cleanvision (github.com/cleanlab/cleanvision) is the
reference for what is found, and the source of the thresholds of darkness and over-exposure. The
other measures differ from its own where those report drawings on white, digits on black or a
distant object before an even sky: blur as the width of edges instead of their contrast, and
information as what is left of an image once it is compressed instead of the entropy of its grey
values. `benchmarks/image_quality.py` compares the two.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from PIL import ImageChops

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray
    from PIL import Image

    Box = tuple[int, int, int, int]  # left, top, right, bottom

Fault = Literal["blurred", "dark", "over-exposed", "framed", "low-information"]

# cleanvision's. What the brightest hundredth of an image exceeds; what all but a twentieth exceed.
DARK = 0.32
OVEREXPOSED = 0.95
_NO_STROKES = 0.5  # what all but the dimmest hundredth of an over-exposed image exceeds
_PURE = 0.5  # a channel so far from black and from white makes a color
# Percent of the shorter side. None of 1,103 photos of boats and 950 emoji exceeds 0.95; nearly all
# exceed 1.25 once blurred by a Gaussian whose deviation is 1.5 % of that side.
BLURRED = 1.25
# Bytes. Two stripes on white (a flag of Indonesia) take 50, the simplest of 10,000 MNIST digits 70;
# an even image takes 17, a photo of open water 80 and others some 300.
LOW_INFORMATION = 45
_EVEN = 17

_PERCENTILES = np.array([0.99, 0.05, 0.01])
_SIDE = 64  # pixels of the shorter side below which an edge is measured as if there were so many
_LINES = 16  # rows, and as many columns, at least, on which edges are measured
_STRONG = 1 / 8  # of the strongest edge, in squared steps: weaker ones are texture and noise
_COARSE = 4  # times smaller, wide edges are looked for: noise hides them at the full size
_STEEP = 0.2  # of the range of grey values: an edge so steep is no wide one
_STILL_WIDE = 1.0  # pixels at that size from which an edge is wide there, and not sharp
# The formula's width of a blurred photo to the deviation of the Gaussian, measured on the boats.
_WIDTH_OF_STEP = 1.5
_LIKE_FRAME = 16  # grey levels by which pixels of a frame may differ from one another
_LIKE_FRAME_IN_COLOR = 40  # levels of red, green or blue
_THICK = 0.015  # of the shorter side: the thinnest frame
_ALONG = 0.9  # of a side of the picture that must differ from the frame around it
_CORNERS = 3  # of the picture's four: those of icons are round
_PICTURE = 0.4  # of the image that the picture in a frame takes at least
_STEP = 16  # grey levels that count as one in the measure of information


@dataclass(frozen=True)
class Quality:
    """What was measured of one image.

    Attributes:
        bright: brightness that the brightest hundredth exceeds, 0 to 1; of a pure color that looks
            dark in grey values, such as blue, that of the strongest channel.
        dim: brightness that all but the dimmest twentieth exceed, 0 to 1; of a pure color that is
            light in grey values, such as yellow, that of the weakest channel.
        dimmest: brightness that all but the dimmest hundredth exceed, 0 to 1.
        edges: width of the edges, as the deviation of a Gaussian that would blur an ideal step so
            far, in percent of the shorter side; 0 where there are none.
        frame: share of the image that an even frame or two bars take, 0 to 1.
        information: bytes of the compressed thumbnail, in coarse grey values; an even one has 17.
    """

    bright: float
    dim: float
    dimmest: float
    edges: float
    frame: float
    information: float

    @property
    def faults(self) -> tuple[Fault, ...]:
        """What is wrong with the image."""
        found: list[Fault] = []
        if self.edges > BLURRED:
            found.append("blurred")
        if self.bright < DARK:
            found.append("dark")
        # A drawing on white paper has dark strokes, an over-exposed photo has not.
        if self.dim >= OVEREXPOSED and self.dimmest >= _NO_STROKES:
            found.append("over-exposed")
        if self.frame > 0:
            found.append("framed")
        if self.information < LOW_INFORMATION:
            found.append("low-information")
        return tuple(found)

    def score(self, fault: Fault) -> float:
        """Return how strongly the image has a fault, 0 (hardly, or not) to 1; a frame its share."""
        score = {
            "dark": 1 - self.bright / DARK,
            "over-exposed": (self.dimmest - _NO_STROKES) / (1 - _NO_STROKES),
            "blurred": 1 - BLURRED / max(self.edges, BLURRED),
            "framed": self.frame,
            "low-information": (LOW_INFORMATION - self.information) / (LOW_INFORMATION - _EVEN),
        }[fault]
        return round(min(1.0, max(0.0, score)), 3)


def measured(
    image: Image.Image,
    *,
    grey: Image.Image,
    counts: NDArray[np.int64],
    thumbnail: NDArray[np.uint8],
    ground: bool,
) -> Quality:
    """Return the quality of an image.

    Args:
        image: the reduced image, opaque, mode L or RGB.
        grey: the same in mode L.
        counts: how many pixels there are of each grey value, shape (256,).
        thumbnail: the grey values in shape (32, 32), uint8.
        ground: whether it was transparent and lies on a ground, which is then no frame.
    """
    pixels = np.asarray(grey)
    inside = None if ground else _picture_in_frame(image, pixels)
    frame = 0.0
    if inside is not None:
        left, top, right, bottom = inside
        frame = 1 - (right - left) * (bottom - top) / pixels.size
        image, grey = image.crop(inside), grey.crop(inside)
        counts, pixels = np.array(grey.histogram()), np.asarray(grey)
    bright, dim, dimmest = _brightness(image, counts)
    return Quality(
        bright=bright,
        dim=dim,
        dimmest=dimmest,
        edges=100 * _edge_width(grey, pixels) / max(_SIDE, min(grey.size)),
        frame=frame,
        information=_information(thumbnail),
    )


def _brightness(image: Image.Image, counts: NDArray[np.int64]) -> tuple[float, float, float]:
    """Return `bright`, `dim` and `dimmest`; the channels are looked at only where it matters."""
    bright, dim, dimmest = _percentiles(np.cumsum(counts))
    if image.mode == "RGB" and bright < DARK:
        strongest, _, _ = _percentiles(_over_channels(image, ImageChops.lighter))
        bright = strongest if strongest > _PURE else bright
    if image.mode == "RGB" and dim >= OVEREXPOSED:
        _, weakest, _ = _percentiles(_over_channels(image, ImageChops.darker))
        dim = weakest if weakest < _PURE else dim
    return bright, dim, dimmest


def _over_channels(
    image: Image.Image, chosen: Callable[[Image.Image, Image.Image], Image.Image]
) -> NDArray[np.int64]:
    """Return, for each level, how many pixels are at most so bright in the chosen channel."""
    red, green, blue = image.split()
    return np.cumsum(chosen(chosen(red, green), blue).histogram())


def _percentiles(upto: NDArray[np.int64]) -> tuple[float, float, float]:
    """Return the 99th, the 5th and the 1st percentile, 0 to 1."""
    bright, dim, dimmest = np.searchsorted(upto, upto[-1] * _PERCENTILES) / 255
    return float(bright), float(dim), float(dimmest)


def _edge_width(grey: Image.Image, pixels: NDArray[np.uint8]) -> float:
    """Return the width of the strongest edges in pixels.

    Where no step is steep, edges may be so wide that they drown in noise: if they are not sharp
    even at a quarter of the size, that scale says how wide they are.
    """
    width, steepest = _fine_edge_width(pixels)
    if steepest > _STEEP * (int(pixels.max()) - int(pixels.min())):
        return width
    wide, _ = _fine_edge_width(np.asarray(grey.reduce(_COARSE)))
    return max(width, _COARSE * wide) if wide > _STILL_WIDE else width


def _fine_edge_width(grey: NDArray[np.uint8]) -> tuple[float, float]:
    """Return the width of edges in `grey`, shape (H, W), in pixels, and the steepest step there.

    Of a step that a Gaussian of deviation s has blurred, the second differences have 1 / s times
    the size of the first ones. Both are summed over the strongest edges, so that neither contrast
    nor how much of the image is even matters. Some lines of either direction suffice.
    """
    height, width = grey.shape
    rows = grey[:: max(1, height // _LINES)].astype(np.float32)
    columns = grey[:, :: max(1, width // _LINES)].T.astype(np.float32, order="C")
    first_energy = second_energy = steepest = 0.0
    for lines in (rows, columns):
        if lines.shape[1] < 3:
            continue
        step = lines[:, 1:] - lines[:, :-1]
        squared = step * step
        around = squared[:, 1:] + squared[:, :-1]
        strongest = float(around.max())
        strong = np.maximum(around - _STRONG * strongest, 0)
        bend = step[:, 1:] - step[:, :-1]
        steepest = max(steepest, strongest**0.5)
        first_energy += float(np.einsum("ij,ij->", around, strong))
        second_energy += float(np.einsum("ij,ij,ij->", bend, bend, strong))
    if second_energy == 0:
        return 0.0, steepest
    return (first_energy / second_energy) ** 0.5 / 2 / _WIDTH_OF_STEP, steepest


def _picture_in_frame(image: Image.Image, grey: NDArray[np.uint8]) -> Box | None:
    """Return the box within an even frame, or between two even bars, or None where there is none.

    Unlike the even ground of a drawing, a frame meets a picture along whole lines and at its
    corners, and leaves it most of the image.

    Args:
        image: mode L or RGB.
        grey: its grey values, shape (H, W).
    """
    place = _even_border(grey)
    if place is None:
        return None
    differs = _differing(image, grey, place)
    height, width = grey.shape
    rows, columns = (np.flatnonzero(differs.any(axis=axis)) for axis in (1, 0))
    if not len(rows):
        return None
    top, bottom = int(rows[0]), int(rows[-1]) + 1
    left, right = int(columns[0]), int(columns[-1]) + 1
    least = max(1.0, _THICK * min(height, width))
    bars = min(top, height - bottom) >= least, min(left, width - right) >= least
    if not any(bars):
        return None
    # The outermost line of the picture is a mixture with the frame.
    box = (left + bars[1], top + bars[0], right - bars[1], bottom - bars[0])
    picture = differs[box[1] : box[3], box[0] : box[2]]
    if picture.size < _PICTURE * grey.size or not _fills(picture, bars):
        return None
    return box


def _even_border(grey: NDArray[np.uint8]) -> tuple[int, int] | None:
    """Return (row, column) of a pixel of an even border at two opposite sides, or None."""
    corners = [int(grey[row, column]) for row in (0, -1) for column in (0, -1)]
    if max(corners) - min(corners) > _LIKE_FRAME:  # which spares most images the rest
        return None
    for first, last, place in (
        (grey[0], grey[-1], (0, grey.shape[1] // 2)),
        (grey[:, 0], grey[:, -1], (grey.shape[0] // 2, 0)),
    ):
        lowest, highest = (min(first.min(), last.min()), max(first.max(), last.max()))
        if int(highest) - int(lowest) <= _LIKE_FRAME:
            return place
    return None


def _differing(
    image: Image.Image, grey: NDArray[np.uint8], place: tuple[int, int]
) -> NDArray[np.bool_]:
    """Return where `image` differs from its pixel at `place`, shape (H, W).

    In JPEG the colors of a picture bleed into its frame, so that more is allowed in color.
    """
    differs: NDArray[np.bool_] = np.abs(grey.astype(np.int16) - int(grey[place])) > _LIKE_FRAME
    if image.mode == "RGB":
        pixels = np.asarray(image).astype(np.int16)
        differs |= (np.abs(pixels - pixels[place]) > _LIKE_FRAME_IN_COLOR).any(axis=2)
    return differs


def _fills(picture: NDArray[np.bool_], bars: tuple[bool, bool]) -> bool:
    """Return whether what differs from the frame fills its box to the lines and corners.

    Args:
        picture: where the box differs from the frame.
        bars: whether there are bars above and below, and at the left and right.
    """
    horizontal, vertical = (picture[0], picture[-1]), (picture[:, 0], picture[:, -1])
    lines = [*(horizontal if bars[0] else ()), *(vertical if bars[1] else ())]
    corners = picture[[0, 0, -1, -1], [0, -1, 0, -1]]
    return min(float(line.mean()) for line in lines) >= _ALONG and int(corners.sum()) >= _CORNERS


def _information(thumbnail: NDArray[np.uint8]) -> float:
    """Return the bytes of the compressed thumbnail, in coarse grey values.

    The values are counted from the median, lest weak noise cross a border between two of them.
    """
    upto = np.cumsum(np.bincount(thumbnail.ravel(), minlength=256))
    middle = int(np.searchsorted(upto, thumbnail.size / 2))
    coarse = (np.arange(256) - middle + _STEP // 2) // _STEP
    return float(len(zlib.compress(coarse.astype(np.int8)[thumbnail].tobytes())))
