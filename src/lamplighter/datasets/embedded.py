"""Reads what is embedded in the package."""

from __future__ import annotations

import hashlib
import lzma
from importlib import resources
from typing import Literal

from lamplighter.errors import DatasetError


def embedded(path: str, checksum: str, *, kind: Literal["sha256", "md5"] = "sha256") -> bytes:
    """Return the content of a file of this package, unpacked where its name ends with .xz.

    Args:
        path: of the file in this package, with slashes.
        checksum: of the content, hexadecimal.
        kind: of checksum.

    Raises:
        DatasetError: the file is missing or damaged.
    """
    name = path.rpartition("/")[2]
    try:
        content = (resources.files("lamplighter.datasets") / path).read_bytes()
        if name.endswith(".xz"):
            content = lzma.decompress(content)
    except (OSError, lzma.LZMAError) as error:
        raise DatasetError(
            f"the embedded {name} cannot be read ({error}); install Lamplighter again."
        ) from error
    received = checksum_of(content, kind=kind)
    if received != checksum:
        raise DatasetError(
            f"the embedded {name} must have the {kind.upper()} {checksum}, received {received}; "
            "install Lamplighter again."
        )
    return content


def checksum_of(content: bytes, *, kind: Literal["sha256", "md5"] = "sha256") -> str:
    """Return the checksum of `content`, hexadecimal."""
    return hashlib.new(kind, content, usedforsecurity=False).hexdigest()
