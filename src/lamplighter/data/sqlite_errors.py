"""What an error of SQLite is about."""

from __future__ import annotations

import sqlite3

# Another process has the file for itself.
LOCKED = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def kind_of(error: Exception) -> int:
    """Return which of SQLite's primary result codes `error` has, or 0 where it has none."""
    # The low byte is the kind of error, the rest which of that kind.
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF
