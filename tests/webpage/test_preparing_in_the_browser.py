"""The page's own decoding, resizing and digit finder, against Pillow, numpy and ours, by value."""

from __future__ import annotations

import base64
import io
from itertools import product

import numpy as np
import pytest
from PIL import Image

from lamplighter.datasets.emoji import load_emoji
from lamplighter.errors import ImageError
from lamplighter.images.decoding import open_image
from lamplighter.images.preprocessing import Preprocessing

from ..images.digits.test_centering import EXAMPLES, VARIANTS, seven
from ..images.digits.test_page_detection import SURROUNDED

pytestmark = [pytest.mark.browser, pytest.mark.slow]

RNG = np.random.default_rng(0)


def photo(width: int, height: int) -> Image.Image:
    """Something with structure at several scales."""
    coarse = RNG.integers(0, 256, (max(1, height // 20), max(1, width // 20), 3), np.uint8)
    smooth = np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))
    noise = RNG.integers(-9, 10, smooth.shape)
    return Image.fromarray((smooth + noise).clip(0, 255).astype(np.uint8))


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def coded(content: bytes) -> str:
    return base64.b64encode(content).decode("ascii")


def pixels(found: dict) -> np.ndarray:
    return np.array(found["data"], np.uint8).reshape(
        found["height"], found["width"], found["channels"]
    )


def as_array(image: Image.Image) -> np.ndarray:
    array = np.asarray(image)
    return array[:, :, np.newaxis] if array.ndim == 2 else array


def check_decoded(probe, content: bytes, at_least=None) -> None:
    image = open_image(content, at_least=at_least)
    size = at_least or (10**6, 10**6)
    found = probe("decode", coded(content), list(size))
    assert "problem" not in found, found
    np.testing.assert_array_equal(pixels(found), as_array(image))


def check_seen(probe, content: bytes, settings: Preprocessing) -> None:
    pixels_of_ours = settings.pixels(settings.open(content))  # (C, H, W)
    found = probe("see", coded(content), settings.to_dict())
    assert "problem" not in found, found
    np.testing.assert_array_equal(pixels(found).transpose(2, 0, 1), pixels_of_ours)
    wanted = settings.normalise(pixels_of_ours[np.newaxis])
    np.testing.assert_array_equal(np.float32(found["input"]), wanted.ravel())


@pytest.mark.parametrize(("width", "height"), [(1, 1), (7, 5), (33, 31), (101, 67), (3, 200)])
@pytest.mark.parametrize("progressive", [False, True])
def test_a_jpeg_has_the_same_pixels_at_every_scale(probe, width, height, progressive):
    image = photo(width, height)
    for subsampling, quality in product((0, 1, 2), (30, 95)):
        content = saved(
            image, "JPEG", subsampling=subsampling, quality=quality, progressive=progressive
        )
        for reduction in (1, 2, 4, 8):
            check_decoded(probe, content, (max(1, width // reduction), max(1, height // reduction)))


@pytest.mark.parametrize("mode", ["L", "CMYK"])
def test_a_jpeg_of_other_colors(probe, mode):
    content = saved(photo(90, 70).convert(mode), "JPEG", quality=90)
    for side in (70, 30, 15, 8):
        check_decoded(probe, content, (side, side))


def test_a_jpeg_with_restart_markers_or_color_at_half_the_height(probe):
    check_decoded(probe, saved(photo(90, 70), "JPEG", restart_marker_blocks=3))
    content = bytearray(saved(photo(64, 64), "JPEG", subsampling=1))
    content[content.index(b"\xff\xc0") + 11] = 0x12  # across and down change places
    for side in (64, 32, 16, 8):
        check_decoded(probe, bytes(content), (side, side))


def png_images() -> dict[str, bytes]:
    image = photo(61, 47)
    alpha = Image.fromarray(RNG.integers(0, 256, (47, 61), np.uint8))
    wide = Image.fromarray(RNG.integers(0, 65536, (47, 61), np.uint16))
    modes = {mode: image.convert(mode) for mode in ("1", "L", "RGB", "LA", "RGBA")}
    modes["LA"].putalpha(alpha)
    modes["RGBA"].putalpha(alpha)
    modes |= {"16 bits": wide, "2 colors": image.quantize(2), "P": image.quantize(200)}
    files = {name: saved(one, "PNG") for name, one in modes.items()}
    corner = tuple(np.asarray(image)[3, 3].tolist())
    for name, value in (("L", 77), ("RGB", corner), ("P", 3), ("P", bytes(range(200))), ("1", 0)):
        files[f"{name} without {value!s:.9}"] = saved(modes[name], "PNG", transparency=value)
    return files


PNGS = png_images()


@pytest.mark.parametrize("name", PNGS)
def test_a_png_has_the_same_pixels(probe, name):
    check_decoded(probe, PNGS[name])


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_photos_are_turned_upright(probe, kind):
    options = {"lossless": True} if kind == "WEBP" else {}
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = orientation
        check_decoded(probe, saved(photo(40, 20), kind, exif=exif, **options))
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><a tiff:Orientation="6"/></x:xmpmeta>'
    if kind == "JPEG":
        check_decoded(probe, saved(photo(40, 20), kind, xmp=xmp))


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("WEBP", {"quality": 80}),
        ("WEBP", {"lossless": True}),
        ("GIF", {}),
        ("BMP", {}),
        ("AVIF", {}),
    ],
)
def test_what_the_browser_decodes_has_the_same_pixels(probe, kind, options):
    image = photo(61, 47).convert("RGB")
    check_decoded(probe, saved(image, kind, **options))


def test_an_animation_gives_its_first_frame(probe):
    frames = [photo(40, 30) for _ in range(3)]
    for kind in ("GIF", "PNG", "WEBP"):
        options = {"lossless": True} if kind == "WEBP" else {}
        content = saved(frames[0], kind, save_all=True, append_images=frames[1:], **options)
        found = pixels(probe("decode", coded(content), [100, 100]))
        np.testing.assert_array_equal(found, np.asarray(open_image(content).convert("RGB")))


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "empty"),
        (b"hello", "not-an-image"),
        (b"<!DOCTYPE html><p>", "not-an-image"),
        (b"\x89PNG\r\n\x1a\n", "damaged"),
        (b"\xff\xd8\xff" * 50, "damaged"),
        (saved(photo(64, 64), "JPEG")[:-2], "damaged"),
        (saved(photo(64, 64), "JPEG")[:900], "damaged"),
        (saved(photo(64, 64), "JPEG", progressive=True)[:-300], "damaged"),
        (saved(photo(64, 64), "PNG")[:900], "damaged"),
        (saved(photo(9, 9), "TIFF"), "not-an-image"),
    ],
)
def test_what_is_no_whole_image_is_told(probe, content, problem):
    assert probe("decode", coded(content), [8, 8]) == {"problem": problem}
    if not content.startswith(b"II*\0"):  # which no browser but Safari reads
        with pytest.raises(ImageError):
            open_image(content)


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_an_image_of_too_many_pixels_is_refused_before_it_is_decoded(probe, kind):
    content = bytearray(saved(photo(64, 64), kind))
    place = content.index(b"\xff\xc0") + 5 if kind == "JPEG" else 16
    content[place : place + 2] = content[place + 2 : place + 4] = b"\xff\xf0"
    if kind == "PNG":
        content[16:24] = (60_000).to_bytes(4) * 2
    assert probe("decode", coded(bytes(content)), [8, 8]) == {"problem": "too-large"}


FITS = [("squash", 1.0), ("letterbox", 1.0), ("crop", 1.0), ("crop", 0.875)]


@pytest.mark.parametrize(("fit", "share"), FITS)
@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear"])
def test_each_fit_sees_the_same_pixels(probe, fit, share, interpolation):
    for number in range(12):
        width, height = (int(side) for side in RNG.integers(1, 300, 2))
        content = saved(photo(width, height), "JPEG" if number % 2 else "PNG")
        wanted = Preprocessing(
            height=int(RNG.integers(4, 90)),
            width=int(RNG.integers(4, 90)),
            fit=fit,
            crop_pct=share,
            interpolation=interpolation,
            mean=(0.485, 0.456, 0.406),
            std=(0.229, 0.224, 0.225),
        )
        check_seen(probe, content, wanted)
        square = Preprocessing(
            height=32, width=32, channels=1, mean=(0.5,), std=(0.25,), fit=fit, crop_pct=share
        )
        check_seen(probe, content, square)


def test_emoji_and_a_large_photo(probe):
    wanted = Preprocessing(height=224, width=224, interpolation="bicubic")
    check_seen(probe, saved(photo(2400, 1800), "JPEG", quality=90), wanted)
    for emoji in load_emoji()[:5]:
        check_seen(probe, saved(Image.fromarray(emoji), "PNG"), wanted)


DIGITS = Preprocessing(
    height=28, width=28, channels=1, mean=(0.1307,), std=(0.3081,), find_digit=True
)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_the_examples_of_digits_are_found_the_same(probe, path):
    check_seen(probe, path.read_bytes(), DIGITS)


@pytest.mark.parametrize("name", [*VARIANTS, *SURROUNDED])
def test_a_digit_is_found_the_same_however_it_was_taken(probe, name):
    image = (VARIANTS | SURROUNDED)[name](seven())
    check_seen(probe, saved(image, "PNG"), DIGITS)


def test_images_of_mnist_are_seen_the_same_in_any_form(probe, mnist):
    for number, image in enumerate(mnist["test"].images[:40, 0]):
        drawn = Image.fromarray(255 - image if number % 2 else image)
        resampling = [Image.Resampling.NEAREST, Image.Resampling.BICUBIC][number % 4 // 2]
        side = 28 * (1 + number % 5 * 2)
        check_seen(probe, saved(drawn.resize((side, side), resampling), "PNG"), DIGITS)
        tight = drawn.crop(Image.fromarray(image).getbbox())
        check_seen(probe, saved(tight, "PNG"), DIGITS)


@pytest.mark.parametrize(
    ("image", "problem"),
    [
        (Image.new("L", (90, 90), 200), "no-digit"),
        (Image.fromarray(np.repeat(np.uint8([[30] * 40 + [200] * 60]), 100, 0)), "sheet"),
    ],
)
def test_where_there_is_no_digit_both_say_so(probe, image, problem):
    content = saved(image, "PNG")
    assert probe("see", coded(content), DIGITS.to_dict()) == {"problem": problem}
    with pytest.raises(ImageError, match="no digit was found"):
        DIGITS.pixels(DIGITS.open(content))


def test_numbers_are_reckoned_as_in_numpy(probe):
    values = RNG.normal(size=101).astype(np.float32)
    for share in (0, 0.3, 0.35, 0.5, 0.9, 1):
        expected = float(np.quantile(values.astype(float), share))
        assert probe("quantile", values.tolist(), share) == pytest.approx(expected, abs=1e-12)
    halves = [-2.5, -1.5, -0.5, 0.5, 1.5, 2.5, 3.2, -3.7]
    assert [probe("roundHalfEven", value) for value in halves] == [round(one) for one in halves]
    for count in (1, 7, 8, 20, 28, 127):
        floats = RNG.normal(size=count)
        assert probe("pairwiseSum", floats.tolist()) == float(floats.sum())
    matrix, right = RNG.normal(size=(6, 6)), RNG.normal(size=(6, 3))
    solution = probe("solve", matrix.tolist(), right.tolist())
    np.testing.assert_allclose(solution, np.linalg.solve(matrix, right), rtol=1e-9)
    symmetric = matrix[:3] @ matrix[:3].T
    direction = np.array(probe("principalDirection", symmetric.tolist()))
    expected = np.linalg.eigh(symmetric)[1][:, -1]
    assert abs(direction @ expected) == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("name", ["BOX", "BICUBIC", "HAMMING", "LANCZOS"])
def test_planes_of_floats_are_resized_as_in_pillow(probe, name):
    for size in ((40, 30), (9, 50), (28, 28)):
        plane = RNG.random((30, 40)).astype(np.float32)
        expected = np.asarray(Image.fromarray(plane).resize(size, Image.Resampling[name]))
        found = probe("resizePlane", plane.ravel().tolist(), [40, 30], *size, name.lower())
        data = np.float32(found["data"]).reshape(size[1], size[0])
        np.testing.assert_allclose(data, expected, atol=1e-7)
