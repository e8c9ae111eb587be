"""Images decoded at a reduced scale, headers read alone, and HEIF."""

from __future__ import annotations

import base64
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lamplighter.errors import ImageError
from lamplighter.images.decoding import image_size, open_image, reason_alone


def saved(path: Path, image: Image.Image, **options: object) -> Path:
    image.save(path, **options)
    return path


def photo(width: int = 640, height: int = 400) -> Image.Image:
    """Something with structure at several scales."""
    coarse = np.random.default_rng(0).integers(0, 256, (height // 20, width // 20, 3), np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)


@pytest.mark.parametrize(
    ("at_least", "size"),
    [
        ((640, 400), (640, 400)), ((320, 201), (640, 400)), ((320, 200), (320, 200)),
        ((100, 100), (160, 100)), ((10, 10), (80, 50)), ((0, 0), (80, 50)),
        ((9_999, 9_999), (640, 400)), (lambda size: (size[0] // 2, 1), (320, 200)),
    ],
)  # fmt: skip
def test_a_jpeg_is_decoded_at_the_smallest_scale_that_is_enough(
    tmp_path: Path, at_least, size: tuple[int, int]
) -> None:
    path = saved(tmp_path / "a.jpg", photo(), quality=95)
    image = open_image(path, at_least=at_least)
    assert image.size == size
    expected = np.asarray(open_image(path).resize(size, Image.Resampling.BOX)).astype(int)
    assert np.abs(np.asarray(image) - expected).mean() < 2


def test_other_formats_are_decoded_whole(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.png", photo())
    assert open_image(path, at_least=(10, 10)).size == (640, 400)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["jpg", "tif", "png"])
def test_sizes_are_those_of_the_upright_image(
    tmp_path: Path, orientation: int, suffix: str
) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = saved(tmp_path / f"a.{suffix}", photo(640, 400), exif=exif)
    asked: list[tuple[int, int]] = []

    def at_least(size: tuple[int, int]) -> tuple[int, int]:
        asked.append(size)
        return size[0] // 2, size[1] // 2 if orientation > 4 else 1

    image = open_image(path, at_least=at_least)
    upright = (400, 640) if orientation > 4 else (640, 400)
    assert asked == [upright]
    assert image_size(path) == upright
    assert image.size == ((upright[0] // 2, upright[1] // 2) if suffix == "jpg" else upright)


@pytest.mark.parametrize("progressive", [False, True])
def test_a_jpeg_cut_short_is_refused_at_every_scale(tmp_path: Path, progressive: bool) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (256, 256, 3), dtype=np.uint8)
    path = saved(tmp_path / "a.jpg", Image.fromarray(noise), progressive=progressive)
    path.write_bytes(path.read_bytes()[:-4000])
    assert image_size(path) == (256, 256)
    for side in (256, 128, 32):
        with pytest.raises(ImageError, match="cut short"):
            open_image(path, at_least=(side, side))


def test_the_reason_alone_does_not_name_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a\nb.png"
    path.write_bytes(b"")
    with pytest.raises(ImageError) as caught:
        image_size(path)
    assert reason_alone(caught.value, path).startswith("is empty (0 bytes)")


# 64 x 32 pixels, red on the left and blue on the right.
HEIF = base64.b64decode(
    "AAAAHGZ0eXBoZWljAAAAAG1pZjFoZWljbWlhZgAAAX1tZXRhAAAAAAAAACFoZGxyAAAAAAAAAABwaWN0AAAAAAAAAAAA"
    "AAAAAAAAACJpbG9jAAAAAERAAAEAAQAAAAABoQABAAAAAAAAAHUAAAAjaWluZgAAAAAAAQAAABVpbmZlAgAAAAABAABo"
    "dmMxAAAAAA5waXRtAAAAAAABAAAA/WlwcnAAAADdaXBjbwAAAHZodmNDAQNwAAAAkAAAAAAAHvAA/P34+AAADwNgAAEA"
    "GEABDAH//wNwAAADAJAAAAMAAAMAHroCQGEAAQAqQgEBA3AAAAMAkAAAAwAAAwAeoCCBBZbq5Ka5uAhoMCAAAAMDIAAA"
    "AwAhYgABAAZEAcFzwIkAAAATY29scm5jbHgAAQANAAaAAAAAFGlzcGUAAAAAAAAAQAAAAEAAAAAoY2xhcAAAAEAAAAAB"
    "AAAAIAAAAAEAAAAAAAAAAv///+AAAAACAAAAEHBpeGkAAAAAAwgICAAAABhpcG1hAAAAAAAAAAEAAQWBAgMFhAAAAH1t"
    "ZGF0AAAAcSgBrwngOSMkv//6Mb//+EaeQ/a5hcF//g8Wff4V/n/+ze9RXZWFbILbD0Opm8R2/qm/EqRhs0lk1uPxAzLY"
    "2gjY37MO7eK5BhNXY9wvM5r6IBgHij0hse84jiQ9+d7o0P4za2n34T+L/A4yy2T7lHcC"
)


def test_heif_is_read_by_its_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.heic"
    path.write_bytes(HEIF)
    Image.init()  # all plugins, before what it keeps of them is changed
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "pi_heif", None)
        patch.setattr(Image, "OPEN", {k: v for k, v in Image.OPEN.items() if k != "HEIF"})
        patch.setattr(Image, "ID", [name for name in Image.ID if name != "HEIF"])
        with pytest.raises(
            ImageError, match=r"a\.heic .* HEIC.*; pip install pi-heif, or"
        ) as caught:
            open_image(path)
        assert caught.value.fault == "needs-package"
    image = open_image(path, at_least=(8, 8))
    assert (image.mode, image.size, image_size(path)) == ("RGB", (64, 32), (64, 32))
    corners = np.array([image.getpixel((3, 3)), image.getpixel((60, 30))])
    assert np.abs(corners - [[200, 30, 30], [30, 30, 200]]).max() < 30
    path.write_bytes(HEIF[:400])
    with pytest.raises(ImageError, match=r"a\.heic must be"):
        open_image(path)


@pytest.mark.parametrize("at_least", [None, lambda size: size], ids=["whole", "as large as it is"])
def test_a_damaged_png_is_refused_however_its_size_is_asked_for(tmp_path: Path, at_least) -> None:
    path = tmp_path / "damaged.png"
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 255
    path.write_bytes(content)
    with pytest.raises(ImageError, match="damaged"):
        open_image(path, at_least=at_least)
