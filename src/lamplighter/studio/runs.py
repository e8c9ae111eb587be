"""Trainings of the folder that is open: each a folder with its classifier and what it answered.

They lie in the user's data folder, by the real path of the photos: nothing is written among these.
Those of the embedded digits belong to no folder: their source is None.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import os
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import platformdirs

from lamplighter.errors import ArgumentError, MissingBundleError, OutputError
from lamplighter.files.naming import shown
from lamplighter.files.writing import written_whole
from lamplighter.saving.bundle import load

if TYPE_CHECKING:
    from lamplighter.models.classifier import Classifier

BUNDLE, NOTES = "classifier.lamp", "run.json"
_DIGITS = "digits"
_LONGEST_NAME = 100  # characters
_ABANDONED = 3 * 24 * 3600  # seconds, more than any training is given


@dataclass(frozen=True)
class Run:
    """A training that has ended with a classifier.

    Attributes:
        folder: where all of it lies.
        notes: what is known of it, of plain JSON types; "name" is what a person calls it, "made"
            when it began, in seconds since 1970.
    """

    folder: Path
    notes: dict[str, Any]

    @property
    def id(self) -> str:
        """What it is called in addresses."""
        return self.folder.name

    @property
    def bundle(self) -> Path:
        """The file of its classifier."""
        return self.folder / BUNDLE

    @property
    def name(self) -> str:
        """What a person calls it."""
        return str(self.notes.get("name") or self.id)

    def note(self, **changed: Any) -> Run:
        """Return it with other notes, which are written down.

        Raises:
            OutputError: they cannot be written.
        """
        run = Run(self.folder, {**self.notes, **changed})
        write_notes(self.folder, run.notes)
        return run

    def rename(self, name: str) -> Run:
        """Return it under another name.

        Raises:
            ArgumentError: that is no name.
            OutputError: it cannot be written.
        """
        name = " ".join(name.split())
        if not 0 < len(name) <= _LONGEST_NAME:
            raise ArgumentError(
                f"the name of a training must have 1 to {_LONGEST_NAME} characters, received "
                f"{len(name)}."
            )
        return self.note(name=name)

    def delete(self) -> None:
        """Remove it with all that it holds.

        Raises:
            OutputError: it cannot be removed.
        """
        try:
            (self.folder / NOTES).unlink()  # from here on it is no run, whatever comes
            shutil.rmtree(self.folder)
        except OSError as error:
            raise OutputError(
                f"{shown(self.folder)} cannot be removed: {error.strerror or error}; make it "
                "writable."
            ) from error

    def classifier(self) -> Classifier:
        """Return its classifier.

        Raises:
            BundleError: the file cannot be used.
        """
        return load(self.bundle)


def runs_folder(source: Path | None) -> Path:
    """Return where the runs of a folder of photos lie; it need not be there."""
    name = _DIGITS
    if source is not None:
        name = hashlib.sha256(os.fsencode(os.path.realpath(source))).hexdigest()[:24]
    return Path(platformdirs.user_data_dir("lamplighter")) / "studio" / name


def write_notes(folder: Path, notes: dict[str, Any]) -> None:
    """Make a folder with a classifier a run, or change what is known of it.

    Raises:
        OutputError: it cannot be written.
    """
    with written_whole(folder / NOTES) as file:
        file.write(json.dumps(notes, indent=1).encode())


def all_runs(source: Path | None) -> list[Run]:
    """Return the runs of a folder of photos, the last one first; unfinished ones are left out."""
    runs = []
    for notes in sorted(runs_folder(source).glob(f"*/{NOTES}"), reverse=True):
        try:
            runs.append(Run(notes.parent, json.loads(notes.read_text("utf-8"))))
        except (OSError, ValueError):  # removed meanwhile, or damaged: the others can be used
            continue
    return runs


def find_run(source: Path | None, name: str = "") -> Run:
    """Return a run by its `id`; "" means the last one.

    Raises:
        MissingBundleError: there is no such run.
    """
    for run in all_runs(source):
        if name in ("", run.id):
            return run
    wanted = f"no run {shown(name)}" if name else "no classifier of these photos yet"
    raise MissingBundleError(f"there is {wanted}; train one.")


def _remove_unfinished(above: Path) -> None:
    """Remove what trainings have left that were ended from outside, long ago."""
    with contextlib.suppress(OSError):
        for folder in above.iterdir():
            old = time.time() - folder.stat().st_mtime > _ABANDONED
            if old and not (folder / NOTES).exists():
                shutil.rmtree(folder, ignore_errors=True)


def new_run_folder(source: Path | None) -> Path:
    """Make and return an empty folder for a run; it becomes a run with its notes.

    Raises:
        OutputError: it cannot be made.
    """
    above = runs_folder(source)
    _remove_unfinished(above)
    stamp = ("" if source is not None else f"{_DIGITS}-") + time.strftime("%Y%m%d-%H%M%S")
    try:
        above.mkdir(parents=True, exist_ok=True)
        for number in itertools.count():
            folder = above / (stamp if number == 0 else f"{stamp}-{number}")
            with contextlib.suppress(FileExistsError):
                folder.mkdir()
                return folder
    except OSError as error:
        raise OutputError(
            f"a folder for a training cannot be made in {shown(above)}: {error.strerror or error}; "
            "free some space, or make it writable."
        ) from error
    raise AssertionError  # there are numbers enough
