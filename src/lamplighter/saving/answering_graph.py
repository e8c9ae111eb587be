"""ONNX models that answer: pixels in, class names and probabilities out."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np

from lamplighter.errors import ExportError
from lamplighter.inference.graph_check import check_graph
from lamplighter.models.reliability import unit_length, unknown_label
from lamplighter.saving.head_graphs import OLDEST
from lamplighter.saving.nodes import Nodes
from lamplighter.saving.preprocessing_graph import write_normalisation, write_preprocessing
from lamplighter.version import __version__

if TYPE_CHECKING:
    from onnx import ModelProto, ValueInfoProto

    from lamplighter.models.classifier import Classifier
    from lamplighter.models.reliability import Trust

IMAGES, PIXELS = "images", "pixels"  # names of inputs
LABEL, PROBABILITIES, KNOWN, DISTANCE = "label", "probabilities", "known", "distance"
_NETWORK, _BEFORE, _AFTER = "network/", "preprocessing/", "answer/"  # before names of values


def image_graph(classifier: Classifier, network: bytes) -> bytes:
    """Return an ONNX model that takes images as they are and gives what `predict` says of them.

    Input: "images", uint8 (N, h, w, 3), RGB, upright, of any one size. Outputs: "label" (N,), a
    class name or what stands for unknown; "probabilities" (N, K), calibrated; and, of a classifier
    that can say "unknown", "known" (N,) and "distance" (N,). The metadata has the class names.

    Args:
        classifier: whose preprocessing, class names and trust are written.
        network: its ONNX model, normalised images (N, C, H, W) to "logits" and maybe "features".

    Raises:
        ExportError: the preprocessing finds a digit, the model is of ONNX's operators before 13, or
            it has no features where "unknown" needs them.
        BundleError: the model is damaged.
    """
    from onnx import TensorProto, helper

    model = _prefixed(network)
    before = Nodes(_BEFORE)
    inputs = write_preprocessing(before, classifier.preprocessing, IMAGES)
    after = Nodes(_AFTER)
    outputs = [_label_output()]
    outputs += _write_answers(after, classifier, model)
    _write_labels(after, classifier, knows=len(outputs) > 2)
    images = helper.make_tensor_value_info(IMAGES, TensorProto.UINT8, ["N", "h", "w", 3])
    return _joined(model, before, inputs, after, images, outputs, classifier)


def pixels_graph(classifier: Classifier, network: bytes) -> bytes:
    """Return an ONNX model from pixels of the network's own size to probabilities.

    Input: "pixels", float32 (N, C, H, W), 0..255. Outputs: "probabilities" (N, K), calibrated; and,
    of a classifier that can say "unknown", "known" (N,) and "distance" (N,).

    Raises:
        ExportError: as `image_graph`, but for the digit.
        BundleError: the model is damaged.
    """
    from onnx import TensorProto, helper

    wanted = classifier.preprocessing
    model = _prefixed(network)
    before, after = Nodes(_BEFORE), Nodes(_AFTER)
    inputs = write_normalisation(before, wanted, PIXELS)
    outputs = _write_answers(after, classifier, model)
    size: list[str | int | None] = ["N", wanted.channels, wanted.height, wanted.width]
    pixels = helper.make_tensor_value_info(PIXELS, TensorProto.FLOAT, size)
    return _joined(model, before, inputs, after, pixels, outputs, classifier)


def _prefixed(network: bytes) -> ModelProto:
    """Return a model whose names cannot be those of what it is joined to."""
    import onnx
    from onnx import compose

    check_graph(network)
    model = onnx.load_model_from_string(network)
    version = next((one.version for one in model.opset_import if not one.domain), 0)
    if version < OLDEST:
        raise ExportError(
            f"what is joined to a graph needs ONNX's operators {OLDEST} or later, received a graph "
            f"of {version}; export the network with opset_version={OLDEST} or more."
        )
    return compose.add_prefix(model, _NETWORK)


def _joined(
    model: ModelProto,
    before: Nodes,
    inputs: str,
    after: Nodes,
    given: ValueInfoProto,
    outputs: list[ValueInfoProto],
    classifier: Classifier,
) -> bytes:
    """Return a model of what comes before the network, the network, and what comes after it."""
    from onnx import helper

    link = helper.make_node("Identity", [inputs], [model.graph.input[0].name], f"{_BEFORE}end")
    graph = helper.make_graph(
        [*before.nodes, link, *model.graph.node, *after.nodes],
        "lamplighter",
        [given],
        outputs,
        [*before.tensors, *model.graph.initializer, *after.tensors],
    )
    whole = helper.make_model(
        graph, opset_imports=model.opset_import, ir_version=max(model.ir_version, 7)
    )
    whole.producer_name, whole.producer_version = "lamplighter", __version__
    metadata = {
        "class_names": json.dumps(classifier.class_names, ensure_ascii=False),
        "preprocessing": classifier.preprocessing.describe(),
    }
    if any(port.name == KNOWN for port in outputs):
        metadata["unknown"] = unknown_label(classifier.class_names)
    helper.set_model_props(whole, metadata)
    content: bytes = whole.SerializeToString()
    return content


def _label_output() -> ValueInfoProto:
    from onnx import TensorProto, helper

    return helper.make_tensor_value_info(LABEL, TensorProto.STRING, ["N"])


def _write_answers(node: Nodes, classifier: Classifier, model: ModelProto) -> list[ValueInfoProto]:
    """Write what becomes of logits and features, and return the outputs."""
    from onnx import TensorProto, helper

    names = [port.name for port in model.graph.output]
    logits = f"{_NETWORK}logits" if f"{_NETWORK}logits" in names else names[0]
    trust = classifier.trust
    temperature = np.float32(1.0 if trust is None else trust.temperature)
    node("Softmax", node("Div", logits, temperature), output=PROBABILITIES, axis=1)
    outputs = [
        helper.make_tensor_value_info(
            PROBABILITIES, TensorProto.FLOAT, ["N", classifier.num_classes]
        )
    ]
    if trust is None or trust.reference is None:
        return outputs
    if f"{_NETWORK}features" not in names:
        raise ExportError(
            'the bundle says "unknown" by the features of its network, but its graph gives none; '
            "save the classifier again."
        )
    _write_distance(node, f"{_NETWORK}features", trust)
    return [
        *outputs,
        helper.make_tensor_value_info(KNOWN, TensorProto.BOOL, ["N"]),
        helper.make_tensor_value_info(DISTANCE, TensorProto.FLOAT, ["N"]),
    ]


def _write_distance(node: Nodes, features: str, trust: Trust) -> None:
    """Write what `Trust.distances` computes: the cosine distance to the n-th nearest vector."""
    assert trust.reference is not None
    squares = node("ReduceSum", node("Mul", features, features), np.array([1]), keepdims=1)
    length = node("Max", node("Sqrt", squares), np.float32(1e-30))  # a row of zeros stays
    directions = unit_length(trust.reference)  # (M, D)
    cosines = node("MatMul", node("Div", features, length), directions.T)  # (N, M)
    nearest, _ = node.several("TopK", 2, cosines, np.array([trust.neighbours]), axis=1)
    last = node("Gather", nearest, np.int64(trust.neighbours - 1), axis=1)  # (N,)
    apart = node("Sub", np.float32(1), last)
    node("Clip", apart, np.float32(0), np.float32(2), output=DISTANCE)
    node("LessOrEqual", DISTANCE, np.float32(trust.threshold), output=KNOWN)


def _write_labels(node: Nodes, classifier: Classifier, *, knows: bool) -> None:
    """Write the name of the most probable class, or what stands for unknown."""
    names = list(classifier.class_names)
    index = node("ArgMax", PROBABILITIES, axis=1, keepdims=0)
    if knows:
        names.append(unknown_label(classifier.class_names))
        index = node("Where", KNOWN, index, np.int64(len(names) - 1))
    encoded = np.array([name.encode() for name in names], dtype=object)
    node("Gather", encoded, index, output=LABEL, axis=0)
