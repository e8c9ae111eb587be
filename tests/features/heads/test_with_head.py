"""A backbone with a new head, from the features to a bundle and back."""

from __future__ import annotations

import pickle
import weakref

import numpy as np
import pytest
import torch
from torch import nn

from lamplighter.errors import (
    ClassCountError,
    ModelError,
    NetworkMissingError,
    ParityError,
    ShapeError,
)
from lamplighter.features.heads.fitting import HEADS, fit_head, with_head
from lamplighter.images.preprocessing import Preprocessing
from lamplighter.inference.runtime import OnnxRuntime, TorchRuntime, runtime
from lamplighter.models.classifier import Classifier
from lamplighter.models.head_weights import HeadWeights
from lamplighter.saving.bundle import describe, load, save
from lamplighter.saving.export import export
from lamplighter.saving.quantized import at_precision
from lamplighter.transfer.freezing import freeze
from tests.features.heads.test_fitting import oracle

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


def load_state(network):
    """Return what gives the weights that `network` has now."""
    weights = {name: value.numpy().copy() for name, value in network.state_dict().items()}
    return lambda: weights


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
        **fitted.head.arguments,
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
        np.testing.assert_allclose(loaded.to_torch()(inputs), logits, atol=1e-3)  # built anew
    assert loaded.record.recipe["head"] == kind


class TestJoined:
    """A new head on a graph: the torch network of the backbone is not built for it."""

    @pytest.fixture
    def given(self, bundle):
        return load(bundle)

    @pytest.fixture
    def fitted(self, given):
        pixels, labels = images()
        return fit_head("linear", vectors_of(given, pixels), labels, 3)

    @pytest.fixture
    def unbuildable(self, monkeypatch):
        def refuse(*_, **__):
            raise AssertionError("the network was built")

        monkeypatch.setattr("lamplighter.saving.bundle.build_network", refuse)

    @pytest.mark.usefixtures("unbuildable")
    def test_it_answers_and_is_saved_without_the_network(self, given, fitted, tmp_path):
        completed = with_head(given, fitted, NAMES)
        pixels = images(seed=1)[0]
        logits, features = runtime(completed).with_features(PREPROCESSING.normalise(pixels))
        expected = fitted.head.logits(features)
        np.testing.assert_allclose(logits, expected, atol=1e-4)
        again = runtime(load(save(completed, tmp_path / "new.lamp")))
        np.testing.assert_array_equal(again(PREPROCESSING.normalise(pixels)), logits)

    def test_the_saved_weights_are_those_of_the_network(self, given, fitted, tmp_path):
        completed = with_head(given, fitted, NAMES)
        loaded = load(save(completed, tmp_path / "new.lamp"))
        assert completed.graph is not None  # nothing was built
        expected = completed.read_network().state_dict()
        saved = loaded.read_network().state_dict()
        assert saved.keys() == expected.keys()
        assert all(torch.equal(saved[name], expected[name]) for name in expected)
        np.testing.assert_array_equal(saved["head.weight"], fitted.head.weights["weight"])
        assert loaded.class_names == NAMES

    def test_what_is_done_to_the_given_one_later_is_its_own(self, given, fitted, tmp_path):
        network = given.to_torch()  # one that the given one and its copies share
        shared = Classifier.from_graph(
            given.backbone_graph,
            lambda: network,
            PREPROCESSING,
            given.class_names,
            state=load_state(network),
            architecture=given.architecture,
        )
        completed = with_head(shared, fitted, NAMES)
        inputs = PREPROCESSING.normalise(images()[0])
        expected = runtime(completed)(inputs)
        freeze(shared.to_torch())
        shared.network.register_forward_hook(lambda *_: torch.zeros(len(inputs), 2))
        with torch.no_grad():
            for parameter in shared.network.parameters():
                parameter.add_(1)
        loaded = load(save(completed, tmp_path / "new.lamp"))
        with torch.inference_mode():
            images_ = torch.from_numpy(inputs)
            np.testing.assert_allclose(loaded.to_torch()(images_), expected, atol=1e-3)
            np.testing.assert_allclose(completed.to_torch()(images_), expected, atol=1e-3)
        assert all(parameter.requires_grad for parameter in completed.network.parameters())

    def test_a_network_that_was_trained_on_is_saved_as_it_is(self, given, fitted, tmp_path):
        completed = with_head(given, fitted, NAMES)
        with torch.no_grad():
            for parameter in completed.to_torch().parameters():
                parameter.mul_(1.1)
        inputs = PREPROCESSING.normalise(images()[0])
        expected = runtime(completed)(inputs)
        loaded = load(save(completed, tmp_path / "new.lamp"))
        np.testing.assert_allclose(runtime(loaded)(inputs), expected, atol=1e-3)

    @pytest.mark.parametrize(
        "write",
        [save, lambda classifier, path: export(classifier, path, "onnx")],
        ids=["save", "export"],
    )
    def test_a_graph_that_is_not_the_head_is_proven_on_the_network(
        self, given, fitted, tmp_path, write
    ):
        completed = with_head(given, fitted, NAMES)
        inputs = PREPROCESSING.normalise(images()[0])
        # Its graph is no more that of its weights.
        completed.joined_head.weights["weight"][0, 0] += 100
        expected = TorchRuntime(completed.read_network())(inputs)
        assert not np.allclose(runtime(completed)(inputs), expected, atol=1e-3)
        path = write(completed, tmp_path / ("new.lamp" if write is save else "new.onnx"))
        graph = path.read_bytes() if write is not save else load(path).graph
        np.testing.assert_allclose(OnnxRuntime(graph)(inputs), expected, atol=1e-4)
        if write is save:
            assert "head alone" not in describe(path)["parity"]["images"]

    def test_it_can_be_pickled(self, given, fitted):
        completed = with_head(given, fitted, NAMES)
        again = pickle.loads(pickle.dumps(completed))
        inputs = PREPROCESSING.normalise(images()[0])
        np.testing.assert_array_equal(runtime(again)(inputs), runtime(completed)(inputs))
        torch.testing.assert_close(
            again.to_torch().state_dict(), completed.to_torch().state_dict(), rtol=0, atol=0
        )

    def test_features_of_another_backbone_are_noticed(self, given, fitted, tmp_path):
        completed = with_head(given, fitted, NAMES)
        other = base()
        with torch.no_grad():
            next(other.network.backbone.parameters()).mul_(1.5)
        completed.backbone_graph = load(save(other, tmp_path / "other.lamp")).graph
        inputs = PREPROCESSING.normalise(images()[0])
        path = save(completed, tmp_path / "new.lamp")
        np.testing.assert_allclose(runtime(load(path))(inputs), runtime(completed)(inputs))
        assert "head alone" not in describe(path)["parity"]["images"]

    def test_a_head_that_gives_no_number_is_noticed(self, given, fitted, tmp_path):
        completed = with_head(given, fitted, NAMES)
        broken = {name: value * np.nan for name, value in fitted.head.weights.items()}
        completed.joined_head = HeadWeights("linear", broken)
        path = save(completed, tmp_path / "new.lamp")
        assert "head alone" not in describe(path)["parity"]["images"]

    @pytest.mark.usefixtures("unbuildable")
    def test_a_graph_in_integers_stays_one_in_the_bundle(self, given, fitted, tmp_path):
        reduced = at_precision(given, "int8")
        inputs = PREPROCESSING.normalise(images()[0])
        expected = fitted.head.logits(runtime(reduced).with_features(inputs)[1])
        loaded = load(save(with_head(reduced, fitted, NAMES), tmp_path / "new.lamp"))
        assert loaded.precision == "int8"
        np.testing.assert_allclose(runtime(loaded)(inputs), expected, atol=1e-4)
        again = load(save(loaded, tmp_path / "again.lamp"))
        assert (again.graph, again.precision) == (loaded.graph, "int8")

    def test_its_torch_network_is_in_floats(self, given, fitted, tmp_path):
        completed = with_head(at_precision(given, "int8"), fitted, NAMES)
        loaded = load(save(completed, tmp_path / "new.lamp"))
        inputs = PREPROCESSING.normalise(images()[0])
        expected = runtime(with_head(given, fitted, NAMES))(inputs)
        loaded.to_torch()
        assert loaded.precision == "fp32"
        np.testing.assert_allclose(runtime(loaded)(inputs), expected, atol=1e-3)

    def test_integers_that_do_not_fit_the_head_are_not_saved(self, given, fitted, tmp_path):
        completed = with_head(at_precision(given, "int8"), fitted, NAMES)
        wrong = {name: value + 1 for name, value in fitted.head.weights.items()}
        completed.joined_head = HeadWeights("linear", wrong)
        with pytest.raises(ParityError):
            save(completed, tmp_path / "new.lamp", needs_graph=True)

    def test_many_heads_in_turn(self, given, fitted, tmp_path):
        """Those before are let go."""
        first = completed = with_head(given, fitted, NAMES)
        before = weakref.ref(first)
        for _ in range(30):
            completed = with_head(completed, fitted, NAMES)
        del first
        assert before() is None
        save(completed, tmp_path / "new.lamp")

    def test_a_head_on_a_head(self, given, fitted, tmp_path):
        pixels, labels = images()
        inputs = PREPROCESSING.normalise(pixels)
        first = with_head(given, fit_head("knn", vectors_of(given, pixels), labels, 3), NAMES)
        second = with_head(first, fitted, ("x", "y", "z"))
        loaded = load(save(second, tmp_path / "new.lamp"))
        expected = runtime(with_head(given, fitted, NAMES))(inputs)
        np.testing.assert_allclose(runtime(loaded)(inputs), expected, atol=1e-5)
        assert loaded.class_names == ("x", "y", "z")


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
        expected = head.head.logits(vectors_of(classifier, asked))
        np.testing.assert_allclose(logits, expected, atol=1e-3)
        if kind == "linear":
            assert loaded.to_torch().fc.out_features == 3
        else:
            with pytest.raises(NetworkMissingError):
                loaded.to_torch()
    assert classifier.network.num_classes == 2


@pytest.mark.parametrize("at_rest", [False, True], ids=["network", "graph"])
def test_what_does_not_fit(at_rest, bundle) -> None:
    vectors, labels = np.random.default_rng(0).random((12, 7), dtype=np.float32), np.arange(12) % 3
    fitted = fit_head("linear", vectors, labels, 3)
    given = load(bundle) if at_rest else base()
    with pytest.raises(ClassCountError, match="received 2 names for 3 classes"):
        with_head(given, fitted, ["a", "b"])
    with pytest.raises(ShapeError, match="learned from 7 features, but the network gives"):
        with_head(given, fitted, NAMES)
    network = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
    with pytest.raises(ModelError, match="no head that could be replaced"):
        with_head(Classifier(network, PREPROCESSING, NAMES), fitted, NAMES)
