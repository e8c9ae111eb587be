"""train and evaluate on photos as a user meets them."""

from __future__ import annotations

import csv
import json
import shutil
import signal
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from lamplighter import add_trust, evaluate, find_files, load, load_images
from lamplighter.errors import ModelError
from lamplighter.saving.bundle import describe

from .test_train import epochs_in, wait_for, weights

if TYPE_CHECKING:
    from pathlib import Path

COLOURS = {"blue": 2, "green": 1, "red": 0}


def photo(path: Path, channel: int, seed: int) -> None:
    """Noise, brighter in one channel, so that the classes are easy."""
    pixels = np.random.default_rng(seed).integers(0, 140, (24, 32, 3), dtype=np.uint8)
    pixels[..., channel] += 90
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """20 photos of each of three classes in no splits; do not change it."""
    root = tmp_path_factory.mktemp("photos") / "photos"
    for name, channel in COLOURS.items():
        for number in range(20):
            photo(root / name / f"{number:02}.png", channel, 100 * channel + number)
    return root


@pytest.fixture(scope="module")
def splits(tmp_path_factory) -> Path:
    """Splits as a user made them: blue is not in test, violet in test alone, one file bad."""
    root = tmp_path_factory.mktemp("splits") / "splits"
    for place, (split, count) in enumerate({"train": 8, "valid": 3, "test": 4}.items()):
        for name, channel in COLOURS.items():
            for number in range(count if (split, name) != ("test", "blue") else 0):
                photo(
                    root / split / name / f"{number}.png",
                    channel,
                    1000 * place + 10 * number + channel,
                )
    photo(root / "test" / "violet" / "0.png", 2, 5)
    (root / "train" / "red" / "bad.jpg").write_bytes(b"no image")
    return root


QUICK = ("--size", "16", "--epochs", 2, "--no-augment")


def rows(manifest: Path) -> list[dict[str, str]]:
    with manifest.open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_folder_without_splits(run, folder, tmp_path):
    out = tmp_path / "a.lamp"
    outcome = run("train", folder, *QUICK, "--out", out)
    assert outcome.code == 0, outcome.err
    lines = outcome.out.splitlines()
    assert lines[0].startswith("better-cnn trained on 42 images in ")
    assert lines[1].endswith(" on 9 images")
    assert [line.split()[0] for line in lines[-3:]] == ["blue", "green", "red"]
    assert lines[-4].split() == [
        *("class", "images", "right", "recall", "95", "%", "interval", "precision", "F1")
    ]
    manifest = tmp_path / "a.training" / "splits.csv"
    assert f"evaluate {out} {manifest} --split test" in outcome.err
    counts = dict.fromkeys(("train", "val", "test"), 0)
    for row in rows(manifest):
        counts[row["split"]] += 1
        assert (folder / row["label"]).as_posix() in row["path"]
    assert counts == {"train": 42, "val": 9, "test": 9}

    accuracy = describe(out)["record"]["scores"]["test"]["accuracy"]
    again = run("evaluate", out, manifest, "--split", "test", "--json")
    assert again.err == ""
    assert json.loads(again.out)["accuracy"] == accuracy
    learned = run("evaluate", out, manifest, "--split", "train", "--json")
    assert learned.line.startswith("note: the classifier was trained on these 42 images")
    whole = run("evaluate", out, folder, "--json")
    assert "trained on 42 of these 60 images" in whole.line
    assert (json.loads(whole.out)["split"], json.loads(whole.out)["count"]) == ("all", 60)
    (tmp_path / "elsewhere").mkdir()  # a bundle without its training folder still works
    moved = shutil.copy(out, tmp_path / "elsewhere")
    assert run("evaluate", moved, folder).err == ""


def test_a_folder_with_splits(run, splits, tmp_path, caplog):
    out, sheet = tmp_path / "a.lamp", tmp_path / "sheet.png"
    outcome = run("train", splits, *QUICK[:4], "--out", out, "--show-augmentation", sheet)
    assert outcome.code == 0, outcome.err
    assert "set aside train/red/bad.jpg: " in outcome.err
    assert "audit: error: 1 file is not an image" in outcome.err
    assert "1 of the 9 images of 'test' are left out" in caplog.text
    assert "unknown to the classifier, always wrong: violet" in outcome.out
    assert "without an image, not in macro-F1: blue" in outcome.out
    assert "trained on 24 images" in outcome.out
    assert f"next: lamplighter evaluate {out} {splits}, or" in outcome.err
    assert load(out).class_names == ("blue", "green", "red")
    with Image.open(sheet) as picture:
        assert picture.width > 500
    outcome = run("evaluate", out, splits, "--split", "val")
    assert outcome.code == 0
    assert "splits, val: 9 images, 3 classes" in outcome.out
    outcome = run("evaluate", out, splits, "--split", "test-other")
    assert (outcome.code, outcome.out) == (1, "")
    assert "has no split 'test-other'; did you mean 'test'? It has train, val, test" in outcome.line


def test_the_bundle_says_how_far_it_can_be_trusted(run, folder, tmp_path):
    out = tmp_path / "a.lamp"
    outcome = run("train", folder, *QUICK, "--seed", 3, "--out", out)
    assert outcome.code == 0, outcome.err
    starts = [line.split()[0] for line in outcome.out.splitlines() if line[:1].strip()]
    assert starts[2:5] == ["calibration", "unknown", "wrote"]
    description = describe(out)
    measured = description["trust"]["measured"]
    assert (measured["count"], measured["unknown_count"]) == (9, 0)
    assert description["record"]["scores"]["test"]["answered"] is not None
    classifier = load(out)
    files = find_files(tmp_path / "a.training" / "splits.csv")
    expected = add_trust(classifier, load_images(files, classifier.preprocessing), seed=3)
    assert description["trust"]["temperature"] == pytest.approx(expected.temperature, rel=1e-3)
    assert description["trust"]["threshold"] == pytest.approx(expected.threshold, abs=1e-3)

    outcome = run("train", folder, *QUICK, "--validation", 0, "--out", out, "--force")
    assert outcome.code == 0, outcome.err
    assert "calibration" not in outcome.out
    assert describe(out)["trust"] is None


def test_the_test_split_is_answered_once(run, folder, tmp_path, monkeypatch):
    asked = []

    def noted(classifier, images, split, **others):
        asked.append(split)
        return evaluate(classifier, images, split, **others)

    for home in ("evaluation.report", "training.recipes"):
        monkeypatch.setattr(f"lamplighter.{home}.evaluate", noted)
    outcome = run("train", folder, *QUICK, "--out", tmp_path / "a.lamp")
    assert outcome.code == 0, outcome.err
    assert asked == ["test"]


def test_what_cannot_be_measured_does_not_cost_the_bundle(run, folder, tmp_path, monkeypatch):
    def failing(*_, **__):
        raise ModelError("the network answers NaN.")

    monkeypatch.setattr("lamplighter.evaluation.report.evaluate", failing)
    monkeypatch.setattr("lamplighter.evaluation.reliability.add_trust", failing)
    out = tmp_path / "a.lamp"
    outcome = run("train", folder, *QUICK, "--out", out)
    assert outcome.code == 0, outcome.err
    assert (
        "not calibrated, and no image will be called unknown: the network answers NaN."
        in outcome.err
    )
    assert "not tested: the network answers NaN." in outcome.err
    assert describe(out)["trust"] is None
    assert load(out).class_names == tuple(COLOURS)


def test_two_classifiers_of_other_sizes(run, splits, tmp_path):
    a, b = tmp_path / "a.lamp", tmp_path / "b.lamp"
    for out, size in ((a, "16"), (b, "20x24")):
        arguments = ("--epochs", 1, "--no-audit", "--size", size, "--out", out)
        outcome = run("train", splits, *arguments)
        assert outcome.code == 0, outcome.err
        assert "audit" not in outcome.err
        assert "set aside train/red/bad.jpg: " in outcome.err
    preprocessing = load(b).preprocessing
    assert (preprocessing.height, preprocessing.width) == (20, 24)
    document = json.loads(run("evaluate", a, splits, "--against", b, "--json").out)
    alone = json.loads(run("evaluate", b, splits, "--json").out)
    assert document["b"] == alone
    assert document["a"]["count"] == alone["count"] == 9


def test_full_keeps_the_size_of_the_photos(run, folder, tmp_path):
    out = tmp_path / "a.lamp"
    arguments = ("--fit", "full", "--balance", "weights", "--epochs", 1, "--out", out)
    assert run("train", folder, *arguments, "--model", "residual-cnn").code == 0
    preprocessing = load(out).preprocessing
    assert (preprocessing.height, preprocessing.width, preprocessing.fit) == (24, 32, "squash")
    recipe = describe(out)["record"]["recipe"]
    assert (recipe["balance"], recipe["name"]) == ("weights", "photos")


@pytest.mark.parametrize("recipe", ["lab", "quick", pytest.param("best", marks=pytest.mark.slow)])
def test_the_recipes_for_digits_take_photos_too(run, folder, tmp_path, recipe):
    out = tmp_path / "a.lamp"
    arguments = ("--recipe", recipe, "--size", 32, "--epochs", 1, "--validation", 0, "--out", out)
    outcome = run("train", folder, *arguments)
    assert outcome.code == 0, outcome.err
    assert "trained on 51 images" in outcome.out
    assert {row["split"] for row in rows(tmp_path / "a.training" / "splits.csv")} == {
        "train",
        "test",
    }


def test_groups_are_kept_together(run, folder, tmp_path):
    out = tmp_path / "a.lamp"
    assert run("train", folder, *QUICK, "--group", r"^\d", "--out", out).code == 0
    homes: dict[str, set[str]] = {}
    for row in rows(tmp_path / "a.training" / "splits.csv"):
        homes.setdefault(row["group"], set()).add(row["split"])
    assert sorted(homes) == ["0", "1"]
    assert all(len(home) == 1 for home in homes.values())


@pytest.mark.parametrize(("missing", "made"), [("valid", "val"), ("test", "test")])
def test_near_copies_are_not_parted_where_one_split_is_made(run, splits, tmp_path, missing, made):
    """A copy of a training image among those that are held out would be a leak."""
    mine = tmp_path / "mine"
    shutil.copytree(splits, mine, ignore=shutil.ignore_patterns(missing, "bad.jpg"))
    for picture in list((mine / "train").rglob("*.png")):
        shutil.copy(picture, picture.with_name(f"again {picture.name}"))
    assert run("train", mine, *QUICK, "--out", tmp_path / "a.lamp").code == 0
    sides: dict[str, set[str]] = {}
    for row in rows(tmp_path / "a.training" / "splits.csv"):
        sides.setdefault(row["path"].replace("again ", ""), set()).add(row["split"])
    assert {made} in sides.values()
    assert all(len(found) == 1 for found in sides.values())


@pytest.mark.slow
def test_a_killed_training_goes_on_with_its_splits_and_options(start, run, folder, tmp_path):
    copy = tmp_path / "mine"
    shutil.copytree(folder, copy)
    arguments = ("--size", 16, "--balance", "sampler", "--epochs", 40)
    whole, out = tmp_path / "whole.lamp", tmp_path / "a.lamp"
    assert run("train", copy, *arguments, "--out", whole).code == 0
    running = start("train", copy, *arguments, "--out", out, cwd=tmp_path)
    wait_for(lambda: epochs_in(tmp_path / "a.training") > 1)
    running.send_signal(signal.SIGKILL)
    running.communicate()
    kept = json.loads((tmp_path / "a.training" / "settings.json").read_text())
    assert (kept["size"], kept["balance"], kept["fit"]) == ("16", "sampler", None)
    photo(copy / "red" / "new.png", 0, 9999)  # no part of the training that goes on
    outcome = run("train", copy, "--resume", "--size", 32, "--out", out)
    assert outcome.code == 1
    assert "was started with size 16, received 32; resume without --size" in outcome.line
    outcome = run("train", copy, "--resume", "--out", out)
    assert outcome.code == 0, outcome.err
    assert weights(out) == weights(whole)


@pytest.mark.parametrize(
    ("arguments", "code", "expected"),
    [
        (
            ("absent",),
            2,
            "must be mnist or emoji, or an existing folder, zip or CSV file, received",
        ),
        (("mnist", "--size", "32"), 2, "--size is for photos, received mnist, which has its own"),
        (("mnist", "--group", "x"), 2, "--group is for photos"),
        (("FOLDER", "--size", "0"), 2, "the size must be a number of pixels, such as 64"),
        (("FOLDER", "--size", "large"), 2, "the size must be a number of pixels, such as 64"),
        (("FOLDER", "--size", "5", "--no-audit"), 1, "images of 5 x 5 are too small"),
        (("FOLDER", "--size", "90000", "--no-audit"), 1, "must fit into half of the free memory"),
        (("FOLDER", "--group", "(", "--no-audit"), 1, "("),
        (("FOLDER/red", "--no-audit"), 1, "training needs two classes or more"),
        (("FOLDER", "--out", "a.lamp", "--show-augmentation", "a.lamp"), 1, "must be two files"),
    ],
)
def test_refused_before_anything_is_written(
    run, folder, monkeypatch, tmp_path, arguments, code, expected
):
    monkeypatch.chdir(tmp_path)
    given = [argument.replace("FOLDER", str(folder)) for argument in arguments]
    outcome = run("train", *given)
    assert (outcome.code, outcome.out) == (code, "")
    assert expected in outcome.line
    assert list(tmp_path.iterdir()) == []


def test_emoji_come_with_the_package(run, tmp_path):
    out = tmp_path / "a.lamp"
    outcome = run("train", "emoji", "--size", 24, "--epochs", 1, "--out", out)
    assert outcome.code == 0, outcome.err
    assert f"next: lamplighter evaluate {out} emoji, or" in outcome.err
    document = json.loads(run("evaluate", out, "emoji", "--split", "test-twemoji", "--json").out)
    assert document["unknown_classes"] == []
    assert document["count"] > 50
    assert not (tmp_path / "a.training" / "splits.csv").exists()


@pytest.mark.slow
def test_boats(run, boats, tmp_path, caplog):
    out = tmp_path / "boats.lamp"
    outcome = run("train", boats, "--epochs", 12, "--out", out)
    assert outcome.code == 0, outcome.err
    assert "11 of the 216 images of 'val' are left out" in caplog.text
    assert "unknown to the classifier, always wrong: MotoscafoACTV" in outcome.out
    assert "without an image, not in macro-F1: Caorlina" in outcome.out
    assert describe(out)["record"]["scores"]["test"]["accuracy"]["value"] > 0.25
