"""Heads written as ONNX graphs, against the torch modules and torch's own export."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper
from torch import nn

from lamplighter.errors import ModelError
from lamplighter.features.heads.fitting import fit_head
from lamplighter.inference.runtime import head_logits
from lamplighter.models.head_weights import HeadWeights, ModuleWeights, of_module
from lamplighter.models.heads import KNNHead, LinearHead, SVMHead
from lamplighter.saving import composing, tracing
from lamplighter.saving.composing import composed_graph
from lamplighter.saving.head_graphs import standalone_graph, written_graph

WIDTH = 12
KINDS = ("knn", "svm", "linear")
MODULES = {"knn": KNNHead, "svm": SVMHead, "linear": LinearHead}


def features_port():
    return helper.make_tensor_value_info("features", TensorProto.FLOAT, ["N", WIDTH])


def model_like(opset=20, ir_version=10):
    graph = helper.make_graph([], "none", [features_port()], [])
    opsets = [helper.make_opsetid("", opset)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=ir_version)


def run(content, vectors):
    import onnxruntime

    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    return session.run(["logits"], {"features": vectors})[0]


def vectors_and_labels(classes, count=90):
    rng = np.random.default_rng(0)
    labels = rng.integers(0, classes, count)
    centres = rng.normal(size=(classes, WIDTH))
    vectors = (centres[labels] + rng.normal(size=(count, WIDTH))).astype(np.float32)
    return vectors, labels


def others(count=40):
    return np.random.default_rng(1).normal(size=(count, WIDTH)).astype(np.float32)


def fitted(kind, classes=3, **arguments):
    vectors, labels = vectors_and_labels(classes)
    head = fit_head(kind, vectors, labels, classes + 1).head  # the last class has no vector
    return HeadWeights(kind, head.weights, {**head.arguments, **arguments})


def by_torch(head, vectors):
    """Return the logits of the torch module, whose weights are put in by their names here."""
    module = MODULES[head.kind](WIDTH, head.num_classes, **head.arguments).eval()
    module.load_state_dict({key: torch.tensor(value) for key, value in head.weights.items()})
    with torch.inference_mode():
        return module(torch.from_numpy(vectors)).numpy()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("classes", [2, 5])
def test_a_written_head_is_the_torch_module(kind, classes):
    head = fitted(kind, classes)
    written = written_graph(head, features_port(), model_like())
    onnx.checker.check_model(written, full_check=True)
    expected = by_torch(head, others())
    assert expected.std() > 0.1  # it says something
    for content in (written.SerializeToString(), standalone_graph(head)):
        np.testing.assert_allclose(run(content, others()), expected, atol=1e-4)
        np.testing.assert_array_equal(head_logits(content, others()), run(content, others()))
        for count in (0, 1, 7):  # the number of images is free
            few = run(content, others()[:count])
            np.testing.assert_allclose(few, expected[:count], atol=1e-4)


@pytest.mark.parametrize("weights", ["uniform", "distance"])
@pytest.mark.parametrize("neighbours", [1, 9, 90])
def test_neighbours_of_each_number_and_kind_of_vote(neighbours, weights):
    head = fitted("knn", neighbours=neighbours, weights=weights, smoothing=0.03)
    expected = by_torch(head, others())
    np.testing.assert_allclose(run(standalone_graph(head), others()), expected, atol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_a_vector_of_zeros_has_finite_scores(kind):
    head, zeros = fitted(kind), np.zeros((2, WIDTH), dtype=np.float32)
    logits = run(standalone_graph(head), zeros)
    assert np.isfinite(logits).all()
    np.testing.assert_allclose(logits, by_torch(head, zeros), atol=1e-4)


def test_neighbours_that_tie_vote_as_in_torch():
    vectors = np.eye(4, WIDTH, dtype=np.float32)[[0, 0, 0, 1, 1, 2]]
    weights = {
        "centre": np.zeros(WIDTH, dtype=np.float32),
        "references": vectors,
        "labels": np.array([0, 1, 2, 3, 3, 0]),
        "class_weights": np.array([1.0, 2.0, 1.0, 0.5], dtype=np.float32),
    }
    arguments = {"num_references": 6, "neighbours": 1, "weights": "uniform", "smoothing": 0.01}
    head, asked = HeadWeights("knn", weights, arguments), vectors[[0, 3, 5]] * 7
    expected = by_torch(head, asked)
    np.testing.assert_allclose(np.exp(expected[0]), np.array([0.26, 0.51, 0.26, 0.01]) / 1.04, 1e-5)
    np.testing.assert_allclose(run(standalone_graph(head), asked), expected, atol=1e-5)


@pytest.mark.parametrize("kind", ["knn", "svm"])
def test_a_written_head_is_what_torch_exports(kind):
    head = fitted(kind)
    vectors, _ = vectors_and_labels(3)
    np.testing.assert_allclose(
        run(standalone_graph(head), vectors),
        run(tracing.head_graph(head.to_torch(), WIDTH), vectors),
        atol=1e-4,
    )


@pytest.mark.parametrize("kind", KINDS)
def test_a_head_that_went_through_torch_is_the_same(kind):
    head = fitted(kind)
    again = of_module(head.to_torch())
    assert (again.kind, again.arguments) == (head.kind, head.arguments)
    assert again.weights.keys() == head.weights.keys()
    for name, value in head.weights.items():
        np.testing.assert_array_equal(again.weights[name], value, err_msg=name)
        assert again.weights[name].dtype == value.dtype
    assert standalone_graph(again) == standalone_graph(head)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("opset", "ir_version"), [(13, 7), (17, 8), (18, 8), (21, 10)])
def test_a_written_head_has_the_versions_of_its_backbone(kind, opset, ir_version):
    head, like = fitted(kind), model_like(opset, ir_version)
    written = written_graph(head, features_port(), like)
    onnx.checker.check_model(written, full_check=True)
    assert list(written.opset_import) == list(like.opset_import)
    assert written.ir_version == ir_version
    expected = by_torch(head, others())
    np.testing.assert_allclose(run(written.SerializeToString(), others()), expected, atol=1e-4)


class Doubled(nn.Module):
    """A head of somebody's own."""

    num_features, num_classes = WIDTH, 2

    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(WIDTH, 2)

    def forward(self, features):
        return 2 * self.inner(features)


def backbone_graph(opset=20):
    """A graph that gives its images, 1 x 1 of 12 channels, as features."""
    images = helper.make_tensor_value_info("images", TensorProto.FLOAT, ["N", WIDTH, 1, 1])
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", WIDTH])
    nodes = [
        helper.make_node("Flatten", ["images"], ["features"], axis=1),
        helper.make_node("Neg", ["features"], ["logits"]),
    ]
    graph = helper.make_graph(nodes, "main", [images], [logits, features_port()])
    opsets = [helper.make_opsetid("", opset)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=10).SerializeToString()


OTHERS = [
    nn.Sequential(nn.Linear(WIDTH, 2)),
    nn.Linear(WIDTH, 2, bias=False),
    Doubled(),
    ModuleWeights("doubled", Doubled(), {}),
]


@pytest.mark.parametrize("head", OTHERS, ids=["sequence", "no bias", "own", "registered"])
def test_any_other_head_is_exported_by_torch(head, monkeypatch):
    if isinstance(head, nn.Module):
        assert of_module(head) is None
    exported, original = [], tracing.head_graph
    monkeypatch.setattr(
        composing, "head_graph", lambda *given: exported.append(1) or original(*given)
    )
    content = composed_graph(backbone_graph(), head)
    assert exported == [1]
    module = head if isinstance(head, nn.Module) else head.to_torch()
    with torch.inference_mode():
        expected = module(torch.from_numpy(others())).numpy()
    onnx.checker.check_model(onnx.load_model_from_string(content), full_check=True)
    assert composed_features(content, others())[1].shape == (40, WIDTH)
    np.testing.assert_allclose(composed_features(content, others())[0], expected, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_no_head_of_a_known_kind_is_exported(kind, monkeypatch):
    monkeypatch.setattr(composing, "head_graph", None)
    head = fitted(kind)
    expected = by_torch(head, others())
    for given in (head, head.to_torch()):
        logits, features = composed_features(composed_graph(backbone_graph(), given), others())
        np.testing.assert_allclose(logits, expected, atol=1e-4)
        np.testing.assert_array_equal(features, others())


def test_a_backbone_of_old_operators_is_refused_in_words():
    with pytest.raises(ModelError, match=r"operators 13 or later, received 12; export it with"):
        composed_graph(backbone_graph(opset=12), fitted("svm"))
    content = composed_graph(backbone_graph(opset=13), fitted("svm"))
    expected = by_torch(fitted("svm"), others())
    np.testing.assert_allclose(composed_features(content, others())[0], expected, atol=1e-4)


def composed_features(content, vectors):
    import onnxruntime

    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    images = vectors[:, :, np.newaxis, np.newaxis]
    return session.run(["logits", "features"], {"images": images})
