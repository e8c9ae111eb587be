"""Contact sheets of images with captions. Nothing here shows or saves."""

from __future__ import annotations

import importlib.util
import math
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from lamplighter.errors import ArgumentError, DatasetError
from lamplighter.evaluation.mistakes import mistakes
from lamplighter.evaluation.plots import FRAME, INK
from lamplighter.text import counted

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from lamplighter.datasets.image_data import ImageData
    from lamplighter.evaluation.report import Report

    Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

# Sizes in pixels.
_SMALLEST, _LARGEST = 112, 224  # the longer side of an image as it is shown
_GAP, _LINE, _TEXT = 14, 19, 15

# Blue and orange, told apart by colour-blind eyes too, dark enough for text on white.
_RIGHT, _WRONG = "#005a8c", "#b84300"

# Fonts of common systems, for letters beyond ASCII, which Pillow's own font does not have.
_FONTS = ("DejaVuSans.ttf", "NotoSans-Regular.ttf", "arial.ttf", "Arial.ttf")

_Line = tuple[str, str, str]  # words that may be cut, words that may not, their colour


def contact_sheet(
    images: NDArray[np.uint8],
    captions: Sequence[str],
    *,
    columns: int | None = None,
    title: str = "",
) -> Image.Image:
    """Return images in rows, each with its caption under it.

    Small images are enlarged by a whole number, their pixels staying squares; large ones are
    reduced. A caption may have several lines; what is too long for its image is cut short.

    Args:
        images: pixels, uint8, shape (N, C, H, W), C = 1 (grey) or 3 (RGB), N at least 1.
        captions: N texts.
        columns: images in a row; by default as many as make the sheet nearly square.
        title: a line above them, cut short where it is too long.

    Raises:
        DatasetError: there is no image, or not a caption for each.
        ArgumentError: `columns` is less than 1.
    """
    lines = [[(line, "", INK) for line in caption.split("\n")] for caption in captions]
    return _sheet(images, lines, columns=columns, title=title)


def mistakes_sheet(
    report: Report, data: ImageData, count: int = 25, *, columns: int | None = None
) -> Image.Image:
    """Return the worst mistakes as a picture, those first that the classifier was most sure of.

    Under each image: its true class, what the classifier said, and how sure it was.

    Args:
        report: what `evaluate` returned.
        data: the data that it was given.
        count: how many at most.
        columns: images in a row; by default as many as make the sheet nearly square.

    Raises:
        DatasetError: the data is not that of the report.
        ArgumentError: `columns` is less than 1.
    """
    worst = mistakes(report, data, count)
    wrong = report.count - int(report.right.sum())
    title = f"{report.data}, {report.split}: {wrong:,} of {counted(report.count, 'image')} wrong"
    if not worst:
        return _blank(title)
    lines = [
        [
            (f"true {mistake.true}", "", _RIGHT),
            (f"said {mistake.predicted}", f", {_sureness(mistake.probability)}", _WRONG),
        ]
        for mistake in worst
    ]
    if len(worst) < wrong:
        title += f"; the {len(worst)} it was most sure of"
    images = np.stack([mistake.image for mistake in worst])
    return _sheet(images, lines, columns=columns, title=title)


def _sureness(probability: float) -> str:
    """Return a probability in per cent; one short of 1 is not rounded up to it."""
    per_cent = 100 * probability
    return f"{min(per_cent, 99.9):.1f} %" if per_cent > 99 else f"{per_cent:.0f} %"


def _sheet(
    images: NDArray[np.uint8],
    captions: Sequence[Sequence[_Line]],
    *,
    columns: int | None = None,
    title: str = "",
) -> Image.Image:
    if not len(images) or len(captions) != len(images):
        raise DatasetError(
            "a sheet needs one image or more and a caption for each, "
            f"received {len(images)} images and {len(captions)} captions."
        )
    if columns is not None and columns < 1:
        raise ArgumentError(f"a sheet needs one column or more, received {columns}.")
    width, height = _shown_size(images.shape[3], images.shape[2])
    cell = max(width, _SMALLEST)  # a narrow image still needs room for its caption
    below = _LINE * max(map(len, captions)) + 6
    columns = min(columns or math.ceil(math.sqrt(len(images))), len(images))
    rows = math.ceil(len(images) / columns)
    top = _GAP + (_LINE + 8 if title else 0)
    size = (_GAP + columns * (cell + _GAP), top + rows * (height + below + _GAP))
    sheet = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(sheet)
    font = _font([title, *(part for lines in captions for line in lines for part in line)])
    if title:
        draw.text((_GAP, _GAP - 3), _cut(title, size[0] - 2 * _GAP, font), INK, font)
    for number, (pixels, caption) in enumerate(zip(images, captions, strict=True)):
        row, column = divmod(number, columns)
        x, y = _GAP + column * (cell + _GAP), top + row * (height + below + _GAP)
        left = x + (cell - width) // 2
        sheet.paste(_picture(pixels, (width, height)), (left, y))
        draw.rectangle((left - 1, y - 1, left + width, y + height), outline=FRAME)
        for place, (words, kept, colour) in enumerate(caption):
            spot = (x, y + height + 4 + place * _LINE)
            room = cell - font.getlength(kept)
            draw.text(spot, _cut(words, room, font) + kept, colour, font)
    return sheet


def _shown_size(width: int, height: int) -> tuple[int, int]:
    """Return the size at which an image is shown: its longer side between two bounds."""
    longer = max(width, height)
    if longer <= _LARGEST:
        times = math.ceil(_SMALLEST / longer)
        return width * times, height * times
    scale = _LARGEST / longer
    return max(1, round(width * scale)), max(1, round(height * scale))


def _picture(pixels: NDArray[np.uint8], size: tuple[int, int]) -> Image.Image:
    picture = Image.fromarray(pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0))
    smaller = size[0] < picture.width or size[1] < picture.height
    resampling = Image.Resampling.LANCZOS if smaller else Image.Resampling.NEAREST
    return picture.convert("RGB").resize(size, resampling)


def _blank(title: str) -> Image.Image:
    font = _font([title])
    sheet = Image.new("RGB", (math.ceil(font.getlength(title)) + 2 * _GAP, 3 * _LINE), "white")
    ImageDraw.Draw(sheet).text((_GAP, _LINE), title, INK, font)
    return sheet


def _font(texts: Iterable[str]) -> Font:
    """Return Pillow's own font, or for letters beyond ASCII the first one found that has more."""
    if not "".join(texts).isascii():
        fonts = list(_FONTS)
        plots = importlib.util.find_spec("matplotlib")  # it brings a font, if it is there
        if plots is not None and plots.origin is not None:
            folder = Path(plots.origin).parent / "mpl-data" / "fonts" / "ttf"
            fonts.append(str(folder / _FONTS[0]))
        for name in fonts:
            try:
                return ImageFont.truetype(name, _TEXT)
            except OSError:
                continue
    return ImageFont.load_default(_TEXT)


def _cut(words: str, room: float, font: Font) -> str:
    """Return as much of `words` as fits into `room` pixels, with dots where they were cut."""
    if font.getlength(words) <= room:
        return words
    while words and font.getlength(words + "...") > room:
        words = words[:-1]
    return words.rstrip() + "..."
