"""The heads of `lamplighter.models.heads` as ONNX graphs, written node by node.

An export of torch gives the same graphs in seconds rather than milliseconds; that they compute the
same is proven each time a bundle is written.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lamplighter.models import heads

if TYPE_CHECKING:
    from onnx import ModelProto, ValueInfoProto
    from torch import Tensor, nn


def written_graph(
    head: nn.Module, features: ValueInfoProto, model: ModelProto
) -> ModelProto | None:
    """Return an ONNX model of `head`, or None if it is of no kind that is known here.

    Args:
        head: features (N, D) -> logits (N, K).
        features: its input, named "features".
        model: whose versions of ONNX it is to have.
    """
    from onnx import TensorProto, helper
    from torch import nn

    graph = _Nodes()
    if isinstance(head, heads.KNNHead):
        logits = _knn(head, graph)
    elif isinstance(head, heads.SVMHead):
        logits = _svm(head, graph)
    elif isinstance(head, nn.Linear) and head.bias is not None:
        logits = graph("Gemm", "features", _array(head.weight), _array(head.bias), transB=1)
    else:
        return None
    graph("Identity", logits, output="logits")
    classes = head.out_features if isinstance(head, nn.Linear) else head.num_classes
    output = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", classes])
    made = helper.make_graph(graph.nodes, "head", [features], [output], graph.tensors)
    return helper.make_model(made, opset_imports=model.opset_import, ir_version=model.ir_version)


def _knn(head: heads.KNNHead, node: _Nodes) -> str:
    centred = node("Sub", "features", _array(head.centre))
    length = node("ReduceL2", centred, np.array([1]), keepdims=1)
    unit = node("Div", centred, node("Max", length, np.float32(1e-12)))
    similarities = node("MatMul", unit, _array(head.references).T)  # (N, M)
    found = min(head.neighbours + heads.TIED, len(head.references))
    nearest, which = node.several("TopK", 2, similarities, np.array([found]))
    last = node("Gather", nearest, np.array([head.neighbours - 1]), axis=1)
    counts = node("GreaterOrEqual", nearest, node("Sub", last, np.float32(heads.TIE)))
    votes = node("Cast", counts, to=1)
    if head.weights == "distance":
        below = node("Sub", nearest, node("Gather", nearest, np.array([0]), axis=1))
        votes = node("Mul", votes, node("Exp", node("Div", below, np.float32(heads.NEAR))))
    one_hot = np.eye(head.num_classes, dtype=np.float32)[head.labels.cpu().numpy()]  # (M, K)
    of_class = node("Gather", one_hot, which, axis=0)  # (N, found, K)
    spread = node("Mul", node("Unsqueeze", votes, np.array([2])), of_class)
    summed = node("ReduceSum", spread, np.array([1]), keepdims=0)  # (N, K)
    counted = node("Mul", summed, _array(head.class_weights))
    shares = node("Div", counted, node("ReduceSum", counted, np.array([1]), keepdims=1))
    smoothed = node("Add", shares, np.float32(head.smoothing))
    whole = np.float32(1 + head.num_classes * head.smoothing)
    return node("Log", node("Div", smoothed, whole))


def _svm(head: heads.SVMHead, node: _Nodes) -> str:
    length = node("ReduceL2", "features", np.array([1]), keepdims=1)
    unit = node("Div", "features", node("Max", length, np.float32(1e-12)))
    prepared = node("Mul", node("Sub", unit, _array(head.centre)), _array(head.stretch))
    vectors = _array(head.vectors)
    own = node("ReduceSumSquare", prepared, np.array([1]), keepdims=1)
    squares = node(
        "Sub",
        node("Add", own, np.square(vectors).sum(axis=1)),
        node("Mul", node("MatMul", prepared, vectors.T), np.float32(2)),
    )
    kernel = node("Exp", node("Mul", node("Relu", squares), -_array(head.gamma)))  # (N, V)
    return node("Add", node("MatMul", kernel, _array(head.coefficients).T), _array(head.intercepts))


class _Nodes:
    """Collects nodes and the constants that they are given."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.tensors: list[Any] = []

    def __call__(self, kind: str, *inputs: Any, output: str | None = None, **settings: Any) -> str:
        """Add a node and return the name of its output."""
        return self.several(kind, 1, *inputs, output=output, **settings)[0]

    def several(
        self, kind: str, count: int, *inputs: Any, output: str | None = None, **settings: Any
    ) -> list[str]:
        """Add a node and return the names of its outputs."""
        from onnx import helper

        number = len(self.nodes)
        outputs = [output or f"{kind.lower()}_{number}_{place}" for place in range(count)]
        names = [value if isinstance(value, str) else self._constant(value) for value in inputs]
        self.nodes.append(helper.make_node(kind, names, outputs, f"{kind}_{number}", **settings))
        return outputs

    def _constant(self, value: Any) -> str:
        from onnx import numpy_helper

        name = f"constant_{len(self.tensors)}"
        self.tensors.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name


def _array(tensor: Tensor) -> Any:
    return tensor.detach().float().cpu().numpy()
