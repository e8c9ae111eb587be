"""Indexes that are damaged, foreign, in use, or whose writer was killed."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

from lamplighter.errors import OutputError, SimilarIndexError
from lamplighter.features.index import scan, store
from lamplighter.features.index.index import Index
from tests.features.index.vectors import make_features, normal

VECTORS = normal(400, 64)


@pytest.fixture
def path(tmp_path) -> Path:
    """An index of 400 vectors, its cache beside it."""
    path = tmp_path / "PHOTOS.index"
    with Index.create(path, make_features(VECTORS)) as index:
        index.prepare()
    return path


def cache_of(path: Path) -> Path:
    return path.with_name("PHOTOS.index.faiss")


def check(path: Path) -> None:
    """The index answers rightly."""
    with Index.open(path) as index:
        found = [hits[0].path for hits in index.search(VECTORS[::50], 1)]
    assert found == [f"{number:05d}.jpg" for number in range(0, 400, 50)]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "received 0 bytes"),
        (b"\x89PNG\r\n\x1a\n" + bytes(50), "received a file of another kind"),
        (b"SQLite format 3\0" + bytes(5000), "is damaged|must be an index"),
    ],
)
def test_a_file_that_is_no_index(tmp_path, content, expected):
    path = tmp_path / "x.index"
    path.write_bytes(content)
    with pytest.raises(SimilarIndexError, match=expected):
        Index.open(path)


def test_damage_that_sqlite_cannot_even_tell_of(path):
    # SQLite quotes the name of the table, which is no UTF-8 any more.
    content = path.read_bytes().replace(b"CREATE TABLE items", b"CRE\x94TE TABLE it\x94ms")
    path.write_bytes(content)
    with pytest.raises(SimilarIndexError, match="is damaged"):
        Index.open(path)


def test_no_file_at_all(tmp_path):
    for path, expected in (
        (tmp_path / "absent.index", "no index .*absent.index; check the name. To make one"),
        (tmp_path, "received a folder"),
        (tmp_path / ("x" * 300), "cannot be read"),
    ):
        with pytest.raises(SimilarIndexError, match=expected):
            Index.open(path)


def test_another_programs_database(tmp_path, path):
    other = tmp_path / "other.db"
    with sqlite3.connect(other) as connection:
        connection.execute("CREATE TABLE items (id INTEGER)")
    connection.close()
    with pytest.raises(SimilarIndexError, match="another program's SQLite file"):
        Index.open(other)


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("PRAGMA user_version = 2", "of format 2, .* reads up to 1; upgrade Lamplighter"),
        ("DROP TABLE vectors", "tables of another kind"),
        ("CREATE VIEW more AS SELECT 1", "tables of another kind"),
        (
            "CREATE TRIGGER gone AFTER INSERT ON items BEGIN DELETE FROM items; END",
            "tables of another kind",
        ),
        ("UPDATE about SET value = '{' WHERE key = 'network'", "is damaged .its description"),
        ("UPDATE about SET value = '-1' WHERE key = 'dimension'", "is damaged .its description"),
        ("DELETE FROM about WHERE key = 'token'", "is damaged .its description"),
        ("UPDATE vectors SET vector = x'00' WHERE id = 7", "is damaged .a vector is missing"),
        ("UPDATE vectors SET vector = 'text' WHERE id = 7", "is damaged .a vector is missing"),
        ("UPDATE vectors SET vector = zeroblob(255) || x'7f'", "is damaged"),
        ("DELETE FROM items WHERE id = 1", "is damaged .item 1 is missing"),
    ],
)
def test_a_database_that_was_tampered_with(path, statement, expected):
    with sqlite3.connect(path) as connection:
        connection.execute(statement)
    connection.close()
    cache_of(path).unlink()
    with pytest.raises(SimilarIndexError, match=expected), Index.open(path) as index:
        index.search(VECTORS[:1], 1)


def test_a_vector_of_nan_is_damage(path):
    blob = np.full(64, np.nan, dtype=np.float32).tobytes()
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE vectors SET vector = ? WHERE id = 9", (blob,))
    connection.close()
    cache_of(path).unlink()
    with pytest.raises(SimilarIndexError, match="does not have length 1"), Index.open(path) as ix:
        ix.search(VECTORS[:1], 1)


@pytest.mark.parametrize("part", [0.2, 0.5, 0.9])
def test_a_truncated_index_is_one_clear_error(path, part):
    cache_of(path).unlink()
    os.truncate(path, int(path.stat().st_size * part))
    with pytest.raises(SimilarIndexError, match="is damaged"), Index.open(path) as index:
        index.search(VECTORS[:1], 400)


def test_random_damage_never_escapes_the_error_tree(path):
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    for _ in range(40):
        content = bytearray(whole)
        for place in rng.integers(100, len(whole), 30):
            content[place] ^= int(rng.integers(1, 256))
        path.write_bytes(content)
        cache_of(path).unlink(missing_ok=True)
        try:
            with Index.open(path) as index:
                index.search(VECTORS[:1], 400)
                index.near_duplicates()
        except SimilarIndexError:
            continue


def damages() -> dict[str, object]:
    def flip(content: bytes, place: int) -> bytes:
        return content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]

    return {
        "empty": lambda _: b"",
        "cut short": lambda content: content[:-100],
        "longer": lambda content: content + b"x",
        "a flipped code": lambda content: flip(content, len(content) - 1000),
        "a flipped id": lambda content: flip(content, 4096 + 8 * 64 + 3),
        "a flipped header": lambda content: flip(content, 2),
        "no JSON": lambda content: b"[" * 4096 + content[4096:],
        "a list": lambda content: b"[]".ljust(4096) + content[4096:],
        "a huge count": lambda content: content.replace(b'"count": 400', b'"count": 9e9'),
        "something else": lambda _: b"\x80\x04" + bytes(9000),
    }


@pytest.mark.parametrize("kind", damages())
def test_a_damaged_cache_is_made_anew(path, kind):
    whole = cache_of(path).read_bytes()
    cache_of(path).write_bytes(damages()[kind](whole))
    check(path)
    assert cache_of(path).read_bytes() == whole


def test_a_cache_of_another_state_is_made_anew(path):
    old = cache_of(path).read_bytes()
    with Index.open(path) as index:
        index.update(make_features(VECTORS[::-1].copy()))
    with Index.open(path) as index:
        (hits,) = index.search(VECTORS[:1], 1)
    assert hits[0].path == "00399.jpg"
    assert cache_of(path).read_bytes() != old
    cache_of(path).write_bytes(old)
    with Index.open(path) as index:
        assert index.search(VECTORS[:1], 1)[0] == hits


def test_a_valid_cache_spares_reading_the_vectors(path, monkeypatch):
    def fail(*_, **__):
        raise AssertionError("all vectors are read")

    monkeypatch.setattr(scan, "_write", fail)
    check(path)


def test_a_cache_that_cannot_be_written_costs_only_time(path, monkeypatch):
    cache_of(path).unlink()

    def refuse(cache):
        raise OutputError(f"{cache} cannot be written")

    monkeypatch.setattr(scan, "written_whole", refuse)
    check(path)
    assert not cache_of(path).exists()


def test_an_index_that_may_not_be_written_is_searched(path, tmp_path):
    """Nor may its folder, so that no cache can be kept; root gives up its rights for it."""
    cache_of(path).unlink()
    code = f"""
        import os
        import numpy as np
        from pathlib import Path
        import faiss, subprocess, tempfile  # before the rights to read them are given up
        from lamplighter.errors import OutputError
        from lamplighter.features.index.index import Index
        if os.getuid() == 0:
            os.setuid(65534)
        with Index.open({str(path)!r}) as index:
            (hits,) = index.search(np.load({str(tmp_path / "q.npy")!r}), 1)
            print(hits[0].path)
            try:
                index.remove(["00000.jpg"])
            except OutputError as error:
                print(error)
        """
    np.save(tmp_path / "q.npy", VECTORS[3:4])
    for place in (tmp_path, *tmp_path.iterdir()):
        place.chmod(0o555 if place.is_dir() else 0o444)
    ours = [p for p in tmp_path.parents if any("pytest" in part for part in p.parts)]
    modes = {parent: parent.stat().st_mode for parent in ours}
    try:
        for parent, mode in modes.items():
            parent.chmod(mode | 0o011)
        done = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True
        )
    finally:
        for parent, mode in modes.items():
            parent.chmod(mode)
        tmp_path.chmod(0o755)
    assert done.stderr == ""
    first, second = done.stdout.splitlines()
    assert first == "00003.jpg"
    assert "cannot be written" in second


KILLED = """
    import sys, time
    import numpy as np
    from pathlib import Path
    from lamplighter.features.index.index import Index
    from lamplighter.features.index.store import Store
    from tests.features.index.vectors import make_features, normal

    put, done = Store.put, 0

    def slowly(self, *arguments):
        global done
        put(self, *arguments)
        done += 1
        if done == 3000:
            print("half", flush=True)
            time.sleep(60)

    Store.put = slowly
    index = Index.open(sys.argv[1])
    index.update(make_features(normal(6000, 512, seed=7)))
"""


def test_an_update_that_is_killed_leaves_the_old_state(tmp_path):
    path = tmp_path / "PHOTOS.index"
    vectors = normal(2000, 512)
    Index.create(path, make_features(vectors)).close()
    running = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(KILLED), str(path)],
        cwd=Path(__file__).parents[3],
        stdout=subprocess.PIPE,
        text=True,
    )
    with running:
        assert running.stdout is not None
        assert running.stdout.readline() == "half\n"
        running.send_signal(signal.SIGKILL)
    journal = path.with_name(f"{path.name}-journal")
    assert journal.stat().st_size > 0  # some of the new state has reached the file
    with Index.open(path) as index:
        assert len(index) == 2000
        for number in range(0, 2000, 99):
            (hits,) = index.search(vectors[number : number + 1], 1)
            assert (hits[0].path, hits[0].similarity) == (f"{number:05d}.jpg", pytest.approx(1))
        assert index.update(make_features(vectors)).unchanged == 2000
    assert not journal.exists()


def test_a_new_index_is_not_spoilt_by_the_journal_of_a_killed_update(tmp_path):
    path = tmp_path / "PHOTOS.index"
    path.write_bytes(b"no index")
    path.with_name(f"{path.name}-journal").write_bytes(b"\xd9\xd5\x05\xf9\x20\xa1\x63\xd7" * 200)
    Index.create(path, make_features(VECTORS), force=True).close()
    check(path)


def test_creating_is_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "PHOTOS.index"

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OutputError, match="No space left"):
        Index.create(path, make_features(VECTORS))
    assert list(tmp_path.iterdir()) == []


def test_two_writers_at_once(path, monkeypatch):
    monkeypatch.setattr(store, "_PATIENCE", 0.1)
    with Index.open(path) as index:
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(SimilarIndexError, match="is being changed by another process; try"):
            index.remove(["00000.jpg"])
        assert len(index.search(VECTORS[:1], 3)[0]) == 3  # reading goes on
        other.execute("ROLLBACK")
        other.close()
        assert index.remove(["00000.jpg"]) == 1


def test_a_failure_in_an_update_leaves_the_old_state(path, monkeypatch):
    from lamplighter.features.index.store import Store

    put, done = Store.put, []

    def interrupted(self, *arguments):
        if len(done) == 200:
            raise KeyboardInterrupt
        done.append(put(self, *arguments))

    monkeypatch.setattr(Store, "put", interrupted)
    with Index.open(path) as index:
        with pytest.raises(KeyboardInterrupt):
            index.update(make_features(normal(400, 64, seed=5)))
        assert len(done) == 200
    check(path)
