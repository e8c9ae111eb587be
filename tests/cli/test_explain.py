"""`lamplighter explain`: pictures, a table and a page."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from lamplighter.cli.explain import METHODS
from tests.cli.conftest import DIGITS, environment


def test_methods_are_those_there_are():
    from lamplighter.explain.attribution.attribution import METHODS as there

    assert tuple(there) == METHODS


def test_pictures_table_and_page(run, trained, tmp_path):
    out = tmp_path / "why"
    outcome = run("explain", trained, *DIGITS[:2], "--out", out)
    assert outcome.code == 0
    table = json.loads((out / "explanations.json").read_text())
    pictures = [row["picture"] for image in table["images"] for row in image["maps"]]
    assert len(set(pictures)) == 2 * len(METHODS)
    assert sorted(path.name for path in out.iterdir()) == sorted(
        [*pictures, "explanations.json", "index.html"]
    )
    for picture in pictures:
        with Image.open(out / picture) as opened:
            assert opened.format == "PNG"
    predictions = json.loads(run("predict", trained, *DIGITS[:2], "--json").out)["predictions"]
    for image, said in zip(table["images"], predictions, strict=True):
        assert image["prediction"] == image["target"] == said["label"]
        assert image["probability"] == pytest.approx(said["top"][0]["probability"], abs=1e-4)
        assert [row["method"] for row in image["maps"]] == list(METHODS)
        gaps = {row["method"]: row["completeness_gap"] for row in image["maps"]}
        assert gaps.pop("integrated-gradients") < 0.05
        assert set(gaps.values()) == {None}
        steps = {row["method"]: row["steps"] for row in image["maps"]}
        assert steps.pop("integrated-gradients") >= 48
        assert set(steps.values()) == {None}
    page = (out / "index.html").read_text()
    assert page.count("<img ") == 2 + len(pictures)
    assert f"wrote {out / 'index.html'}".replace(" ", "") in outcome.out.replace("\n", "").replace(
        " ", ""
    )


def test_one_method_one_target_json(run, trained, tmp_path):
    out = tmp_path / "why"
    outcome = run(
        *("explain", trained, DIGITS[0], "--target", "7", "--methods", "occlusion", "--json"),
        *("--out", out),
    )
    document = json.loads(outcome.out)
    assert document["images"][0]["target"] == "7"
    assert [row["method"] for row in document["images"][0]["maps"]] == ["occlusion"]
    assert document["folder"] == str(out)
    assert document["comparison"] is None


def test_a_bad_image_is_reported_and_the_others_go_on(run, trained, tmp_path):
    bad = tmp_path / "<b>bad<b>.png"
    bad.write_text("no image")
    out = tmp_path / "why"
    outcome = run("explain", trained, bad, DIGITS[0], "--methods", "saliency", "--out", out)
    assert outcome.code == 1
    assert "bad" in outcome.line
    table = json.loads((out / "explanations.json").read_text())
    assert [image["path"] for image in table["images"]] == [str(DIGITS[0])]
    assert table["errors"][0]["path"] == str(bad)
    assert "&lt;b&gt;bad" in (out / "index.html").read_text()
    alone = run("explain", trained, bad, "--methods", "saliency", "--out", tmp_path / "other")
    assert alone.code == 1
    assert not (tmp_path / "other").exists()


def test_compare(run, trained, tmp_path):
    out = tmp_path / "why"
    arguments = ("--methods", "occlusion,integrated-gradients", "--compare", "--out", out)
    outcome = run("explain", trained, *DIGITS[:2], *arguments)
    assert outcome.code == 0
    table = json.loads((out / "explanations.json").read_text())
    for image in table["images"]:
        for row in image["maps"]:
            assert 0 <= row["deletion"] <= 1
            assert 0 <= row["insertion"] <= 1
    assert table["comparison"]["scores"]
    assert "chance" in outcome.out
    assert "Which method to believe here" in (out / "index.html").read_text()


def test_nothing_is_overwritten_unasked(run, trained, tmp_path):
    out = tmp_path / "why"
    out.mkdir()
    (out / "mine.txt").write_text("mine")
    arguments = ("explain", trained, DIGITS[0], "--methods", "saliency", "--out", out)
    outcome = run(*arguments)
    assert outcome.code == 1
    assert "must be a new or an empty folder" in outcome.line
    assert [path.name for path in out.iterdir()] == ["mine.txt"]
    assert run(*arguments, "--force").code == 0
    assert (out / "mine.txt").read_text() == "mine"
    assert (out / "index.html").is_file()
    assert run(*arguments[:-1], tmp_path / "no" / "where").code == 1


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--methods", "lime"], 2, "no method 'lime'; there are saliency, smoothgrad"),
        (["--target", "11"], 1, "11"),
        (["--target", "<script>"], 1, "<script>"),
    ],
)
def test_bad_use_is_one_line(run, trained, tmp_path, arguments, code, said):
    out = tmp_path / "why"
    outcome = run("explain", trained, DIGITS[0], "--out", out, *arguments)
    assert outcome.code == code
    assert said in outcome.line
    assert not out.exists()


def test_bad_use_imports_no_torch(trained, tmp_path):
    code = (
        "import sys; from lamplighter.cli import main\n"
        "try:\n    main()\nfinally:\n    assert 'torch' not in sys.modules\n"
    )
    (tmp_path / "x").write_text("")
    command = [sys.executable, "-c", code, "explain", str(trained), str(DIGITS[0])]
    done = subprocess.run(
        [*command, "--out", str(tmp_path)], capture_output=True, text=True, env=environment()
    )
    assert done.returncode == 1
    assert "AssertionError" not in done.stderr
    assert Path(tmp_path / "x").exists()
