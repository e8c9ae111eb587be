"""Heads written as ONNX graphs, against torch's own export and the torch module."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from onnx import TensorProto, helper
from torch import nn

from lamplighter.features.heads.fitting import fit_head
from lamplighter.saving import tracing
from lamplighter.saving.head_graphs import written_graph

WIDTH = 12


def features_port():
    return helper.make_tensor_value_info("features", TensorProto.FLOAT, ["N", WIDTH])


def model_like():
    graph = helper.make_graph([], "none", [features_port()], [])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


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


@pytest.mark.parametrize("kind", ["knn", "svm", "linear"])
@pytest.mark.parametrize("classes", [2, 5])
def test_a_written_head_is_the_torch_module(kind, classes):
    vectors, labels = vectors_and_labels(classes)
    head = fit_head(kind, vectors, labels, classes + 1).head  # the last class has no vector
    written = written_graph(head, features_port(), model_like())
    assert written is not None
    new = np.random.default_rng(1).normal(size=(40, WIDTH)).astype(np.float32)
    with torch.inference_mode():
        expected = head(torch.from_numpy(new)).numpy()
    np.testing.assert_allclose(run(written.SerializeToString(), new), expected, atol=1e-4)


@pytest.mark.parametrize("kind", ["knn", "svm"])
def test_a_written_head_is_what_torch_exports(kind):
    vectors, labels = vectors_and_labels(3)
    head = fit_head(kind, vectors, labels, 3).head
    written = written_graph(head, features_port(), model_like())
    np.testing.assert_allclose(
        run(written.SerializeToString(), vectors),
        run(tracing.head_graph(head, WIDTH), vectors),
        atol=1e-4,
    )


@pytest.mark.parametrize(
    "head", [nn.Sequential(nn.Linear(WIDTH, 2)), nn.Linear(WIDTH, 2, bias=False)]
)
def test_any_other_head_is_left_to_torch(head):
    assert written_graph(head, features_port(), model_like()) is None
