"""The truth of an index of similar images: vectors, paths and labels in one SQLite file.

Every change is one transaction with a rollback journal, so that a process which is killed half-way
leaves the file as it was before.
"""

from __future__ import annotations

import contextlib
import json
import secrets
import sqlite3
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from lamplighter.errors import SimilarIndexError
from lamplighter.features.index_file import (
    check,
    check_beginning,
    connect,
    damaged,
    explained,
    lay_out,
)
from lamplighter.files.writing import written_whole

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from numpy.typing import NDArray

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
            self._connection = connect(path)
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
            connection = connect(Path(file.name))
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
