"""One small classifier and one bundle of it for the whole session: an export takes a second."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

import lamplighter
from lamplighter.datasets.image_data import ImageData
from lamplighter.images.preprocessing import Preprocessing
from lamplighter.models.classifier import Classifier, Record
from lamplighter.models.features import num_features
from lamplighter.models.reliability import Trust, unit_length
from lamplighter.saving.bundle import save
from lamplighter.saving.image_proof import emoji_mosaics

NAMES = ("cat", "dög", "eel")
PREPROCESSING = Preprocessing(height=12, width=13, channels=1, mean=(0.2,), std=(0.4,))
# Of photos, seen by `photos`.
SEEN = Preprocessing(height=28, width=30, fit="crop", interpolation="bicubic")


def pictures():
    """Return pictures of many sizes and shapes."""
    return emoji_mosaics(ImageData.emoji()["train"].images)


def make_classifier(name="better-cnn", **arguments):
    """Return a classifier with random weights and samples, in training mode."""
    torch.manual_seed(1)
    classifier = Classifier.new(name, preprocessing=PREPROCESSING, class_names=NAMES, **arguments)
    classifier.samples = pixels(5)
    return classifier


def pixels(count, seed=0):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (count, 1, 12, 13), dtype=np.uint8)


@pytest.fixture(scope="session")
def classifier():
    classifier = make_classifier(dropout=0.3)
    classifier.record = Record(
        recipe={"epochs": 3, "lr": 0.001},
        data={"train": "ab" * 32},
        scores={"test": {"acc": 0.9, "interval": [0.85, 0.93]}},
    )
    return classifier


@pytest.fixture(scope="session")
def content(classifier, tmp_path_factory):
    """The bytes of a bundle."""
    return save(classifier, tmp_path_factory.mktemp("bundle") / "small.lamp").read_bytes()


@pytest.fixture(scope="session")
def photos():
    """A classifier of photos that has learned nothing, and can say "unknown"."""
    torch.manual_seed(4)
    classifier = Classifier.new("champion", preprocessing=SEEN, class_names=("cat", "dög", "| eel"))
    images = np.stack([SEEN.pixels(one) for one in pictures()])
    _, features = lamplighter.inference.predictor.logits_and_features(classifier, images)
    classifier.samples = images[:4]
    trust = lamplighter.make_trust(
        classifier,
        val_logits=np.eye(3, dtype=np.float32)[[0, 1, 2] * 8],
        val_labels=np.array([0, 1, 1] * 8),
        val_features=features[:24],
        train_features=features[::2],
        coverage=0.7,
    )
    classifier.trust = dataclasses.replace(trust, temperature=1.7, neighbours=2)
    return classifier


@pytest.fixture(scope="session")
def trusted():
    """A classifier that can say "unknown"."""
    classifier = make_classifier()
    width = num_features(classifier.network)
    vectors = np.random.default_rng(3).normal(size=(20, width)).astype(np.float32)
    reference = unit_length(vectors).astype(np.float16).astype(np.float32)
    measured = {"count": 7, "note": "dög", "calibration": None}
    classifier.trust = Trust(1.5, reference, 2, 0.75, measured)
    return classifier


@pytest.fixture(scope="session")
def trusted_content(trusted, tmp_path_factory):
    """The bytes of a bundle with a fourth entry."""
    return save(trusted, tmp_path_factory.mktemp("trusted") / "small.lamp").read_bytes()


@pytest.fixture
def path(content, tmp_path):
    """A fresh copy of the bundle."""
    path = tmp_path / "copy.lamp"
    path.write_bytes(content)
    return path


@pytest.fixture
def own_cache(tmp_path, monkeypatch):
    """An empty cache folder for one test."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "lamplighter"
