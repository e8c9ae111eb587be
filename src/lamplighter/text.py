"""Numbers with nouns, lists of names, tables and printable text, for what people read."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def counted(number: int, noun: str, plural: str = "") -> str:
    """Return a number with its noun, as in "1 file", "1,103 files".

    Args:
        number: how many.
        noun: for one.
        plural: for any other number; by default the noun with an s.
    """
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def listed(names: Sequence[str], most: int = 10, *, separator: str = ", ") -> str:
    """Return names in one line; of more than `most` the first ones, and how many more there are."""
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return separator.join(names[:most]) + more


def first_line(error: Exception) -> str:
    """Return the beginning of what `error` says."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]


def printable(text: str) -> str:
    """Return `text` on one line; what could steer a terminal or cannot be drawn is escaped."""
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode()
        for character in text
    )


def printable_lines(text: str) -> str:
    """Return `text` with its line ends, all else made printable."""
    return "\n".join(map(printable, text.split("\n")))


def align(rows: Sequence[Sequence[str]]) -> str:
    """Return `rows` as lines: the first column flush left, the others flush right.

    Example:
        >>> print(align([["class", "images"], ["boat", "7"]]))
        class  images
        boat        7
    """
    widths = [max(_width(cell) for cell in column) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        gaps = [" " * (width - _width(cell)) for cell, width in zip(row, widths, strict=True)]
        cells = [row[0] + gaps[0]]
        cells += [gap + cell for cell, gap in zip(row[1:], gaps[1:], strict=True)]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def percent(share: float) -> str:
    """Return a share of 0..1 in per cent, or a dash for NaN.

    Example:
        >>> percent(0.9913), percent(float("nan"))
        ('99.13 %', '-')
    """
    return "-" if share != share else f"{100 * share:.2f} %"


def _width(text: str) -> int:
    """Return how many columns of a terminal `text` takes: wide letters two, accents none."""
    return sum(
        0 if unicodedata.combining(letter) else 1 + (unicodedata.east_asian_width(letter) in "FW")
        for letter in text
    )
