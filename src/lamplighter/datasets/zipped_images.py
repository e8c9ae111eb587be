"""Zip files of photos, as phones, clouds and colleagues send them: unpacked once, into the cache.

Only images and CSV files are unpacked, into a folder named by the content of the zip file, so that
another file of the same name, size and time is another folder. `lamplighter.files.folder_cache`
says what holds of these folders: whole or not at all, several processes at once, bounded together.
"""

from __future__ import annotations

import errno
import json
import os
import re
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import platformdirs

from lamplighter.datasets.files import SetAside
from lamplighter.datasets.walking import ATTRIBUTION
from lamplighter.errors import ArgumentError, DatasetError, MissingDatasetError, OutputError
from lamplighter.files.folder_cache import FolderCache
from lamplighter.files.naming import IMAGE_SUFFIXES, TABLE_SUFFIXES, clean_name, shown, stands_for
from lamplighter.files.unzipping import ZipSource
from lamplighter.images.formats import NO_IMAGE_REASON, reason_by_name
from lamplighter.names import no_such_path
from lamplighter.text import counted, listed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from lamplighter.files.unzipping import Entries, Listing

LIMIT = "LAMPLIGHTER_UNPACKED_GB"  # the environment variable that changes the limit
# Room for the parts in which Google Takeout comes (2 GB each) and most sets of Kaggle; a twentieth
# of a small laptop's disk, which nobody was asked for.
_LIMIT_GB = 10.0
_CONTENTS = "contents.json"  # beside the files: what there must be, and what was damaged
_ARCHIVES = (".zip", ".rar", ".7z", ".tar", ".tgz", ".tar.gz", ".tar.xz", ".tar.bz2")
_NESTED = "an archive in the archive, which is not looked into; unpack it, and name it as well."
_TAKEOUT = "Takeout"  # the folder around all in Google Takeout, in any language
_PART = re.compile(r"(takeout-\d{8}T\d{6}Z-(?:\d+-)?)\d{3}\.zip", re.IGNORECASE)


@dataclass(frozen=True)
class Unpacked:
    """The images of a zip file.

    Attributes:
        folder: where they are; its name is that of the zip file, without its ending. In it all
            lies as in the zip file.
        left_out: files that are not unpacked, and why.
        notes: what else to know, one line each.
    """

    folder: Path
    left_out: tuple[SetAside, ...]
    notes: tuple[str, ...]


def is_zip(path: str | Path) -> bool:
    """Return whether `path` is a zip file by its name, and no folder."""
    path = Path(path)
    return path.suffix.lower() == ".zip" and not path.is_dir()


def unpack_images(
    path: str | Path, *, progress: Callable[[int, int | None], None] | None = None
) -> Unpacked:
    """Return a folder with the images and CSV files of a zip file, in the user's cache.

    The zip file is unpacked where that has not been done yet. All unpacked zip files together take
    at most 10 GB, or what the environment variable LAMPLIGHTER_UNPACKED_GB says; the least
    recently used go first, none that is in use.

    Args:
        path: the zip file.
        progress: told how many bytes are unpacked, and of how many.

    Raises:
        DatasetError: there is no such file, it is no zip file, it has no image in it that is not
            damaged, or names that lead elsewhere, links, encrypted images, or absurdly large
            files.
        OutputError: the cache cannot be written, or there is no room in it.
        ArgumentError: LAMPLIGHTER_UNPACKED_GB is not a number.
    """
    path = Path(path)
    cache = _cache()
    source = ZipSource(path, largest=None, case_matters=_case_matters(cache.root))
    try:
        key = source.fingerprint()[:24]
        found = source.listing()
    except OSError as error:
        raise _unreadable(path, error) from error
    _check_what_is_in(path, found.entries)
    content = _Content(source, source.checked(found.entries, _wanted), progress)
    try:
        home = cache.folder(
            key,
            size=sum(entry.file_size for entry in content.expected.values()),
            fill=content.fill,
            is_whole=content.is_whole,
            name=shown(path),
        )
    except OutputError:
        raise
    except OSError as error:
        raise _unwritable(path, cache.root, error) from error
    folder, damaged = content.read(home)
    stands_for(folder, path)
    left_out = sorted([*_left_in(found), *_damaged(damaged)], key=lambda one: one.path)
    return Unpacked(folder, tuple(left_out), tuple(_notes(path, found)))


class ZipPaths:
    """Paths that lead through zip files, as photos.zip/cats/1.jpg; each file is opened once."""

    def __init__(self) -> None:
        self._folders: dict[Path, Path] = {}

    def real(self, path: str | Path) -> Path:
        """Return where a file in a zip file is unpacked; any other path as it is.

        Raises:
            DatasetError: the zip file cannot be used.
            OutputError: it cannot be unpacked.
        """
        path = Path(path)
        if ".zip" not in str(path).lower():
            return path
        for archive in (path, *path.parents):
            if archive.suffix.lower() == ".zip" and archive.is_file():
                folder = self._folders.get(archive)
                if folder is None:
                    folder = self._folders[archive] = unpack_images(archive).folder
                return folder / path.relative_to(archive)
        return path


@dataclass
class _Content:
    """What is to be in the cache of a zip file.

    Attributes:
        source: the zip file.
        expected: the entries that are unpacked.
        progress: told how many bytes are, and of how many.
    """

    source: ZipSource
    expected: Entries
    progress: Callable[[int, int | None], None] | None = None
    _name: str = field(init=False)

    def __post_init__(self) -> None:
        name = clean_name(self.source.path.stem).strip(" .")[:60]
        self._name = name if name and name != _CONTENTS else "images"

    def fill(self, home: Path) -> None:
        """Unpack into the new folder `home`.

        Raises:
            DatasetError: no image is left that is not damaged.
            OSError: it cannot be written.
        """
        damaged: dict[str, str] = {}

        def note(path: PurePosixPath, reason: str) -> None:
            damaged[str(path)] = reason

        (home / self._name).mkdir()
        self.source.unpack(home / self._name, self.expected, progress=self.progress, damaged=note)
        if not any(_is_image(path) and str(path) not in damaged for path in self.expected):
            name, reason = next(iter(damaged.items()))
            raise DatasetError(
                f"{shown(self.source.path)} is damaged: {shown(name)} cannot be unpacked "
                f"({reason}), nor can any other image; {self.source.mend}"
            )
        contents = {"folder": self._name, "damaged": damaged}
        (home / _CONTENTS).write_text(json.dumps(contents))

    def is_whole(self, home: Path) -> bool:
        """Return whether each file is there, with its size, but for what is still damaged."""
        try:
            folder, damaged = self.read(home)
            there = all(
                (folder / path).stat().st_size == entry.file_size
                for path, entry in self.expected.items()
                if str(path) not in damaged
            )
            # A better copy of the zip file has the same directory.
            return there and all(
                self.source.check(self.expected[PurePosixPath(path)]) for path in damaged
            )
        except (OSError, ValueError, KeyError, TypeError):
            return False

    def read(self, home: Path) -> tuple[Path, dict[str, str]]:
        """Return the folder of the images in `home`, and why others are damaged."""
        contents = json.loads((home / _CONTENTS).read_text())
        return home / str(contents["folder"]), dict(contents["damaged"])


def _cache() -> FolderCache:
    text = os.environ.get(LIMIT, "").strip()
    try:
        gigabytes = float(text) if text else _LIMIT_GB
        limit = int(gigabytes * 1e9)
    except (ValueError, OverflowError):
        limit = -1
    if limit < 0:
        raise ArgumentError(
            f"{LIMIT} must be a number of gigabytes, such as {_LIMIT_GB:g}, received {text!r}."
        )
    root = Path(platformdirs.user_cache_dir("lamplighter"), "unpacked")
    return FolderCache(root, limit, more=f"set {LIMIT} to more gigabytes")


def _case_matters(folder: Path) -> bool:
    """Return whether the disk of `folder` tells "A" from "a"; macOS and Windows do not."""
    there = next((one for one in (folder, *folder.parents) if one.exists()), folder)
    try:
        other = there.with_name(there.name.swapcase())
        return other == there or not other.samefile(there)
    except (OSError, ValueError):  # there is none, or it is the root, which has no name
        return True


def _is_image(path: PurePosixPath) -> bool:
    return path.suffix.lower() in IMAGE_SUFFIXES


def _wanted(path: PurePosixPath) -> bool:
    return path.suffix.lower() in IMAGE_SUFFIXES | TABLE_SUFFIXES


def _is_archive(path: PurePosixPath) -> bool:
    return path.name.lower().endswith(_ARCHIVES)


def _is_takeouts(path: PurePosixPath) -> bool:
    """Return whether a file is what Google Takeout notes of a photo, an album or itself."""
    return path.parts[0] == _TAKEOUT and path.suffix.lower() == ".json"


def _check_what_is_in(path: Path, files: Entries) -> None:
    if any(map(_is_image, files)):
        return
    archives = sorted(str(file) for file in files if _is_archive(file))
    if archives:
        raise DatasetError(
            f"{shown(path)} must hold images, received archives in an archive "
            f"({_few(archives)}); unpack it, and name one of these, or a folder."
        )
    names = sorted(map(str, files))
    received = f"one with {_few(names)}" if names else "an empty one"
    raise DatasetError(
        f"{shown(path)} must be a zip file of images, received {received}; name another file, "
        "or a folder."
    )


def _left_in(found: Listing) -> Iterator[SetAside]:
    """Yield the files that are not unpacked, and why."""
    for path in found.entries:
        if _wanted(path) or _is_takeouts(path) or str(path) == ATTRIBUTION:
            continue
        name = clean_name(str(path))
        reason = _NESTED if _is_archive(path) else reason_by_name(name)
        yield SetAside(name, reason or NO_IMAGE_REASON)


def _damaged(reasons: dict[str, str]) -> Iterator[SetAside]:
    for path, reason in reasons.items():
        yield SetAside(
            clean_name(path), f"damaged in the zip file ({reason}); copy or download it again."
        )


def _notes(path: Path, found: Listing) -> Iterator[str]:
    """Yield what to know of a zip file beside its images."""
    takeouts = sum(map(_is_takeouts, found.entries))
    if takeouts:
        yield (
            f"understood: {counted(takeouts, 'file')} of Google Takeout on the photos (.json) "
            f"{'is' if takeouts == 1 else 'are'} not needed."
        )
    if found.repeated:
        yield f"entries of the zip file that repeat another one: {found.repeated:,}."
    if found.renamed:
        new, old = next((new, old) for new, old in found.renamed.items())
        yield (
            f"understood: names that stand for several files of the zip file get a number: "
            f"{len(found.renamed):,}, such as {shown(old)}, of which one is {shown(new)}."
        )
    if (part := _PART.fullmatch(path.name)) is not None:
        others = sorted(
            other.name
            for other in path.absolute().parent.iterdir()
            if other.name != path.name
            and (match := _PART.fullmatch(other.name)) is not None
            and match[1].lower() == part[1].lower()
        )
        if others:
            yield (
                f"{shown(path.name)} is one part of a Google Takeout; {_few(others)} beside it "
                f"{'is' if len(others) == 1 else 'are'} not read. For all of them together unpack "
                "them into one folder, and name that."
            )


def _few(names: list[str]) -> str:
    return listed([shown(clean_name(name)) for name in names], 3)


def _unreadable(path: Path, error: OSError) -> DatasetError:
    if isinstance(error, FileNotFoundError):
        return MissingDatasetError(no_such_path("file", path))
    if isinstance(error, PermissionError):
        return DatasetError(f"{shown(path)} may not be read; change its permissions.")
    reason = error.strerror or error
    return DatasetError(f"{shown(path)} cannot be read ({reason}); check the name and the disk.")


def _unwritable(path: Path, cache: Path, error: OSError) -> OutputError:
    mend = "check the disk"
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        mend = "free some space"
    elif isinstance(error, PermissionError | NotADirectoryError | FileExistsError) or (
        error.errno == errno.EROFS
    ):
        mend = f"make {shown(cache)} a folder that you may write to"
    return OutputError(
        f"{shown(path)} cannot be unpacked into {shown(cache)}: {error.strerror or error}; "
        f"{mend}, or unpack it yourself and name the folder."
    )
