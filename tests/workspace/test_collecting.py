"""New images for a class: `find_files` reads them back as such, whatever the layout."""

from __future__ import annotations

import io
import zipfile

import pytest
from PIL import Image

from lamplighter.datasets.folders import find_files
from lamplighter.datasets.recordings import new_recording
from lamplighter.errors import ImageError, OutputError, WorkspaceError
from lamplighter.workspace.collecting import class_folder, write_frame
from lamplighter.workspace.workspace import Workspace
from tests.workspace.conftest import labels, write


def jpeg(colour: str = "red") -> bytes:
    encoded = io.BytesIO()
    Image.new("RGB", (32, 24), colour).save(encoded, "JPEG")
    return encoded.getvalue()


LAYOUTS = {
    "classes": ("cats/1.jpg", "cats/2.jpg", "dogs/1.jpg"),
    "deep": ("cats/home/1.jpg", "cats/home/2.jpg", "dogs/1.jpg"),
    "wrapped": ("data/images/cats/1.jpg", "data/images/cats/2.jpg", "data/images/dogs/1.jpg"),
    "splits": ("train/cats/1.jpg", "train/dogs/1.jpg", "val/cats/1.jpg", "test/cats/1.jpg"),
    "splits of others": ("seg_train/cats/1.jpg", "seg_train/dogs/1.jpg", "seg_test/cats/1.jpg"),
    "splits below": ("cats/train/1.jpg", "cats/test/1.jpg", "dogs/train/1.jpg", "dogs/test/1.jpg"),
    "loose ones beside": ("cats/1.jpg", "dogs/1.jpg", "lost.jpg"),
    "unlabelled": ("cats/1.jpg", "dogs/1.jpg", "unlabelled/1.jpg"),
    "loose ones alone": ("1.jpg", "2.jpg", "3.jpg"),
}


@pytest.mark.parametrize("name", ["cats", "birds"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_it_is_read_back_as_its_class(opened, tmp_path, layout, name):
    photos = write(tmp_path / "mine", *LAYOUTS[layout])
    before = find_files(photos)
    workspace = opened(photos)
    path = write_frame(workspace.folder_for(name), new_recording(), 1, jpeg())
    after = find_files(photos)
    row = after.paths.index(path.relative_to(photos).as_posix())
    assert after.class_names[after.labels[row]] == name
    assert after.splits[row] == ("train" if "train" in before.splits else "")
    assert after.groups[row] == path.name[:-9]
    names = [*after.class_names, ""], [*before.class_names, ""]
    for old, one in enumerate(before.paths):
        new = after.paths.index(one)
        assert after.splits[new] == before.splits[old]
        assert names[0][after.labels[new]] == names[1][before.labels[old]]


@pytest.mark.parametrize("layout", ["splits", "splits of others", "splits below"])
def test_the_split_may_be_named(opened, tmp_path, layout):
    photos = write(tmp_path / "mine", *LAYOUTS[layout])
    path = write_frame(opened(photos).folder_for("cats", split="test"), new_recording(), 1, jpeg())
    files = find_files(photos)
    assert files.splits[files.paths.index(path.relative_to(photos).as_posix())] == "test"
    with pytest.raises(WorkspaceError, match="no split 'val2'"):
        opened(photos).folder_for("cats", split="val2")


def test_a_renamed_class_keeps_its_folder(workspace):
    workspace.rename_class("cats", "felines")
    path = write_frame(workspace.folder_for("felines"), new_recording(), 1, jpeg())
    assert path.parent == workspace.root / "cats"
    workspace.rescan()
    assert labels(workspace)[path.relative_to(workspace.root).as_posix()] == "felines"
    with pytest.raises(WorkspaceError, match="those of the class 'felines'"):
        workspace.folder_for("cats")


def test_a_merged_class_has_the_folder_of_one(workspace):
    workspace.merge_classes(["cats"], "dogs")
    path = write_frame(workspace.folder_for("dogs"), new_recording(), 1, jpeg())
    workspace.rescan()
    assert labels(workspace)[path.relative_to(workspace.root).as_posix()] == "dogs"


def test_a_class_that_was_added_gets_a_folder(workspace):
    workspace.add_class("birds")
    assert workspace.folder_for("birds") == workspace.root / "birds"


def test_the_first_images_of_an_empty_folder(opened, tmp_path):
    folder = tmp_path / "new"
    folder.mkdir()
    with pytest.raises(WorkspaceError, match="choose another name"):
        class_folder(None, folder, ["train"])
    write_frame(folder / class_folder(None, folder, ["cats"]), new_recording(), 1, jpeg())
    assert find_files(folder).class_names == ("cats",)
    write_frame(opened(folder).folder_for("dogs"), new_recording(), 1, jpeg())
    assert find_files(folder).class_names == ("cats", "dogs")


@pytest.mark.parametrize(
    ("layout", "name"),
    [("classes", "test"), ("splits", "unlabelled"), ("classes", "unlabeled"), ("classes", "val")],
)
def test_a_name_that_would_be_read_otherwise(opened, tmp_path, layout, name):
    photos = write(tmp_path / "mine", *LAYOUTS[layout])
    with pytest.raises(WorkspaceError, match="choose another name"):
        opened(photos).folder_for(name)


@pytest.mark.parametrize("name", ["a/b", "", "Cats", ".hidden"])
def test_a_name_that_no_class_can_have(workspace, name):
    with pytest.raises(WorkspaceError):
        workspace.folder_for(name)


def test_a_zip_file_takes_no_images(opened, tmp_path):
    archive = tmp_path / "photos.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for path in LAYOUTS["classes"]:
            file.writestr(path, jpeg())
    with pytest.raises(WorkspaceError, match="zip file, which takes no images; collect into a new"):
        opened(archive).folder_for("cats")


def test_a_manifest_takes_no_images(opened, tmp_path):
    write(tmp_path, "a.jpg", "b.jpg")
    (tmp_path / "list.csv").write_text("path,label\na.jpg,cats\nb.jpg,dogs\n")
    with pytest.raises(WorkspaceError, match="list of files, which takes no images"):
        opened(tmp_path / "list.csv").folder_for("cats")


def test_labels_in_a_table_say_nothing_of_new_images(opened, tmp_path):
    photos = write(tmp_path / "mine", "a.jpg", "b.jpg")
    (photos / "labels.csv").write_text("path,label\na.jpg,cats\nb.jpg,dogs\n")
    with pytest.raises(WorkspaceError, match="stand in a table"):
        opened(photos).folder_for("cats")


def test_nothing_is_overwritten(tmp_path):
    recording = new_recording()
    path = write_frame(tmp_path / "cats", recording, 1, jpeg("red"))
    content = path.read_bytes()
    with pytest.raises(OutputError, match="there already"):
        write_frame(tmp_path / "cats", recording, 1, jpeg("blue"))
    assert path.read_bytes() == content


@pytest.mark.parametrize("data", [b"", b"no image", jpeg()[:300]])
def test_what_is_no_whole_jpeg_is_not_written(tmp_path, data):
    with pytest.raises(ImageError):
        write_frame(tmp_path / "cats", new_recording(), 1, data)
    assert not (tmp_path / "cats").exists()


@pytest.mark.parametrize(("recording", "number"), [("../../evil", 1), ("recording-1", 1)])
def test_what_is_no_recording_is_refused(tmp_path, recording, number):
    with pytest.raises(OutputError, match="no frame of a recording"):
        write_frame(tmp_path, recording, number, jpeg())


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "cats").write_bytes(b"a file")
    with pytest.raises(OutputError, match="cannot be made"):
        write_frame(tmp_path / "cats", new_recording(), 1, jpeg())


def test_the_workspace_follows_what_is_recorded(opened, photos):
    with Workspace.open(photos) as workspace:
        path = write_frame(workspace.folder_for("birds"), new_recording(), 1, jpeg())
        workspace.rescan()
        name = path.relative_to(photos).as_posix()
        workspace.set_aside([name], "blurred")
        assert name not in workspace.files().paths
        workspace.undo()
        assert labels(workspace)[name] == "birds"
    assert path.exists()
