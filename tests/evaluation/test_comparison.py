import json

import numpy as np
import pytest
from torch import Tensor, nn

from lamplighter.datasets.image_data import ImageData
from lamplighter.errors import DatasetError
from lamplighter.evaluation.comparison import compare
from lamplighter.evaluation.intervals import mcnemar
from lamplighter.models.classifier import Classifier


class Constant(nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        scores = images.new_zeros(len(images), 3)
        scores[:, 0] = 1
        return scores


def test_two_classifiers_on_the_same_images(reader, written):
    labels = np.repeat([0, 1, 2], [60, 30, 10])
    data = written("abc", labels, np.where(np.arange(100) < 5, 1, labels))
    a = reader("abc")
    b = Classifier(Constant(), a.preprocessing, "abc")
    seen: list[int] = []
    comparison = compare(a, b, data, progress=seen.append)

    assert (comparison.a.accuracy.value, comparison.b.accuracy.value) == (0.95, 0.6)
    assert comparison.test == mcnemar(comparison.a.right, comparison.b.right)
    assert (comparison.test.only_a, comparison.test.only_b) == (40, 5)
    assert comparison.sentence() == (
        "A is right on 40 images where B is wrong, B on 5 where A is wrong; "
        "p < 0.001: a real difference"
    )
    assert str(comparison).splitlines()[0] == f"A {comparison.a.accuracy}"
    assert json.loads(json.dumps(comparison.to_dict(), allow_nan=False))["test"]["only_b"] == 5
    assert seen == sorted(seen)
    assert seen[-1] == 200


def test_no_difference_is_claimed_where_chance_may_have_made_it(reader, written):
    labels = np.arange(100) % 3
    data = written("abc", labels, np.where(labels == 1, 0, labels))
    a = reader("abc")
    comparison = compare(a, reader("abc"), data)
    assert comparison.sentence("old", "new") == (
        "old is right on 0 images where new is wrong, new on 0 where old is wrong; "
        "p = 1: no difference can be claimed"
    )


def test_each_classifier_has_an_order_of_classes_of_its_own(reader, written):
    data = written("abc", [0, 1, 2], [0, 1, 2])
    turned = reader("bca")  # reads the same pixels as other classes: always wrong
    comparison = compare(reader("abc"), turned, data)
    assert (comparison.a.accuracy.value, comparison.b.accuracy.value) == (1.0, 0.0)
    assert comparison.test.p_value == pytest.approx(0.25)


def test_other_images_for_the_second_are_refused(tiny_digits: ImageData) -> None:
    classifier = Classifier.new("quick-cnn", tiny_digits)
    turned = tiny_digits["test"].take(np.arange(256)[::-1])
    others = ImageData(
        {"test": turned}, tiny_digits.class_names, preprocessing=tiny_digits.preprocessing
    )
    with pytest.raises(DatasetError, match="compared on the same images, received 256 of tiny"):
        compare(classifier, classifier, tiny_digits, data_b=others)
    same = compare(classifier, classifier, tiny_digits, data_b=tiny_digits)
    assert (same.test.only_a, same.test.only_b) == (0, 0)
