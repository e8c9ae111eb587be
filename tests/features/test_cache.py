"""Vectors kept between runs."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import textwrap
import threading

import numpy as np
import pytest

from lamplighter.features.extraction import FeatureCache

NETWORK = "a" * 64


def key(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def known(cache, text):
    return cache.get([key(text)]).get(key(text))


def test_what_was_put_is_there_for_the_next(tmp_path):
    vector = np.array([1.5, -2.0, 1e-20], dtype=np.float32)
    with FeatureCache(NETWORK, folder=tmp_path) as cache:
        assert known(cache, "x") is None
        cache.put([(key("x"), vector)])
    with FeatureCache(NETWORK, folder=tmp_path) as cache:
        np.testing.assert_array_equal(known(cache, "x"), vector)
        assert known(cache, "y") is None


def test_another_network_has_vectors_of_its_own(tmp_path):
    with FeatureCache(NETWORK, folder=tmp_path) as cache:
        cache.put([(key("x"), np.ones(3, dtype=np.float32))])
    with FeatureCache("b" * 64, folder=tmp_path) as cache:
        assert known(cache, "x") is None


@pytest.mark.parametrize("content", [b"", b"no database at all" * 100, b"SQLite format 3\0" * 50])
def test_a_damaged_cache_is_made_anew(tmp_path, content):
    with FeatureCache(NETWORK, folder=tmp_path) as cache:
        place = cache.path
    place.write_bytes(content)
    with FeatureCache(NETWORK, folder=tmp_path) as cache:
        cache.put([(key("x"), np.ones(3, dtype=np.float32))])
        np.testing.assert_array_equal(known(cache, "x"), np.ones(3))


def test_a_cache_that_cannot_be_written_costs_only_time(tmp_path):
    (tmp_path / "file").write_text("not a folder")
    with FeatureCache(NETWORK, folder=tmp_path / "file") as cache:
        cache.put([(key("x"), np.ones(3, dtype=np.float32))])
        assert known(cache, "x") is None


def test_a_cache_of_no_network_keeps_nothing(tmp_path):
    with FeatureCache(None, folder=tmp_path) as cache:
        cache.put([(key("x"), np.ones(3, dtype=np.float32))])
        assert known(cache, "x") is None
    assert list(tmp_path.iterdir()) == []


def test_damage_inside_is_found_when_it_is_met(tmp_path):
    rng = np.random.default_rng(0)
    vectors = [(key(str(n)), rng.random(500, dtype=np.float32)) for n in range(60)]
    with FeatureCache(NETWORK, folder=tmp_path) as cache:
        cache.put(vectors)
    content = bytearray(cache.path.read_bytes())
    content[8192:] = rng.bytes(len(content) - 8192)
    cache.path.write_bytes(content)
    with FeatureCache(NETWORK, folder=tmp_path) as cache:
        cache.get([name for name, _ in vectors])
        cache.put(vectors)
    with FeatureCache(NETWORK, folder=tmp_path) as cache:
        found = cache.get([name for name, _ in vectors])
    assert len(found) == 60
    assert all(np.array_equal(found[name], vector) for name, vector in vectors)


def test_a_vector_that_is_not_finite_is_not_believed(tmp_path):
    with FeatureCache(NETWORK, folder=tmp_path) as cache:
        cache.put([(key("x"), np.array([np.nan], dtype=np.float32))])
        assert known(cache, "x") is None


def test_several_threads_may_use_it(tmp_path):
    failures = []

    def work(number: int) -> None:
        for step in range(50):
            name = key(f"{number}/{step}")
            vector = np.full(4, number * 100 + step, dtype=np.float32)
            cache.put([(name, vector)])
            if not np.array_equal(cache.get([name])[name], vector):
                failures.append(name)

    with FeatureCache(NETWORK, folder=tmp_path) as cache:
        threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert failures == []


def test_a_kill_loses_nothing_that_was_put(tmp_path):
    script = f"""
        import os, signal
        from pathlib import Path
        import numpy as np
        from lamplighter.features.extraction import FeatureCache
        cache = FeatureCache({NETWORK!r}, folder=Path({str(tmp_path)!r}))
        cache.put([({key("x")!r}, np.ones(3, dtype=np.float32))])
        os.kill(os.getpid(), signal.SIGKILL)
    """
    ended = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], check=False)
    assert ended.returncode == -9
    with FeatureCache(NETWORK, folder=tmp_path) as cache:
        np.testing.assert_array_equal(known(cache, "x"), np.ones(3))
