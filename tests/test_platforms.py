"""What only some systems have, and what is done on the others, which are faked here."""

from __future__ import annotations

import ast
import os
import signal
import sys
import types
from pathlib import Path

import pytest

from lamplighter import machine
from lamplighter.files import locking as locks
from lamplighter.teaching import cleanup, confinement, linux

PACKAGE = Path(linux.__file__).parents[1]
# Modules and names of the standard library that macOS or Windows lack. Those found in the package
# are in the sets below, and each has its test here or, of training/malloc.py, beside its module.
MODULES = {"fcntl", "grp", "pty", "pwd", "readline", "resource", "syslog", "termios", "tty"}
_NAMES = """
    O_CLOEXEC O_NOFOLLOW O_NONBLOCK O_PATH SIGALRM SIGCHLD SIGHUP SIGKILL SIGPIPE SIGSTOP SIGUSR1
    SIGUSR2 alarm chown chroot fchmod fchown fork forkpty getegid geteuid getgid getloadavg getpgid
    getsid getuid initgroups killpg lchown mkfifo nice pipe2 posix_fadvise posix_spawn pread
    prlimit pwrite sched_getaffinity sched_setaffinity sendfile setitimer setpgid setpriority
    setrlimit setsid setuid statvfs sysconf uname wait waitid waitpid
"""
NAMES = _NAMES.split()
OWNERS = {"os", "signal", "resource", "time"}


def trees():
    for path in sorted(PACKAGE.rglob("*.py")):
        yield path, ast.parse(path.read_text("utf-8"))


def test_what_only_some_systems_have_is_known():
    found = {
        node.attr
        for _, tree in trees()
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id in OWNERS
        and node.attr in NAMES
    }
    answered = {
        "O_CLOEXEC", "O_PATH", "SIGKILL", "nice", "sched_getaffinity", "setrlimit", "sysconf"
    }  # fmt: skip
    assert found == answered


def test_modules_that_windows_lacks_are_imported_where_their_absence_is_answered():
    for path, tree in trees():
        imported = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
        names = {
            name.split(".")[0]
            for node in imported
            for name in (
                [one.name for one in node.names]
                if isinstance(node, ast.Import)
                else [node.module or ""]
            )
        }
        assert not names & MODULES, path


@pytest.fixture(params=["darwin", "win32"])
def other(request, monkeypatch):
    """A system that is not Linux, as the modules of confinement see it."""
    monkeypatch.setattr(linux, "sys", types.SimpleNamespace(platform=request.param))

    def unknown(*_, **__):
        raise AssertionError("a call that this system does not have")

    monkeypatch.setattr(linux.ctypes, "CDLL", unknown)
    for name in ("O_PATH", "O_CLOEXEC"):
        monkeypatch.delattr(os, name)
    return request.param


def test_confinement_says_that_it_does_not_hold(other, tmp_path):
    assert linux.landlock_version() == 0
    assert linux.confine_files([tmp_path], [tmp_path]) is False
    assert linux.confine_network() is False
    linux.die_with_parent()


def test_where_no_system_confines_python_itself_starts_no_program(other, monkeypatch, tmp_path):
    watched = []
    monkeypatch.setattr(confinement.sys, "addaudithook", watched.append)
    monkeypatch.setattr(confinement, "_limit", lambda memory: None)
    confinement.confine(tmp_path, 2**30)
    [hook] = watched
    with pytest.raises(PermissionError, match="starting a program"):
        hook("subprocess.Popen", ("ls",))
    with pytest.raises(PermissionError, match="writing to"):
        hook("open", (str(tmp_path.parent / "mine"), "w", os.O_WRONLY))
    hook("open", (str(tmp_path / "lab's"), "w", os.O_WRONLY))
    hook("open", (os.devnull, "w", os.O_WRONLY))
    confinement.refused.clear()


def test_the_null_device_of_windows_may_be_written_to(monkeypatch, tmp_path):
    watched = []
    monkeypatch.setattr(confinement.sys, "addaudithook", watched.append)
    monkeypatch.setattr(confinement.os, "devnull", str(tmp_path.parent / "nul"))
    confinement._watch(tmp_path, processes=True)
    watched[0]("open", (str(tmp_path.parent / "nul"), "w", os.O_WRONLY))


def test_windows_limits_no_memory(monkeypatch):
    monkeypatch.setitem(sys.modules, "resource", None)
    confinement._limit(2**30)
    confinement.keep_reserve(False)


def test_macos_may_refuse_a_limit_and_none_is_made_of_it(monkeypatch):
    endless, asked = 2**63 - 1, []

    def refuse(kind, limits):
        asked.append(kind)
        raise ValueError("current limit exceeds maximum limit")

    fake = types.SimpleNamespace(
        RLIM_INFINITY=endless,
        RLIMIT_DATA=2,
        RLIMIT_FSIZE=1,
        RLIMIT_CORE=4,
        getrlimit=lambda kind: (endless, endless),
        setrlimit=refuse,
    )
    monkeypatch.setitem(sys.modules, "resource", fake)
    confinement._limit(2**30)
    assert asked == [2, 1, 4]  # each was tried, and no reserve kept of a limit that is none


def test_where_proc_does_not_tell_no_process_is_killed(monkeypatch, tmp_path):
    monkeypatch.setattr(cleanup, "Path", lambda place: tmp_path / "no-proc")
    monkeypatch.delattr(signal, "SIGKILL")
    cleanup.kill_marked("token")


def test_windows_asks_of_no_process_by_a_signal(monkeypatch):
    monkeypatch.setattr(cleanup.os, "name", "nt")
    monkeypatch.setattr(cleanup.os, "kill", None)
    assert cleanup._runs(os.getpid())


def test_windows_locks_the_first_byte_of_a_file(monkeypatch, tmp_path):
    held = set()

    def locking(descriptor, mode, count):
        assert (mode, count) == (2, 1)
        if held:
            held.pop()  # the other one lets go
            raise PermissionError(13, "Permission denied")
        held.add(descriptor)

    fake = types.SimpleNamespace(locking=locking, LK_NBLCK=2)
    monkeypatch.setitem(sys.modules, "msvcrt", fake)
    monkeypatch.setattr(locks, "sys", types.SimpleNamespace(platform="win32"))
    first = locks.lock(tmp_path / "lock")
    assert held == {first}
    assert locks.lock(tmp_path / "lock", wait=False) is None
    held.add(first)
    second = locks.lock(tmp_path / "lock")  # at the second try
    assert held == {second}
    locks.unlock(first)
    locks.unlock(second)


def test_cores_are_counted_where_none_can_be_set_aside(monkeypatch):
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: 6)
    assert machine.usable_cores() == 6
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert machine.usable_cores() == 1


def test_memory_is_what_there_is_on_macos_and_unknown_on_windows(monkeypatch, tmp_path):
    monkeypatch.setattr(machine, "Path", lambda place: tmp_path / "nothing")
    pages = {"SC_PHYS_PAGES": 1000, "SC_PAGE_SIZE": 16384}
    monkeypatch.setattr(os, "sysconf", pages.__getitem__)
    assert machine.free_memory() == 16_384_000
    monkeypatch.delattr(os, "sysconf")
    assert machine.free_memory() is None
