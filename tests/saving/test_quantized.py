"""The same features, nearly, in 8-bit integers."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from lamplighter.errors import BundleError, DataError
from lamplighter.images.preprocessing import Preprocessing
from lamplighter.inference.runtime import runtime
from lamplighter.models.classifier import Classifier
from lamplighter.saving.quantized import at_precision, calibration_images

pytestmark = pytest.mark.usefixtures("own_cache")
WANTED = Preprocessing(height=28, width=28)


def made(name: str) -> Classifier:
    torch.manual_seed(0)
    return Classifier.new(name, preprocessing=WANTED, class_names=("a", "b", "c"))


def test_integers_are_close_to_floats_and_kept(own_cache):
    classifier = made("champion")
    reduced = at_precision(classifier, "int8")
    inputs = WANTED.normalise(calibration_images(WANTED)[:16])
    exact, close = (runtime(one).with_features(inputs)[1] for one in (classifier, reduced))
    lengths = np.linalg.norm(exact, axis=1) * np.linalg.norm(close, axis=1)
    assert ((exact * close).sum(axis=1) / lengths).min() > 0.98
    assert not np.array_equal(exact, close)
    assert len(list((own_cache / "int8").iterdir())) == 1


def test_floats_stay_as_they_are():
    classifier = made("champion")
    assert at_precision(classifier, "fp32") is classifier


def test_what_cannot_be_reduced_is_refused():
    with pytest.raises(BundleError, match="more than 3 convolutions"):
        at_precision(made("quick-cnn"), "int8")
    with pytest.raises(DataError, match="one of fp32, int8"):
        at_precision(made("champion"), "int4")
