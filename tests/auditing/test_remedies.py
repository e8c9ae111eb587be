from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lamplighter.auditing.findings import Finding
from lamplighter.auditing.remedies import remedies
from lamplighter.datasets.files import ImageFiles

FILES = {  # path: class, split
    "train/cat/1.png": ("cat", "train"),
    "train/cat/2.png": ("cat", "train"),
    "train/dog/3.png": ("dog", "train"),
    "train/4.png": ("", "train"),
    "val/cat/5.png": ("cat", "val"),
    "test/cat/6.png": ("cat", "test"),
    "test/Cat/7.png": ("Cat", "test"),
}


def _files(*without: str) -> ImageFiles:
    names = sorted({label for label, _ in FILES.values()} - {""})
    paths = tuple(FILES)
    files = ImageFiles(
        name="pets",
        root=Path("pets"),
        paths=paths,
        labels=np.array([names.index(c) if c else -1 for c, _ in FILES.values()]),
        class_names=tuple(names),
        splits=tuple(split for _, split in FILES.values()),
        groups=("",) * len(paths),
    )
    return files.setting_aside(dict.fromkeys(without, "looked at"))


def _finding(kind: str, *groups: tuple[str, ...], **details: object) -> Finding:
    named = tuple(path for group in groups for path in group)
    return Finding(kind, "warning", "something.", named, groups, details)


def _steps(finding: Finding, files: ImageFiles) -> list[tuple[str, str, tuple[str, ...]]]:
    return [(one.action, one.words, one.files) for one in remedies(finding, files)]


def test_single_files_are_set_aside_with_what_they_are() -> None:
    finding = Finding("blurred", "warning", "blurred.", ("train/cat/1.png", "val/cat/5.png"))
    (remedy,) = remedies(finding, _files())
    assert remedy.action == "set-aside"
    assert remedy.words == "Set 2 images aside"
    assert remedy.reason == "blurred"
    assert remedy.files == finding.files
    assert remedies(finding, _files("train/cat/1.png"))[0].files == ("val/cat/5.png",)
    assert remedies(finding, _files(*finding.files)) == ()


@pytest.mark.parametrize("kind", ["framed", "grey", "odd-sizes", "imbalance", "set-aside"])
def test_what_is_not_mended_by_a_step_has_no_remedy(kind: str) -> None:
    assert remedies(Finding(kind, "note", "so.", ("train/cat/1.png",)), _files()) == ()


def test_of_copies_one_stays_that_has_a_label() -> None:
    finding = _finding(
        "exact-duplicates",
        ("train/4.png", "train/cat/1.png", "train/cat/2.png"),
        ("train/cat/2.png", "train/dog/3.png"),  # which of the labels is right?
    )
    copies = ("train/4.png", "train/cat/2.png")
    words = "Keep one of each, set 2 images aside"
    assert _steps(finding, _files()) == [("set-aside", words, copies)]


def test_of_copies_one_stays_when_others_were_set_aside_since() -> None:
    finding = _finding("near-duplicates", ("train/cat/1.png", "train/cat/2.png"))
    assert _steps(finding, _files("train/cat/1.png")) == []


def test_leakage_is_mended_in_training_first() -> None:
    finding = _finding("leakage", ("train/cat/1.png", "test/cat/6.png"), splits=["test", "train"])
    assert _steps(finding, _files()) == [
        ("set-aside", "Set 1 image in train aside", ("train/cat/1.png",)),
        ("set-aside", "Set 1 image in test aside", ("test/cat/6.png",)),
    ]
    assert [one.reason for one in remedies(finding, _files())] == ["also in test", "also in train"]
    assert _steps(finding, _files("train/cat/1.png")) == []


def test_groups_in_several_splits_leave_one_side() -> None:
    finding = _finding("group-leakage", ("train/cat/1.png", "val/cat/5.png", "test/cat/6.png"))
    assert [(words, files) for _, words, files in _steps(finding, _files())] == [
        ("Set 1 image in train aside", ("train/cat/1.png",)),
        ("Set 1 image in test aside", ("test/cat/6.png",)),
        ("Set 1 image in val aside", ("val/cat/5.png",)),
    ]


def test_copies_with_different_labels_get_one_label_group_by_group() -> None:
    same = ("val/cat/5.png", "test/cat/6.png")
    differing = ("train/dog/3.png", "train/cat/1.png", "train/cat/2.png")
    made = remedies(_finding("conflicting-labels", same, differing), _files())
    assert [(one.action, one.words, one.group) for one in made] == [
        ("label", "Label all 3 cat", 1),
        ("label", "Label all 3 dog", 1),
        ("set-aside", "Set 3 images aside", 1),
    ]
    assert [one.class_name for one in made[:2]] == ["cat", "dog"]
    assert {one.files for one in made} == {differing}


def test_all_copies_with_different_labels_can_be_set_aside_at_once() -> None:
    first, second = ("train/cat/1.png", "train/dog/3.png"), ("test/cat/6.png", "test/Cat/7.png")
    *_, last = remedies(_finding("conflicting-labels", first, second), _files())
    assert (last.action, last.group, last.files) == ("set-aside", None, (*first, *second))


def test_names_alike_become_one_class() -> None:
    finding = _finding("similar-names", classes=[["Cat", "cat"], ["gone", "Gone"]])
    (remedy,) = remedies(finding, _files())
    assert (remedy.action, remedy.names, remedy.class_name) == ("merge", ("Cat",), "cat")
    assert remedy.words == "Merge 'Cat' into 'cat'"
