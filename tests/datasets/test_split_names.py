from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lamplighter.datasets.split_names import read_split_name, resolve_splits, split_name

TRAIN = (
    "train TRAIN training Training trainset training_set train_images images_train data_train "
    "train-data trainImages TrainSet seg_train train2017 train1 01_train train_224x224 trainval "
    "train+val dataset_train trn Train(80%)"
)
VAL = (
    "val valid Valid VALIDATION validation validation_set val2017 valset dev devset minival "
    "val_images valid-split"
)
TEST = (
    "test Test testing tests test_set testset test1 test_images holdout hold-out held_out "
    "seg_test TestData PublicTest eval evaluation eval_set"
)
# What photos may show, or what merely has such letters in it.
NEITHER = (
    "trains test_tube2x strain invalid validator contest latest attest restrained device "
    "trainer development devil valley value image images data 2017 a evaluation_board "
    "train_station prediction_error train_test_split"
)


@pytest.mark.parametrize(
    ("text", "split"),
    [(TRAIN, "train"), (VAL, "val"), (TEST, "test")],
    ids=["train", "val", "test"],
)
def test_names_of_splits(text: str, split: str) -> None:
    names = text.split()
    named = {name: split_name(name) for name in [*names, *(f" {name} " for name in names)]}
    wrong = {name: found for name, found in named.items() if not found.startswith(split)}
    assert wrong == {}
    assert all(read_split_name(name).certain for name in names)


def test_names_of_other_things() -> None:
    more = ["test tube", "training shoes", "evaluation board", "Devon Rex", "val d'Isère", "", "!"]
    assert [name for name in [*NEITHER.split(), *more] if read_split_name(name).certain] == []
    assert [name for name in more if split_name(name)] == []


@pytest.mark.parametrize(
    ("name", "split"), [("test-Snow", "test-Snow"), ("Test_snow", "test-snow"), ("test-", "test")]
)
def test_further_test_sets(name: str, split: str) -> None:
    assert split_name(name) == split


@pytest.mark.parametrize(
    "splits",
    [
        {"train": "train", "eval": "test"},
        {"train": "train", "test": "test", "eval": "val"},
        {"train": "train", "val": "val", "test": "test", "eval": "test-eval"},
        {"Training": "train", "PublicTest": "val", "PrivateTest": "test"},
        {"train": "train", "val": "val", "PublicTest": "test-public", "PrivateTest": "test"},
        {"train": "train", "PrivateTest": "test"},
        {"train": "train", "test": "test", "test_night": "test-night"},
        {"train": "train", "test": "test", "test2": "test-test2"},
        {"seg_train": "train", "seg_test": "test", "seg_pred": "test-pred"},
        {"pets_train": "train", "pets_test": "test"},
        {"pets_train": "", "birds_test": ""},
        {"train": "train", "bus": "", "test tube": ""},
    ],
)
def test_names_beside_one_another(splits: dict[str, str]) -> None:
    assert resolve_splits(splits) == splits


@given(st.lists(st.text(max_size=20), max_size=5, unique=True))
def test_any_names(names: list[str]) -> None:
    resolved = resolve_splits(names)
    assert list(resolved) == names
    assert all(s in ("", "train", "val", "test") or s[:5] == "test-" for s in resolved.values())
