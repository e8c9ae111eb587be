from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image, ImageDraw

from lamplighter.errors import ImageError
from lamplighter.images.digits.centering import centre_digit
from tests.images.digits.test_centering import check_form, difference, moved, seven

if TYPE_CHECKING:
    from collections.abc import Callable


def on_a_desk(image: Image.Image, turn: float = 0, desk: int = 60) -> Image.Image:
    """The image as a sheet in the middle of a desk, with noise."""
    sheet = image.rotate(turn, expand=True)
    shape = Image.new("L", image.size, 255).rotate(turn, expand=True)
    result = Image.new("L", (500, 400), desk)
    result.paste(sheet, (230 - sheet.width // 2, 210 - sheet.height // 2), shape)
    noise = np.random.default_rng(1).normal(0, 3, (400, 500))
    return Image.fromarray((np.asarray(result, float) + noise).clip(0, 255).astype("u1"))


def outlined(image: Image.Image, shape: str, gap: int) -> Image.Image:
    """The image within an outline that keeps `gap` from the border."""
    image = moved(image) if shape == "frame" else image.copy()
    box = (gap, gap, image.width - 1 - gap, image.height - 1 - gap)
    draw = ImageDraw.Draw(image)
    (draw.ellipse if shape == "circle" else draw.rectangle)(box, outline=30, width=4)
    return image


def shaded(image: Image.Image, *, left: float, right: float) -> Image.Image:
    """The moved image, the light of which changes at a slanting line left of the digit."""
    pixels = np.asarray(moved(image), float)
    y, x = np.mgrid[: pixels.shape[0], : pixels.shape[1]]
    return Image.fromarray((pixels * np.where(x + 0.4 * y < 300, left, right)).astype("u1"))


SURROUNDED: dict[str, Callable[[Image.Image], Image.Image]] = {
    "sheet on a desk": on_a_desk,
    "turned sheet on a desk": lambda image: on_a_desk(image.rotate(-7, fillcolor=255), 7),
    "sheet on a light desk": lambda image: on_a_desk(image, desk=180),
    "sheet in a corner of a desk": lambda image: on_a_desk(image).crop((130, 110, 480, 400)),
    "black sheet on a table": lambda image: on_a_desk(image.point(lambda v: 255 - v), desk=190),
    "frame": lambda image: outlined(image, "frame", 4),
    "frame at the border": lambda image: outlined(image, "frame", 0),
    "box": lambda image: moved(outlined(image, "box", 20)),
    "circle": lambda image: moved(outlined(image, "circle", 5)),
    "box on a sheet on a desk": lambda image: on_a_desk(outlined(image, "box", 20)),
    "shadow beside it": lambda image: shaded(image, left=0.5, right=1),
    "shadow over it": lambda image: shaded(image, left=1, right=0.6),
}


@pytest.mark.parametrize("surrounding", SURROUNDED)
def test_what_surrounds_a_digit_is_left_out(surrounding: str) -> None:
    result = centre_digit(SURROUNDED[surrounding](seven()))
    check_form(result)
    assert difference(centre_digit(seven()), result) < 0.25


def zero(shape: str, pen: int) -> Image.Image:
    image = Image.new("L", (200, 200), 250)
    draw = ImageDraw.Draw(image)
    (draw.ellipse if shape == "round" else draw.rectangle)((60, 30, 140, 170), 250, 20, pen)
    return image


@pytest.mark.parametrize("speck", [0, 4, 7])
@pytest.mark.parametrize("pen", [6, 14, 24])
@pytest.mark.parametrize("shape", ["round", "square"])
def test_a_zero_is_no_frame_whatever_speck_is_inside(shape: str, pen: int, speck: int) -> None:
    image = zero(shape, pen)
    ImageDraw.Draw(image).ellipse((100 - speck, 100 - speck, 100 + speck, 100 + speck), 20)
    result = centre_digit(image)
    check_form(result)
    assert difference(centre_digit(zero(shape, pen)), result) < 0.25
    # The ring crosses the middle row twice and reaches the top and the bottom of its column.
    across, down = result[14] > 100, result[:, 12:16].max(axis=1) > 100
    assert across[:12].any()
    assert across[16:].any()
    assert np.ptp(np.nonzero(down)[0]) + 1 >= 18


@pytest.mark.parametrize("side", ["left", "top", "right", "bottom"])
def test_a_digit_at_the_edge_is_taken_though_dust_lies_free(side: str) -> None:
    image = Image.new("L", (400, 400), 255)
    digit = seven().crop((50, 40, 150, 168))
    corner = {"left": (0, 130), "top": (150, 0), "right": (300, 130), "bottom": (150, 272)}[side]
    image.paste(digit, corner)
    for x, y in ((30, 30), (370, 40), (350, 360), (40, 350)):
        ImageDraw.Draw(image).ellipse((x, y, x + 6, y + 6), 20)
    assert difference(centre_digit(seven()), centre_digit(image)) < 0.25


@pytest.mark.parametrize(
    "image",
    [
        on_a_desk(Image.new("L", (260, 200), 250)),
        on_a_desk(Image.new("L", (260, 200), 250), 10),
        shaded(Image.new("L", (200, 200), 255), left=0.5, right=1),
    ],
    ids=["blank sheet", "turned blank sheet", "shadow"],
)
def test_a_sheet_or_a_shadow_alone_is_refused(image: Image.Image) -> None:
    with pytest.raises(ImageError, match=r"no digit .* broad patch,.* digit finding off"):
        centre_digit(image)


def test_the_separate_bar_of_a_five_stays_at_the_edge() -> None:
    image = Image.new("L", (200, 200), 255)
    draw = ImageDraw.Draw(image)
    draw.line([(80, 54), (76, 95)], 0, 10)
    draw.arc((60, 85, 140, 160), 230, 520, 0, 10)
    draw.line([(98, 48), (150, 48)], 0, 10)
    at_edge = centre_digit(image.crop((20, 44, 190, 190)))
    assert difference(centre_digit(image), at_edge) < 0.25
