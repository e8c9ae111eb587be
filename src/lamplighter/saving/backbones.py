"""The pretrained networks that come with the package, as ONNX graphs that need no torch."""

from __future__ import annotations

import functools
import json
from dataclasses import replace
from importlib import resources
from typing import TYPE_CHECKING, Any

import numpy as np

from lamplighter.images.preprocessing import Preprocessing
from lamplighter.models.classifier import Architecture, Classifier, Record
from lamplighter.saving.bundle import network_with

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

_ROUNDED = ".float16"  # after the names of weights that a graph keeps in half precision


def bundled_classifier(name: str, *, size: tuple[int, int] | None = None) -> Classifier:
    """Return a pretrained network of the package: EfficientNet-Lite (Tan and Le, 2019).

    It runs an ONNX graph; its torch network is built from the same weights when it is asked for.

    Args:
        name: one of `BUNDLED`.
        size: (height, width) of the images in pixels; by default as the network was trained.
    """
    about = json.loads(_read(f"{name}.json"))
    preprocessing = Preprocessing.from_dict(about["preprocessing"])
    class_names = _read("imagenet.txt").decode().splitlines()
    architecture = Architecture("pretrained", {"backbone": name})
    graph = _read(f"{name}.onnx")
    if size not in (None, (preprocessing.height, preprocessing.width)):
        height, width = size
        preprocessing = replace(preprocessing, height=height, width=width)
        graph = _for_size(graph, height, width)
    state = functools.partial(graph_weights, graph)
    classifier = Classifier.from_graph(
        graph,
        functools.partial(network_with, architecture, preprocessing, len(class_names), state),
        preprocessing,
        class_names,
        state=state,
        architecture=architecture,
        record=Record(recipe={key: about[key] for key in ("weights", "license", "top_1")}),
    )
    classifier.proof = about["proof"]
    return classifier


def _for_size(graph: bytes, height: int, width: int) -> bytes:
    """Return a graph of the package that takes images of another size, as its convolutions do."""
    import onnx

    model = onnx.load_model_from_string(graph)
    dimensions = model.graph.input[0].type.tensor_type.shape.dim
    dimensions[2].dim_value, dimensions[3].dim_value = height, width
    content: bytes = model.SerializeToString()
    return content


def graph_weights(graph: bytes) -> Mapping[str, NDArray[Any]]:
    """Return the weights in a graph of the package by the names that they have in torch."""
    import onnx
    from onnx import numpy_helper

    weights: dict[str, NDArray[Any]] = {}
    for tensor in onnx.load_model_from_string(graph).graph.initializer:
        if "." not in tensor.name:  # a constant
            continue
        value = numpy_helper.to_array(tensor).astype(np.float32)
        weights[tensor.name.removesuffix(_ROUNDED)] = value
        layer, _, part = tensor.name.rpartition(".")
        if part == "running_var":  # torch counts what it has learned these from
            weights[f"{layer}.num_batches_tracked"] = np.zeros((), dtype=np.int64)
    return weights


def _read(name: str) -> bytes:
    return (resources.files("lamplighter.models") / "backbone_files" / name).read_bytes()
