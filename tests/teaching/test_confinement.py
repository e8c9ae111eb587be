"""What a confined process can do no more; each in a process of its own, since it is for good."""

from __future__ import annotations

import subprocess
import sys

import pytest

from lamplighter.teaching.linux import landlock_version

_CONFINED = """
import ctypes, os, socket, subprocess, sys
from pathlib import Path
import lamplighter.teaching.confinement as confinement
folder, target, held = Path(sys.argv[1]), sys.argv[2], sys.argv[3] == "held"
if not held:
    confinement.confine_files = confinement.confine_network = lambda *a: False
confinement.confine(folder, 2 * 1024**3)
def tried(act):
    try: act()
    except Exception as error: return type(error).__name__
    return "done"
libc = ctypes.CDLL(None)
"""


def _outcomes(tmp_path, how, *acts):
    folder, target = tmp_path / "lab", tmp_path / "precious"
    folder.mkdir()
    target.write_text("mine")
    lines = [f"print(tried(lambda: {act}))" for act in acts]
    done = subprocess.run(
        [sys.executable, "-c", "\n".join([_CONFINED, *lines]), str(folder), str(target), how],
        capture_output=True,
        encoding="utf-8",
    )
    assert done.returncode == 0, done.stderr
    assert target.read_text() == "mine"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["lab", "precious"]
    return done.stdout.splitlines()


_WRITES = [
    'open(target, "w")',
    'open(target, "a")',
    "os.open(target, os.O_RDWR | os.O_TRUNC)",
    "os.remove(target)",
    "os.rename(target, folder / 'x')",
    "os.chmod(target, 0)",
    "os.truncate(target, 0)",
    "os.mkdir(target + 'x')",
    "os.symlink('x', target + 'x')",
    "os.link(target, target + 'x')",
    "(folder / 'way').symlink_to(target) or open(folder / 'way', 'w')",
]
_NETWORK = [
    "socket.create_connection(('192.0.2.1', 80), timeout=1)",
    "socket.getaddrinfo('example.org', 80)",
]


@pytest.mark.parametrize("how", ["held", "hook alone"])
def test_what_python_is_asked_to_do_outside_is_refused(tmp_path, how):
    allowed = ["open(folder / 'a', 'w').write('x')", "os.rename(folder / 'a', folder / 'b')",
               "open('/dev/null', 'w')"]  # fmt: skip
    seen = _outcomes(tmp_path, how, *allowed, *_WRITES, *_NETWORK)
    assert seen[:3] == ["done"] * 3
    assert seen[3:] == ["PermissionError"] * len(_WRITES + _NETWORK)


def test_without_the_systems_help_no_program_is_started(tmp_path):
    acts = ["subprocess.run(['true'])", "os.system('true')", "os.fork()", "os.kill(1, 0)"]
    assert _outcomes(tmp_path, "hook alone", *acts) == ["PermissionError"] * 4


@pytest.mark.skipif(not landlock_version(), reason="this system has no Landlock")
def test_native_code_and_other_programs_are_held_too(tmp_path):
    seen = _outcomes(
        tmp_path,
        "held",
        "1 / (libc.open(target.encode(), os.O_WRONLY | os.O_TRUNC) == -1)",
        "1 / (libc.unlink(target.encode()) == -1)",
        "1 / (libc.socket(socket.AF_INET, socket.SOCK_STREAM, 0) == -1)",
        "1 / (libc.socket(socket.AF_INET6, socket.SOCK_DGRAM, 0) == -1)",
        "1 / (libc.socket(socket.AF_UNIX, socket.SOCK_STREAM, 0) >= 0)",
        "subprocess.run(['sh', '-c', f'! echo x > {target}'], check=True, stderr=-3)",
        "subprocess.run(['sh', '-c', f'! cat {target}'], check=True, stderr=-3, stdout=-3)",
        "open(target).read()",
        "os.kill(os.getppid(), 0)",
    )
    assert seen == ["done"] * 7 + ["PermissionError"] * 2


@pytest.mark.skipif(not landlock_version(), reason="this system has no Landlock")
def test_what_lies_around_the_package_cannot_be_read(tmp_path):
    package = "Path(confinement.__file__).parents"
    seen = _outcomes(
        tmp_path,
        "held",
        f"({package}[1] / 'version.py').read_text()",
        f"({package}[3] / 'pyproject.toml').read_text()",
        f"os.listdir({package}[3])",
    )
    assert seen == ["done", "PermissionError", "PermissionError"]


def test_memory_is_limited(tmp_path):
    seen = _outcomes(tmp_path, "held", "bytearray(10**9)", "bytearray(3 * 10**9)")
    assert seen == ["done", "MemoryError"]
