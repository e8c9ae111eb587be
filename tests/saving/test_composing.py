"""A new head joined to a graph of the backbone, instead of an export of the whole."""

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from lamplighter.errors import ModelError
from lamplighter.images.preprocessing import Preprocessing
from lamplighter.inference.runtime import OnnxRuntime, TorchRuntime
from lamplighter.models.classifier import Architecture, Classifier
from lamplighter.models.pretrained import PretrainedNetwork
from lamplighter.saving import parity, tracing
from lamplighter.saving.bundle import load, save
from lamplighter.saving.composing import composed_graph

PREPROCESSING = Preprocessing(height=32, width=48)
BACKBONE = "test_resnet"  # timm's smallest


def make_network(num_classes, **arguments):
    network = PretrainedNetwork(num_classes, 3, (32, 48), backbone=BACKBONE, **arguments)
    return network.eval()


@pytest.fixture(scope="module")
def old():
    torch.manual_seed(4)
    return make_network(7)


@pytest.fixture(scope="module")
def graph(old):
    return tracing.onnx_graph(old, PREPROCESSING)


def inputs(count):
    return np.random.default_rng(count).normal(size=(count, 3, 32, 48)).astype(np.float32)


def with_new_head(old, num_classes=3, **arguments):
    network = make_network(num_classes, **arguments)
    network.backbone.load_state_dict(old.backbone.state_dict())
    return network


@pytest.mark.parametrize(
    "head", [{}, {"head": "knn", "num_references": 9, "neighbours": 3}], ids=["linear", "knn"]
)
def test_answers_as_the_torch_network_with_the_new_head(old, graph, head):
    network = with_new_head(old, **head)
    if head:
        nn.init.normal_(network.head.references)
        network.head.labels.copy_(torch.arange(9) % 3)
    joined = composed_graph(graph, network.head)
    onnx.checker.check_model(onnx.load_model_from_string(joined), full_check=True)
    for count in (1, 5):
        answers = OnnxRuntime(joined).with_features(inputs(count))
        expected = TorchRuntime(network).with_features(inputs(count))
        for ours, theirs, width in zip(answers, expected, (3, network.num_features), strict=True):
            assert ours.shape == (count, width)
            np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_the_old_head_and_its_weights_are_gone(old, graph):
    network = with_new_head(old)
    model = onnx.load_model_from_string(composed_graph(graph, network.head))
    shapes = [tuple(tensor.dims) for tensor in model.graph.initializer]
    assert (7, old.num_features) not in shapes
    assert (3, old.num_features) in shapes
    assert [port.name for port in model.graph.output] == ["logits", "features"]
    # Joining again and again does not make it grow.
    again = composed_graph(model.SerializeToString(), network.head)
    assert len(again) == len(model.SerializeToString())


def test_a_graph_without_features_is_refused(old, graph):
    model = onnx.load_model_from_string(graph)
    del model.graph.output[1]
    with pytest.raises(ModelError, match="only to a graph that gives features"):
        composed_graph(model.SerializeToString(), old.head)


class TestSaving:
    @pytest.fixture
    def exports(self, monkeypatch):
        """How often a whole network is exported."""
        calls, original = [], tracing.onnx_graph

        def export(*arguments):
            calls.append(1)
            return original(*arguments)

        monkeypatch.setattr(tracing, "onnx_graph", export)
        return calls

    def classifier(self, network, graph):
        architecture = Architecture("pretrained", {"backbone": BACKBONE})
        classifier = Classifier(network, PREPROCESSING, list("abc"), architecture=architecture)
        classifier.backbone_graph = graph
        return classifier

    def test_a_proven_backbone_is_not_exported_again(self, old, graph, exports, tmp_path):
        classifier = self.classifier(with_new_head(old), graph)
        path = save(classifier, tmp_path / "new.lamp")
        assert exports == []
        loaded = load(path)
        expected = TorchRuntime(classifier.network)(inputs(4))
        np.testing.assert_allclose(OnnxRuntime(loaded.graph)(inputs(4)), expected, atol=1e-4)
        # What came from a bundle keeps its graph, so that a new head costs no export either.
        with torch.no_grad():
            loaded.to_torch().head.bias += 1
        save(loaded, tmp_path / "again.lamp")
        assert exports == []
        again = OnnxRuntime(load(tmp_path / "again.lamp").graph)(inputs(4))
        np.testing.assert_allclose(again, expected + 1, atol=1e-4)

    def test_a_backbone_that_was_trained_on_is_exported(self, old, graph, exports):
        network = with_new_head(old)
        with torch.no_grad():
            next(network.backbone.parameters()).mul_(1.5)
        content, _ = parity.proven_graph(self.classifier(network, graph))
        assert exports == [1]
        expected = TorchRuntime(network)(inputs(4))
        np.testing.assert_allclose(OnnxRuntime(content)(inputs(4)), expected, atol=1e-4)

    def test_a_graph_that_is_of_no_use_is_passed_over(self, old, graph, monkeypatch):
        network, calls = with_new_head(old), []
        whole = composed_graph(graph, network.head)
        monkeypatch.setattr(tracing, "onnx_graph", lambda *_: calls.append(1) or whole)
        model = onnx.load_model_from_string(graph)
        model.graph.input[0].type.tensor_type.shape.dim[2].dim_value = 31
        without = onnx.load_model_from_string(graph)
        del without.graph.output[1]
        for useless in (model, without):
            parity.proven_graph(self.classifier(network, useless.SerializeToString()))
        for useless in (b"\x08\x09", b"no graph"):
            parity.proven_graph(self.classifier(network, useless))
        assert calls == [1, 1, 1, 1]
