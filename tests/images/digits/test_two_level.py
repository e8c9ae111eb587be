"""Pictures of one digit in two grey levels: which of them is the ink, and what is left as it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter, ImageOps

from lamplighter.images.digits.centering import centre_digit
from lamplighter.images.digits.two_level import find_levels
from tests.images.digits.test_page_detection import on_a_desk

if TYPE_CHECKING:
    from collections.abc import Callable

    from lamplighter.datasets.image_data import ImageData

    Picture = Callable[[Image.Image], Image.Image]

# Test images of MNIST whose thickened strokes close the holes of an 8 all but a few pixels.
THICK_EIGHTS = [181, 876]


def enlarged(factor: int, filtered: Image.Resampling) -> Picture:
    return lambda image: image.resize((image.width * factor, image.height * factor), filtered)


def tight(image: Image.Image) -> Image.Image:
    return image.crop(image.getbbox())


DRAWN: dict[str, Picture] = {
    "plain": lambda image: image,
    "thick": lambda image: image.filter(ImageFilter.MaxFilter(3)),
}
SHOWN: dict[str, Picture] = {
    "inverted": ImageOps.invert,
    "twice as large": enlarged(2, Image.Resampling.BICUBIC),
    "inverted, ten times as large": lambda image: enlarged(10, Image.Resampling.BICUBIC)(
        ImageOps.invert(image)
    ),
    "faint": lambda image: image.point(lambda value: 90 + value * 60 // 255),
    "with room": lambda image: ImageOps.expand(image, 14),
    "inverted, in a corner": lambda image: ImageOps.invert(
        ImageOps.expand(tight(image), (60, 2, 2, 50))
    ),
    "tight": tight,
    "inverted, tight": lambda image: ImageOps.invert(tight(image)),
    "tight, four times as large": lambda image: enlarged(4, Image.Resampling.BICUBIC)(tight(image)),
}


def likeness(one: np.ndarray, other: np.ndarray) -> float:
    """The best correlation of two images over shifts by up to two pixels."""
    shifts = range(-2, 3)
    rolled = [np.roll(other, (i, j), (0, 1)).reshape(-1) for i in shifts for j in shifts]
    return max(float(np.corrcoef(one.reshape(-1), each)[0, 1]) for each in rolled)


def test_images_in_the_form_of_mnist_are_left_as_they_are(mnist: ImageData) -> None:
    images = mnist["test"].images[:100, 0]
    for factor in (1, 2, 10):
        kept = [
            (centre_digit(enlarged(factor, Image.Resampling.NEAREST)(image)) == pixels).all()
            for pixels in images
            for image in [Image.fromarray(pixels)]
        ]
        assert np.mean(kept) > 0.95  # the others are so faint that their contrast is raised
    inverted = [(centre_digit(Image.fromarray(255 - pixels)) == pixels).all() for pixels in images]
    assert np.mean(inverted) > 0.95


@pytest.mark.parametrize("index", THICK_EIGHTS)
@pytest.mark.parametrize("inverted", [False, True])
def test_a_thick_eight_is_not_read_as_its_hole(
    mnist: ImageData, index: int, inverted: bool
) -> None:
    assert mnist["test"].labels[index] == 8
    thick = DRAWN["thick"](Image.fromarray(mnist["test"].images[index, 0]))
    seen = centre_digit(ImageOps.invert(thick) if inverted else thick)
    assert (seen == np.asarray(thick)).all()


@pytest.mark.parametrize("shown", SHOWN)
@pytest.mark.parametrize("drawn", DRAWN)
def test_what_is_found_is_the_digit_however_it_is_shown(
    drawn: str, shown: str, mnist: ImageData
) -> None:
    unlike = []
    for index, pixels in enumerate(mnist["test"].images[:60, 0]):
        image = DRAWN[drawn](Image.fromarray(pixels))
        found = centre_digit(SHOWN[shown](image)).astype(float)
        # A hole or the ground taken for the digit correlates with it by far less than one half.
        if likeness(np.asarray(image, dtype=float), found) < 0.7:
            unlike.append(index)
    assert unlike == []


@pytest.mark.parametrize(("ground", "ink"), [(0, 255), (255, 0), (60, 120), (200, 90)])
def test_the_levels_are_those_drawn_with(ground: int, ink: int) -> None:
    image = Image.new("L", (60, 60), ground)
    ImageDraw.Draw(image).ellipse((18, 10, 42, 50), None, ink, 9)
    levels = find_levels(image)
    assert levels is not None
    assert (levels.ground, levels.ink, levels.sheet) == (ground, ink, False)


def test_more_ink_than_ground_is_ink_still() -> None:
    image = Image.new("L", (40, 60), 255)
    ImageDraw.Draw(image).ellipse((1, 1, 38, 58), None, 0, 14)
    assert np.mean(np.asarray(image) == 0) > 0.6
    levels = find_levels(image)
    assert levels is not None
    assert levels.ink == 0


def framed() -> Image.Image:
    image = Image.new("L", (200, 200), 255)
    draw = ImageDraw.Draw(image)
    draw.rectangle((20, 20, 180, 180), None, 0, 5)
    draw.line([(80, 60), (120, 60), (95, 140)], 0, 10)
    return image


def half_in_shadow() -> Image.Image:
    image = Image.new("L", (200, 200), 255)
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, 0, 80, 200), 90)
    draw.line([(120, 60), (160, 60), (135, 140)], 0, 10)
    return image


@pytest.mark.parametrize(
    "image",
    [
        Image.new("L", (50, 50), 7),
        Image.new("L", (2, 50), 7),
        Image.linear_gradient("L"),
        Image.fromarray(np.random.default_rng(0).normal(128, 20, (90, 90)).astype(np.uint8)),
        on_a_desk(framed()),
        framed(),
        half_in_shadow(),
    ],
    ids=["blank", "narrow", "gradient", "noise", "sheet on a desk", "frame", "shadow"],
)
def test_other_pictures_have_no_two_levels(image: Image.Image) -> None:
    assert find_levels(image) is None


def test_a_blank_sheet_is_told() -> None:
    image = Image.new("L", (200, 200), 60)
    ImageDraw.Draw(image).rectangle((40, 30, 150, 170), 250)
    levels = find_levels(image)
    assert levels is not None
    assert levels.sheet


def test_hair_thin_strokes_of_an_enlarged_image_are_widened() -> None:
    image = Image.new("L", (280, 280), 255)
    ImageDraw.Draw(image).line([(80, 45), (190, 45), (120, 235)], 0, 3, joint="curve")
    seen = centre_digit(image)
    assert np.median(seen[12:18].astype(float).sum(axis=1) / 255) > 1.5
