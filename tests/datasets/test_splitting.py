from __future__ import annotations

from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lamplighter.datasets.files import ImageFiles
from lamplighter.datasets.folders import scan_folder
from lamplighter.datasets.splitting import all_shared_out, assign_splits, check_classes
from lamplighter.errors import DatasetError


def files_of(
    labels: list[int], *, groups: list[str] | None = None, splits: list[str] | None = None
) -> ImageFiles:
    count = len(labels)
    return ImageFiles(
        name="made",
        root=Path(),
        paths=tuple(f"{number}.png" for number in range(count)),
        labels=np.array(labels, dtype=np.int64),
        class_names=tuple(f"class {number}" for number in range(max([*labels, 0]) + 1)),
        splits=tuple(splits or [""] * count),
        groups=tuple(groups or [""] * count),
    )


def counts(files: ImageFiles, label: int) -> dict[str, int]:
    """How many files of a class each split has."""
    return dict(Counter(s for s, n in zip(files.splits, files.labels, strict=True) if n == label))


@pytest.mark.parametrize(
    ("images", "expected"),
    [
        (1, {"train": 1}),
        (2, {"train": 2}),
        (5, {"train": 3, "val": 1, "test": 1}),
        (20, {"train": 14, "val": 3, "test": 3}),
        (100, {"train": 70, "val": 15, "test": 15}),
        (10_000, {"train": 7_000, "val": 1_500, "test": 1_500}),
    ],
)
def test_each_class_is_shared_out(images: int, expected: dict[str, int]) -> None:
    files = assign_splits(files_of([0] * images + [1] * 40))
    assert counts(files, 0) == expected
    assert counts(files, 1) == {"train": 28, "val": 6, "test": 6}


@pytest.mark.parametrize("images", [3, 4])
def test_small_classes_take_turns_in_val_and_test(images: int) -> None:
    files = assign_splits(files_of([label for label in range(10) for _ in range(images)]))
    assert Counter(files.splits) == {"train": 10 * (images - 1), "val": 5, "test": 5}
    assert all(counts(files, label)["train"] == images - 1 for label in range(10))


def test_what_cannot_be_measured_is_said() -> None:
    assert assign_splits(files_of([0] * 2 + [1] + [2] * 20)).notes == (
        "without an image in val, so not measured there: class 0, class 1.",
        "without an image in test, so not measured there: class 0, class 1.",
    )
    many = assign_splits(files_of([*range(1000), *[1000] * 20]))
    assert many.notes[0].endswith("class 8, class 9 and 990 more.")


@given(
    labels=st.lists(st.integers(0, 4), min_size=1, max_size=80),
    shares=st.sampled_from([(0.15, 0.15), (0.2, 0.0), (0.0, 0.3), (0.5, 0.1)]),
    seed=st.integers(0, 5),
)
def test_without_groups_each_share_is_met_within_one_image(
    labels: list[int], shares: tuple[float, float], seed: int
) -> None:
    val, test = shares
    files = assign_splits(files_of(labels), val=val, test=test, seed=seed)
    wished = {"train": 1 - val - test, "val": val, "test": test}
    assert set(files.splits) <= {name for name, share in wished.items() if share}
    for label, number in Counter(labels).items():
        of_class = counts(files, label)
        assert of_class["train"] >= 1
        for name, share in wished.items():
            # 1e-9: shares of 1/n are not exact in binary
            assert abs(of_class.get(name, 0) - share * number) <= 1 + 1e-9


@st.composite
def grouped(draw: st.DrawFn, *, mixed: bool) -> ImageFiles:
    """Files in groups of several sizes; where `mixed`, a group may have files of many classes."""
    labels, groups = [], []
    for number in range(draw(st.integers(1, 25))):
        size, label = draw(st.integers(1, 9)), draw(st.integers(0, 3))
        name = f"g{number}" if draw(st.booleans()) else ""
        for _ in range(size):
            labels.append(draw(st.integers(0, 3)) if mixed else label)
            groups.append(name)
    return files_of(labels, groups=groups)


@given(grouped(mixed=True), st.integers(0, 3))
def test_no_group_stands_on_two_sides(files: ImageFiles, seed: int) -> None:
    result = assign_splits(files, seed=seed)
    sides = defaultdict(set)
    for group, split in zip(result.groups, result.splits, strict=True):
        sides[group].add(split)
    assert all(len(splits) == 1 for group, splits in sides.items() if group)
    assert set(result.splits) <= {"train", "val", "test"}
    assert (result.paths, result.groups) == (files.paths, files.groups)
    in_train = result.split("train")
    assert set(in_train.labels) == set(files.labels)  # nothing is measured that was not learnt


@given(grouped(mixed=False), st.integers(0, 3))
def test_shares_are_met_within_the_largest_group(files: ImageFiles, seed: int) -> None:
    result = assign_splits(files, seed=seed)
    for label, number in Counter(files.labels.tolist()).items():
        sizes = Counter(
            group for group, of in zip(files.groups, files.labels, strict=True) if of == label
        )
        largest = max([1, *(size for group, size in sizes.items() if group)])
        for name, share in (("train", 0.7), ("val", 0.15), ("test", 0.15)):
            assert counts(result, label).get(name, 0) <= share * number + largest + 1e-9


def test_many_groups_of_many_classes_come_near_their_shares() -> None:
    rng = np.random.default_rng(0)
    labels = rng.choice(5, 2_000, p=[0.5, 0.3, 0.15, 0.04, 0.01]).tolist()
    groups = [f"g{number}" for number in rng.integers(0, 300, 2_000)]
    result = assign_splits(files_of(labels, groups=groups))
    for label, number in Counter(labels).items():
        for name, share in (("train", 0.7), ("val", 0.15), ("test", 0.15)):
            assert abs(counts(result, label)[name] - share * number) <= max(2, 0.05 * number)


@given(grouped(mixed=True))
def test_the_seed_decides(files: ImageFiles) -> None:
    assert assign_splits(files, seed=1).splits == assign_splits(files, seed=1).splits


def test_another_seed_gives_other_splits() -> None:
    files = files_of([0, 1] * 50)
    assert assign_splits(files, seed=1).splits != assign_splits(files, seed=2).splits


@pytest.mark.parametrize(
    ("there", "made", "said"),
    [
        (["train", "test"], {"val": 15}, "no val split found: 15 of the 100"),
        (["train", "val"], {"test": 15}, "no test split found: 15 of the 100"),
        (["train", "test-rain"], {"val": 15, "test": 15}, "no val and no test split found"),
        (["train", "val", "test"], {}, None),
        (["val", "test"], {}, None),
    ],
)
def test_splits_that_are_there_stay(
    there: list[str], made: dict[str, int], said: str | None
) -> None:
    splits = [there[0]] * 100 + [name for name in there[1:] for _ in range(10)]
    files = files_of([0, 1] * (len(splits) // 2), splits=splits)
    result = assign_splits(files)
    for before, after in zip(files.splits, result.splits, strict=True):
        assert after == before or (before == "train" and after in made)
    assert {name: result.splits[:100].count(name) for name in made} == made
    assert any(note.startswith(said) for note in result.notes) if said else result.notes == ()
    assert assign_splits(result) is not None
    assert assign_splits(result).splits == result.splits


@pytest.mark.parametrize(
    ("present", "shares", "expected"),
    [
        (["train", "val", "test"], {}, True),
        (["train", "test"], {}, False),
        (["train", "test"], {"val": 0}, True),
        (["train", "val"], {}, False),
        (["train"], {"val": 0, "test": 0}, True),
        (["train", "val", "test", ""], {}, False),
        (["test"], {}, True),
        ([""], {"val": 0, "test": 0}, False),
    ],
)
def test_whether_splits_are_to_be_made(
    present: list[str], shares: dict[str, float], expected: bool
) -> None:
    files = files_of([0] * 40, splits=[present[i % len(present)] for i in range(40)])
    assert all_shared_out(files, **shares) is expected
    assert (assign_splits(files, **shares).splits == files.splits) is expected


def test_files_without_a_split_fill_those_that_are_missing() -> None:
    splits = ["test"] * 10 + [""] * 100
    groups = ["a", "b"] * 5 + ["a"] * 5 + [""] * 95
    result = assign_splits(files_of([0] * 110, splits=splits, groups=groups))
    assert result.splits[:15] == ("test",) * 15  # those of group a follow the others of it
    assert Counter(result.splits[15:]) == {"train": 81, "val": 14}


def test_a_split_that_stays_empty_is_said() -> None:
    said = "too few images for a val split: at a share of 15% no class has an image, "
    said += "or a group of them, to spare."
    assert said in assign_splits(files_of([0, 1])).notes
    found = files_of([0, 1, 0, 1], splits=["train", "train", "test", "test"])
    assert assign_splits(found).notes[-1] == said


def test_a_class_that_training_never_sees_is_said() -> None:
    files = files_of([0, 1, 0, 1, 2], splits=["train"] * 2 + ["val"] * 2 + ["test"])
    assert assign_splits(files).notes == (
        "without a training image: class 2.",
        "without an image in val, so not measured there: class 2.",
        "without an image in test, so not measured there: class 0, class 1.",
    )


def test_files_without_a_label_are_set_aside_if_others_have_one() -> None:
    result = assign_splits(files_of([0] * 10 + [-1]))
    assert [left_out.path for left_out in result.set_aside] == ["10.png"]
    assert Counter(assign_splits(files_of([-1] * 20)).splits)["train"] == 14


@pytest.mark.parametrize("shares", [(-0.1, 0.1), (0.5, 0.5), (float("nan"), 0.1), (0.1, 1)])
def test_shares_out_of_range_are_refused(shares: tuple[float, float]) -> None:
    with pytest.raises(DatasetError, match="at least 0 and together below 1"):
        assign_splits(files_of([0, 1]), val=shares[0], test=shares[1])


def test_two_classes_are_needed_to_learn() -> None:
    check_classes(files_of([0, 1]))
    with pytest.raises(DatasetError, match="a probe needs two classes or more, received 'class 1'"):
        check_classes(files_of([1, 1]), "a probe")
    with pytest.raises(DatasetError, match="received no labels in made"):
        check_classes(files_of([-1, -1]))
    with pytest.raises(DatasetError, match=r"training needs images in train, .* with val, test"):
        check_classes(files_of([0, 1], splits=["val", "test"]))
    with pytest.raises(DatasetError, match="received 'class 0' alone"):
        check_classes(files_of([0, 1], splits=["train", "test"]))


@settings(deadline=None, max_examples=3)
@given(st.integers(0, 9))
def test_the_tracks_of_boats_stay_together(boats: Path, seed: int) -> None:
    files = scan_folder(boats, group=r"\d+(?=\.jpg$)").as_split("")
    result = assign_splits(files, seed=seed)
    sides = defaultdict(set)
    for group, split in zip(result.groups, result.splits, strict=True):
        sides[group].add(split)
    assert len(sides) > 400
    assert all(len(splits) == 1 for splits in sides.values())
    for name, share in (("train", 0.7), ("val", 0.15), ("test", 0.15)):
        assert abs(result.splits.count(name) / len(result) - share) < 0.02


def test_a_test_set_without_labels_is_made_anew() -> None:
    splits = ["train"] * 40 + ["test"] * 3
    files = files_of([0, 1] * 20 + [-1] * 3, splits=splits)
    assert not all_shared_out(files, val=0)
    divided = assign_splits(files, val=0)
    assert divided.splits.count("test") == 6
    assert (divided.labels >= 0).all()
    assert len(divided.set_aside) == 3
