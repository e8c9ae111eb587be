"""The limits that a learner's kernel sets itself before it runs anything of the learner's.

What Linux can hold, it holds (`linux.py`); the audit hook of Python says in words what was
refused, and on other systems is all there is.
"""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lamplighter.teaching.linux import confine_files, confine_network

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

refused: list[str] = []  # what the hook refused since it was last asked

_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_DEVICES = ("/dev/null", "/dev/zero", "/dev/full")
_SYSTEM = (
    "/usr",
    "/lib",
    "/lib64",
    "/bin",
    "/sbin",
    "/etc",
    "/opt",
    "/proc",
    "/sys",
    "/dev",
    "/System",
    "/Library",
    "/run/systemd/resolve",
)
_FILE_SIZE = 1024**3
_RESERVE = 256 * 1024**2
# Events of the audit hook, and which of their arguments are paths that are changed.
_CHANGES = {
    "os.remove": (0,),
    "os.rename": (0, 1),
    "os.mkdir": (0,),
    "os.rmdir": (0,),
    "os.chmod": (0,),
    "os.chown": (0,),
    "os.link": (1,),
    "os.symlink": (1,),
    "os.truncate": (0,),
    "os.utime": (0,),
    "os.setxattr": (0,),
    "os.removexattr": (0,),
    "sqlite3.connect": (0,),
}
_PROCESSES = (
    "subprocess.Popen",
    "os.system",
    "os.exec",
    "os.posix_spawn",
    "os.fork",
    "os.forkpty",
    "os.spawn",
    "pty.spawn",
    "os.startfile",
)
_MOST_REFUSALS = 20


def confine(folder: Path, memory: int, *, extra: Sequence[Path] = ()) -> None:
    """Confine this process to `folder`, for good.

    Args:
        folder: the one place to write to.
        memory: bytes that it may hold as data.
        extra: folders that may be read, besides Python's own and the system's.
    """
    folder = folder.resolve()
    _limit(memory)
    readable = [Path(place) for place in _SYSTEM]
    readable += [Path(place) for place in (sys.prefix, sys.base_prefix, *sys.path) if place]
    readable += [Path(sysconfig.get_paths()["stdlib"]), Path(__file__).parents[2], *extra]
    held = confine_files(readable, [folder, *map(Path, _DEVICES)])
    confine_network()
    _watch(folder, processes=held)


def _limit(memory: int) -> None:
    try:
        import resource
    except ImportError:  # Windows, which limits no memory
        return
    limits = {"RLIMIT_DATA": memory + _RESERVE, "RLIMIT_FSIZE": _FILE_SIZE, "RLIMIT_CORE": 0}
    for name, wanted in limits.items():
        kind = getattr(resource, name)
        hard = resource.getrlimit(kind)[1]
        most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        with contextlib.suppress(OSError, ValueError):  # macOS refuses limits on data
            resource.setrlimit(kind, (most, most))
    keep_reserve(True)


def keep_reserve(kept: bool) -> None:
    """Keep a little memory back, or give it free: to say that there is no more also takes some."""
    try:
        import resource
    except ImportError:
        return
    most = resource.getrlimit(resource.RLIMIT_DATA)[1]
    if most == resource.RLIM_INFINITY:  # there is no limit to keep something back from
        return
    soft = most - _RESERVE if kept else most
    resource.setrlimit(resource.RLIMIT_DATA, (max(soft, 0), most))


def _watch(folder: Path, *, processes: bool) -> None:
    """Refuse, and keep in words, what Python is asked to do beyond `folder`.

    Args:
        folder: where all is allowed.
        processes: others may be started, since the same limits hold for them.
    """
    root = str(folder) + os.sep
    own, parent = os.getpid(), os.getppid()
    realpath, fspath, fsdecode = os.path.realpath, os.fspath, os.fsdecode
    devices = {*_DEVICES, realpath(os.devnull)}  # Windows calls it otherwise

    def refuse(what: str) -> None:
        if len(refused) < _MOST_REFUSALS:
            refused.append(what[:200])
        raise PermissionError(f"not allowed while a lab is checked: {what}")

    def change(path: Any) -> None:
        if isinstance(path, int) or path is None:
            return
        place = realpath(fsdecode(fspath(path)))
        if not (place + os.sep).startswith(root) and place not in devices:
            refuse(f"writing to {place}")

    def changing(places: tuple[int, ...]) -> Callable[[tuple[Any, ...]], None]:
        def changes(arguments: tuple[Any, ...]) -> None:
            for place in places:
                change(arguments[place])

        return changes

    def opened(arguments: tuple[Any, ...]) -> None:
        flags = arguments[2]
        if isinstance(flags, int) and flags & _WRITING:
            change(arguments[0])

    def connected(arguments: tuple[Any, ...]) -> None:
        if arguments[0].family != getattr(socket, "AF_UNIX", None) and not _loopback(arguments[1]):
            refuse(f"a network connection to {arguments[1]}")
        if isinstance(arguments[1], (str, bytes)):
            change(arguments[1])

    def looked_up(arguments: tuple[Any, ...]) -> None:
        if arguments[0] not in (None, "", "localhost", "127.0.0.1", "::1"):
            refuse(f"a network connection to {arguments[0]}")

    def signalled(arguments: tuple[Any, ...]) -> None:
        # With the system's help the limits hold for its children alone, which it may end.
        if arguments[0] != own and (not processes or arguments[0] in (parent, -1)):
            refuse(f"a signal to process {arguments[0]}")

    def started(arguments: tuple[Any, ...]) -> None:
        refuse(f"starting a program: {arguments[0] if arguments else ''}")

    handlers: dict[str, Callable[[tuple[Any, ...]], None]] = {
        "open": opened,
        "socket.connect": connected,
        "socket.sendto": connected,
        "socket.getaddrinfo": looked_up,
        "os.kill": signalled,
    }
    for name, places in _CHANGES.items():
        handlers[name] = changing(places)
    if not processes:
        handlers |= dict.fromkeys(_PROCESSES, started)
    find = handlers.get

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        handler = find(event)
        if handler is not None:
            handler(arguments)

    sys.addaudithook(hook)


def _loopback(address: Any) -> bool:
    """Whether `address` is this machine's own; only where no Unix sockets serve the kernel."""
    return os.name != "posix" and isinstance(address, tuple) and str(address[0]) == "127.0.0.1"
