"""`lamplighter labels`, as a user has it."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from lamplighter.datasets.folders import find_files
from lamplighter.workspace.location import NAME
from tests.cli.conftest import environment

RED = "train/red/0.png"


@pytest.fixture(autouse=True)
def here(photos, tmp_path, tmp_path_factory, monkeypatch) -> None:
    """Work beside the photos, with a data folder of the tests' own."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path_factory.mktemp("data")))
    monkeypatch.chdir(tmp_path)


def document(outcome) -> dict[str, object]:
    assert outcome.code == 0, outcome.err
    return json.loads(outcome.out)


def test_where_it_stands_before_the_first_step(run, photos):
    outcome = run("labels", "photos")

    assert outcome.code == 0
    lines = outcome.out.splitlines()
    assert lines[:5] == [
        "photos: 36 images, 3 classes",
        "class  images",
        "blue       12",
        "green      12",
        "red        12",
    ]
    assert lines[5].startswith("no steps yet; the first one begins a journal, ")
    assert "next: lamplighter labels photos set CLASS NAME..." in outcome.err
    assert not (photos / NAME).exists()


def test_a_day_of_work(run, photos, tmp_path):
    assert run("labels", "photos", "set", "blue", RED, "photos/val/red").out == (
        "step 1: label 4 files blue\n"
    )
    assert run("labels", "photos", "set", "blue", RED).out == "nothing changes: it is so already\n"
    out = run("labels", "photos", "aside", "*/green/1.png", "--reason", "blurred").out
    assert out == "step 2: set 3 files aside: blurred\n"
    assert (
        run("labels", "photos", "keep", "val/green/1.png").out == "step 3: keep val/green/1.png\n"
    )
    assert run("labels", "photos", "rename", "red", "crimson").out == (
        "step 4: rename red to crimson\n"
    )
    assert run("labels", "photos", "add", "pink").out == "step 5: add the class pink\n"
    assert run("labels", "photos", "merge", "pink", "green", "blue").out == (
        "step 6: merge pink, green into blue\n"
    )
    assert run("labels", "photos", "clear", RED).out == f"step 7: take the label of {RED} away\n"
    assert run("labels", "photos", "undo", "3").out == (
        f"undone: step 7: take the label of {RED} away\n"
        "undone: step 6: merge pink, green into blue\n"
        "undone: step 5: add the class pink\n"
    )
    assert run("labels", "photos", "redo").out == "redone: step 5: add the class pink\n"
    outcome = run("labels", "photos")
    assert outcome.out.splitlines()[:8] == [
        "photos: 34 images, 4 classes, 2 set aside",
        "class    images",
        "blue         16",
        "crimson       8",
        "green        10",
        "pink          0",
        "set aside test/green/1.png: blurred",
        "set aside train/green/1.png: blurred",
    ]
    log = run("labels", "photos", "log").out.splitlines()
    assert log[0].endswith(f"take the label of {RED} away  (undone)")
    assert log[6].endswith("label 4 files blue")
    outcome = run("labels", "photos", "apply", "new.csv")
    assert outcome.out == "wrote new.csv: 34 images, 3 classes; 2 files left out\n"
    assert "classes without a file are not in it: pink." in outcome.err
    assert run("labels", "photos", "apply", "new").out.startswith("wrote new: 34 images, 3 classes")
    for target in ("new.csv", "new"):
        found = find_files(tmp_path / target)
        assert found.class_names == ("blue", "crimson", "green")
        assert [int(n) for n in (found.labels == 0).nonzero()[0].shape] == [16]
    assert find_files(photos).class_names == ("blue", "green", "red")  # it stays as it is
    assert run("labels", "photos", "check").out == "the journal and the folder agree\n"


def test_what_was_applied_is_what_other_commands_learn_from(run, backbone):
    run("labels", "photos", "rename", "red", "crimson")
    run("labels", "photos", "apply", "new.csv")
    outcome = run(
        "transfer", "new.csv", "--backbone", backbone, "--rungs", "knn", "--no-audit", "--json"
    )

    assert outcome.code == 0, outcome.err
    assert run("info", "photos.lamp", "--json").out.count("crimson")


def test_everything_as_json(run, photos):
    done = document(run("labels", "photos", "set", "blue", RED, "--json"))
    assert done["journal"] == str(Path(os.path.realpath(photos)) / NAME)
    (step,) = done["done"]
    assert step["action"] == {"kind": "label", "paths": [RED], "class_name": "blue"}
    document(run("labels", "photos", "aside", RED, "--json"))
    assert document(run("labels", "photos", "undo", "--json"))["undone"][0]["step"] == 2
    assert document(run("labels", "photos", "redo", "--json"))["redone"][0]["step"] == 2
    whole = document(run("labels", "photos", "--json"))
    assert whole["classes"] == {"blue": 12, "green": 12, "red": 11}
    assert whole["set_aside"] == [{"path": RED, "reason": "set aside by hand."}]
    assert [step["done"] for step in whole["steps"]] == [True, True]
    assert document(run("labels", "photos", "log", "--json"))["steps"] == whole["steps"]
    check = document(run("labels", "photos", "check", "--json"))
    assert check == {"vanished": [], "changed": [], "moved": [], "new": []}
    applied = document(run("labels", "photos", "apply", "x.csv", "--json"))
    assert applied["images"] == 35


def test_names_on_standard_input(process):
    def on_stdin(content: bytes, *options: str) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            [sys.executable, "-m", "lamplighter", "labels", "photos", "set", "blue", "-", *options],
            input=content,
            capture_output=True,
            check=False,
            env=environment(),
        )

    assert on_stdin(b"train/red/0.png\nphotos/train/red/1.png\n").stdout == (
        b"step 1: label 2 files blue\n"
    )
    odd = Path("photos", "train", "red", "line\nend caf\udce9.png")
    Path("photos", RED).rename(odd)
    outcome = on_stdin(os.fsencode(odd) + b"\0", "-0")
    assert outcome.stdout == b"nothing changes: it is so already\n"  # it was 0.png, and is blue
    Path("photos", "train", "red", "2.png").rename("photos/train/red/a\nb.png")
    assert on_stdin(b"photos/train/red/a\nb.png\0", "-0").stdout == (
        b"step 2: label 'train/red/a\\nb.png' blue\n"
    )
    outcome = on_stdin(b"a\0b\0")
    assert (outcome.returncode, outcome.stdout) == (2, b"")
    assert b"with -0 ended by null characters" in outcome.stderr


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        (("nowhere",), "there is no folder nowhere"),
        (("photos", "set", "bleu", RED), "there is no class 'bleu'; did you mean 'blue'?"),
        (("photos", "set", "blue", "9.png"), "there is no image 9.png in photos"),
        (("photos", "undo"), "there is no step to undo."),
        (("photos", "apply", "photos/x"), "photos/x lies in photos, where it would be read"),
    ],
)
def test_what_fails_is_one_line(run, photos, arguments, fault):
    outcome = run("labels", *arguments)

    assert outcome.code == 1
    assert outcome.line.startswith(f"lamplighter: {fault}")
    assert outcome.out == ""
    assert not (photos / NAME).exists()


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        ((), "Missing argument 'FOLDER'"),
        (("set", "blue", RED), "the folder stands before the command: labels FOLDER set"),
        (("photos", "sett", "blue"), "No such command 'sett'. Did you mean 'set'?"),
        (("photos", "set", "blue"), "Missing argument 'NAME...'"),
        (("photos", "undo", "0"), "0 is not in the range x>=1"),
        (("photos", "merge", "blue"), "name a class, and the one that it goes to"),
        (("photos", "set", "blue", RED, "-0"), "-0 is for paths on standard input"),
        (("photos", "set", "blue", "-", "-"), "give it once"),
        (("photos", "--json", "log"), "--json stands after the command"),
    ],
)
def test_bad_use(run, arguments, fault):
    outcome = run("labels", *arguments)

    assert outcome.code == 2
    assert fault in outcome.line
    assert "{" not in outcome.line


def test_help_of_a_command_needs_no_folder(run):
    assert "--reason" in run("labels", "aside", "--help").out
    assert "--link" in run("labels", "photos", "apply", "-h").out
    assert "journal" in run("labels", "--help").out


def test_files_that_moved_vanished_or_came_are_named(run, photos):
    run("labels", "photos", "set", "blue", RED, "train/red/1.png")
    (photos / RED).rename(photos / "val" / "red" / "moved.png")
    (photos / "train" / "red" / "1.png").unlink()
    (photos / "val" / "red" / "new.png").write_bytes(b"new")

    outcome = run("labels", "photos", "check", "--accept")

    assert outcome.out.splitlines() == [
        "vanished: train/red/1.png (labelled blue)",
        f"moved: {RED} is val/red/moved.png now",
        "new: val/red/new.png",
    ]
    outcome = run("labels", "photos")
    assert "1 file of the journal vanished or changed, such as train/red/1.png" in outcome.err
    assert "new:" not in run("labels", "photos", "check").out


def test_a_locked_journal_is_one_line(run, photos, monkeypatch):
    run("labels", "photos", "set", "blue", RED)
    monkeypatch.setattr("lamplighter.workspace.journal._PATIENCE", 0.1)
    other = sqlite3.connect(photos / NAME, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")

    outcome = run("labels", "photos", "undo")

    other.close()
    assert outcome.code == 1
    assert "is being changed by another process; try again when that has ended." in outcome.line


def test_it_imports_no_torch(photos):
    code = (
        "import sys; sys.argv = ['lamplighter', 'labels', 'photos', 'set', 'blue', '0.png'];"
        "import lamplighter.cli as cli\n"
        "try: cli.main()\n"
        "except SystemExit: pass\n"
        "print([name for name in ('torch', 'onnxruntime', 'sklearn') if name in sys.modules])"
    )
    outcome = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )

    assert outcome.stdout.splitlines()[-1] == "[]"
