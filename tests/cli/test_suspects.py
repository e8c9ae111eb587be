"""`lamplighter suspects`."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lamplighter.datasets.samples import write_sample


@pytest.fixture(scope="module")
def drawings(tmp_path_factory):
    """Thirty faces and thirty flags."""
    emoji = write_sample("emoji", tmp_path_factory.mktemp("emoji") / "emoji")
    folder = tmp_path_factory.mktemp("drawings")
    for name in ("face", "flag"):
        (folder / name).mkdir()
        for file in sorted((emoji / "train" / name).iterdir())[:30]:
            shutil.copy(file, folder / name)
    return folder


@pytest.fixture
def mixed(drawings, tmp_path):
    """The same, three of them under the wrong name and one twice; and the names of these."""
    folder = Path(shutil.copytree(drawings, tmp_path / "mixed"))
    faces, flags = sorted((folder / "face").iterdir()), sorted((folder / "flag").iterdir())
    for file in faces[:2]:
        file.rename(folder / "flag" / file.name)
    flags[5].rename(folder / "face" / flags[5].name)
    shutil.copy(faces[10], folder / "flag" / "twice.png")
    wrong = {f"flag/{faces[0].name}", f"flag/{faces[1].name}", f"face/{flags[5].name}"}
    return folder, wrong | {"flag/twice.png"}


def test_names_wrong_labels_with_their_reasons(run, mixed):
    folder, wrong = mixed
    outcome = run("suspects", folder)
    assert outcome.code == 0
    told = {line.partition(":")[0] for line in outcome.out.splitlines() if " -> " in line}
    assert wrong <= told
    assert len(told) <= len(wrong) + 1
    first = outcome.out.splitlines()[2:4]
    assert first[0] == "flag/twice.png: flag -> face"
    assert first[1].startswith("    the same file as face/")
    assert max(map(len, outcome.out.splitlines())) <= 80
    assert len(list((folder / "flag").iterdir())) == 32  # nothing was moved


def test_json_has_all_of_it(run, mixed):
    folder, wrong = mixed
    document = json.loads(run("suspects", folder, "--json", "--limit", 2).out)
    assert document["checked"] == 61
    assert document["found"] >= len(wrong)
    assert len(document["suspects"]) == 2
    assert document["suspects"][0]["reasons"]
    assert document["sheet"] is None


def test_the_sheet_shows_them_and_is_not_replaced_unasked(run, mixed, tmp_path):
    sheet = tmp_path / "suspects.png"
    assert "wrote" in run("suspects", mixed[0], "--sheet", sheet).out
    with Image.open(sheet) as picture:
        assert picture.width > 400
        assert np.asarray(picture.convert("L")).std() > 10
    again = run("suspects", mixed[0], "--sheet", sheet)
    assert again.code == 1
    assert "--force" in again.line
    assert run("suspects", mixed[0], "--sheet", sheet, "--force").code == 0
    assert ".png" in run("suspects", mixed[0], "--sheet", tmp_path / "suspects.pdf").line


def test_names_what_to_label_next(run, drawings, tmp_path):
    folder = Path(shutil.copytree(drawings, tmp_path / "some"))
    waiting = folder / "unlabelled"
    waiting.mkdir()
    for name in ("face", "flag"):
        for file in sorted((folder / name).iterdir())[:5]:
            file.rename(waiting / file.name)
    outcome = run("suspects", folder, "--next", 3, "--sheet", tmp_path / "next.png")
    assert outcome.code == 0
    assert outcome.err == "note: understood: images in unlabelled have no label yet.\n"
    assert outcome.out.splitlines()[0] == "3 images to label next, of 10 without a label:"
    assert sum(line.startswith("unlabelled/") for line in outcome.out.splitlines()) == 3
    assert (tmp_path / "next.png").stat().st_size > 1000
    document = json.loads(run("suspects", folder, "--next", 3, "--json").out)
    assert len(document["next"]) == 3


def test_labels_that_are_missing_in_a_csv_are_what_is_to_be_labeled(run, drawings, tmp_path):
    files = sorted(drawings.glob("*/*.png"))
    lines = [f"{file},{file.parent.name if row % 4 else ''}" for row, file in enumerate(files)]
    table = tmp_path / "photos.csv"
    table.write_text("\n".join(["path,label", *lines]) + "\n")
    outcome = run("suspects", table, "--next", 2)
    assert outcome.out.splitlines()[0] == "2 images to label next, of 15 without a label:"


@pytest.mark.parametrize("words", [["--next", "2"], []])
def test_says_in_one_line_what_is_missing(run, drawings, tmp_path, words):
    folder = tmp_path / "one"
    shutil.copytree(drawings / "face", folder / "face")
    outcome = run("suspects", folder, *words)
    assert outcome.code == 1
    assert ("have a label" if words else "two classes") in outcome.line


def test_needs_no_torch(drawings, tmp_path):
    hidden = Path(__file__).parents[1] / "torchless"
    source = Path(__file__).parents[2] / "src"
    outcome = subprocess.run(
        [sys.executable, "-m", "lamplighter", "suspects", str(drawings), "--json"],
        env={**os.environ, "PYTHONPATH": f"{hidden}{os.pathsep}{source}"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert outcome.returncode == 0, outcome.stderr
    assert json.loads(outcome.stdout)["checked"] == 60
