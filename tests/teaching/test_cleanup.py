"""What a sandbox takes in, and what it clears away."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from lamplighter.errors import LabError
from lamplighter.teaching import cleanup
from lamplighter.teaching.cleanup import PREFIX, copy_files, remove, remove_stale, temporary_folder


@pytest.fixture
def temporary(tmp_path, monkeypatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(cleanup, "_LONGEST", 500)
    return tmp_path


def test_folders_of_ended_processes_alone_are_removed(temporary):
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    stale, own, other = (
        temporary / f"{PREFIX}{ended.pid}-x", temporary / f"{PREFIX}{os.getpid()}-x",
        temporary / f"{PREFIX}notes",
    )  # fmt: skip
    for folder in (stale, own, other):
        (folder / "lab").mkdir(parents=True)
    remove_stale()
    assert [folder.exists() for folder in (stale, own, other)] == [False, True, True]


def test_what_lies_beside_is_copied_but_no_links_notebooks_or_hidden_files(tmp_path):
    folder = tmp_path / "mine"
    (folder / "photos").mkdir(parents=True)
    (folder / "photos" / "a.jpg").write_bytes(b"a")
    (folder / "other.ipynb").write_text("{}")
    (folder / ".env").write_text("secret")
    (folder / "link").symlink_to("/etc/hostname")
    copy_files(folder, tmp_path / "copy")
    found = sorted(path.name for path in (tmp_path / "copy").rglob("*") if path.is_file())
    assert found == ["a.jpg"]


def test_a_large_folder_is_refused(tmp_path, monkeypatch):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "film").write_bytes(b"x" * 2000)
    monkeypatch.setattr(cleanup, "FOLDER_SIZE", 1000)
    with pytest.raises(LabError, match="folder of its own"):
        copy_files(tmp_path / "mine", tmp_path / "copy")


def test_a_folder_without_rights_is_removed_too(tmp_path):
    root = tmp_path / "root"
    (root / "a" / "b").mkdir(parents=True)
    (root / "a" / "b").chmod(0)
    (root / "a").chmod(0o500)
    remove(root)
    assert not root.exists()


def test_removing_follows_no_link(tmp_path):
    other, root = tmp_path / "other", tmp_path / "root"
    (other / "folder").mkdir(parents=True)
    (root / "a").mkdir(parents=True)
    (root / "a" / "way").symlink_to(other)
    (tmp_path / "link").symlink_to(other)
    for path in (other / "folder", other, tmp_path):
        path.chmod(0o750)
    remove(root)
    remove(tmp_path / "link")
    assert not root.exists()
    assert [path.stat().st_mode & 0o777 for path in (tmp_path, other, other / "folder")] == [
        0o750
    ] * 3


def test_a_long_way_to_the_temporary_folder_is_avoided(monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", "/" + "x" * 100)
    assert str(temporary_folder()) == "/tmp"
