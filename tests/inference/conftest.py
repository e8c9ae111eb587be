"""A linear classifier as an ONNX graph made by hand, so that numpy is the oracle."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from lamplighter.images.preprocessing import Preprocessing
from lamplighter.models.classifier import Classifier

SIZE = (1, 4, 6)  # channels, height, width
NAMES = ("cat", "dog", "eel")


def linear_graph(weight, bias, *, nodes=(), initializers=None, input_shape=("N", *SIZE)):
    """Return a ModelProto: images, flattened, times weight (CHW, K), plus bias (K,)."""
    if initializers is None:
        initializers = [numpy_helper.from_array(weight, "w"), numpy_helper.from_array(bias, "b")]
    graph = helper.make_graph(
        [
            helper.make_node("Flatten", ["images"], ["flat"]),
            helper.make_node("Gemm", ["flat", "w", "b"], ["logits"]),
            *nodes,
        ],
        "linear",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, list(input_shape))],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", len(bias)])],
        initializers,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


@pytest.fixture(scope="session")
def weight():
    return np.random.default_rng(0).normal(size=(24, 3)).astype(np.float32)


@pytest.fixture(scope="session")
def bias():
    return np.array([0.5, -1.0, 2.0], dtype=np.float32)


@pytest.fixture(scope="session")
def graph(weight, bias):
    return linear_graph(weight, bias).SerializeToString()


@pytest.fixture
def preprocessing():
    return Preprocessing(height=4, width=6, channels=1, mean=(0.25,), std=(0.5,))


@pytest.fixture
def classifier(graph, preprocessing):
    def build():
        raise AssertionError("nobody asked for the torch network")

    return Classifier.from_graph(graph, build, preprocessing, NAMES)


@pytest.fixture(scope="session")
def make_graph(weight, bias):
    def make(**changes):
        return linear_graph(weight, bias, **changes)

    return make
