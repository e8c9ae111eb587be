import numpy as np
import pytest
from scipy import stats

from lamplighter.evaluation.intervals import Estimate, bootstrap, estimate_from


def test_the_interval_is_scipys_basic_one():
    values = np.random.default_rng(1).beta(2, 5, 80)
    estimate = bootstrap(lambda counts: counts @ values / counts.sum(), 80, resamples=4000)
    expected = stats.bootstrap(
        (values,), np.mean, method="basic", n_resamples=4000, rng=np.random.default_rng(2)
    ).confidence_interval
    assert estimate.value == pytest.approx(values.mean())
    assert (estimate.low, estimate.high) == pytest.approx(tuple(expected), abs=0.004)


def test_a_bias_upwards_is_reflected_and_the_ends_stay_in_range():
    def score(counts):
        return 0.2 if (counts == 1).all() else 0.7  # all draws lie above what was measured

    estimate = bootstrap(score, 30, resamples=50)
    assert (estimate.value, estimate.low, estimate.high) == (0.2, 0.0, 0.2)


def test_the_seed_decides():
    values = np.arange(20) / 20
    runs = [bootstrap(lambda counts: counts @ values / 20, 20, seed=seed) for seed in (3, 3, 4)]
    assert runs[0] == runs[1] != runs[2]


def test_an_estimate_comes_back_from_its_values():
    estimate = Estimate(0.5, 0.25, 0.75, 0.9)
    assert estimate_from(estimate.to_dict()) == estimate
    for wrong in ({}, {"value": "a", "low": 0, "high": 0, "confidence": 0}, [], None):
        with pytest.raises((KeyError, TypeError, ValueError)):
            estimate_from(wrong)
