"""One handwritten digit, photographed or drawn, brought to the form of MNIST.

MNIST's own recipe (LeCun et al., 1998, "Gradient-based learning applied to document
recognition"): white on black, the digit fitted into 20 x 20 pixels with its aspect ratio kept,
then placed with its centre of mass in the middle of 28 x 28. Before that, the ink has to be
found (`lamplighter.data.ink`), first in the whole image, then more finely about the digit; what
surrounds it (`lamplighter.data.surroundings`) is left out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from lamplighter.data.images import as_8_bit, lay_on
from lamplighter.data.ink import WEAK, find_ink, look
from lamplighter.data.patches import Box, spread
from lamplighter.data.surroundings import check_strokes, find_part

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]

_SIZE = 28  # of MNIST's images
_BOX = 20  # of the digit in them
_MIDDLE = 14.0  # where MNIST has the centre of mass, as an index of pixels
_STROKE = (2.2, 4.5)  # narrowest and widest strokes in the box
_COARSE = 224  # long side of the image in which the digit is looked for
_FINE = 160  # long side of the part in which it is then measured
_MARGIN = 0.35  # about the digit in that part, as a share of its long side


def centre_digit(image: Image.Image) -> NDArray[np.uint8]:
    """Return the digit in `image` as MNIST would show it: white on black, uint8, shape (28, 28).

    Pen on paper, chalk on a board, strokes on transparent ground. Light that changes smoothly,
    ruled lines and specks of dust do no harm; nor do a plain desk about the sheet, a frame or a
    box about the digit, and the hard edge of a shadow, as long as the digit touches none of them.
    A digit that does, and a sheet on a strongly patterned desk, may be refused or misread.

    Raises:
        ImageError: nothing stands out from the background, or nothing but a sheet or a shadow.
    """
    opaque = _opaque(as_8_bit(image))
    small = _reduced(opaque, _COARSE)
    part, view = find_part(small)
    ink = find_ink(view)
    check_strokes(ink > WEAK)
    box = _about(ink, opaque)
    fine = _reduced(opaque.crop(box), _FINE)
    across, down = small.width / opaque.width, small.height / opaque.height
    in_small = (box.left * across, box.top * down, box.right * across, box.bottom * down)
    fine_part = Image.fromarray(part).resize(fine.size, Image.Resampling.NEAREST, in_small)
    return _centred(_fitted(_even_strokes(find_ink(look(fine, np.asarray(fine_part))))))


def _opaque(image: Image.Image) -> Image.Image:
    """Return `image` without alpha, on white or black, whichever is farther from it."""
    if image.mode != "RGBA":
        return image
    alpha = np.asarray(image.getchannel("A"), dtype=np.float64)
    grey = np.asarray(image.convert("RGB").convert("L"), dtype=np.float64)
    visible = float((grey * alpha).sum() / max(alpha.sum(), 1))
    return lay_on(image, 0 if visible > 127 else 255)


def _reduced(image: Image.Image, long_side: int) -> Image.Image:
    """Return `image` scaled down to at most `long_side`, each pixel the mean of what it covers."""
    scale = long_side / max(image.size)
    if scale >= 1:
        return image
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    return image.resize(size, Image.Resampling.BOX)


def _about(ink: Floats, image: Image.Image) -> Box:
    """Return the part of `image` that holds the digit of `ink` (H, W) and some background."""
    rows, columns = np.nonzero(ink)
    across, down = image.width / ink.shape[1], image.height / ink.shape[0]
    left, right = columns.min() * across, (columns.max() + 1) * across
    top, bottom = rows.min() * down, (rows.max() + 1) * down
    margin = max(_MARGIN * max(right - left, bottom - top), 4)
    return Box(
        max(0, int(left - margin)),
        max(0, int(top - margin)),
        min(image.width, int(right + margin) + 1),
        min(image.height, int(bottom + margin) + 1),
    )


def _even_strokes(ink: Floats) -> Floats:
    """Return `ink` (H, W) cropped to the digit, its strokes neither hair-thin nor a blot.

    The width of strokes is twice their area over the length of their outline.
    """
    rows, columns = np.nonzero(ink > WEAK)
    ink = ink[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    padded = np.pad(ink, 1)
    outline = sum(float(np.abs(np.diff(padded, axis=axis)).sum()) for axis in (0, 1)) * np.pi / 4
    width = 2 * float(ink.sum()) / outline
    pixel = max(ink.shape) / _BOX  # of the result, in pixels of `ink`
    if pixel <= 1:
        return ink
    thinnest, thickest = _STROKE[0] * pixel, _STROKE[1] * pixel
    if width < thinnest:
        radius = (thinnest - width) / 2
        return spread(np.pad(ink, int(np.ceil(radius))), radius)
    if width > thickest:
        radius = (width - thickest) / 2
        thinned: Floats = 1 - spread(1 - padded, radius)
        # Of strokes of very different widths the thin ones would be lost.
        return thinned if (thinned > WEAK).sum() > 0.3 * (ink > WEAK).sum() else ink
    return ink


def _fitted(ink: Floats) -> Floats:
    """Return `ink` (H, W) in a box of 20 pixels on its long side, strokes reaching 255."""
    rows, columns = np.nonzero(ink > WEAK)
    ink = ink[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    height, width = ink.shape
    scale = _BOX / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    if size != (width, height):
        filtered = Image.Resampling.HAMMING if scale < 1 else Image.Resampling.BICUBIC
        ink = np.asarray(Image.fromarray(ink).resize(size, filtered))
    full = float(np.percentile(ink[ink > WEAK * ink.max()], 65))
    stretched: Floats = (ink * (255 / full)).clip(0, 255)
    return stretched


def _centred(digit: Floats) -> NDArray[np.uint8]:
    """Return `digit`, at most 20 x 20, with its centre of mass in the middle of 28 x 28."""
    result = np.zeros((_SIZE, _SIZE), dtype=np.uint8)
    corner = []
    for axis, length in enumerate(digit.shape):
        profile = digit.sum(axis=1 - axis)
        centre = float((profile * np.arange(length)).sum() / profile.sum())
        corner.append(min(max(round(_MIDDLE - centre), 0), _SIZE - length))
    top, left = corner
    result[top : top + digit.shape[0], left : left + digit.shape[1]] = digit.round()
    return result
