"""`lamplighter labs`: the notebooks copied, one graded, a class collected."""

from __future__ import annotations

import csv
import io
import json
import os
import signal
import time

import pytest

from lamplighter.teaching import catalogue as catalogues
from lamplighter.teaching.making import _cheap, _write
from tests.teaching.conftest import RIGHT, hand_in, labs_copy, sample  # noqa: F401


@pytest.fixture
def course(labs_copy, monkeypatch):  # noqa: F811
    """The small lab in the place of the labs."""
    for path, text in _cheap(labs_copy):
        _write(path, text)
    monkeypatch.setattr(catalogues, "labs_folder", lambda: labs_copy.folder)
    return labs_copy


def test_the_notebooks_are_copied_and_nothing_is_replaced(run, course, tmp_path):
    folder = tmp_path / "mine" / "labs"
    done = run("labs", folder)
    assert (done.code, done.out) == (0, f"wrote 1 notebooks to {folder}\n")
    assert f"lamplighter labs check {folder}/0_1_sizes.ipynb" in done.err
    again = run("labs", folder)
    assert again.code == 1
    assert "already exists" in again.line
    blocked = run("labs", folder / "0_1_sizes.ipynb" / "x")
    assert blocked.code == 1
    assert "cannot be created" in blocked.line
    assert json.loads(run("labs", tmp_path / "b", "--json").out)["notebooks"] == ["0_1_sizes.ipynb"]


def test_a_notebook_is_graded(run, course, hand_in):  # noqa: F811
    path = hand_in({**RIGHT, "0.1-b": "ramp = np.zeros(28)", "0.1-q1": "So."})
    done = run("labs", "check", path)
    assert done.code == 0
    lines = done.out.splitlines()
    assert lines[0] == "0.1 Sizes: 3.5 of 5 points"
    assert lines[1] == "  0.1-a   2 of 2  right"
    assert lines[2] == "  0.1-b   0.5 of 2  partly right"
    assert lines[3].strip() == "expected values that rise evenly from 0 to 1, saw 0 to 0"
    assert lines[-1] == "  0.1-q1  - of 1  to be marked by a person"
    assert max(map(len, lines)) <= 80


def test_an_unsolved_notebook_as_json(run, course, hand_in):  # noqa: F811
    done = run("labs", "check", hand_in({}), "--json")
    document = json.loads(done.out)
    assert (done.code, document["points"], document["most"]) == (0, 0, 5)
    assert document["exercises"][0]["result"] == "not answered"


@pytest.mark.parametrize("content", [None, "x", '{"nbformat": 5, "cells": []}'])
def test_what_cannot_be_read_is_said_in_one_line(run, course, tmp_path, content):
    path = tmp_path / "x.ipynb"
    if content is not None:
        path.write_text(content)
    done = run("labs", "check", path)
    assert (done.code, done.out) == (1, "")
    assert str(path) in done.line


@pytest.mark.parametrize(
    "words", [(), ("check",), ("collect",), ("check", "a", "b"), ("a", "b"), ("x", "--out", "y")]
)
def test_bad_use_is_told(run, course, words):
    assert run("labs", *words).code == 2


@pytest.mark.parametrize("command", ["check", "collect"])
def test_what_is_not_there_is_told(run, course, tmp_path, command):
    outcome = run("labs", command, tmp_path / "absent")
    assert outcome.code == 1
    assert "there is no " in outcome.line
    assert outcome.line.endswith("absent; check the name.")


def test_a_class_is_collected_and_completed(run, course, hand_in, tmp_path):  # noqa: F811
    folder = tmp_path / "class"
    hand_in({}, folder / "ada" / "0_1_sizes.ipynb")
    done = run("labs", "collect", folder)
    assert done.code == 0
    assert "1 notebooks, 0 that cannot be graded" in done.out
    assert "1/1 ada/0_1_sizes.ipynb: 0 of 5 points" in done.err
    (folder / "ben.ipynb").write_text("")
    done = run("labs", "collect", folder)  # the table is its own, and is completed
    assert "graded before" in done.err
    rows = list(csv.reader(io.StringIO((folder / "points.csv").read_text("utf-8-sig"))))
    assert [row[0] for row in rows] == ["name", "ada", "ben"]
    table = folder / "points.csv"
    table.write_bytes(table.read_bytes().replace(b"problems", b"problems,my mark"))
    changed = table.read_bytes()
    done = run("labs", "collect", folder)
    assert done.code == 1
    assert "--force" in done.line
    assert table.read_bytes() == changed
    assert run("labs", "collect", folder, "--force").code == 0
    assert table.read_bytes() != changed
    precious = tmp_path / "precious.csv"
    precious.write_text("mine")
    done = run("labs", "collect", folder, "--out", precious)
    assert done.code == 1
    assert "--force" in done.line
    assert precious.read_text() == "mine"


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_a_grading_that_is_stopped_leaves_no_process(course, hand_in, tmp_path, how):  # noqa: F811
    import subprocess
    import sys

    import psutil

    path = hand_in({"0.1-a": "open('begun', 'w').close()\nwhile True: pass"})
    code = (
        "import sys; from pathlib import Path; from lamplighter.teaching.grading import check;"
        "from lamplighter.teaching.catalogue import read_catalogue;"
        "check(Path(sys.argv[1]), catalogue=read_catalogue(Path(sys.argv[2])))"
    )
    source = course.source_file(course.labs[0])
    source.write_text(source.read_text().replace("seconds=2", "seconds=60"))
    command = [sys.executable, "-c", code, str(path), str(course.folder)]
    with subprocess.Popen(
        command, env={**os.environ, "TMPDIR": str(tmp_path)}, stderr=subprocess.DEVNULL
    ) as running:
        _wait(lambda: list(tmp_path.glob("lamplighter-lab-*/lab/begun")), 60)
        children = psutil.Process(running.pid).children(recursive=True)
        assert children
        running.send_signal(how)
        running.wait(20)
    _wait(lambda: not any(child.is_running() for child in children), 10)
    if how == signal.SIGINT:
        assert list(tmp_path.glob("lamplighter-lab-*")) == []


def _wait(condition, seconds):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)
