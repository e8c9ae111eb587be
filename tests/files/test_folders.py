from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from lamplighter.errors import OutputError
from lamplighter.files.folders import new_folder, own_folder


def names(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


@pytest.mark.parametrize("there", [False, True])
def test_the_folder_appears_when_all_is_written(tmp_path: Path, there: bool) -> None:
    target = tmp_path / "new"
    if there:
        target.mkdir()
    with new_folder(target) as folder:
        (folder / "a.txt").write_text("a")
        assert not (target / "a.txt").exists()
    assert names(tmp_path) == {"new", "new/a.txt"}


def fail(target: Path, failure: BaseException) -> None:
    with new_folder(target) as folder:
        (folder / "a.txt").write_text("a")
        raise failure


@pytest.mark.parametrize("failure", [KeyboardInterrupt(), ValueError()])
def test_a_failure_leaves_nothing(tmp_path: Path, failure: BaseException) -> None:
    with pytest.raises(type(failure)):
        fail(tmp_path / "new", failure)
    assert names(tmp_path) == set()


def test_a_full_disk_is_named(tmp_path: Path) -> None:
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    with pytest.raises(OutputError, match=r"new cannot be written: No space .*; free some space"):
        fail(tmp_path / "new", full)
    assert names(tmp_path) == set()


def test_a_kill_leaves_nothing_that_looks_whole_and_the_next_run_tidies_up(tmp_path: Path) -> None:
    code = (
        "import os, signal, sys\n"
        "from lamplighter.files.folders import new_folder\n"
        "with new_folder(sys.argv[1]) as folder:\n"
        "    (folder / 'half.txt').write_text('half')\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    target = tmp_path / "new"
    done = subprocess.run([sys.executable, "-c", code, str(target)], check=False, timeout=60)
    assert done.returncode == -signal.SIGKILL
    assert not target.exists()
    with new_folder(target) as folder:
        (folder / "whole.txt").write_text("whole")
    assert names(tmp_path) == {"new", "new/whole.txt"}


def test_what_is_not_ours_is_left_alone(tmp_path: Path) -> None:
    mine = tmp_path / ".new.partial"
    mine.mkdir()
    (mine / "a.txt").write_text("a")
    with (
        pytest.raises(OutputError, match=r"\.new\.partial is needed .*; rename or remove it"),
        new_folder(tmp_path / "new"),
    ):
        raise AssertionError
    assert (mine / "a.txt").read_text() == "a"
    with pytest.raises(OutputError):
        own_folder(mine, keep=True)


def test_places_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for bad, message in [
        (tmp_path / "file", "must be a new or an empty folder"),
        (tmp_path, "must be a new or an empty folder"),
        (tmp_path / "absent" / "new", "there is no folder .*absent; make it first"),
        (tmp_path / ("x" * 300), "cannot be written"),
        (tmp_path / "null\0", "cannot be written"),
    ]:
        with pytest.raises(OutputError, match=message), new_folder(bad):
            raise AssertionError
    assert names(tmp_path) == {"file"}
