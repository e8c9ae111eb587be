from __future__ import annotations

import contextlib
import os
import re
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from lamplighter.datasets.folders import find_files, scan_folder
from lamplighter.errors import DatasetError, MissingDatasetError
from lamplighter.files.naming import IMAGE_SUFFIXES
from tests.datasets.planted import put

if TYPE_CHECKING:
    from lamplighter.datasets.files import ImageFiles


def found(files: ImageFiles) -> list[tuple[str, str | None, str]]:
    """The path, class and split of each file."""
    names = [files.class_names[label] if label >= 0 else None for label in files.labels]
    return list(zip(files.paths, names, files.splits, strict=True))


def reasons(files: ImageFiles) -> dict[str, str]:
    return {left_out.path: left_out.reason for left_out in files.set_aside}


def test_a_folder_is_a_class_with_all_that_lies_below(tmp_path: Path) -> None:
    put(tmp_path, "dog/b.png", "dog/a.png", "cat/2024/may/c.jpg", "cat/z.PNG")
    files = scan_folder(tmp_path)
    assert found(files) == [
        ("cat/2024/may/c.jpg", "cat", ""),
        ("cat/z.PNG", "cat", ""),
        ("dog/a.png", "dog", ""),
        ("dog/b.png", "dog", ""),
    ]
    assert files.class_names == ("cat", "dog")
    assert (files.name, files.root, files.set_aside) == (tmp_path.name, tmp_path, ())
    assert all(path.is_file() for path in files.files)


@pytest.mark.parametrize("validation", ["val", "Valid", "VALIDATION"])
def test_top_folders_named_as_splits_are_splits(tmp_path: Path, validation: str) -> None:
    put(tmp_path, "Train/cat/a.png", f"{validation}/dog/b.png", "TEST/cat/c.png")
    put(tmp_path, "test-Other artist/cat/d.png", "test_rain/x/e.png", "train/cow/f.png")
    assert sorted(found(scan_folder(tmp_path))) == sorted(
        [
            ("Train/cat/a.png", "cat", "train"),
            (f"{validation}/dog/b.png", "dog", "val"),
            ("TEST/cat/c.png", "cat", "test"),
            ("test-Other artist/cat/d.png", "cat", "test-Other artist"),
            ("test_rain/x/e.png", "x", "test-rain"),
            ("train/cow/f.png", "cow", "train"),
        ]
    )


def test_a_folder_without_images_does_not_hide_the_splits(tmp_path: Path) -> None:
    put(tmp_path, "train/cat/a.png", "test/cat/b.png")
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "log.txt").write_text("hello")
    files = scan_folder(tmp_path)
    assert files.split_names == ("train", "test")
    assert list(reasons(files)) == ["logs/log.txt"]


def test_an_empty_folder_is_no_class_and_is_told(tmp_path: Path) -> None:
    put(tmp_path, "cats/1.png", "dogs/2.png")
    assert find_files(tmp_path).notes == ()
    (tmp_path / "birds").mkdir()
    files = find_files(tmp_path)
    assert files.class_names == ("cats", "dogs")
    assert files.notes == (
        "birds is an empty folder, and no class; put images into it, or remove it.",
    )
    (tmp_path / "birds" / ".DS_Store").touch()
    (tmp_path / "fish").mkdir()
    assert find_files(tmp_path).notes == (
        "birds, fish are empty folders, and no classes; put images into them, or remove them.",
    )


def test_a_class_may_be_called_like_a_split(tmp_path: Path) -> None:
    put(tmp_path, "train/a.png", "plane/b.png", "ship/test/c.png")
    assert [(name, split) for _, name, split in found(scan_folder(tmp_path))] == [
        ("plane", ""),
        ("ship", ""),
        ("train", ""),
    ]


def test_splits_beside_other_folders_are_refused(tmp_path: Path) -> None:
    put(tmp_path, "train/cat/a.png", "valid/cat/b.png", "more/cat/c.png")
    with pytest.raises(DatasetError, match=r"splits \(train, valid\) beside others \(more\); move"):
        scan_folder(tmp_path)


def test_images_outside_the_classes_have_no_label(tmp_path: Path) -> None:
    put(tmp_path, "b.png", "a.jpg")
    assert found(scan_folder(tmp_path)) == [("a.jpg", None, ""), ("b.png", None, "")]
    put(tmp_path, "cat/c.png")
    assert found(scan_folder(tmp_path))[2] == ("cat/c.png", "cat", "")
    splits = tmp_path / "splits"
    put(splits, "train/cat/a.png", "test/b.png")
    assert found(scan_folder(splits))[0] == ("test/b.png", None, "test")


def test_litter_is_ignored_and_other_files_are_named(tmp_path: Path) -> None:
    put(tmp_path, "cat/a.png", ".hidden/b.png", "__MACOSX/cat/d.png", "cat/.c.png")
    for name in ("Thumbs.db", ".DS_Store", "desktop.ini"):
        (tmp_path / "cat" / name).write_bytes(b"x")
    for name in ("notes.txt", "noname", "film.mp4"):
        (tmp_path / "cat" / name).write_bytes(b"x")
    files = scan_folder(tmp_path)
    assert files.paths == ("cat/a.png",)
    assert list(reasons(files)) == ["cat/film.mp4", "cat/noname", "cat/notes.txt"]
    aside = reasons(files)
    assert aside.pop("cat/film.mp4").startswith("not an image by its name: a video")
    assert set(aside.values()) == {
        "not an image by its name; give it the suffix of its format if it is one."
    }


def test_pillow_knows_every_suffix() -> None:
    heif = {".heic", ".heics", ".heif", ".heifs", ".hif"}
    assert set(Image.registered_extensions()) | heif >= IMAGE_SUFFIXES


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ("photo", "no folder .*photo; did you mean '.*photos'"),
        ("phots/cat", "no folder .*; did you mean '.*photos/cat'"),
        ("nothing/cat", "no folder .*cat; check the name"),
        ("emojis", "for the data set emoji: lamplighter data emoji DIR"),
        ("mnst", "for the data set mnist: lamplighter train mnist"),
    ],
)
def test_a_missing_root_names_its_neighbours(tmp_path: Path, asked: str, told: str) -> None:
    (tmp_path / "photos" / "cat").mkdir(parents=True)
    with pytest.raises(DatasetError, match=told):
        scan_folder(tmp_path / asked)


@pytest.mark.parametrize("make", [lambda path: None, Path.mkdir, lambda path: path.write_text("")])
def test_a_root_without_images(tmp_path: Path, make) -> None:
    root = tmp_path / "root"
    make(root)
    with pytest.raises(DatasetError) as caught:
        scan_folder(root)
    assert "root" in str(caught.value)
    assert re.search("no folder|must hold images|must be a folder", str(caught.value))
    assert "\n" not in str(caught.value)


def test_an_empty_folder_says_what_was_there_instead(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("")
    (tmp_path / "b.txt").write_text("")
    with pytest.raises(DatasetError, match=r"a\.txt: not an image by its name.*, and 1 more"):
        scan_folder(tmp_path)


names = st.sampled_from(
    ["train", "Val", "test-a", "seg_test", "fold1", "cat", "1.png", "b.JPG", "c.txt", ".d.png", "e"]
)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.lists(names, min_size=1, max_size=4), min_size=1, max_size=8))
def test_no_file_is_left_out_in_silence(
    tmp_path_factory: pytest.TempPathFactory, wanted: list[list[str]]
) -> None:
    root = tmp_path_factory.mktemp("tree")
    for parts in wanted:
        path = root.joinpath(*parts)
        with contextlib.suppress(OSError):  # a file where a folder should be, or the other way
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch(exist_ok=True)
    there = {
        path.relative_to(root).as_posix()
        for path in root.rglob("*")
        if path.is_file() and not {".d.png"} & set(path.relative_to(root).parts)
    }
    try:
        files = scan_folder(root)
    except DatasetError as error:
        assert re.search("must hold images|beside|in common|look like parts", str(error))  # noqa: PT017
    else:
        assert {*files.paths, *reasons(files)} == there
        assert len(files.paths) + len(files.set_aside) == len(there)


def test_links_are_followed_and_loops_are_not(tmp_path: Path) -> None:
    root, elsewhere = tmp_path / "root", tmp_path / "elsewhere"
    put(root, "cat/a.png", "cat/kittens/b.png")
    put(elsewhere, "one.png", "two.png")
    (root / "dog").symlink_to(elsewhere)
    (root / "cat" / "linked.png").symlink_to(elsewhere / "one.png")
    (root / "cat" / "kittens" / "loop").symlink_to(root / "cat")
    (root / "above").symlink_to(tmp_path)
    (root / "a-second-dog").symlink_to(root / "cat" / "kittens")
    (root / "cat" / "gone.png").symlink_to(tmp_path / "nothing.png")
    (root / "cat" / "self.png").symlink_to(root / "cat" / "self.png")
    files = scan_folder(root)
    assert files.paths == (
        "cat/a.png",
        "cat/kittens/b.png",
        "cat/linked.png",
        "dog/one.png",
        "dog/two.png",
    )
    said = reasons(files)
    assert list(said) == [
        "a-second-dog", "above", "cat/gone.png", "cat/kittens/loop", "cat/self.png",
    ]  # fmt: skip
    assert said["cat/kittens/loop"].startswith("a link to cat, a folder that is read already")
    assert "a link to nothing, or to itself" in said["cat/gone.png"]
    assert said["cat/self.png"] == said["cat/gone.png"]


def test_what_is_no_file_is_named(tmp_path: Path) -> None:
    put(tmp_path, "cat/a.png", "cat/folder.png/b.png")
    os.mkfifo(tmp_path / "cat" / "pipe.png")
    files = scan_folder(tmp_path)
    assert files.paths == ("cat/a.png", "cat/folder.png/b.png")
    assert reasons(files) == {"cat/pipe.png": "not a regular file; copy the image into one."}


def test_a_folder_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path, "cat/a.png", "dog/b.png")
    scandir = os.scandir

    def refuse(path: Path):
        if Path(path) in refused:
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr("os.scandir", refuse)
    refused = [tmp_path / "dog"]
    files = scan_folder(tmp_path)
    assert files.paths == ("cat/a.png",)
    assert reasons(files) == {"dog": "may not be read; change its permissions."}
    refused = [tmp_path]
    with pytest.raises(DatasetError, match=r"may not be read; change its permissions\."):
        scan_folder(tmp_path)


@pytest.mark.parametrize(
    ("pattern", "groups"),
    [
        (None, ["", "", ""]),
        (r"^\w\d", ["b1", "b2", ""]),
        (r"_(\d+)", ["7", "7", ""]),
        (r"x(\d)|b(\d)", ["1", "2", ""]),
        (r"z*", ["", "", ""]),
    ],
)
def test_groups_come_from_the_names(tmp_path: Path, pattern: str | None, groups: list[str]) -> None:
    put(tmp_path, "b1_9/b1_7.png", "b1_9/b2_7.png", "b1_9/else.png")
    files = scan_folder(tmp_path, group=pattern)
    assert list(files.groups) == groups
    if pattern == r"_(\d+)":
        assert files.notes == (
            "groups by _(\\d+): 1, with 2 files in them; files in no group, each on its own: 1.",
        )


def test_a_bad_pattern_is_refused(tmp_path: Path) -> None:
    put(tmp_path, "cat/a.png")
    with pytest.raises(DatasetError, match=r"regular expression, received '\(' \(missing \)"):
        scan_folder(tmp_path, group="(")


def test_find_files_takes_folders_and_csv_files(tmp_path: Path) -> None:
    put(tmp_path, "cat/a.png")
    (tmp_path / "list.csv").write_text("path,label\ncat/a.png,tiger\n")
    assert find_files(str(tmp_path)).class_names == ("cat",)
    assert find_files(tmp_path / "list.csv").class_names == ("tiger",)
    with pytest.raises(DatasetError, match=r"a\.png must be a folder of images, a zip"):
        find_files(tmp_path / "cat" / "a.png")
    with pytest.raises(DatasetError, match=r"no file .*none\.csv"):
        find_files(tmp_path / "none.csv")


def test_the_photos_of_boats(boats: Path) -> None:
    files = scan_folder(boats)
    by_hand = Counter(path.parts[-3] for path in boats.glob("*/*/*.jpg"))
    assert Counter(files.splits) == {
        "train": by_hand["train"],
        "val": by_hand["valid"],
        "test": by_hand["test"],
    }
    assert files.set_aside == ()
    assert len(files.class_names) == 24


def test_tables_that_disagree_are_refused(tmp_path: Path) -> None:
    put(tmp_path, "a.png", "b.png")
    (tmp_path / "one.csv").write_text("path,label,group\na.png,cat,g\nb.png,dog,\n")
    files = scan_folder(tmp_path, group=r"^b")
    assert (files.class_names, files.groups) == (("cat", "dog"), ("g", "b"))
    (tmp_path / "two.csv").write_text("path,label\na.png,dog\n")
    with pytest.raises(
        DatasetError, match=r"a\.png must have one label, received 'cat' in one\.csv and 'dog' in"
    ):
        scan_folder(tmp_path)


def test_a_table_that_cannot_be_read_is_named_where_labels_are_missing(tmp_path: Path) -> None:
    put(tmp_path, "a.png")
    (tmp_path / "one.csv").write_text("when,where\n1,2\n")
    (note,) = scan_folder(tmp_path).notes
    assert note.startswith("no labels are taken from one.csv: ")
    assert "the first line must name the columns path and label" in note
    put(tmp_path, "cat/b.png")
    assert scan_folder(tmp_path).notes == ()


def test_a_folder_without_images_is_taken_where_they_are_yet_to_come(tmp_path):
    (tmp_path / "notes.txt").write_text("cups and pens")
    (tmp_path / "cups").mkdir()
    with pytest.raises(DatasetError, match="must hold images"):
        scan_folder(tmp_path)
    files = find_files(tmp_path, empty=True)
    assert (len(files), files.class_names) == (0, ())
    assert "cups is an empty folder, and no class" in files.notes[0]
    assert [one.path for one in files.set_aside] == ["notes.txt"]
    with pytest.raises(MissingDatasetError):
        scan_folder(tmp_path / "elsewhere", empty=True)
