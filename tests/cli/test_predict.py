"""predict as a user meets it: text, CSV and JSON, strange names, bad files among good ones."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lamplighter import load, open_image, predict
from lamplighter.errors import OutputError

from .conftest import DIGITS, environment


@pytest.fixture
def digit(tmp_path) -> Path:
    return Path(shutil.copy(DIGITS[3], tmp_path / "three.jpg"))


def answer(bundle, path, top=3):
    """What the library says."""
    return predict(load(bundle), [path]).top(top)[0]


def test_text_names_what_the_library_says(run, trained):
    outcome = run("predict", trained, *DIGITS)
    assert outcome.code == 0
    lines = outcome.out.splitlines()
    assert len(lines) == len(DIGITS)
    labels = [answer(trained, path)[0][0] for path in DIGITS]
    heading, *counts, total = outcome.err.splitlines()
    assert (heading, total) == ("images  answer", f"{len(DIGITS):>6}  in all")
    assert sorted(counts) == sorted(f"{labels.count(name):>6}  {name}" for name in set(labels))
    for path, line in zip(DIGITS, lines, strict=True):
        (label, probability), *others = answer(trained, path)
        rest = ", ".join(f"{name} {p:.1%}" for name, p in others)
        assert line == f"{path}  {label}  {probability:.1%}  ({rest})"


def test_one_guess_has_no_brackets(run, trained, digit):
    (label, probability) = answer(trained, digit, 1)[0]
    outcome = run("predict", trained, digit, "--top", 1)
    assert outcome.out == f"{digit}  {label}  {probability:.1%}\n"


def test_more_guesses_than_classes_are_all_classes(run, trained, digit):
    (row,) = json.loads(run("predict", trained, digit, "--top", 99, "--json").out)["predictions"]
    assert sorted(guess["label"] for guess in row["top"]) == list("0123456789")
    assert sum(guess["probability"] for guess in row["top"]) == pytest.approx(1, abs=1e-4)


def test_json_is_one_document(run, trained, tmp_path):
    missing = tmp_path / "missing.png"
    outcome = run("predict", trained, DIGITS[0], missing, DIGITS[1], "--json", "--top", 2)
    assert outcome.code == 1
    document = json.loads(outcome.out)
    assert [row["path"] for row in document["predictions"]] == [str(DIGITS[0]), str(DIGITS[1])]
    for row in document["predictions"]:
        expected = answer(trained, row["path"], 2)
        assert row["label"] == expected[0][0]
        assert (row["known"], row["distance"]) == (None, None)  # this bundle measures neither
        assert [guess["label"] for guess in row["top"]] == [name for name, _ in expected]
        assert [g["probability"] for g in row["top"]] == pytest.approx(
            [p for _, p in expected], abs=1e-6
        )
    ((path, error),) = [(row["path"], row["error"]) for row in document["errors"]]
    assert path == str(missing)
    assert f"lamplighter: {error}" == outcome.line
    summary = document["summary"]
    assert (summary["images"], summary["unknown"], summary["errors"]) == (3, None, 1)
    assert sum(summary["classes"].values()) == 2


def test_csv_reads_back_whatever_the_names(run, trained, digit):
    names = ['a, b "c".jpg', "ünï 中.jpg", "two\nlines.jpg", " spaces .jpg"]
    copies = [Path(shutil.copy(digit, digit.with_name(name))) for name in names]
    outcome = run("predict", trained, *copies, "--csv", "--top", 2)
    rows = list(csv.DictReader(io.StringIO(outcome.out)))
    assert [row["path"] for row in rows] == [str(copy) for copy in copies]
    answers, guesses = ["label", "known", "distance"], ["label_1", "probability_1", "label_2"]
    assert list(rows[0])[1:] == [*answers, *guesses, "probability_2", "error"]
    assert {row["error"] for row in rows} == {""}
    assert {row["label_1"] for row in rows} == {answer(trained, digit)[0][0]}
    assert {(row["label"], row["known"], row["distance"]) for row in rows} == {
        (answer(trained, digit)[0][0], "", "")
    }


def test_text_keeps_one_line_for_a_name_with_two(run, trained, digit):
    copy = shutil.copy(digit, digit.with_name("two\nlines\x1b[31m.jpg"))
    outcome = run("predict", trained, copy)
    assert outcome.out.count("\n") == 1
    assert "two\\nlines\\x1b[31m.jpg" in outcome.out


def test_a_name_that_is_no_utf_8(process, trained, digit):
    copy = os.fsencode(digit.parent) + b"/\xff.jpg"
    Path(os.fsdecode(copy)).write_bytes(digit.read_bytes())
    for option in ((), ("--csv",), ("--json",)):
        outcome = process("predict", trained, os.fsdecode(copy), *option, errors="surrogateescape")
        assert (outcome.code, outcome.err) == (0, "")


def test_bad_files_are_told_alone_and_the_others_answered(run, trained, digit):
    folder = digit.parent
    (folder / "text.png").write_text("not an image")
    (folder / "cut.jpg").write_bytes(digit.read_bytes()[:-2000])
    (folder / "empty.png").touch()
    Image.new("L", (60, 60), 255).save(folder / "blank.png")
    bad = ["text.png", "cut.jpg", "empty.png", "blank.png", "absent.png"]
    files = [digit, *(folder / name for name in bad), DIGITS[5]]
    outcome = run("predict", trained, *files)
    assert outcome.code == 1
    assert [line.split("  ")[0] for line in outcome.out.splitlines()] == [
        str(digit).ljust(max(len(str(digit)), len(str(DIGITS[5])))).rstrip(),
        str(DIGITS[5]),
    ]
    errors = outcome.err.splitlines()[: len(bad)]
    assert outcome.err.splitlines()[-2:] == ["     5  cannot be used", "     7  in all"]
    rows = list(csv.DictReader(io.StringIO(run("predict", trained, *files, "--csv").out)))
    assert [row["path"] for row in rows] == list(map(str, files))
    assert [bool(row["error"]) for row in rows] == [False, *([True] * len(bad)), False]
    assert [bool(row["label"]) for row in rows] == [True, *([False] * len(bad)), True]
    for name, error in zip(bad, errors, strict=True):
        assert error.startswith("lamplighter: ")
        assert str(folder / name) in error
    assert "--as-is" in errors[3]


def test_many_files_are_answered_in_their_order(run, trained, tiny_digits, tmp_path):
    pixels = tiny_digits["test"].images[:80, 0]
    files = [tmp_path / f"{number}.png" for number in range(80)]
    for path, image in zip(files, pixels, strict=True):
        Image.fromarray(image).save(path)
    files[50].write_text("bad")
    outcome = run("predict", trained, *files, "--json", "--as-is")
    document = json.loads(outcome.out)
    good = [number for number in range(80) if number != 50]
    assert [row["path"] for row in document["predictions"]] == [str(files[n]) for n in good]
    assert [row["path"] for row in document["errors"]] == [str(files[50])]
    expected = predict_pixels(trained, pixels[good])
    assert [row["label"] for row in document["predictions"]] == expected


def pixels_of(path):
    with Image.open(path) as image:
        return np.asarray(image)


def predict_pixels(bundle, pixels):
    from lamplighter.inference.predictor import predict_pixels

    return predict_pixels(load(bundle), pixels[:, None]).labels


def test_show_input_writes_what_the_network_sees(run, trained, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    twin = Path(shutil.copy(DIGITS[7], other / DIGITS[1].name))
    (tmp_path / "bad.png").write_text("bad")
    seen = tmp_path / "new" / "seen"
    files = [DIGITS[1], tmp_path / "bad.png", twin]
    assert run("predict", trained, *files, "--show-input", seen).code == 1
    names = [f"001-{DIGITS[1].stem}.png", f"003-{twin.stem}.png"]
    assert sorted(path.name for path in seen.iterdir()) == names
    for name, path in zip(names, (DIGITS[1], twin), strict=True):
        expected = np.asarray(load(trained).preprocessing.seen(open_image(path)))
        enlarged = pixels_of(seen / name)
        assert enlarged.shape == (280, 280)
        np.testing.assert_array_equal(enlarged[5::10, 5::10], expected)


def test_show_input_of_names_as_long_as_may_be(run, trained, digit):
    long = digit.with_name("n" * 251 + ".png")
    wide = digit.with_name("é" * 125 + ".png")
    for path in (long, wide):
        shutil.copy(digit, path)
    seen = digit.parent / "seen"
    outcome = run("predict", trained, long, wide, digit, "--show-input", seen)
    assert outcome.code == 0
    names = [f"001-{'n' * 200}.png", f"002-{'é' * 100}.png", "003-three.png"]
    assert sorted(path.name for path in seen.iterdir()) == names


def test_show_input_replaces_nothing_unasked(run, trained, digit):
    seen = digit.parent / "seen"
    seen.mkdir()
    there = seen / "001-three.png"
    there.write_text("mine")
    outcome = run("predict", trained, digit, "--show-input", seen)
    assert (outcome.code, outcome.out) == (1, "")
    assert f"{there} already exists" in outcome.line
    assert there.read_text() == "mine"
    assert run("predict", trained, digit, "--show-input", seen, "--force").code == 0
    assert pixels_of(there).shape == (280, 280)


def test_answers_are_given_where_a_picture_cannot_be_written(run, trained, digit, monkeypatch):
    @contextlib.contextmanager
    def full(path):
        raise OutputError(f"{path} cannot be written: No space left on device.")
        yield

    monkeypatch.setattr("lamplighter.files.writing.written_whole", full)
    outcome = run("predict", trained, digit, "--show-input", digit.parent / "seen")
    assert outcome.code == 1
    assert outcome.out.startswith(str(digit))
    assert "No space left on device" in outcome.line


def test_show_input_into_a_file_is_one_line(run, trained, digit):
    outcome = run("predict", trained, digit, "--show-input", digit)
    assert outcome.code == 1
    assert f"--show-input must be a folder that can be written to, received {digit}" in outcome.line


def test_as_is_takes_the_whole_image(run, trained, tiny_digits, tmp_path):
    pixels = tiny_digits["test"].images[0, 0]
    Image.fromarray(pixels).save(tmp_path / "mnist.png")
    arguments = ("predict", trained, tmp_path / "mnist.png", "--show-input", tmp_path / "seen")
    assert run(*arguments, "--as-is").code == 0
    seen = pixels_of(tmp_path / "seen" / "001-mnist.png")
    np.testing.assert_array_equal(seen[::10, ::10], pixels)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (None, "no such file"),
        (b"", "no bundle"),
        (b"text", "no bundle"),
        (b"PK\x03\x04", "bundle"),
    ],
)
def test_a_bad_bundle_is_one_line(run, tmp_path, content, expected):
    bad = tmp_path / "bad.lamp"
    if content is not None:
        bad.write_bytes(content)
    outcome = run("predict", bad, DIGITS[0])
    assert (outcome.code, outcome.out) == (1, "")
    assert str(bad) in outcome.line
    assert expected in outcome.line


def test_a_tampered_bundle_is_one_line_everywhere(run, bundle):
    content = bytearray(bundle.read_bytes())
    content[len(content) // 2] ^= 0xFF
    bundle.write_bytes(content)
    for arguments in (
        ("predict", bundle, DIGITS[0]),
        ("evaluate", bundle, "mnist"),
        ("export", bundle, "--format", "onnx"),
    ):
        outcome = run(*arguments)
        assert (outcome.code, outcome.out) == (1, "")
        assert str(bundle) in outcome.line


def test_the_exit_code_reaches_the_shell(trained, tmp_path):
    command = [sys.executable, "-m", "lamplighter", "predict", str(trained)]
    for file, code in ((DIGITS[0], 0), (tmp_path / "absent.png", 1)):
        done = subprocess.run([*command, str(file)], capture_output=True, env=environment())
        assert done.returncode == code
        assert bool(done.stdout) == (code == 0)
        assert bool(done.stderr) == (code == 1)


@pytest.fixture
def strange(trusted, tmp_path) -> list[Path]:
    """An image that is known and one that is not, by what the library says."""
    stripes = tmp_path / "stripes.png"
    Image.fromarray(np.tile(np.array([0, 255], dtype=np.uint8), (28, 14))).save(stripes)
    known = predict(load(trusted), [*DIGITS, stripes]).known
    assert not known[-1]
    return [DIGITS[int(np.flatnonzero(known)[0])], stripes]


def test_what_is_unknown_is_said_and_what_it_is_nearest_to(run, trusted, strange):
    outcome = run("predict", trusted, *strange)
    assert outcome.code == 0
    assert outcome.err.splitlines()[2:] == ["     1  unknown", "     2  in all"]
    first, second = outcome.out.splitlines()
    (label, probability), *_ = answer(trusted, strange[0])
    width = max(len(str(path)) for path in strange)
    assert first.startswith(f"{str(strange[0]).ljust(width)}  {label}  {probability:.1%}  (")
    nearest = ", ".join(f"{name} {p:.1%}" for name, p in answer(trusted, strange[1]))
    assert second == f"{str(strange[1]).ljust(width)}  unknown  (nearest to {nearest})"
    one = run("predict", trusted, strange[1], "--top", 1)
    name, p = answer(trusted, strange[1], 1)[0]
    assert one.out == f"{strange[1]}  unknown  (nearest to {name} {p:.1%})\n"


def test_what_is_unknown_in_json_and_csv(run, trusted, strange):
    expected = predict(load(trusted), strange)
    rows = json.loads(run("predict", trusted, *strange, "--json").out)["predictions"]
    assert [row["label"] for row in rows] == expected.labels
    assert [row["known"] for row in rows] == [True, False]
    assert [row["distance"] for row in rows] == pytest.approx(expected.distances, abs=1e-5)
    assert rows[1]["top"][0]["label"] == expected.top(1)[1][0][0]
    table = csv.DictReader(io.StringIO(run("predict", trusted, *strange, "--csv").out))
    cells = [(row["label"], row["known"], float(row["distance"])) for row in table]
    assert cells == [(row["label"], str(row["known"]).lower(), row["distance"]) for row in rows]


def test_always_answer_names_a_class(run, trusted, strange):
    outcome = run("predict", trusted, *strange, "--always-answer", "--json")
    rows = json.loads(outcome.out)["predictions"]
    for row, path in zip(rows, strange, strict=True):
        assert row["label"] == answer(trusted, path)[0][0]
        assert (row["known"], row["distance"]) == (None, None)
        assert row["top"][0]["probability"] == pytest.approx(answer(trusted, path)[0][1], abs=1e-6)


def test_no_torch_to_tell_what_is_unknown(trusted, strange):
    code = (
        "import sys; from lamplighter import load, predict;"
        f"found = predict(load({str(trusted)!r}), [{str(strange[1])!r}]);"
        "heavy = {'torch', 'sklearn', 'scipy', 'matplotlib'};"
        "print(found.labels, sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("['unknown'] []\n", "")
