"""The IDX format of MNIST: a header of sizes, then the values as they are."""

from __future__ import annotations

import math
import struct
from typing import TYPE_CHECKING

import numpy as np

from lamplighter.errors import DatasetError

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
