"""Heads on features as ONNX graphs, written node by node, without torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lamplighter.models.head_weights import NEAR, TIE, TIED
from lamplighter.saving.nodes import Nodes

if TYPE_CHECKING:
    from onnx import ModelProto, ValueInfoProto

    from lamplighter.models.head_weights import HeadWeights

OLDEST = 13  # the version of ONNX's operators from which on these mean the same
_OPSET, _IR_VERSION = 20, 10


def written_graph(head: HeadWeights, features: ValueInfoProto, model: ModelProto) -> ModelProto:
    """Return an ONNX model of `head`, "features" (N, D) to "logits" (N, K).

    Args:
        head: what has learned.
        features: its input, named "features".
        model: whose versions of ONNX it is to have.
    """
    return _model(head, features, model.opset_import, model.ir_version)


def standalone_graph(head: HeadWeights) -> bytes:
    """Return an ONNX model of `head` alone, "features" (N, D) to "logits" (N, K), with N free."""
    from onnx import TensorProto, helper

    features = helper.make_tensor_value_info(
        "features", TensorProto.FLOAT, ["N", head.num_features]
    )
    model = _model(head, features, [helper.make_opsetid("", _OPSET)], _IR_VERSION)
    content: bytes = model.SerializeToString()
    return content


def _model(head: HeadWeights, features: ValueInfoProto, opset: Any, ir_version: int) -> ModelProto:
    from onnx import TensorProto, helper

    graph = Nodes()
    logits = {"knn": _knn, "svm": _svm, "linear": _linear}[head.kind](head, graph)
    graph("Identity", logits, output="logits")
    output = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", head.num_classes])
    made = helper.make_graph(graph.nodes, "head", [features], [output], graph.tensors)
    return helper.make_model(made, opset_imports=opset, ir_version=ir_version)


def _linear(head: HeadWeights, node: Nodes) -> str:
    weights = head.weights
    return node("Gemm", "features", weights["weight"], weights["bias"], transB=1)


def _knn(head: HeadWeights, node: Nodes) -> str:
    weights, arguments = head.weights, head.arguments
    unit = _unit(node("Sub", "features", weights["centre"]), node)
    similarities = node("MatMul", unit, weights["references"].T)  # (N, M)
    found = min(arguments["neighbours"] + TIED, len(weights["references"]))
    nearest, which = node.several("TopK", 2, similarities, np.array([found]))
    last = node("Gather", nearest, np.array([arguments["neighbours"] - 1]), axis=1)
    counts = node("GreaterOrEqual", nearest, node("Sub", last, np.float32(TIE)))
    votes = node("Cast", counts, to=1)
    if arguments["weights"] == "distance":
        below = node("Sub", nearest, node("Gather", nearest, np.array([0]), axis=1))
        votes = node("Mul", votes, node("Exp", node("Div", below, np.float32(NEAR))))
    one_hot = np.eye(head.num_classes, dtype=np.float32)[weights["labels"]]  # (M, K)
    of_class = node("Gather", one_hot, which, axis=0)  # (N, found, K)
    spread = node("Mul", node("Unsqueeze", votes, np.array([2])), of_class)
    summed = node("ReduceSum", spread, np.array([1]), keepdims=0)  # (N, K)
    counted = node("Mul", summed, weights["class_weights"])
    shares = node("Div", counted, node("ReduceSum", counted, np.array([1]), keepdims=1))
    smoothing = arguments["smoothing"]
    smoothed = node("Add", shares, np.float32(smoothing))
    return node("Log", node("Div", smoothed, np.float32(1 + head.num_classes * smoothing)))


def _svm(head: HeadWeights, node: Nodes) -> str:
    weights = head.weights
    unit = _unit("features", node)
    prepared = node("Mul", node("Sub", unit, weights["centre"]), weights["stretch"])
    vectors = weights["vectors"]
    squares = node(
        "Sub",
        node("Add", _squares(prepared, node), np.square(vectors).sum(axis=1)),
        node("Mul", node("MatMul", prepared, vectors.T), np.float32(2)),
    )
    kernel = node("Exp", node("Mul", node("Relu", squares), -weights["gamma"]))  # (N, V)
    scores = node("MatMul", kernel, weights["coefficients"].T)
    return node("Add", scores, weights["intercepts"])


def _unit(vectors: str, node: Nodes) -> str:
    """Return vectors (N, D) at length 1; one of length 0 stays as it is."""
    length = node("Sqrt", _squares(vectors, node))
    return node("Div", vectors, node("Max", length, np.float32(1e-12)))


def _squares(vectors: str, node: Nodes) -> str:
    """Return the squared lengths (N, 1) of vectors (N, D).

    In operators that are the same in all versions from `OLDEST` on: ReduceL2 is not.
    """
    return node("ReduceSum", node("Mul", vectors, vectors), np.array([1]), keepdims=1)
