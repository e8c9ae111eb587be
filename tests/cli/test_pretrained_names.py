"""Commands that are given the name of a pretrained network instead of a bundle."""

import json
import os
import subprocess
import sys

import pytest
from PIL import Image

from lamplighter.saving import pretrained as kept

from .conftest import DIGITS, environment


@pytest.fixture
def name(trained, monkeypatch, tmp_path):
    """A network in the cache: a small one under the name of a large one of timm's."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    path = kept._kept_at("resnet50", None)
    path.parent.mkdir(parents=True)
    path.write_bytes(trained.read_bytes())
    monkeypatch.chdir(tmp_path)
    return "resnet50"


def test_predict_answers_as_with_the_bundle(run, trained, name):
    by_name, by_bundle = run("predict", name, *DIGITS), run("predict", trained, *DIGITS)
    assert (by_name.code, by_name.err) == (0, by_bundle.err)
    assert by_name.out == by_bundle.out


def test_a_file_of_that_name_comes_first(run, name, tmp_path):
    (tmp_path / name).write_bytes(b"no bundle")
    outcome = run("predict", name, DIGITS[0])
    assert outcome.code == 1
    assert "resnet50 cannot be loaded" in outcome.line


def test_info_and_export_take_the_name(run, name, tmp_path):
    description = json.loads(run("info", name, "--json").out)
    assert description["class_names"] == [str(digit) for digit in range(10)]
    outcome = run("export", name, "--format", "onnx")
    assert outcome.code == 0
    assert (tmp_path / "resnet50.onnx").stat().st_size > 1000


def test_an_unknown_name_is_neither_file_nor_network(run, name):
    for command in (("predict", "resnt50", DIGITS[0]), ("info", "resnt50")):
        outcome = run(*command)
        assert outcome.code == 1
        assert "there is no file resnt50, and there is no pretrained network" in outcome.err
        assert "did you mean 'resnet50'" in outcome.err
        assert "preparing" not in outcome.err


def test_a_bundle_named_without_its_ending_is_found(run, name, tmp_path):
    (tmp_path / "digits.lamp").touch()
    outcome = run("predict", "digits", DIGITS[0])
    assert "there is no file digits (did you mean 'digits.lamp'?), and" in outcome.line
    assert "no such file; did you mean 'digits.lamp'?" in run("info", "digts.lamp").line


def test_the_command_imports_no_torch_for_what_is_kept(name, tmp_path):
    Image.new("L", (28, 28), 255).save(tmp_path / "blank.png")
    code = f"""
import sys
sys.argv = ["lamplighter", "predict", {name!r}, "blank.png", "--as-is"]
from lamplighter.cli import main
try:
    main()
finally:
    print("torch" in sys.modules, "timm" in sys.modules)
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
        env=environment(XDG_CACHE_HOME=os.environ["XDG_CACHE_HOME"]),
    )
    assert done.stderr == ""
    assert done.stdout.splitlines()[-1] == "False False"
