"""The studio: one folder that is open, and the work on it."""

from __future__ import annotations

import importlib.util
import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from lamplighter.errors import LamplighterError, WorkspaceError
from lamplighter.studio.events import Events
from lamplighter.studio.jobs import Jobs
from lamplighter.studio.places import remember
from lamplighter.studio.project import Project
from lamplighter.studio.thumbnails import Thumbnails
from lamplighter.studio.uploads import Uploads
from lamplighter.version import __version__

if TYPE_CHECKING:
    from collections.abc import Callable

    from lamplighter.studio.training import Training

Kept = TypeVar("Kept")


class Studio:
    """What all pages share. Safe to use from several threads.

    Args:
        source: the folder, zip file or manifest to open; None opens none yet.

    Raises:
        DatasetError: the photos cannot be used.
        WorkspaceError: the journal cannot be used.
    """

    def __init__(self, source: str | Path | None = None) -> None:
        self.events = Events()
        self.jobs = Jobs(self.events)
        self.thumbnails = Thumbnails()
        self.uploads = Uploads()
        self.training: Training | None = None  # the last one, whatever folder it is of
        self._turn = threading.Lock()
        self._project: Project | None = None
        self._notes: dict[str, Any] = {}
        if source is not None:
            self.open(source)

    @property
    def is_open(self) -> bool:
        """Whether a folder is open."""
        return self._project is not None

    @property
    def project(self) -> Project:
        """The folder that is open.

        Raises:
            WorkspaceError: none is.
        """
        project = self._project
        if project is None:
            raise WorkspaceError("no folder is open; open one first.")
        return project

    def open(self, source: str | Path) -> None:
        """Open another folder in place of the one that is open, and tell the pages.

        Work on the one that is open is stopped before.

        Raises:
            DatasetError: the photos cannot be used.
            WorkspaceError: the journal cannot be used, or work goes on that does not stop.
        """
        project = Project(Path(os.path.expanduser(source)).absolute(), self.events)  # noqa: PTH111
        try:
            self.jobs.stop_all()
        except LamplighterError:
            project.close()
            raise
        with self._turn:
            before, self._project = self._project, project
            self._notes = {}
        remember(project.source)
        if before is not None:
            before.close()
        self.events.publish("opened", self.state())

    def kept(self, name: str, make: Callable[[], Kept]) -> Kept:
        """Return what one view keeps of the folder that is open; it is made when first asked for.

        Args:
            name: what it is called, such as "audit".
            make: makes it; quick, since others wait for it.
        """
        with self._turn:
            if name not in self._notes:
                self._notes[name] = make()
            kept: Kept = self._notes[name]
            return kept

    def state(self) -> dict[str, Any]:
        """Return what a page has to know first, as plain JSON types."""
        project = self._project
        return {
            "version": __version__,
            "torch": importlib.util.find_spec("torch") is not None,
            "folder": None if project is None else str(project.source),
            "name": None if project is None else project.name,
            "jobs": [job.to_dict() for job in self.jobs.latest()],
        }

    def close(self) -> None:
        """Stop all work and let the folder go."""
        self.jobs.close()
        self.uploads.close()
        self.events.close()
        if self._project is not None:
            self._project.close()
