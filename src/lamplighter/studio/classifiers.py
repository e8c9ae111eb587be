"""The classifiers that a page may ask: those of trainings, and bundles that were brought to it."""

from __future__ import annotations

import secrets
import shutil
import tempfile
import threading
import weakref
from collections import OrderedDict
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from lamplighter.errors import LamplighterError, MissingBundleError
from lamplighter.files.naming import shown
from lamplighter.saving.bundle import load
from lamplighter.studio.runs import all_runs, find_run

if TYPE_CHECKING:
    from lamplighter.models.classifier import Classifier
    from lamplighter.studio.calls import Fields
    from lamplighter.studio.runs import Run
    from lamplighter.studio.studio import Studio

_LOADED = 4  # classifiers that are kept in memory
_BROUGHT = 8  # bundles that are kept on disk


class Brought(NamedTuple):
    """A bundle that was brought to the page.

    Attributes:
        key: what it is called in addresses.
        name: what its file was called.
        file: where it is.
    """

    key: str
    name: str
    file: Path


class Classifiers:
    """Loads classifiers once, and keeps what was brought until the studio ends.

    Safe to use from several threads.
    """

    def __init__(self) -> None:
        self._folder: Path | None = None  # made for the first bundle that is brought
        self._brought: OrderedDict[str, Brought] = OrderedDict()
        self._loaded: OrderedDict[tuple[Path, int], Classifier] = OrderedDict()
        self._turn = threading.Lock()

    def new_file(self) -> Path:
        """Return a path for a bundle that is on its way."""
        with self._turn:
            if self._folder is None:
                self._folder = Path(tempfile.mkdtemp(prefix="lamplighter-studio-"))
                weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)
            return self._folder / f"{secrets.token_hex(8)}.lamp"

    def bring(self, file: Path, name: str) -> Brought:
        """Take a bundle that was brought; a file that cannot be used is removed.

        Args:
            file: one of `new_file`.
            name: what it was called where it came from.

        Raises:
            BundleError: it is no bundle, or a damaged one; the message has its own name.
        """
        try:
            self.load(file)
        except LamplighterError as error:
            file.unlink(missing_ok=True)
            raise type(error)(str(error).replace(str(file), shown(name))) from error
        one = Brought(file.stem, name, file)
        with self._turn:
            self._brought[one.key] = one
            while len(self._brought) > _BROUGHT:
                _, oldest = self._brought.popitem(last=False)
                oldest.file.unlink(missing_ok=True)
        return one

    def brought(self) -> list[Brought]:
        """Return the bundles that were brought, the last one first."""
        with self._turn:
            return list(reversed(self._brought.values()))

    def find(self, key: str) -> Brought:
        """Return a bundle that was brought.

        Raises:
            MissingBundleError: there is none of that key.
        """
        with self._turn:
            if key in self._brought:
                return self._brought[key]
        raise MissingBundleError(
            "this bundle was brought to a studio that has ended since, or too many were brought "
            "after it; bring the file again."
        )

    def load(self, file: Path) -> Classifier:
        """Return the classifier in a file.

        Raises:
            BundleError: the file cannot be used.
        """
        try:
            key = (file, file.stat().st_mtime_ns)
        except OSError:
            return load(file)  # which says what is the matter
        with self._turn:
            if key in self._loaded:
                self._loaded.move_to_end(key)
                return self._loaded[key]
        classifier = load(file)
        with self._turn:
            self._loaded[key] = classifier
            while len(self._loaded) > _LOADED:
                self._loaded.popitem(last=False)
        return classifier


def classifiers(studio: Studio) -> Classifiers:
    """Return the classifiers of a studio."""
    return studio.kept("classifiers", Classifiers)


def known_runs(studio: Studio) -> list[Run]:
    """Return the trainings of the folder that is open and those of digits, the last one first."""
    found = all_runs(studio.project.source) if studio.is_open else []
    return sorted([*found, *all_runs(None)], key=lambda run: -float(run.notes.get("made") or 0))


def run_of(studio: Studio, name: str) -> Run:
    """Return a run by its id; "" means the last one, of the folder that is open if it has any.

    Raises:
        MissingBundleError: there is none.
    """
    for run in [*(all_runs(studio.project.source) if studio.is_open else []), *all_runs(None)]:
        if name in ("", run.id):
            return run
    return find_run(None, name)  # which says that there is none


def classifier_of(studio: Studio, fields: Fields) -> Classifier:
    """Return the classifier that a request asks: of its field "bundle", else as `run_of`.

    Raises:
        BundleError: there is none, or its file cannot be used.
    """
    known, key = classifiers(studio), fields.text("bundle", "")
    return known.load(
        known.find(key).file if key else run_of(studio, fields.text("run", "")).bundle
    )
