"""Bundles of tiny networks, made by hand in milliseconds: no training, no torch."""

from __future__ import annotations

import io

import numpy as np
from onnx import TensorProto, helper, numpy_helper
from PIL import Image
from safetensors.numpy import save as serialise

from lamplighter.images.preprocessing import Preprocessing
from lamplighter.models.classifier import Classifier
from lamplighter.models.reliability import Trust
from lamplighter.saving import reliability_entry
from lamplighter.saving.archive import write_archive
from lamplighter.saving.description import describe_classifier
from lamplighter.saving.parity import Parity

NAMES = ("cat", "dog", "eel")
SIDE, WIDTH = 8, 5  # pixels of an image, numbers of a feature vector


def classifier(seed=0, names=NAMES, *, threshold=None, scale=1.0):
    """Return a linear network on features, from a graph; with a threshold it can say "unknown"."""
    rng = np.random.default_rng(seed)
    into = rng.normal(size=(3 * SIDE * SIDE, WIDTH)).astype(np.float32)
    out = (scale * rng.normal(size=(WIDTH, len(names)))).astype(np.float32)
    ports = [
        helper.make_tensor_value_info("images", TensorProto.FLOAT, ["N", 3, SIDE, SIDE]),
        helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", len(names)]),
        helper.make_tensor_value_info("features", TensorProto.FLOAT, ["N", WIDTH]),
    ]
    graph = helper.make_graph(
        [
            helper.make_node("Flatten", ["images"], ["flat"]),
            helper.make_node("MatMul", ["flat", "into"], ["features"]),
            helper.make_node("MatMul", ["features", "out"], ["logits"]),
        ],
        "tiny",
        ports[:1],
        ports[1:],
        [numpy_helper.from_array(into, "into"), numpy_helper.from_array(out, "out")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    made = Classifier.from_graph(
        model.SerializeToString(),
        lambda: None,
        Preprocessing(height=SIDE, width=SIDE, mean=(0.4, 0.5, 0.6), std=(0.3, 0.3, 0.3)),
        names,
        state=dict,
    )
    if threshold is not None:
        reference = rng.normal(size=(20, WIDTH)).astype(np.float32)
        made.trust = Trust(1.5, reference, 1, threshold, {})
    return made


def write(path, made):
    """Write a classifier as a bundle."""
    weights = serialise({"none": np.zeros(1, dtype=np.float32)})
    trust, reference = reliability_entry.described(made.trust)
    parity = Parity("1 made up", 0.0)
    made.missing = {"name": None, "class": "nobody.Has"}
    description = describe_classifier(made, parity, weights=weights, graph=made.graph, trust=trust)
    parts = {
        "description.json": description,
        "weights.safetensors": weights,
        "network.onnx": made.graph,
    }
    if reference is not None:
        parts["reference.npy"] = reference
    write_archive(path, parts)
    return path


def pictures(count, seed=0):
    """Return the bytes of `count` pictures of several sizes, as PNG."""
    rng = np.random.default_rng(seed)
    return [
        encoded(rng.integers(0, 256, (*rng.integers(5, 30, 2), 3), dtype=np.uint8))
        for _ in range(count)
    ]


def encoded(pixels, kind="png"):
    """Return the bytes of an image file."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format=kind)
    return file.getvalue()
