"""`find_label_errors` on clusters whose wrong labels are known."""

from __future__ import annotations

import json

import numpy as np
import pytest

import lamplighter
from lamplighter.errors import ArgumentError, DatasetError, ModelError
from lamplighter.features.clinic.label_errors import find_label_errors

from .clusters import clusters, features_of


def numbers(found) -> list[int]:
    return [int(suspect.path[:4]) for suspect in found.suspects]


@pytest.fixture
def flipped():
    """Features of 90 images in three classes, and the three whose label is wrong."""
    vectors, labels = clusters([30, 30, 30])
    wrong = {4: 1, 40: 2, 77: 0}
    for row, label in wrong.items():
        labels[row] = label
    return features_of(vectors, labels, names=["cat", "dog", "fox"]), set(wrong)


class TestWrongLabels:
    def test_are_found_with_their_class_and_the_reasons(self, flipped):
        features, wrong = flipped
        found = find_label_errors(features)
        assert set(numbers(found)) == wrong
        assert set(found.ranking[:3].tolist()) == wrong
        one = next(suspect for suspect in found.suspects if suspect.path == "0040.png")
        assert (one.label, one.suggestion, one.copy) == ("fox", "dog", "")
        assert one.probability < 0.5
        assert one.disagreement == 1.0
        assert len(one.neighbors) == 10
        assert {neighbor.label for neighbor in one.neighbors} == {"dog"}
        assert "says dog" in one.reasons[0]
        assert one.reasons[1] == ("10 of its 10 nearest images have another label, 10 of them dog")

    def test_are_told_as_text_and_as_json(self, flipped):
        found = find_label_errors(flipped[0])
        assert found.summary() == "3 labels are suspicious of 90."
        lines = found.table().splitlines()
        assert len(lines) == 4
        assert lines[0].split()[:3] == ["image", "label", "rather"]
        assert len(found.table(limit=1).splitlines()) == 2
        document = json.loads(json.dumps(found.to_dict()))
        assert document["checked"] == 90
        assert [one["path"] for one in document["suspects"]] == [s.path for s in found.suspects]

    def test_are_the_same_with_the_same_seed(self, flipped):
        first, again = (find_label_errors(flipped[0], seed=3) for _ in range(2))
        assert first.suspects == again.suspects
        assert np.array_equal(first.ranking, again.ranking)

    def test_of_two_classes(self):
        vectors, labels = clusters([20, 20])
        labels[5] = 1
        assert numbers(find_label_errors(features_of(vectors, labels))) == [5]

    def test_there_may_be_none(self):
        found = find_label_errors(features_of(*clusters([20, 20], spread=0.4)))
        assert found.checked == 40
        assert len(found) == 0
        assert found.table() == "no label is suspicious"

    def test_without_asking_neighbors(self, flipped):
        found = find_label_errors(flipped[0], neighbors=0)
        assert found.suspects
        assert set(numbers(found)) <= flipped[1]
        assert all(one.disagreement is None and one.neighbors == () for one in found.suspects)


class TestCopies:
    def test_with_one_wrong_label_do_not_vouch_for_one_another(self):
        """Seven copies in the wrong class, in as many folds, would teach it to the model."""
        vectors, labels = clusters([30, 30, 30])
        copies = vectors[3] + 1e-4 * np.random.default_rng(1).normal(size=(6, vectors.shape[1]))
        features = features_of(np.concatenate([vectors, copies]), [*labels, *[1] * 6])
        assert {90, 91, 92, 93, 94, 95} <= set(numbers(find_label_errors(features)))

    def test_a_group_does_not_vouch_for_itself(self):
        vectors, labels = clusters([30, 30, 30])
        labels[:5] = 1
        groups = ["one boat" if row < 5 else "" for row in range(90)]
        found = find_label_errors(features_of(vectors, labels, groups=groups))
        assert set(numbers(found)) == set(range(5))
        neighbors = {int(n.path[:4]) for one in found.suspects for n in one.neighbors}
        assert neighbors.isdisjoint(range(5))

    def test_of_one_file_with_two_labels_the_less_probable_comes_first(self):
        vectors, labels = clusters([20, 20])
        vectors, labels = np.append(vectors, vectors[:1], axis=0), np.append(labels, 1)
        hashes = [f"{row % 40:064x}" for row in range(41)]
        found = find_label_errors(features_of(vectors, labels, hashes=hashes))
        first = found.suspects[0]
        assert (first.path, first.copy, first.suggestion) == ("0040.png", "0000.png", "class 0")
        assert first.reasons[0] == "the same file as 0000.png, which is labeled class 0"
        assert "0000.png" not in [one.path for one in found.suspects]

    def test_the_label_of_most_copies_is_right(self):
        vectors, labels = clusters([20, 20])
        near = vectors[[0, 0]] + 1e-4
        features = features_of(np.concatenate([vectors, near]), [*labels, 0, 0])
        features.files.labels[0] = 1
        found = find_label_errors(features)
        assert numbers(found) == [0]
        assert found.suspects[0].reasons[0].startswith("nearly the same picture as 004")


class TestSmallClasses:
    def test_are_not_suspected_as_a_whole(self):
        vectors, labels = clusters([60, 60, 4, 3, 2], spread=1.5, seed=2)
        found = find_label_errors(features_of(vectors, labels))
        counts = np.bincount(labels[numbers(found)], minlength=5)
        assert (counts <= np.bincount(labels) // 2).all()
        rare = [one for one in found.suspects if one.label in ("class 2", "class 3", "class 4")]
        assert all("so the model knows it badly" in one.reasons[-1] for one in rare)

    def test_one_image_cannot_be_judged_and_is_named(self):
        vectors, labels = clusters([20, 20, 1])
        found = find_label_errors(features_of(vectors, labels))
        assert list(found.unchecked) == ["0040.png"]
        assert np.isnan(found.probabilities[40])
        assert 40 not in found.ranking
        assert "1 image is not judged" in found.summary()

    def test_a_class_that_is_one_group_cannot_be_judged(self):
        vectors, labels = clusters([20, 20, 5])
        groups = ["film" if label == 2 else "" for label in labels]
        found = find_label_errors(features_of(vectors, labels, groups=groups))
        assert len(found.unchecked) == 5
        assert found.checked == 40

    def test_two_classes_of_two_images(self):
        found = find_label_errors(features_of(*clusters([2, 2], spread=0.4)))
        assert found.checked == 4
        assert len(found) == 0

    def test_two_classes_of_one_image(self):
        found = find_label_errors(features_of(*clusters([1, 1])))
        assert found.checked == 0
        assert len(found) == 0

    def test_hundreds_of_classes(self):
        vectors, labels = clusters([3] * 300, dimension=64, spread=0.3)
        labels[7] = 200
        found = find_label_errors(features_of(vectors, labels))
        assert numbers(found)[0] == 7
        assert found.suspects[0].suggestion == "class 2"


def test_labels_are_names_of_the_data_set_though_classes_are_empty(flipped):
    features, wrong = flipped
    names = ["ant", "cat", "bee", "dog", "fox", "yak"]
    moved = np.array([1, 3, 4])[features.files.labels]
    found = find_label_errors(features_of(features.vectors, moved, names=names))
    assert set(numbers(found)) == wrong
    assert {one.label for one in found.suspects} == {"cat", "dog", "fox"}


def test_images_without_a_label_are_left_out(flipped):
    features, wrong = flipped
    labels = features.files.labels.copy()
    labels[[0, 50]] = -1
    found = find_label_errors(features_of(features.vectors, labels))
    assert found.unlabeled == 2
    assert set(numbers(found)) == wrong
    assert not {0, 50} & set(found.ranking.tolist())


class TestRefuses:
    def test_a_feature_that_is_not_finite(self, flipped):
        flipped[0].vectors[12, 3] = np.nan
        with pytest.raises(ModelError, match=r"0012\.png"):
            find_label_errors(flipped[0])

    def test_one_class(self):
        with pytest.raises(DatasetError, match="two classes"):
            find_label_errors(features_of(*clusters([5])))

    def test_a_negative_number_of_neighbors(self, flipped):
        with pytest.raises(ArgumentError, match="-1"):
            find_label_errors(flipped[0], neighbors=-1)


def test_it_is_public():
    assert lamplighter.find_label_errors is find_label_errors
