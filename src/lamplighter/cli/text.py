"""Text for a terminal."""

from __future__ import annotations

import shlex
import shutil
import textwrap
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def printable(text: str) -> str:
    """Return `text` on one line; whatever could steer a terminal is escaped."""
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode()
        for character in text
    )


def quoted(path: str | Path) -> str:
    """Return `path` as one word of a command for a shell."""
    return shlex.quote(str(path))


def wrapped(text: str, indent: int = 0) -> str:
    """Return `text` in lines that fit the terminal, all but the first indented."""
    width = max(40, shutil.get_terminal_size().columns)
    return textwrap.fill(
        text,
        width,
        subsequent_indent=" " * indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
