from __future__ import annotations

import re
import struct
import threading
import time
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lamplighter.datasets import loading
from lamplighter.datasets.folders import scan_folder
from lamplighter.datasets.image_data import ImageData, load_images
from lamplighter.datasets.loading import check_memory, each_file, full_size, preprocessing_for
from lamplighter.datasets.splitting import assign_splits
from lamplighter.errors import DataError, DatasetError
from lamplighter.images.preprocessing import Preprocessing
from tests.datasets.planted import put

SMALL = Preprocessing(height=4, width=6)


def bomb() -> bytes:
    """The beginning of a PNG that claims 100,000 x 100,000 pixels."""
    chunks = b"IHDR" + struct.pack(">IIBBBBB", 100_000, 100_000, 8, 0, 0, 0, 0), b"IDAT"
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk))
        for chunk in chunks
    )


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Red ants and blue bees in train, a bee and a cow in test."""
    put(tmp_path, "train/ant/1.png", "train/ant/2.png", colour="red")
    put(tmp_path, "train/bee/1.png", "train/bee/2.png", "test/bee/1.png", colour="blue")
    put(tmp_path, "valid/ant/1.jpg", "valid/bee/1.jpg", colour="green")
    put(tmp_path, "test/a cow/1.png", colour="white")
    return tmp_path


def test_pixels_are_those_of_each_file_alone(photos: Path) -> None:
    data = load_images(scan_folder(photos), SMALL)
    assert repr(data) == f"ImageData({photos.name}, train: 4, val: 2, test: 2, 3 classes)"
    for name, split in data.splits.items():
        assert len(split.paths) == len(split)
        for path, pixels, label in zip(split.paths, split.images, split.labels, strict=True):
            expected = Image.open(photos / path).convert("RGB").resize((6, 4))
            np.testing.assert_array_equal(pixels, np.asarray(expected).transpose(2, 0, 1))
            assert data.class_names[label] == Path(path).parent.name
        assert split.paths == tuple(sorted(split.paths)), name
    assert (data.set_aside, data.preprocessing) == ((), SMALL)


def test_classes_that_training_sees_come_first(photos: Path) -> None:
    data = load_images(scan_folder(photos), SMALL)
    assert data.class_names == ("ant", "bee", "a cow")
    assert data.trained_class_names == ("ant", "bee")
    (photos / "train" / "ant" / "1.png").write_bytes(b"")
    (photos / "train" / "ant" / "2.png").unlink()
    (photos / "test" / "a cow" / "1.png").write_bytes(b"")
    data = load_images(scan_folder(photos), SMALL)
    assert data.class_names == ("bee", "ant")
    assert data.trained_class_names == ("bee",)
    only_test = load_images(scan_folder(photos).as_split("test"), SMALL)
    assert only_test.trained_class_names == only_test.class_names == ("ant", "bee")


def test_bad_files_are_set_aside_and_the_rest_goes_on(photos: Path) -> None:
    whole = (photos / "train" / "bee" / "1.png").read_bytes()
    bad = {
        "0 text.png": (b"hello", "must be an image such as PNG or JPEG, received"),
        "1 empty.png": (b"", "is empty (0 bytes); fetch or save"),
        "3 cut.png": (whole[: len(whole) // 2], "must be "),
        "4 bomb.png": (bomb(), "cannot be used: an image may have at most 1,073,741,824 pix"),
        "5 gone.png": (whole, "there is no file"),
        "6 folder.png": (whole, "must be an image file, received a folder"),
    }
    for name, (content, _) in bad.items():
        (photos / "train" / "bee" / name).write_bytes(content)
    files = scan_folder(photos)
    (photos / "train" / "bee" / "5 gone.png").unlink()
    (photos / "train" / "bee" / "6 folder.png").unlink()
    (photos / "train" / "bee" / "6 folder.png").mkdir()
    data = load_images(files, SMALL)
    assert data["train"].paths == (
        "train/ant/1.png", "train/ant/2.png", "train/bee/1.png", "train/bee/2.png",
    )  # fmt: skip
    assert data["train"].labels.tolist() == [0, 0, 1, 1]
    red, blue = [255, 0, 0], [0, 0, 255]
    assert data["train"].images[:, :, 0, 0].tolist() == [red, red, blue, blue]
    assert [left_out.path for left_out in data.set_aside] == [f"train/bee/{name}" for name in bad]
    for left_out, (_, reason) in zip(data.set_aside, bad.values(), strict=True):
        assert left_out.reason.startswith(reason)
        assert "\n" not in left_out.reason


def test_a_file_too_large_for_the_memory_is_set_aside(
    photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    resize = Preprocessing._resize

    def exhausted(self: Preprocessing, image: Image.Image) -> Image.Image:
        if image.convert("RGB").getpixel((0, 0)) == (255, 255, 255):
            raise MemoryError
        return resize(self, image)

    monkeypatch.setattr(Preprocessing, "_resize", exhausted)
    (left_out,) = load_images(scan_folder(photos), SMALL).set_aside
    assert left_out.path == "test/a cow/1.png"
    assert left_out.reason.startswith("the image needs more memory")


def test_images_of_all_kinds(tmp_path: Path) -> None:
    left_red = Image.new("RGB", (40, 20), "red")
    left_red.paste("blue", (20, 0, 40, 20))
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = left_red.transpose(Image.Transpose.ROTATE_90)
    folder = tmp_path / "a"
    folder.mkdir()
    left_red.convert("CMYK").save(folder / "cmyk.jpg", quality=95)
    turned.save(folder / "turned.jpg", exif=exif, quality=95)
    left_red.quantize(4).save(folder / "palette.png")
    left_red.save(folder / "animated.gif", save_all=True, append_images=[turned.resize((40, 20))])
    left_red.save(folder / "animated.webp", lossless=True, save_all=True, append_images=[left_red])
    left_red.convert("RGBA").save(folder / "alpha.png")
    wide = np.linspace(0, 65535, 800).reshape(20, 40).astype(np.uint16)
    Image.fromarray(wide).save(folder / "wide.png")
    data = load_images(scan_folder(tmp_path).as_split("train"), SMALL)
    assert data.set_aside == ()
    for path, pixels in zip(data["train"].paths, data["train"].images, strict=True):
        corners = pixels[:, [0, -1], [0, -1]].T.astype(int)
        expected = [[0, 0, 0], [255] * 3] if "wide" in path else [[255, 0, 0], [0, 0, 255]]
        assert np.abs(corners - expected).max() < 40, path


def test_what_cannot_be_loaded_is_refused(photos: Path) -> None:
    files = scan_folder(photos)
    with pytest.raises(DatasetError, match="needs a split, received 8 without one"):
        load_images(files.as_split(""), SMALL)
    with pytest.raises(
        DatasetError, match=r"must fit into half of the free memory.* choose a smaller size"
    ):
        load_images(files, Preprocessing(height=10**6, width=10**6))
    for path in files.files:
        path.write_bytes(b"")
    with pytest.raises(
        DatasetError, match=r"no file of .* can be used: test/a cow/1\.png is empty"
    ):
        load_images(files, SMALL)


def test_files_without_a_label_are_set_aside(tmp_path: Path) -> None:
    put(tmp_path, "ant/1.png", "2.png")
    data = load_images(scan_folder(tmp_path).as_split("train"), SMALL)
    assert data["train"].paths == ("ant/1.png",)
    assert [left_out.path for left_out in data.set_aside] == ["2.png"]


def test_the_reason_why_no_file_can_be_used_is_not_a_text_beside_them(tmp_path: Path) -> None:
    put(tmp_path, "2.png")
    (tmp_path / "1.txt").write_text("a note")
    with pytest.raises(DatasetError, match=r"can be used: 2\.png has no label"):
        load_images(scan_folder(tmp_path).as_split("test"), SMALL)


def test_progress_is_told_from_one_thread(photos: Path) -> None:
    said = []
    load_images(
        scan_folder(photos),
        SMALL,
        progress=lambda done, total: said.append((done, total, threading.current_thread())),
    )
    assert said[-1] == (8, 8, threading.main_thread())
    assert [done for done, *_ in said] == sorted(done for done, *_ in said)


def test_each_file_calls_for_every_number_once() -> None:
    called: list[int] = []
    said: list[int] = []
    each_file(called.append, 1001, progress=lambda done, total: said.append(done))
    assert sorted(called) == list(range(1001))
    assert said[-1] == 1001
    each_file(called.append, 0)


def test_an_error_or_ctrl_c_ends_the_rest() -> None:
    called: list[int] = []

    def fail(index: int) -> None:
        called.append(index)
        if index == 3:
            raise KeyError("three")

    with pytest.raises(KeyError, match="three"):
        each_file(fail, 100_000)
    assert len(called) < 5_000

    def interrupt(done: int, total: int) -> None:
        raise KeyboardInterrupt

    def slow(index: int) -> None:
        called.append(index)
        time.sleep(0.001)

    called.clear()
    with pytest.raises(KeyboardInterrupt):
        each_file(slow, 10_000, progress=interrupt)
    assert len(called) < 1_000
    assert not [thread for thread in threading.enumerate() if "lamplighter" in thread.name]


def test_full_size_is_the_commonest_upright(tmp_path: Path) -> None:
    put(tmp_path, "a/1.png", "a/2.png", size=(30, 20))
    put(tmp_path, "a/3.png", size=(9, 9))
    exif = Image.Exif()
    exif[0x0112] = 8
    for suffix in ("jpg", "tif"):
        Image.new("RGB", (20, 30)).save(tmp_path / "a" / f"turned.{suffix}", exif=exif)
    put(tmp_path, "a/7.png", "a/8.png", "a/9.png", size=(20, 30))
    (tmp_path / "a" / "bad.png").write_bytes(b"bad")
    files = scan_folder(tmp_path)
    assert full_size(files) == (20, 30)
    full = preprocessing_for(files, None, "full", channels=1)
    assert (full.height, full.width, full.fit, full.mean) == (20, 30, "squash", (0.5,))
    with pytest.raises(DatasetError, match=r"no image .* can be read: .*bad\.png"):
        full_size(files.take([files.paths.index("a/bad.png")]))


def test_preprocessing_for_a_size(photos: Path) -> None:
    files = scan_folder(photos)
    assert preprocessing_for(files, 32) == Preprocessing(height=32, width=32)
    expected = Preprocessing(height=20, width=30, fit="letterbox")
    assert preprocessing_for(files, (20, 30), "letterbox") == expected
    with pytest.raises(DatasetError, match="needs a size, received none"):
        preprocessing_for(files, None)
    with pytest.raises(DataError, match="channels must be 1"):
        preprocessing_for(files, 8, channels=2)


def test_image_data_from_a_folder(tmp_path: Path) -> None:
    put(tmp_path, *(f"{label}/{number}.png" for label in "ab" for number in range(20)))
    data = ImageData.from_folder(tmp_path, size=(8, 12), channels=1, seed=4)
    assert {name: len(split) for name, split in data.splits.items()} == {
        "train": 28, "val": 6, "test": 6,
    }  # fmt: skip
    assert data["train"].images.shape[1:] == (1, 8, 12)
    by_hand = assign_splits(scan_folder(tmp_path), seed=4)
    assert data["val"].paths == by_hand.split("val").paths
    full = ImageData.from_folder(tmp_path, fit="full", val=0.0, test=0.5)
    assert (full["test"].images.shape, "val" in full) == ((20, 3, 8, 12), False)
    given = ImageData.from_folder(tmp_path, preprocessing=SMALL, group=r"\d")
    assert given.preprocessing is SMALL
    assert "groups by" in given.notes[0]


def test_image_data_needs_two_classes(tmp_path: Path) -> None:
    put(tmp_path, "a/1.png", "a/2.png")
    with pytest.raises(DatasetError, match="training needs two classes or more, received 'a'"):
        ImageData.from_folder(tmp_path)


def test_the_boats(boats: Path) -> None:
    data = ImageData.from_folder(boats, size=(15, 50))
    assert {name: len(split) for name, split in data.splits.items()} == {
        "train": 601, "val": 216, "test": 286,
    }  # fmt: skip
    assert data.class_names[23:] == ("MotoscafoACTV",)
    assert len(data.trained_class_names) == 23
    assert any("without a training image: MotoscafoACTV" in note for note in data.notes)
    assert all(path.startswith("train/") for path in data["train"].paths)


def test_half_of_the_free_memory_may_be_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    preprocessing = Preprocessing(height=100, width=200)
    monkeypatch.setattr(loading, "free_memory", lambda: 2 * 60_000 * 1000)
    check_memory(1000, preprocessing)
    with pytest.raises(DatasetError, match=r"1,001 images of 100 x 200 pixels.*need 0\.1 GB") as e:
        check_memory(1001, preprocessing)
    size = re.search(r"such as (\d+) x (\d+)\.", str(e.value))
    assert size is not None
    height, width = int(size[1]), int(size[2])
    assert width == 2 * height
    check_memory(1001, Preprocessing(height=height, width=width))  # what it says does
    assert height > 95
    monkeypatch.setattr(loading, "free_memory", lambda: None)
    check_memory(10**9, preprocessing)
