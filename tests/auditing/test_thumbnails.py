from __future__ import annotations

import sqlite3
import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest

from lamplighter.auditing.quality import Quality
from lamplighter.auditing.thumbnails import Look, LookCache

if TYPE_CHECKING:
    from pathlib import Path

RNG = np.random.default_rng(0)


def look(number: int) -> Look:
    return Look(
        content=f"{number:064x}",
        width=800 + number,
        height=240,
        mode="RGB",
        spread=12.5,
        quality=Quality(0.9, 0.1, number / 10_000, 0.4, 0.0, 300.0),
        grey=RNG.integers(0, 256, (32, 32), dtype=np.uint8),
        colours=RNG.integers(0, 256, (8, 8, 3), dtype=np.uint8),
    )


def same(a: Look, b: Look) -> bool:
    plain = [(x.content, x.width, x.height, x.mode, x.spread, x.quality) for x in (a, b)]
    return (
        plain[0] == plain[1]
        and np.array_equal(a.grey, b.grey)
        and np.array_equal(a.colours, b.colours)
    )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "new" / "looks.sqlite"


def test_looks_come_back(path: Path) -> None:
    looks = [look(number) for number in range(1200)]
    with LookCache(path) as cache:
        assert cache.get([looks[0].content]) == {}
        cache.put(looks)
    with LookCache(path) as cache:
        found = cache.get([x.content for x in (*looks, look(5000), looks[3])])
    assert len(found) == 1200
    assert all(same(found[x.content], x) for x in looks)


@pytest.mark.parametrize("content", [b"", b"no database at all" * 500, b"SQLite format 3\0" * 99])
def test_a_damaged_cache_is_made_anew(path: Path, content: bytes) -> None:
    path.parent.mkdir()
    path.write_bytes(content)
    with LookCache(path) as cache:
        assert cache.get([look(0).content]) == {}
        cache.put([look(0)])
    with LookCache(path) as cache:
        assert len(cache.get([look(0).content])) == 1


def test_damage_inside_is_found_when_it_is_met(path: Path) -> None:
    looks = [look(number) for number in range(300)]
    with LookCache(path) as cache:
        cache.put(looks)
    content = bytearray(path.read_bytes())
    content[8192:] = RNG.bytes(len(content) - 8192)
    path.write_bytes(content)
    with LookCache(path) as cache:
        cache.get([x.content for x in looks])
        cache.put(looks)
    with LookCache(path) as cache:
        found = cache.get([x.content for x in looks])
    assert len(found) == 300
    assert all(same(found[x.content], x) for x in looks)


def test_a_table_of_other_columns_is_made_anew(path: Path) -> None:
    path.parent.mkdir()
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE kept (a, b)")
    other.close()
    with LookCache(path) as cache:
        cache.put([look(0)])
        assert len(cache.get([look(0).content])) == 1


def test_a_row_that_is_no_look_is_not_taken(path: Path) -> None:
    with LookCache(path) as cache:
        cache.put([look(number) for number in (1, 2, 3, 4)])
    with sqlite3.connect(path) as other:
        other.execute("UPDATE kept SET grey = x'00' WHERE width = 801")
        other.execute("UPDATE kept SET height = 'high' WHERE width = 802")
        other.execute("UPDATE kept SET edges = NULL WHERE width = 804")
    other.close()
    with LookCache(path) as cache:
        found = cache.get([look(number).content for number in (1, 2, 3, 4)])
    assert [x.width for x in found.values()] == [803]


def test_damage_that_sqlite_cannot_even_tell_of_costs_only_time(path: Path) -> None:
    with LookCache(path) as cache:
        cache.put([look(0)])
    # SQLite quotes the name of the table, which is no UTF-8 any more.
    path.write_bytes(path.read_bytes().replace(b"CREATE TABLE kept", b"CRE\x94TE TABLE k\x94pt"))
    with LookCache(path) as cache:
        assert cache.get([look(0).content]) == {}
        cache.put([look(0)])
        assert len(cache.get([look(0).content])) == 1


def test_a_place_that_cannot_be_written_costs_only_time(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with LookCache(tmp_path / "file" / "looks.sqlite") as cache:
        cache.put([look(0)])
        assert cache.get([look(0).content]) == {}


def test_a_locked_cache_costs_only_time(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lamplighter.files.content_cache._PATIENCE", 0.05)
    with LookCache(path) as cache:
        cache.put([look(0)])
        other = sqlite3.connect(path)
        other.execute("BEGIN EXCLUSIVE")
        assert len(cache.get([look(0).content])) == 1  # to read, nobody has to wait
        cache.put([look(1)])
        other.rollback()
        other.close()
        assert len(cache.get([look(0).content, look(1).content])) == 1
    assert path.exists()


@pytest.mark.parametrize(("refusals", "kept"), [(3, 1), (10**9, 0)])
def test_a_file_that_others_are_making_is_waited_for(
    path: Path, monkeypatch: pytest.MonkeyPatch, refusals: int, kept: int
) -> None:
    connect, tried = sqlite3.connect, []

    def refusing(*arguments: object, **more: object) -> sqlite3.Connection:
        tried.append(arguments)
        if len(tried) > refusals:
            return connect(*arguments, **more)  # type: ignore[call-overload,no-any-return]
        error = sqlite3.OperationalError("database is locked")
        error.sqlite_errorcode = sqlite3.SQLITE_BUSY
        raise error

    monkeypatch.setattr("lamplighter.files.content_cache.sqlite3.connect", refusing)
    monkeypatch.setattr("lamplighter.files.content_cache._PATIENCE", 0.3)
    with LookCache(path) as cache:
        cache.put([look(0)])
        assert len(cache.get([look(0).content])) == kept
    assert len(tried) > 3


def test_several_processes_at_once(path: Path) -> None:
    code = """
import sys
import numpy as np
from pathlib import Path
from lamplighter.auditing.quality import Quality
from lamplighter.auditing.thumbnails import Look, LookCache
start = int(sys.argv[2])
quality = Quality(1, 0, 0, 0.4, 0, 300)
zeros = np.zeros((32, 32), np.uint8), np.zeros((8, 8, 3), np.uint8)
with LookCache(Path(sys.argv[1])) as cache:
    for number in range(start, start + 40):
        cache.put([Look(f"{number:064x}", 1, 1, "L", 0.0, quality, *zeros)])
"""
    running = [
        subprocess.Popen([sys.executable, "-c", code, str(path), str(start)])
        for start in (0, 100, 200)
    ]
    assert [process.wait(60) for process in running] == [0, 0, 0]
    with LookCache(path) as cache:
        assert len(cache.get([f"{number:064x}" for number in range(300)])) == 120
