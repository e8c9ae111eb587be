"""Folders that can be made again, kept by key, and bounded in what they take together.

A folder is there whole or not at all, whatever kills the process that makes it. A second process
that wants the same one waits for the first. Where there is no room, the least recently used go,
never one that a living process uses: each use is a lock on a file, which ends with its process.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lamplighter.errors import OutputError
from lamplighter.files.locking import lock, unlock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_GUARD = ".lock"  # in the root: who holds it alone may begin, finish or remove folders
_USERS, _SIZE = ".users", ".size"  # in each folder: a locked file for each user; its bytes
_PARTIAL = ".partial"
_POLL = 0.1  # seconds between two looks at what another process makes
_SPARE = 200_000_000  # bytes of the disk that are left to others

# What this process uses, by folder: the file and the lock on it. Kept until the process ends,
# since paths into a folder are handed out and nobody says when he is done with them.
_in_use: dict[Path, tuple[Path, int]] = {}
_changing = threading.Lock()


@dataclass(frozen=True)
class FolderCache:
    """Folders in one place.

    Attributes:
        root: where they are; it is made when it is needed.
        limit: bytes that all of them may take together, those in work included.
        more: how to allow more, for messages.
    """

    root: Path
    limit: int
    more: str

    def folder(
        self,
        key: str,
        *,
        size: int,
        fill: Callable[[Path], None],
        is_whole: Callable[[Path], bool],
        name: str,
    ) -> Path:
        """Return the folder of `key`, which stays as it is while this process lives.

        Args:
            key: what tells its content from all others; a name of a file.
            size: bytes that `fill` is to write.
            fill: makes its content in an empty folder.
            is_whole: whether what is there already can be used.
            name: what messages call the content.

        Raises:
            OutputError: it takes more than there may be, or than the disk has free.
            OSError: it cannot be written.
        """
        home = self.root / key
        while True:
            known = self._taken(home)
            if known and is_whole(home):
                return home
            with self._guarded() as told:
                if not known and home.is_dir():  # made in the meantime
                    continue
                work = self._begun(home, size, name, wait=told)
            if work is not None:
                return self._filled(work, home, fill)
            time.sleep(_POLL)

    @contextlib.contextmanager
    def _guarded(self) -> Iterator[bool]:
        """Keep others from changing which folders there are; give whether locks work here."""
        self.root.mkdir(parents=True, exist_ok=True)
        guard = _lock_if_possible(self.root / _GUARD)
        try:
            yield guard is not None
        finally:
            if guard is not None:
                unlock(guard)

    def _taken(self, home: Path) -> bool:
        """Note that this process uses the folder `home`, and return whether there is one."""
        if not home.is_dir():
            return False
        # In a cache that may only be read nothing can be noted, and nobody can remove anything.
        with contextlib.suppress(OSError):
            if not _uses(home):
                with self._guarded(), _changing:
                    if not home.is_dir():
                        return False
                    if not _uses(home):
                        _let_go(home)
                        _is_used(home)  # forgets those that ended
                        _in_use[home] = _new_user(home)
            os.utime(home / _USERS)  # when it was used last
        return True

    def _begun(self, home: Path, size: int, name: str, *, wait: bool) -> Path | None:
        """Return a new folder to fill; None where to `wait` for another one that fills it."""
        with _changing:
            _let_go(home)  # which is broken, if it is there
        for left in self.root.glob(f"*{_PARTIAL}"):
            if not _is_used(left):
                shutil.rmtree(left, ignore_errors=True)
            elif wait and left.name.startswith(f"{home.name}."):
                return None
        if home.is_dir():
            with contextlib.suppress(OSError):
                os.utime(home / _USERS, (0, 0))  # the first to go
        self._make_room(size, name)
        work = self._beside(home)
        work.mkdir()
        try:
            (work / _SIZE).write_text(str(size))
            with _changing:
                _in_use[work] = _new_user(work)
        except BaseException:
            shutil.rmtree(work, ignore_errors=True)
            raise
        return work

    def _filled(self, work: Path, home: Path, fill: Callable[[Path], None]) -> Path:
        try:
            fill(work)
            with self._guarded(), _changing:
                old = self._beside(home)
                if home.is_dir():
                    home.rename(old)
                _let_go(work)  # Windows renames no folder with a file in it that is open
                work.rename(home)
                _in_use[home] = _new_user(home)
                _move_users(old, home)
                shutil.rmtree(old, ignore_errors=True)
        except BaseException:
            with _changing:
                _let_go(work)
            shutil.rmtree(work, ignore_errors=True)
            raise
        return home

    def _beside(self, home: Path) -> Path:
        return home.with_name(f"{home.name}.{secrets.token_hex(6)}{_PARTIAL}")

    def _make_room(self, size: int, name: str) -> None:
        """Remove the least recently used folders until there is room for `size` bytes."""
        if size > self.limit:
            raise OutputError(
                f"{name} needs {_amount(size)}, and all that is unpacked may take "
                f"{_amount(self.limit)} together; {self.more}, or unpack it yourself and name the "
                "folder."
            )
        folders = [path for path in self.root.iterdir() if path.is_dir()]
        taken = {path: _size(path) for path in folders}
        homes = [path for path in folders if path.suffix != _PARTIAL]
        for oldest in sorted(homes, key=_last_use):
            if self._has_room(size, taken):
                return
            if not _is_used(oldest):
                # Renamed before it is removed, so that nobody takes a part of it for the whole.
                gone = self._beside(oldest)
                oldest.rename(gone)
                shutil.rmtree(gone, ignore_errors=True)
                del taken[oldest]
        if self._has_room(size, taken):
            return
        used, free = sum(taken.values()), shutil.disk_usage(self.root).free
        if used + size > self.limit:
            raise OutputError(
                f"{name} needs {_amount(size)}, and of the {_amount(self.limit)} for all that is "
                f"unpacked {_amount(used)} are in use; end the program that uses them, "
                f"{self.more}, or unpack it yourself and name the folder."
            )
        raise OutputError(
            f"{name} needs {_amount(size)}, received a disk with {_amount(free)} free, of which "
            f"{_amount(_SPARE)} are left to others ({self.root}); free some space."
        )

    def _has_room(self, size: int, taken: dict[Path, int]) -> bool:
        free = shutil.disk_usage(self.root).free
        return sum(taken.values()) + size <= self.limit and size + _SPARE <= free


def _new_user(folder: Path) -> tuple[Path, int]:
    """Return a file that says that this process uses `folder`, and the lock on it."""
    (folder / _USERS).mkdir(exist_ok=True)
    user = folder / _USERS / f"{os.getpid()}-{secrets.token_hex(4)}"
    held = _lock_if_possible(user)
    if held is None:  # no locks here: `_is_used` then takes each folder for used
        held = os.open(user, os.O_RDWR)
    return user, held


def _lock_if_possible(path: Path) -> int | None:
    try:
        return lock(path)
    except OSError:
        if path.exists():  # a file system without locks
            return None
        raise


def _uses(folder: Path) -> bool:
    """Return whether this process uses `folder`, and nobody has removed what says so."""
    used = _in_use.get(folder)
    return used is not None and used[0].exists()


def _let_go(folder: Path) -> None:
    """Forget that this process uses `folder`."""
    used = _in_use.pop(folder, None)
    if used is not None:
        unlock(used[1])
        with contextlib.suppress(OSError):
            used[0].unlink()


def _move_users(old: Path, new: Path) -> None:
    """Let those who use `old`, if it is there, use `new` in its place; their locks stay."""
    with contextlib.suppress(OSError):
        for user in list((old / _USERS).iterdir()):
            user.rename(new / _USERS / user.name)


def _is_used(folder: Path) -> bool:
    """Return whether a living process uses `folder`, or none can tell; dead ones are forgotten."""
    used = False
    try:
        for user in list((folder / _USERS).iterdir()):
            held = lock(user, wait=False)
            if held is None:
                used = True
            else:
                unlock(held)
                user.unlink()
    except FileNotFoundError:
        return used
    except OSError:
        return True
    return used


def _size(folder: Path) -> int:
    """Return the bytes of the files in `folder`, as it was noted."""
    try:
        return int((folder / _SIZE).read_text())
    except (OSError, ValueError):
        return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _last_use(folder: Path) -> float:
    with contextlib.suppress(OSError):
        return (folder / _USERS).stat().st_mtime
    return 0.0


def _amount(size: int) -> str:
    return f"{size / 1e9:,.1f} GB" if size >= 1e9 else f"{size / 1e6:,.1f} MB"
