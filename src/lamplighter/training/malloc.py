"""Settings of the C library's malloc between training steps."""

from __future__ import annotations

import ctypes
import sys

# Numbers of glibc's malloc.h.
_TRIM_THRESHOLD = -1
_MMAP_THRESHOLD = -3
_LARGEST = 2**31 - 1


def keep_freed_memory() -> bool:
    """Let glibc keep what a step frees for the next one; return whether it does.

    By default glibc gives each large block back to the system at once, which hands it out again
    page by page, zeroed: on a CPU that can take longer than the arithmetic of a small network.
    The setting holds for the rest of the process, which keeps its peak memory. Other C libraries
    are left as they are.
    """
    if not sys.platform.startswith("linux"):
        return False
    library = ctypes.CDLL(None)
    if not hasattr(library, "gnu_get_libc_version"):
        return False
    return all(
        library.mallopt(parameter, value)
        for parameter, value in ((_MMAP_THRESHOLD, 2**30), (_TRIM_THRESHOLD, _LARGEST))
    )
