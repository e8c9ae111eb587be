from __future__ import annotations

import os
import struct
import subprocess
import sys
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from lamplighter.errors import ImageError
from lamplighter.images.decoding import as_8_bit, flatten_alpha, open_image


def picture() -> Image.Image:
    """Four colours in four quarters, 40 x 24."""
    image = Image.new("RGB", (40, 24), (200, 30, 30))
    image.paste((30, 200, 30), (20, 0, 40, 12))
    image.paste((30, 30, 200), (0, 12, 20, 24))
    image.paste((220, 220, 220), (20, 12, 40, 24))
    return image


def saved(path: Path, image: Image.Image, **options: object) -> Path:
    image.save(path, **options)
    return path


def png_of_size(width: int, height: int, color_type: int = 0) -> bytes:
    """The beginning of a PNG that claims this size."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        checked = kind + body
        return struct.pack(">I", len(body)) + checked + struct.pack(">I", zlib.crc32(checked))

    header = struct.pack(">IIBBBBB", width, height, 8, color_type, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


@pytest.mark.parametrize("suffix", ["png", "bmp", "tif", "gif", "webp", "ppm"])
def test_reads_common_formats(tmp_path: Path, suffix: str) -> None:
    options = {"lossless": True} if suffix == "webp" else {}
    image = open_image(saved(tmp_path / f"a.{suffix}", picture(), **options))
    assert image.mode == "RGB"
    np.testing.assert_array_equal(np.asarray(image), np.asarray(picture()))


def test_a_path_may_be_a_string(tmp_path: Path) -> None:
    assert open_image(str(saved(tmp_path / "a.jpg", picture()))).size == (40, 24)


@pytest.mark.parametrize("suffix", ["jpg", "tif", "png"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_exif_orientation_is_applied_once(
    tmp_path: Path, orientation: int, suffix: str
) -> None:
    undo = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,  # 6 is shown turned by 270 degrees, so it was stored by 90
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    stored = picture().transpose(undo[orientation]) if orientation > 1 else picture()
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = open_image(saved(tmp_path / f"a.{suffix}", stored, exif=exif))
    assert image.size == (40, 24)
    difference = np.abs(np.asarray(image).astype(int) - np.asarray(picture()))
    assert difference.mean() < 12
    assert image.getexif().get(0x0112, 1) == 1


def test_damaged_exif_says_nothing_about_the_pixels(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.png", picture(), exif=b"Exif\0\0II*\0nonsense")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        assert open_image(path).size == (40, 24)


def test_an_animation_gives_its_first_frame(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (5, 5), colour) for colour in ("red", "blue")]
    path = saved(tmp_path / "a.gif", frames[0], save_all=True, append_images=frames[1:])
    assert open_image(path).convert("RGB").getpixel((2, 2)) == (255, 0, 0)


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("1", "L"), ("L", "L"), ("LA", "RGBA"), ("La", "RGBA"), ("P", "RGB"), ("PA", "RGBA"),
        ("RGB", "RGB"), ("RGBA", "RGBA"), ("RGBa", "RGBA"), ("RGBX", "RGB"), ("CMYK", "RGB"),
        ("YCbCr", "RGB"), ("HSV", "RGB"), ("LAB", "RGB"), ("I", "L"), ("F", "L"),
        ("I;16", "L"), ("I;16B", "L"), ("I;16L", "L"),
    ],
)  # fmt: skip
def test_every_mode_becomes_8_bit(mode: str, expected: str) -> None:
    result = as_8_bit(Image.new(mode, (3, 2)))
    assert result.mode == expected
    assert result.size == (3, 2)


def test_a_palette_with_a_transparent_colour_keeps_it(tmp_path: Path) -> None:
    image = Image.new("P", (4, 4), 1)
    image.putpalette([255, 0, 0, 0, 255, 0])
    image.putpixel((0, 0), 0)
    result = open_image(saved(tmp_path / "a.png", image, transparency=0))
    assert result.mode == "RGBA"
    assert result.getpixel((0, 0)) == (255, 0, 0, 0)
    assert result.getpixel((1, 1)) == (0, 255, 0, 255)


def test_lab_becomes_its_colours() -> None:
    white = as_8_bit(Image.new("LAB", (2, 2), (255, 128, 128))).getpixel((0, 0))
    black = as_8_bit(Image.new("LAB", (2, 2), (0, 128, 128))).getpixel((0, 0))
    assert min(white) > 250
    assert max(black) < 5


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_16_bit_grey_is_divided_by_257(tmp_path: Path, suffix: str) -> None:
    values = np.array([[0, 257, 65535], [128 * 257, 300, 1000]], dtype=np.uint16)
    result = open_image(saved(tmp_path / f"a.{suffix}", Image.fromarray(values)))
    assert np.asarray(result).tolist() == [[0, 1, 255], [128, 1, 4]]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0, 100, 255], [0, 100, 255]),
        ([0, 0.5, 1], [0, 128, 255]),
        ([-1, 0, 1], [0, 128, 255]),
        ([1000, 2000, 3000], [0, 128, 255]),
        ([-3e38, 0, 3e38], [0, 128, 255]),
        ([900, 900, 900], [255, 255, 255]),
    ],
)
def test_floats_are_scaled(values: list[float], expected: list[int]) -> None:
    image = Image.fromarray(np.array([values], dtype=np.float32))
    assert np.asarray(as_8_bit(image)).tolist() == [expected]


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_pixels_that_are_not_finite_are_refused(tmp_path: Path, value: float) -> None:
    image = Image.fromarray(np.array([[0, value]], dtype=np.float32))
    path = saved(tmp_path / "a.tif", image)
    with pytest.raises(ImageError, match=r"a\.tif cannot be used: pixels must be finite"):
        open_image(path)


def test_an_image_without_pixels_is_refused() -> None:
    with pytest.raises(ImageError, match="received 0 x 5"):
        as_8_bit(Image.new("L", (0, 5)))


def test_what_is_given_is_not_changed() -> None:
    image = picture()
    image.info["note"] = "mine"
    result = as_8_bit(image)
    assert result is not image
    assert image.info == {"note": "mine"}


def test_flatten_alpha_lays_on_white() -> None:
    half = flatten_alpha(Image.new("RGBA", (2, 2), (0, 100, 255, 51)))
    assert half.mode == "RGB"
    assert half.getpixel((0, 0)) == (204, 224, 255)
    grey = flatten_alpha(Image.new("LA", (2, 2), (0, 0)))
    assert (grey.mode, grey.getpixel((0, 0))) == ("L", 255)
    opaque = picture()
    assert flatten_alpha(opaque) is opaque


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"hello, world", r"must be an image .* begins b'hello, world'"),
        (b"%PDF-1.7\n", "must be an image"),
        (b"\x89PNG\r\n\x1a\n", "damaged|must be an image"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n", "Post"),
        (png_of_size(0, 5), r"a\.bin"),
        (png_of_size(10_000, 9_000), "cut short"),
        (png_of_size(20_000, 20_000, 2), r"at most 1\.07 GB .* 20,000 x 20,000 .* take 1\.60 GB"),
        (png_of_size(100_000, 100_000), "at most 1,073,741,824 pixels, received 100,000 x 100,000"),
    ],
)
def test_a_file_that_is_no_image(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(content)
    with pytest.raises(ImageError, match=message) as caught:
        open_image(path)
    assert "a.bin" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("suffix", ["png", "jpg", "gif", "bmp", "tif", "webp"])
def test_a_file_cut_short_is_refused(tmp_path: Path, suffix: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    whole = saved(tmp_path / f"whole.{suffix}", Image.fromarray(noise)).read_bytes()
    path = tmp_path / f"cut.{suffix}"
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ImageError, match=r"cut short|must be an image"):
        open_image(path)


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.sampled_from(["PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM", "ICO"]),
    st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), min_size=1, max_size=8),
)
def test_damaged_bytes_give_an_image_or_an_image_error(
    tmp_path_factory: pytest.TempPathFactory, kind: str, damage: list[tuple[float, int]]
) -> None:
    path = tmp_path_factory.getbasetemp() / f"damaged.{kind.lower()}"
    picture().save(path, format=kind)
    content = bytearray(path.read_bytes())
    for place, value in damage:
        content[int(place * (len(content) - 1))] = value
    path.write_bytes(content)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # Pillow's remarks on damaged metadata
        try:
            outcome = open_image(path).mode
        except ImageError as error:
            outcome = str(error)
    assert outcome in ("L", "RGB", "RGBA") or ("damaged." in outcome and "\n" not in outcome)


def test_missing_folder_and_odd_names(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"no file .*none\.png"):
        open_image(tmp_path / "none.png")
    with pytest.raises(ImageError, match="received a folder"):
        open_image(tmp_path)
    file = tmp_path / "file"
    file.write_bytes(b"x")
    with pytest.raises(ImageError, match="no file"):
        open_image(file / "below.png")
    for name in ("a\0b.png", "a\nb.png", "x" * 5000):
        with pytest.raises(ImageError) as caught:
            open_image(tmp_path / name)
        assert "\n" not in str(caught.value)


def test_a_pipe_does_not_block(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ImageError, match="regular file"):
        open_image(tmp_path / "pipe")


def test_a_file_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Path, mode: str) -> None:
        raise PermissionError(13, "Permission denied")

    path = saved(tmp_path / "a.png", picture())
    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(ImageError, match="may not be read"):
        open_image(path)


def test_memory_that_runs_out_is_an_image_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = saved(tmp_path / "a.png", picture())

    def exhausted(image: Image.Image) -> None:
        raise MemoryError

    monkeypatch.setattr("lamplighter.images.decoding._decode", exhausted)
    with pytest.raises(ImageError, match="needs more memory than there is"):
        open_image(path)


def test_the_state_of_the_process_is_left_alone(tmp_path: Path) -> None:
    filters, limit = list(warnings.filters), Image.MAX_IMAGE_PIXELS
    bomb = tmp_path / "bomb.png"
    bomb.write_bytes(png_of_size(10_000, 9_000))
    with pytest.raises(ImageError):
        open_image(bomb)
    assert list(warnings.filters) == filters
    assert limit == Image.MAX_IMAGE_PIXELS


def test_reading_images_imports_no_torch(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.png", picture())
    code = (
        "import sys; from lamplighter.images.decoding import open_image; open_image(sys.argv[1]);"
        "import lamplighter.images.preprocessing; assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code, str(path)], check=True)
