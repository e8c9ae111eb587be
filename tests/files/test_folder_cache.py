"""Folders that are made again where they went: whole, bounded, and kept while they are used."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from lamplighter.errors import OutputError
from lamplighter.files import folder_cache
from lamplighter.files.folder_cache import FolderCache

KEEPER = """
import sys
from pathlib import Path
from lamplighter.files.folder_cache import FolderCache
cache = FolderCache(Path(sys.argv[1]), 100, more="allow more")
def fill(folder):
    (folder / "file").write_bytes(bytes(40))
cache.folder(sys.argv[2], size=40, fill=fill, is_whole=lambda folder: True, name="it")
print("kept", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def cache(tmp_path: Path) -> FolderCache:
    return FolderCache(tmp_path / "cache", 100, more="allow more")


@pytest.fixture(autouse=True)
def forgetful() -> None:
    """Let nothing of an earlier test be in use."""
    forget()


def forget() -> None:
    """End all uses, as the end of the process does."""
    for folder in list(folder_cache._in_use):
        folder_cache._let_go(folder)


def made(cache: FolderCache, key: str, size: int = 40) -> Path:
    def fill(folder: Path) -> None:
        (folder / "file").write_bytes(bytes(size))

    def is_whole(folder: Path) -> bool:
        return (folder / "file").is_file() and (folder / "file").stat().st_size == size

    return cache.folder(key, size=size, fill=fill, is_whole=is_whole, name=key)


def kept(cache: FolderCache) -> list[str]:
    return sorted(path.name for path in cache.root.iterdir() if path.is_dir())


def used_before(cache: FolderCache, key: str, seconds: float) -> None:
    then = time.time() - seconds
    os.utime(cache.root / key / ".users", (then, then))


def keeper(cache: FolderCache, key: str) -> subprocess.Popen[str]:
    """Start a process that uses a folder until its standard input ends."""
    command = [sys.executable, "-c", KEEPER, str(cache.root), key]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "kept\n"
    return process


def test_the_least_recently_used_goes_first(cache: FolderCache) -> None:
    for key in ("a", "b"):
        made(cache, key)
    forget()
    used_before(cache, "a", 200)
    used_before(cache, "b", 300)
    made(cache, "c")
    assert kept(cache) == ["a", "c"]
    forget()
    used_before(cache, "c", 300)
    made(cache, "a")  # is used again
    forget()
    made(cache, "d")
    assert kept(cache) == ["a", "d"]


def test_what_a_living_process_uses_stays(cache: FolderCache) -> None:
    with keeper(cache, "a") as process:
        used_before(cache, "a", 500)
        made(cache, "b")
        forget()
        made(cache, "c")  # in the place of b, which is younger
        assert kept(cache) == ["a", "c"]
        with pytest.raises(OutputError, match=r"d needs .* in use; end the program .*allow more"):
            made(cache, "d")
        assert kept(cache) == ["a", "c"]
        process.send_signal(signal.SIGKILL)
    made(cache, "d")
    assert kept(cache) == ["c", "d"]


def test_users_that_ended_leave_no_files(cache: FolderCache) -> None:
    for _ in range(3):
        with keeper(cache, "a") as process:
            process.send_signal(signal.SIGKILL)
    made(cache, "a")
    assert len(list((cache.root / "a" / ".users").iterdir())) == 1


def test_more_than_all_may_take(cache: FolderCache) -> None:
    made(cache, "a")
    forget()
    with pytest.raises(OutputError, match=r"b needs .* may take .* together; allow more"):
        made(cache, "b", size=101)
    assert kept(cache) == ["a"]  # which has not gone for nothing
    made(cache, "b", size=100)
    assert kept(cache) == ["b"]


def test_a_disk_that_is_too_small(cache: FolderCache, monkeypatch: pytest.MonkeyPatch) -> None:
    made(cache, "a")
    forget()
    free = [folder_cache._SPARE + 10]

    def usage(path: Path) -> object:
        there = 40 if (cache.root / "a").exists() else 0
        return type("Usage", (), {"free": free[0] - there})

    monkeypatch.setattr("shutil.disk_usage", usage)
    with pytest.raises(OutputError, match=r"received a disk with .* free some space"):
        made(cache, "b")
    free[0] += 30
    made(cache, "b")  # there is room without a
    assert kept(cache) == ["b"]


def test_a_broken_folder_is_made_again(cache: FolderCache) -> None:
    (made(cache, "a") / "file").write_bytes(b"")
    assert (made(cache, "a") / "file").stat().st_size == 40
    assert kept(cache) == ["a"]


def test_who_used_a_broken_folder_uses_the_one_in_its_place(cache: FolderCache) -> None:
    with keeper(cache, "a") as process:
        (cache.root / "a" / "file").write_bytes(b"")
        made(replace(cache, limit=200), "a")
        forget()
        made(cache, "b")
        forget()
        made(cache, "c")
        assert kept(cache) == ["a", "c"]
        process.send_signal(signal.SIGKILL)


def test_what_fails_leaves_nothing(cache: FolderCache) -> None:
    def fail(folder: Path) -> None:
        (folder / "file").write_bytes(bytes(10))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cache.folder("a", size=40, fill=fail, is_whole=lambda folder: True, name="a")
    assert kept(cache) == []
    assert made(cache, "a").is_dir()


def test_threads_make_it_once(cache: FolderCache) -> None:
    times = []

    def fill(folder: Path) -> None:
        times.append(folder)
        time.sleep(0.3)

    def ask() -> None:
        cache.folder("a", size=1, fill=fill, is_whole=lambda folder: True, name="a")

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert len(times) == 1
    assert kept(cache) == ["a"]


def test_a_cache_that_may_only_be_read(cache: FolderCache, monkeypatch: pytest.MonkeyPatch) -> None:
    made(cache, "a")
    forget()

    def refuse(path: Path, *, wait: bool = True) -> int:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(folder_cache, "lock", refuse)
    assert made(cache, "a") == cache.root / "a"


def test_a_disk_without_locks(cache: FolderCache, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(path: Path, *, wait: bool = True) -> int:
        path.touch()
        raise OSError(37, "No locks available", str(path))

    monkeypatch.setattr(folder_cache, "lock", none)
    made(cache, "a")
    made(cache, "b")
    with pytest.raises(OutputError, match="in use"):  # for all one can tell
        made(cache, "c")
    assert kept(cache) == ["a", "b"]


def test_folders_of_unknown_size_are_measured(cache: FolderCache) -> None:
    (cache.root / "old" / "x").mkdir(parents=True)
    (cache.root / "old" / "x" / "file").write_bytes(bytes(90))
    made(replace(cache, limit=200), "a")
    assert kept(cache) == ["a", "old"]
    made(cache, "b")
    assert kept(cache) == ["a", "b"]
