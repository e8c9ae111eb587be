"""Folders and files with names of all kinds."""

from __future__ import annotations

import os
import sys
import unicodedata
from pathlib import Path

import numpy as np
import pytest

from lamplighter.datasets.folders import scan_folder
from tests.datasets.planted import put


def test_names_of_all_kinds(tmp_path: Path) -> None:
    composed, decomposed = (unicodedata.normalize(form, "café") for form in ("NFC", "NFD"))
    put(tmp_path, f"train/{composed}/ü 1.png", f"test/{decomposed}/日本.png")
    put(tmp_path, f"train/{'x' * 250}/{'y' * 250}.png", "train/a\nb/c.png")
    files = scan_folder(tmp_path)
    assert files.class_names == tuple(sorted(["a\nb", composed, "x" * 250]))
    assert np.bincount(files.labels)[files.class_names.index(composed)] == 2
    assert all(path.is_file() for path in files.files)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")
def test_names_that_are_no_text(tmp_path: Path) -> None:
    put(tmp_path, os.fsdecode(b"caf\xe9/\xff.png"))
    files = scan_folder(tmp_path)
    assert files.class_names == (r"caf\xe9",)
    assert files.files[0].is_file()
    files.class_names[0].encode()


def test_a_path_longer_than_the_system_allows(tmp_path: Path) -> None:
    put(tmp_path, "cat/a.png")
    here = Path.cwd()
    try:
        os.chdir(tmp_path / "cat")
        for _ in range(25):
            Path("d" * 200).mkdir()
            os.chdir("d" * 200)
    finally:
        os.chdir(here)
    files = scan_folder(tmp_path)
    assert files.paths == ("cat/a.png",)
    (left_out,) = files.set_aside
    assert "File name too long" in left_out.reason
