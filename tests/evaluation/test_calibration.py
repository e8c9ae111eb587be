import json

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax
from scipy.special import softmax as scipys_softmax

from lamplighter.errors import ArgumentError, DatasetError
from lamplighter.evaluation.calibration import (
    Reliability,
    calibration_error,
    fit_temperature,
    reliability,
    softmax,
)
from lamplighter.evaluation.intervals import wilson


def drawn(count, temperature=1.0, classes=5, seed=0, scale=3.0):
    """Logits, and labels that were drawn by softmax(logits / temperature)."""
    generator = np.random.default_rng(seed)
    logits = generator.normal(size=(count, classes)) * scale
    shares = scipys_softmax(logits / temperature, axis=1)
    labels = (shares.cumsum(axis=1) < generator.random((count, 1))).sum(axis=1)
    return logits.astype(np.float32), np.minimum(labels, classes - 1)


def loss(logits, labels, temperature):
    logs = log_softmax(logits.astype(float) / temperature, axis=1)
    return -logs[np.arange(len(labels)), labels].mean()


def error_by_loops(probabilities, labels, bins):
    """The expected calibration error, image by image."""
    total = 0.0
    for number in range(bins):
        inside = [
            (row, label)
            for row, label in zip(probabilities, labels, strict=True)
            if number / bins <= max(row) < (number + 1) / bins
            or (number == bins - 1 and max(row) == 1)
        ]
        if inside:
            sure = sum(max(row) for row, _ in inside) / len(inside)
            right = sum(list(row).index(max(row)) == label for row, label in inside) / len(inside)
            total += len(inside) / len(labels) * abs(right - sure)
    return total


class TestFitTemperature:
    @pytest.mark.parametrize("temperature", [0.3, 1.0, 2.5, 9.0])
    def test_finds_the_one_that_labels_were_drawn_by(self, temperature):
        logits, labels = drawn(20_000, temperature)
        assert fit_temperature(logits, labels) == pytest.approx(temperature, rel=0.05)

    @pytest.mark.parametrize("seed", range(6))
    def test_is_the_minimum_that_scipy_finds(self, seed):
        logits, labels = drawn(60, np.exp(seed / 2 - 1), classes=2 + seed, seed=seed)
        best = minimize_scalar(
            lambda power: loss(logits, labels, np.exp(power)),
            bounds=(np.log(0.05), np.log(20)),
            method="bounded",
            options={"xatol": 1e-10},
        )
        found = fit_temperature(logits, labels)
        assert loss(logits, labels, found) <= best.fun + 1e-12
        assert found == pytest.approx(np.exp(best.x), rel=1e-4)

    def test_images_of_other_classes_are_left_out(self):
        logits, labels = drawn(100, 2.0)
        more = np.concatenate([logits, logits[:20] * 7])
        others = np.concatenate([labels, [-1] * 10, [5] * 10])
        assert fit_temperature(more, others) == fit_temperature(logits, labels)

    def test_large_logits_do_not_overflow(self):
        logits, labels = drawn(200, 2.0)
        shifted = logits.astype(float) + 1e6
        assert fit_temperature(shifted, labels) == pytest.approx(
            fit_temperature(logits, labels), rel=1e-3
        )

    def test_stays_within_its_bounds(self):
        logits, labels = drawn(200)
        assert fit_temperature(logits * 1e-4, labels) == 0.05
        assert fit_temperature(logits, np.argmin(logits, axis=1)) == 20

    def test_is_1_where_every_answer_is_right_or_there_is_none(self):
        logits, _ = drawn(50)
        assert fit_temperature(logits, logits.argmax(axis=1)) == 1
        assert fit_temperature(logits[:0], []) == 1
        assert fit_temperature(logits, [-1] * 50) == 1

    def test_wrong_input_is_refused(self):
        with pytest.raises(DatasetError, match="needs one label"):
            fit_temperature(np.zeros((3, 2)), [0, 1])
        with pytest.raises(DatasetError, match="finite"):
            fit_temperature([[0.0, np.nan]], [0])


class TestCalibrationError:
    @pytest.mark.parametrize("bins", [1, 7, 15])
    def test_is_that_of_the_definition(self, bins):
        logits, labels = drawn(300, 2.0)
        probabilities = softmax(logits)
        probabilities[0] = [0, 1, 0, 0, 0]
        labels[1] = -1  # of a class that is not known: always wrong
        expected = error_by_loops(probabilities, labels, bins)
        estimate = calibration_error(probabilities, labels, bins, resamples=20)
        assert estimate.value == pytest.approx(expected, abs=1e-12)
        assert estimate.low <= estimate.value <= estimate.high

    def test_the_temperature_takes_the_error_away(self):
        logits, labels = drawn(2000, 4.0)
        held_out, truth = drawn(2000, 4.0, seed=1)
        before = calibration_error(softmax(held_out), truth)
        after = calibration_error(softmax(held_out, fit_temperature(logits, labels)), truth)
        assert before.low > 0.2
        assert after.low == 0
        assert after.high < 0.05

    @pytest.mark.parametrize("count", [60, 400])
    def test_the_interval_of_a_calibrated_classifier_holds_0(self, count):
        held = 0
        for seed in range(40):
            logits, labels = drawn(count, seed=seed, scale=1.5)
            held += calibration_error(softmax(logits), labels, resamples=100).low == 0
        assert held >= 35

    def test_the_interval_holds_the_true_error(self):
        # The classifier is 90 % sure of each image and right of 70 %: the error is 0.2.
        held = 0
        for seed in range(60):
            right = np.random.default_rng(seed).random(150) < 0.7
            probabilities = np.tile([0.9, 0.1], (150, 1))
            estimate = calibration_error(probabilities, np.where(right, 0, 1), resamples=200)
            held += estimate.low <= 0.2 <= estimate.high
        assert held >= 53

    def test_wrong_input_is_refused(self):
        with pytest.raises(DatasetError, match="one image or more"):
            calibration_error(np.zeros((0, 2)), [])
        with pytest.raises(DatasetError, match=r"in 0\.\.1"):
            calibration_error([[3.0, -1.0]], [0])
        with pytest.raises(ArgumentError, match="one bin or more, received 0"):
            calibration_error([[1.0, 0.0]], [0], 0)


class TestReliability:
    logits, labels = drawn(200, 2.0)
    bins = reliability(softmax(logits), labels)

    def test_each_bin_is_counted(self):
        sure = softmax(self.logits).max(axis=1)
        right = self.logits.argmax(axis=1) == self.labels
        assert self.bins.count.sum() == 200
        for number in range(15):
            inside = (sure >= number / 15) & (sure < (number + 1) / 15)
            assert self.bins.count[number] == inside.sum()
            if not inside.any():
                assert np.isnan(self.bins.accuracy[number])
                continue
            share = wilson(int(right[inside].sum()), int(inside.sum()))
            found = (self.bins.accuracy, self.bins.low, self.bins.high)
            assert [column[number] for column in found] == [share.value, share.low, share.high]
            assert self.bins.confidence[number] == pytest.approx(sure[inside].mean())
        assert self.bins.error == calibration_error(softmax(self.logits), self.labels)

    def test_the_table_names_the_bins_that_have_images(self):
        small = reliability([[0.9, 0.1]] * 4 + [[0.4, 0.6]], [0, 0, 0, 1, 1], 5)
        assert small.table() == (
            "probability  images     mean     right    95 % interval\n"
            "60 to 80 %        1  60.00 %  100.00 %  20.65 to 100.00\n"
            "80 to 100 %       4  90.00 %   75.00 %   30.06 to 95.44"
        )

    def test_comes_back_from_plain_json(self):
        values = json.loads(json.dumps(self.bins.to_dict(), allow_nan=False))
        back = Reliability.from_dict(values)
        for name in ("count", "confidence", "accuracy", "low", "high"):
            np.testing.assert_array_equal(getattr(back, name), getattr(self.bins, name))
        assert back.error == self.bins.error
        with pytest.raises(ValueError, match="differ in length"):
            Reliability.from_dict(values | {"low": [0.5]})


def test_softmax_is_scipys():
    logits = np.array([[1000.0, -1000.0, 999.0], [0.0, 1.0, 2.0]])
    np.testing.assert_allclose(softmax(logits, 2.0), scipys_softmax(logits / 2, axis=1))
