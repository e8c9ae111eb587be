import numpy as np
import pytest

from lamplighter.errors import ModelError, ShapeError
from lamplighter.models.reliability import UNKNOWN, Trust, unit_length, unknown_label

AXES = np.eye(3, dtype=np.float32)


def nearest(features, reference, neighbours):
    """The distance as it is defined, one pair of vectors at a time, in double precision."""
    found = []
    for one in features.astype(float):
        apart = []
        for other in reference.astype(float):
            lengths = np.sqrt(sum(one**2)) * np.sqrt(sum(other**2))
            apart.append(1 - (sum(one * other) / lengths if lengths else 0))
        found.append(sorted(apart)[neighbours - 1])
    return found


@pytest.mark.parametrize("neighbours", [1, 3, 40])
@pytest.mark.parametrize("count", [0, 1, 700])  # more than are compared at a time
def test_distances_are_those_of_the_definition(neighbours, count):
    generator = np.random.default_rng(neighbours)
    reference = unit_length(generator.normal(size=(40, 5)).astype(np.float32))
    features = generator.normal(size=(count, 5)).astype(np.float32) * 100
    features[:1] = 0
    found = Trust(1.0, reference, neighbours, 0.5).distances(features)
    assert found.dtype == np.float32
    assert found.shape == (count,)
    np.testing.assert_allclose(found, nearest(features, reference, neighbours), atol=1e-6)


def test_distances_stay_within_their_range():
    vectors = np.random.default_rng(0).normal(size=(200, 1280)).astype(np.float32)
    trust = Trust(1.0, unit_length(vectors), 1, 0.5)
    same, opposite = trust.distances(vectors), trust.distances(-vectors[:1])
    assert same.min() >= 0
    assert same.max() < 1e-6
    assert Trust(1.0, AXES[:1], 1, 0.5).distances(-AXES[:1]) == [2.0]
    assert opposite <= 2


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"temperature": 0.0}, "temperature must be in"),
        ({"temperature": float("nan")}, "temperature must be in"),
        ({"temperature": 1e9}, "temperature must be in"),
        ({"reference": AXES}, "received only a reference"),
        ({"threshold": 0.5}, "received only a threshold"),
        ({"reference": AXES, "threshold": 2.5}, "in 0..2, received 2.5"),
        ({"reference": AXES, "threshold": float("nan")}, "received nan"),
        ({"reference": AXES, "threshold": 0.5, "neighbours": 4}, "in 1..3"),
        ({"reference": AXES, "threshold": 0.5, "neighbours": 0}, "received 0"),
        ({"neighbours": 2}, "in 1..1"),
        ({"reference": AXES + np.float32("inf"), "threshold": 0.5}, "finite"),
        ({"reference": AXES[0], "threshold": 0.5}, "of shape"),
        ({"reference": AXES.astype(int), "threshold": 0.5}, "floats"),
    ],
)
def test_values_out_of_range_are_refused(arguments, match):
    with pytest.raises(ModelError, match=match):
        Trust(**arguments)


def test_features_of_another_network_are_refused():
    trust = Trust(1.0, AXES, 1, 0.5)
    with pytest.raises(ShapeError, match="received 2 numbers an image and 3 in the reference"):
        trust.distances(AXES[:, :2])
    with pytest.raises(ModelError, match="finite"):
        trust.distances(AXES + np.float32("nan"))
    with pytest.raises(ModelError, match="no reference"):
        Trust(2.0).distances(AXES)


def test_a_row_of_zeros_keeps_its_length():
    vectors = np.array([[3.0, 4.0], [0.0, 0.0]], dtype=np.float32)
    np.testing.assert_allclose(unit_length(vectors), [[0.6, 0.8], [0, 0]])


def test_what_is_unknown_has_a_name_of_its_own():
    assert unknown_label(("cat", "dog")) == UNKNOWN == "unknown"
    assert unknown_label(("unknown", "(unknown)")) == "((unknown))"
