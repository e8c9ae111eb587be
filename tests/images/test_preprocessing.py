from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from timm.data.transforms_factory import transforms_imagenet_eval
from torchvision.transforms import InterpolationMode, v2

from lamplighter.errors import DataError, ImageError
from lamplighter.images.preprocessing import Preprocessing

if TYPE_CHECKING:
    from pathlib import Path

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
        crop_pct=draw(st.sampled_from([1, 1.0, 0.875, 0.3])),
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
        {**GOOD, "crop_pct": 0},
        {**GOOD, "crop_pct": 1.1},
        {**GOOD, "crop_pct": float("nan")},
        {**GOOD, "crop_pct": "0.9"},
        {**GOOD, "crop_pct": True},
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


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize("crop_pct", [0.875, 0.9, 0.5])
@pytest.mark.parametrize("size", [(24, 24), (31, 31), (24, 40), (40, 17)])
def test_crop_is_exactly_that_of_timm(
    interpolation: Any, crop_pct: float, size: tuple[int, int]
) -> None:
    # A square is torchvision's Resize and CenterCrop there.
    oracle = transforms_imagenet_eval(
        size, crop_pct=crop_pct, interpolation=interpolation, normalize=False
    )
    preprocessing = Preprocessing(
        height=size[0], width=size[1], fit="crop", crop_pct=crop_pct, interpolation=interpolation
    )
    rng = np.random.default_rng(0)
    for width, height in [(24, 24), (80, 24), (33, 91), (7, 5), (401, 39), (100, 61)]:
        image = Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8))
        np.testing.assert_array_equal(preprocessing.pixels(image), oracle(image).numpy())


def test_crop_is_exactly_that_of_torchvision() -> None:
    oracle = v2.Compose([v2.Resize(256, InterpolationMode.BICUBIC), v2.CenterCrop(224)])
    preprocessing = Preprocessing(
        height=224, width=224, fit="crop", crop_pct=0.875, interpolation="bicubic"
    )
    for size in [(800, 240), (333, 500), (224, 224)]:
        image = Image.effect_noise(size, 80).convert("RGB")
        assert preprocessing.seen(image).tobytes() == oracle(image).tobytes()


def test_an_image_long_and_narrow_needs_no_more_memory_than_others() -> None:
    # Scaled whole it would have 256 x 51 million pixels.
    image = Image.new("RGB", (200_000, 1), "red")
    image.paste("blue", (99_000, 0, 101_000, 1))
    for fit in ("crop", "squash", "letterbox"):
        values = {"height": 224, "width": 224, "fit": fit, "crop_pct": 0.875}
        assert Preprocessing(**values).pixels(image).shape == (3, 224, 224)
    assert Preprocessing(**values | {"fit": "crop"}).seen(image).getcolors() == [
        (224 * 224, (0, 0, 255))
    ]


def test_the_longest_images_are_cropped_nearly_as_others(monkeypatch: pytest.MonkeyPatch) -> None:
    coarse = np.random.default_rng(0).integers(0, 256, (4, 30, 3), dtype=np.uint8)
    image = Image.fromarray(coarse).resize((300, 40), Image.Resampling.BICUBIC)
    preprocessing = Preprocessing(height=64, width=64, fit="crop", crop_pct=0.875)
    exact = preprocessing.pixels(image).astype(int)
    monkeypatch.setattr("lamplighter.images.preprocessing._LARGEST_SCALED", 1)
    assert np.abs(preprocessing.pixels(image) - exact).max() <= 2


@pytest.mark.parametrize(
    ("values", "image_size", "expected"),
    [
        ({"fit": "squash"}, (800, 240), (448, 240)),
        ({"fit": "squash"}, (4000, 3000), (448, 448)),
        ({"fit": "letterbox"}, (4000, 3000), (448, 336)),
        ({"fit": "crop"}, (4000, 3000), (596, 448)),
        ({"fit": "crop", "crop_pct": 0.875}, (4000, 3000), (682, 512)),
        ({"fit": "crop", "crop_pct": 0.875}, (3000, 4000), (512, 682)),
        ({"find_digit": True}, (4000, 3000), (4000, 3000)),
        ({}, (10, 10), (10, 10)),
    ],
)
def test_decode_size_is_twice_what_the_whole_is_scaled_to(
    values: dict[str, Any], image_size: tuple[int, int], expected: tuple[int, int]
) -> None:
    preprocessing = Preprocessing(height=224, width=224, **values)
    assert preprocessing.decode_size(image_size) == expected


@pytest.mark.parametrize("fit", ["squash", "crop", "letterbox"])
@pytest.mark.parametrize("orientation", [1, 6])
def test_scaled_decoding_gives_nearly_the_same_pixels(
    tmp_path: Path, fit: Any, orientation: int
) -> None:
    rng = np.random.default_rng(0)
    image = Image.new("RGB", (1600, 1200))
    for side, weight in ((1200, 0.2), (300, 0.4), (60, 0.7), (12, 0.6)):  # structure at all scales
        coarse = Image.fromarray(rng.integers(0, 256, (side * 3 // 4, side, 3), dtype=np.uint8))
        image = Image.blend(image, coarse.resize(image.size, Image.Resampling.BICUBIC), weight)
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / "a.jpg"
    image.save(path, quality=90, exif=exif)
    preprocessing = Preprocessing(height=96, width=64, fit=fit, interpolation="bicubic")
    scaled, whole = preprocessing.open(path), preprocessing.open(path, scaled=False)
    assert scaled.width < whole.width == (1200 if orientation == 6 else 1600)
    seen, expected = preprocessing.pixels(scaled), preprocessing.pixels(whole)
    assert np.abs(seen.astype(int) - expected).mean() < 1


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
    timm = Preprocessing(height=2, width=2, fit="crop", crop_pct=0.875).describe()
    assert "cropped about the centre (0.875 of the shorter side) (bilinear)" in timm
    assert "the digit found" in grey(find_digit=True).describe()
