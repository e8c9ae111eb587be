from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from lamplighter.data.preprocessing import Preprocessing
from lamplighter.errors import DataError, ImageError

MODES = ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "HSV", "LAB", "I", "F", "I;16"]
sides = st.integers(1, 40) | st.sampled_from([1, 300])


@st.composite
def preprocessings(draw: st.DrawFn) -> Preprocessing:
    channels = draw(st.sampled_from([1, 3]))
    means = st.tuples(*[st.floats(0, 1)] * channels)
    stds = st.tuples(*[st.floats(0.01, 2)] * channels)
    return Preprocessing(
        height=draw(st.integers(1, 40)),
        width=draw(st.integers(1, 40)),
        channels=channels,
        mean=draw(means),
        std=draw(stds),
        fit=draw(st.sampled_from(["squash", "crop", "letterbox"])),
        interpolation=draw(st.sampled_from(["bilinear", "bicubic"])),
        find_digit=draw(st.booleans()),
    )


@st.composite
def images(draw: st.DrawFn) -> Image.Image:
    width, height = draw(sides), draw(sides)
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    mode = draw(st.sampled_from(MODES))
    if mode == "I;16":
        return Image.fromarray(rng.integers(0, 65536, (height, width), dtype=np.uint16))
    if mode in ("I", "F"):
        values = rng.integers(-1000, 70000, (height, width))
        return Image.fromarray(values.astype(np.int32 if mode == "I" else np.float32))
    if mode == "LAB":
        return Image.frombytes(mode, (width, height), rng.bytes(width * height * 3))
    rgb = Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8))
    return rgb.convert(mode)


@settings(deadline=None, max_examples=150)
@given(preprocessings(), images())
def test_any_image_becomes_a_network_input(
    preprocessing: Preprocessing, image: Image.Image
) -> None:
    try:
        result = preprocessing(image)
    except ImageError as error:
        message = str(error)
        assert preprocessing.find_digit
        assert "no digit was found" in message
        return
    shape = (preprocessing.channels, preprocessing.height, preprocessing.width)
    assert result.shape == shape
    assert result.dtype == np.float32
    low = (0 - np.array(preprocessing.mean)) / np.array(preprocessing.std)
    high = (1 - np.array(preprocessing.mean)) / np.array(preprocessing.std)
    slack = 1e-4 * (1 + np.abs(low) + np.abs(high))
    assert np.isfinite(result).all()
    assert (result.min(axis=(1, 2)) >= low - slack).all()
    assert (result.max(axis=(1, 2)) <= high + slack).all()


@given(preprocessings(), st.integers(0, 99))
def test_normalise_is_the_formula(preprocessing: Preprocessing, seed: int) -> None:
    shape = (3, preprocessing.channels, 4, 5)
    pixels = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
    result = preprocessing.normalise(pixels)
    for channel, (mean, std) in enumerate(zip(preprocessing.mean, preprocessing.std, strict=True)):
        expected = (pixels[:, channel].astype(np.float64) / 255 - mean) / std
        np.testing.assert_allclose(result[:, channel], expected, rtol=1e-4, atol=1e-4)


@given(preprocessings())
def test_the_description_survives_json(preprocessing: Preprocessing) -> None:
    values = json.loads(json.dumps(preprocessing.to_dict()))
    assert Preprocessing.from_dict(values) == preprocessing


GOOD = Preprocessing(height=2, width=2).to_dict()


@pytest.mark.parametrize(
    "values",
    [
        {},
        {**GOOD, "colour": "blue"},
        {**GOOD, "height": "28"},
        {**GOOD, "height": 2.5},
        {**GOOD, "width": 0},
        {**GOOD, "mean": None},
        {**GOOD, "mean": ["a", "b", "c"]},
        {**GOOD, "mean": [0.5, 0.5, float("nan")]},
        {**GOOD, "std": [0.5, 0.5]},
        {**GOOD, "std": [0.5, 0.5, 0]},
        {**GOOD, "std": [0.5, 0.5, float("inf")]},
        {**GOOD, "channels": 2},
        {**GOOD, "fit": "shrink"},
        {**GOOD, "fit": []},
        {**GOOD, "interpolation": "nearest"},
    ],
)
def test_a_damaged_description_is_a_data_error(values: dict[str, Any]) -> None:
    with pytest.raises(DataError):
        Preprocessing.from_dict(values)


def two_halves(width: int = 40, height: int = 20) -> Image.Image:
    """White on the left, black on the right."""
    pixels = np.zeros((height, width), np.uint8)
    pixels[:, : width // 2] = 255
    return Image.fromarray(pixels)


def grey(**values: Any) -> Preprocessing:
    return Preprocessing(height=20, width=20, channels=1, mean=(0.5,), std=(0.5,), **values)


def test_squash_keeps_the_whole_image() -> None:
    pixels = grey(fit="squash").pixels(two_halves())[0]
    assert (pixels[:, :9] == 255).all()
    assert (pixels[:, 11:] == 0).all()


def test_crop_keeps_the_middle() -> None:
    image = Image.new("L", (60, 20))
    image.paste(255, (20, 0, 40, 20))
    assert (grey(fit="crop").pixels(image) == 255).all()


def test_letterbox_adds_black_bars() -> None:
    pixels = grey(fit="letterbox").pixels(Image.new("L", (40, 20), 255))[0]
    assert (pixels[5:15] == 255).all()
    assert (pixels[:5] == 0).all()
    assert (pixels[15:] == 0).all()


def test_an_image_of_the_right_size_is_not_touched() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (20, 20), dtype=np.uint8)
    np.testing.assert_array_equal(grey().pixels(Image.fromarray(pixels))[0], pixels)


def test_transparent_parts_are_white() -> None:
    assert (grey().pixels(Image.new("RGBA", (20, 20), (0, 0, 0, 0))) == 255).all()


def test_channels_come_first_in_the_order_red_green_blue() -> None:
    preprocessing = Preprocessing(height=2, width=2)
    pixels = preprocessing.pixels(Image.new("RGB", (5, 5), (10, 20, 30)))
    assert pixels[:, 0, 0].tolist() == [10, 20, 30]
    assert preprocessing.seen(Image.new("L", (5, 5), 7)).getpixel((1, 1)) == (7, 7, 7)


def test_seen_is_a_picture_of_the_pixels() -> None:
    seen = grey().seen(two_halves())
    assert (seen.mode, seen.size) == ("L", (20, 20))
    np.testing.assert_array_equal(np.asarray(seen), grey().pixels(two_halves())[0])


def test_describe_says_what_is_done() -> None:
    assert grey(fit="crop").describe() == (
        "20 x 20 grey, scaled and cropped about the centre (bilinear); "
        "scaled to 0..1, minus mean (0.5), divided by std (0.5)"
    )
    assert "the digit found" in grey(find_digit=True).describe()
