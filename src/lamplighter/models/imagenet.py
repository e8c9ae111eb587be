"""What the classes of ImageNet are called: short, in words, and each differently."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def distinct_names(synonyms: Sequence[str], definitions: Sequence[str]) -> tuple[str, ...]:
    """Return a name for each class: its first synonym, or more where another has the same.

    >>> distinct_names(["crane", "crane", "tench, Tinca tinca"], ["a bird", "a machine", "a fish"])
    ('crane: a bird', 'crane: a machine', 'tench')

    Args:
        synonyms: for each class what it may be called, with commas between, K texts.
        definitions: what it is, K texts; not all of name and definition are alike.
    """
    short = [text.split(",")[0].strip() for text in synonyms]
    often, alike = Counter(short), Counter(synonyms)
    names = []
    for name, text, definition in zip(short, synonyms, definitions, strict=True):
        if often[name] == 1:
            names.append(name)
        elif text != name and alike[text] == 1:
            names.append(text)
        else:
            names.append(f"{text}: {definition}")
    return tuple(names)
