"""Looks at image files, kept between audits in the user's cache folder.

One SQLite file, keyed by the content of the image file: a file may be renamed, moved or copied.
It is a cache: one that is damaged is made anew, one that cannot be written costs only time, and
several processes may use it at once.
"""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import platformdirs

from lamplighter.data.looks import COLOUR_SIDE, SIDE, Look

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

# Another number whenever looks are made in another way.
_VERSION = 1
_SCHEMA = (
    "CREATE TABLE IF NOT EXISTS looks (content BLOB PRIMARY KEY, width INTEGER, height INTEGER, "
    "mode TEXT, spread REAL, grey BLOB, colours BLOB) WITHOUT ROWID"
)
_COLUMNS = "content, width, height, mode, spread, grey, colours"
_PATIENCE = 5.0  # seconds that another process may keep the file locked
_AT_ONCE = 500  # variables in one question; old versions of SQLite allow 999


class LookCache:
    """Looks by the SHA-256 of the file that was looked at; for use from one thread.

    Args:
        path: the file; by default in the user's cache folder.
    """

    def __init__(self, path: Path | None = None) -> None:
        default = Path(platformdirs.user_cache_dir("lamplighter")) / f"looks-{_VERSION}.sqlite"
        self.path = path or default
        self._connection = self._opened()

    def get(self, contents: Sequence[str]) -> dict[str, Look]:
        """Return the looks that are known, by SHA-256."""
        known: dict[str, Look] = {}
        wanted = [bytes.fromhex(content) for content in dict.fromkeys(contents)]
        for start in range(0, len(wanted), _AT_ONCE):
            keys = wanted[start : start + _AT_ONCE]
            marks = ", ".join("?" * len(keys))
            question = f"SELECT {_COLUMNS} FROM looks WHERE content IN ({marks})"
            for row in self._asked(question, keys):
                look = _look(row)
                if look is not None:
                    known[look.content] = look
        return known

    def put(self, looks: Iterable[Look]) -> None:
        """Keep looks; they are safe from a kill once this returns."""
        rows = [
            (
                bytes.fromhex(look.content),
                *(look.width, look.height, look.mode, look.spread),
                *(look.grey.tobytes(), look.colours.tobytes()),
            )
            for look in looks
        ]
        if self._connection is None or not rows:
            return
        # A full disk, another process that keeps the file locked: it costs only time.
        with contextlib.suppress(sqlite3.Error), self._connection:
            self._connection.executemany(
                f"INSERT OR REPLACE INTO looks ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?)", rows
            )

    def close(self) -> None:
        """Let the file go."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _asked(self, question: str, keys: list[bytes]) -> list[tuple[Any, ...]]:
        if self._connection is None:
            return []
        try:
            return self._connection.execute(question, keys).fetchall()
        except sqlite3.OperationalError:  # locked, or the disk fails: not the file's fault
            return []
        except sqlite3.DatabaseError:  # damage beyond the first page shows only here
            self._start_anew()
            return []

    def _start_anew(self) -> None:
        self.close()
        self._remove()
        self._connection = self._opened()

    def _opened(self) -> sqlite3.Connection | None:
        for _ in range(2):
            connection = None
            try:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                connection = sqlite3.connect(self.path, timeout=_PATIENCE)
                with connection:
                    connection.execute(_SCHEMA)
                connection.execute(f"SELECT {_COLUMNS} FROM looks LIMIT 1").fetchone()
                return connection
            except (OSError, sqlite3.Error) as error:
                if connection is not None:
                    connection.close()
                if not _is_damage(error):
                    return None
                self._remove()
        return None

    def _remove(self) -> None:
        """Remove the file; the journal first, which would be played into the next one."""
        with contextlib.suppress(OSError):
            self.path.with_name(f"{self.path.name}-journal").unlink(missing_ok=True)
            self.path.unlink(missing_ok=True)


def _is_damage(error: Exception) -> bool:
    """Say whether `error` speaks of a file that is no database, or one of other columns."""
    if isinstance(error, sqlite3.OperationalError):
        return "no such column" in str(error)
    return isinstance(error, sqlite3.DatabaseError)


def _look(row: tuple[Any, ...]) -> Look | None:
    """Return the look in a row of the table, or None where the row is not one."""
    content, width, height, mode, spread, grey, colours = row
    numbers = (width, height, spread)
    if not all(isinstance(number, int | float) and number >= 0 for number in numbers):
        return None
    thumbnails = ((grey, (SIDE, SIDE)), (colours, (COLOUR_SIDE, COLOUR_SIDE, 3)))
    if not all(isinstance(t, bytes) and len(t) == np.prod(shape) for t, shape in thumbnails):
        return None
    first, second = (np.frombuffer(t, np.uint8).reshape(shape) for t, shape in thumbnails)
    return Look(content.hex(), int(width), int(height), str(mode), float(spread), first, second)
