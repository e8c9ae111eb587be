"""Reports on logits that are there already."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lamplighter.datasets.files import ImageFiles
from lamplighter.features.extraction import Features
from lamplighter.models.reliability import Trust
from lamplighter.transfer.context import fingerprint_of, known_labels, report_on

NAMES = ("ant", "bee", "cat")
LABELS = (2, 0, 1, 1)


@pytest.fixture
def features() -> Features:
    """Four images of three classes; their vectors are at right angles but for the last two."""
    files = ImageFiles(
        name="insects",
        root=Path("insects"),
        paths=("0.png", "1.png", "2.png", "3.png"),
        labels=np.array(LABELS),
        class_names=NAMES,
        splits=("val",) * 4,
        groups=("",) * 4,
    )
    vectors = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 0, 2]], dtype=np.float32)
    return Features(vectors=vectors, files=files, hashes=("aa", "bb", "cc", "dd"), network="n")


def test_labels_follow_the_names(features):
    assert known_labels(features, ("bee", "cat", "ant")).tolist() == [1, 2, 0, 0]
    assert known_labels(features, ("cat", "dog")).tolist() == [0, -1, -1, -1]


def test_a_class_that_training_never_saw_is_always_wrong(features):
    logits = np.array([[9, 0], [9, 0], [0, 9], [9, 0]], dtype=np.float32)  # of ant and bee
    report = report_on(features, "val", logits, ("ant", "bee"))
    assert report.unknown_classes == ("cat",)
    assert report.right.tolist() == [False, True, True, False]
    assert report.accuracy.value == 0.5
    assert (report.data, report.split, report.count) == ("insects", "val", 4)


def test_trust_says_what_is_unknown_and_changes_no_answer(features):
    logits = np.eye(3, dtype=np.float32)[list(LABELS)]
    trust = Trust(2.0, np.array([[0, 0, 1]], dtype=np.float32), 1, 0.1)
    plain = report_on(features, "val", logits, NAMES)
    trusted = report_on(features, "val", logits, NAMES, trust=trust)
    assert trusted.predictions.known.tolist() == [False, False, True, True]
    assert trusted.accuracy.value == plain.accuracy.value == 1.0
    exponentials = np.exp(logits / 2)
    np.testing.assert_allclose(
        trusted.predictions.probabilities,
        exponentials / exponentials.sum(axis=1, keepdims=True),
        rtol=1e-5,
    )
    warm = report_on(features, "val", logits, NAMES, trust=Trust(2.0))
    assert warm.predictions.known.all()


def test_a_fingerprint_is_that_of_contents_and_names(features):
    same = fingerprint_of(features)
    moved = replace(features.files, root=Path("elsewhere"), paths=("a", "b", "c", "d"))
    assert fingerprint_of(replace(features, files=moved)) == same
    relabelled = replace(features.files, labels=np.array([0, 0, 1, 1]))
    assert fingerprint_of(replace(features, files=relabelled)) != same
    assert fingerprint_of(replace(features, hashes=("aa", "bb", "cc", "ee"))) != same
    assert fingerprint_of(features.take([1, 0, 2, 3])) != same
