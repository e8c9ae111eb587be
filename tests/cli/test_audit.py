"""The command that audits: what it prints, what it writes, how it ends."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Two classes in two splits; one test image is a copy from train, one file is empty."""
    folder = tmp_path / "photos"
    rng = np.random.default_rng(0)
    for split, count in (("train", 3), ("test", 2)):
        for name in ("cat", "dog"):
            (folder / split / name).mkdir(parents=True)
            for number in range(count):
                coarse = Image.fromarray(rng.integers(20, 200, (6, 6, 3), dtype=np.uint8))
                image = coarse.resize((120, 90), Image.Resampling.BICUBIC)
                image.paste((10, 10, 10), (60, 30, 80, 45))  # sharp
                image.save(folder / split / name / f"{number}.jpg", quality=95)
    shutil.copy(folder / "train/cat/0.jpg", folder / "test/cat/leak.jpg")
    (folder / "train/dog/empty.jpg").touch()
    return folder


def files_below(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_the_table(run, photos):
    before = files_below(photos)
    outcome = run("audit", photos)
    assert (outcome.code, outcome.err) == (0, "")
    lines = outcome.out.splitlines()
    assert lines[0] == "photos: 11 usable images of 12, 2 classes, 6 train, 5 test"
    text = " ".join(outcome.out.split())
    assert "error empty 1 file is empty (0 bytes)" in text
    assert "1 of 5 test images is a copy or near-copy of images in train" in text
    assert "test/cat/leak.jpg" in text
    assert lines[-1].split() == ["all", "6", "5"]
    assert files_below(photos) == before


def test_lines_fit_80_columns(run, photos, monkeypatch):
    monkeypatch.chdir(photos.parent)
    outcome = run("audit", "photos")
    assert max(map(len, outcome.out.splitlines())) <= 80


def test_json_is_one_document(run, photos):
    outcome = run("audit", photos, "--json")
    document = json.loads(outcome.out)
    assert (outcome.code, outcome.err) == (0, "")
    assert (document["files"], document["usable"]) == (12, 11)
    assert document["classes"] == {"cat": {"train": 3, "test": 3}, "dog": {"train": 3, "test": 2}}
    assert [finding["kind"] for finding in document["findings"]] == ["empty", "leakage"]
    assert set(document["findings"][1]["groups"][0]) == {"train/cat/0.jpg", "test/cat/leak.jpg"}


def test_the_report(run, photos, tmp_path):
    report = tmp_path / "new" / "report"
    outcome = run("audit", photos, "--report", report)
    assert outcome.code == 0
    assert sorted(files_below(report)) == [
        "findings.json",
        "leakage-train-test.png",
        "report.html",
    ]
    document = json.loads((report / "findings.json").read_text())
    assert document.pop("sheets") == ["leakage-train-test.png"]
    assert document == json.loads(run("audit", photos, "--json").out)
    with Image.open(report / "leakage-train-test.png") as sheet:
        assert sheet.width > 2 * 120
    assert "leak.jpg" in (report / "report.html").read_text()


def test_a_report_is_replaced_only_when_asked(run, photos, tmp_path):
    report = tmp_path / "report"
    run("audit", photos, "--report", report)
    (report / "mine.png").write_bytes(b"mine")
    before = files_below(report)
    refused = run("audit", photos, "--report", report)
    assert (refused.code, refused.out) == (1, "")
    assert "--force" in refused.line
    assert files_below(report) == before
    (photos / "test/cat/leak.jpg").unlink()
    assert run("audit", photos, "--report", report, "--force").code == 0
    # The sheet of a leak that is mended would mislead; what is not of the report stays.
    assert sorted(files_below(report)) == ["findings.json", "mine.png", "report.html"]


@pytest.mark.parametrize("place", [".", "train", "report"])
def test_a_report_never_lies_within_the_images(run, photos, place):
    before = files_below(photos)
    outcome = run("audit", photos, "--report", photos / place)
    assert outcome.code == 1
    assert "must be a folder outside the images" in outcome.line
    assert files_below(photos) == before
    assert not (photos / "report").exists()


def test_places_that_cannot_hold_a_report(run, photos, tmp_path):
    (tmp_path / "file").write_text("in the way")
    for place in (tmp_path / "file", tmp_path / "file" / "below", Path("/proc/report")):
        outcome = run("audit", photos, "--report", place)
        assert (outcome.code, outcome.out) == (1, "")
        assert "must be a folder that can be written to" in outcome.line


def test_no_usable_image_is_code_1(run, tmp_path):
    (tmp_path / "photos" / "cat").mkdir(parents=True)
    (tmp_path / "photos/cat/a.jpg").write_text("hello")
    outcome = run("audit", tmp_path / "photos", "--report", tmp_path / "report")
    assert outcome.code == 1
    assert "0 usable images of 1" in outcome.out
    assert outcome.line == f"lamplighter: no image in {tmp_path / 'photos'} can be used."
    assert "hello" in (tmp_path / "report/report.html").read_text()


def test_an_empty_or_absent_folder_is_one_line(run, tmp_path):
    (tmp_path / "empty").mkdir()
    for folder in ("empty", "absent"):
        outcome = run("audit", tmp_path / folder)
        assert (outcome.code, outcome.out) == (1, "")
        assert folder in outcome.line


def test_groups_in_file_names(run, photos):
    outcome = run("audit", photos, "--group", r"^\d", "--json")
    kinds = {finding["kind"] for finding in json.loads(outcome.out)["findings"]}
    assert "group-leakage" in kinds


def test_names_cannot_steer_the_terminal(run, photos):
    shutil.copy(photos / "train/dog/1.jpg", photos / "train/dog/\x1b[31mred.jpg")
    outcome = run("audit", photos)
    assert "\\x1b[31mred.jpg" in outcome.out
    assert "\x1b" not in outcome.out


def test_no_torch_is_imported(photos):
    code = (
        "import sys\nfrom lamplighter.cli import main\n"
        f"sys.argv = ['lamplighter', 'audit', {str(photos)!r}]\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code\n"
        "heavy = {'torch', 'matplotlib', 'sklearn', 'scipy', 'onnxruntime', 'timm'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_what_was_understood_and_scenes_are_said(run, tmp_path):
    rng = np.random.default_rng(0)
    for split, days in (("Training", (1, 2)), ("Validation", (3,)), ("Testing", (2, 4))):
        for name in ("cat", "dog"):
            folder = tmp_path / split / name
            folder.mkdir(parents=True)
            for day in days:
                for hour in (9, 12):
                    for second in range(2):
                        pixels = rng.integers(20, 200, (6, 6, 3), dtype=np.uint8)
                        minute = 10 * (split == "Testing") + second
                        photo = f"IMG_2024050{day}_{hour + (name == 'cat'):02}{minute:02}00.png"
                        Image.fromarray(pixels).resize((60, 40)).save(folder / photo)
    outcome = run("audit", tmp_path)
    assert outcome.err == ("understood: train is Training; val is Validation; test is Testing.\n")
    text = " ".join(outcome.out.split())
    assert (
        "warning scenes these names look like frames of 16 scenes, 4 of which are in more than "
        "one split, so scores may be too high; look at them with lamplighter audit --group "
        r"'\d{8}_\d\d'."
    ) in text
    grouped = run("audit", tmp_path, "--group", r"\d{8}_\d\d").out
    assert "4 groups of files are in more than one split" in " ".join(grouped.split())
