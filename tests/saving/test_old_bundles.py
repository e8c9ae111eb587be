"""A bundle of format 1 that an earlier state of the library wrote: MNIST, three epochs.

The answers expected are those that the writer gave on the ten digits that come with the package.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import lamplighter
from lamplighter import load, predict

WRITTEN = Path(__file__).parent / "format-1.lamp"
DIGITS = sorted((Path(lamplighter.__file__).parent / "datasets" / "digit_files").iterdir())
PROBABILITIES = [1.0, 0.9832, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0]


@pytest.mark.parametrize("torch", [False, True])
def test_a_bundle_answers_as_when_it_was_written(torch: bool) -> None:
    classifier = load(WRITTEN)
    if torch:
        classifier.to_torch()
    answers = predict(classifier, DIGITS)
    assert answers.labels == list("0123456789")
    assert answers.probabilities.max(axis=1) == pytest.approx(PROBABILITIES, abs=2e-4)


def test_its_reliability_is_read() -> None:
    trust = load(WRITTEN).trust
    assert trust is not None
    assert trust.temperature == pytest.approx(0.4139, abs=1e-3)
    assert trust.threshold == pytest.approx(0.31557, abs=1e-4)
    assert trust.reference is not None
    assert np.linalg.norm(trust.reference, axis=1) == pytest.approx(np.ones(300), abs=1e-3)
