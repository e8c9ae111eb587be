"""layers, filters and feature-maps as a user meets them."""

from __future__ import annotations

import json

import pytest
from PIL import Image

from lamplighter import layers, load
from lamplighter.installation import install_command
from tests.cli.conftest import DIGITS

PNG = b"\x89PNG\r\n"


def test_layers_lists_what_the_library_does(run, trained):
    outcome = run("layers", trained)
    assert (outcome.code, outcome.err) == (0, "")
    head, *lines = outcome.out.splitlines()
    assert head.split() == ["layer", "kind", "output", "parameters", "maps"]
    found = layers(load(trained))
    assert [line.split()[:2] for line in lines] == [[layer.name, layer.kind] for layer in found]
    assert [line.endswith("yes") for line in lines] == [layer.spatial for layer in found]


def test_layers_json_is_one_document(run, trained):
    listed = json.loads(run("layers", trained, "--json").out)["layers"]
    assert [entry["name"] for entry in listed] == [layer.name for layer in layers(load(trained))]
    assert listed[-1]["output_shape"] == [10]


def test_filters_beside_the_bundle(run, bundle):
    outcome = run("filters", bundle)
    written = bundle.with_name("small-filters.png")
    assert (outcome.code, outcome.out) == (0, f"wrote {written}\n")
    assert written.read_bytes().startswith(PNG)
    again = run("filters", bundle)
    assert again.code == 1
    assert "already exists: choose another --out" in again.line
    assert run("filters", bundle, "--force").code == 0


@pytest.mark.parametrize(("suffix", "magic"), [(".pdf", b"%PDF"), (".svg", b"<?xml")])
def test_filters_in_the_format_that_the_name_tells(run, bundle, tmp_path, suffix, magic):
    name = next(layer.name for layer in layers(load(bundle)) if layer.kind == "Conv2d")
    out = tmp_path / f"chosen{suffix}"
    assert run("filters", bundle, "--layer", name, "--channel", 1, "--out", out).code == 0
    assert out.read_bytes().startswith(magic)


def test_feature_maps_of_a_photo_of_a_digit(run, bundle):
    outcome = run("feature-maps", bundle, DIGITS[1])
    written = bundle.with_name(f"small-maps-{DIGITS[1].stem}.png")
    assert (outcome.code, outcome.out) == (0, f"wrote {written}\n")
    with Image.open(written) as picture:
        assert picture.width > 500


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("filters", "--layer", "nowhere"), "the network has no Conv2d or ConvTranspose2d"),
        (("filters", "--channel", "999"), "received 999"),
        (("filters", "--out", "a.jpg"), "--out must be a file ending in .png, .pdf or .svg"),
        (("filters", "--out", "absent/a.png"), "there is no folder"),
        (("feature-maps", "absent.png"), "there is no file absent.png"),
        (("feature-maps", str(DIGITS[1]), "--layer", "fc"), "gives 10 for an image"),
    ],
)
def test_what_is_wrong_is_one_line_and_nothing_is_written(run, bundle, arguments, expected):
    command, *rest = arguments
    outcome = run(command, bundle, *rest)
    assert outcome.code == 1
    assert expected in outcome.line
    assert list(bundle.parent.glob("*.png")) == []


def test_no_bundle_and_no_network_of_that_name(run, tmp_path):
    for command in ("layers", "filters"):
        outcome = run(command, tmp_path / "absent.lamp")
        assert outcome.code == 1
        assert "absent.lamp" in outcome.line


def test_without_torch_it_is_said_what_to_install(run, bundle, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "lamplighter.explain.filters", None)
    outcome = run("filters", bundle)
    assert outcome.code == 1
    assert install_command() in outcome.line
