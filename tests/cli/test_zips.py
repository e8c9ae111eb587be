"""Every command that takes a folder of photos takes a zip file of it, with the same result."""

from __future__ import annotations

import csv
import json
import re
import shutil
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import typer
from PIL import Image

from lamplighter.cli.app import app
from lamplighter.features.files import load_features
from lamplighter.files import folder_cache
from lamplighter.saving.bundle import load

if TYPE_CHECKING:
    from collections.abc import Callable

# A new command belongs to one of the two.
WITH_A_FOLDER = {"audit", "embed", "evaluate", "map", "predict", "suspects", "train", "transfer"}
# `labels` keeps a journal beside the zip file: see tests/workspace. `studio` runs until Ctrl-C.
WITHOUT = {
    "card", "data", "explain", "export", "feature-maps", "filters", "info", "labels", "labs",
    "layers", "maximise",
    "models", "page", "serve", "similar", "studio",
}  # fmt: skip


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def digits(tiny_digits, tmp_path) -> Path:
    """Images of three digits in splits, and one that is none."""
    folder = tmp_path / "digits"
    for split, part, count in (("train", "train", 6), ("val", "train", 9), ("test", "test", 4)):
        images = tiny_digits[part]
        for label in range(3):
            (folder / split / str(label)).mkdir(parents=True)
            chosen = np.flatnonzero(images.labels == label)[-count:]
            for index in chosen if split != "val" else chosen[:3]:
                picture = Image.fromarray(images.images[index][0])
                picture.save(folder / split / str(label) / f"{index}.png")
    (folder / "test" / "0" / "bad.png").write_bytes(b"no image")
    return folder


@pytest.fixture
def archive(digits, tmp_path) -> Path:
    return Path(shutil.make_archive(str(tmp_path / "digits"), "zip", digits))


@pytest.fixture
def results(run, trained, backbone, tmp_path) -> dict[str, Callable[[Path], object]]:
    """What each command makes of a folder, or of a zip file, without where that lies."""

    def plain(data: Path, text: str) -> str:
        assert str(tmp_path / "cache") not in text
        return text.replace(str(data), "DATA")

    def output(data: Path, *arguments: object, code: int = 0) -> str:
        outcome = run(*arguments)
        assert outcome.code == code, outcome.err
        noted = re.sub(r"(note: )?understood: .* is unpacked in .*\n", "", outcome.err)
        return plain(data, outcome.out + noted)

    def splits(data: Path, folder: Path) -> list[dict[str, str]]:
        assert str(data) in (folder / "splits.csv").read_text()
        text = plain(data, (folder / "splits.csv").read_text())
        return list(csv.DictReader(text.splitlines()))

    def audited(data: Path) -> object:
        return output(data, "audit", data, "--json")

    def evaluated(data: Path) -> object:
        return output(data, "evaluate", trained, data, "--json")

    def mapped(data: Path) -> object:
        out = tmp_path / "map.png"
        return output(data, "map", trained, data, "--json", "--out", out, "--force")

    def predicted(data: Path) -> object:
        found = output(data, "predict", trained, "-r", data, "--csv", code=1)
        assert "DATA/test/0/bad.png must be an image" in found
        return found

    def embedded(data: Path) -> object:
        out = tmp_path / f"{data.name}.npz"
        output(data, "embed", data, "--backbone", backbone, "--out", out)
        found = load_features(out)
        assert all(file.is_file() for file in found.files.files)
        assert str(tmp_path / "cache") not in str(np.load(out)["root"])
        return found.files.paths, found.files.name, found.vectors.tolist()

    def trained_on(data: Path) -> object:
        out = tmp_path / f"{data.name}.lamp"
        output(data, "train", data, "--epochs", "1", "--size", "28", "--out", out)
        return load(out).class_names, splits(data, out.with_suffix(".training"))

    def transferred(data: Path) -> object:
        out = tmp_path / f"{data.name}.lamp"
        options = ("--backbone", backbone, "--rungs", "knn", "--out", out)
        output(data, "transfer", data, *options)
        folder = out.with_suffix(".transfer")
        manifest = folder / "splits.csv"
        measured = json.loads(run("evaluate", out, manifest, "--split", "test", "--json").out)
        return load(out).class_names, splits(data, folder), measured["accuracy"]

    def suspected(data: Path) -> object:
        return output(data, "suspects", data, "--backbone", backbone, "--json")

    return {
        "audit": audited, "embed": embedded, "evaluate": evaluated, "map": mapped,
        "suspects": suspected, "predict": predicted, "train": trained_on, "transfer": transferred,
    }  # fmt: skip


def test_each_command_is_known_here():
    assert set(typer.main.get_command(app).commands) == WITH_A_FOLDER | WITHOUT


@pytest.mark.parametrize("command", sorted(WITH_A_FOLDER))
def test_a_zip_stands_for_its_folder(results, run, digits, archive, command):
    assert results[command](archive) == results[command](digits)
    assert ".zip" in run(command, "--help").out


def test_an_index_outlives_the_cache(run, backbone, digits, archive, tmp_path, cache):
    index, asked = tmp_path / "digits.index", next(iter((digits / "train" / "1").iterdir()))
    assert run("embed", archive, "--backbone", backbone, "--index", index).code == 0
    inside = archive / asked.relative_to(digits)
    for folder in list(folder_cache._in_use):  # as when that process has ended
        folder_cache._let_go(folder)
    shutil.rmtree(cache)
    sheet = tmp_path / "sheet.png"
    outcome = run("similar", index, inside, "-k", "2", "--sheet", sheet)
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out.splitlines()[0].split() == [str(inside), "1", "1.0000"]
    assert str(cache) not in outcome.out
    assert "vanished" not in outcome.out
    archive.unlink()
    gone = run("similar", index, asked, "-k", "1")
    assert gone.code == 0
    assert gone.out.splitlines()[0].startswith(f"{inside} ")
    assert "the file no longer exists" in gone.out


def test_learning_from_a_zip_is_remembered_without_unpacking_it(
    run, digits, archive, tmp_path, cache
):
    out = tmp_path / "digits.lamp"
    assert run("train", archive, "--epochs", "1", "--size", "28", "--out", out).code == 0
    outcome = run("evaluate", out, archive, "--split", "val")
    assert "learned from" not in outcome.err
    with (out.with_suffix(".training") / "splits.csv").open("a") as file:
        image = next((digits / "val" / "0").iterdir()).relative_to(digits)
        file.write(f"{archive / image},0,train,\n")
    outcome = run("evaluate", out, archive, "--split", "val")
    assert "trained on 1 of these 9 images" in outcome.err
    for folder in list(folder_cache._in_use):
        folder_cache._let_go(folder)
    shutil.rmtree(cache)
    assert run("evaluate", out, digits, "--split", "val").code == 0
    assert not cache.exists() or not (cache / "lamplighter" / "unpacked").exists()


def test_what_is_lost_in_a_zip_file_is_told(run, trained, archive):
    with zipfile.ZipFile(archive, "a") as whole:
        whole.writestr("more.zip", b"PK")
        whole.writestr("a.png", b"no checksum of this")
    content = archive.read_bytes()
    archive.write_bytes(content.replace(b"no checksum", b"no-checksum"))
    outcome = run("predict", trained, archive, "--csv")
    assert outcome.code == 1
    rows = {Path(row["path"]): row["error"] for row in csv.DictReader(outcome.out.splitlines())}
    assert "damaged in the zip file (Bad CRC-32" in rows[archive / "a.png"]
    assert "unpack it, and name it as well" in rows[archive / "more.zip"]
    assert sum(not error for error in rows.values()) == 39
    findings = json.loads(run("audit", archive, "--json").out)["findings"]
    (set_aside,) = (finding for finding in findings if finding["kind"] == "set-aside")
    assert set_aside["files"] == ["a.png", "more.zip"]


def test_one_image_of_a_zip_file(run, trained, archive):
    outcome = run("predict", trained, archive / "test" / "0" / "bad.png")
    assert outcome.code == 1
    assert f"{archive}/test/0/bad.png must be an image" in outcome.line
