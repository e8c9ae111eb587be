"""Labels written as a manifest or as a new folder."""

from __future__ import annotations

import csv
import hashlib
import os
import shutil
from pathlib import Path

import pytest

from lamplighter.datasets.folders import find_files
from lamplighter.errors import OutputError, WorkspaceError
from lamplighter.workspace import applying
from tests.workspace.conftest import labels, write
from tests.workspace.test_workspace import ODD, ODDEST


def hashes(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of each file below a folder but the journal."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and "lamplighter" not in path.name
    }


def read(target: Path) -> dict[str, str]:
    """Return the class of each file of a data set, by its name alone."""
    files = find_files(target)
    names = [*files.class_names, ""]
    return {path: names[label] for path, label in zip(files.paths, files.labels, strict=True)}


@pytest.fixture
def worked_on(workspace):
    workspace.label("lost.jpg", "dogs")
    workspace.set_aside("cats/3.jpg", "dark")
    workspace.rename_class("cats", "cat")
    return workspace


def test_a_manifest_says_what_holds_and_the_photos_stay(worked_on, photos, tmp_path):
    before = hashes(photos)

    applied = worked_on.apply(tmp_path / "labels.csv")

    with (tmp_path / "labels.csv").open(newline="") as file:
        rows = list(csv.reader(file))
    assert rows == [
        ["path", "label", "split", "group"],
        ["photos/cats/1.jpg", "cat", "", ""],
        ["photos/cats/2.jpg", "cat", "", ""],
        ["photos/dogs/1.jpg", "dogs", "", ""],
        ["photos/dogs/2.jpg", "dogs", "", ""],
        ["photos/lost.jpg", "dogs", "", ""],
    ]
    assert (applied.images, applied.classes, applied.left_out, applied.unlabelled) == (5, 2, 1, 0)
    assert hashes(photos) == before


def test_a_manifest_elsewhere_has_full_paths_and_tabs_where_it_is_called_so(worked_on, tmp_path):
    (tmp_path / "away").mkdir()
    worked_on.apply(tmp_path / "away" / "labels.tsv")

    found = find_files(tmp_path / "away" / "labels.tsv")
    assert found.files[0] == tmp_path / "photos" / "cats" / "1.jpg"
    assert "\t" in (tmp_path / "away" / "labels.tsv").read_text()


def test_a_manifest_of_splits_groups_and_files_without_label(opened, tmp_path):
    write(tmp_path, "x/1.jpg", "x/2.jpg", "x/3.jpg")
    source = tmp_path / "source.csv"
    source.write_text(
        "path,label,split,group\nx/1.jpg,a,train,g\nx/2.jpg,,test,g\nx/3.jpg,b,train,\n"
    )
    workspace = opened(source)
    workspace.label("x/3.jpg", None)

    applied = workspace.apply(tmp_path / "out.csv")

    found = find_files(tmp_path / "out.csv")
    assert found.paths == ("x/1.jpg", "x/2.jpg", "x/3.jpg")
    assert found.labels.tolist() == [0, -1, -1]
    assert found.splits == ("train", "test", "train")
    assert found.groups == ("g", "g", "")
    assert applied.unlabelled == 2
    assert applied.notes == ("classes without a file are not in it: b.",)


def test_what_is_there_is_kept_unless_forced_and_the_source_always(worked_on, opened, tmp_path):
    target = tmp_path / "labels.csv"
    target.write_text("mine")

    with pytest.raises(OutputError, match="is there already; choose another name, or replace it"):
        worked_on.apply(target)
    assert target.read_text() == "mine"
    worked_on.apply(target, force=True)
    with pytest.raises(OutputError, match="is what is worked on, and stays as it is"):
        opened(target).apply(target, force=True)


def test_odd_names_survive_a_manifest(opened, tmp_path):
    folder = write(tmp_path / "odd", *(f"a/{name}" for name in ODD), "b/1.jpg")
    workspace = opened(folder)
    workspace.label([f"a/{name}" for name in ODD], "b")

    workspace.apply(tmp_path / "odd.csv")

    assert read(tmp_path / "odd.csv") == {
        f"odd/{path}": label for path, label in labels(workspace).items()
    }


def test_a_name_that_no_csv_can_hold_is_named_and_nothing_is_written(opened, tmp_path):
    workspace = opened(write(tmp_path / "odd", f"a/{ODDEST}", "a/1.jpg", "b/1.jpg"))

    with pytest.raises(WorkspaceError, match=r"a manifest is UTF-8, .*caf\\udce9\.jpg.*rename"):
        workspace.apply(tmp_path / "odd.csv")
    assert not (tmp_path / "odd.csv").exists()
    assert list(tmp_path.glob(".*")) == []
    workspace.apply(tmp_path / "folder")  # which can hold it
    assert f"a/{ODDEST}" in read(tmp_path / "folder")


def test_a_manifest_that_would_be_read_otherwise_is_refused(worked_on, tmp_path, monkeypatch):
    monkeypatch.setattr(
        applying, "_written", lambda folder, root, paths: {path: path[-5:] for path in paths}
    )

    with pytest.raises(WorkspaceError, match="cannot be written as a manifest that is read as"):
        worked_on.apply(tmp_path / "labels.csv")
    assert [path.name for path in tmp_path.iterdir()] == ["photos"]


def test_a_new_folder_has_a_folder_for_each_class_and_the_photos_stay(worked_on, photos, tmp_path):
    before = hashes(photos)

    worked_on.apply(tmp_path / "new")

    assert read(tmp_path / "new") == {
        "cat/1.jpg": "cat",
        "cat/2.jpg": "cat",
        "dogs/1.jpg": "dogs",
        "dogs/2.jpg": "dogs",
        "dogs/lost.jpg": "dogs",
    }
    assert hashes(photos) == before
    new = hashes(tmp_path / "new")
    assert new["dogs/lost.jpg"] == before["lost.jpg"]
    (tmp_path / "new" / "cat" / "1.jpg").write_bytes(b"changed")
    assert hashes(photos) == before  # copies


def test_files_that_would_take_one_place_get_a_number(opened, tmp_path):
    folder = write(tmp_path / "p", "a/1.jpg", "a/x/1.jpg", "b/1.JPG", "b/1-2.jpg", "c/2.jpg")
    workspace = opened(folder)
    workspace.merge_classes(["a"], "b")

    workspace.apply(tmp_path / "new")

    there = hashes(tmp_path / "new")
    assert set(there) == {"b/1.jpg", "b/1-2.jpg", "b/1-3.JPG", "b/1-2-2.jpg", "c/2.jpg"}
    assert sorted(there.values()) == sorted(hashes(folder).values())


def test_splits_stay_and_files_without_label_lie_beside_the_classes(opened, tmp_path):
    folder = write(tmp_path / "p", "train/a/1.jpg", "train/b/2.jpg", "val/a/3.jpg", "val/b/4.jpg")
    workspace = opened(folder)
    workspace.label("val/b/4.jpg", None)

    workspace.apply(tmp_path / "new")

    found = find_files(tmp_path / "new")
    assert found.paths == ("train/a/1.jpg", "train/b/2.jpg", "val/4.jpg", "val/a/3.jpg")
    assert found.splits == ("train", "train", "val", "val")
    assert found.labels.tolist() == [0, 1, -1, 0]


def test_links_take_no_space(worked_on, photos, tmp_path):
    worked_on.apply(tmp_path / "new", link=True)

    assert (tmp_path / "new" / "cat" / "1.jpg").samefile(photos / "cats" / "1.jpg")


def test_links_where_there_can_be_none_are_told(worked_on, tmp_path, monkeypatch):
    def other_disk(*_):
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", other_disk)
    with pytest.raises(OutputError, match=r"cross-device link.*the same disk.*copy instead"):
        worked_on.apply(tmp_path / "new", link=True)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("names", [("train", "val"), ("Training", "b")])
def test_folders_that_would_be_read_otherwise_are_refused(opened, photos, tmp_path, names):
    workspace = opened(write(tmp_path / "p", "a/1.jpg", "b/2.jpg"))
    for old, new in zip("ab", names, strict=True):
        if old != new:
            workspace.rename_class(old, new)

    with pytest.raises(WorkspaceError, match=r"cannot be written as folders .*write a manifest"):
        workspace.apply(tmp_path / "new")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["p", "photos"]
    workspace.apply(tmp_path / "new.csv")
    assert read(tmp_path / "new.csv") == {"p/a/1.jpg": names[0], "p/b/2.jpg": names[1]}


def test_a_class_with_a_slash_is_for_a_manifest(opened, tmp_path):
    write(tmp_path, "1.jpg", "2.jpg")
    (tmp_path / "list.csv").write_text("path,label\n1.jpg,../a\n2.jpg,b\n")
    workspace = opened(tmp_path / "list.csv")

    with pytest.raises(WorkspaceError, match=r"the class \.\./a has a slash"):
        workspace.apply(tmp_path.parent / f"{tmp_path.name}-new")
    assert read(workspace.apply(tmp_path / "out.csv").path) == {"1.jpg": "../a", "2.jpg": "b"}


def test_a_class_called_like_the_folder_above_is_for_a_manifest(opened, tmp_path):
    write(tmp_path, "1.jpg", "2.jpg")
    (tmp_path / "list.csv").write_text("path,label\n1.jpg,..\n2.jpg,b\n")

    with pytest.raises(WorkspaceError, match="cannot be written as folders"):
        opened(tmp_path / "list.csv").apply(tmp_path.parent / f"{tmp_path.name}-new")


def test_a_folder_among_the_photos_or_in_use_is_refused(worked_on, photos, tmp_path):
    with pytest.raises(OutputError, match="where it would be read as photos"):
        worked_on.apply(photos / "new")
    with pytest.raises(OutputError, match="must be a new or an empty folder"):
        worked_on.apply(photos)
    assert {path.name for path in tmp_path.iterdir()} == {"photos"}


@pytest.mark.parametrize("failure", [KeyboardInterrupt, OSError(28, "No space left on device")])
def test_stopped_halfway_leaves_nothing(worked_on, photos, tmp_path, monkeypatch, failure):
    before = hashes(photos)
    copied, copy = [], shutil.copyfileobj

    def stop(*arguments):
        if len(copied) == 2:
            raise failure
        copied.append(copy(*arguments))

    monkeypatch.setattr(shutil, "copyfileobj", stop)
    with pytest.raises((KeyboardInterrupt, OutputError)):
        worked_on.apply(tmp_path / "new")
    assert [path.name for path in tmp_path.iterdir()] == ["photos"]
    assert hashes(photos) == before


def test_a_photo_that_vanished_is_named_and_nothing_is_written(worked_on, photos, tmp_path):
    (photos / "dogs" / "2.jpg").unlink()

    for link in (False, True):
        with pytest.raises(WorkspaceError, match=r"dogs/2\.jpg cannot be read .*nothing is writ"):
            worked_on.apply(tmp_path / "new", link=link)
    assert not (tmp_path / "new").exists()


def test_nothing_left_to_write_is_told(workspace, tmp_path):
    workspace.set_aside(workspace.select(["."]), "all")

    with pytest.raises(WorkspaceError, match="received none: all are set aside"):
        workspace.apply(tmp_path / "labels.csv")


def test_groups_are_said_to_be_lost_in_folders(opened, tmp_path):
    write(tmp_path, "1.jpg", "2.jpg")
    (tmp_path / "list.csv").write_text("path,label,group\n1.jpg,a,g\n2.jpg,b,g\n")

    applied = opened(tmp_path / "list.csv").apply(tmp_path.parent / f"{tmp_path.name}-new")

    assert applied.notes == ("groups are not in folders; a manifest, NAME.csv, has them.",)
