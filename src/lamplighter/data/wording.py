"""Numbers with their nouns, for what people read."""

from __future__ import annotations


def counted(number: int, noun: str, plural: str = "") -> str:
    """Return a number with its noun, as in "1 file", "1,103 files".

    Args:
        number: how many.
        noun: for one.
        plural: for any other number; by default the noun with an s.
    """
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"
