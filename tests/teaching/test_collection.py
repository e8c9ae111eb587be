"""The table of a class: found, graded once, written so that a spreadsheet is safe with it."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil

import pytest

from lamplighter.errors import LabError
from lamplighter.teaching import collection
from lamplighter.teaching.collection import Row, find_notebooks, gather, table
from tests.teaching.conftest import RIGHT


@pytest.fixture
def handed_in(hand_in, tmp_path):
    """A class of four: one right, one unsolved, one deeper, one with a broken file."""
    folder = tmp_path / "class"
    hand_in({**RIGHT, "0.1-q1": "Less room."}, folder / "ada" / "0_1_sizes.ipynb")
    hand_in({}, folder / "=ben.ipynb")
    hand_in({"0.1-q1": "It is."}, folder / "cleo" / "lab0" / "0_1_sizes.ipynb")
    (folder / "dan").mkdir()
    (folder / "dan" / "0_1_sizes.ipynb").write_text("<html>")
    (folder / ".hidden").mkdir()
    (folder / ".hidden" / "copy.ipynb").write_text("")
    return folder


def _read(rows):
    return list(csv.DictReader(io.StringIO(table(rows))))


def test_every_notebook_is_a_row(handed_in, sample):
    told = []
    rows = gather(handed_in, sample, progress=lambda row, done, total: told.append((done, total)))
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]
    ben, ada, cleo, dan = _read(rows)
    assert list(ada)[:4] == ["name", "lab", "file", "0.1-a"]
    assert [row["name"] for row in (ben, ada, cleo, dan)] == ["'=ben", "ada", "cleo", "dan"]
    assert ben["file"] == "'=ben.ipynb"
    assert (ada["0.1-a"], ada["0.1-b"], ada["total"], ada["of"]) == ("2", "2", "5", "5")
    assert (ada["answered in words"], ada["pending points"]) == ("0.1-q1", "1")
    assert (ben["total"], ben["pending points"], ben["problems"]) == ("0", "0", "")
    assert (cleo["total"], cleo["pending points"]) == ("0", "1")
    assert dan["total"] == ""
    assert "is not a notebook" in dan["problems"]


def test_a_second_run_grades_what_is_new_alone(handed_in, sample, hand_in, monkeypatch):
    first = gather(handed_in, sample)
    monkeypatch.setattr(collection, "grade", lambda submission, **_: pytest.fail("graded again"))
    again = gather(handed_in, sample)
    assert [row.cached for row in again] == [True, True, True, False]
    assert table(again) == table(first)
    monkeypatch.undo()
    hand_in({"0.1-q1": "Now there is one."}, handed_in / "=ben.ipynb")
    third = gather(handed_in, sample)
    assert [row.cached for row in third] == [False, True, True, False]
    assert third[0].result["pending"] == 1


def test_a_notebook_that_breaks_the_grader_costs_nobody_else_a_row(handed_in, sample, monkeypatch):
    grade = collection.grade

    def break_at_ada(submission, **more):
        if submission.path.parent.name == "ada":
            raise ValueError("odd")
        return grade(submission, **more)

    monkeypatch.setattr(collection, "grade", break_at_ada)
    ben, ada, cleo, _ = _read(gather(handed_in, sample))
    assert ada["problems"] == "cannot be graded: ValueError: odd"
    assert (ada["total"], ben["total"], cleo["total"]) == ("", "0", "0")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_what_is_no_file_is_not_read(handed_in, sample):
    shutil.rmtree(handed_in / "ada")
    os.mkfifo(handed_in / "eve.ipynb")
    assert "must be a notebook file" in _read(gather(handed_in, sample))[-1]["problems"]


def test_what_was_graded_otherwise_is_graded_anew(handed_in, sample, monkeypatch):
    shutil.rmtree(handed_in / "ada")
    gather(handed_in, sample)
    (handed_in / collection.TABLE).write_text("each run writes it")
    assert [row.cached for row in gather(handed_in, sample)] == [True, True, False]
    more = gather(handed_in, sample, memory=2 * collection.MEMORY)
    assert [row.cached for row in more] == [False, False, False]
    monkeypatch.setattr(collection, "__version__", "9.9.9")
    assert [row.cached for row in gather(handed_in, sample)] == [False, False, False]


def test_a_damaged_memory_is_made_anew(handed_in, sample):
    shutil.rmtree(handed_in / "ada")
    first = gather(handed_in, sample)
    for path in (handed_in / collection.CACHE).iterdir():
        path.write_text("{")
    assert table(gather(handed_in, sample)) == table(first)


def test_a_stopped_run_keeps_what_it_had(handed_in, sample):
    shutil.rmtree(handed_in / "ada")

    def stop(row, done, total):
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        gather(handed_in, sample, progress=stop)
    assert [row.cached for row in gather(handed_in, sample)] == [True, True, False]


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t=", "\r=", "\n=", " ="])
def test_no_cell_is_a_formula(start):
    exercise = {"id": "0.1-a", "points": -0.5, "problems": [f"{start}HYPERLINK()"]}
    result = {"lab": "0.1", "exercises": [exercise], "questions": [], "points": 0.0, "most": 1.0,
              "pending": 0, "notes": [f"{start}1+1"]}  # fmt: skip
    rows = [Row(f"{start}cmd", f"{start}x.ipynb", result), Row("x", "x", None, f"{start}1")]
    for row in csv.reader(io.StringIO(table(rows))):
        for cell in row:
            assert not cell.startswith(("=", "+", "@", "\t", "\r", "\n", " "))
            assert not cell.startswith("-") or float(cell) < 0


def test_texts_that_are_no_unicode_are_written_all_the_same():
    odd = os.fsdecode(b"M\xfcller.ipynb")
    exercise = {"id": "0.1-a", "points": 1.0, "problems": ["\ud800"]}
    result = {"lab": "0.1", "exercises": [exercise], "questions": [], "points": 1.0, "most": 1.0,
              "pending": 0, "notes": []}  # fmt: skip
    rows = [Row("Jos\u00e9", odd, result), Row(odd, odd, None, odd)]
    text = table(rows).encode().decode()
    assert "Jos\u00e9,0.1,M\\udcfcller.ipynb" in text
    assert "0.1-a: \\ud800" in text


def test_a_folder_without_notebooks_is_refused(tmp_path):
    with pytest.raises(LabError, match="no notebooks"):
        find_notebooks(tmp_path)
    with pytest.raises(LabError, match="there is no folder"):
        find_notebooks(tmp_path / "missing")


def test_results_are_plain_json(handed_in, sample):
    shutil.rmtree(handed_in / "ada")
    (row,) = [row for row in gather(handed_in, sample) if row.name == "cleo"]
    assert json.loads(json.dumps(row.result)) == row.result
