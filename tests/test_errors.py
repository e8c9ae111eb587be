"""The tree of errors, as it is drawn and as it is."""

from __future__ import annotations

import re

from lamplighter import errors


def drawn() -> list[tuple[int, str]]:
    """Return depth and name of each error that the module's docstring draws."""
    lines = re.findall(r"^    ([│├└─ ]*)(\w+Error)\b", errors.__doc__ or "", re.MULTILINE)
    return [(len(branches) // 4, name) for branches, name in lines]


def tree(error: type[Exception], depth: int = 0) -> list[tuple[int, str]]:
    """Return depth and name of `error` and of all below it, in the order they are defined."""
    below = [line for child in error.__subclasses__() for line in tree(child, depth + 1)]
    return [(depth, error.__name__), *below]


def test_the_tree_is_drawn_as_it_is() -> None:
    own = [line for line in tree(errors.LamplighterError) if hasattr(errors, line[1])]
    assert drawn() == own
