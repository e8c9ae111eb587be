import subprocess
import sys

from lamplighter.training import malloc

# Frees a large block and asks the system whether the process still has it.
SCRIPT = """
import sys, psutil, numpy as np
from lamplighter.training.malloc import keep_freed_memory
if sys.argv[1] == "keep":
    assert keep_freed_memory()
block = np.ones(200_000_000, dtype=np.uint8)
before = psutil.Process().memory_info().rss
del block
print(before - psutil.Process().memory_info().rss)
"""


def given_back(mode):
    command = [sys.executable, "-c", SCRIPT, mode]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def test_freed_memory_stays_with_the_process():
    assert given_back("default") > 150_000_000
    assert given_back("keep") < 50_000_000


def test_other_systems_are_left_as_they_are(monkeypatch):
    monkeypatch.setattr(malloc.sys, "platform", "darwin")

    assert malloc.keep_freed_memory() is False


def test_other_c_libraries_are_left_as_they_are(monkeypatch):
    monkeypatch.setattr(malloc.ctypes, "CDLL", lambda name: object())

    assert malloc.keep_freed_memory() is False
