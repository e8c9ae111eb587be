"""An ONNX file of any other software as a backbone, or one line that says why not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

import lamplighter
from lamplighter.errors import DataError, ModelError, NetworkMissingError
from lamplighter.features.heads.fitting import fit_head, with_head
from lamplighter.inference.runtime import runtime
from lamplighter.saving.onnx_backbone import onnx_backbone

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

WIDTH = 6
WEIGHT = np.random.default_rng(0).normal(size=(WIDTH, 3, 3, 3)).astype(np.float32)
PREPARED: dict[str, Any] = {"size": 16, "mean": (0.5, 0.4, 0.3), "std": (0.2, 0.3, 0.4)}


def model(
    *,
    image: tuple[Any, ...] = ("n", 3, "h", "w"),
    vector: tuple[Any, ...] = ("n", WIDTH),
    end: tuple[str, ...] = ("GlobalAveragePool", "Flatten"),
    kind: int = TensorProto.FLOAT,
    more: tuple[str, ...] = (),
) -> onnx.ModelProto:
    """Return a convolution and what follows it, as other software writes it."""
    nodes = [helper.make_node("Conv", ["pixels", "weight"], ["at_0"], "conv", strides=[2, 2])]
    for number, name in enumerate(end):
        nodes.append(helper.make_node(name, [f"at_{number}"], [f"at_{number + 1}"]))
    nodes[-1].output[0] = "vector"
    outputs = [helper.make_tensor_value_info("vector", kind, vector)]
    for name in more:
        nodes.append(helper.make_node("Neg", ["vector"], [name]))
        outputs.append(helper.make_tensor_value_info(name, kind, vector))
    graph = helper.make_graph(
        nodes,
        "other",
        [helper.make_tensor_value_info("pixels", kind, image)],
        outputs,
        [numpy_helper.from_array(WEIGHT, "weight")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])


def expected(pixels: np.ndarray) -> np.ndarray:
    """Return the features of uint8 pixels (N, 3, 16, 16), by torch."""
    mean, std = (np.array(PREPARED[name]).reshape(3, 1, 1) for name in ("mean", "std"))
    images = torch.from_numpy(((pixels / 255 - mean) / std).astype(np.float32))
    maps = torch.nn.functional.conv2d(images, torch.from_numpy(WEIGHT), stride=2)
    return maps.mean((2, 3)).numpy()


PIXELS = np.random.default_rng(1).integers(0, 256, (5, 3, 16, 16), dtype=np.uint8)


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"end": ("GlobalAveragePool",), "vector": ("n", WIDTH, 1, 1)},
        {"image": (1, 3, 16, 16), "vector": (1, WIDTH)},  # made for one image: here N is free
        {"image": (None, None, None, None), "vector": (None, None)},
        {"end": ("GlobalAveragePool",), "vector": ("n", WIDTH, "a", "b")},
    ],
)
def test_its_vectors_are_the_features(tmp_path: Path, given: dict[str, Any]) -> None:
    onnx.save(model(**given), tmp_path / "own.onnx")
    classifier = onnx_backbone(tmp_path / "own.onnx", **PREPARED)
    inputs = classifier.preprocessing.normalise(PIXELS)
    _, features = runtime(classifier).with_features(inputs)
    np.testing.assert_allclose(features, expected(PIXELS), atol=1e-5)
    assert classifier.num_classes == WIDTH


def test_of_several_outputs_the_one_called_features(tmp_path: Path) -> None:
    onnx.save(model(more=("features", "other")), tmp_path / "own.onnx")
    classifier = onnx_backbone(tmp_path / "own.onnx", **PREPARED)
    _, features = runtime(classifier).with_features(classifier.preprocessing.normalise(PIXELS))
    np.testing.assert_allclose(features, -expected(PIXELS), atol=1e-5)


def test_with_a_head_it_is_a_bundle_without_a_torch_network(tmp_path: Path) -> None:
    onnx.save(model(), tmp_path / "own.onnx")
    backbone = onnx_backbone(tmp_path / "own.onnx", **PREPARED)
    many = np.random.default_rng(2).integers(0, 200, (30, 3, 16, 16), dtype=np.uint8)
    labels = np.arange(30) % 2
    many[labels == 1, 0] += 50
    vectors = runtime(backbone).with_features(backbone.preprocessing.normalise(many))[1]
    fitted = fit_head("linear", vectors, labels, 2)
    path = lamplighter.save(with_head(backbone, fitted, ("dark", "red")), tmp_path / "own.lamp")
    loaded = lamplighter.load(path)
    logits = runtime(loaded)(loaded.preprocessing.normalise(many))
    np.testing.assert_allclose(logits, fitted.head.logits(vectors), atol=1e-4)
    with pytest.raises(NetworkMissingError, match=r"ONNX graph own\.onnx"):
        loaded.to_torch()
    again = with_head(loaded, fitted, ("dark", "red"))  # a head of a head's own backbone
    lamplighter.save(again, tmp_path / "again.lamp")


def custom(made: onnx.ModelProto) -> onnx.ModelProto:
    made.graph.node[0].domain = "com.acme"
    made.opset_import.append(helper.make_opsetid("com.acme", 1))
    return made


def sequence_of(batch: int) -> onnx.ModelProto:
    """Return a model whose batch is a number in the middle of it, where no shape tells."""
    made = model(end=("GlobalAveragePool", "Reshape"), image=(batch, 3, 16, 16))
    made.graph.node[-1].input.append("shape")
    shape = np.array([batch, WIDTH])
    made.graph.initializer.append(numpy_helper.from_array(shape, "shape"))
    return made


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: model(end=("Relu",), vector=("n", WIDTH, 7, 7)), "global average pooling"),
        (lambda: model(more=("second",)), "one output, received 2: vector, second"),
        (lambda: model(kind=TensorProto.FLOAT16), "not float32"),
        (lambda: model(image=("n", 3, 32, 32)), r"\(n, 3, 32, 32\), but .* \(N, 3, 16, 16\)"),
        (lambda: model(image=("n", 1, "h", "w")), r"\(n, 1, h, w\), but"),
        (lambda: model(image=("n", 768)), r"\(n, 768\), but"),
        (lambda: custom(model()), r"standard operators alone, received one of 'com\.acme'"),
        (lambda: sequence_of(1), "export it with a free N"),
    ],
)
def test_what_cannot_be_one_is_told_in_one_line(
    tmp_path: Path, make: Callable[[], onnx.ModelProto], message: str
) -> None:
    onnx.save(make(), tmp_path / "own.onnx")
    with pytest.raises(ModelError, match=message) as caught:
        onnx_backbone(tmp_path / "own.onnx", **PREPARED)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(f"{tmp_path / 'own.onnx'} cannot be a backbone: ")


def test_a_file_that_is_none(tmp_path: Path) -> None:
    whole = model().SerializeToString()
    path = tmp_path / "own.onnx"
    for content in (b"", b"GIF89a", whole[: len(whole) // 2], whole[:-9]):
        path.write_bytes(content)
        with pytest.raises(ModelError, match=r"own\.onnx cannot be a backbone"):
            onnx_backbone(path, **PREPARED)
    with pytest.raises(ModelError, match=r"gone\.onnx cannot be read: No such file"):
        onnx_backbone(tmp_path / "gone.onnx", **PREPARED)
    onnx.save(model(), path, save_as_external_data=True, size_threshold=0)
    with pytest.raises(ModelError, match="kept in another file"):
        onnx_backbone(path, **PREPARED)


def test_preprocessing_that_is_out_of_range(tmp_path: Path) -> None:
    onnx.save(model(), tmp_path / "own.onnx")
    for wrong in ({"std": (0, 1, 1)}, {"mean": (0.5, 0.5)}, {"size": 0}, {"fit": "stretch"}):
        with pytest.raises(DataError):
            onnx_backbone(tmp_path / "own.onnx", **{**PREPARED, **wrong})


def test_features_that_are_no_numbers_are_told_with_the_file(tmp_path: Path) -> None:
    made = model()
    made.graph.initializer[0].CopyFrom(numpy_helper.from_array(WEIGHT * np.nan, "weight"))
    onnx.save(made, tmp_path / "own.onnx")
    classifier = onnx_backbone(tmp_path / "own.onnx", **PREPARED)
    with pytest.raises(ModelError, match=r"the network of .*own\.onnx answers NaN"):
        runtime(classifier).with_features(classifier.preprocessing.normalise(PIXELS))
