"""`label_next`, beside gradients that are made in full."""

from __future__ import annotations

import numpy as np
import pytest

from lamplighter.errors import ArgumentError, DatasetError
from lamplighter.features.clinic.label_next import badge, label_next

from .clusters import clusters, features_of


@pytest.fixture
def between():
    """Two classes of 20, and without a label 20 certain images and 5 between the classes."""
    rng = np.random.default_rng(0)
    vectors, labels = clusters([40, 40], spread=0.4)
    labels[20:40] = -1
    middle = (vectors[:20].mean(0) + vectors[40:].mean(0)) / 2
    doubtful = middle + 0.1 * rng.normal(size=(5, vectors.shape[1]))
    return features_of(
        np.concatenate([vectors, doubtful]), [*labels, *[-1] * 5], names=["cat", "dog"]
    )


def test_what_is_uncertain_comes_first(between):
    found = label_next(between, count=3)
    assert len(found) == 3
    assert {one.path for one in found[:2]} <= {f"{row:04d}.png" for row in range(80, 85)}
    assert {found[0].suggestion, found[0].runner_up} == {"cat", "dog"}
    assert "may be" in found[0].reason
    assert found[0].to_dict()["path"] == found[0].path


def test_the_same_seed_gives_the_same_images(between):
    assert label_next(between, count=5, seed=4) == label_next(between, count=5, seed=4)


def test_of_copies_one_is_enough(between):
    vectors = np.concatenate([between.vectors, np.repeat(between.vectors[80:81], 30, axis=0)])
    labels = [*between.files.labels, *[-1] * 30]
    found = label_next(features_of(vectors, labels, names=["cat", "dog"]), count=4)
    same = [one for one in found if int(one.path[:4]) == 80 or int(one.path[:4]) > 84]
    assert len(same) <= 1


def test_badge_measures_the_distance_of_whole_gradients():
    rng = np.random.default_rng(1)
    shares, vectors = rng.dirichlet(np.ones(4), 30), rng.normal(size=(30, 6)).astype(np.float32)
    slopes = shares - np.eye(4)[shares.argmax(1)]
    gradients = (slopes[:, :, np.newaxis] * vectors[:, np.newaxis]).reshape(30, -1)
    centers = [np.zeros(24), gradients[np.square(gradients).sum(1).argmax()]]
    lottery = np.random.default_rng(7)
    expected = [int(np.square(gradients).sum(1).argmax())]
    for _ in range(5):
        apart = np.min([np.square(gradients - center).sum(1) for center in centers], axis=0)
        expected.append(int(lottery.choice(30, p=apart / apart.sum())))
        centers.append(gradients[expected[-1]])
    assert badge(shares, vectors, count=6, seed=7) == expected


def test_what_is_certain_is_never_chosen():
    shares = np.array([[1.0, 0.0], [0.6, 0.4], [0.0, 1.0]])
    assert badge(shares, np.eye(3, dtype=np.float32), count=3, seed=0) == [1]


def test_without_labels_images_far_from_one_another_are_chosen():
    vectors, classes = clusters([10, 10, 10], spread=0.05)
    found = label_next(features_of(vectors, [-1] * 30), count=3)
    assert {int(classes[int(one.path[:4])]) for one in found} == {0, 1, 2}
    assert found[0].suggestion == ""
    assert found[0].probability is None


def test_with_one_class_labeled_the_others_are_chosen():
    vectors, classes = clusters([10, 10, 10], spread=0.05)
    labels = np.where(classes == 0, 0, -1)
    found = label_next(features_of(vectors, labels), count=2)
    assert {int(classes[int(one.path[:4])]) for one in found} == {1, 2}


def test_there_may_be_fewer_than_are_asked_for():
    vectors, classes = clusters([10, 3], spread=0.05)
    found = label_next(features_of(vectors, np.where(classes == 0, 0, -1)), count=20)
    assert len(found) == 3


def test_refuses_what_has_nothing_to_label():
    with pytest.raises(DatasetError, match="have a label"):
        label_next(features_of(*clusters([5, 5])))
    with pytest.raises(ArgumentError, match="1 or more"):
        label_next(features_of(*clusters([5, 5])), count=0)
