"""Does a data set fit into memory?"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from lamplighter.errors import DatasetError

if TYPE_CHECKING:
    from lamplighter.images.preprocessing import Preprocessing

_SHARE = 0.5  # of the free memory, since training takes some too


def check_memory(count: int, preprocessing: Preprocessing) -> None:
    """Refuse to take more than half of the free memory for pixels.

    Args:
        count: N, how many images.
        preprocessing: to which size they are brought.

    Raises:
        DatasetError: they need more.
    """
    free = free_memory()
    height, width, channels = preprocessing.height, preprocessing.width, preprocessing.channels
    needed = count * channels * height * width
    if free is None or needed <= _SHARE * free:
        return
    smaller = int((_SHARE * free / (count * channels) * width / height) ** 0.5 * height / width)
    raise DatasetError(
        f"the pixels must fit into half of the free memory, {_SHARE * free / 1e9:.1f} GB, but "
        f"{count:,} images of {height} x {width} pixels and {channels} channels need "
        f"{needed / 1e9:.1f} GB; choose a smaller size, such as "
        f"{max(1, smaller)} x {max(1, smaller * width // height)}."
    )


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
    folder = Path("/sys/fs/cgroup")
    try:
        limit, used = (
            int((folder / name).read_text()) for name in ("memory.max", "memory.current")
        )
    except (OSError, ValueError):  # none, or "max"
        return None
    return max(0, limit - used)
