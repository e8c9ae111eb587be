from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from lamplighter.auditing import thumbnails
from lamplighter.auditing.thumbnails import content_hash, look_at, pixels_hash
from lamplighter.errors import ImageError
from lamplighter.images import decoding
from tests.datasets.pictures import picture, saved

if TYPE_CHECKING:
    from pathlib import Path


def test_a_look_says_what_is_in_the_file(tmp_path: Path) -> None:
    half = Image.new("RGB", (640, 320), (200, 0, 0))
    half.paste((0, 0, 100), (320, 0, 640, 320))
    look = look_at(saved(tmp_path, "a.png", half), "ab")
    assert (look.content, look.width, look.height, look.mode) == ("ab", 640, 320, "RGB")
    # Grey values 60 and 11 by halves: their deviation is half the difference.
    assert look.spread == pytest.approx((200 * 0.299 - 100 * 0.114) / 2, abs=0.5)
    assert look.grey.shape == (32, 32)
    assert set(look.grey[:, :14].ravel()) == {60}
    assert set(look.grey[:, 18:].ravel()) == {11}
    np.testing.assert_array_equal(look.colours[:, 0], [[200, 0, 0]] * 8)
    np.testing.assert_array_equal(look.colours[:, 7], [[0, 0, 100]] * 8)


def test_width_and_height_are_those_of_the_whole_upright_image(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    path = saved(tmp_path, "a.jpg", picture(0, (1600, 800)), exif=exif)
    look = look_at(path, "")
    assert (look.width, look.height) == (800, 1600)


def test_transparent_pixels_are_white(tmp_path: Path) -> None:
    clear = look_at(saved(tmp_path, "a.png", Image.new("RGBA", (300, 200), (9, 99, 9, 0))), "")
    assert clear.spread == 0
    assert (clear.grey == 255).all()
    assert (clear.colours == 255).all()


@pytest.mark.parametrize("mode", ["1", "L", "P", "CMYK", "YCbCr", "LA", "RGBA", "I;16"])
@pytest.mark.parametrize("size", [(1, 1), (3, 500), (90, 70)])
def test_any_mode_and_size(tmp_path: Path, mode: str, size: tuple[int, int]) -> None:
    image = picture(1, size)
    image = Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 257) if (
        mode == "I;16"
    ) else image.convert(mode)  # fmt: skip
    look = look_at(saved(tmp_path, "a.tif", image), "")
    assert (look.width, look.height) == size
    assert look.grey.shape == (32, 32)
    assert look.colours.shape == (8, 8, 3)


def test_the_content_hash_is_sha_256(tmp_path: Path) -> None:
    content = bytes(range(256)) * 3000
    (tmp_path / "a").write_bytes(content)
    assert content_hash(tmp_path / "a") == hashlib.sha256(content).hexdigest()


def test_the_hash_of_pixels_is_that_of_pixels(tmp_path: Path) -> None:
    image = picture(0)
    png, bmp = saved(tmp_path, "a.png", image), saved(tmp_path, "a.bmp", image)
    assert pixels_hash(png) == pixels_hash(bmp)
    image.putpixel((80, 60), (0, 0, 0))
    assert pixels_hash(saved(tmp_path, "b.png", image)) != pixels_hash(png)
    wide, high = (saved(tmp_path, f"{s[0]}.png", Image.new("L", s)) for s in ((4, 2), (2, 4)))
    assert pixels_hash(wide) != pixels_hash(high)


def test_what_cannot_be_hashed(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "loop.png").symlink_to("loop.png")
    for name, message in (
        ("pipe.png", "must be a regular file"),
        ("loop.png", "cannot be opened|must be"),
        ("absent.png", "there is no file"),
        ("n" * 300 + ".png", "cannot be opened"),
        ("", "received a folder"),
    ):
        with pytest.raises(ImageError, match=message) as error:
            content_hash(tmp_path / name)
        assert error.value.fault == "unreadable"


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"", "empty"),
        (b"hello", "not-an-image"),
        (b"P6 30000 30000 255 ", "too-large"),
        (b"P5 40000 30000 255 ", "too-large"),
        (b"P5 10000 10000 255 ", "damaged"),
        (b"\xff\x0a", "not-read"),
    ],
)
def test_faults(tmp_path: Path, content: bytes, fault: str) -> None:
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(ImageError) as error:
        look_at(tmp_path / "a.png", "")
    assert error.value.fault == fault


def test_an_image_too_large_for_the_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def exhausted(image: Image.Image) -> Image.Image:
        raise MemoryError

    path = saved(tmp_path, "a.png", picture(0))
    for name in ("as_8_bit", "flatten_alpha"):
        with monkeypatch.context() as patch:
            patch.setattr(decoding if name == "as_8_bit" else thumbnails, name, exhausted)
            for look in (lambda: look_at(path, ""), lambda: pixels_hash(path)):
                with pytest.raises(ImageError, match="needs more memory than there is") as error:
                    look()
                assert error.value.fault == "too-large"


@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_a_file_cut_short_is_damaged_also_when_decoded_small(tmp_path: Path, suffix: str) -> None:
    path = saved(tmp_path, f"a.{suffix}", picture(0, (1200, 900)))
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(ImageError) as error:
        look_at(path, "")
    assert error.value.fault == "damaged"
