"""Small pictures of files, made when they are looked at."""

from __future__ import annotations

import io
import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, NamedTuple

from lamplighter.images.decoding import open_image

if TYPE_CHECKING:
    from pathlib import Path

SIDE = 192  # pixels of the longer side of a thumbnail
LARGE_SIDE = 1600  # of a picture that fills the window
_KEPT = 48_000_000  # bytes of thumbnails that are kept in memory
_SMALL = 256  # pixels: an image up to this side is not blurred by JPEG


class Picture(NamedTuple):
    """An encoded picture, and its media type."""

    data: bytes
    media_type: str


class Thumbnails:
    """Makes thumbnails, and keeps the last ones in memory."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[str, int, int], Picture] = OrderedDict()
        self._bytes = 0
        self._turn = threading.Lock()

    def thumbnail(self, file: Path) -> Picture:
        """Return the thumbnail of a file.

        Raises:
            ImageError: it cannot be read.
        """
        try:
            status = file.stat()
        except OSError:
            return picture(file, SIDE)  # which says what is wrong with it
        key = (str(file), status.st_mtime_ns, status.st_size)
        with self._turn:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        made = picture(file, SIDE)
        with self._turn:
            if key not in self._kept:
                self._kept[key] = made
                self._bytes += len(made.data)
            while self._bytes > _KEPT:
                _, dropped = self._kept.popitem(last=False)
                self._bytes -= len(dropped.data)
        return made


def picture(file: Path, side: int) -> Picture:
    """Return the image in a file, upright, with no side of more than `side` pixels.

    Raises:
        ImageError: it cannot be read.
    """
    image = open_image(file, at_least=lambda size: _within(size, side))
    size = _within(image.size, side)
    if size != image.size:
        image = image.resize(size, reducing_gap=2.0)
    encoded = io.BytesIO()
    if image.mode == "RGBA" or max(size) < _SMALL // 4:
        image.save(encoded, format="PNG", compress_level=1)
        return Picture(encoded.getvalue(), "image/png")
    image.save(encoded, format="JPEG", quality=85)
    return Picture(encoded.getvalue(), "image/jpeg")


def _within(size: tuple[int, int], side: int) -> tuple[int, int]:
    """Return a size of the same shape with no side of more than `side`, at least 1 x 1."""
    scale = min(1.0, side / max(size))
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))
