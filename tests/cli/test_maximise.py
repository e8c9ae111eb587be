"""The command that maximises: what it writes, what it prints, and what it refuses."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image


def test_classes_in_one_picture(run, bundle, tmp_path):
    out = tmp_path / "digits.png"
    outcome = run("maximise", bundle, "--all-classes", "--steps", 3, "--out", out)
    assert (outcome.code, outcome.err) == (0, "")
    lines = outcome.out.splitlines()
    assert [line.split(":")[0] for line in lines[:10]] == [f"class {digit}" for digit in range(10)]
    assert all(", probability 0." in line for line in lines[:10])
    assert lines[10] == f"wrote {out}"
    assert np.asarray(Image.open(out)).std() > 0


def test_a_part_of_the_network_and_names_of_files(run, bundle):
    for options, name in (
        (("--class", "3", "--class", "5"), "small-maximised-3-5.png"),
        (("--layer", "features.0"), "small-maximised-features_0.png"),
        (("--layer", "features.0", "--channel", 3), "small-maximised-features_0-3.png"),
        (
            ("--layer", "features.0", "--channel", 3, "--neuron", "2, 4", "--plain"),
            "small-maximised-features_0-3-2__4.png",
        ),
    ):
        outcome = run("maximise", bundle, *options, "--steps", 2)
        assert (outcome.code, outcome.err) == (0, ""), options
        assert (bundle.parent / name).exists(), outcome.out
    assert outcome.out.startswith("features.0 neuron 3 at 2,4: value ")


def test_nothing_is_replaced_unasked_and_a_seed_gives_the_same(run, bundle, tmp_path):
    out = tmp_path / "three.png"
    call = ("maximise", bundle, "--class", "3", "--steps", 3, "--out", out, "--seed")
    assert run(*call, 4).code == 0
    first = out.read_bytes()
    refused = run(*call, 4)
    assert refused.code == 1
    assert "already exists" in refused.line
    assert out.read_bytes() == first
    assert run(*call, 4, "--force").code == 0
    assert out.read_bytes() == first


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        ((), 2, "exactly one of --class, --all-classes and --layer is needed"),
        (
            ("--class", "3", "--layer", "fc"),
            2,
            "exactly one of --class, --all-classes and --layer is needed",
        ),
        (("--class", "3", "--channel", 1), 2, "--channel needs a layer"),
        (("--layer", "fc", "--neuron", "1,1"), 2, "--neuron needs a channel of a layer"),
        (("--layer", "features.0", "--channel", 1, "--neuron", "1"), 2, "a row and a column"),
        (("--class", "3", "--steps", 0), 2, "at least 1, received 0"),
        (("--class", "3", "--seed", -1), 2, "received -1"),
        (("--class", "three"), 1, "there is no class 'three'; there are 0, 1, 2, 3"),
        (("--layer", "feature.0"), 1, "no layer 'feature.0'; did you mean 'features.0'"),
        (("--layer", "fc", "--channel", 99), 1, "'fc' has channels 0 to 9, received 99"),
        (("--layer", "fc", "--channel", 1, "--neuron", "0,0"), 1, "a layer with spatial maps"),
    ],
)
def test_bad_input_is_one_line(run, bundle, tmp_path, options, code, message):
    out = tmp_path / "out.png"
    outcome = run("maximise", bundle, *options, "--out", out)
    assert outcome.code == code
    assert message in outcome.line
    assert not out.exists()


def test_other_files(run, bundle, tmp_path):
    assert (
        "--out must be a file ending in"
        in run("maximise", bundle, "--class", "3", "--out", tmp_path / "x.jpg").line
    )
    absent = tmp_path / "absent.lamp"
    outcome = run("maximise", absent, "--class", "3", "--out", tmp_path / "x.png")
    assert outcome.code == 1
    assert str(absent) in outcome.line


def test_where_there_is_no_terminal_lines_tell_the_progress(run, bundle, tmp_path, monkeypatch):
    monkeypatch.setattr("lamplighter.cli.terminal._EVERY", 0.0)
    outcome = run("maximise", bundle, "--class", "3", "--steps", 2, "--out", tmp_path / "a.png")
    assert outcome.code == 0
    assert outcome.err.splitlines()[-1] == "maximising: 2 of 2 steps"
