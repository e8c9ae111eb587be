"""Recordings: images that a camera took one after the other, told by their names.

They show nearly the same thing, so that those of one recording stay on one side of a split. Unlike
the scenes that names may speak of (`lamplighter.datasets.scenes`), nothing is guessed: Lamplighter
gave the names itself.
"""

from __future__ import annotations

import re
import secrets
import time
from typing import TYPE_CHECKING

from lamplighter.text import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

# A number after the frame's is that of a namesake, as `Workspace.apply` writes it.
_FRAME = re.compile(r"(recording-\d{8}-\d{6}-[0-9a-f]{4})_\d+(?:-\d+)?\.\w+")
_RECORDING = re.compile(r"recording-\d{8}-\d{6}-[0-9a-f]{4}")


def new_recording() -> str:
    """Return the name of a recording that begins now, such as recording-20261129-120431-3fa2."""
    return f"recording-{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(2)}"


def is_recording(name: str) -> bool:
    """Return whether `name` is one that `new_recording` may have given."""
    return _RECORDING.fullmatch(name) is not None


def frame_name(recording: str, number: int) -> str:
    """Return what the file of a frame is called, such as recording-20261129-120431-3fa2_0007.jpg.

    Args:
        recording: what `new_recording` gave.
        number: of the frame, 1 or more.
    """
    return f"{recording}_{number:04d}.jpg"


def recording_of(name: str) -> str:
    """Return the recording that the file `name` is a frame of, "" where it is of none."""
    match = _FRAME.fullmatch(name)
    return match.group(1) if match else ""


def recording_notes(groups: Sequence[str]) -> tuple[str, ...]:
    """Return what is to know of files with these groups, if any are recordings, on one line."""
    count = sum(map(is_recording, set(groups)))
    if not count:
        return ()
    return (f"understood: {counted(count, 'recording')}; images of one stay in one split.",)
