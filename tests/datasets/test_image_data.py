from __future__ import annotations

import hashlib

import numpy as np
import pytest

from lamplighter.datasets.files import SetAside
from lamplighter.datasets.image_data import ImageData, Split
from lamplighter.errors import DatasetError, UnknownSplitError
from lamplighter.images.preprocessing import Preprocessing
from tests.datasets.planted import put

GREY = Preprocessing(height=4, width=4, channels=1, mean=(0.5,), std=(0.5,))


def split(labels: list[int], seed: int = 0) -> Split:
    images = np.random.default_rng(seed).integers(0, 256, (len(labels), 1, 4, 4), dtype=np.uint8)
    return Split(images, np.array(labels, dtype=np.int64))


def data(**splits: Split) -> ImageData:
    return ImageData(splits, ["cat", "dog"], preprocessing=GREY, name="pets")


def test_a_split_is_found_by_name() -> None:
    train = split([0, 1, 1])
    pets = data(train=train)
    assert pets["train"] is train
    assert "train" in pets
    assert "val" not in pets
    assert repr(pets) == "ImageData(pets, train: 3, 2 classes)"
    with pytest.raises(UnknownSplitError, match="pets has no split 'val'; it has train"):
        pets["val"]


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (np.zeros((2, 4, 4), np.uint8), np.zeros(2, np.int64), "images must be uint8"),
        (np.zeros((2, 1, 4, 4), np.float32), np.zeros(2, np.int64), "images must be uint8"),
        (np.zeros((2, 1, 4, 4), np.uint8), np.zeros(3, np.int64), "labels must be int64"),
        (np.zeros((2, 1, 4, 4), np.uint8), np.zeros(2, np.int32), "labels must be int64"),
    ],
)
def test_a_split_of_the_wrong_form_is_refused(
    images: np.ndarray, labels: np.ndarray, message: str
) -> None:
    with pytest.raises(DatasetError, match=message):
        Split(images, labels)


@pytest.mark.parametrize("labels", [[0, 2], [-1, 0]])
def test_labels_without_a_class_name_are_refused(labels: list[int]) -> None:
    with pytest.raises(DatasetError, match=r"labels of 'train' must be in 0\.\.1"):
        data(train=split(labels))


def test_class_names_must_differ() -> None:
    with pytest.raises(DatasetError, match="class names must differ"):
        ImageData({}, ["cat", "cat"], preprocessing=GREY)


def test_class_names_must_be_strings() -> None:
    with pytest.raises(DatasetError, match=r"must be strings, received 0; give \[str\("):
        ImageData({"train": split([0, 1])}, range(2), preprocessing=GREY)  # type: ignore[arg-type]


def test_images_must_fit_the_preprocessing() -> None:
    other = Split(np.zeros((1, 1, 5, 4), np.uint8), np.zeros(1, np.int64))
    with pytest.raises(DatasetError, match=r"\(1, 4, 4\), received \(1, 5, 4\)"):
        data(train=other)


def test_hold_out_is_stratified_disjoint_and_complete() -> None:
    labels = [0] * 40 + [1] * 20
    images = np.zeros((60, 1, 4, 4), np.uint8)
    images[:, 0, 0, 0] = np.arange(60)  # each image tells which it is
    whole = data(train=Split(images, np.array(labels)), test=split([0, 1]))
    parts = whole.hold_out(0.25, seed=3)
    assert np.bincount(parts["val"].labels).tolist() == [10, 5]
    assert np.bincount(parts["train"].labels).tolist() == [30, 15]
    numbers = [set(parts[name].images[:, 0, 0, 0].tolist()) for name in ("train", "val")]
    assert not numbers[0] & numbers[1]
    assert numbers[0] | numbers[1] == set(range(60))
    assert parts["test"] is whole["test"]
    assert "val" not in whole


def test_hold_out_follows_its_seed() -> None:
    whole = data(train=split([0, 1] * 30))
    first, again, other = (whole.hold_out(0.2, seed=seed) for seed in (1, 1, 2))
    assert first.fingerprint("val") == again.fingerprint("val")
    assert first.fingerprint("val") != other.fingerprint("val")


@pytest.mark.parametrize("fraction", [0, 1, -0.1, 1.5, float("nan")])
def test_hold_out_refuses_a_fraction_out_of_range(fraction: float) -> None:
    with pytest.raises(DatasetError, match=r"must be in 0\.\.1"):
        data(train=split([0, 1])).hold_out(fraction)


def test_hold_out_refuses_a_second_validation_split() -> None:
    with pytest.raises(DatasetError, match="already"):
        data(train=split([0, 1]), val=split([0])).hold_out()


def test_the_fingerprint_is_of_content_and_order() -> None:
    train = split([0, 1, 1])
    expected = hashlib.sha256(
        b"((3, 1, 4, 4), (3,))" + train.images.tobytes() + train.labels.tobytes()
    ).hexdigest()
    assert train.fingerprint == expected == split([0, 1, 1]).fingerprint
    assert data(train=train).fingerprint("train") == expected
    others = [
        train.take(np.array([1, 0, 2])),
        split([0, 1, 0]),
        split([0, 1, 1], seed=1),
        train.take(np.array([0, 1])),
    ]
    assert len({expected, *(other.fingerprint for other in others)}) == 5


def test_a_fingerprint_does_not_depend_on_memory_order() -> None:
    train = split([0, 1, 1])
    turned = Split(np.asfortranarray(train.images), train.labels)
    assert turned.fingerprint == train.fingerprint


def test_batches_shuffle_the_training_split_alone() -> None:
    pets = data(train=split([0, 1]), test=split([0]))
    assert pets.batches("train").shuffle
    assert not pets.batches("test").shuffle
    assert not pets.batches("train", shuffle=False).shuffle
    assert pets.batches("test", 7, seed=5).batch_size == 7
    with pytest.raises(UnknownSplitError):
        pets.batches("val")


def test_paths_stay_with_their_images() -> None:
    images = np.zeros((4, 1, 4, 4), np.uint8)
    images[:, 0, 0, 0] = np.arange(4)
    named = Split(images, np.array([0, 1, 0, 1]), ("0", "1", "2", "3"))
    assert named.take(np.array([3, 1])).paths == ("3", "1")
    assert named.take(np.array([True, False, True, False])).paths == ("0", "2")
    parts = data(train=named).hold_out(0.5)
    for part in parts.splits.values():
        assert [int(path) for path in part.paths] == part.images[:, 0, 0, 0].tolist()
    assert named.fingerprint == Split(images, named.labels).fingerprint
    with pytest.raises(DatasetError, match=r"paths must be 4, .* received 1"):
        Split(images, named.labels, ("0",))


def test_what_is_known_of_the_data_survives_hold_out() -> None:
    left_out = SetAside("x.png", "it is torn.")
    whole = ImageData(
        {"train": split([0] * 8), "test-rain": split([1])},
        ["cat", "dog"],
        preprocessing=GREY,
        trained=1,
        set_aside=[left_out],
        notes=["a note"],
    )
    held = whole.hold_out(0.5)
    assert held.class_names == ("cat", "dog")
    assert held.trained_class_names == ("cat",)
    assert (held.set_aside, held.notes) == ((left_out,), ("a note",))
    assert set(held.splits) == {"train", "val", "test-rain"}
    assert data(train=split([0])).trained_class_names == ("cat", "dog")


def test_what_names_say_of_scenes_is_noted(tmp_path) -> None:
    put(tmp_path, *(f"{'ab'[n % 2]}/film{n}_{frame}.png" for n in range(8) for frame in range(3)))
    (note,) = (n for n in ImageData.from_folder(tmp_path, size=8).notes if "scenes" in n)
    assert note.startswith("these names look like frames of 8 scenes; keep each scene in one split")
    grouped = ImageData.from_folder(tmp_path, size=8, group=r"^(.*\D)\d+\.")
    assert not any("scenes" in n for n in grouped.notes)
