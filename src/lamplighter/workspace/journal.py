"""The journal at rest: one SQLite file with what is so now, and the steps that led there.

A step keeps of each file and class that it changes what was so before and what is so after it, so
that undoing and redoing put back exactly that. Steps are undone in the reverse of their order,
whoever made them: there is one history.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from lamplighter.errors import OutputError, WorkspaceError
from lamplighter.files.naming import shown
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
from lamplighter.workspace.actions import KINDS, FileAction, action_from_dict

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from lamplighter.workspace.actions import Action

FORMAT = 1
_APPLICATION = 0x4C6D704A  # marks the file as ours in SQLite's header
_SCHEMA = (
    # A file as it was when it was last looked at. The label is NULL where that of its folder
    # counts, and "" where a person took it away.
    "CREATE TABLE items (id INTEGER PRIMARY KEY, path BLOB NOT NULL, size INTEGER NOT NULL, "
    "mtime INTEGER NOT NULL, content BLOB, label TEXT, aside TEXT)",
    "CREATE INDEX items_path ON items (path)",
    "CREATE INDEX items_marked ON items (id) WHERE label IS NOT NULL OR aside IS NOT NULL",
    # The content of files that were read while one was looked for that had moved.
    "CREATE TABLE contents (path BLOB PRIMARY KEY, size INTEGER NOT NULL, "
    "mtime INTEGER NOT NULL, content BLOB NOT NULL) WITHOUT ROWID",
    # What a class of the folders, or (folder NULL) one that was added, is called now.
    "CREATE TABLE classes (id INTEGER PRIMARY KEY, folder TEXT UNIQUE, now TEXT)",
    "CREATE TABLE steps (id INTEGER PRIMARY KEY, time REAL NOT NULL, action TEXT NOT NULL, "
    "state TEXT NOT NULL)",
    "CREATE TABLE item_changes (step INTEGER, item INTEGER, label_before TEXT, aside_before TEXT, "
    "label_after TEXT, aside_after TEXT, PRIMARY KEY (step, item)) WITHOUT ROWID",
    "CREATE TABLE class_changes (step INTEGER, class INTEGER, before TEXT, after TEXT, "
    "PRIMARY KEY (step, class)) WITHOUT ROWID",
    "CREATE TABLE events (id INTEGER PRIMARY KEY, step INTEGER NOT NULL, kind TEXT NOT NULL)",
)
_PATIENCE = 10.0  # seconds that other processes may keep the file locked
_NAMED = 500  # values in one question; old versions of SQLite allow 999
_ITEM = "id, path, size, mtime, content, label, aside"
_MARKED = "label IS NOT NULL OR aside IS NOT NULL"


class Item(NamedTuple):
    """A file that the journal knows.

    Attributes:
        id: its number.
        path: where it was seen last, relative to the root.
        size: in bytes.
        mtime: when it was changed last, in nanoseconds.
        content: its SHA-256; None where it has not been read yet.
        label: the class that a person gave it; "" for none, None where its folder decides.
        aside: why a person set it aside; None where nobody did.
    """

    id: int
    path: str
    size: int
    mtime: int
    content: bytes | None = None
    label: str | None = None
    aside: str | None = None


class Content(NamedTuple):
    """What was read of a file of that path, size and time of change: its SHA-256."""

    path: str
    size: int
    mtime: int
    content: bytes


class ItemChange(NamedTuple):
    """What a step makes of a file: its label and reason, before and after."""

    item: int
    label_before: str | None
    aside_before: str | None
    label_after: str | None
    aside_after: str | None


class ClassName(NamedTuple):
    """A class of the folders, or one that was added: what it is called now.

    Attributes:
        id: its number.
        folder: its name in the folders; None for one that was added.
        now: its name now; None where it is not there, or is called as in the folders.
    """

    id: int
    folder: str | None
    now: str | None


@dataclass(frozen=True)
class Step:
    """One step of the history.

    Attributes:
        id: its number; later steps have higher ones.
        time: when it was made, in seconds since 1970.
        action: what was done.
        done: whether it holds; False where it was undone and can be redone.
    """

    id: int
    time: float
    action: Action
    done: bool = True


@dataclass(frozen=True)
class Change:
    """Something that happened to the labels, in the order in which it happened.

    Attributes:
        id: its number, for `Workspace.changes_since`.
        kind: whether a step was made, undone or redone.
        step: the step.
    """

    id: int
    kind: Literal["made", "undone", "redone"]
    step: Step


class Journal:
    """The journal in the file `path`, which is made by the first change.

    Safe to use from several threads, and from several processes.

    Raises:
        WorkspaceError: the file is something else, damaged, or of a later version.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._turn = threading.RLock()
        self._connection: sqlite3.Connection | None = None
        self._identity: tuple[int, int] | None = None
        with self.reading():
            pass

    def close(self) -> None:
        """Let the file go."""
        with self._turn:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    @contextlib.contextmanager
    def reading(self) -> Iterator[None]:
        """See one state of the journal, whatever other processes write meanwhile."""
        with self._turn, _explained(self.path):
            connection = self._opened()
            if connection is None or connection.in_transaction:
                yield
                return
            connection.execute("BEGIN")
            try:
                yield
            finally:
                connection.execute("ROLLBACK")

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """Change the journal in one transaction, or, on any failure, not at all."""
        with self._turn, _explained(self.path):
            connection = self._opened(create=True)
            assert connection is not None
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:  # some failures have undone it already
                    connection.execute("ROLLBACK")
                raise

    def marked(self) -> list[Item]:
        """Return the files that a person labelled or set aside."""
        return self._items(f"SELECT {_ITEM} FROM items WHERE {_MARKED} ORDER BY id")

    def unread(self) -> list[Item]:
        """Return those of `marked` whose content is not known."""
        question = f"SELECT {_ITEM} FROM items WHERE ({_MARKED}) AND content IS NULL ORDER BY id"
        return self._items(question)

    def items(self) -> list[Item]:
        """Return all files that are known."""
        return self._items(f"SELECT {_ITEM} FROM items ORDER BY id")

    def items_at(self, paths: Sequence[str]) -> dict[str, list[Item]]:
        """Return what is known of the files at `paths`: to each path what was there, in order."""
        found: dict[str, list[Item]] = {}
        for start in range(0, len(paths), _NAMED):
            part = [_bytes(path) for path in paths[start : start + _NAMED]]
            marks = ",".join("?" * len(part))
            question = f"SELECT {_ITEM} FROM items WHERE path IN ({marks}) ORDER BY id"
            for item in self._items(question, *part):
                found.setdefault(item.path, []).append(item)
        return found

    def items_of_class(self, names: Sequence[str]) -> list[Item]:
        """Return the files to which a person gave one of these classes."""
        marks = ",".join("?" * len(names))
        return self._items(f"SELECT {_ITEM} FROM items WHERE label IN ({marks})", *names)

    def labels(self) -> list[str]:
        """Return the classes that persons gave to files."""
        rows = self._rows("SELECT DISTINCT label FROM items WHERE label != ''")
        return [str(row[0]) for row in rows]

    def contents(self) -> list[Content]:
        """Return what `keep_contents` was given."""
        rows = self._rows("SELECT path, size, mtime, content FROM contents")
        return [Content(_text(row[0]), *row[1:]) for row in rows]

    def keep_contents(self, contents: Iterable[Content]) -> None:
        """Keep what was read of files, so that they are not read again."""
        self._many(
            "INSERT OR REPLACE INTO contents VALUES (?, ?, ?, ?)",
            [(_bytes(one.path), *one[1:]) for one in contents],
        )

    def classes(self) -> list[ClassName]:
        """Return the classes that were added, or are called otherwise than in the folders."""
        rows = self._rows("SELECT id, folder, now FROM classes ORDER BY id")
        return [ClassName(*row) for row in rows]

    def is_empty(self) -> bool:
        """Return whether no file is known yet."""
        return not self._rows("SELECT 1 FROM items LIMIT 1")

    def add_items(self, files: Iterable[tuple[str, int, int]]) -> None:
        """Add files by their path, size and time of change."""
        self._many(
            "INSERT INTO items (path, size, mtime) VALUES (?, ?, ?)",
            [(_bytes(path), size, mtime) for path, size, mtime in files],
        )

    def update_items(self, items: Iterable[Item]) -> None:
        """Write down where files are, of what size and time of change."""
        self._many(
            "UPDATE items SET path = ?, size = ?, mtime = ? WHERE id = ?",
            [(_bytes(one.path), one.size, one.mtime, one.id) for one in items],
        )

    def fill_contents(self, items: Iterable[Item]) -> None:
        """Write down the content of files whose content was not known."""
        self._many(
            "UPDATE items SET content = ? "
            "WHERE id = ? AND size = ? AND mtime = ? AND content IS NULL",
            [(one.content, one.id, one.size, one.mtime) for one in items],
        )

    def forget_items(self, ids: Iterable[int]) -> None:
        """Remove files that no step has changed."""
        changed = {row[0] for row in self._rows("SELECT DISTINCT item FROM item_changes")}
        self._many(
            "DELETE FROM items WHERE id = ?", [(number,) for number in ids if number not in changed]
        )

    def class_row(self, folder: str | None) -> int:
        """Return the number of a class of the folders, or of a new one that is being added."""
        if folder is not None:
            rows = self._rows("SELECT id FROM classes WHERE folder = ?", folder)
            if rows:
                return int(rows[0][0])
        self._many("INSERT INTO classes (folder) VALUES (?)", [(folder,)])
        return int(self._rows("SELECT last_insert_rowid()")[0][0])

    def record(
        self,
        action: Action,
        items: Sequence[ItemChange],
        classes: Sequence[tuple[int, str | None, str | None]] = (),
    ) -> Step:
        """Make a step; what was undone before can no longer be redone.

        Args:
            action: what is done.
            items: what becomes of files.
            classes: the number of each class that changes, its name before and after.
        """
        self._rows("UPDATE steps SET state = 'dropped' WHERE state = 'undone'")
        # Its files are those of `item_changes`, so that they are not kept twice.
        values = {name: value for name, value in action.to_dict().items() if name != "paths"}
        step = Step(self._last("steps") + 1, time.time(), action)
        self._rows(
            "INSERT INTO steps VALUES (?, ?, ?, 'done')", step.id, step.time, json.dumps(values)
        )
        self._many(
            "INSERT INTO item_changes VALUES (?, ?, ?, ?, ?, ?)", [(step.id, *one) for one in items]
        )
        self._many(
            "INSERT INTO class_changes VALUES (?, ?, ?, ?)", [(step.id, *one) for one in classes]
        )
        self._put(step.id, "after")
        self._note(step.id, "made")
        return step

    def undo(self, count: int) -> list[Step]:
        """Undo the last steps, and return them, the last one first."""
        steps = self._chosen("state = 'done' ORDER BY id DESC LIMIT ?", count)
        for step in steps:
            self._put(step.id, "before")
            self._rows("UPDATE steps SET state = 'undone' WHERE id = ?", step.id)
            self._note(step.id, "undone")
        return steps

    def redo(self, count: int) -> list[Step]:
        """Make steps that were undone once more, and return them, the first one first."""
        steps = self._chosen("state = 'undone' ORDER BY id LIMIT ?", count)
        for step in steps:
            self._put(step.id, "after")
            self._rows("UPDATE steps SET state = 'done' WHERE id = ?", step.id)
            self._note(step.id, "redone")
        return steps

    def steps(self, most: int | None = None) -> list[Step]:
        """Return the steps that are done or can be redone, or the last ones, in their order."""
        limit = -1 if most is None else most
        return self._chosen("state != 'dropped' ORDER BY id DESC LIMIT ?", limit)[::-1]

    def last_step(self) -> int:
        """Return the number of the last step that is done; 0 where there is none."""
        rows = self._rows("SELECT max(id) FROM steps WHERE state = 'done'")
        return int(rows[0][0] or 0) if rows else 0

    def last_event(self) -> int:
        """Return the number of the last thing that happened; 0 where nothing has."""
        return self._last("events")

    def events(self, after: int) -> list[Change]:
        """Return what happened after the event with that number, in order."""
        rows = self._rows("SELECT id, kind, step FROM events WHERE id > ? ORDER BY id", after)
        numbers = {row[2] for row in rows}
        steps = {number: self._chosen("id = ?", number)[0] for number in numbers}
        return [Change(number, kind, steps[step]) for number, kind, step in rows]

    def _put(self, step: int, when: Literal["before", "after"]) -> None:
        """Give files and classes what they had before a step, or have after it."""
        self._rows(
            f"UPDATE items SET label = c.label_{when}, aside = c.aside_{when} "
            "FROM item_changes AS c WHERE c.step = ? AND c.item = items.id",
            step,
        )
        self._rows(
            f"UPDATE classes SET now = c.{when} "
            "FROM class_changes AS c WHERE c.step = ? AND c.class = classes.id",
            step,
        )

    def _note(self, step: int, kind: str) -> None:
        self._rows("INSERT INTO events (step, kind) VALUES (?, ?)", step, kind)

    def _last(self, table: str) -> int:
        rows = self._rows(f"SELECT max(id) FROM {table}")
        return int(rows[0][0] or 0) if rows else 0

    def _chosen(self, condition: str, value: int) -> list[Step]:
        question = f"SELECT id, time, action, state FROM steps WHERE {condition}"
        return [self._step(*row) for row in self._rows(question, value)]

    def _step(self, number: int, moment: float, action: str, state: str) -> Step:
        question = "SELECT path FROM items JOIN item_changes ON item = id WHERE step = ? ORDER BY 1"
        try:
            values = json.loads(action)
            of_files = issubclass(KINDS[values["kind"]], FileAction)
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise _damaged(self.path, f"step {number}: {error}") from error
        if of_files:
            values["paths"] = [_text(row[0]) for row in self._rows(question, number)]
        return Step(number, float(moment), action_from_dict(values), state == "done")

    def _items(self, question: str, *values: object) -> list[Item]:
        rows = self._rows(question, *values)
        try:
            return [Item(row[0], _text(row[1]), *row[2:]) for row in rows]
        except (AttributeError, UnicodeDecodeError) as error:
            raise _damaged(self.path, f"the path of a file: {error}") from error

    def _rows(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        with self._turn, _explained(self.path):
            connection = self._connection or self._opened()
            return [] if connection is None else connection.execute(statement, values).fetchall()

    def _many(self, statement: str, rows: Sequence[tuple[Any, ...]]) -> None:
        with self._turn, _explained(self.path):
            assert self._connection is not None
            self._connection.executemany(statement, rows)

    def _opened(self, *, create: bool = False) -> sqlite3.Connection | None:
        """Return the connection; None where there is no journal yet and none is to be made."""
        if self._connection is not None:
            if _identity(self.path) != self._identity:
                # What is written to a file without a name is lost.
                raise WorkspaceError(
                    f"{shown(self.path)} was removed or moved while it was in use; nothing more is "
                    "written to it: open the folder anew."
                )
            return self._connection
        beginning = _beginning(self.path)
        if beginning not in (b"", BEGINNING):
            raise _no_journal(self.path, "a file of another kind")
        if not beginning and not create:
            return None
        until = time.monotonic() + _PATIENCE
        while True:
            connection = connect(self.path, patience=_PATIENCE, create=create)
            try:
                if not _prepare(connection, self.path, create=create):
                    connection.close()
                    return None
            except BaseException as error:
                connection.close()
                # Where several processes make the file, SQLite refuses some without waiting.
                locked = isinstance(error, sqlite3.Error) and kind_of(error) in LOCKED
                if not locked or time.monotonic() > until:
                    raise
                time.sleep(0.02)
            else:
                self._connection, self._identity = connection, _identity(self.path)
                return connection


def _prepare(connection: sqlite3.Connection, path: Path, *, create: bool) -> bool:
    """Make the tables where there are none and they are to be made; return whether there are.

    Raises:
        WorkspaceError: the file is of another program, of a later version, or has other tables.
    """
    connection.execute("PRAGMA synchronous = FULL")  # a step outlives a power cut as well
    if marks_of(connection) == (0, 0) and not schema_of(connection):
        if not create:
            return False
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("BEGIN IMMEDIATE")
        if not schema_of(connection):  # another process may have been faster
            for statement in _SCHEMA:
                connection.execute(statement)
            connection.execute(f"PRAGMA application_id = {_APPLICATION}")
            connection.execute(f"PRAGMA user_version = {FORMAT}")
        connection.execute("COMMIT")
    application, version = marks_of(connection)
    if application != _APPLICATION:
        raise _no_journal(path, "another program's SQLite file")
    if version > FORMAT:
        raise WorkspaceError(
            f"{shown(path)} is a journal of format {version}, this version of Lamplighter reads up "
            f"to {FORMAT}; upgrade Lamplighter."
        )
    if schema_of(connection) != expected_schema(_SCHEMA):
        raise _damaged(path, "its tables are not those of a journal")
    return True


@contextlib.contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Raise in place of SQLite's errors our own, which say how to mend it."""
    try:
        yield
    except ERRORS as error:
        raise _explanation(path, error) from error


def _explanation(path: Path, error: Exception) -> WorkspaceError | OutputError:
    code = kind_of(error)
    if code in LOCKED:
        return WorkspaceError(
            f"{shown(path)} is being changed by another process; try again when that has ended."
        )
    if code in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_IOERR):
        return OutputError(
            f"{shown(path)} cannot be written ({error}), so that no step is made; all earlier ones "
            "are kept. Free some space, or make the file writable."
        )
    if code == sqlite3.SQLITE_CANTOPEN:
        return WorkspaceError(f"{shown(path)} cannot be opened ({error}); check its permissions.")
    return _damaged(path, str(error))


def _damaged(path: Path, what: str) -> WorkspaceError:
    return WorkspaceError(
        f"{shown(path)} is damaged ({what}); put a copy from a backup in its place, or, to begin "
        "without these labels, rename it."
    )


def _no_journal(path: Path, received: str) -> WorkspaceError:
    return WorkspaceError(
        f"{shown(path)} must be a journal of labels that Lamplighter wrote, received {received}; "
        "rename it."
    )


def _beginning(path: Path) -> bytes:
    """Return the first bytes of a file; none where it is not there."""
    try:
        with path.open("rb") as file:
            return file.read(len(BEGINNING))
    except FileNotFoundError:
        return b""
    except IsADirectoryError:
        raise _no_journal(path, "a folder") from None
    except OSError as error:
        raise WorkspaceError(
            f"{shown(path)} cannot be read ({error.strerror or error}); check its permissions."
        ) from error


def _identity(path: Path) -> tuple[int, int] | None:
    """Return what tells a file from all others, whatever it is called; None where it is gone."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _bytes(path: str) -> bytes:
    """Return a path as it is kept; any name of a file comes back as it was."""
    return path.encode("utf-8", "surrogatepass")


def _text(path: bytes) -> str:
    return path.decode("utf-8", "surrogatepass")
