"""Zip files from elsewhere, unpacked with care: nothing outside the folder, nothing absurd."""

from __future__ import annotations

import errno
import hashlib
import itertools
import os
import re
import shutil
import stat
import struct
import unicodedata
import zipfile
import zlib
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING

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
_LARGEST_DIRECTORY = 200_000_000  # bytes, as all below: what the names of so many files take
_LARGEST_FILE = 500_000_000
_LARGEST = 20_000_000_000
_TIGHTEST = 200  # photos hardly shrink, text to a fifth; to less only what is blank, or nonsense
# What may be tighter than that: a blank PNG, and a blank bitmap, which nothing has compressed.
_BLANK, _BLANK_BITMAP = 1_000_000, 64_000_000
_BITMAPS = frozenset(
    {".bmp", ".dib", ".pbm", ".pgm", ".pnm", ".ppm", ".ras", ".tga", ".tif", ".tiff"}
)
_METHODS = {1: "shrink", 6: "implode", 9: "deflate64", 12: "bzip2", 14: "LZMA", 93: "zstd"}
_METHODS |= {95: "xz", 96: "JPEG", 98: "PPMd", 99: "AES"}
_LOCAL_HEADER = 30  # bytes before the name and the content of an entry
_TOO_LARGE = "check where it comes from, and unpack it yourself if it is what it should be."
# The end of the central directory, and what stands before it where numbers need 64 bits.
_END, _END_64, _LOCATOR = struct.Struct("<4s4H2LH"), struct.Struct("<4sQ2H2L4Q"), 20
_LONGEST_COMMENT = 2**16
# What the standard library raises of content that is not as the archive says.
_DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    ValueError,
    OverflowError,
    NotImplementedError,
    RuntimeError,
)


class _DamageError(Exception):
    """The content of an entry is not what the archive says; why."""


@dataclass
class Listing:
    """The files in a zip file.

    Attributes:
        entries: the entry of each file, by the path that it is unpacked to.
        renamed: of these, what it is called in the archive, where another file has that name.
        repeated: how many entries repeat another one, name and content.
    """

    entries: dict[PurePosixPath, zipfile.ZipInfo] = field(default_factory=dict)
    renamed: dict[PurePosixPath, PurePosixPath] = field(default_factory=dict)
    repeated: int = 0


@dataclass(frozen=True)
class ZipSource:
    """A zip file whose content nobody vouches for.

    Attributes:
        path: the file.
        name: what messages call it; by default its path.
        mend: how to get a whole one, where it is damaged.
        as_systems_write: whether names may be written as programs on Windows and old ones do, with
            backslashes and without saying that they are UTF-8, differ by case alone, or repeat.
        case_matters: whether the disk tells "A" from "a".
        largest: bytes that may be unpacked; None where the caller sees to that.
    """

    path: Path
    name: str = ""
    mend: str = "copy or download it again."
    as_systems_write: bool = True
    case_matters: bool = True
    largest: int | None = _LARGEST

    def unpack(
        self,
        folder: Path,
        entries: Entries,
        *,
        rename: Callable[[PurePosixPath], PurePosixPath] = lambda path: path,
        progress: Callable[[int, int | None], None] | None = None,
        damaged: Callable[[PurePosixPath, str], None] | None = None,
    ) -> None:
        """Unpack files into `folder`; each is checked (CRC).

        Args:
            folder: an empty folder.
            entries: what `checked` returned.
            rename: where in `folder` a file of the archive goes.
            progress: told how many bytes are unpacked, and of how many.
            damaged: told of each damaged file, which is then left out, and why; by default the
                first one is an error.

        Raises:
            DatasetError: it is no zip file, or it is damaged.
            OutputError: the disk is too small.
            OSError: a file cannot be written.
        """
        total, done = sum(entry.file_size for entry in entries.values()), 0
        free = shutil.disk_usage(folder).free
        if total > free:
            raise OutputError(
                f"the photos need {total / 1e6:,.0f} MB, received a disk with "
                f"{free / 1e6:,.0f} MB free; free some space, or choose another folder."
            )
        with self._opened() as whole:
            for path, entry in entries.items():
                target = folder / rename(path)
                target.parent.mkdir(parents=True, exist_ok=True)
                written = 0
                try:
                    with target.open("xb") as file:
                        for chunk in _chunks(whole, entry):
                            file.write(chunk)
                            written += len(chunk)
                            if progress:
                                progress(done + written, total)
                except _DamageError as error:
                    if damaged is None:
                        raise DatasetError(
                            f"{self._name} is damaged: {shown(str(path)[:200])} cannot be "
                            f"unpacked ({error}); {self.mend}"
                        ) from error
                    target.unlink()
                    damaged(path, str(error))
                done += entry.file_size

    def check(self, entry: zipfile.ZipInfo) -> str:
        """Return why an entry cannot be unpacked, "" where it can; nothing is written."""
        with self._opened() as whole:
            try:
                for _ in _chunks(whole, entry):
                    pass
            except _DamageError as error:
                return str(error)
        return ""

    def fingerprint(self) -> str:
        """Return what tells the content of the file from that of others, as hexadecimal digits.

        It is the SHA-256 of the length of the file and of its central directory, which holds the
        name, the sizes, the place and the CRC-32 of each file in it: a few kilobytes are read, not
        gigabytes. The time and name of the file do not count.

        Raises:
            DatasetError: it is no zip file, or has more files in it than any set of photos.
        """
        with self.path.open("rb") as file:
            directory = self._directory(file)
            length = file.seek(0, os.SEEK_END)
        return hashlib.sha256(f"{length}:".encode() + directory).hexdigest()

    def listing(self) -> Listing:
        """Return the files in it, without folders and what systems leave behind.

        Raises:
            DatasetError: it is no zip file, or holds names that lead elsewhere, links, entries
                that overlap, or two files of one name where that is not how systems write.
        """
        with self._opened() as whole:
            entries = whole.infolist()
            end = whole.start_dir
        found = Listing()
        places: dict[str, PurePosixPath] = {}  # by what the disk takes for one path
        for entry in entries:
            name = self._name_of(entry)
            path = self._path_of(entry, name)
            if path.parts and not name.endswith("/") and not any(map(is_litter, path.parts)):
                self._take(path, entry, found, places)
        self._check_overlap(entries, end)
        return found

    def checked(
        self, entries: Entries, wanted: Callable[[PurePosixPath], bool] = lambda path: True
    ) -> dict[PurePosixPath, zipfile.ZipInfo]:
        """Return the entries that are wanted.

        Raises:
            DatasetError: one of them is encrypted or larger than any photo, one is a folder of
                another, or they are too large together.
        """
        chosen = {path: entry for path, entry in entries.items() if wanted(path)}
        for path, entry in chosen.items():
            self._check_content(str(path), entry)
            above = next((parent for parent in path.parents if parent in chosen), None)
            if above is not None:
                raise self._refused(str(above), "it is a file and a folder at once")
        total = sum(entry.file_size for entry in chosen.values())
        if self.largest is not None and total > self.largest:
            raise DatasetError(
                f"{self._name} must have at most {self.largest / 1e9:.0f} GB in it, received "
                f"{total / 1e9:,.1f} GB; {_TOO_LARGE}"
            )
        return chosen

    @property
    def _name(self) -> str:
        return self.name or shown(self.path)

    def _take(
        self,
        path: PurePosixPath,
        entry: zipfile.ZipInfo,
        found: Listing,
        places: dict[str, PurePosixPath],
    ) -> None:
        """Add a file to `found`, under another name where its own is taken by another content."""
        place, number = path, 1
        while (known := places.get(self._key(place))) is not None:
            if not self.as_systems_write:
                raise self._refused(str(path), "there are two files of this name")
            other = found.entries[known]
            if found.renamed.get(known, known) == path and _content(other) == _content(entry):
                found.entries[known] = max(other, entry, key=_readable)
                found.repeated += 1
                return
            number += 1
            place = path.with_name(f"{path.stem} ({number}){path.suffix}")
        places[self._key(place)] = place
        found.entries[place] = entry
        if place != path:
            found.renamed[place] = path

    def _key(self, path: PurePosixPath) -> str:
        """Return what two paths have in common that are one to the disk."""
        name = unicodedata.normalize("NFC", str(path))
        return name if self.as_systems_write and self.case_matters else name.casefold()

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
        nameless = not path.parts and not name.endswith("/")  # "./" is a folder
        if path.is_absolute() or ".." in path.parts or drive or nameless:
            raise self._refused(name, "its name leads out of the folder")
        kind = stat.S_IFMT(entry.external_attr >> 16)
        if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise self._refused(name, "it is a link or a device, not a file")
        return path

    def _check_overlap(self, entries: Iterable[zipfile.ZipInfo], end: int) -> None:
        """Refuse an archive in which entries share their bytes, as bombs do to be small.

        One entry that is listed twice is none; some programs write that.

        Args:
            entries: all of them.
            end: where the central directory begins.
        """
        in_order = sorted(entries, key=lambda entry: entry.header_offset)
        for entry, following in itertools.pairwise([*in_order, None]):
            if entry is None or (following and _is_same(entry, following)):
                continue
            limit = following.header_offset if following else end
            name = entry.orig_filename
            # At least: the local header may have further fields.
            if entry.header_offset + _LOCAL_HEADER + entry.compress_size > limit:
                raise self._refused(name, "it overlaps with what follows it")

    def _check_content(self, name: str, entry: zipfile.ZipInfo) -> None:
        size = entry.file_size
        if entry.flag_bits & _ENCRYPTED:
            raise self._refused(
                name, "it is encrypted", "unpack it with its password, and name the folder."
            )
        if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            method = _METHODS.get(entry.compress_type, f"method {entry.compress_type}")
            raise self._refused(
                name,
                f"it is compressed in an unusual way ({method})",
                "unpack it with the program that made it, and name the folder.",
            )
        blank = _BLANK_BITMAP if PurePosixPath(name).suffix.lower() in _BITMAPS else _BLANK
        if size > _LARGEST_FILE or size > max(_TIGHTEST * entry.compress_size, blank):
            raise self._refused(name, f"it would unpack to {size:,} bytes")

    def _opened(self) -> zipfile.ZipFile:
        with self.path.open("rb") as file:
            beginning = file.read(24)
            self._directory(file)
        try:
            return zipfile.ZipFile(self.path)
        except _DAMAGE as error:
            raise self._no_zip(beginning, error) from error

    def _directory(self, file: IO[bytes]) -> bytes:
        """Return the central directory, as far as it can be found, and what follows it.

        The standard library reads all of it, however large, and makes an object of each entry.

        Raises:
            DatasetError: there is none, it is one of several parts, or it lists more files than
                any set of photos has.
        """
        length = file.seek(0, os.SEEK_END)
        start = max(0, length - _LONGEST_COMMENT - _END.size - _LOCATOR - _END_64.size)
        file.seek(start)
        last = file.read()
        place = last.rfind(b"PK\5\6")
        if place < 0 or len(last) - place < _END.size:
            file.seek(0)
            beginning = file.read(24)
            begun = beginning.startswith(b"PK")
            raise self._no_zip(beginning, "its end is missing" if begun else "it is none")
        _, disk, _, _, _, size, *_ = _END.unpack_from(last, place)
        if disk not in (0, 2**16 - 1):
            raise DatasetError(
                f"{self._name} must be a whole zip file, received the last of several parts "
                f"(.z01, .z02 ...); join them first: zip -s 0 {shown(self.path.name)} --out "
                "whole.zip."
            )
        before = place - _LOCATOR - _END_64.size
        if size == 2**32 - 1 and before >= 0 and last.startswith(b"PK\6\6", before):
            size = _END_64.unpack_from(last, before)[8]
            place = before
        if size <= _LARGEST_DIRECTORY:
            file.seek(max(0, start + place - size))
            directory = file.read()
            if directory.count(b"PK\1\2") <= _MOST_FILES:
                return directory
        raise DatasetError(
            f"{self._name} must have at most {_MOST_FILES:,} files in it, received more; "
            f"{_TOO_LARGE}"
        )

    def _no_zip(self, beginning: bytes, reason: object) -> DatasetError:
        return DatasetError(
            f"{self._name} must be a whole zip file, received one that begins {beginning!r} "
            f"({reason}); {self.mend}"
        )

    def _refused(
        self, name: str, reason: str, mend: str = "check where it comes from."
    ) -> DatasetError:
        return DatasetError(
            f"{self._name} is not unpacked, because of {shown(name[:200])}: {reason}; {mend}"
        )


def _chunks(whole: zipfile.ZipFile, entry: zipfile.ZipInfo) -> Iterator[bytes]:
    """Give the content of `entry`, never more than its directory says; its CRC is checked.

    Raises:
        _DamageError: it is not as the directory says.
    """
    size = 0
    try:
        with whole.open(entry) as file:
            while chunk := file.read(_CHUNK):
                size += len(chunk)
                yield chunk
    except _DAMAGE as error:
        raise _DamageError(str(error) or type(error).__name__) from error
    except OSError as error:
        if error.errno != errno.EINVAL:  # a place before the beginning of the file
            raise
        raise _DamageError("it begins outside the file") from error
    if size != entry.file_size:
        raise _DamageError(f"it has {size:,} of {entry.file_size:,} bytes")


def _content(entry: zipfile.ZipInfo) -> tuple[int, int]:
    """Return what two entries of the same content have in common."""
    return entry.CRC, entry.file_size


def _is_same(entry: zipfile.ZipInfo, other: zipfile.ZipInfo) -> bool:
    """Return whether two lines of the directory are of one and the same entry."""
    return (entry.header_offset, entry.orig_filename, *_content(entry)) == (
        other.header_offset,
        other.orig_filename,
        *_content(other),
    )


def _readable(entry: zipfile.ZipInfo) -> int:
    """Return how far an entry reaches: of one that is listed twice, zipfile opens one alone."""
    return getattr(entry, "_end_offset", None) or 0


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
