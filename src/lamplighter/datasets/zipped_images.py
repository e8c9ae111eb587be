"""Zip files of photos, as phones, clouds and colleagues send them: unpacked once, into the cache.

Only images and CSV files are unpacked. The folder is named by the content of the zip file, so
that another file of the same name is another folder, and it is there whole or not at all: several
processes may unpack at once, and any of them may be killed.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import shutil
import time
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import platformdirs

from lamplighter.datasets.files import SetAside
from lamplighter.errors import DatasetError, LamplighterError, MissingDatasetError, OutputError
from lamplighter.files.naming import IMAGE_SUFFIXES, TABLE_SUFFIXES, clean_name, shown
from lamplighter.files.unzipping import ZipSource
from lamplighter.images.formats import NO_IMAGE_REASON, reason_by_name
from lamplighter.names import no_such_path
from lamplighter.text import listed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from lamplighter.files.unzipping import Entries

_ARCHIVES = (".zip", ".rar", ".7z", ".tar", ".tgz", ".tar.gz", ".tar.xz", ".tar.bz2")
_ABANDONED = 3600.0  # seconds without a new file, after which an unpacking counts as killed
_PARTIAL = ".partial"


def is_zip(path: str | Path) -> bool:
    """Return whether `path` is a zip file by its name, and no folder."""
    path = Path(path)
    return path.suffix.lower() == ".zip" and not path.is_dir()


def unpack_images(
    path: str | Path, *, progress: Callable[[int, int | None], None] | None = None
) -> Path:
    """Return a folder with the images and CSV files of a zip file, in the user's cache.

    The zip file is unpacked where that has not been done yet. The folder has the name of the zip
    file, without its ending; in it all lies as in the zip file.

    Args:
        path: the zip file.
        progress: told how many bytes are unpacked, and of how many.

    Raises:
        DatasetError: there is no such file, it is no zip file or a damaged one, it has no image
            in it, or names that lead elsewhere, links, encrypted images, archives in the archive,
            or absurdly large files.
        OutputError: the cache cannot be written, or the disk is too small.
    """
    path = Path(path)
    source = ZipSource(path)
    try:
        files = source.files()
        _check_what_is_in(path, files)
        expected = source.checked(files, _wanted)
        with path.open("rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise _unreadable(path, error) from error
    home = Path(platformdirs.user_cache_dir("lamplighter")) / "unpacked" / content[:24]
    known = _folder_in(home)
    if known is not None and _is_whole(known, expected):
        return known
    return _unpacked(source, home, expected, progress)


def left_in(path: str | Path) -> tuple[SetAside, ...]:
    """Return the files of a zip file that `unpack_images` leaves in it, and why.

    Raises:
        DatasetError: as `unpack_images`.
    """
    try:
        files = ZipSource(Path(path)).files()
    except OSError as error:
        raise _unreadable(Path(path), error) from error
    others = sorted(clean_name(str(file)) for file in files if not _wanted(file))
    return tuple(SetAside(other, reason_by_name(other) or NO_IMAGE_REASON) for other in others)


def _wanted(path: PurePosixPath) -> bool:
    return path.suffix.lower() in IMAGE_SUFFIXES | TABLE_SUFFIXES


def _check_what_is_in(path: Path, files: Iterable[PurePosixPath]) -> None:
    names = sorted(str(file) for file in files)
    archives = [name for name in names if name.lower().endswith(_ARCHIVES)]
    if archives:
        raise DatasetError(
            f"{shown(path)} must hold images, received archives in an archive "
            f"({_few(archives)}); unpack it, and name one of these, or a folder."
        )
    if not any(PurePosixPath(name).suffix.lower() in IMAGE_SUFFIXES for name in names):
        received = f"one with {_few(names)}" if names else "an empty one"
        raise DatasetError(
            f"{shown(path)} must be a zip file of images, received {received}; name another file, "
            "or a folder."
        )


def _unpacked(
    source: ZipSource,
    home: Path,
    expected: Entries,
    progress: Callable[[int, int | None], None] | None,
) -> Path:
    """Unpack into a folder of our own and put it in the place of `home`."""
    work = home.with_name(f"{home.name}.{secrets.token_hex(6)}{_PARTIAL}")
    name = clean_name(source.path.stem).strip(" .")[:60] or "images"
    try:
        _sweep(home.parent)
        (work / name).mkdir(parents=True)

        def tell(done: int, total: int | None) -> None:
            os.utime(work)  # it is alive
            if progress is not None:
                progress(done, total)

        source.unpack(work / name, wanted=_wanted, progress=tell)
        _put(work, home, expected)
    except LamplighterError:
        raise
    except OSError as error:
        raise OutputError(
            f"{shown(source.path)} cannot be unpacked into {shown(home.parent)}: "
            f"{error.strerror or error}; free some space, or unpack it yourself and name the "
            "folder."
        ) from error
    finally:
        shutil.rmtree(work, ignore_errors=True)
    folder = _folder_in(home)
    assert folder is not None
    return folder


def _put(work: Path, home: Path, expected: Entries) -> None:
    """Rename `work` to `home`, unless another process was faster; a broken `home` goes."""
    for attempt in range(3):
        try:
            work.rename(home)
        except OSError:
            if attempt == 2:
                raise
            there = _folder_in(home)
            if there is not None and _is_whole(there, expected):
                return
            # Renamed before it is removed, so that nobody sees a part of it.
            with contextlib.suppress(OSError):
                broken = home.with_name(f"{home.name}.{secrets.token_hex(6)}{_PARTIAL}")
                home.rename(broken)
                shutil.rmtree(broken, ignore_errors=True)
        else:
            return


def _folder_in(home: Path) -> Path | None:
    """Return the one folder in `home`, None where there is none."""
    with contextlib.suppress(OSError):
        for folder in home.iterdir():
            if folder.is_dir():
                return folder
    return None


def _is_whole(folder: Path, expected: Entries) -> bool:
    """Return whether every file is still there, with its size."""
    try:
        return all(
            (folder / path).stat().st_size == entry.file_size for path, entry in expected.items()
        )
    except OSError:
        return False


def _sweep(folder: Path) -> None:
    """Remove what killed processes left behind."""
    with contextlib.suppress(OSError):
        for left in folder.glob(f"*{_PARTIAL}"):
            if time.time() - left.stat().st_mtime > _ABANDONED:
                shutil.rmtree(left, ignore_errors=True)


def _few(names: list[str]) -> str:
    return listed([shown(clean_name(name)) for name in names], 3)


def _unreadable(path: Path, error: OSError) -> DatasetError:
    if isinstance(error, FileNotFoundError):
        return MissingDatasetError(no_such_path("file", path))
    if isinstance(error, PermissionError):
        return DatasetError(f"{shown(path)} may not be read; change its permissions.")
    reason = error.strerror or error
    return DatasetError(f"{shown(path)} cannot be read ({reason}); check the name and the disk.")
