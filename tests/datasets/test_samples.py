"""The embedded samples, written as files."""

from __future__ import annotations

import pytest
from PIL import Image

from lamplighter.datasets import embedded
from lamplighter.datasets.samples import write_sample
from lamplighter.errors import DatasetError, OutputError


def test_digits(tmp_path):
    folder = write_sample("digits", tmp_path / "digits")
    assert folder == tmp_path / "digits"
    assert [path.stem for path in sorted(folder.iterdir())] == [f"digit-{d}" for d in range(10)]
    for path in folder.iterdir():
        with Image.open(path) as image:
            image.load()
            assert min(image.size) >= 120


def test_emoji(tmp_path):
    folder = write_sample("emoji", str(tmp_path / "emoji"))
    assert len(list(folder.glob("*/*/*.png"))) == 950


def test_nothing_is_overwritten(tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(OutputError, match="must be a new or an empty folder"):
        write_sample("digits", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_an_unknown_sample(tmp_path):
    with pytest.raises(DatasetError, match="there is no sample 'cats'; there are digits, emoji"):
        write_sample("cats", tmp_path / "cats")


@pytest.mark.parametrize("damage", ["missing", "damaged"])
def test_a_damaged_sample(damage, tmp_path, monkeypatch):
    monkeypatch.setattr(embedded.resources, "files", lambda package: tmp_path)
    (tmp_path / "digit_files").mkdir()
    if damage == "damaged":
        (tmp_path / "digit_files" / "digit-0.jpg").write_bytes(b"half a picture")
    with pytest.raises(DatasetError, match=r"embedded digit-0.jpg .*; install Lamplighter again"):
        write_sample("digits", tmp_path / "digits")
    assert not (tmp_path / "digits").exists()
