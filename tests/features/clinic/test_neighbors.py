"""Near-copies and neighbors beside a comparison of all pairs."""

from __future__ import annotations

import numpy as np
import pytest

from lamplighter.features.clinic import neighbors
from lamplighter.features.clinic.cross_validation import assign_folds
from lamplighter.features.clinic.neighbors import (
    close_pairs,
    directions_of,
    joined_groups,
    near_copies,
    nearest_others,
)


def directions(count, dimension, seed=0):
    rng = np.random.default_rng(seed)
    vectors = np.abs(rng.normal(size=(count, dimension))) ** 2
    vectors[1::3] = vectors[::3][: len(vectors[1::3])] + 0.2 * rng.normal(size=vectors[1::3].shape)
    return directions_of(vectors.astype(np.float32))


@pytest.mark.parametrize("few", [10, 4096])
def test_close_pairs_are_those_of_all_pairs(monkeypatch, few):
    """Also where shadows on the main axes rule out most pairs first, in blocks of a few rows."""
    monkeypatch.setattr(neighbors, "_FEW", few)
    monkeypatch.setattr(neighbors, "_AT_ONCE", 2000)
    vectors = directions(300, 300)
    alike = vectors.astype(np.float64) @ vectors.T.astype(np.float64)
    for threshold in (0.9, 0.98):
        expected = {(i, j) for i, j in zip(*np.nonzero(alike >= threshold), strict=True) if i < j}
        found = [
            (int(i), int(j))
            for part in close_pairs(vectors, threshold)
            for i, j in zip(*part[:2], strict=True)
        ]
        assert len(found) == len(set(found))
        assert set(found) == expected
        assert expected


def test_copies_of_copies_are_one_group_and_the_closest_conflict_is_told(monkeypatch):
    monkeypatch.setattr(neighbors, "_PENDING", 1)
    angles = np.radians([0, 5, 10, 90, 91, 180])
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    found = near_copies(
        vectors,
        np.array([0, 1, 0, 2, -1, 1]),
        ["a", "b", "c", "d", "e", "f"],
        threshold=np.cos(np.radians(6)),
    )
    assert found.groups.tolist() == [0, 0, 0, 3, 3, 5]
    assert found.partner[[0, 2]].tolist() == [1, 1]
    assert found.partner[1] in (0, 2)
    assert found.partner[3:].tolist() == [-1, -1, -1]  # nothing conflicts with no label


def test_files_of_one_content_are_copies_whatever_their_vectors():
    found = near_copies(np.eye(3, dtype=np.float32), np.array([0, 1, 1]), ["same", "same", "other"])
    assert found.groups.tolist() == [0, 0, 2]
    assert found.partner.tolist() == [1, 0, -1]


def test_names_join_groups():
    groups = np.array([0, 0, 2, 3, 4])
    assert joined_groups(groups, ["", "day", "day", "", ""]).tolist() == [0, 0, 0, 3, 4]


def test_the_nearest_are_those_of_a_full_sort(monkeypatch):
    monkeypatch.setattr(neighbors, "_AT_ONCE", 500)
    vectors = directions(90, 20)
    groups = np.arange(90) // 3
    rows = np.array([3, 50, 89])
    found = nearest_others(vectors, rows, groups, count=7)
    for row, (others, alike) in zip(rows, found, strict=True):
        expected = [o for o in np.argsort(-(vectors @ vectors[row])) if groups[o] != groups[row]]
        assert others.tolist() == expected[:7]
        assert np.allclose(alike, vectors[others] @ vectors[row], atol=1e-6)
    few = nearest_others(vectors[:4], rows[:1], groups[:4], count=7)
    assert sorted(next(few)[0].tolist()) == [0, 1, 2]


class TestFolds:
    def test_are_stratified_and_keep_groups_together(self):
        rng = np.random.default_rng(0)
        labels, groups = rng.integers(0, 4, 400), rng.integers(0, 150, 400)
        folds = assign_folds(labels, groups, parts=5, seed=0)
        assert all(len(set(folds[groups == group])) == 1 for group in range(150) if group in groups)
        shares = np.stack([np.bincount(labels[folds == f], minlength=4) for f in range(5)])
        assert (np.abs(shares - shares.mean(0)) <= 5).all()

    def test_two_images_of_a_class_lie_in_two_folds(self):
        labels = np.repeat(np.arange(50), 2)
        folds = assign_folds(labels, None, parts=5, seed=3)
        assert (folds[::2] != folds[1::2]).all()
        assert np.bincount(folds).tolist() == [20] * 5
