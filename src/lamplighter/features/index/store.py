"""The index at rest: one SQLite file that is the truth."""

from __future__ import annotations

import contextlib
import json
import secrets
import shlex
import sqlite3
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from lamplighter.errors import LamplighterError, MissingIndexError, OutputError, SimilarIndexError
from lamplighter.files.sqlite import (
    BEGINNING,
    ERRORS,
    LOCKED,
    connect,
    expected_schema,
    kind_of,
    marks_of,
    schema_of,
)
from lamplighter.files.writing import written_whole
from lamplighter.names import no_such_path

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from numpy.typing import NDArray

FORMAT = 1
_APPLICATION = 0x4C6D7049  # marks the file as ours in SQLite's header
_SCHEMA = (
    "CREATE TABLE about (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
    "CREATE TABLE items (id INTEGER PRIMARY KEY, path TEXT NOT NULL UNIQUE, "
    "content TEXT NOT NULL, label TEXT NOT NULL, split TEXT NOT NULL)",
    "CREATE INDEX items_label ON items (label)",
    "CREATE TABLE vectors (id INTEGER PRIMARY KEY, vector BLOB NOT NULL)",
)
_PATIENCE = 3.0  # seconds that another process may keep the file locked
_PAGE = 16384  # bytes; three vectors of 1,280 numbers fill one, where 4,096 hold none


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
    application, version = marks_of(connection)
    if application != _APPLICATION:
        raise _no_index(path, "another program's SQLite file")
    if version > FORMAT:
        raise SimilarIndexError(
            f"{path} is an index of format {version}, this version of Lamplighter reads up to "
            f"{FORMAT}; upgrade Lamplighter."
        )
    if schema_of(connection) != expected_schema(_SCHEMA):
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
            beginning = file.read(len(BEGINNING))
    except LamplighterError:
        raise
    except FileNotFoundError:
        raise MissingIndexError(
            f"{no_such_path('index', path)} To make one: lamplighter embed FOLDER --index "
            f"{shlex.quote(str(path))}."
        ) from None
    except (OSError, ValueError) as error:  # ValueError: a null character in the name
        raise SimilarIndexError(
            f"{path} cannot be read: {getattr(error, 'strerror', None) or error}; check its name "
            "and permissions."
        ) from error
    if beginning != BEGINNING:
        raise _no_index(path, "a file of another kind" if beginning else "0 bytes")


@contextlib.contextmanager
def explained(path: Path) -> Iterator[None]:
    """Raise in place of SQLite's errors our own, which say how to mend it."""
    try:
        yield
    except ERRORS as error:
        raise _explanation(path, error) from error


def damaged(path: Path, what: str) -> SimilarIndexError:
    """Return the error for an index of which a part cannot be."""
    return SimilarIndexError(
        f"{path} is damaged ({what}); remove it and make it anew with lamplighter embed FOLDER "
        "--index."
    )


def _explanation(path: Path, error: Exception) -> SimilarIndexError | OutputError:
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


COLUMNS = ("label", "split")  # what items can be chosen by
_ROWS = 4096  # vectors held in memory at a time
_NAMED = 500  # ids in one question


@dataclass(frozen=True)
class Item:
    """One image of an index, without its vector.

    Attributes:
        path: its file, relative to the root of the index.
        content: SHA-256 of the file, hexadecimal.
        label: its class; "" without one.
        split: its split; "" without one.
    """

    path: str
    content: str
    label: str
    split: str


class Store:
    """The SQLite file of an index; safe to use from several threads.

    Args:
        path: a file that `create` wrote.

    Attributes:
        about: what is known of the index as a whole, plain JSON: "dimension", "network", "token"
            (another one whenever vectors change), and whatever else `create` was given. A
            change to it while `writing` is kept.

    Raises:
        SimilarIndexError: it is missing, damaged, no index, or of a later version.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._turn = threading.RLock()
        self._vectors_changed = False
        check_beginning(path)
        with explained(path):
            self._connection = connect(path, patience=_PATIENCE)
            try:
                check(self._connection, path)
                self.about = self._read_about()
            except BaseException:
                self._connection.close()
                raise

    @classmethod
    def create(
        cls, path: Path, about: dict[str, Any], rows: Iterable[tuple[Item, NDArray[np.float32]]]
    ) -> Self:
        """Write a new file of items with their vectors (D,); one at `path` is replaced whole.

        Raises:
            OutputError: it cannot be written.
        """
        _settle(path)
        with written_whole(path) as file, explained(path):
            connection = connect(Path(file.name), patience=_PATIENCE)
            try:
                lay_out(connection)
                _write_about(connection, about | {"token": secrets.token_hex(16)})
                for item, vector in rows:
                    _insert(connection, item, vector)
                connection.execute("COMMIT")
            finally:
                connection.close()
        return cls(path)

    def close(self) -> None:
        """Let the file go."""
        with self._turn:
            self._connection.close()

    @contextlib.contextmanager
    def reading(self) -> Iterator[None]:
        """See one state of the file, whatever another process writes meanwhile."""
        with self._turn, explained(self.path):
            self._connection.execute("BEGIN")
            try:
                self.about = self._read_about()
                yield
            finally:
                self._connection.execute("ROLLBACK")

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """Change the file in one transaction, or, on any failure, not at all."""
        with self._turn, explained(self.path):
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                self.about = self._read_about()
                self._vectors_changed = False
                yield
                if self._vectors_changed:
                    self.about = self.about | {"token": secrets.token_hex(16)}
                _write_about(self._connection, self.about)
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:  # some failures have undone it already
                    self._connection.execute("ROLLBACK")
                self.about = self._read_about()
                raise

    @property
    def dimension(self) -> int:
        """D, how many numbers a vector has."""
        return int(self.about["dimension"])

    def __len__(self) -> int:
        return int(self._rows("SELECT count(*) FROM items")[0][0])

    def items(self) -> dict[int, Item]:
        """Return every item by its id, in the order of ids."""
        rows = self._rows("SELECT id, path, content, label, split FROM items ORDER BY id")
        return {int(row[0]): Item(*row[1:]) for row in rows}

    def item(self, number: int) -> Item:
        """Return the item with this id."""
        statement = "SELECT path, content, label, split FROM items WHERE id = ?"
        rows = self._rows(statement, number)
        if not rows:
            raise damaged(self.path, f"item {number} is missing")
        return Item(*rows[0])

    def ids(self, wanted: dict[str, str]) -> NDArray[np.int64]:
        """Return the ids of the items that have the `wanted` label, or split, or both."""
        assert set(wanted) <= set(COLUMNS)
        condition = " AND ".join(f"{column} = CAST(? AS TEXT)" for column in wanted)
        statement = f"SELECT id FROM items WHERE {condition or 'TRUE'} ORDER BY id"
        rows = self._rows(statement, *map(_bytes, wanted.values()))
        return np.array([row[0] for row in rows], dtype=np.int64)

    def values(self, column: str) -> list[str]:
        """Return the different values of one of `COLUMNS`, sorted."""
        assert column in COLUMNS
        return sorted(row[0] for row in self._rows(f"SELECT DISTINCT {column} FROM items"))

    def blocks(
        self, rows: int = _ROWS, *, after: int = -1
    ) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
        """Yield ids (B,), ascending from `after`, and vectors (B, D), `rows` at a time."""
        statement = "SELECT id, vector FROM vectors WHERE id > ? ORDER BY id LIMIT ?"
        while found := self._rows(statement, after, rows):
            after = int(found[-1][0])
            ids = np.array([row[0] for row in found], dtype=np.int64)
            yield ids, self._parsed([row[1] for row in found])

    def vectors(self, ids: Sequence[int] | NDArray[np.int64]) -> NDArray[np.float32]:
        """Return the vectors of the items with these ids, in their order, shape (N, D)."""
        found: dict[int, object] = {}
        wanted = [int(number) for number in ids]
        for start in range(0, len(wanted), _NAMED):
            part = wanted[start : start + _NAMED]
            marks = ",".join("?" * len(part))
            statement = f"SELECT id, vector FROM vectors WHERE id IN ({marks})"
            found |= dict(self._rows(statement, *part))
        return self._parsed([found.get(number) for number in wanted])

    def put(self, item: Item, vector: NDArray[np.float32], number: int | None = None) -> None:
        """Add an item with its vector (D,), or put it in the place of that with id `number`."""
        if number is not None:
            self.remove([number])
        self._vectors_changed = True
        _insert(self._connection, item, vector, number)

    def relabel(self, number: int, item: Item) -> None:
        """Give an item the label and split of another."""
        self._connection.execute(
            "UPDATE items SET label = CAST(? AS TEXT), split = CAST(? AS TEXT) WHERE id = ?",
            (_bytes(item.label), _bytes(item.split), number),
        )

    def remove(self, ids: Sequence[int]) -> None:
        """Remove items with their vectors."""
        self._vectors_changed = True
        for table in ("items", "vectors"):
            self._connection.executemany(
                f"DELETE FROM {table} WHERE id = ?", [(number,) for number in ids]
            )

    def _rows(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        with self._turn, explained(self.path):
            return self._connection.execute(statement, values).fetchall()

    def _parsed(self, blobs: Sequence[object]) -> NDArray[np.float32]:
        """Return vectors (N, D) from their bytes, each of length 1 or, without direction, 0."""
        width = 4 * self.dimension
        whole = [blob for blob in blobs if isinstance(blob, bytes) and len(blob) == width]
        if len(whole) != len(blobs):
            raise damaged(self.path, "a vector is missing or of another size")
        vectors = np.frombuffer(b"".join(whole), dtype="<f4").reshape(len(blobs), self.dimension)
        with np.errstate(over="ignore", invalid="ignore"):
            squares = np.einsum("nd,nd->n", vectors, vectors)
        if not ((np.abs(squares - 1) < 0.01) | (squares == 0)).all():
            raise damaged(self.path, "a vector does not have length 1")
        return vectors

    def _read_about(self) -> dict[str, Any]:
        try:
            rows = self._connection.execute("SELECT key, value FROM about")
            about = {key: json.loads(value) for key, value in rows}
            texts = (about["network"], about["token"])
            if type(about["dimension"]) is not int or about["dimension"] < 1:
                raise ValueError("the size of vectors is no number")
            if not all(isinstance(text, str) for text in texts):
                raise ValueError("a name is no text")
        except (KeyError, TypeError, ValueError, RecursionError) as error:
            raise damaged(self.path, f"its description: {error}") from error
        return about


def _settle(path: Path) -> None:
    """Have a killed update of the file at `path` undone.

    Its journal would otherwise be taken for one of the file that takes its place.
    """
    try:
        Store(path).close()
    except SimilarIndexError as error:
        if isinstance(error.__cause__, sqlite3.OperationalError):  # in use, rather than no index
            raise
        with contextlib.suppress(OSError):
            path.with_name(f"{path.name}-journal").unlink()


def _insert(
    connection: sqlite3.Connection,
    item: Item,
    vector: NDArray[np.float32],
    number: int | None = None,
) -> None:
    texts = map(_bytes, (item.path, item.content, item.label, item.split))
    made = connection.execute(
        "INSERT INTO items VALUES "
        "(?, CAST(? AS TEXT), CAST(? AS TEXT), CAST(? AS TEXT), CAST(? AS TEXT))",
        (number, *texts),
    )
    blob = vector.astype("<f4", copy=False).tobytes()
    connection.execute("INSERT INTO vectors VALUES (?, ?)", (made.lastrowid, blob))


def _write_about(connection: sqlite3.Connection, about: dict[str, Any]) -> None:
    connection.executemany(
        "INSERT OR REPLACE INTO about VALUES (?, ?)",
        [(key, json.dumps(value)) for key, value in about.items()],
    )


def _bytes(text: str) -> bytes:
    """Return text as SQLite keeps it; CAST(? AS TEXT) takes bytes that are no valid UTF-8 too."""
    return text.encode("utf-8", "surrogateescape")
