"""The zip archive of a bundle, checked before it is read; nothing is extracted."""

from __future__ import annotations

import contextlib
import os
import stat
import struct
import zipfile
import zlib
from pathlib import Path
from typing import IO, TYPE_CHECKING

from lamplighter.errors import BundleError, LamplighterError, MissingBundleError
from lamplighter.files.writing import written_whole
from lamplighter.names import either, near_paths
from lamplighter.saving.reliability_entry import MAX_REFERENCE

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

DESCRIPTION = "description.json"
WEIGHTS = "weights.safetensors"
GRAPH = "network.onnx"
REFERENCE = "reference.npy"  # where a classifier can say "unknown"

_LIMITS = {DESCRIPTION: 16 * 2**20, REFERENCE: MAX_REFERENCE}  # bytes
_END = b"PK\5\6" + bytes(18)  # the last record of a zip: its last two bytes count a comment's
_ENCRYPTED = 0x1  # bit of a zip entry's flags
# What zipfile raises on damaged files, beside its own error.
_ZIP_ERRORS = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    NotImplementedError,
    OSError,
    RuntimeError,
    ValueError,
)


def write_archive(path: str | Path, parts: Mapping[str, bytes]) -> None:
    """Write `parts` as they are, uncompressed, to a zip that appears at `path` whole.

    Raises:
        OutputError: the file cannot be written.
    """
    with written_whole(path) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name, content in parts.items():
            archive.writestr(zipfile.ZipInfo(name), content)


class Archive:
    """The entries of an open bundle.

    Args:
        file: the zip.
        size: bytes of the whole file, which no entry can exceed.
    """

    def __init__(self, file: zipfile.ZipFile, size: int) -> None:
        self._file = file
        self._size = size

    def check_entries(self, *, graph: bool = True, reference: bool = False) -> None:
        """Refuse all but the entries of a bundle, each once.

        Args:
            graph: whether there is to be one.
            reference: whether there is to be one.

        Raises:
            BundleError: an entry is missing, there twice, or none of a bundle.
        """
        expected = {DESCRIPTION: True, WEIGHTS: True, GRAPH: graph, REFERENCE: reference}
        wanted = [name for name, is_there in expected.items() if is_there]
        names = [entry.filename for entry in self._file.infolist()]
        for index, name in enumerate(names):
            if name not in wanted or name in names[:index]:
                raise BundleError(
                    f"a bundle holds {', '.join(wanted)} and nothing else, received an entry "
                    f"{name[:100]!r}; do not trust this file, and ask for it to be saved again."
                )
        for name in wanted:
            self.entry(name)

    def read(self, name: str) -> bytes:
        """Return the content of entry `name`, compared with its CRC.

        Raises:
            BundleError: it is missing or damaged, or is not stored as a plain file.
        """
        with _zip_errors():
            return self._file.read(self.entry(name))

    def entry(self, name: str) -> zipfile.ZipInfo:
        """Return what the zip says of entry `name`.

        Raises:
            BundleError: it is not there, not plain, or its size is impossible.
        """
        found = [entry for entry in self._file.infolist() if entry.filename == name]
        if len(found) != 1:
            received = ", ".join(repr(entry.filename[:50]) for entry in self._file.infolist()[:5])
            raise BundleError(
                f"a bundle holds one {name}, received {len(found)} beside {received or 'nothing'}; "
                "choose a .lamp file that lamplighter.save wrote."
            )
        entry = found[0]
        kind = stat.S_IFMT(entry.external_attr >> 16)
        if (
            entry.compress_type != zipfile.ZIP_STORED
            or entry.flag_bits & _ENCRYPTED
            or kind not in (0, stat.S_IFREG)
        ):
            raise BundleError(
                f"its entry {name} must be a plain file, stored as it is, received one that is "
                "compressed, encrypted or a link; save the classifier again."
            )
        limit = _LIMITS.get(name, self._size)
        if entry.file_size != entry.compress_size or entry.file_size > min(limit, self._size):
            raise BundleError(
                f"its entry {name} has an impossible size of {entry.file_size:,} bytes; "
                "copy the file again, or save the classifier again."
            )
        return entry


@contextlib.contextmanager
def opened(path: str | Path) -> Iterator[Archive]:
    """Open the zip at `path`.

    Raises:
        BundleError: it is missing, may not be read, or is not a zip alone.
    """
    try:
        if not Path(path).exists():
            near = near_paths(path)
            told = f"did you mean {either(near)}?" if near else "is the name right?"
            raise MissingBundleError(f"there is no such file; {told}")
        if not Path(path).is_file():
            raise BundleError(
                "it must be a file, received a folder or device; choose a .lamp file."
            )
        raw = Path(path).open("rb")  # noqa: SIM115 (closed below)
    except LamplighterError:
        raise
    except OSError as error:
        raise BundleError(f"{error.strerror or error}; may you read it?") from error
    with raw:
        with _zip_errors():
            file = zipfile.ZipFile(raw)
        with file:
            _check_ends(raw, file)
            yield Archive(file, os.fstat(raw.fileno()).st_size)


def _check_ends(raw: IO[bytes], file: zipfile.ZipFile) -> None:
    """Refuse bytes before or after the zip, which no checksum covers.

    Raises:
        BundleError: there are some, or the zip has a comment.
    """
    first = min((entry.header_offset for entry in file.infolist()), default=0)
    with _zip_errors():
        raw.seek(-len(_END), os.SEEK_END)
        end = raw.read()
    if first or end[:4] != _END[:4] or end[-2:] != _END[-2:]:
        raise BundleError(
            "a bundle is a zip and nothing else, received one with bytes before or after it; "
            "copy the file again, or save the classifier again."
        )


@contextlib.contextmanager
def _zip_errors() -> Iterator[None]:
    try:
        yield
    except _ZIP_ERRORS as error:
        raise BundleError(
            f"it is damaged or no bundle: {error}; copy it again, or save the classifier again."
        ) from error
