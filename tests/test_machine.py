from __future__ import annotations

from lamplighter.machine import free_memory


def test_free_memory_is_some_but_not_all() -> None:
    free = free_memory()
    assert free is None or 2**24 < free < 2**50
