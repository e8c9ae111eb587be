"""Arguments of heads, checked."""

from __future__ import annotations

import math

from lamplighter.errors import ModelError
from lamplighter.names import wrong_choice


def check_counts(**counts: object) -> None:
    """Refuse what is not a whole number of at least 1.

    Raises:
        ModelError: the message names the argument.
    """
    for name, count in counts.items():
        if type(count) is not int or count < 1:
            raise ModelError(f"{name} must be a whole number of at least 1, received {count!r}.")


def check_choice(name: str, value: object, choices: tuple[str, ...]) -> None:
    """Refuse what is none of `choices`.

    Raises:
        ModelError: the message names the argument.
    """
    if value not in choices:
        raise ModelError(wrong_choice(name, value, choices))


def check_positive(name: str, value: object) -> None:
    """Refuse what is not a finite number above 0.

    Raises:
        ModelError: the message names the argument.
    """
    if type(value) not in (int, float) or not 0 < value < math.inf:  # type: ignore[operator]
        raise ModelError(f"{name} must be a finite number above 0, received {value!r}.")
