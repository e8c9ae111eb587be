"""The SQLite file of an index of similar images: opened, checked, and its errors explained.

A file from a stranger is read as data alone: its schema must be exactly the one written here, so
that it has no triggers, views or virtual tables, and no extension is ever loaded.
"""

from __future__ import annotations

import contextlib
import functools
import os
import shlex
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING

from lamplighter.errors import OutputError, SimilarIndexError
from lamplighter.files.content_cache import LOCKED, kind_of
from lamplighter.names import no_such_path

if TYPE_CHECKING:
    from collections.abc import Iterator

FORMAT = 1
_APPLICATION = 0x4C6D7049  # marks the file as ours in SQLite's header
_BEGINNING = b"SQLite format 3\0"
_SCHEMA = (
    "CREATE TABLE about (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
    "CREATE TABLE items (id INTEGER PRIMARY KEY, path TEXT NOT NULL UNIQUE, "
    "content TEXT NOT NULL, label TEXT NOT NULL, split TEXT NOT NULL)",
    "CREATE INDEX items_label ON items (label)",
    "CREATE TABLE vectors (id INTEGER PRIMARY KEY, vector BLOB NOT NULL)",
)
_PAGE = 16384  # bytes; three vectors of 1,280 numbers fill one, where 4,096 hold none
_LONGEST = 1 << 24  # bytes of one value, far beyond any vector or path
_PATIENCE = 3.0  # seconds that another process may keep the file locked


def connect(path: Path) -> sqlite3.Connection:
    """Return a connection that never makes a file, and only reads where it may not write."""
    connection = sqlite3.connect(
        f"{Path(os.path.realpath(path)).as_uri()}?mode=rw",
        uri=True,
        timeout=_PATIENCE,
        isolation_level=None,
        check_same_thread=False,
    )
    # The name of a file need not be valid UTF-8.
    connection.text_factory = lambda text: text.decode("utf-8", "surrogateescape")
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _LONGEST)
    for pragma in ("trusted_schema = OFF", "cell_size_check = ON", "mmap_size = 0"):
        connection.execute(f"PRAGMA {pragma}")
    return connection


def lay_out(connection: sqlite3.Connection) -> None:
    """Make the tables in a new file that nobody else sees yet, and begin to fill them."""
    for pragma in (
        f"page_size = {_PAGE}",
        "journal_mode = OFF",
        "synchronous = OFF",
        f"application_id = {_APPLICATION}",
        f"user_version = {FORMAT}",
    ):
        connection.execute(f"PRAGMA {pragma}")
    connection.execute("BEGIN")
    for statement in _SCHEMA:
        connection.execute(statement)


def check(connection: sqlite3.Connection, path: Path) -> None:
    """Refuse whatever is not an index of this version.

    Raises:
        SimilarIndexError: it is of another program, of a later version, or has other tables.
    """
    application, version = (
        int(connection.execute(f"PRAGMA {name}").fetchone()[0])
        for name in ("application_id", "user_version")
    )
    if application != _APPLICATION:
        raise _no_index(path, "another program's SQLite file")
    if version > FORMAT:
        raise SimilarIndexError(
            f"{path} is an index of format {version}, this version of Lamplighter reads up to "
            f"{FORMAT}; upgrade Lamplighter."
        )
    if _schema_of(connection) != _expected_schema():
        raise _no_index(path, "a file with tables of another kind")


def check_beginning(path: Path) -> None:
    """Refuse a file that is missing, may not be read, or is not SQLite's.

    Raises:
        SimilarIndexError: the message says which.
    """
    try:
        if path.is_dir():
            raise _no_index(path, "a folder")
        if path.exists() and not path.is_file():
            raise _no_index(path, "a device or pipe")
        with path.open("rb") as file:
            beginning = file.read(len(_BEGINNING))
    except FileNotFoundError:
        raise SimilarIndexError(
            f"{no_such_path('index', path)} To make one: lamplighter embed FOLDER --index "
            f"{shlex.quote(str(path))}."
        ) from None
    except (OSError, ValueError) as error:  # ValueError: a null character in the name
        raise SimilarIndexError(
            f"{path} cannot be read: {getattr(error, 'strerror', None) or error}; check its name "
            "and permissions."
        ) from error
    if beginning != _BEGINNING:
        raise _no_index(path, "a file of another kind" if beginning else "0 bytes")


@contextlib.contextmanager
def explained(path: Path) -> Iterator[None]:
    """Raise in place of SQLite's errors our own, which say how to mend it."""
    try:
        yield
    except sqlite3.Error as error:
        raise _explanation(path, error) from error


def damaged(path: Path, what: str) -> SimilarIndexError:
    """Return the error for an index of which a part cannot be."""
    return SimilarIndexError(
        f"{path} is damaged ({what}); remove it and make it anew with lamplighter embed FOLDER "
        "--index."
    )


def _explanation(path: Path, error: sqlite3.Error) -> SimilarIndexError | OutputError:
    code = kind_of(error)
    if code in LOCKED:
        return SimilarIndexError(
            f"{path} is being changed by another process; try again when that has ended."
        )
    if code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_FULL):
        return OutputError(
            f"{path} cannot be written: {error}; free some space, or choose a folder that you may "
            "write to."
        )
    if code == sqlite3.SQLITE_CANTOPEN:
        return SimilarIndexError(f"{path} cannot be opened ({error}); check its permissions.")
    if code == sqlite3.SQLITE_IOERR:
        return SimilarIndexError(
            f"{path} cannot be read or written ({error}); is there free space, and is the disk "
            "sound?"
        )
    return damaged(path, str(error))


def _no_index(path: Path, received: str) -> SimilarIndexError:
    return SimilarIndexError(
        f"{path} must be an index that lamplighter embed FOLDER --index wrote, received {received}."
    )


def _schema_of(connection: sqlite3.Connection) -> set[tuple[str, str | None]]:
    return set(connection.execute("SELECT name, sql FROM sqlite_master"))


@functools.cache
def _expected_schema() -> set[tuple[str, str | None]]:
    connection = sqlite3.connect(":memory:")
    try:
        for statement in _SCHEMA:
            connection.execute(statement)
        return _schema_of(connection)
    finally:
        connection.close()
