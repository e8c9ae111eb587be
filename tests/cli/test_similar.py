"""similar as a user meets it: after embed, with and without a sheet, on good and bad files."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from .conftest import DIGITS, environment


@pytest.fixture(scope="module")
def album(trained, tmp_path_factory) -> Path:
    """A folder with digits in two classes, and beside it the index of it; do not change it."""
    home = tmp_path_factory.mktemp("album")
    for number, digit in enumerate(DIGITS):
        place = home / "digits" / ("even" if number % 2 == 0 else "odd") / digit.name
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(digit, place)
    shutil.copy(DIGITS[3], home / "digits" / "odd" / "three again.jpg")
    command = [sys.executable, "-m", "lamplighter", "embed", str(home / "digits")]
    options = ["--backbone", str(trained), "--index", str(home / "DIGITS.index"), "--no-cache"]
    subprocess.run([*command, *options], check=True, capture_output=True, env=environment())
    return home


@pytest.fixture
def index(album) -> Path:
    return album / "DIGITS.index"


def test_one_line_for_each_hit(run, album, index):
    outcome = run("similar", index, DIGITS[3], "-k", 3)
    assert (outcome.code, outcome.err) == (0, "")
    lines = outcome.out.splitlines()
    assert len(lines) == 3
    found = {line.rsplit("  ", 2)[0].strip() for line in lines[:2]}
    assert found == {
        str(album / "digits" / "odd" / name) for name in (DIGITS[3].name, "three again.jpg")
    }
    assert [line.split()[-1] for line in lines[:2]] == ["1.0000", "1.0000"]


def test_json_is_one_document(run, album, index):
    outcome = run("similar", index, DIGITS[3], "-k", 99, "--where", "label=even", "--json")
    assert (outcome.code, outcome.err) == (0, "")
    document = json.loads(outcome.out)
    assert {hit["label"] for hit in document["hits"]} == {"even"}
    assert sorted(hit["path"] for hit in document["hits"]) == [
        f"even/{digit.name}" for digit in DIGITS[::2]
    ]
    similarities = [hit["similarity"] for hit in document["hits"]]
    assert similarities == sorted(similarities, reverse=True)
    assert not any(hit["vanished"] for hit in document["hits"])


def test_duplicates_are_listed(run, index):
    document = json.loads(run("similar", index, "--duplicates", "--threshold", 1, "--json").out)
    (group,) = document["groups"]
    assert {hit["path"] for hit in group} == {f"odd/{DIGITS[3].name}", "odd/three again.jpg"}
    outcome = run("similar", index, "--duplicates", "--threshold", 1)
    assert outcome.out.splitlines()[0] == "group 1: 2 images"
    assert outcome.out.splitlines()[-1].startswith("2 of 11 images have a near-duplicate")


def test_a_file_that_vanished_is_listed_and_said_so(run, album, tmp_path):
    home = shutil.copytree(album, tmp_path / "moved")
    (home / "digits" / "odd" / "three again.jpg").unlink()
    outcome = run(
        "similar", home / "DIGITS.index", DIGITS[3], "-k", 2, "--sheet", tmp_path / "s.png"
    )
    gone, there = sorted(outcome.out.splitlines(), key=len, reverse=True)
    assert gone.startswith(f"{home / 'digits' / 'odd' / 'three again.jpg'}  ")
    assert gone.endswith("the file no longer exists")
    assert not there.endswith("vanished")
    with Image.open(tmp_path / "s.png") as picture:
        assert picture.width > 224


def test_the_sheet_begins_with_the_image_asked_for(run, index, tmp_path):
    asked = Image.open(DIGITS[3]).convert("RGB").rotate(90, expand=True)
    ImageDraw.Draw(asked).rectangle((0, 0, asked.width, asked.height), outline="red", width=30)
    asked.save(tmp_path / "asked.png")
    sheet = tmp_path / "sheet.png"
    outcome = run("similar", index, tmp_path / "asked.png", "-k", 5, "--sheet", sheet)
    assert (outcome.code, outcome.err) == (0, "")
    with Image.open(sheet) as picture:
        assert picture.format == "PNG"
        pixels = np.asarray(picture).astype(int)  # (H, W, 3)
    rows, columns = np.nonzero(pixels[..., 0] - pixels[..., 1] > 180)  # red
    assert len(rows)
    assert max(rows.max(), columns.max()) < 260
    content = sheet.read_bytes()
    again = run("similar", index, DIGITS[3], "--sheet", sheet)
    assert (again.code, again.out) == (1, "")
    assert "overwrite it with --force" in again.line
    assert sheet.read_bytes() == content
    assert run("similar", index, DIGITS[3], "--sheet", sheet, "--force").code == 0
    assert sheet.read_bytes() != content


@pytest.mark.parametrize(
    ("arguments", "code", "expected"),
    [
        ([], 2, "either an IMAGE or --duplicates is needed"),
        ([DIGITS[0], "--duplicates"], 2, "either an IMAGE or --duplicates is needed"),
        ([DIGITS[0], "-k", 0], 2, "at least 1"),
        ([DIGITS[0], "--where", "even"], 2, "--where must be KEY=VALUE"),
        ([DIGITS[0], "--where", "label=x", "--where", "label=y"], 2, "each key once"),
        ([DIGITS[0], "--where", "colour=red"], 1, "by label or split, received 'colour'"),
        ([DIGITS[0], "--where", "label=red"], 1, "no image of label 'red'; it has even, odd"),
        (["--duplicates", "--threshold", 2], 1, "threshold must be"),
        (["--duplicates", "--sheet", "x.png"], 2, "--sheet needs an IMAGE"),
        (["--duplicates", "--where", "label=even"], 2, "--where needs an IMAGE"),
        (["absent.png"], 1, "there is no file absent.png"),
    ],
)
def test_bad_use_is_one_line(run, index, arguments, code, expected):
    outcome = run("similar", index, *arguments)
    assert (outcome.code, outcome.out) == (code, "")
    assert expected in outcome.line


def test_a_bad_index_is_one_line(run, tmp_path):
    (tmp_path / "text.index").write_text("text")
    for name, expected in (("absent.index", "there is no index"), ("text.index", "must be an ind")):
        outcome = run("similar", tmp_path / name, DIGITS[0])
        assert (outcome.code, outcome.out) == (1, "")
        assert expected in outcome.line


def test_an_index_whose_network_is_gone_or_another(run, bundle, album, tmp_path):
    index = tmp_path / "DIGITS.index"
    assert run("embed", album / "digits", "--backbone", bundle, "--index", index).code == 0
    assert run("similar", index, DIGITS[0]).code == 0
    bundle.rename(tmp_path / "away.lamp")
    outcome = run("similar", index, DIGITS[0])
    assert outcome.code == 1
    assert f"the network of {index} cannot be had: {bundle} cannot be loaded" in outcome.line
    from lamplighter import Classifier, ImageData, save

    save(Classifier.new("simple-cnn", ImageData.mnist()), bundle)
    outcome = run("similar", index, DIGITS[0])
    assert (outcome.code, outcome.out) == (1, "")
    assert "was made with the network" in outcome.line
    assert str(bundle) in outcome.line


def test_no_torch_is_imported(index):
    code = (
        "import sys; from lamplighter.cli.app import app; "
        f"app(['similar', {str(index)!r}, {str(DIGITS[0])!r}], standalone_mode=False); "
        "print([name for name in ('torch', 'matplotlib', 'sklearn') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment()
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1] == "[]"
