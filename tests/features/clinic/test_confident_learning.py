"""Confident learning beside cleanlab's answers and worked examples."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lamplighter.errors import DatasetError
from lamplighter.features.clinic.confident_learning import confident_learning, learn_confidently

CASES = ("two", "uneven", "many", "sure")


@pytest.fixture(scope="module")
def cleanlab():
    """Answers of cleanlab 2.9.0, written by data-sources/cleanlab_answers.py."""
    with np.load(Path(__file__).with_name("cleanlab.npz"), allow_pickle=False) as content:
        return {name: content[name] for name in content.files}


def collisions(found, shares):
    """Whether the most probable class misses its threshold while others reach theirs.

    cleanlab then takes the most probable class all the same; the paper takes the most probable of
    those that reach theirs.
    """
    reached = shares >= found.thresholds - 1e-6
    top = shares.argmax(1)
    return (reached.sum(1) > 1) & ~reached[np.arange(len(shares)), top]


@pytest.mark.parametrize("case", CASES)
class TestAgreesWithCleanlab:
    def test_on_the_confident_joint(self, cleanlab, case):
        shares, labels = cleanlab[f"{case}-probabilities"], cleanlab[f"{case}-labels"]
        found = confident_learning(shares, labels)
        apart = collisions(found, shares).sum()
        assert apart <= 1
        assert np.abs(found.joint - cleanlab[f"{case}-joint"]).sum() == 2 * apart

    def test_on_the_off_diagonal(self, cleanlab, case):
        shares, labels = cleanlab[f"{case}-probabilities"], cleanlab[f"{case}-labels"]
        found = confident_learning(shares, labels)
        same = ~collisions(found, shares)
        # cleanlab leaves out images whose label is the most probable class.
        ours = found.off_diagonal & (shares.argmax(1) != labels)
        assert np.array_equal(ours[same], cleanlab[f"{case}-confident"][same])
        assert ours.any()

    def test_on_pruning_by_class_but_for_the_rounding_of_counts(self, cleanlab, case):
        shares, labels = cleanlab[f"{case}-probabilities"], cleanlab[f"{case}-labels"]
        ours = confident_learning(shares, labels).pruned_by_class()
        theirs = cleanlab[f"{case}-by-class"]
        apart = np.bincount(labels[ours != theirs], minlength=1)
        assert apart.max() <= 1
        assert apart.sum() <= 0.05 * theirs.sum()

    def test_on_the_ranking(self, cleanlab, case):
        shares, labels = cleanlab[f"{case}-probabilities"], cleanlab[f"{case}-labels"]
        found = confident_learning(shares, labels)
        margin = (found.self_confidence - found.suggested_probability + 1) / 2
        assert np.allclose(found.self_confidence, cleanlab[f"{case}-self_confidence"])
        assert np.allclose(margin, cleanlab[f"{case}-normalized_margin"])


def test_a_worked_example():
    shares = [[0.9, 0.1], [0.7, 0.3], [0.2, 0.8], [0.1, 0.9], [0.3, 0.7], [0.95, 0.05]]
    found = confident_learning(shares, [0, 0, 0, 1, 1, 1])
    assert found.thresholds.tolist() == pytest.approx(
        [(0.9 + 0.7 + 0.2) / 3, (0.9 + 0.7 + 0.05) / 3]
    )
    assert found.joint.tolist() == [[2, 1], [1, 2]]
    assert found.off_diagonal.tolist() == [False, False, True, False, False, True]
    assert found.suggestion.tolist() == [1, 1, 1, 0, 0, 0]
    assert found.wrong_in_class().tolist() == [1, 1]
    assert found.pruned_by_class().tolist() == found.off_diagonal.tolist()
    assert found.contradicted.tolist() == [False, False, True, False, False, True]


def test_of_several_classes_that_reach_their_threshold_the_most_probable_one_counts():
    # Class 0 has a threshold of 0.9; the last image reaches those of 1 and 2, not that of 0.
    shares = [[0.9, 0.05, 0.05], [0.8, 0.15, 0.05], [0.85, 0.05, 0.1], [0.4, 0.35, 0.25]]
    found = confident_learning(shares, [0, 1, 2, 0])
    assert found.thresholds.tolist() == pytest.approx([0.65, 0.15, 0.1])
    assert found.confident[3] == 1


def test_a_class_without_images_takes_part_in_nothing():
    shares = [[0.1, 0.7, 0.2], [0.1, 0.8, 0.1], [0.7, 0.2, 0.1], [0.8, 0.1, 0.1]]
    found = confident_learning(shares, [0, 0, 1, 1])
    assert np.isnan(found.thresholds[2])
    assert found.joint.tolist() == [[0, 2, 0], [2, 0, 0], [0, 0, 0]]
    only = confident_learning([[0.5, 0.5], [0.4, 0.6]], [0, 0])
    assert not only.off_diagonal.any()


def test_images_without_a_label_are_not_judged():
    found = confident_learning([[0.9, 0.1], [0.2, 0.8], [0.1, 0.9]], [0, 1, -1])
    assert np.isnan(found.self_confidence[2])
    assert found.joint.sum() == 2
    assert not found.off_diagonal[2]
    assert not confident_learning(np.zeros((0, 2)), np.zeros(0, dtype=int)).off_diagonal.any()


def test_blocks_give_what_the_whole_gives():
    rng = np.random.default_rng(0)
    shares, labels = rng.dirichlet(np.ones(7), 100), rng.integers(0, 7, 100)
    whole = confident_learning(shares, labels)

    def blocks():
        rows = rng.permutation(100)
        return ((part, shares[part]) for part in np.array_split(rows, 9))

    parts = learn_confidently(blocks, labels, num_classes=7)
    assert np.array_equal(whole.joint, parts.joint)
    assert np.array_equal(whole.confident, parts.confident)


@pytest.mark.parametrize(
    ("shares", "labels", "told"),
    [
        ([[np.nan, 1.0]], [0], "NaN"),
        ([[3.0, -2.0]], [0], "logits"),
        ([[0.5, 0.5]], [2], r"-1\.\.1"),
        ([[0.5, 0.5]], ["cat"], "class numbers"),
        ([[0.5, 0.5]], [0, 1], "shape"),
    ],
)
def test_refuses_what_is_no_probability_or_no_label(shares, labels, told):
    with pytest.raises(DatasetError, match=told):
        confident_learning(shares, labels)
