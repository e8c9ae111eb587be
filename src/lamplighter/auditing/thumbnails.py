"""Thumbnails and hashes of image files for the audit, kept in a cache."""

from __future__ import annotations

import hashlib
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from lamplighter.auditing.quality import Quality, measured
from lamplighter.errors import ImageError
from lamplighter.files.content_cache import ContentCache
from lamplighter.images.decoding import flatten_alpha, open_image, within_memory

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    Size = tuple[int, int]  # width, height

SIDE = 32  # of the grey thumbnail, in pixels
COLOUR_SIDE = 8  # of the coloured one
_ENOUGH = 64  # pixels a side from which both are made


@dataclass(frozen=True, eq=False)
class Look:
    """What was seen of an image file.

    Attributes:
        content: SHA-256 of the file, in hexadecimal digits.
        width: in pixels, upright.
        height: in pixels, upright.
        mode: L (grey), RGB, or RGBA where it has transparency.
        spread: standard deviation of its grey values, 0 (one even grey) to 127.5.
        quality: its brightness, sharpness, frame and information.
        grey: a thumbnail, uint8, shape (32, 32), whatever the aspect ratio.
        colours: a smaller one in colour, uint8, shape (8, 8, 3).
    """

    content: str
    width: int
    height: int
    mode: str
    spread: float
    quality: Quality
    grey: NDArray[np.uint8]
    colours: NDArray[np.uint8]


@within_memory()
def look_at(path: Path, content: str) -> Look:
    """Return what is seen of the image in the file `path`; a JPEG is decoded at a reduced scale.

    Args:
        path: the file.
        content: its SHA-256, from `content_hash`.

    Raises:
        ImageError: it is no image that can be used (see `open_image`), or the memory does not
            suffice.
    """
    sizes: list[Size] = []

    def enough(size: Size) -> Size:
        sizes.append(size)
        return _ENOUGH, _ENOUGH

    image = open_image(path, at_least=enough)
    factor = max(1, min(image.size) // _ENOUGH)
    # reduce() averages whole pixels, and weighs them by their opacity.
    reduced = image.reduce(factor) if factor > 1 else image
    opaque = flatten_alpha(reduced)
    grey = opaque.convert("L")
    colours = opaque.resize((COLOUR_SIDE, COLOUR_SIDE), Image.Resampling.BOX).convert("RGB")
    # A triangle as wide as a step of the thumbnail: a box would alias, and two copies of different
    # size would differ.
    thumbnail = np.asarray(grey.resize((SIDE, SIDE), Image.Resampling.BILINEAR))
    counts = np.array(grey.histogram())
    return Look(
        content=content,
        width=sizes[0][0],
        height=sizes[0][1],
        mode=image.mode,
        spread=_deviation(counts),
        quality=measured(
            opaque,
            grey=grey,
            counts=counts,
            thumbnail=thumbnail,
            ground=_is_see_through(reduced),
        ),
        grey=thumbnail,
        colours=np.asarray(colours),
    )


def _is_see_through(image: Image.Image) -> bool:
    return image.mode == "RGBA" and int(np.asarray(image.getchannel("A")).min()) < 255


def _deviation(counts: NDArray[np.int64]) -> float:
    """Return the standard deviation of grey values, of which there are so many each."""
    values = np.arange(256)
    mean = counts @ values / counts.sum()
    return float((counts @ (values - mean) ** 2 / counts.sum()) ** 0.5)


def content_hash(path: Path) -> str:
    """Return the SHA-256 of the file `path` in hexadecimal digits, in steady memory.

    Raises:
        ImageError: it is no regular file, or cannot be read.
    """
    try:
        if not path.is_file():  # a pipe would block for ever
            raise OSError("not a regular file")
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except (OSError, ValueError) as error:
        open_image(path)  # which says it better
        raise ImageError(f"{path} could not be read ({error}); try again.") from error


def file_state(path: Path) -> tuple[int, ...]:
    """Return what changes when the file `path` is written to; nothing where it is gone."""
    try:
        status = path.stat()
    except (OSError, ValueError):
        return ()
    return (status.st_ino, status.st_size, status.st_mtime_ns)


@within_memory()
def pixels_hash(path: Path) -> str:
    """Return a hash of the pixels of the image in the file `path`, whatever its format.

    Raises:
        ImageError: it cannot be read, or the memory does not suffice.
    """
    image = open_image(path)
    opaque = flatten_alpha(image).convert("RGB")
    beginning = f"{image.width} {image.height} ".encode()
    return hashlib.sha256(beginning + opaque.tobytes()).hexdigest()


# Another number whenever looks are made in another way.
_VERSION = 3
_COLUMNS = {
    "width": "INTEGER",
    "height": "INTEGER",
    "mode": "TEXT",
    "spread": "REAL",
    **{field.name: "REAL" for field in fields(Quality)},
    "grey": "BLOB",
    "colours": "BLOB",
}


class LookCache(ContentCache):
    """Looks by the SHA-256 of the file that was looked at.

    Args:
        path: the file; by default in the user's cache folder.
    """

    def __init__(self, path: Path | None = None) -> None:
        super().__init__(path or Path(f"looks-{_VERSION}.sqlite"), _COLUMNS)

    def get(self, contents: Sequence[str]) -> dict[str, Look]:
        """Return the looks that are known, by SHA-256."""
        looks = (_look(content, row) for content, row in self.rows(contents).items())
        return {look.content: look for look in looks if look is not None}

    def put(self, looks: Iterable[Look]) -> None:
        """Keep looks; they are safe from a kill once this returns."""
        self.keep((look.content, _row(look)) for look in looks)


def _row(look: Look) -> tuple[Any, ...]:
    seen = (look.width, look.height, look.mode, look.spread)
    return (*seen, *astuple(look.quality), look.grey.tobytes(), look.colours.tobytes())


def _look(content: str, row: tuple[Any, ...]) -> Look | None:
    """Return the look in a row of the table, or None where the row is not one."""
    width, height, mode, spread, *measures, grey, colours = row
    numbers = (width, height, spread, *measures)
    if not all(isinstance(number, int | float) and number >= 0 for number in numbers):
        return None
    thumbnails = ((grey, (SIDE, SIDE)), (colours, (COLOUR_SIDE, COLOUR_SIDE, 3)))
    if not all(isinstance(t, bytes) and len(t) == np.prod(shape) for t, shape in thumbnails):
        return None
    first, second = (np.frombuffer(t, np.uint8).reshape(shape) for t, shape in thumbnails)
    quality = Quality(*measures)
    return Look(content, int(width), int(height), str(mode), float(spread), quality, first, second)
