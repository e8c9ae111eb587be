"""Occlusion without torch, beside captum's, and its picture over the image."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from lamplighter.errors import ModelError, ShapeError, UnknownClassError
from lamplighter.explain.attribution.attribution import attribute
from lamplighter.explain.attribution.occlusion_map import occlusion_map
from lamplighter.explain.attribution.overlay import AGAINST, FOR, overlay, place_in_words
from tests.explain.attribution.test_attribution import COLOUR, GREY, Tiny, classifier_of

if TYPE_CHECKING:
    from lamplighter.images.preprocessing import Preprocessing


def picture(preprocessing: Preprocessing) -> Image.Image:
    shape = (preprocessing.height, preprocessing.width)
    shape = shape if preprocessing.channels == 1 else (*shape, 3)
    return Image.fromarray(np.random.default_rng(3).integers(0, 256, shape, dtype=np.uint8))


@pytest.mark.parametrize("preprocessing", [GREY, COLOUR])
@pytest.mark.parametrize(
    "settings",
    [{}, {"window": 3}, {"window": (4, 5), "stride": (3, 2)}, {"baseline": "black", "window": 6}],
)
def test_it_is_the_map_of_captum(preprocessing, settings):
    classifier = classifier_of(Tiny(preprocessing.channels), preprocessing)
    image = picture(preprocessing)
    found = occlusion_map(classifier, image, target=1, **settings)
    oracle = attribute(classifier, image, "occlusion", target=1, **settings)
    np.testing.assert_allclose(found.values, oracle.maps[0], atol=1e-5)
    assert found.settings == oracle.settings
    assert found.probability == pytest.approx(float(oracle.target_probabilities[0]), abs=1e-6)
    np.testing.assert_array_equal(found.pixels, preprocessing.pixels(image))


def test_pixels_are_taken_as_they_are():
    classifier = classifier_of(Tiny())
    pixels = GREY.pixels(picture(GREY))
    np.testing.assert_array_equal(
        occlusion_map(classifier, pixels).values, occlusion_map(classifier, picture(GREY)).values
    )
    for wrong in (pixels.astype(np.float32), pixels[:, 1:]):
        with pytest.raises(ShapeError, match=r"uint8 of shape \(1, 12, 10\)"):
            occlusion_map(classifier, wrong)


def test_the_most_probable_class_is_asked_about():
    classifier = classifier_of(Tiny())
    image = picture(GREY)
    oracle = attribute(classifier, image, "occlusion")
    told: list[tuple[int, int]] = []
    found = occlusion_map(classifier, image, progress=lambda *counts: told.append(counts))
    assert found.target == oracle.target_names[0]
    assert told[-1][0] == told[-1][1] > 16


@pytest.mark.parametrize(
    ("settings", "error", "words"),
    [
        ({"window": 13}, ModelError, "fit into the image of 12 x 10"),
        ({"window": 2, "stride": 3}, ModelError, "stride must be at most the window"),
        ({"baseline": "blur"}, ModelError, "takes it"),
        ({"baseline": "white"}, ModelError, "baseline"),
        ({"target": "cat"}, UnknownClassError, "cat"),
    ],
)
def test_what_it_does_not_take(settings, error, words):
    with pytest.raises(error, match=words):
        occlusion_map(classifier_of(Tiny()), picture(GREY), **settings)


def test_no_torch_is_needed(tmp_path: Path):
    script = tmp_path / "asks.py"
    script.write_text(
        "import sys\n"
        "from PIL import Image\n"
        "from lamplighter import occlusion_map\n"
        "from lamplighter.saving.backbones import bundled_classifier\n"
        "network = bundled_classifier('efficientnet-lite0', size=(64, 64))\n"
        "found = occlusion_map(network, Image.new('RGB', (64, 64), 'red'), window=32)\n"
        "assert found.values.shape == (64, 64)\n"
        "assert 'torch' not in sys.modules\n"
    )
    subprocess.run([sys.executable, script], check=True, timeout=60)


def test_an_overlay_has_a_colour_for_each_sign():
    made = overlay(np.array([[2.0, -1.0], [0.0, 1.0]]))
    assert made.shape == (2, 2, 4)
    assert tuple(made[0, 0, :3]) == FOR
    assert tuple(made[0, 1, :3]) == AGAINST
    assert made[0, 0, 3] == 2 * made[1, 1, 3] == 2 * made[0, 1, 3]
    assert made[1, 0, 3] == 0


def test_an_empty_map_is_transparent():
    assert not overlay(np.zeros((3, 4)))[..., 3].any()


@pytest.mark.parametrize(
    ("row", "column", "words"),
    [
        (0, 0, "at the top on the left"),
        (4, 4, "in the middle"),
        (8, 8, "at the bottom on the right"),
    ],
)
def test_a_place_in_words(row, column, words):
    values = np.zeros((9, 9))
    values[row, column] = 1
    assert place_in_words(values) == words
