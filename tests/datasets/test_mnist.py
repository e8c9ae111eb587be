from __future__ import annotations

import hashlib
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from lamplighter.datasets import embedded
from lamplighter.datasets import mnist as module
from lamplighter.datasets.mnist import MNIST_PREPROCESSING, load_mnist
from lamplighter.errors import DatasetError

if TYPE_CHECKING:
    from lamplighter.datasets.image_data import ImageData

NAMES = {
    "train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
    "train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
    "t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
    "t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
}


def test_shapes_and_classes(mnist: ImageData) -> None:
    assert mnist["train"].images.shape == (60_000, 1, 28, 28)
    assert mnist["test"].images.shape == (10_000, 1, 28, 28)
    assert mnist.class_names == tuple("0123456789")
    # As published: how many of each digit.
    assert np.bincount(mnist["train"].labels).tolist() == [
        5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949,
    ]  # fmt: skip
    assert mnist["train"].labels[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]


def test_the_cache_holds_the_published_files(mnist: ImageData, cache_home: Path) -> None:
    for name, md5 in NAMES.items():
        content = (cache_home / "lamplighter" / "mnist" / name).read_bytes()
        assert hashlib.md5(content).hexdigest() == md5
    assert {path.name for path in (cache_home / "lamplighter" / "mnist").iterdir()} == set(NAMES)


def test_mean_and_std_are_those_of_the_training_pixels(mnist: ImageData) -> None:
    levels = np.bincount(mnist["train"].images.reshape(-1), minlength=256) / (60_000 * 784)
    values = np.arange(256) / 255
    mean = (levels * values).sum()
    std = np.sqrt((levels * (values - mean) ** 2).sum())
    assert MNIST_PREPROCESSING.mean == (pytest.approx(mean, abs=5e-5),)
    assert MNIST_PREPROCESSING.std == (pytest.approx(std, abs=5e-5),)


def test_the_second_time_is_quick(mnist: ImageData) -> None:
    start = time.process_time()
    load_mnist()
    assert time.process_time() - start < 1


def test_a_damaged_cache_is_replaced(mnist: ImageData, cache_home: Path) -> None:
    cached = cache_home / "lamplighter" / "mnist" / "t10k-labels-idx1-ubyte"
    cached.write_bytes(cached.read_bytes()[:-1] + b"\x09\x09")
    labels = load_mnist()["test"][1]
    np.testing.assert_array_equal(labels, mnist["test"].labels)
    assert hashlib.md5(cached.read_bytes()).hexdigest() == NAMES[cached.name]


def test_a_cache_that_cannot_be_written_costs_only_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocked = tmp_path / "cache"
    blocked.write_text("a file where a folder should be")
    monkeypatch.setenv("XDG_CACHE_HOME", str(blocked))
    labels = module._read("t10k-labels-idx1-ubyte", NAMES["t10k-labels-idx1-ubyte"])
    assert labels.shape == (10_000,)
    assert blocked.read_text().startswith("a file")


@pytest.mark.parametrize("packed", [b"", b"not xz at all"])
def test_damaged_embedded_files_are_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, packed: bytes
) -> None:
    (tmp_path / "mnist_files").mkdir()
    for name in NAMES:
        (tmp_path / "mnist_files" / f"{name}.xz").write_bytes(packed)
    monkeypatch.setattr(embedded.resources, "files", lambda package: Path(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with pytest.raises(DatasetError, match="install Lamplighter again"):
        load_mnist()


def test_missing_embedded_files_are_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded.resources, "files", lambda package: Path(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with pytest.raises(DatasetError, match="cannot be read"):
        load_mnist()
