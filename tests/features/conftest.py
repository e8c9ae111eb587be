"""A classifier whose features are the mean colour of an image, so that numpy is the oracle."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from lamplighter.datasets.folders import scan_folder
from lamplighter.images.preprocessing import Preprocessing
from lamplighter.models.classifier import Classifier

SIZE = 8


def mean_colour_graph(*, features: bool = True) -> bytes:
    """Return a graph: images -> their mean colour (the features, D = 3) -> logits (K = 2)."""
    weight = np.array([[1.0, -1.0], [0.5, 0.0], [0.0, 2.0]], dtype=np.float32)
    outputs = [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", 2])]
    if features:
        outputs.append(helper.make_tensor_value_info("features", TensorProto.FLOAT, ["N", 3]))
    graph = helper.make_graph(
        [
            helper.make_node("GlobalAveragePool", ["images"], ["pooled"]),
            helper.make_node("Flatten", ["pooled"], ["features"]),
            helper.make_node("MatMul", ["features", "w"], ["logits"]),
        ],
        "mean colour",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, ["N", 3, SIZE, SIZE])],
        outputs,
        [numpy_helper.from_array(weight, "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    return model.SerializeToString()


def make_classifier(graph: bytes, **preprocessing: object) -> Classifier:
    """Return a classifier that runs `graph`."""

    def build():
        raise AssertionError("nobody asked for the torch network")

    wanted = {"height": SIZE, "width": SIZE, **preprocessing}
    return Classifier.from_graph(graph, build, Preprocessing(**wanted), ("dark", "light"))


@pytest.fixture
def colours() -> Classifier:
    return make_classifier(mean_colour_graph())


@pytest.fixture
def own_cache(tmp_path, monkeypatch) -> Path:
    """An empty cache folder for one test."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "lamplighter"


@pytest.fixture
def pictures(tmp_path):
    """Twelve plain pictures in two classes; the colour of each follows from its number."""
    folder = tmp_path / "pictures"
    for number in range(12):
        place = folder / ("dark" if number < 6 else "light") / f"{number:02d}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (20, 12), (number * 20, 255 - number * 20, number)).save(place)
    return scan_folder(folder)
