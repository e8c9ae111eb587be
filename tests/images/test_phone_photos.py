"""Photos as telephones and chats leave them, and bombs that claim to be such."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lamplighter.auditing.audit import audit
from lamplighter.datasets.folders import find_files
from lamplighter.errors import ImageError
from lamplighter.images.decoding import image_size, open_image
from tests.images.test_decoding import png_of_size
from tests.images.test_image_scales import HEIF, photo, saved


def jpeg_claiming(path: Path, size: tuple[int, int], *, scan: int = 0, **options: object) -> Path:
    """Save a small JPEG whose header claims another size, and maybe parts in the first scan."""
    content = bytearray(saved(path, photo(), **options).read_bytes())
    place = content.find(b"\xff\xc2" if options.get("progressive") else b"\xff\xc0")
    content[place + 5 : place + 9] = size[1].to_bytes(2) + size[0].to_bytes(2)
    if scan:
        content[content.find(b"\xff\xda") + 4] = scan
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("size", [(12_000, 9_000), (16_320, 12_240)])
def test_photos_of_108_and_200_megapixels_are_read_at_a_reduced_scale(
    tmp_path: Path, size: tuple[int, int]
) -> None:
    wide = Image.new("L", size, 90)
    wide.paste(200, (0, 0, size[0] // 2, size[1]))
    path = saved(tmp_path / "a.jpg", wide)
    image = open_image(path, at_least=(448, 448))
    assert image.size == (size[0] // 8, size[1] // 8)
    assert image_size(path) == size
    assert abs(image.getpixel((9, 9)) - 200) < 3
    assert abs(image.getpixel((image.width - 9, 9)) - 90) < 3


def test_a_photo_of_108_megapixels_is_read_whole_in_other_formats(tmp_path: Path) -> None:
    wide = Image.new("1", (12_000, 9_000), 1)
    assert open_image(saved(tmp_path / "a.tif", wide, compression="group4")).size == wide.size


@pytest.mark.parametrize(
    ("size", "options", "message"),
    [
        ((65_000, 65_000), {}, "at most 1,073,741,824 pixels, received 65,000 x 65,000"),
        ((30_000, 30_000), {"progressive": True}, r"at most 1\.07 GB .* which take 2\.7\d GB"),
        ((30_000, 30_000), {"scan": 1}, r"at most 1\.07 GB .* which take 2\.7\d GB"),
        ((30_000, 30_000), {"progressive": True, "subsampling": 0}, r"which take 5\.4\d GB"),
    ],
)
def test_bombs_are_refused_whatever_the_scale(
    tmp_path: Path, size: tuple[int, int], options: dict[str, int], message: str
) -> None:
    path = jpeg_claiming(tmp_path / "a.jpg", size, **options)
    with pytest.raises(ImageError, match=message) as caught:
        open_image(path, at_least=(64, 64))
    assert caught.value.fault == "too-large"


def test_bombs_take_no_memory(tmp_path: Path) -> None:
    jpeg_claiming(tmp_path / "a.jpg", (65_000, 65_000))
    jpeg_claiming(tmp_path / "b.jpg", (30_000, 30_000), progressive=True)
    (tmp_path / "c.ppm").write_bytes(b"P6 30000 30000 255 ")
    (tmp_path / "d.png").write_bytes(png_of_size(20_000, 20_000, 2))
    code = (
        "import resource, sys, time\n"
        "from lamplighter.images.decoding import image_size, open_image\n"
        "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "before, start = peak(), time.process_time()\n"
        "for path in sys.argv[1:]:\n"
        "    for read in (open_image, lambda path: open_image(path, at_least=lambda size: size),\n"
        "                 image_size):\n"
        "        try:\n"
        "            read(path)\n"
        "        except Exception as error:\n"
        "            print(type(error).__name__, error.fault)\n"
        "        else:\n"
        "            print('read')\n"
        "print(peak() - before < 20_000, time.process_time() - start < 1)\n"
    )
    files = sorted(map(str, tmp_path.iterdir()))
    done = subprocess.run(
        [sys.executable, "-c", code, *files], capture_output=True, text=True, check=True
    )
    too_large = "ImageError too-large"
    # The size of a JPEG alone is read from its header, and costs nothing.
    read = [*([too_large] * 2), "read"] * 2 + [too_large] * 6
    assert done.stdout.splitlines() == [*read, "True True"]


def test_little_free_memory_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = saved(tmp_path / "a.tif", Image.new("L", (12_000, 12_000)), compression="tiff_lzw")
    monkeypatch.setattr("lamplighter.images.decoding.free_memory", lambda: 300_000_000)
    with pytest.raises(ImageError, match=r"at most 0\.10 GB of memory, a third of what is free"):
        open_image(path)


@pytest.mark.parametrize("named", [".jpg", ".JPG", ".png", ".heic"])
@pytest.mark.parametrize("kind", ["JPEG", "WEBP", "PNG", "HEIF", "AVIF", "MPO"])
def test_what_a_file_is_counts_and_not_its_suffix(tmp_path: Path, kind: str, named: str) -> None:
    path = tmp_path / f"IMG-20240105-WA0007{named}"
    if kind == "HEIF":
        path.write_bytes(HEIF)
    else:
        others = {"save_all": True, "append_images": [photo()]} if kind == "MPO" else {}
        photo().save(path, format=kind, **others)
    expected = (64, 32) if kind == "HEIF" else (640, 400)
    assert open_image(path).size == image_size(path) == expected
    assert open_image(path, at_least=(8, 8)).width in (expected[0], 80)


def test_the_bytes_of_a_file_are_the_file(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.png", photo())
    np.testing.assert_array_equal(open_image(path.read_bytes()), open_image(path))
    with pytest.raises(ImageError, match="the image given as bytes is empty"):
        open_image(b"")


def dng(path: Path, tags: dict[int, object]) -> Path:
    photo(160, 100).save(path, format="TIFF", tiffinfo=tags)
    return path


@pytest.mark.parametrize(
    ("name", "tags"),
    [("IMG_0001.DNG", {50706: b"\1\4\0\0"}), ("a.tif", {254: 1}), ("DSC_0001.NEF", {})],
)
def test_the_preview_in_a_raw_photo_is_not_taken_for_the_photo(
    tmp_path: Path, name: str, tags: dict[int, object]
) -> None:
    path = dng(tmp_path / name, tags)
    with pytest.raises(ImageError, match=r"a raw photo.*; export it as JPEG") as caught:
        open_image(path)
    assert caught.value.fault == "not-read"
    assert open_image(dng(tmp_path / "plain.tif", {})).size == (160, 100)


@pytest.mark.parametrize(
    ("beginning", "message"),
    [
        (b"\xff\x0a\xfa\x7f\x01", "JPEG XL photo, .*; save it as JPEG"),
        (b"\x00\x00\x00\x0cJXL \r\n\x87\n\0\0", "JPEG XL photo"),
        (b"\x00\x00\x00\x14ftypqt  \0\0\0\0qt  ", "a video; of a Live Photo the photo lies"),
        (b"\x00\x00\x00\x18ftypcrx \0\0\0\1crx ", "a raw photo"),
        (b"FUJIFILMCCD-RAW 0201", "a raw photo"),
        (b"  <!DOCTYPE html><html>", "a web page, as a failed download leaves one; fetch"),
        (b'<?xml version="1.0"?>\n<svg xmlns="">', r"lines \(SVG\); export it as PNG"),
        (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
        (b"PK\x03\x04\x14\0", "a zip file; unpack it"),
        (b"%PDF-1.7", "a PDF; save its page as PNG"),
        (b"GIMP xcf v011\0\0\0", r"begins b'GIMP xcf v011\\x00.*'; look at what it is"),
    ],
)
def test_each_kind_that_is_not_read_has_its_way_out(
    tmp_path: Path, beginning: bytes, message: str
) -> None:
    path = tmp_path / "IMG_0001.jpg"
    path.write_bytes(beginning + bytes(200))
    with pytest.raises(ImageError, match=message) as caught:
        open_image(path)
    assert "remove" not in str(caught.value)


def test_pillow_s_own_words_are_not_passed_on(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.jpg", photo())
    path.write_bytes(path.read_bytes()[:-4000])
    for bad in (path, jpeg_claiming(tmp_path / "b.jpg", (65_000, 65_000))):
        with pytest.raises(ImageError) as caught:
            open_image(bad)
        for word in ("truncated", "not processed", "DOS", "bomb", "identify", "Image size"):
            assert word not in str(caught.value)


def test_an_audit_of_a_telephone_s_folder_never_says_remove(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "cat"
    folder.mkdir()
    saved(folder / "IMG_0001.JPG", photo())
    (folder / "IMG_0002.HEIC").write_bytes(HEIF)
    (folder / "IMG_0002.MOV").write_bytes(b"\x00\x00\x00\x14ftypqt  ")
    (folder / "IMG_0003.DNG").write_bytes(b"II*\0")
    (folder / "IMG_0004.jxl").write_bytes(b"\xff\x0a")
    (folder / "IMG_0005.jpg").write_bytes(b"nothing that is known")
    (folder / "IMG_0006.jpg.crdownload").write_bytes(b"half")
    Image.init()
    monkeypatch.setitem(sys.modules, "pi_heif", None)
    monkeypatch.setattr(Image, "OPEN", {k: v for k, v in Image.OPEN.items() if k != "HEIF"})
    monkeypatch.setattr(Image, "ID", [name for name in Image.ID if name != "HEIF"])
    found = {finding.kind: finding for finding in audit(find_files(tmp_path)).findings}
    heic = found["needs-package"]
    assert heic.files == ("cat/IMG_0002.HEIC",)
    assert "pip install pi-heif, or save it as JPEG" in heic.sentence
    assert found["not-an-image"].files == ("cat/IMG_0005.jpg",)
    aside = found["set-aside"]
    assert aside.severity == "error"
    del found["one-class"], found["one-image"]
    reasons = aside.details["reasons"]
    assert reasons["cat/IMG_0003.DNG"] == "a raw photo, which is not read; export it as JPEG."
    assert "save it as JPEG" in reasons["cat/IMG_0004.jxl"]
    assert "a Live Photo" in reasons["cat/IMG_0002.MOV"]
    assert "fetch it again" in reasons["cat/IMG_0006.jpg.crdownload"]
    for finding in found.values():
        assert "remove" not in finding.sentence + str(finding.details)


@pytest.mark.parametrize("address", ["https://example.com/a.jpg", "s3://bucket/a.png"])
def test_an_address_is_written_as_it_is_and_told_from_a_file(address: str) -> None:
    for given in (address, Path(address)):
        with pytest.raises(ImageError, match=rf"^{address} is an address, and a file is needed"):
            open_image(given)
