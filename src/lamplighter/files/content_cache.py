"""A cache of what was computed from files, kept by their content.

diskcache does the like, but unpickles what it finds in the cache by default, and raises where a
cache is damaged or cannot be written; here damage costs a new cache, and no command its answer.
"""

from __future__ import annotations

import contextlib
import sqlite3
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import platformdirs

from lamplighter.files.sqlite import ERRORS, JOURNALS, LOCKED, kind_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

_PATIENCE = 5.0  # seconds that another process may keep the file locked
_AT_ONCE = 500  # variables in one question; old versions of SQLite allow 999


class ContentCache:
    """One table of one SQLite file, by SHA-256; safe to use from several threads.

    Args:
        path: the file; a relative one lies in the user's cache folder, None keeps nothing.
        columns: the names of the values of a row, and SQLite's word for what each is.
    """

    def __init__(self, path: Path | None, columns: Mapping[str, str]) -> None:
        self.path = Path(platformdirs.user_cache_dir("lamplighter"), path or "")
        self._names = ", ".join(columns)
        kinds = "".join(f", {name} {kind}" for name, kind in columns.items())
        self._schema = (
            f"CREATE TABLE IF NOT EXISTS kept (content BLOB PRIMARY KEY{kinds}) WITHOUT ROWID"
        )
        self._marks = ", ".join("?" * (len(columns) + 1))
        self._lock = threading.Lock()
        self._connection = self._opened() if path is not None else None

    def rows(self, contents: Sequence[str]) -> dict[str, tuple[Any, ...]]:
        """Return the values of the files that are known, by SHA-256."""
        known: dict[str, tuple[Any, ...]] = {}
        wanted = [bytes.fromhex(content) for content in dict.fromkeys(contents)]
        for start in range(0, len(wanted), _AT_ONCE):
            keys = wanted[start : start + _AT_ONCE]
            marks = ", ".join("?" * len(keys))
            question = f"SELECT content, {self._names} FROM kept WHERE content IN ({marks})"
            with self._lock:
                known.update((row[0].hex(), row[1:]) for row in self._asked(question, keys))
        return known

    def keep(self, rows: Iterable[tuple[str, Sequence[Any]]]) -> None:
        """Keep the values of files, by SHA-256; they are safe from a kill once this returns."""
        values = [(bytes.fromhex(content), *row) for content, row in rows]
        if not values:
            return
        # A full disk, another process that keeps the file locked: it costs only time.
        with self._lock, contextlib.suppress(*ERRORS):
            if self._connection is not None:
                with self._connection:
                    self._connection.executemany(
                        f"INSERT OR REPLACE INTO kept (content, {self._names}) "
                        f"VALUES ({self._marks})",
                        values,
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
        except ERRORS:  # damage beyond the first page shows only here
            self.close()
            self._remove()
            self._connection = self._opened()
            return []

    def _opened(self) -> sqlite3.Connection | None:
        damaged = False
        until = time.monotonic() + _PATIENCE
        while True:
            connection = None
            try:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                connection = sqlite3.connect(self.path, timeout=_PATIENCE, check_same_thread=False)
                connection.execute("PRAGMA journal_mode = WAL")
                connection.execute("PRAGMA synchronous = NORMAL")
                connection.execute(self._schema)
                connection.execute(f"SELECT content, {self._names} FROM kept LIMIT 1").fetchone()
                return connection
            except (OSError, *ERRORS) as error:
                if connection is not None:
                    connection.close()
                # Where several processes make the file, SQLite refuses some without waiting.
                if kind_of(error) in LOCKED and time.monotonic() < until:
                    time.sleep(0.02)
                    continue
                if damaged or not _is_damage(error):
                    return None
                damaged = True
                self._remove()

    def _remove(self) -> None:
        """Remove the file; its journals first, which would be played into the next one."""
        with contextlib.suppress(OSError):
            for journal in JOURNALS:
                self.path.with_name(self.path.name + journal).unlink(missing_ok=True)
            self.path.unlink(missing_ok=True)


def _is_damage(error: Exception) -> bool:
    """Say whether `error` speaks of a file that is no database, or one of other columns."""
    if isinstance(error, sqlite3.OperationalError):
        return "no such column" in str(error)
    return isinstance(error, (sqlite3.DatabaseError, UnicodeDecodeError))
