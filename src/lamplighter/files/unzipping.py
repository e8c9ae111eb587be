"""Zip files from elsewhere, unpacked with care: nothing outside the folder, nothing absurd."""

from __future__ import annotations

import os
import re
import shutil
import stat
import struct
import unicodedata
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from lamplighter.errors import DatasetError, OutputError
from lamplighter.files.naming import is_litter, shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    Entries = Mapping[PurePosixPath, zipfile.ZipInfo]

_CHUNK = 2**18
_ENCRYPTED, _UTF8 = 0x1, 0x800  # flags of an entry
_UNICODE_NAME = 0x7075  # the extra field of Info-ZIP with a name in UTF-8
# What a set of photos never reaches.
_MOST_FILES = 500_000
_LARGEST_FILE = 500_000_000  # bytes, as all below
_LARGEST = 20_000_000_000
_TIGHTEST = 200  # photos hardly shrink, text to a fifth; to less only what is blank, or nonsense
# What may be tighter than that: a blank PNG, and a blank bitmap, which nothing has compressed.
_BLANK, _BLANK_BITMAP = 1_000_000, 64_000_000
_BITMAPS = frozenset(
    {".bmp", ".dib", ".pbm", ".pgm", ".pnm", ".ppm", ".ras", ".tga", ".tif", ".tiff"}
)


@dataclass(frozen=True)
class ZipSource:
    """A zip file whose content nobody vouches for.

    Attributes:
        path: the file.
        name: what messages call it; by default its path.
        mend: how to get a whole one, where it is damaged.
        as_systems_write: whether names may be written as programs on Windows and old ones do, with
            backslashes and without saying that they are UTF-8, and may differ by case alone.
    """

    path: Path
    name: str = ""
    mend: str = "copy or download it again."
    as_systems_write: bool = True

    def unpack(
        self,
        folder: Path,
        *,
        wanted: Callable[[PurePosixPath], bool] = lambda path: True,
        rename: Callable[[PurePosixPath], PurePosixPath] = lambda path: path,
        progress: Callable[[int, int | None], None] | None = None,
    ) -> int:
        """Unpack files into `folder` and return how many; each is checked (CRC).

        Nothing is written where the names or sizes in the archive are not acceptable.

        Args:
            folder: an empty folder.
            wanted: which files to unpack.
            rename: where in `folder` a file of the archive goes.
            progress: told how many bytes are unpacked, and of how many.

        Raises:
            DatasetError: it is no zip file, it is damaged, or it holds names that lead elsewhere,
                links, encrypted files, two files of one name, or absurdly large ones.
            OutputError: the disk is too small.
            OSError: a file cannot be written.
        """
        with self._opened() as whole:
            entries = self.checked(self._files(whole), wanted)
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
                    for chunk in self._chunks(whole, str(path), entry):
                        file.write(chunk)
                done += entry.file_size
                if progress:
                    progress(done, total)
        return len(entries)

    def files(self) -> dict[PurePosixPath, zipfile.ZipInfo]:
        """Return the entry of each file, without folders and what systems leave behind.

        Raises:
            DatasetError: it is no zip file, or holds names that lead elsewhere, or links.
        """
        with self._opened() as whole:
            return self._files(whole)

    def checked(
        self, entries: Entries, wanted: Callable[[PurePosixPath], bool]
    ) -> dict[PurePosixPath, zipfile.ZipInfo]:
        """Return the entries that are wanted.

        Raises:
            DatasetError: one of them is encrypted or larger than any photo, or there are too many.
        """
        chosen = {path: entry for path, entry in entries.items() if wanted(path)}
        for path, entry in chosen.items():
            self._check_content(str(path), entry)
        total = sum(entry.file_size for entry in chosen.values())
        if len(chosen) > _MOST_FILES or total > _LARGEST:
            raise DatasetError(
                f"{self._name} must have at most {_MOST_FILES:,} files and {_LARGEST / 1e9:.0f} "
                f"GB, received {len(chosen):,} files and {total / 1e9:,.1f} GB; check where it "
                "comes from, and unpack it yourself if it is what it should be."
            )
        return chosen

    @property
    def _name(self) -> str:
        return self.name or shown(self.path)

    def _files(self, whole: zipfile.ZipFile) -> dict[PurePosixPath, zipfile.ZipInfo]:
        entries: dict[PurePosixPath, zipfile.ZipInfo] = {}
        seen: set[str] = set()
        for entry in whole.infolist():
            name = self._name_of(entry)
            path = self._path_of(entry, name)
            if name.endswith("/") or any(map(is_litter, path.parts)):
                continue
            key = unicodedata.normalize("NFC", str(path))
            # Systems differ in whether "A" and "a" are one name.
            key = key if self.as_systems_write else key.casefold()
            if key in seen:
                raise self._refused(name, "there are two files of this name")
            seen.add(key)
            entries[path] = entry
        return entries

    def _name_of(self, entry: zipfile.ZipInfo) -> str:
        """Return the name of `entry` with "/" between folders, in the writing that was meant."""
        # orig_filename is the name before what follows a null byte was dropped.
        name = entry.orig_filename
        if "\0" in name or ("\\" in name and not self.as_systems_write):
            raise self._refused(name, "its name has a backslash or a null byte")
        if self.as_systems_write:
            name = _as_meant(name, entry).replace("\\", "/")
        return name

    def _path_of(self, entry: zipfile.ZipInfo, name: str) -> PurePosixPath:
        path = PurePosixPath(name)
        drive = ":" in name if os.name == "nt" else re.match("[A-Za-z]:", name) is not None
        if path.is_absolute() or ".." in path.parts or drive or not path.parts:
            raise self._refused(name, "its name leads out of the folder")
        kind = stat.S_IFMT(entry.external_attr >> 16)
        if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise self._refused(name, "it is a link or a device, not a file")
        return path

    def _check_content(self, name: str, entry: zipfile.ZipInfo) -> None:
        size = entry.file_size
        if entry.flag_bits & _ENCRYPTED:
            raise self._refused(
                name, "it is encrypted", "unpack it with its password, and name the folder."
            )
        if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise self._refused(
                name,
                "it is compressed in an unusual way",
                "unpack it with the program that made it, and name the folder.",
            )
        blank = _BLANK_BITMAP if PurePosixPath(name).suffix.lower() in _BITMAPS else _BLANK
        if size > _LARGEST_FILE or size > max(_TIGHTEST * entry.compress_size, blank):
            raise self._refused(name, f"it would unpack to {size:,} bytes")

    def _chunks(self, whole: zipfile.ZipFile, name: str, entry: zipfile.ZipInfo) -> Iterator[bytes]:
        """Give the content of `entry`, which ends in an error where its CRC is wrong."""
        size = 0
        try:
            with whole.open(entry) as file:
                while chunk := file.read(_CHUNK):
                    size += len(chunk)
                    yield chunk
        except (zipfile.BadZipFile, zlib.error, EOFError, ValueError) as error:
            raise self._damaged(name, error) from error
        if size != entry.file_size:
            raise self._damaged(name, f"it has {size:,} of {entry.file_size:,} bytes")

    def _opened(self) -> zipfile.ZipFile:
        try:
            return zipfile.ZipFile(self.path)
        except (zipfile.BadZipFile, ValueError, OverflowError) as error:
            with self.path.open("rb") as file:
                beginning = file.read(24)
            raise DatasetError(
                f"{self._name} must be a whole zip file, received one that begins {beginning!r} "
                f"({error}); {self.mend}"
            ) from error

    def _refused(
        self, name: str, reason: str, mend: str = "check where it comes from."
    ) -> DatasetError:
        return DatasetError(
            f"{self._name} is not unpacked, because of {shown(name[:200])}: {reason}; {mend}"
        )

    def _damaged(self, name: str, reason: object) -> DatasetError:
        return DatasetError(
            f"{self._name} is damaged: {shown(name[:200])} cannot be unpacked ({reason}); "
            f"{self.mend}"
        )


def _as_meant(name: str, entry: zipfile.ZipInfo) -> str:
    """Return a name that was read as code page 437 in UTF-8, where it is that.

    Only some programs set the flag that says so; others put the name beside, or say nothing.
    """
    if entry.flag_bits & _UTF8 or name.isascii():
        return name
    raw = name.encode("cp437")
    for content in (*_names_beside(entry.extra, raw), raw):
        try:
            return content.decode("utf-8")
        except UnicodeDecodeError:
            continue
    return name


def _names_beside(extra: bytes, raw: bytes) -> Iterable[bytes]:
    """Return the name in the extra field 0x7075, if it is of this name (by its CRC)."""
    place = 0
    while place + 4 <= len(extra):
        kind, size = struct.unpack_from("<HH", extra, place)
        field = extra[place + 4 : place + 4 + size]
        if kind == _UNICODE_NAME and field[1:5] == struct.pack("<I", zlib.crc32(raw)):
            yield field[5:]
        place += 4 + size
