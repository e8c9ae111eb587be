"""The machine: how many cores and how much memory this process may use."""

from __future__ import annotations

import math
import os
from pathlib import Path

_GROUP = Path("/sys/fs/cgroup")  # of a container


def usable_cores() -> int:
    """Return how many cores this process may use; macOS and Windows tell how many there are.

    A container may have the time of fewer cores than it sees (`docker run --cpus 2`).
    """
    if not hasattr(os, "sched_getaffinity"):
        return os.cpu_count() or 1
    seen = len(os.sched_getaffinity(0))
    try:
        quota, period = (_GROUP / "cpu.max").read_text().split()
        return max(1, min(seen, math.ceil(int(quota) / int(period))))
    except (OSError, ValueError, ZeroDivisionError):  # none, or "max"
        return seen


def free_memory() -> int | None:
    """Return how many bytes this process may still take.

    On macOS, which does not tell what is free, that is all the memory there is; None on Windows,
    where Python tells nothing: there no data set is refused for its size.
    """
    limits = [_available(), _group_limit()]
    known = [limit for limit in limits if limit is not None]
    return min(known) if known else None


def _available() -> int | None:
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except (OSError, ValueError):
        pass
    try:  # on other systems: all there is, which is more than is free
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return None


def _group_limit() -> int | None:
    """Return what a container has left."""
    try:
        limit, used = (
            int((_GROUP / name).read_text()) for name in ("memory.max", "memory.current")
        )
    except (OSError, ValueError):  # none, or "max"
        return None
    return max(0, limit - used)
