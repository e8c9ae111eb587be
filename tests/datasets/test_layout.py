"""What holds for any folders; single cases are in tests/real_folders."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lamplighter.datasets.layout import understand, unlabelled_notes
from lamplighter.errors import DatasetError

SPLITS = {"Training", "test", "seg_test", "val", "eval", "dev_set"}
names = st.sampled_from([*SPLITS, "train", "cats", "dogs", "images", "test tube", "x_train"])


@settings(deadline=None, max_examples=150)
@given(st.lists(st.lists(names, max_size=4), min_size=1, max_size=10))
def test_no_split_becomes_a_class_beside_others(folders: list[list[str]]) -> None:
    paths = [[*parts, f"{number}.png"] for number, parts in enumerate(folders)]
    try:
        layout = understand(paths, "root")
    except DatasetError as error:
        assert str(error).isprintable()  # noqa: PT017
        return
    classes = set(layout.classes) - {""}
    assert len(classes) < 2 or not classes & SPLITS
    # A class is a folder that the image lies in, and a split has the name of one that does.
    for parts, name, split in zip(folders, layout.classes, layout.splits, strict=True):
        assert name in {"", *parts}
        assert not split or SPLITS & set(parts) or {"train", "test tube", "x_train"} & set(parts)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.lists(names, max_size=4), min_size=1, max_size=8), st.randoms())
def test_the_order_of_paths_does_not_matter(folders: list[list[str]], chance) -> None:
    paths = [[*parts, f"{number}.png"] for number, parts in enumerate(folders)]

    def outcome(order: list[int]) -> object:
        try:
            layout = understand([paths[n] for n in order], "root")
        except DatasetError as error:
            return str(error)
        found = zip(order, layout.splits, layout.classes, strict=True)
        return sorted(found), layout.notes

    order = list(range(len(paths)))
    first = outcome(order)
    chance.shuffle(order)
    assert outcome(order) == first


@pytest.mark.parametrize(
    ("splits", "classes", "notes"),
    [
        (["test", "train"], ["", ""], []),
        (["", "train"], ["", "a"], []),
        (
            ["test", "train"],
            ["", "a"],
            [
                "test has 1 image without a label: nothing is measured on it, `lamplighter "
                "predict` answers it."
            ],
        ),
        (
            ["test", "test", "train"],
            ["", "a", "a"],
            ["test has 1 image without a label, left out of training and measuring."],
        ),
    ],
)
def test_images_without_a_label(splits: list[str], classes: list[str], notes: list[str]) -> None:
    assert unlabelled_notes(splits, classes) == notes


def test_folders_in_classes_are_spoken_of() -> None:
    days = [(day, name, "1.jpg") for day in ("day1", "day2") for name in ("bird", "face")]
    (note,) = understand(days, "photos").notes
    assert note.startswith(
        "understood: the classes are day1, day2; each has the same folders in it (bird, face)"
    )
    mixed = [("animals", "bird", "1.jpg"), ("animals", "cat", "1.jpg"), ("flag", "1.jpg")]
    (note,) = understand(mixed, "photos").notes
    assert note.startswith("understood: animals: a class is all that lies in its folder")
    assert understand([("a", "1.jpg"), ("b", "1.jpg")], "photos").notes == ()


@pytest.mark.parametrize("name", ["unlabelled", "Unlabeled"])
def test_a_folder_beside_classes_may_hold_images_without_a_label(name: str) -> None:
    paths = [["cats", "1.png"], ["dogs", "2.png"], [name, "3.png"]]
    layout = understand(paths, "root")
    assert layout.classes == ("cats", "dogs", "")
    assert layout.splits == ("", "", "")
    assert layout.notes == (f"understood: images in {name} have no label yet.",)
    within = understand([["train", *path] for path in paths] + [["test", "cats", "4.png"]], "root")
    assert within.classes == ("cats", "dogs", "", "cats")
    assert within.splits == ("train", "train", "train", "test")
