"""The files of a ladder: audited, and assigned to splits."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from lamplighter.auditing.audit import audit as audit_files
from lamplighter.datasets.files import ImageFiles, named
from lamplighter.datasets.folders import find_files
from lamplighter.datasets.scenes import scene_notes
from lamplighter.datasets.splitting import assign_splits, check_classes
from lamplighter.errors import DatasetError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextlib import AbstractContextManager

    from lamplighter.auditing.audit import Audit
    from lamplighter.datasets.files import Progress
    from lamplighter.transfer.strategies import Rung

_NAMED = 10  # files set aside that are named one by one


class Watch(Protocol):
    """Is told of each step of the climb.

    Attributes:
        verbose: of fine-tuning: 2 shows a bar over the batches, 1 a line for each epoch, 0 nothing.
    """

    verbose: int

    def say(self, line: str) -> None:
        """Take note of a step."""

    def progress(self, label: str) -> AbstractContextManager[Progress | None]:
        """Give what is told (done, of how many) of a long step called `label`."""

    def rung_begun(self, name: str, *, refit: bool) -> None:
        """Take note that a rung begins to learn; with `refit` from validation images as well."""

    def epoch_done(self, epoch: int, epochs: int, metrics: Mapping[str, Any]) -> None:
        """Take note of an epoch of the rung that learns, if it learns in epochs.

        Args:
            epoch: its number, counted from 0.
            epochs: how many there will be.
            metrics: its entry in the history of a trial.
        """

    def rung_done(self, rung: Rung) -> None:
        """Take note of a rung that has learned and was evaluated."""


class Quiet:
    """Watches and keeps still."""

    verbose = 0

    def say(self, line: str) -> None:
        """Keep still."""

    def progress(self, label: str) -> AbstractContextManager[Progress | None]:
        """Keep still."""
        return contextlib.nullcontext()

    def rung_begun(self, name: str, *, refit: bool) -> None:
        """Keep still."""

    def epoch_done(self, epoch: int, epochs: int, metrics: Mapping[str, Any]) -> None:
        """Keep still."""

    def rung_done(self, rung: Rung) -> None:
        """Keep still."""


def prepared(
    source: ImageFiles | str | Path, watch: Watch, *, seed: int, audit: bool
) -> tuple[ImageFiles, Audit | None]:
    """Return the files, each in a split, and what was found in them.

    Args:
        source: a folder, a zip file, a CSV of paths, or files found before.
        watch: what is told of all that is found.
        seed: of the splits.
        audit: whether to audit the files first.

    Raises:
        DatasetError: there are fewer than two classes, or nothing to validate on.
    """
    files = source if isinstance(source, ImageFiles) else find_files(source)
    for note in files.notes:
        watch.say(f"note: {note}")
    said = len(files.notes)
    found = None
    if audit:
        with watch.progress("auditing") as progress:
            found = audit_files(files, progress=progress)
        watch.say(found.headline())
        for finding in found.findings:
            watch.say(f"audit: {finding.severity}: {finding.sentence}")
        name_set_aside(found.usable, watch)
        # Near-copies are kept on one side of what is still to be shared out, and in one fold.
        files = found.grouped
    else:
        for note in scene_notes(files):
            watch.say(f"note: {note}")
        name_set_aside(files, watch)
    before = files.splits
    files = assign_splits(files, seed=seed)
    if found is None or files.splits != before:  # else the audit has said it all
        for note in files.notes[said:]:
            watch.say(f"note: {note}")
    check_classes(files, "transfer learning")
    if "val" not in files.split_names:
        together = any(files.groups)  # as those of a recording are
        raise DatasetError(
            f"the rungs are compared on a validation split, and {files.name} has too few "
            + ("recordings or other groups" if together else "images")
            + " to make one; add "
            + (
                "more, five or more for each class: the images of one are so alike that they "
                "stay together."
                if together
                else "images, five or more for each class."
            )
        )
    return files, found


def name_set_aside(files: ImageFiles, watch: Watch, after: int = 0) -> None:
    """Say which files are set aside and why, the first of many."""
    for line in named(files.set_aside[after:], _NAMED):
        watch.say(line)
