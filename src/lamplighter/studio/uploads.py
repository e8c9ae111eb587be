"""Photos that a person brings to the page: written to a new folder, which appears when complete."""

from __future__ import annotations

import contextlib
import secrets
import shutil
import threading
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from lamplighter.errors import DataError, OutputError
from lamplighter.files.folders import new_folder
from lamplighter.files.naming import (
    IMAGE_SUFFIXES,
    TABLE_SUFFIXES,
    clean_name,
    is_litter,
    shown,
)
from lamplighter.studio.places import folder_name, new_place

if TYPE_CHECKING:
    from collections.abc import Iterator

LARGEST_IMAGE = 500_000_000  # bytes, as in a zip file
LARGEST_ZIP = 20_000_000_000
_MOST_FILES = 500_000
TAKEN = IMAGE_SUFFIXES | TABLE_SUFFIXES | {".zip"}  # what the names of files end with
_SPARE = 200_000_000  # bytes that stay free on the disk


class UploadError(DataError):
    """Photos that cannot be taken."""


@dataclass
class Upload:
    """Photos that are being brought.

    Attributes:
        place: the folder that they will be in.
        folder: where they are until all are there.
        closing: lets the folder appear at `place`, or removes it.
        taken: the paths that have a file, as disks compare them that do not tell "A" from "a".
        complete: the paths that are there whole.
    """

    place: Path
    folder: Path
    closing: contextlib.ExitStack
    taken: set[str] = field(default_factory=set)
    complete: set[str] = field(default_factory=set)

    @property
    def source(self) -> Path:
        """What is to be opened: the folder, or the zip file where one was brought alone."""
        names = [path.name for path in self.place.iterdir()]
        is_zip = len(names) == 1 and names[0].lower().endswith(".zip")
        return self.place / names[0] if is_zip else self.place


class Incoming:
    """One photo on its way to a new file, part by part.

    Args:
        upload: what it belongs to.
        path: where it is to be in its folder.

    Raises:
        OutputError: it cannot be written.
    """

    def __init__(self, upload: Upload, path: PurePosixPath) -> None:
        self._upload, self._path = upload, str(path)
        self._target = upload.folder / path
        self._most, self._size = largest(self._path), 0
        with self._explained():
            self._target.parent.mkdir(parents=True, exist_ok=True)
            self._file = self._target.open("xb")

    def write(self, part: bytes) -> None:
        """Write the next part.

        Raises:
            UploadError: the file is larger than any photo.
            OutputError: it cannot be written.
        """
        self._size += len(part)
        if self._size > self._most:
            raise UploadError(
                f"{shown(self._path)} must have at most {self._most / 1e6:,.0f} MB, received more."
            )
        with self._explained():
            self._file.write(part)

    def finish(self) -> None:
        """Note that all of it is there.

        Raises:
            OutputError: it cannot be written.
        """
        with self._explained():
            self._file.close()
        self._upload.complete.add(self._path)

    def abandon(self) -> None:
        """Remove what is there of it."""
        with contextlib.suppress(OSError):
            self._file.close()
        with contextlib.suppress(OSError):
            self._target.unlink()

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise OutputError(
                f"{shown(self._path)} cannot be written to {shown(self._upload.place.parent)}: "
                f"{error.strerror or error}; free some space, or open its folder in place."
            ) from error


class Uploads:
    """What pages bring. Safe to use from several threads."""

    def __init__(self) -> None:
        self._known: dict[str, Upload] = {}
        self._turn = threading.Lock()

    def begin(self, name: str, *, size: int, count: int) -> str:
        """Make a new folder for photos, and return what to call it in what follows.

        Args:
            name: what the folder is to be called.
            size: bytes of all files together.
            count: how many files there are.

        Raises:
            UploadError: there are too many, or they are too large.
            OutputError: the disk is too small, or the folder cannot be made.
        """
        if not 0 < count <= _MOST_FILES or not 0 <= size <= LARGEST_ZIP:
            raise UploadError(
                f"1 to {_MOST_FILES:,} files of at most {LARGEST_ZIP / 1e9:.0f} GB together can be "
                f"brought, received {count:,} of {size / 1e9:,.1f} GB; open their folder in place."
            )
        closing = contextlib.ExitStack()
        with self._turn:  # else two that begin at once would be given one place
            place = new_place(name)
            folder = closing.enter_context(new_folder(place))
            key = secrets.token_urlsafe(12)
            self._known[key] = Upload(place, folder, closing)
        try:
            check_space(folder, size)
        except OutputError:
            self.cancel(key)
            raise
        return key

    def receive(self, key: str, path: str) -> Incoming:
        """Return a file to write one photo to.

        Args:
            key: what `begin` returned.
            path: where it is to be in the folder, with "/" between folders.

        Raises:
            UploadError: there is no such upload, or nothing may be written there.
            OutputError: it cannot be written.
        """
        upload, place = self._of(key), checked_path(path)
        with self._turn:
            free = _free(place, upload.taken)
            upload.taken.add(str(free).casefold())
        return Incoming(upload, free)

    def finish(self, key: str) -> Path:
        """Let the folder appear, and return what is to be opened.

        Raises:
            UploadError: there is no such upload, or nothing was brought.
            OutputError: the folder cannot be made.
        """
        upload = self._of(key)
        if not upload.complete:
            self.cancel(key)
            raise UploadError("none of these files is an image; choose images, or a zip of them.")
        with self._turn:
            del self._known[key]
        upload.closing.close()
        return upload.source

    def cancel(self, key: str) -> None:
        """Remove what was brought; nothing happens where there is no such upload."""
        with self._turn:
            upload = self._known.pop(key, None)
        if upload is not None:
            with contextlib.suppress(_CancelledError):
                upload.closing.__exit__(_CancelledError, _CancelledError(), None)

    def close(self) -> None:
        """Remove all that is not complete."""
        for key in list(self._known):
            self.cancel(key)

    def _of(self, key: str) -> Upload:
        upload = self._known.get(key)
        if upload is None:
            raise UploadError("these photos were cancelled, or are complete; bring them anew.")
        return upload


class _CancelledError(Exception):
    """What is being brought is not wanted any more."""


def largest(path: str) -> int:
    """Return how many bytes a file may have that is brought as `path`."""
    return LARGEST_ZIP if path.lower().endswith(".zip") else LARGEST_IMAGE


def check_space(folder: Path, size: int) -> None:
    """Refuse what would fill the disk.

    Raises:
        OutputError: there is not enough space for `size` bytes.
    """
    free = shutil.disk_usage(folder).free
    if size + _SPARE > free:
        raise OutputError(
            f"these photos have {size / 1e6:,.0f} MB, and the disk has {free / 1e6:,.0f} MB free; "
            "free some space, or open their folder in place."
        )


def checked_path(path: str) -> PurePosixPath:
    """Return where a photo is to be in a new folder; no name leads out of it.

    Raises:
        UploadError: it would, or it is no image, table or zip file.
    """
    parts = path.split("/")
    if len(path) > 1000 or any(
        part in ("", ".", "..") or is_litter(part) or not clean_name(part).isprintable()
        for part in parts
    ):
        raise UploadError(
            f"the path of a photo must lie in its folder, and no part of it may be hidden, "
            f"received {shown(path[:200])}."
        )
    if PurePosixPath(parts[-1]).suffix.lower() not in TAKEN:
        raise UploadError(f"an image or a zip file is wanted, received {shown(parts[-1][:200])}.")
    return PurePosixPath(*map(_named, parts))


def _named(part: str) -> str:
    """Return part of a path as every system takes it."""
    suffix = PurePosixPath(part).suffix
    suffix = suffix if suffix.lower() in TAKEN else ""
    return folder_name(part.removesuffix(suffix), "image") + suffix


def _free(path: PurePosixPath, taken: set[str]) -> PurePosixPath:
    """Return `path`, or one with a number, where no other file is."""
    free, number = path, 1
    while str(free).casefold() in taken:
        number += 1
        free = path.with_name(f"{path.stem} ({number}){path.suffix}")
    return free
