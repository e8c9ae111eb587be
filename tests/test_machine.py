from __future__ import annotations

import os

import pytest

from lamplighter import machine
from lamplighter.machine import free_memory


def test_free_memory_is_some_but_not_all() -> None:
    free = free_memory()
    assert free is None or 2**24 < free < 2**50


class TestUsableCores:
    @pytest.mark.parametrize(
        ("quota", "expected"),
        [
            ("max 100000\n", 64),
            ("200000 100000\n", 2),
            ("250000 100000\n", 3),
            ("10000 100000\n", 1),
            ("9000000 100000\n", 64),
            ("nonsense", 64),
            (None, 64),
        ],
    )
    def test_are_those_that_a_container_has_the_time_of(
        self, tmp_path, monkeypatch, quota, expected
    ):
        monkeypatch.setattr(machine, "_GROUP", tmp_path)
        monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(64)), raising=False)
        if quota is not None:
            (tmp_path / "cpu.max").write_text(quota)
        assert machine.usable_cores() == expected

    def test_are_those_of_the_machine_where_nothing_more_is_known(self, monkeypatch):
        monkeypatch.delattr(os, "sched_getaffinity", raising=False)
        monkeypatch.setattr(os, "cpu_count", lambda: None)
        assert machine.usable_cores() == 1
