"""MNIST, embedded in the package, and the IDX format of its files."""

from __future__ import annotations

import math
import struct
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import platformdirs

from lamplighter.datasets.embedded import checksum_of, embedded
from lamplighter.errors import DatasetError
from lamplighter.images.preprocessing import Preprocessing

if TYPE_CHECKING:
    from numpy.typing import NDArray

_UNSIGNED_BYTE = 0x08


def parse_idx(content: bytes, name: str = "the IDX data") -> NDArray[np.uint8]:
    """Return the array in `content`, the bytes of an IDX file of unsigned bytes.

    The format: two zero bytes, the type of the values (0x08 for unsigned bytes), the number of
    dimensions, each size as a big-endian 32-bit integer, then the values in C order.

    Args:
        content: the whole file, uncompressed.
        name: what to call it in an error.

    Raises:
        DatasetError: the header is damaged, or there are more or fewer values than it says.
    """
    if len(content) < 4 or content[:2] != b"\0\0" or content[2] != _UNSIGNED_BYTE:
        raise DatasetError(
            f"{name} must be an IDX file of unsigned bytes, which begins 00 00 08, "
            f"received {content[:3].hex(' ') or 'nothing'}; fetch the file again."
        )
    dimensions = content[3]
    header = 4 + 4 * dimensions
    if dimensions == 0 or len(content) < header:
        raise DatasetError(f"{name} ends inside its header; fetch the file again.")
    shape = struct.unpack(f">{dimensions}I", content[4:header])
    if len(content) - header != math.prod(shape):
        raise DatasetError(
            f"{name} must hold {math.prod(shape):,} values for its shape {shape}, "
            f"received {len(content) - header:,}; fetch the file again."
        )
    try:
        return np.frombuffer(content, dtype=np.uint8, offset=header).reshape(shape).copy()
    except ValueError as error:  # numpy has fewer dimensions than the format, and smaller sizes
        raise DatasetError(f"{name} has an impossible shape ({error}); fetch it again.") from error


# Mean and standard deviation of the training pixels.
MNIST_PREPROCESSING = Preprocessing(
    height=28, width=28, channels=1, mean=(0.1307,), std=(0.3081,), find_digit=True
)

MNIST_CLASSES = tuple("0123456789")

# Each split: its images and its labels, with the MD5 of the unpacked file as published.
_FILES = {
    "train": (
        ("train-images-idx3-ubyte", "6bbc9ace898e44ae57da46a324031adb"),
        ("train-labels-idx1-ubyte", "a25bea736e30d166cdddb491f175f624"),
    ),
    "test": (
        ("t10k-images-idx3-ubyte", "2646ac647ad5339dbf082846283269ea"),
        ("t10k-labels-idx1-ubyte", "27ae3e4e09519cfbb04c329615203637"),
    ),
}


def load_mnist() -> dict[str, tuple[NDArray[np.uint8], NDArray[np.int64]]]:
    """Return "train" and "test", each images (N, 1, 28, 28) and labels (N,).

    The first call unpacks the embedded files into the user's cache folder, later ones read them
    there; either way the content is checked against the published MD5.

    Raises:
        DatasetError: the embedded files are damaged.
    """
    splits = {}
    for split, (images, labels) in _FILES.items():
        splits[split] = (_read(*images)[:, np.newaxis], _read(*labels).astype(np.int64))
    return splits


def _read(name: str, md5: str) -> NDArray[np.uint8]:
    cached = Path(platformdirs.user_cache_dir("lamplighter")) / "mnist" / name
    try:
        content = cached.read_bytes()
    except OSError:
        content = b""
    if checksum_of(content, kind="md5") != md5:
        content = embedded(f"mnist_files/{name}.xz", md5, kind="md5")
        _keep(content, cached)
    return parse_idx(content, name)


def _keep(content: bytes, cached: Path) -> None:
    """Write `content` to the cache; a cache that cannot be written costs only time."""
    try:
        cached.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cached.parent) as folder:
            whole = Path(folder) / cached.name
            whole.write_bytes(content)
            whole.replace(cached)
    except OSError:
        return
