"""SQLite files, opened with care: nothing in them is trusted, and no name is too odd for them."""

from __future__ import annotations

import functools
import os
import sqlite3
from pathlib import Path

# Another process has the file for itself.
LOCKED = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
# What a damaged file can lead to: where SQLite quotes from it what is no text, Python does not
# come as far as SQLite's own error.
ERRORS = (sqlite3.Error, UnicodeDecodeError)
BEGINNING = b"SQLite format 3\0"
JOURNALS = ("-journal", "-wal", "-shm")  # what lies beside a file while it is changed
_LONGEST = 1 << 24  # bytes of one value, far beyond any vector or path


def kind_of(error: Exception) -> int:
    """Return which of SQLite's primary result codes `error` has, or 0 where it has none."""
    # The low byte is the kind of error, the rest which of that kind.
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF


def connect(path: Path, *, patience: float, create: bool = False) -> sqlite3.Connection:
    """Return a connection in autocommit mode, which only reads where it may not write.

    Args:
        path: the file.
        patience: seconds to wait for another process that keeps the file locked.
        create: make the file where it is missing.
    """
    connection = sqlite3.connect(
        f"{Path(os.path.realpath(path)).as_uri()}?mode={'rwc' if create else 'rw'}",
        uri=True,
        timeout=patience,
        isolation_level=None,
        check_same_thread=False,
    )
    # The name of a file need not be valid UTF-8.
    connection.text_factory = lambda text: text.decode("utf-8", "surrogateescape")
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _LONGEST)
    for pragma in ("trusted_schema = OFF", "cell_size_check = ON", "mmap_size = 0"):
        connection.execute(f"PRAGMA {pragma}")
    return connection


def marks_of(connection: sqlite3.Connection) -> tuple[int, int]:
    """Return the two numbers in the header of a file that say whose it is, and of which format."""
    application, version = (
        int(connection.execute(f"PRAGMA {name}").fetchone()[0])
        for name in ("application_id", "user_version")
    )
    return application, version


def schema_of(connection: sqlite3.Connection) -> set[tuple[str, str | None]]:
    """Return the tables and indices of a file, each with the statement that makes it."""
    return set(connection.execute("SELECT name, sql FROM sqlite_master"))


@functools.cache
def expected_schema(statements: tuple[str, ...]) -> set[tuple[str, str | None]]:
    """Return what `schema_of` returns of a file that `statements` made."""
    connection = sqlite3.connect(":memory:")
    try:
        for statement in statements:
            connection.execute(statement)
        return schema_of(connection)
    finally:
        connection.close()
