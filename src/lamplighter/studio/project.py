"""The folder that is open: its files as a table, kept up with the journal and the disk."""

from __future__ import annotations

import logging
import os
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lamplighter.errors import LamplighterError, MissingImageError
from lamplighter.files.naming import is_litter, shown
from lamplighter.workspace.workspace import Workspace

if TYPE_CHECKING:
    from lamplighter.datasets.files import ImageFiles
    from lamplighter.studio.events import Events

_LOOK = 0.5  # seconds between two looks at the journal
_LOOKS = 4  # looks at the journal to one at all folders
_logger = logging.getLogger("lamplighter.studio")


@dataclass(frozen=True, eq=False)
class Table:
    """All files at one time.

    Attributes:
        scan: counts how often the folder was read; rows mean other files after each.
        change: the number of the last change of the labels.
        files: all files with the labels that hold, those set aside too.
        aside: why files are set aside, by path.
        rows: where each path stands.
    """

    scan: int
    change: int
    files: ImageFiles
    aside: dict[str, str]
    rows: dict[str, int]

    def usable(self) -> ImageFiles:
        """Return the files that are not set aside."""
        return self.files.setting_aside(self.aside)


class Project:
    """A folder, zip file or manifest that is open in the studio.

    Whoever changes labels or files, here or in another process, all pages are told: by the events
    "labels" and "files", each with the numbers of its `Table`.

    Args:
        source: where it is.
        events: what tells the pages.

    Raises:
        DatasetError: the photos cannot be used.
        WorkspaceError: the journal cannot be used.
    """

    def __init__(self, source: Path, events: Events) -> None:
        self.source = source
        self._state = self._folders()  # before the files are read: what comes meanwhile is seen
        self.workspace = Workspace.open(source, read_later=True, empty=True)
        self._events = events
        self._turn = threading.Lock()
        self._scan = 1
        self._table: Table | None = None
        self._told = self.workspace.last_change
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="studio-follow", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Let the folder go."""
        self._ended.set()
        self._thread.join()
        self.workspace.close()

    @property
    def name(self) -> str:
        """What the folder is called."""
        return self.table().files.name

    def table(self) -> Table:
        """Return all files as they are now."""
        with self._turn:
            change = self.workspace.last_change
            table = self._table
            if table is None or (table.scan, table.change) != (self._scan, change):
                files, aside = self.workspace.everything()
                if table is not None and table.scan == self._scan:
                    rows = table.rows
                else:
                    rows = {path: row for row, path in enumerate(files.paths)}
                table = self._table = Table(self._scan, change, files, aside, rows)
            return table

    def file(self, path: str) -> Path:
        """Return where a file of the project is; no other file can be asked for.

        Raises:
            MissingImageError: the project has no such file.
        """
        table = self.table()
        if path not in table.rows:
            raise MissingImageError(
                f"{shown(path)} is not among the images of {table.files.name}; "
                "open the folder anew."
            )
        return table.files.root / path

    def rescan(self) -> None:
        """Look at the folder again, and tell the pages if other files are there."""
        with self._turn:
            self._state = self._folders()
            self.workspace.rescan()
            now = _told_of(self.workspace.everything()[0])
            # The journal itself, which the first step puts into the folder, is no news.
            if self._table is not None and now == _told_of(self._table.files):
                return
            self._scan += 1
        self._tell("files")

    def labels_changed(self) -> dict[str, Any]:
        """Tell the pages of labels that were set just now; return the numbers of the table."""
        return self._tell("labels")

    def _tell(self, kind: str) -> dict[str, Any]:
        table = self.table()
        self._told = table.change
        numbers = {"scan": table.scan, "change": table.change}
        self._events.publish(kind, numbers)
        return numbers

    def _folders(self) -> dict[str, int]:
        """Return when the list of files of each folder was changed last, empty ones too."""
        if not self.source.is_dir():
            return {str(self.source): modified(self.source)}
        times = {}
        for folder, below, _ in os.walk(self.source):
            below[:] = [name for name in below if not is_litter(name)]
            times[folder] = modified(folder)
        return times

    def _follow(self) -> None:
        """Look for what others change, until the project is closed."""
        looks, told = 0, ""
        while not self._ended.wait(_LOOK):
            looks += 1
            try:
                if self.workspace.last_change != self._told:
                    self._tell("labels")
                if looks % _LOOKS == 0:
                    self._look_at_folders()
                self.workspace.read_contents()
                told = ""
            except LamplighterError as error:
                if str(error) != told:  # once, not as long as it lasts
                    told = str(error)
                    self._events.publish("trouble", {"error": told})
            except Exception:
                _logger.exception("the folder cannot be followed")
                self._ended.wait(20 * _LOOK)

    def _look_at_folders(self) -> None:
        if any(time != modified(folder) for folder, time in self._state.items()):
            self.rescan()


def _told_of(files: ImageFiles) -> tuple[object, ...]:
    """Return what the pages are told of files, besides their labels."""
    return files.paths, files.splits, files.class_names, files.set_aside, files.notes


def modified(path: str | os.PathLike[str]) -> int:
    """Return when a file or folder was changed last, in nanoseconds; 0 where it is gone."""
    try:
        return Path(path).stat().st_mtime_ns
    except OSError:
        return 0
