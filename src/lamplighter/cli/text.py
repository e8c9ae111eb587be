"""Text for a terminal."""

from __future__ import annotations

import shutil
import textwrap


def printable(text: str) -> str:
    """Return `text` on one line; whatever could steer a terminal is escaped."""
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode()
        for character in text
    )


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
