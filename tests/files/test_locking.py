"""Locks that end with their process."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from lamplighter.files.locking import lock, unlock

if TYPE_CHECKING:
    from pathlib import Path

HOLDER = """
import sys, time
from pathlib import Path
from lamplighter.files.locking import lock
lock(Path(sys.argv[1]))
print("held", flush=True)
time.sleep(60)
"""


def test_one_at_a_time(tmp_path: Path) -> None:
    file = tmp_path / "lock"
    held = lock(file)
    assert held is not None
    assert lock(file, wait=False) is None
    unlock(held)
    again = lock(file, wait=False)
    assert again is not None
    unlock(again)


def test_a_killed_process_lets_go(tmp_path: Path) -> None:
    file = tmp_path / "lock"
    command = [sys.executable, "-c", HOLDER, str(file)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert lock(file, wait=False) is None
        process.send_signal(signal.SIGKILL)
    held = lock(file, wait=False)
    assert held is not None
    unlock(held)


def test_waiting(tmp_path: Path) -> None:
    file, order = tmp_path / "lock", []
    held = lock(file)
    assert held is not None

    def wait() -> None:
        mine = lock(file)
        order.append("second")
        assert mine is not None
        unlock(mine)

    thread = threading.Thread(target=wait)
    thread.start()
    thread.join(0.1)
    order.append("first")
    unlock(held)
    thread.join(10)
    assert order == ["first", "second"]


def test_a_file_that_cannot_be_opened(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        lock(tmp_path / "none" / "lock")
