"""A backbone with a new head, from the features to a bundle and back."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from lamplighter.data.preprocessing import Preprocessing
from lamplighter.errors import ClassCountError, ModelError, NetworkMissingError, ShapeError
from lamplighter.features.heads import HEADS, fit_head, with_head
from lamplighter.inference.runtime import runtime
from lamplighter.models.classifier import Classifier
from lamplighter.saving.bundle import load, save

from .test_heads import oracle

PREPROCESSING = Preprocessing(height=32, width=32, mean=(0.5,) * 3, std=(0.5,) * 3)
NAMES = ("boat", "ferry", "gondola")


def images(seed=0):
    """Return 30 coloured images and their classes."""
    rng = np.random.default_rng(seed)
    labels = np.arange(30) % 3
    pixels = rng.integers(0, 150, (30, 3, 32, 32), dtype=np.uint8)
    pixels[np.arange(30), labels, :16] += 100
    return pixels, labels


def base(name="pretrained", **arguments):
    torch.manual_seed(0)
    if name == "pretrained":
        arguments = {"backbone": "test_efficientnet"}
    classifier = Classifier.new(
        name, preprocessing=PREPROCESSING, class_names=["a", "b"], **arguments
    )
    classifier.network.eval()
    classifier.samples = images()[0]
    return classifier


def vectors_of(classifier, pixels):
    return runtime(classifier).with_features(PREPROCESSING.normalise(pixels))[1]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    """A pretrained classifier at rest, as `lamplighter.pretrained` keeps it."""
    return save(base(), tmp_path_factory.mktemp("bundle") / "given.lamp")


@pytest.mark.parametrize("kind", HEADS)
def test_backbone_and_head_are_one_graph_in_a_bundle(kind, bundle, tmp_path) -> None:
    given = load(bundle)
    graph, (pixels, labels) = given.graph, images()
    vectors = vectors_of(given, pixels)
    fitted = fit_head(kind, vectors, labels, 3)
    completed = with_head(given, fitted, NAMES)
    assert given.graph is graph is completed.backbone_graph is not None
    assert completed.class_names == NAMES
    assert completed.architecture is not None
    assert completed.architecture.arguments == {
        "backbone": "test_efficientnet",
        "head": kind,
        **fitted.arguments,
    }
    loaded = load(save(completed, tmp_path / "new.lamp"))
    assert loaded.graph is not None
    asked = images(seed=1)[0]
    logits, features = runtime(loaded).with_features(PREPROCESSING.normalise(asked))
    expected = oracle(fitted, vectors, labels)(vectors_of(given, asked))
    assert (logits.argmax(1) == expected).all()
    assert len(set(expected)) == 3
    np.testing.assert_allclose(features, vectors_of(given, asked), atol=1e-4)
    with torch.inference_mode():
        inputs = torch.from_numpy(PREPROCESSING.normalise(asked))
        np.testing.assert_allclose(loaded.network(inputs), logits, atol=1e-3)  # built anew
    assert loaded.record.recipe["head"] == kind


def test_the_given_one_stays_as_it_was() -> None:
    classifier = base()
    before = {name: value.clone() for name, value in classifier.network.state_dict().items()}
    pixels, labels = images()
    vectors = vectors_of(classifier, pixels)
    fitted = fit_head("linear", vectors, labels, 3)
    completed = with_head(classifier, fitted, NAMES)
    assert (vectors_of(completed, pixels) == vectors).all()
    with torch.no_grad():  # nothing is shared that a training could change
        for parameter in completed.network.parameters():
            parameter.add_(1)
    after = classifier.network.state_dict()
    assert all(torch.equal(after[name], before[name]) for name in before)
    assert (vectors_of(classifier, pixels) == vectors).all()
    assert classifier.num_classes == 2
    again = with_head(classifier, fitted, NAMES)
    assert not torch.equal(again.network.head.weight, completed.network.head.weight)


def test_a_network_that_is_not_pretrained(tmp_path) -> None:
    classifier = base("better-cnn", dropout=0.1)
    pixels, labels = images()
    vectors = vectors_of(classifier, pixels)
    fitted = {kind: fit_head(kind, vectors, labels, 3) for kind in ("linear", "knn")}
    asked = images(seed=1)[0]
    for kind, head in fitted.items():
        completed = with_head(classifier, head, NAMES)
        assert completed.network.num_classes == 3
        loaded = load(save(completed, tmp_path / f"{kind}.lamp"))
        logits = runtime(loaded)(PREPROCESSING.normalise(asked))
        with torch.inference_mode():
            expected = head.head(torch.from_numpy(vectors_of(classifier, asked))).numpy()
        np.testing.assert_allclose(logits, expected, atol=1e-3)
        if kind == "linear":
            assert loaded.network.fc.out_features == 3
        else:
            with pytest.raises(NetworkMissingError):
                _ = loaded.network
    assert classifier.network.num_classes == 2


def test_what_does_not_fit() -> None:
    vectors, labels = np.random.default_rng(0).random((12, 7), dtype=np.float32), np.arange(12) % 3
    fitted = fit_head("linear", vectors, labels, 3)
    with pytest.raises(ClassCountError, match="received 2 names for 3 classes"):
        with_head(base(), fitted, ["a", "b"])
    with pytest.raises(ShapeError, match="learned from 7 features, but the network gives"):
        with_head(base(), fitted, NAMES)
    network = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
    with pytest.raises(ModelError, match="no head that could be replaced"):
        with_head(Classifier(network, PREPROCESSING, NAMES), fitted, NAMES)
