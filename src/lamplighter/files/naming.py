"""The names of files, and what they say: classes, splits and groups."""

from __future__ import annotations

import os
import re
import unicodedata
from pathlib import Path
from typing import TYPE_CHECKING

from lamplighter.errors import DatasetError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

# What Pillow opens as pixels, and HEIF. Named here, since asking Pillow imports all its plugins.
_SUFFIXES = (
    ".apng .avif .avifs .bmp .bw .cur .dcx .dds .dib .gif .heic .heics .heif .heifs .hif .icns "
    ".ico .im .j2c .j2k .jfif .jp2 .jpc .jpe .jpeg .jpf .jpg .jpx .mpo .msp .pbm .pcx .pfm .pgm "
    ".png .pnm .ppm .psd .qoi .ras .rgb .rgba .sgi .tga .tif .tiff .webp .xbm .xpm"
)
IMAGE_SUFFIXES = frozenset(_SUFFIXES.split())
TABLE_SUFFIXES = frozenset({".csv", ".tsv"})
# What computers leave in folders by themselves; names that begin with a dot count as well.
_LITTER = frozenset({"thumbs.db", "ehthumbs.db", "desktop.ini", "__macosx", "@eadir", "icon\r"})


def is_litter(name: str) -> bool:
    """Return whether a file or folder of this name was left by a computer, not by a person."""
    return name.startswith(".") or name.lower() in _LITTER


def clean_name(name: str) -> str:
    r"""Return `name` as text that any program can hold: composed, and with no stray bytes.

    A letter with an accent is one character or two, as the system likes it; here it is one
    (Unicode NFC). Bytes that are no UTF-8 are written out, as in "caf\xe9".
    """
    whole = name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return unicodedata.normalize("NFC", whole)


def group_finder(pattern: str | None) -> Callable[[str], str]:
    """Return a function that finds the group of a file in its name, "" where there is none.

    Raises:
        DatasetError: `pattern` is no regular expression.
    """
    if pattern is None:
        return lambda name: ""
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise DatasetError(
            f"the groups need a regular expression, received {pattern!r} ({error}); "
            "for instance '^[^_]+' for what stands before the first underscore."
        ) from error

    def find(name: str) -> str:
        match = compiled.search(name)
        if match is None:
            return ""
        return next((found for found in match.groups() if found is not None), match.group())

    return find


def group_notes(groups: Sequence[str], pattern: str | None) -> tuple[str, ...]:
    """Return how many groups were found, on one line; none where no `pattern` was given."""
    if pattern is None:
        return ()
    alone, found = groups.count(""), len(set(groups) - {""})
    return (
        f"groups by {shown(pattern)}: {found:,}, with {len(groups) - alone:,} files in them; "
        f"files in no group, each on its own: {alone:,}.",
    )


# Folders in the cache that stand for archives: how the user wrote the name of each archive, and
# where it is.
_archives: dict[str, tuple[str, Path]] = {}


def stands_for(folder: Path, archive: Path) -> None:
    """Note that what is in `folder` is to be called as in `archive`, from which it was unpacked."""
    _archives[str(folder)] = (str(archive), archive.absolute())


def as_given(path: str | Path) -> str:
    """Return what users call `path`: of a file unpacked in the cache, its place in its archive."""
    text = str(path)
    for folder, (name, _) in tuple(_archives.items()):
        if text == folder or text.startswith(folder + os.sep):
            return name + text[len(folder) :]
    return text


def lasting(path: Path) -> Path:
    """Return where `path` is found later: of a file unpacked in the cache, through its archive."""
    for folder, (_, archive) in tuple(_archives.items()):
        if path.is_relative_to(folder):
            return archive / path.relative_to(folder)
    return path


def unpacked_root(path: Path) -> Path | None:
    """Return the folder in the cache that stands for an archive with the file `path` in it."""
    for folder in tuple(_archives):
        if path.is_relative_to(folder):
            return Path(folder)
    return None


def shown(path: object) -> str:
    """Return `path` on one line, whatever characters it has, as users call it."""
    text = as_given(path) if isinstance(path, str | Path) else str(path)
    return text if text.isprintable() else repr(text)
