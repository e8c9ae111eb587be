"""What Linux itself can refuse to a process and all its children: files, signals, networks.

Landlock (https://docs.kernel.org/userspace-api/landlock.html) and seccomp filters, by their
system calls: both work without any privileges, hold for native code too, and cannot be undone.
On macOS and Windows nothing here does anything, and each function says so by what it returns.
"""

from __future__ import annotations

import ctypes
import os
import platform
import struct
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

_CREATE, _ADD, _RESTRICT = 444, 445, 446  # landlock system calls, the same on all architectures
_PR_SET_PDEATHSIG, _PR_SET_SECCOMP, _PR_SET_NO_NEW_PRIVS = 1, 22, 38
_EXECUTE, _WRITE, _READ, _READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_TRUNCATE = 1 << 14
_READING = _EXECUTE | _READ | _READ_DIR
# How many kinds of access each version of Landlock knows.
_ACCESS_BITS = {1: 13, 2: 14, 3: 15, 4: 15}
_KILL_SIGNAL = 9

# Architecture's number in seccomp, and its system calls socket and io_uring_setup.
_ARCHITECTURES = {"x86_64": (0xC000003E, 41, 425), "aarch64": (0xC00000B7, 198, 425)}
_AF_UNIX = 1
_ALLOW, _REFUSE = 0x7FFF0000, 0x00050000 | 13  # EACCES


def landlock_version() -> int:
    """Return which version of Landlock the system has; 0 without it."""
    if not sys.platform.startswith("linux"):
        return 0
    version: int = _libc().syscall(_CREATE, None, 0, 1)
    return max(version, 0)


def die_with_parent() -> None:
    """Have this process killed when the one that started it ends, however it ends (Linux)."""
    if sys.platform.startswith("linux"):
        _libc().prctl(_PR_SET_PDEATHSIG, _KILL_SIGNAL, 0, 0, 0)


def confine_files(readable: Iterable[Path], writable: Iterable[Path]) -> bool:
    """Leave this process only these folders and files; signals stay among its own children.

    Returns:
        False where the system has no Landlock, or an error says that it is switched off.
    """
    version = landlock_version()
    if not version:
        return False
    libc = _libc()
    handled = (1 << _ACCESS_BITS.get(version, 16)) - 1
    scoped = 3 if version >= 6 else 0  # abstract sockets, signals
    attributes = struct.pack("=QQQ", handled, 0, scoped)
    size = 24 if version >= 6 else 16 if version >= 4 else 8
    rules: int = libc.syscall(_CREATE, attributes, size, 0)
    if rules < 0:
        return False
    try:
        for path in readable:
            _allow(libc, rules, path, _READING & handled)
        for path in writable:
            _allow(libc, rules, path, handled)
        libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        return bool(libc.syscall(_RESTRICT, rules, 0) == 0)
    finally:
        os.close(rules)


def _allow(libc: ctypes.CDLL, rules: int, path: Path, access: int) -> None:
    try:
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)  # type: ignore[attr-defined,unused-ignore]
    except OSError:
        return  # what is not there needs no rule
    try:
        if not path.is_dir():
            access &= _EXECUTE | _READ | _WRITE | _TRUNCATE
        libc.syscall(_ADD, rules, 1, struct.pack("=Qi", access, place), 0)
    finally:
        os.close(place)


def confine_network() -> bool:
    """Leave this process no sockets but those of the Unix kind.

    Returns:
        False where the system or the processor is another.
    """
    known = _ARCHITECTURES.get(platform.machine())
    if not sys.platform.startswith("linux") or known is None:
        return False
    architecture, socket, io_uring = known
    program = [
        (0x20, 0, 0, 4),  # load the architecture
        (0x15, 0, 6, architecture),  # another one: refuse
        (0x20, 0, 0, 0),  # load the number of the system call
        (0x15, 4, 0, io_uring),  # it could open sockets past this filter: refuse
        (0x15, 0, 2, socket),  # another call: allow
        (0x20, 0, 0, 16),  # load the address family
        (0x15, 0, 1, _AF_UNIX),
        (0x06, 0, 0, _ALLOW),
        (0x06, 0, 0, _REFUSE),
    ]
    code = ctypes.create_string_buffer(
        b"".join(struct.pack("=HBBI", *instruction) for instruction in program)
    )
    filter_ = struct.pack("@HP", len(program), ctypes.addressof(code))
    libc = _libc()
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    return bool(libc.prctl(_PR_SET_SECCOMP, 2, filter_, 0, 0) == 0)


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)
