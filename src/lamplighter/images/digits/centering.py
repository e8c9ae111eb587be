"""A handwritten digit, photographed or drawn, centred as MNIST has it.

MNIST's own recipe (LeCun et al., 1998, "Gradient-based learning applied to document
recognition"): white on black, the digit fitted into 20 x 20 pixels with its aspect ratio kept,
then placed with its centre of mass in the middle of 28 x 28. Before that, the ink has to be
found, first in the whole image, then more finely about the digit. A picture in two levels
(`lamplighter.images.digits.two_level`), tight crops included, tells by its border which is the
ink, and is left as it is where it has the form of MNIST already. In any other the ink is what
departs from a smooth background (`lamplighter.images.digits.foreground`), and what surrounds it
(`lamplighter.images.digits.page_detection`) is left out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageOps

from lamplighter.images.decoding import as_8_bit, lay_on
from lamplighter.images.digits.connected_components import Box, spread
from lamplighter.images.digits.foreground import WEAK, find_ink, look
from lamplighter.images.digits.page_detection import check_strokes, find_part
from lamplighter.images.digits.two_level import Levels, find_levels

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]

_SIZE = 28  # of MNIST's images
_BOX = 20  # of the digit in them
_MIDDLE = 14.0  # where MNIST has the centre of mass, as an index of pixels
_STROKE = (2.2, 3.0)  # narrowest and widest strokes in the box; the median of MNIST's is 2.4
_COARSE = 224  # long side of the image in which the digit is looked for
_FINE = 160  # long side of the part in which it is then measured
_FORM = (16, 24)  # least and largest long side of a digit that has the form of MNIST's already
_OFF_CENTRE = 1.5  # pixels that its centre of mass is then off at most
_LARGEST = 40 * _SIZE  # long side in which an enlarged image of that form is looked at
_AS_LARGE = (19, 22)  # long side that is left, since any resizing blurs
_FINE_ENOUGH = 2.5  # pixels for each of the result, for thinning strokes
_FULL_CONTRAST = 200.0  # between ground and ink, in grey levels: 99 % of MNIST's images have more
_HAIR = 1.1  # pixels: narrower strokes of an enlarged image are widened
_MARGIN = 0.35  # about the digit in that part, as a share of its long side


def centre_digit(image: Image.Image) -> NDArray[np.uint8]:
    """Return the digit in `image` as MNIST would show it: white on black, uint8, shape (28, 28).

    An image that has this form already, inverted, faint or enlarged as it may be, is left as it is.
    Pen on paper, chalk on a board, strokes on transparent ground, tight crops of these. Light that
    changes smoothly, ruled lines and specks of dust do no harm; nor do a plain desk about the
    sheet, a frame or a box about the digit, and the hard edge of a shadow, as long as the digit
    touches none of them. A digit that does, and a sheet on a strongly patterned desk, may be
    refused or misread.

    Raises:
        ImageError: nothing stands out from the background, or nothing but a sheet or a shadow.
    """
    opaque = _opaque(as_8_bit(image))
    levels = find_levels(_reduced(opaque, _COARSE))
    formed = _in_form(opaque, levels) if levels else None
    if formed is not None:
        return formed
    ink = _drawn(opaque, levels) if levels and not levels.sheet else _photographed(opaque)
    return _centred(_fitted(_even_strokes(ink)))


def _photographed(image: Image.Image) -> Floats:
    """Return the ink of the digit in a photo, 0..1, shape (H, W)."""
    small = _reduced(image, _COARSE)
    part, view = find_part(small)
    ink = find_ink(view)
    check_strokes(ink > WEAK)
    box = _about(ink, image)
    fine = _reduced(image.crop(box), _FINE)
    across, down = small.width / image.width, small.height / image.height
    in_small = (box.left * across, box.top * down, box.right * across, box.bottom * down)
    fine_part = Image.fromarray(part).resize(fine.size, Image.Resampling.NEAREST, in_small)
    return find_ink(look(fine, np.asarray(fine_part)))


def _drawn(image: Image.Image, levels: Levels) -> Floats:
    """Return the ink of the digit in a picture of two `levels`, 0..1, shape (H, W)."""
    # So that no stroke is cut by the border, and a tight crop has a ground.
    room = max(image.size) // 3
    image = ImageOps.expand(image.convert("L"), room, fill=round(levels.ground))
    ink = find_ink(levels.view(_reduced(image, _COARSE)))
    fine = _reduced(image.crop(_about(ink, image)), _FINE)
    return find_ink(levels.view(fine))


def _in_form(image: Image.Image, levels: Levels) -> NDArray[np.uint8] | None:
    """Return `image` as MNIST would show it, if it has that form already but for scale and levels.

    The digit is then about as large as MNIST's, in the middle, and its strokes are no hair.
    """
    if image.width != image.height or image.width % _SIZE:
        return None
    ink: Floats = _unenlarged(levels.departure(_reduced(image, _LARGEST)).clip(0))
    if levels.contrast < _FULL_CONTRAST:
        ink = (ink * np.float32(255 / levels.contrast)).clip(0, 255)
    rows, columns = np.nonzero(ink > WEAK * ink.max())
    long_side = max(np.ptp(rows), np.ptp(columns)) + 1
    off = max(abs(_centre(ink, axis) - _MIDDLE) for axis in (0, 1))
    if not _FORM[0] <= long_side <= _FORM[1] or off > _OFF_CENTRE:
        return None
    if image.width > _SIZE and _stroke_width(ink / np.float32(255)) < _HAIR:
        return None
    return ink.round().astype(np.uint8)


def _unenlarged(grey: Floats) -> Floats:
    """Return `grey` (28 k, 28 k) as it was before it was enlarged k times, shape (28, 28)."""
    enlarged = len(grey) // _SIZE
    cells = grey.reshape(_SIZE, enlarged, _SIZE, enlarged)
    corners: Floats = cells[:, 0, :, 0]
    if (cells == corners[:, np.newaxis, :, np.newaxis]).all():
        return corners
    # Of Pillow's filters, the one whose result came nearest to the images before a bicubic one.
    smooth = Image.fromarray(grey).resize((_SIZE, _SIZE), Image.Resampling.LANCZOS)
    return np.asarray(smooth).clip(0, 255)


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


def _stroke_width(ink: Floats) -> float:
    """Return the width of the strokes of `ink` (H, W): twice their area over their outline."""
    padded = np.pad(ink, 1)
    outline = sum(float(np.abs(np.diff(padded, axis=axis)).sum()) for axis in (0, 1)) * np.pi / 4
    return 2 * float(ink.sum()) / outline


def _even_strokes(ink: Floats) -> Floats:
    """Return `ink` (H, W) cropped to the digit, its strokes neither hair-thin nor a blot."""
    ink = _cropped(ink)
    pixel = max(ink.shape) / _BOX  # of the result, in pixels of `ink`
    # So few pixels can be thinned by whole ones only.
    if pixel < _FINE_ENOUGH and _stroke_width(ink) > _STROKE[1] * pixel:
        size = (4 * ink.shape[1], 4 * ink.shape[0])
        ink = np.asarray(Image.fromarray(ink).resize(size, Image.Resampling.BICUBIC)).clip(0, 1)
        pixel *= 4
    width = _stroke_width(ink)
    if pixel <= 1:
        return ink
    thinnest, thickest = _STROKE[0] * pixel, _STROKE[1] * pixel
    if width < thinnest:
        radius = (thinnest - width) / 2
        return spread(np.pad(ink, int(np.ceil(radius))), radius)
    if width > thickest:
        radius = (width - thickest) / 2
        thinned: Floats = 1 - spread(1 - np.pad(ink, 1), radius)
        # Of strokes of very different widths the thin ones would be lost.
        return thinned if (thinned > WEAK).sum() > 0.3 * (ink > WEAK).sum() else ink
    return ink


def _cropped(ink: Floats) -> Floats:
    """Return the part of `ink` (H, W) that holds the digit."""
    rows, columns = np.nonzero(ink > WEAK)
    return ink[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]


def _fitted(ink: Floats) -> Floats:
    """Return `ink` (H, W) in a box of about 20 pixels on its long side, strokes reaching 255."""
    ink = _cropped(ink)
    height, width = ink.shape
    scale = _BOX / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    if not _AS_LARGE[0] <= max(height, width) <= _AS_LARGE[1]:
        filtered = Image.Resampling.HAMMING if scale < 1 else Image.Resampling.BICUBIC
        ink = np.asarray(Image.fromarray(ink).resize(size, filtered))
    full = float(np.percentile(ink[ink > WEAK * ink.max()], 65))
    stretched: Floats = (ink * (255 / full)).clip(0, 255)
    return stretched


def _centred(digit: Floats) -> NDArray[np.uint8]:
    """Return `digit`, at most 28 x 28, with its centre of mass in the middle of 28 x 28."""
    result = np.zeros((_SIZE, _SIZE), dtype=np.uint8)
    corner = []
    for axis, length in enumerate(digit.shape):
        corner.append(min(max(round(_MIDDLE - _centre(digit, axis)), 0), _SIZE - length))
    top, left = corner
    result[top : top + digit.shape[0], left : left + digit.shape[1]] = digit.round()
    return result


def _centre(ink: Floats, axis: int) -> float:
    """Return the index along `axis` of the centre of mass of `ink` (H, W)."""
    profile = ink.sum(axis=1 - axis)
    return float((profile * np.arange(len(profile))).sum() / profile.sum())
