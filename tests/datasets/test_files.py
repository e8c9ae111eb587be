from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lamplighter.datasets.files import ImageFiles, SetAside
from lamplighter.errors import DatasetError, UnknownSplitError


def pets(**changes: Any) -> ImageFiles:
    values: dict[str, Any] = {
        "name": "pets",
        "root": Path("/pets"),
        "paths": ("a.png", "b.png", "c.png"),
        "labels": np.array([0, 1, -1]),
        "class_names": ("cat", "dog"),
        "splits": ("test", "train", ""),
        "groups": ("", "g", ""),
    }
    return ImageFiles(**(values | changes))


def test_what_files_say_of_themselves() -> None:
    files = pets()
    assert len(files) == 3
    assert repr(files) == "ImageFiles(pets, no split: 1, test: 1, train: 1, 2 classes)"
    assert files.files == [Path("/pets/a.png"), Path("/pets/b.png"), Path("/pets/c.png")]
    several = pets(splits=("test-b", "test", "val"))
    assert several.split_names == ("val", "test", "test-b")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"labels": np.array([0, 1])}, "3 files need as many labels"),
        ({"splits": ()}, "received 3, 0 and 3"),
        ({"groups": ("",)}, "received 3, 3 and 1"),
        ({"class_names": ("cat", "cat")}, "class names must differ"),
        ({"labels": np.array([0, 1, 2])}, r"must be in -1\.\.1, received 0\.\.2"),
        ({"labels": np.array([0, 1, -2])}, r"received -2\.\.1"),
    ],
)
def test_what_does_not_fit_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        pets(**changes)


def test_taking_keeps_what_belongs_together() -> None:
    files = pets(set_aside=(SetAside("x.txt", "no image."),), notes=("a note",))
    taken = files.take([1, 0])
    assert taken.paths == ("b.png", "a.png")
    assert taken.labels.tolist() == [1, 0]
    assert (taken.splits, taken.groups) == (("train", "test"), ("g", ""))
    assert (taken.set_aside, taken.notes) == (files.set_aside, files.notes)
    assert len(files.take([])) == 0


def test_a_split_is_found_by_name() -> None:
    assert pets().split("train").paths == ("b.png",)
    with pytest.raises(UnknownSplitError, match="no split 'val'; it has train, test"):
        pets().split("val")
    assert set(pets().as_split("test").splits) == {"test"}


def test_what_is_set_aside_is_left_out_and_noted() -> None:
    rest = pets().setting_aside({"a.png": "it is torn."}).setting_aside({"c.png": "too dark."})
    assert rest.paths == ("b.png",)
    assert rest.set_aside == (SetAside("a.png", "it is torn."), SetAside("c.png", "too dark."))
