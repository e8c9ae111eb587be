"""Preprocessing as an ONNX graph, against Pillow."""

from __future__ import annotations

from itertools import product

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from PIL import Image

from lamplighter.errors import ExportError
from lamplighter.images.preprocessing import Preprocessing
from lamplighter.inference.runtime import GraphRuntime
from lamplighter.saving import preprocessing_graph
from lamplighter.saving.nodes import Nodes
from lamplighter.saving.preprocessing_graph import write_preprocessing

# Height and width: none, one and both sides smaller, square, long, tall, a single pixel.
SIZES = ((1, 1), (3, 7), (40, 56), (56, 40), (57, 300), (301, 44), (130, 91), (2, 400), (400, 3))
FITS = (("squash", 1.0), ("crop", 1.0), ("crop", 0.875), ("crop", 0.95), ("letterbox", 1.0))
TARGETS = ((3, 40, 40), (3, 64, 57), (1, 28, 40))


def model_of(wanted: Preprocessing, opset: int = 13) -> GraphRuntime:
    node = Nodes("pre/")
    node("Identity", write_preprocessing(node, wanted, "images"), output="inputs")
    size = ["N", wanted.channels, wanted.height, wanted.width]
    graph = helper.make_graph(
        node.nodes,
        "preprocessing",
        [helper.make_tensor_value_info("images", TensorProto.UINT8, ["N", "h", "w", 3])],
        [helper.make_tensor_value_info("inputs", TensorProto.FLOAT, size)],
        node.tensors,
    )
    versions = [helper.make_opsetid("", opset)]
    model = helper.make_model(graph, opset_imports=versions, ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    return GraphRuntime(model.SerializeToString())


def wanted_of(target, fit="squash", crop_pct=1.0, interpolation="bilinear") -> Preprocessing:
    channels, height, width = target
    return Preprocessing(
        height=height,
        width=width,
        channels=channels,
        mean=(0.4, 0.5, 0.6)[:channels],
        std=(0.2, 0.25, 0.3)[:channels],
        fit=fit,
        crop_pct=crop_pct,
        interpolation=interpolation,
    )


def noise(height: int, width: int) -> np.ndarray:
    rng = np.random.default_rng(height * 1000 + width)
    return rng.integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize(("fit", "interpolation"), [*product(FITS, ("bilinear", "bicubic"))])
def test_every_bit_is_as_pillow_has_it(fit, interpolation):
    for target in TARGETS:
        wanted = wanted_of(target, *fit, interpolation)
        run = model_of(wanted)
        for size in SIZES:
            image = noise(*size)
            (inputs,) = run({"images": image[np.newaxis]})["inputs"]
            expected = wanted(Image.fromarray(image))
            np.testing.assert_array_equal(inputs, expected, err_msg=f"{target} of {size}")


def test_photos_of_real_sizes_are_too():
    wanted = wanted_of((3, 224, 224), "crop", 0.875, "bicubic")
    run = model_of(wanted, opset=20)
    for size in ((480, 640), (900, 300)):
        image = noise(*size)
        (inputs,) = run({"images": image[np.newaxis]})["inputs"]
        np.testing.assert_array_equal(inputs, wanted(Image.fromarray(image)))


def test_several_images_at_once():
    wanted = wanted_of((3, 40, 40))
    images = np.stack([noise(90, 70), noise(90, 70)[::-1]])
    inputs = model_of(wanted)({"images": images})["inputs"]
    expected = [wanted(Image.fromarray(image)) for image in images]
    np.testing.assert_array_equal(inputs, expected)


def test_a_pillow_that_never_does_rows_first(monkeypatch):
    """Older ones did columns first always: then no branch is written."""
    monkeypatch.setattr(preprocessing_graph, "pillow_chooses_order", lambda: False)
    wanted = wanted_of((3, 40, 40), interpolation="bicubic")
    run, tall, wide = model_of(wanted), noise(300, 44), noise(44, 300)
    bicubic = Image.Resampling.BICUBIC
    for image in (tall, wide):
        twice = Image.fromarray(image).resize((40, len(image)), bicubic).resize((40, 40), bicubic)
        (inputs,) = run({"images": image[np.newaxis]})["inputs"]
        np.testing.assert_array_equal(inputs, wanted(twice))


def test_onnx_resize_is_another_filter():
    """Why the graph has no Resize: of one of floats, pixels differ by some 10 of 255."""
    wanted = wanted_of((3, 64, 64), interpolation="bicubic")
    image = noise(48, 48)
    resize = helper.make_node(
        "Resize",
        ["x", "", "", "sizes"],
        ["y"],
        mode="cubic",
        antialias=1,
        cubic_coeff_a=-0.5,
        coordinate_transformation_mode="half_pixel",
        exclude_outside=1,
    )
    sizes = onnx.numpy_helper.from_array(np.array([1, 3, 64, 64]), "sizes")
    ports = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in "xy"]
    graph = helper.make_graph([resize], "resize", ports[:1], ports[1:], [sizes])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    planes = image.transpose(2, 0, 1)[np.newaxis].astype(np.float32)
    resized = GraphRuntime(model.SerializeToString())({"x": planes})["y"].round().clip(0, 255)
    pixels = wanted.pixels(Image.fromarray(image)).astype(float)
    assert np.abs(resized[0] - pixels).max() > 2


def test_a_digit_cannot_be_found_by_a_graph():
    wanted = Preprocessing(
        height=28, width=28, channels=1, mean=(0.5,), std=(0.5,), find_digit=True
    )
    with pytest.raises(ExportError, match=r"finds a digit.*--as-is"):
        write_preprocessing(Nodes(), wanted, "images")
