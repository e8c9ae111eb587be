"""Previews of preprocessing: an image under each fit to the network's size."""

from __future__ import annotations

from typing import TYPE_CHECKING, get_args

import numpy as np
from PIL import Image, ImageOps

from lamplighter.evaluation.sheets import contact_sheet
from lamplighter.images.decoding import as_8_bit, flatten_alpha
from lamplighter.images.preprocessing import Fit, Preprocessing

if TYPE_CHECKING:
    from numpy.typing import NDArray

_SIDE = 224  # pixels of the longer side of a picture on the sheet


def fits_sheet(
    image: Image.Image,
    size: int | tuple[int, int],
    *,
    channels: int = 3,
    crop_pct: float = 1.0,
    title: str = "",
) -> Image.Image:
    """Return `image` beside what a network of the input `size` sees of it under each fit.

    What the network sees keeps its pixels: where it is small they are drawn as squares.

    Args:
        image: any image, upright.
        size: side of the square that the network sees, or its (height, width), in pixels.
        channels: 1 (grey) or 3 (RGB).
        crop_pct: of the fit "crop", as in `Preprocessing`.
        title: a line above the pictures, such as the name of the file.

    Raises:
        DataError: size, channels or crop_pct are out of range.
        ImageError: the image has no pixels.
    """
    height, width = (size, size) if isinstance(size, int) else size
    half = (0.5,) * channels
    whole = flatten_alpha(as_8_bit(image)).convert("RGB")
    pictures = [ImageOps.contain(whole, (_SIDE, _SIDE), Image.Resampling.LANCZOS)]
    captions = [f"original (full)\n{image.width} x {image.height}"]
    for fit in get_args(Fit):
        preprocessing = Preprocessing(
            height=height,
            width=width,
            channels=channels,
            mean=half,
            std=half,
            fit=fit,
            crop_pct=crop_pct,
        )
        pictures.append(_enlarged(preprocessing.seen(image).convert("RGB")))
        captions.append(f"{fit}\n{width} x {height}")
    cell = tuple(max(sides) for sides in zip(*(picture.size for picture in pictures), strict=True))
    cells = np.stack([_on_white(picture, cell) for picture in pictures])  # (4, 3, H, W)
    return contact_sheet(cells, captions, columns=len(pictures), title=title)


def _enlarged(picture: Image.Image) -> Image.Image:
    """Return `picture` about as large as the original is shown: by a whole number if larger."""
    longer = max(picture.size)
    if longer > _SIDE:
        return ImageOps.contain(picture, (_SIDE, _SIDE), Image.Resampling.LANCZOS)
    times = _SIDE // longer
    return picture.resize((picture.width * times, picture.height * times), Image.Resampling.NEAREST)


def _on_white(picture: Image.Image, size: tuple[int, ...]) -> NDArray[np.uint8]:
    """Return `picture` in the middle of a white ground of `size`, as pixels (3, H, W)."""
    ground = Image.new("RGB", (size[0], size[1]), "white")
    ground.paste(picture, ((size[0] - picture.width) // 2, (size[1] - picture.height) // 2))
    return np.asarray(ground).transpose(2, 0, 1)
