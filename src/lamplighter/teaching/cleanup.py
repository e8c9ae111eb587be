"""What a sandbox takes into its folder, and what it clears away: processes and folders."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import tempfile
import time
from pathlib import Path

from lamplighter.errors import LabError

FOLDER_SIZE = 512 * 1024**2  # bytes beside a notebook that are copied for it
MARK = "LAMPLIGHTER_LAB"  # the environment variable that all processes of a sandbox inherit
PREFIX = "lamplighter-lab-"

_LONGEST = 64  # characters; a socket's name may have 107 in all


def copy_files(folder: Path | None, target: Path) -> None:
    """Copy what lies in `folder`: no links, and no notebooks, which may be others' answers.

    Raises:
        LabError: it is too large.
    """
    target.mkdir()
    if folder is None:
        return
    size = 0
    for place, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith((".", "__"))]
        for name in files:
            file = Path(place) / name
            if name.startswith(".") or name.endswith(".ipynb") or not _is_plain_file(file):
                continue
            size += file.stat().st_size
            if size > FOLDER_SIZE:
                raise LabError(
                    f"{folder} holds more than {FOLDER_SIZE // 2**20} MB, which are copied before "
                    "a notebook in it is checked; put the notebook into a folder of its own."
                )
            copy = target / file.relative_to(folder)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, copy)


def _is_plain_file(file: Path) -> bool:
    return file.is_file() and not file.is_symlink()


def kill_marked(token: str) -> None:
    """Kill what the kernel has left behind, whatever session it moved to.

    Linux alone tells in /proc what a process inherited; elsewhere nothing is found.
    """
    mark = f"{MARK}={token}".encode()
    for _ in range(3):
        found = False
        for place in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError, ValueError):
                if mark in (place / "environ").read_bytes().split(b"\0"):
                    os.kill(int(place.name), signal.SIGKILL)
                    found = True
        if not found:
            return
        time.sleep(0.05)


def remove(root: Path) -> None:
    """Remove a sandbox's folder, whatever rights its folders were given; follow no links."""
    if root.is_symlink():
        return
    _give_rights(root)
    for place, folders, _ in os.walk(root):  # goes into a folder after its turn here
        for name in folders:
            _give_rights(Path(place) / name)
    shutil.rmtree(root, ignore_errors=True)


def _give_rights(folder: Path) -> None:
    with contextlib.suppress(OSError):
        if not folder.is_symlink():  # what it leads to is not the sandbox's
            folder.chmod(0o700)


def temporary_folder() -> Path:
    """Return where sandboxes are made: near enough to the root for the names of sockets in it."""
    usual = Path(tempfile.gettempdir())
    return usual if os.name != "posix" or len(str(usual)) <= _LONGEST else Path("/tmp")


def remove_stale() -> None:
    """Remove the folders of sandboxes whose process was killed."""
    for root in temporary_folder().glob(f"{PREFIX}*"):
        owner = root.name.removeprefix(PREFIX).split("-")[0]
        if owner.isdigit() and not _runs(int(owner)):
            remove(root)


def _runs(process: int) -> bool:
    if os.name != "posix":  # Windows would end the process by that signal
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
