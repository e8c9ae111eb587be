"""The names of classes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lamplighter.errors import LamplighterError


def check_strings(names: Iterable[Any], error: type[LamplighterError]) -> None:
    """Refuse names of classes that are not strings, by raising `error`."""
    wrong = [name for name in names if not isinstance(name, str)]
    if wrong:
        raise error(
            f"class names must be strings, received {wrong[0]!r}; give "
            "[str(name) for name in class_names]."
        )
