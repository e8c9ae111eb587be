"""Zip files from elsewhere, unpacked with care: nothing outside the folder, nothing absurd."""

from __future__ import annotations

import shutil
import stat
import unicodedata
import zipfile
import zlib
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from lamplighter.data.naming import shown
from lamplighter.errors import DatasetError, OutputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_CHUNK = 2**18
_ENCRYPTED = 0x1
_LITTER = frozenset({"__macosx", ".ds_store", "thumbs.db", "desktop.ini"})
# What a set of photos never reaches.
_MOST_FILES = 500_000
_LARGEST_FILE = 500_000_000  # bytes, as all below
_LARGEST = 20_000_000_000
_TIGHTEST = 200  # photos hardly shrink; text shrinks to a fifth, nothing but nonsense to this


def unpack(
    archive: Path,
    folder: Path,
    *,
    rename: Callable[[PurePosixPath], PurePosixPath] = lambda path: path,
    progress: Callable[[int, int | None], None] | None = None,
) -> int:
    """Unpack the files of a zip file into `folder` and return how many; each is checked (CRC).

    Nothing is written where the names or sizes in the archive are not acceptable.

    Args:
        archive: the zip file.
        folder: an empty folder.
        rename: where in `folder` a file of the archive goes.
        progress: told how many bytes are unpacked, and of how many.

    Raises:
        DatasetError: it is no zip file, it is damaged, or it holds names that lead elsewhere,
            links, encrypted files, two files of one name, or absurdly large ones.
        OutputError: the disk is too small.
        OSError: a file cannot be written.
    """
    with _opened(archive) as whole:
        entries = check_entries(whole)
        total = sum(entry.file_size for entry in entries.values())
        free = shutil.disk_usage(folder).free
        if total > free:
            raise OutputError(
                f"the photos need {total / 1e6:,.0f} MB, received a disk with "
                f"{free / 1e6:,.0f} MB free; free some space, or choose another folder."
            )
        done = 0
        for path, entry in entries.items():
            target = folder / rename(path)
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("xb") as file:
                for chunk in _chunks(whole, entry):
                    file.write(chunk)
            done += entry.file_size
            if progress:
                progress(done, total)
    return len(entries)


def file_names(archive: Path) -> list[PurePosixPath]:
    """Return the paths of the files in a zip file.

    Raises:
        DatasetError: as `unpack`.
    """
    with _opened(archive) as whole:
        return list(check_entries(whole))


def check_entries(whole: zipfile.ZipFile) -> dict[PurePosixPath, zipfile.ZipInfo]:
    """Return the files of an archive, without folders and what systems leave behind.

    Raises:
        DatasetError: names or sizes are not acceptable.
    """
    entries: dict[PurePosixPath, zipfile.ZipInfo] = {}
    seen: set[str] = set()
    for entry in whole.infolist():
        path = _checked(entry)
        if entry.is_dir() or any(part.lower() in _LITTER for part in path.parts):
            continue
        # Systems differ in whether "A" and "a" are one name; here they are.
        name = unicodedata.normalize("NFC", str(path)).casefold()
        if name in seen:
            raise _refused(entry.filename, "there are two files of this name")
        seen.add(name)
        entries[path] = entry
    total = sum(entry.file_size for entry in entries.values())
    if len(entries) > _MOST_FILES or total > _LARGEST:
        raise DatasetError(
            f"the archive must have at most {_MOST_FILES:,} files and {_LARGEST / 1e9:.0f} GB, "
            f"received {len(entries):,} files and {total / 1e9:,.1f} GB; check the address."
        )
    return entries


def _checked(entry: zipfile.ZipInfo) -> PurePosixPath:
    """Return the path of `entry`, inside the archive; refuse one that is not what it should be."""
    name = entry.filename
    path = PurePosixPath(name)
    # orig_filename is the name before what follows a null byte was dropped.
    if name != entry.orig_filename.replace("\\", "/") or "\\" in entry.orig_filename:
        raise _refused(entry.orig_filename, "its name has a backslash or a null byte")
    if path.is_absolute() or ".." in path.parts or not path.parts or ":" in name:
        raise _refused(name, "its name leads out of the folder")
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise _refused(name, "it is a link or a device, not a file")
    if entry.flag_bits & _ENCRYPTED:
        raise _refused(name, "it is encrypted")
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise _refused(name, "it is compressed in an unusual way")
    if entry.file_size > _LARGEST_FILE or entry.file_size > _TIGHTEST * entry.compress_size + 4096:
        raise _refused(name, f"it would unpack to {entry.file_size:,} bytes")
    return path


def _chunks(whole: zipfile.ZipFile, entry: zipfile.ZipInfo) -> Iterator[bytes]:
    """Give the content of `entry`, which ends in an error where its CRC is wrong."""
    size = 0
    try:
        with whole.open(entry) as file:
            while chunk := file.read(_CHUNK):
                size += len(chunk)
                yield chunk
    except (zipfile.BadZipFile, zlib.error, EOFError, ValueError) as error:
        raise _damaged(entry.filename, error) from error
    if size != entry.file_size:
        raise _damaged(entry.filename, f"it has {size:,} of {entry.file_size:,} bytes")


def _opened(archive: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(archive)
    except (zipfile.BadZipFile, ValueError, OverflowError) as error:
        with archive.open("rb") as file:
            beginning = file.read(24)
        raise DatasetError(
            f"the download must be a whole zip file, received one that begins {beginning!r} "
            f"({error}); check the address, and run the same command again."
        ) from error


def _refused(name: str, reason: str) -> DatasetError:
    return DatasetError(
        f"the archive is not unpacked, because of {shown(name[:200])}: {reason}; check where it "
        "comes from."
    )


def _damaged(name: str, reason: object) -> DatasetError:
    return DatasetError(
        f"the download is damaged: {shown(name[:200])} cannot be unpacked ({reason}); run the "
        "same command again, which fetches it anew."
    )
