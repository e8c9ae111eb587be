from __future__ import annotations

import logging

import numpy as np
import pytest

from lamplighter import Classifier, ImageData, Split, Trial, evaluate
from lamplighter.errors import ClassCountError
from lamplighter.images.preprocessing import Preprocessing
from lamplighter.training.labels import by_name

PREPROCESSING = Preprocessing(height=12, width=12)


def split(labels: list[int]) -> Split:
    """Each image is as bright as ten times its label."""
    images = np.zeros((len(labels), 3, 12, 12), dtype=np.uint8)
    images += (np.array(labels, dtype=np.uint8) * 10).reshape(-1, 1, 1, 1)
    paths = tuple(f"{number}.png" for number in range(len(labels)))
    return Split(images, np.array(labels, dtype=np.int64), paths)


def data(names: tuple[str, ...], **splits: list[int]) -> ImageData:
    made = {name: split(labels) for name, labels in splits.items()}
    return ImageData(made, names, preprocessing=PREPROCESSING, name="names")


@pytest.fixture
def classifier() -> Classifier:
    return Classifier.new("better-cnn", preprocessing=PREPROCESSING, class_names=("a", "b", "c"))


def test_labels_follow_names_whatever_their_order(classifier: Classifier) -> None:
    same = data(("a", "b", "c"), train=[0, 1, 2])
    assert by_name(classifier, same, "train") is same["train"]
    turned = data(("c", "a", "b"), train=[0, 0, 1, 2])
    assert by_name(classifier, turned, "train").labels.tolist() == [2, 2, 0, 1]
    trial = Trial(classifier, verbose=0, seed=0).with_images(turned, 2)
    drawn = {
        (int(image.mul(127.5).add(127.5).round()[0, 0, 0]), int(label))
        for images, labels in trial.sources["train"].batches  # type: ignore[index,union-attr]
        for image, label in zip(images, labels, strict=True)
    }
    assert drawn == {(0, 2), (10, 0), (20, 1)}


def test_unknown_classes_are_left_out_of_what_is_measured(
    classifier: Classifier, caplog: pytest.LogCaptureFixture
) -> None:
    names = ("a", "c", "d", "e")
    images = data(names, train=[0, 1] * 4, val=[0, 2, 1, 2, 3], test=[2, 3])
    with caplog.at_level(logging.WARNING, "lamplighter.data"):
        trial = Trial(classifier, metrics=["acc"], verbose=0, seed=0).with_images(images, 4)
    assert [record.getMessage() for record in caplog.records] == [
        "3 of the 5 images of 'val' are left out of the metrics while training: "
        "the classifier does not know d, e.",
        "2 of the 2 images of 'test' are left out of the metrics while training: "
        "the classifier does not know d, e.",
    ]
    kept = by_name(classifier, images, "val")
    assert (kept.labels.tolist(), kept.paths) == ([0, 2], ("0.png", "2.png"))
    trial.run(1)
    assert trial.sources["test"].batches is None  # type: ignore[index]
    report = evaluate(classifier, images, "val")  # which counts them as wrong
    assert report.count == 5
    assert report.unknown_classes == ("d", "e")
    assert int(report.right.sum()) <= 2


def test_a_training_image_must_be_of_a_known_class(classifier: Classifier) -> None:
    images = data(("a", "b", "c", "d"), train=[0, 3, 3], val=[0])
    with pytest.raises(ClassCountError, match="it has a, b, c, the split 'train' has images of d;"):
        Trial(classifier).with_images(images)
    only_val = data(("x", "y"), val=[0, 1])
    with pytest.raises(ClassCountError, match="the split 'val' has images of x, y"):
        Trial(classifier).with_images(only_val)
    # A class without a training image is no obstacle, and is not learned.
    unseen = ImageData(
        {"train": split([0, 1]), "test": split([2])},
        ("a", "b", "z"),
        preprocessing=PREPROCESSING,
        trained=2,
    )
    assert Classifier.new("better-cnn", unseen).class_names == ("a", "b")
