"""Where the journal lies."""

from __future__ import annotations

import os
import shutil
import sqlite3
from pathlib import Path

import pytest

from lamplighter.datasets.walking import walk
from lamplighter.errors import OutputError, WorkspaceError
from lamplighter.workspace import location
from lamplighter.workspace.location import NAME, journal_path
from tests.workspace.conftest import labels, write


@pytest.fixture
def read_only(photos, monkeypatch) -> Path:
    """The folder, which may only be read; permissions do not hold for root."""
    writable = location._writable
    monkeypatch.setattr(
        location, "_writable", lambda path: not path.is_relative_to(photos) and writable(path)
    )
    return photos


def test_it_is_no_image_and_no_class_and_goes_along_with_the_folder(opened, photos):
    with opened() as workspace:
        workspace.label("lost.jpg", "cats")
        assert {path.name for path in photos.iterdir()} >= {NAME, f"{NAME}-wal"}
        found = walk(photos)
        assert [path for path in found[0] if "lamplighter" in path] == []
        assert found[1] == []
    assert [path for path in photos.iterdir() if path.is_dir()] == [
        path for path in photos.iterdir() if path.name in ("cats", "dogs")
    ]
    photos.rename(photos.with_name("moved"))
    assert labels(opened(photos.with_name("moved")))["lost.jpg"] == "cats"


def test_a_folder_that_may_only_be_read_has_it_in_the_data_folder(opened, read_only, data_home):
    with opened() as workspace:
        workspace.label("lost.jpg", "cats")
        assert workspace.journal.is_relative_to(data_home)
        assert "may not be written: the journal is" in workspace.files().notes[-1]
    assert sorted(path.name for path in read_only.iterdir()) == ["cats", "dogs", "lost.jpg"]
    assert labels(opened())["lost.jpg"] == "cats"


def test_links_to_a_folder_lead_to_one_journal(opened, read_only, tmp_path):
    (tmp_path / "link").symlink_to(read_only)

    assert journal_path(tmp_path / "link")[0] == journal_path(read_only)[0]


def test_a_journal_that_may_only_be_read_is_begun_from(opened, photos, monkeypatch):
    there = opened()
    there.label("lost.jpg", "cats")  # in the -wal file alone, as after a kill
    monkeypatch.setattr(location, "_writable", lambda path: False)

    with opened() as workspace:
        assert labels(workspace)["lost.jpg"] == "cats"
        assert "begun as a copy of" in workspace.files().notes[-1]
        workspace.label("lost.jpg", "dogs")
    assert labels(there)["lost.jpg"] == "cats"
    monkeypatch.setattr(location, "_writable", lambda path: True)
    assert labels(opened())["lost.jpg"] == "dogs"  # what was done since is not lost


def test_what_was_done_while_it_could_not_be_written_comes_first(opened, read_only, monkeypatch):
    with opened() as workspace:
        workspace.label("lost.jpg", "cats")
    monkeypatch.setattr(location, "_writable", lambda path: True)

    again = opened()

    assert labels(again)["lost.jpg"] == "cats"
    assert "the journal is" in again.files().notes[-1]


def test_a_damaged_journal_that_may_only_be_read_is_told(read_only):
    (read_only / NAME).write_bytes(b"SQLite format 3\0" + bytes(100))

    with pytest.raises(WorkspaceError, match=r"may only be read, and cannot be copied"):
        journal_path(read_only)
    assert list(Path(os.environ["XDG_DATA_HOME"]).rglob("*.sqlite*")) == []


def test_nowhere_to_write_is_told(read_only, data_home):
    shutil.rmtree(data_home)
    data_home.write_text("a file")

    with pytest.raises(
        OutputError, match=r"cannot be made for the labels of .*make one of the two"
    ):
        journal_path(read_only)


def test_a_zip_file_has_it_beside_it(opened, photos, tmp_path):
    archive = shutil.make_archive(str(tmp_path / "pictures"), "zip", photos)
    with opened(Path(archive)) as workspace:
        workspace.label("lost.jpg", "cats")
        assert workspace.journal == tmp_path / f".pictures.zip{NAME}"
    assert labels(opened(Path(archive)))["lost.jpg"] == "cats"


def test_a_manifest_has_it_beside_it(opened, photos, tmp_path):
    manifest = tmp_path / "list.csv"
    manifest.write_text("path,label\nphotos/cats/1.jpg,x\nphotos/lost.jpg,y\n")
    before = manifest.read_bytes()
    with opened(manifest) as workspace:
        workspace.label("photos/lost.jpg", "x")
        assert workspace.journal == tmp_path / f".list.csv{NAME}"
    assert labels(opened(manifest)) == {"photos/cats/1.jpg": "x", "photos/lost.jpg": "x"}
    assert manifest.read_bytes() == before


def test_a_name_too_long_for_a_journal_beside_it(tmp_path, photos, data_home):
    manifest = tmp_path / f"{'x' * 245}.csv"
    manifest.write_text("path,label\nphotos/cats/1.jpg,x\n")

    assert journal_path(manifest)[0].is_relative_to(data_home)


def test_a_copied_journal_is_whole(opened, photos, monkeypatch):
    with opened() as workspace:
        workspace.label("lost.jpg", "cats")
    monkeypatch.setattr(location, "_writable", lambda path: False)

    kept, _ = journal_path(photos)

    connection = sqlite3.connect(kept)
    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert list(kept.parent.iterdir()) == [kept]
    connection.close()
    write(photos, "cats/7.jpg")
    assert journal_path(photos)[0] == kept
