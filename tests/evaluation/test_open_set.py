import json

import numpy as np
import pytest
from sklearn.metrics import pairwise_distances, roc_auc_score

from lamplighter.errors import DatasetError, ModelError, ShapeError
from lamplighter.evaluation.intervals import wilson
from lamplighter.evaluation.open_set import (
    Answered,
    Coverage,
    choose_reference,
    choose_threshold,
    coverage_curve,
    distances,
    separation,
)


@pytest.mark.parametrize("neighbours", [1, 4])
def test_distances_are_scikit_learns(neighbours):
    generator = np.random.default_rng(0)
    features, reference = generator.normal(size=(50, 6)), generator.normal(size=(30, 6)) * 9
    apart = np.sort(pairwise_distances(features, reference, metric="cosine"), axis=1)
    found = distances(features, reference, neighbours)
    np.testing.assert_allclose(found, apart[:, neighbours - 1], atol=1e-6)


def test_distances_to_fewer_than_the_neighbours_or_of_another_width():
    with pytest.raises(ModelError, match=r"in 1\.\.3"):
        distances(np.eye(3), np.eye(3), 4)
    with pytest.raises(ShapeError, match="received 2 numbers an image and 3"):
        distances(np.eye(3)[:, :2], np.eye(3))


@pytest.mark.parametrize("coverage", [0.05, 0.5, 0.9, 0.95, 1.0])
@pytest.mark.parametrize("count", [1, 7, 20, 100])
def test_the_threshold_is_the_smallest_that_keeps_the_share(coverage, count):
    values = np.random.default_rng(count).permutation(count).astype(np.float32)
    threshold = choose_threshold(values, coverage)
    assert (values <= threshold).mean() >= coverage - 1e-9
    assert (values < threshold).mean() < coverage
    assert threshold in values


@pytest.mark.parametrize(("count", "coverage"), [(0, 0.9), (3, 0), (3, 1.1), (3, float("nan"))])
def test_no_threshold(count, coverage):
    with pytest.raises(DatasetError, match="one image or more and a coverage above 0"):
        choose_threshold(np.zeros(count), coverage)


class TestCoverageCurve:
    def test_each_point_is_what_is_right_within_its_distance(self):
        generator = np.random.default_rng(0)
        apart = generator.integers(0, 60, 300).astype(np.float32) / 60  # many alike
        right = generator.random(300) > apart
        curve = coverage_curve(apart, right, resamples=50)
        assert len(curve.coverage) <= 50
        assert curve.coverage[-1] == 1
        assert (np.diff(curve.coverage) > 0).all()
        for point, threshold in enumerate(curve.threshold):
            within = apart <= threshold
            share = wilson(int(right[within].sum()), int(within.sum()))
            found = (curve.accuracy, curve.low, curve.high)
            assert [column[point] for column in found] == [share.value, share.low, share.high]
            assert curve.coverage[point] == pytest.approx(within.mean())

    def test_the_area_is_the_mean_over_every_coverage(self):
        generator = np.random.default_rng(1)
        apart = generator.permutation(40).astype(np.float32)
        right = generator.random(40) < 0.7
        ordered = right[np.argsort(apart)]
        expected = np.mean([ordered[: count + 1].mean() for count in range(40)])
        area = coverage_curve(apart, right).area
        assert area.value == pytest.approx(expected)
        assert area.low < area.value < area.high

    def test_the_area_does_not_depend_on_the_order_of_equals(self):
        right = np.array([True, False, True, True, False])
        areas = [
            coverage_curve(np.zeros(5), right[order], resamples=5).area.value
            for order in (np.arange(5), np.arange(5)[::-1])
        ]
        assert areas == pytest.approx([0.6, 0.6])

    def test_comes_back_from_plain_json(self):
        curve = coverage_curve(np.arange(9) / 9, np.arange(9) < 5)
        values = json.loads(json.dumps(curve.to_dict(), allow_nan=False))
        back = Coverage.from_dict(values)
        np.testing.assert_array_equal(back.accuracy, curve.accuracy)
        np.testing.assert_array_equal(back.threshold, curve.threshold)
        assert back.area == curve.area
        with pytest.raises(ValueError, match="differ in length"):
            Coverage.from_dict(values | {"low": [0.5]})

    def test_the_table_has_so_many_rows(self):
        curve = coverage_curve(np.arange(100) / 100, np.arange(100) < 50, resamples=5)
        lines = curve.table(5).splitlines()
        assert len(lines) == 6
        assert lines[-1].split()[:4] == ["100.00", "%", "50.00", "%"]

    def test_nothing_to_draw(self):
        with pytest.raises(DatasetError, match="one image or more"):
            coverage_curve(np.zeros(0), np.zeros(0, dtype=bool))
        with pytest.raises(DatasetError, match="received shapes"):
            coverage_curve(np.zeros(3), np.zeros(2, dtype=bool))


class TestSeparation:
    def test_is_scikit_learns_area(self):
        generator = np.random.default_rng(0)
        known, unknown = generator.integers(0, 20, 70), generator.integers(5, 30, 25)
        truth = np.repeat([0, 1], [70, 25])
        expected = roc_auc_score(truth, np.concatenate([known, unknown]))
        found = separation(known, unknown)
        assert found.value == pytest.approx(expected)
        assert found.low < found.value < found.high < 1

    def test_has_a_width_where_all_lie_farther(self):
        found = separation(np.zeros(50), np.ones(10))
        assert (found.value, found.high) == (1, 1)
        assert 0.8 < found.low < 0.99
        assert separation(np.ones(50), np.zeros(10)).low == 0

    def test_the_interval_holds_the_true_area(self):
        held = 0
        for seed in range(200):  # of two normals a deviation apart: Phi(1 / sqrt 2) = 0.7602
            generator = np.random.default_rng(seed)
            found = separation(generator.normal(size=60), generator.normal(1, size=15))
            held += found.low <= 0.7602 <= found.high
        assert held >= 184

    def test_both_sides_are_needed(self):
        with pytest.raises(DatasetError, match="received 3 and 0"):
            separation(np.zeros(3), np.zeros(0))


class TestChooseReference:
    def test_few_are_all_kept_but_those_of_other_classes(self):
        assert choose_reference(np.array([0, 1, -1, 2, 1]), 2).tolist() == [0, 1, 4]

    def test_each_class_keeps_its_share(self):
        labels = np.random.default_rng(0).permutation(np.repeat([0, 1, 2], [6000, 3000, 1000]))
        kept = choose_reference(labels, 3, most=1000)
        assert np.bincount(labels[kept]).tolist() == [600, 300, 100]
        assert (np.diff(kept) > 0).all()
        np.testing.assert_array_equal(kept, choose_reference(labels, 3, most=1000))
        assert (kept != choose_reference(labels, 3, most=1000, seed=1)).any()

    def test_a_rare_class_keeps_as_many_as_there_are_neighbours(self):
        labels = np.repeat([0, 1, 2], [5000, 4, 1])
        counts = np.bincount(labels[choose_reference(labels, 3, 3, most=100)])
        assert counts[1] >= 3
        assert counts[2] == 1
        assert counts.sum() == 100

    def test_more_classes_than_places_keep_one_each_of_some(self):
        labels = np.tile(np.arange(300), 5)
        kept = choose_reference(labels, 300, 2, most=200)
        assert len(set(labels[kept].tolist())) == len(kept) == 200


def test_what_is_answered():
    known, right = np.array([True, True, True, False]), np.array([True, True, False, False])
    answered = Answered.of(known, right)
    assert (answered.share, answered.accuracy) == (wilson(3, 4), wilson(2, 3))
    assert str(answered) == f"75.00 % of the images, accuracy on them {wilson(2, 3)}"
    assert answered.to_dict()["accuracy"] == wilson(2, 3).to_dict()
    nothing = Answered.of(np.zeros(4, dtype=bool), right)
    assert str(nothing) == "0.00 % of the images"
    assert nothing.to_dict()["accuracy"] is None
