"""Numbers with their nouns."""

from __future__ import annotations

import pytest

from lamplighter.text import counted


@pytest.mark.parametrize(
    ("number", "expected"),
    [(0, "0 classes"), (1, "1 class"), (2, "2 classes"), (1103, "1,103 classes")],
)
def test_one_has_the_singular(number: int, expected: str) -> None:
    assert counted(number, "class", "classes") == expected
    assert counted(number, "image").endswith("image" if number == 1 else "images")
