from __future__ import annotations

import re

import pytest

from lamplighter.errors import DatasetError
from lamplighter.images import memory
from lamplighter.images.memory import check_memory, free_memory
from lamplighter.images.preprocessing import Preprocessing


def test_half_of_the_free_memory_may_be_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    preprocessing = Preprocessing(height=100, width=200)
    monkeypatch.setattr(memory, "free_memory", lambda: 2 * 60_000 * 1000)
    check_memory(1000, preprocessing)
    with pytest.raises(DatasetError, match=r"1,001 images of 100 x 200 pixels.*need 0\.1 GB") as e:
        check_memory(1001, preprocessing)
    size = re.search(r"such as (\d+) x (\d+)\.", str(e.value))
    assert size is not None
    height, width = int(size[1]), int(size[2])
    assert width == 2 * height
    check_memory(1001, Preprocessing(height=height, width=width))  # what it says does
    assert height > 95
    monkeypatch.setattr(memory, "free_memory", lambda: None)
    check_memory(10**9, preprocessing)


def test_free_memory_is_some_but_not_all() -> None:
    free = free_memory()
    assert free is None or 2**24 < free < 2**50
