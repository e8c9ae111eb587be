"""predict over folders, patterns, zip files and standard input: one result for each image."""

from __future__ import annotations

import csv
import io
import json
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from PIL import Image

from lamplighter import load, predict

from .conftest import DIGITS, PATCHED, environment


@pytest.fixture
def folder(tmp_path) -> Path:
    """Two images at the top, two in folders, a text, a raw photo and a bad file."""
    root = tmp_path / "photos"
    (root / "b").mkdir(parents=True)
    (root / "a" / "deep").mkdir(parents=True)
    for name, digit in (
        ("1.jpg", DIGITS[1]),
        ("2.jpg", DIGITS[2]),
        ("a/deep/3.jpg", DIGITS[3]),
        ("b/4.jpg", DIGITS[4]),
    ):
        shutil.copy(digit, root / name)
    (root / "notes.txt").write_text("no image")
    (root / "15.dng").write_bytes(b"II*\0")
    (root / "bad.png").write_text("no image")
    return root


def paths(outcome) -> list[str]:
    """The paths of the rows of a table, in their order."""
    return [row["path"] for row in csv.DictReader(io.StringIO(outcome.out))]


def answers(outcome) -> dict[str, str]:
    return {row["path"]: row["label"] for row in csv.DictReader(io.StringIO(outcome.out))}


def test_a_folder_is_the_images_in_it(run, trained, folder):
    outcome = run("predict", trained, folder, "--csv")
    names = ["1.jpg", "15.dng", "2.jpg", "bad.png"]
    assert (outcome.code, paths(outcome)) == (1, [str(folder / name) for name in names])
    assert f"note: 1 file in {folder} skipped: not images by their names." in outcome.err
    assert f"{folder / '15.dng'}: a raw photo, which is not read; export it as JPEG." in outcome.err
    expected = predict(load(trained), [folder / "1.jpg", folder / "2.jpg"]).labels
    rows = answers(outcome)
    assert [rows[str(folder / name)] for name in ("1.jpg", "2.jpg")] == expected


def test_recursively_with_a_summary_and_in_the_order_of_the_input(run, trained, folder):
    outcome = run("predict", trained, folder / "b", "-r", folder, DIGITS[0], "--json")
    document = json.loads(outcome.out)
    good = ["b/4.jpg", "1.jpg", "2.jpg", "a/deep/3.jpg", "b/4.jpg"]
    assert [row["path"] for row in document["predictions"]] == [
        *(str(folder / name) for name in good),
        str(DIGITS[0]),
    ]
    assert [row["path"] for row in document["errors"]] == [
        str(folder / "15.dng"),
        str(folder / "bad.png"),
    ]
    labels = predict(load(trained), [*(folder / name for name in good), DIGITS[0]]).labels
    assert document["summary"] == {
        "images": 8,
        "classes": {name: labels.count(name) for name in document["summary"]["classes"]},
        "unknown": None,
        "errors": 2,
    }
    assert sum(document["summary"]["classes"].values()) == 6


def test_a_folder_of_folders_points_to_the_option(run, trained, folder):
    (folder / "c" / "d").mkdir(parents=True)
    for option, mend in (((), "-r also searches its subfolders"), (("-r",), "name another")):
        outcome = run("predict", trained, folder / "c", *option)
        assert (outcome.code, outcome.out) == (1, "")
        assert f"there is no image in the folder {folder / 'c'}; {mend}" in outcome.line


def test_a_pattern_is_what_the_shell_would_make_of_it(run, trained, folder):
    outcome = run("predict", trained, f"{folder}/[12].jpg", f"{folder}/b/*", "--csv")
    expected = [folder / "1.jpg", folder / "2.jpg", folder / "b" / "4.jpg"]
    assert (outcome.code, paths(outcome)) == (0, list(map(str, expected)))
    outcome = run("predict", trained, f"{folder}/**/*.jpg", "--csv")
    names = ["1.jpg", "2.jpg", "a/deep/3.jpg", "b/4.jpg"]
    assert (outcome.code, paths(outcome)) == (0, [str(folder / name) for name in names])
    outcome = run("predict", trained, f"{folder}/*.webp")
    assert (outcome.code, outcome.out) == (1, "")
    assert f"no file matches '{folder}/*.webp'" in outcome.line


def test_a_file_that_looks_like_a_pattern_is_itself(run, trained, folder):
    odd = Path(shutil.copy(DIGITS[5], folder / "b" / "[4].jpg"))
    assert paths(run("predict", trained, odd, "--csv")) == [str(odd)]


def test_a_zip_file_is_all_that_is_in_it(run, trained, folder, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    archive = tmp_path / "photos.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for path in sorted(folder.rglob("*.*")):
            file.write(path, path.relative_to(folder))
    for _ in range(2):  # unpacked, and unpacked before
        outcome = run("predict", trained, archive, "--csv", "--show-input", tmp_path / "seen")
        names = ["1.jpg", "15.dng", "2.jpg", "a/deep/3.jpg", "b/4.jpg", "bad.png"]
        assert (outcome.code, paths(outcome)) == (1, [str(archive / name) for name in names])
        assert str(tmp_path / "cache") not in outcome.out + outcome.err
        assert f"{archive / 'bad.png'} must be an image" in outcome.err
        assert (tmp_path / "seen" / "004-3.png").is_file()
        shutil.rmtree(tmp_path / "seen")
    archive.write_bytes(archive.read_bytes()[:-40])
    outcome = run("predict", trained, archive, DIGITS[0])
    assert outcome.code == 1
    assert outcome.out.startswith(str(DIGITS[0]))
    assert str(archive) in outcome.err


def piped(content: bytes, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(PATCHED), *map(str, arguments)]
    done = subprocess.run(command, input=content, capture_output=True, env=environment())
    return subprocess.CompletedProcess(
        command, done.returncode, done.stdout.decode(), done.stderr.decode()
    )


def test_paths_and_an_image_on_standard_input(trained, folder, cache_home):
    odd = Path(shutil.copy(DIGITS[5], folder / "two\nlines.jpg"))
    one, two = folder / "1.jpg", folder / "[2].jpg"
    shutil.copy(DIGITS[2], two)
    lines = piped(f"{one}\n\n{two}\r\n".encode(), "predict", trained, "-", DIGITS[0], "--csv")
    assert paths(outcome_of(lines)) == [str(one), str(two), str(DIGITS[0])]
    zeros = piped(b"\0".join(str(p).encode() for p in (odd, one)), "predict", trained, "-0", "-")
    assert zeros.returncode == 0
    assert [line.split("  ")[0] for line in zeros.stdout.splitlines()] == [
        str(odd).replace("\n", "\\n"),
        str(one),
    ]
    image = piped(DIGITS[7].read_bytes(), "predict", trained, "-", "--json")
    (row,) = json.loads(image.stdout)["predictions"]
    expected = predict(load(trained), [DIGITS[7]]).labels[0]
    assert (row["path"], row["label"]) == ("-", expected)


def outcome_of(done):
    class Outcome:
        out = done.stdout

    return Outcome


class Bytes:
    """Standard input in this process."""

    def __init__(self, content: bytes) -> None:
        self.buffer = io.BytesIO(content)

    def isatty(self) -> bool:
        return False


@pytest.mark.parametrize(
    ("content", "options", "message"),
    [
        (b"", ("-",), "standard input must hold an image or paths, received nothing"),
        (b"a.jpg\0b.jpg\0", ("-",), "give -0 for paths that end with them"),
        (b"\x89PNG\r\n\x1a\nno more", ("-",), "the image given as bytes"),
        (b"nowhere.jpg\n", ("-",), "there is no file nowhere.jpg"),
    ],
)
def test_bad_standard_input_is_one_line(run, trained, monkeypatch, content, options, message):
    monkeypatch.setattr(sys, "stdin", Bytes(content))
    outcome = run("predict", trained, *options)
    assert (outcome.code, outcome.out) == (1, "")
    assert message in outcome.line


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(("-", "-"), "give it once"), (("-0", "a.jpg"), "give - as well")],
)
def test_bad_use_of_standard_input(run, trained, arguments, message):
    outcome = run("predict", trained, *arguments)
    assert outcome.code == 2
    assert message in outcome.line


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF", "AVIF"])
def test_every_usual_format_is_told_from_paths_by_its_first_bytes(
    run, trained, monkeypatch, kind, tmp_path
):
    picture = io.BytesIO()
    Image.open(DIGITS[3]).save(picture, format=kind)
    monkeypatch.setattr(sys, "stdin", Bytes(picture.getvalue()))
    outcome = run("predict", trained, "-", "--csv", "--show-input", tmp_path)
    assert (outcome.code, paths(outcome)) == (0, ["-"])
    assert (tmp_path / "001--.png").is_file()


def test_an_address_is_told_and_written_whole(run, trained):
    address = "https://example.com/rooster.png"
    outcome = run("predict", trained, address)
    assert (outcome.code, outcome.out) == (1, "")
    assert outcome.line == (
        f"lamplighter: {address} is an address, and a file is needed; fetch the image first."
    )
    assert (
        json.loads(run("predict", trained, address, "--json").out)["errors"][0]["path"] == address
    )


def test_the_first_answers_do_not_wait_for_the_last(trained, tmp_path, monkeypatch):
    """Images are asked about in batches, and a bad one costs no second look at the others."""
    import lamplighter.inference.predictor as predictor
    from lamplighter.cli.image_arguments import GivenImage
    from lamplighter.cli.predict import _answers

    sizes, whole = [], predictor.predict

    def watched(classifier, images, **options):
        sizes.append(len(images))
        return whole(classifier, images, **options)

    monkeypatch.setattr(predictor, "predict", watched)
    small = str(tmp_path / "small.png")
    Image.open(DIGITS[0]).resize((40, 40)).save(small)
    given = [GivenImage(small, small)] * 130
    given[70] = GivenImage("gone.png", str(tmp_path / "gone.png"))
    results = _answers(load(trained), given, 1, False, None)
    next(results)
    assert sizes == [64]
    rest = list(results)
    assert sizes == [64, 64, 2]
    assert [one.error is None for one in rest].index(False) == 69
    assert "gone.png" in str(rest[69].error)
