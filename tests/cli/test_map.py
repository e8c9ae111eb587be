"""`lamplighter map`: a data set as the network sees it."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from tests.absent_packages import run_without
from tests.cli.conftest import environment


def test_a_map_of_mnist(run, trained, tmp_path):
    out = tmp_path / "map.png"
    outcome = run("map", trained, "mnist", "--thumbnails", "5", "--out", out)
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out.startswith("tiny-digits, test: 256 images, ")
    assert "of the variance of the features" in outcome.out
    with Image.open(out) as picture:
        assert picture.format == "PNG"
        assert min(picture.size) > 400


def test_json_has_each_point(run, trained, tmp_path, tiny_digits):
    out = tmp_path / "map.svg"
    arguments = ("--method", "tsne", "--limit", "60", "--split", "train", "--json", "--out", out)
    document = json.loads(run("map", trained, "mnist", *arguments).out)
    assert (document["method"], document["images"], document["images_in_split"]) == (
        "tsne",
        60,
        512,
    )
    for point in document["points"]:
        assert point["true"] == str(tiny_digits["train"].labels[point["index"]])
    assert out.read_text().lstrip().startswith("<?xml")


def test_a_folder_of_images(run, trained, tmp_path, tiny_digits):
    test = tiny_digits["test"]
    for label in (0, 1):
        (tmp_path / "photos" / str(label)).mkdir(parents=True)
        for index in np.flatnonzero(test.labels == label)[:8]:
            image = Image.fromarray(test.images[index][0])
            image.save(tmp_path / "photos" / str(label) / f"{index}.png")
    outcome = run("map", trained, tmp_path / "photos", "--json", "--out", tmp_path / "m.png")
    document = json.loads(outcome.out)
    assert document["split"] == "all"
    assert {point["path"].split("/")[0] for point in document["points"]} == {"0", "1"}


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["cifar"], 2, "the data must be mnist or emoji"),
        (["mnist", "--method", "umap"], 2, "'umap' is not one of"),
        (["mnist", "--thumbnails", "-1"], 2, "--thumbnails"),
        (["mnist", "--split", "val"], 1, "no split 'val'"),
        (["emoji"], 1, "no digit was found"),
        (["mnist", "--out", "map.jpg"], 1, "ending in .png, .pdf or .svg"),
    ],
)
def test_bad_use_is_one_line(run, trained, tmp_path, monkeypatch, arguments, code, said):
    monkeypatch.chdir(tmp_path)
    more = [] if "--out" in arguments else ["--out", "map.png"]
    outcome = run("map", trained, *arguments, *more)
    assert outcome.code == code
    assert said in outcome.line
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_overwritten_unasked(run, trained, tmp_path):
    out = tmp_path / "map.png"
    out.write_text("mine")
    assert "already exists" in run("map", trained, "mnist", "--out", out).line
    assert out.read_text() == "mine"
    assert run("map", trained, "mnist", "--out", out, "--force").code == 0


def test_a_bundle_is_mapped_without_torch(trained, tmp_path):
    code = (
        "import sys; from lamplighter.cli import main\n"
        "try:\n    main()\nfinally:\n    print('torch' in sys.modules)\n"
    )
    command = [sys.executable, "-c", code, "map", str(trained), "mnist", "--limit", "50"]
    done = subprocess.run(
        [*command, "--out", str(tmp_path / "m.png")],
        capture_output=True,
        text=True,
        env=environment(),
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("False\n")


def test_it_needs_no_torch(trained, tmp_path):
    out = tmp_path / "map.png"
    code = f"""
import sys
from lamplighter.cli import main
sys.argv = ["lamplighter", "map", {str(trained)!r}, "mnist", "--limit", "50", "--out", {str(out)!r}]
main()
"""
    assert "sample of 50 of" in run_without("torch", "torchvision", "timm", code=code)
    assert out.stat().st_size > 10_000
