"""Locks on files, which the system lets go when a process ends, however it ends."""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_POLL = 0.05  # seconds between two tries, where the system cannot wait


def lock(path: Path, *, wait: bool = True) -> int | None:
    """Return what holds the lock on the file `path`, until `unlock` or the end of this process.

    A lock is held against all others, those of the same process among them.

    Args:
        path: the file, which is made where it is missing.
        wait: until another one lets it go; else None is returned where another one has it.

    Raises:
        OSError: the file cannot be opened, or the file system has no locks.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        held = _locked(descriptor, wait=wait)
    except BaseException:
        os.close(descriptor)
        raise
    if not held:
        os.close(descriptor)
        return None
    return descriptor


def unlock(descriptor: int) -> None:
    """Let go what `lock` returned."""
    os.close(descriptor)


def _locked(descriptor: int, *, wait: bool) -> bool:
    if sys.platform == "win32":
        return _locked_on_windows(descriptor, wait=wait)
    import fcntl

    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    return True


def _locked_on_windows(descriptor: int, *, wait: bool) -> bool:
    import msvcrt

    while True:
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined,unused-ignore]
        except PermissionError:
            if not wait:
                return False
            time.sleep(_POLL)
        else:
            return True
