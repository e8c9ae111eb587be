"""Files that move, are touched, replaced or vanish."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

import pytest

from lamplighter.workspace.checking import MarkedFile
from lamplighter.workspace.following import Follower
from tests.workspace.conftest import labels, write

if TYPE_CHECKING:
    from pathlib import Path


def age(file: Path, seconds: float = 100.0) -> None:
    """Let a file have been changed that much earlier."""
    status = file.stat()
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns - int(seconds * 1e9)))


def test_a_file_that_is_moved_or_renamed_keeps_its_label(opened, photos):
    # RectLabel: after files were moved to another folder their labels are gone.
    with opened() as before:
        before.label(["cats/1.jpg", "cats/2.jpg"], "dogs")
        before.set_aside("cats/3.jpg", "dark")
    (photos / "new").mkdir()
    (photos / "cats/1.jpg").rename(photos / "new" / "1.jpg")
    (photos / "cats/2.jpg").rename(photos / "dogs" / "other.jpg")
    (photos / "cats/3.jpg").rename(photos / "dogs" / "3.jpg")

    workspace = opened()

    assert labels(workspace)["new/1.jpg"] == "dogs"
    assert labels(workspace)["dogs/other.jpg"] == "dogs"
    assert workspace.files().set_aside[-1].path == "dogs/3.jpg"
    assert workspace.check().moved == (
        ("cats/1.jpg", "new/1.jpg"),
        ("cats/2.jpg", "dogs/other.jpg"),
        ("cats/3.jpg", "dogs/3.jpg"),
    )
    assert any("3 files found again by content" in note for note in workspace.files().notes)
    assert opened().check().moved == ()  # written down
    workspace.undo(2)  # a step is undone where its files are now
    assert labels(workspace)["new/1.jpg"] == "new"
    assert labels(workspace)["dogs/3.jpg"] == "dogs"


def test_a_folder_copied_elsewhere_brings_its_labels(opened, photos, tmp_path):
    with opened() as before:
        before.label("cats/1.jpg", "dogs")
    shutil.copytree(photos, tmp_path / "copy", copy_function=shutil.copyfile)

    copy = opened(tmp_path / "copy")

    assert labels(copy)["cats/1.jpg"] == "dogs"
    assert copy.check().vanished == copy.check().changed == ()


def test_a_file_put_in_the_place_of_another_does_not_get_its_label(opened, photos):
    with opened() as before:
        before.label("cats/1.jpg", "dogs")
    content = (photos / "cats/1.jpg").read_bytes()
    (photos / "cats/1.jpg").write_bytes(content[::-1])  # of the same size

    workspace = opened()

    assert labels(workspace)["cats/1.jpg"] == "cats"
    assert workspace.check().changed == (MarkedFile("cats/1.jpg", "dogs"),)
    assert "cats/1.jpg; what was said of them does not count" in workspace.files().notes[-1]
    workspace.set_aside("cats/1.jpg", "another one")  # said of the new one
    assert workspace.check().changed == ()
    workspace.undo()
    (photos / "cats/1.jpg").write_bytes(content)  # the old one, from a backup
    assert labels(opened())["cats/1.jpg"] == "dogs"


def test_two_files_that_changed_places_keep_their_labels(opened, photos):
    with opened() as before:
        before.label("cats/1.jpg", "dogs")
        before.label("dogs/1.jpg", "cats")
    for old, new in (("cats/1.jpg", "x"), ("dogs/1.jpg", "cats/1.jpg"), ("x", "dogs/1.jpg")):
        (photos / old).rename(photos / new)

    workspace = opened()

    assert labels(workspace)["dogs/1.jpg"] == "dogs"  # was cats/1.jpg
    assert labels(workspace)["cats/1.jpg"] == "cats"
    assert len(workspace.check().moved) == 2


def test_a_file_that_was_touched_is_the_same(opened, photos):
    with opened() as before:
        before.label("cats/1.jpg", "dogs")
    age(photos / "cats/1.jpg")

    workspace = opened()

    assert labels(workspace)["cats/1.jpg"] == "dogs"
    age(photos / "cats/1.jpg")
    workspace.label("cats/1.jpg", "cats")  # while it is open
    assert labels(workspace)["cats/1.jpg"] == "cats"
    assert workspace.undo()[0].action.paths == ("cats/1.jpg",)
    assert labels(opened())["cats/1.jpg"] == "dogs"


def test_a_change_that_keeps_size_and_time_is_found_by_reading(opened, photos):
    workspace, file = opened(), photos / "cats/1.jpg"
    workspace.label("cats/1.jpg", "dogs")
    status = file.stat()
    file.write_bytes(file.read_bytes()[::-1])
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))

    assert opened().check().changed == ()
    assert opened().check(reread=True).changed == (MarkedFile("cats/1.jpg", "dogs"),)


def test_files_that_vanish_or_come_are_told_and_accepted(opened, photos):
    workspace = opened()
    workspace.label("cats/1.jpg", "dogs")
    for path in ("cats/1.jpg", "dogs/1.jpg"):
        (photos / path).unlink()
    (photos / "dogs/2.jpg").write_bytes(b"longer than it was before, by far")
    write(photos, "dogs/9.jpg")

    workspace.rescan()
    found = workspace.check()

    assert found.vanished == (MarkedFile("cats/1.jpg", "dogs"), MarkedFile("dogs/1.jpg"))
    assert found.changed == (MarkedFile("dogs/2.jpg"),)
    assert found.new == ("dogs/9.jpg",)
    workspace.accept()
    found = opened().check()
    assert found.vanished == (MarkedFile("cats/1.jpg", "dogs"),)  # what was said of it is kept
    assert found.changed == found.new == ()


def test_a_file_that_vanishes_while_the_folder_is_open_is_told(opened, photos):
    workspace = opened()
    workspace.label("dogs/1.jpg", "cats")
    (photos / "cats/1.jpg").unlink()

    with pytest.raises(ValueError, match=r"cats/1\.jpg has vanished since .*nothing is changed"):
        workspace.label(["cats/1.jpg", "cats/2.jpg"], "dogs")
    assert labels(opened())["cats/2.jpg"] == "cats"


def test_copies_of_a_labelled_file_get_nothing(opened, photos):
    with opened() as before:
        before.label("cats/1.jpg", "dogs")
    shutil.copyfile(photos / "cats/1.jpg", photos / "cats/copy.jpg")

    workspace = opened()

    assert labels(workspace)["cats/1.jpg"] == "dogs"
    assert labels(workspace)["cats/copy.jpg"] == "cats"


def test_which_of_two_copies_a_file_has_become_is_not_guessed(opened, photos):
    with opened() as before:
        before.label("cats/1.jpg", "dogs")
    for name in ("x.jpg", "y.jpg"):
        shutil.copyfile(photos / "cats/1.jpg", photos / "cats" / name)
    (photos / "cats/1.jpg").unlink()

    workspace = opened()

    assert labels(workspace)["cats/x.jpg"] == labels(workspace)["cats/y.jpg"] == "cats"
    assert workspace.check().vanished == (MarkedFile("cats/1.jpg", "dogs"),)


def test_copies_that_move_together_are_told_by_their_names(opened, tmp_path):
    folder = write(tmp_path / "same", "a/0.jpg")
    for name in ("1", "2", "3"):
        (folder / "a" / f"{name}.jpg").write_bytes(b"the same")
    with opened(folder) as before:
        for name in ("b", "c"):
            before.add_class(name)
        before.label("a/1.jpg", "b")
        before.label("a/2.jpg", "c")
    (folder / "a").rename(folder / "z")

    workspace = opened(folder)

    expected = {"z/0.jpg": "z", "z/1.jpg": "b", "z/2.jpg": "c", "z/3.jpg": "z"}
    assert labels(workspace) == expected


def test_files_are_read_once_to_find_one_that_moved(opened, photos, monkeypatch):
    with opened() as before:
        before.label("cats/1.jpg", "dogs")
    (photos / "cats/1.jpg").unlink()
    read = []
    content = Follower.content
    monkeypatch.setattr(
        Follower, "content", lambda self, path: read.append(path) or content(self, path)
    )

    opened()
    assert read  # those of the same size
    read.clear()
    opened().files()
    assert read == []


def test_a_label_never_waits_for_a_file_to_be_read(opened, photos):
    workspace = opened(read_later=True)
    workspace.label(["cats/1.jpg", "cats/2.jpg"], "dogs")
    (photos / "cats/1.jpg").rename(photos / "cats/moved.jpg")  # before it was read

    assert workspace.read_contents() == 1
    assert workspace.read_contents() == 0
    (photos / "cats/2.jpg").rename(photos / "cats/known.jpg")
    again = opened()
    assert labels(again)["cats/known.jpg"] == "dogs"
    assert again.check().vanished == (MarkedFile("cats/1.jpg", "dogs"),)  # kept, and told


def test_what_a_step_may_bring_back_is_not_forgotten(opened, photos):
    workspace = opened()
    workspace.label("cats/1.jpg", "dogs")
    workspace.undo()
    content = (photos / "cats/1.jpg").read_bytes()
    (photos / "cats/1.jpg").unlink()
    workspace.rescan()
    workspace.accept()
    (photos / "cats/1.jpg").write_bytes(content)
    workspace.rescan()
    assert labels(workspace)["cats/1.jpg"] == "cats"

    workspace.redo()

    assert labels(workspace)["cats/1.jpg"] == "dogs"
