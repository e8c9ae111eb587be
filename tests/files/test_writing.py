import errno
import os
import stat
import subprocess
import sys

import pytest

from lamplighter.errors import OutputError
from lamplighter.files.writing import check_target, written_new, written_whole


@pytest.fixture
def target(tmp_path):
    path = tmp_path / "result.bin"
    path.write_bytes(b"old")
    return path


def only(path):
    """The one file of a folder, to show that no temporary file is left."""
    (file,) = path.parent.iterdir()
    return file


def test_the_content_appears_when_all_is_written(target):
    with written_whole(target) as file:
        file.write(b"new")
        file.flush()
        assert target.read_bytes() == b"old"
    assert only(target).read_bytes() == b"new"


def test_a_new_file_has_the_usual_permissions(tmp_path):
    usual = tmp_path / "usual"
    usual.write_bytes(b"")
    with written_whole(tmp_path / "new") as file:
        file.write(b"new")
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == stat.S_IMODE(usual.stat().st_mode)


def write_half(target, failure):
    with written_whole(target) as file:
        file.write(b"half")
        raise failure


@pytest.mark.parametrize("failure", [KeyboardInterrupt, ValueError, SystemExit])
def test_a_failure_leaves_what_was_there(target, failure):
    with pytest.raises(failure):
        write_half(target, failure)
    assert only(target).read_bytes() == b"old"


def test_a_full_disk_is_named(target):
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    with pytest.raises(OutputError, match=r"result\.bin cannot be written: No space .*; free"):
        write_half(target, full)
    assert only(target).read_bytes() == b"old"


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_disk_that_fills_at_the_end_is_named(target, monkeypatch, step):
    def fail(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, step, fail)
    with pytest.raises(OutputError, match="No space"), written_whole(target) as file:
        file.write(b"all")
    monkeypatch.undo()
    assert only(target).read_bytes() == b"old"


def test_a_real_limit_leaves_what_was_there(target):
    """No monkeypatch: the system refuses a file of more than 10 kB."""
    code = f"""
import resource
from lamplighter.errors import OutputError
from lamplighter.saving.archive import write_archive
resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
try:
    write_archive({str(target)!r}, {{"a": bytes(6_000), "b": bytes(60_000)}})
except OutputError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert "result.bin cannot be written: File too large" in done.stdout
    assert done.stderr == ""
    assert only(target).read_bytes() == b"old"


@pytest.mark.parametrize("name", ["x" * 300, "a\0b"])
def test_an_impossible_name_is_refused(tmp_path, name):
    with pytest.raises(OutputError, match="choose another path"):
        check_target(tmp_path / name)


def test_a_long_name_in_another_script_is_written(tmp_path):
    with written_whole(tmp_path / ("船" * 80)) as file:
        file.write(b"new")
    assert len(list(tmp_path.iterdir())) == 1


def test_a_missing_folder_is_named(tmp_path):
    for use in (check_target, lambda path: written_whole(path).__enter__()):
        with pytest.raises(OutputError, match=r"no folder .*missing; make it"):
            use(tmp_path / "missing" / "result.bin")


def test_a_folder_is_not_replaced(tmp_path):
    (tmp_path / "folder").mkdir()
    with pytest.raises(OutputError, match="folder must be a file"):
        check_target(tmp_path / "folder")


def test_a_link_stays_a_link(target, tmp_path):
    link = tmp_path / "link"
    link.symlink_to(target)
    with written_whole(link) as file:
        file.write(b"new")
    assert link.is_symlink()
    assert target.read_bytes() == b"new"


def test_a_new_file_replaces_nothing(target):
    with pytest.raises(OutputError, match="there already"), written_new(target) as file:
        file.write(b"new")
    assert target.read_bytes() == b"old"
    assert list(target.parent.iterdir()) == [target]


@pytest.mark.parametrize("links", [True, False])
def test_a_new_file_appears_when_all_is_written(tmp_path, monkeypatch, links):
    if not links:
        monkeypatch.setattr(os, "link", lambda *_: (_ for _ in ()).throw(OSError("no links here")))
    path = tmp_path / "new"
    with written_new(path) as file:
        file.write(b"new")
        assert not path.exists()
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]
