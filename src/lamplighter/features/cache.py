"""Feature vectors kept between runs: what was computed once for a file is not computed again.

One SQLite file for each network in the user's cache folder, keyed by the content of the image
file; so a file may be renamed, moved or copied, and a folder that has grown costs only what is
new. It is a cache: one that is damaged is made anew, one that cannot be written costs only time.
"""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np
import platformdirs

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

_SCHEMA = "CREATE TABLE IF NOT EXISTS vectors (content BLOB PRIMARY KEY, vector BLOB) WITHOUT ROWID"
_PATIENCE = 10.0  # seconds that another process may keep the file locked


class FeatureCache:
    """Vectors by the SHA-256 of an image file's content; safe to use from several threads.

    Args:
        network: the fingerprint of what computes the vectors.
        folder: where the cache is; by default in the user's cache folder.
    """

    def __init__(self, network: str, *, folder: Path | None = None) -> None:
        folder = folder or Path(platformdirs.user_cache_dir("lamplighter")) / "features"
        self.path = folder / f"{network[:32]}.sqlite"
        self._lock = threading.Lock()
        self._connection = self._opened()

    def get(self, content: str) -> NDArray[np.float32] | None:
        """Return the vector of the file with this SHA-256, shape (D,), or None."""
        if self._connection is None:
            return None
        with self._lock, contextlib.suppress(sqlite3.Error):
            row = self._connection.execute(
                "SELECT vector FROM vectors WHERE content = ?", (bytes.fromhex(content),)
            ).fetchone()
            if row is not None and len(row[0]) % 4 == 0:
                vector: NDArray[np.float32] = np.frombuffer(row[0], dtype="<f4")
                return vector if np.isfinite(vector).all() else None
        return None

    def put(self, vectors: Iterable[tuple[str, NDArray[np.float32]]]) -> None:
        """Keep vectors (D,) by SHA-256; they are safe from a kill once this returns."""
        if self._connection is None:
            return
        rows = [(bytes.fromhex(key), vector.astype("<f4").tobytes()) for key, vector in vectors]
        with self._lock, contextlib.suppress(sqlite3.Error), self._connection:
            self._connection.executemany("INSERT OR REPLACE INTO vectors VALUES (?, ?)", rows)

    def close(self) -> None:
        """Let the file go."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _opened(self) -> sqlite3.Connection | None:
        for _ in range(2):
            connection = None
            try:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                connection = sqlite3.connect(self.path, timeout=_PATIENCE, check_same_thread=False)
                connection.execute("PRAGMA journal_mode = WAL")
                connection.execute("PRAGMA synchronous = NORMAL")
                connection.execute(_SCHEMA)
                connection.execute("SELECT content, vector FROM vectors LIMIT 1").fetchone()
                return connection
            except (sqlite3.Error, OSError) as error:
                if connection is not None:
                    connection.close()
                damaged = isinstance(error, sqlite3.DatabaseError) and not isinstance(
                    error, sqlite3.OperationalError
                )
                if not damaged:
                    return None
                with contextlib.suppress(OSError):
                    self.path.unlink()
        return None
