"""What is understood of data sets as people have them."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from lamplighter.datasets.folders import find_files
from lamplighter.errors import DatasetError
from tests.real_folders.layouts import ALL, RealFolder, expanded


def named(real: RealFolder) -> str:
    return real.name


def test_patterns() -> None:
    assert expanded("{a,b}/{08..10}.png") == [
        "a/08.png", "a/09.png", "a/10.png", "b/08.png", "b/09.png", "b/10.png",
    ]  # fmt: skip
    assert len({real.name for real in ALL}) == len(ALL) >= 30


@pytest.mark.parametrize("real", [real for real in ALL if not real.refused], ids=named)
def test_understood(tmp_path: Path, real: RealFolder) -> None:
    files = find_files(real.make(tmp_path))
    found: dict[str, Counter[str]] = {}
    for split, label in zip(files.splits, files.labels, strict=True):
        name = files.class_names[label] if label >= 0 else ""
        found.setdefault(split, Counter())[name] += 1
    assert found == real.understood
    assert all(file.is_file() for file in files.files)
    notes = files.notes[1:] if real.at.endswith(".zip") else files.notes
    assert notes == real.notes
    assert {left_out.path for left_out in files.set_aside} == set(real.set_aside)


@pytest.mark.parametrize("real", [real for real in ALL if real.refused], ids=named)
def test_refused(tmp_path: Path, real: RealFolder) -> None:
    with pytest.raises(DatasetError, match=real.refused) as caught:
        find_files(real.make(tmp_path))
    assert str(caught.value).isprintable()
    assert str(tmp_path) in str(caught.value)


def test_errors_name_what_is_in_a_zip_as_in_it(tmp_path: Path) -> None:
    images = ["mac/{Training,cats}/{1..3}.jpg"]
    path = RealFolder("unclear", images, at="unclear.zip", refused="x").make(tmp_path)
    with pytest.raises(DatasetError) as caught:
        find_files(path)
    assert str(caught.value).startswith(
        f"{path}/mac has folders of splits (Training) beside others"
    )


def test_a_zip_is_called_by_its_name(tmp_path: Path) -> None:
    real = next(real for real in ALL if real.name == "macos-zip")
    files = find_files(real.make(tmp_path))
    assert files.name == files.root.name == "insects"
    assert files.notes[0] == f"understood: insects.zip is unpacked in {files.root}."
