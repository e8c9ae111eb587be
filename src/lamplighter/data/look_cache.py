"""Looks at image files, kept between audits in the user's cache folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lamplighter.data.looks import COLOUR_SIDE, SIDE, Look
from lamplighter.files.content_cache import ContentCache

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

# Another number whenever looks are made in another way.
_VERSION = 2
_COLUMNS = {
    "width": "INTEGER",
    "height": "INTEGER",
    "mode": "TEXT",
    "spread": "REAL",
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
    thumbnails = (look.grey.tobytes(), look.colours.tobytes())
    return (look.width, look.height, look.mode, look.spread, *thumbnails)


def _look(content: str, row: tuple[Any, ...]) -> Look | None:
    """Return the look in a row of the table, or None where the row is not one."""
    width, height, mode, spread, grey, colours = row
    numbers = (width, height, spread)
    if not all(isinstance(number, int | float) and number >= 0 for number in numbers):
        return None
    thumbnails = ((grey, (SIDE, SIDE)), (colours, (COLOUR_SIDE, COLOUR_SIDE, 3)))
    if not all(isinstance(t, bytes) and len(t) == np.prod(shape) for t, shape in thumbnails):
        return None
    first, second = (np.frombuffer(t, np.uint8).reshape(shape) for t, shape in thumbnails)
    return Look(content, int(width), int(height), str(mode), float(spread), first, second)
