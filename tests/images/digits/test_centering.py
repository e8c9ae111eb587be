from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image, ImageDraw, ImageFilter

from lamplighter.errors import ImageError
from lamplighter.images.decoding import open_image
from lamplighter.images.digits.centering import centre_digit

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from lamplighter.datasets.image_data import ImageData

EXAMPLES = sorted((Path(__file__).parents[3] / "src/lamplighter/datasets/digit_files").iterdir())


def seven(size: int = 200, pen: int = 14, ink: int = 0, paper: int = 255) -> Image.Image:
    """A seven in the middle of a square."""
    image = Image.new("L", (size, size), paper)
    path = [(0.3, 0.25), (0.7, 0.25), (0.45, 0.8)]
    ImageDraw.Draw(image).line([(x * size, y * size) for x, y in path], ink, pen, joint="curve")
    return image


def lit(image: Image.Image) -> Image.Image:
    """The image under light from one side, with noise."""
    pixels = np.asarray(image, dtype=float)
    y, x = np.mgrid[: pixels.shape[0], : pixels.shape[1]] / max(pixels.shape)
    noise = np.random.default_rng(0).normal(0, 5, pixels.shape)
    return Image.fromarray(
        (pixels * (0.9 - 0.4 * x - 0.1 * y * y) + noise).clip(0, 255).astype("u1")
    )


def moved(image: Image.Image) -> Image.Image:
    large = Image.new("L", (500, 420), 255)
    large.paste(image, (270, 15))
    return large


def coloured(image: Image.Image) -> Image.Image:
    ink = image.point(lambda value: 255 - value)
    return Image.composite(
        Image.new("RGB", image.size, (190, 20, 60)),
        Image.new("RGB", image.size, (90, 210, 90)),
        ink,
    )


def transparent(image: Image.Image, grey: int) -> Image.Image:
    result = Image.new("RGBA", image.size, (grey, grey, grey, 0))
    result.putalpha(image.point(lambda value: 255 - value))
    return result


def dusty(image: Image.Image) -> Image.Image:
    image = image.copy()
    draw = ImageDraw.Draw(image)
    for x, y in ((15, 20), (180, 30), (170, 180), (30, 150), (60, 185), (20, 90)):
        draw.ellipse((x, y, x + 2, y + 2), 40)
    return image


def ruled(image: Image.Image) -> Image.Image:
    lines = np.full((image.height, image.width), 255, np.uint8)
    lines[7::24] = 195
    return Image.fromarray(np.minimum(np.asarray(image), lines))


VARIANTS: dict[str, Callable[[Image.Image], Image.Image]] = {
    "inverted": lambda image: image.point(lambda value: 255 - value),
    "faint": lambda image: image.point(lambda value: 140 + value // 4),
    "larger": lambda image: image.resize((900, 900), Image.Resampling.BICUBIC),
    "smaller": lambda image: image.resize((80, 80), Image.Resampling.BOX),
    "moved": moved,
    "coloured": coloured,
    "dark on transparent": lambda image: transparent(image, 0),
    "light on transparent": lambda image: transparent(image, 255),
    "lit from a side": lit,
    "dusty": dusty,
    "ruled": ruled,
    "touching the border": lambda image: image.crop((45, 35, 155, 175)),
    "16 bits": lambda image: Image.fromarray(np.asarray(image).astype(np.uint16) * 257),
}


def check_form(result: np.ndarray) -> None:
    """The form of MNIST: size, box of 20, centre of mass in the middle, full contrast."""
    assert result.shape == (28, 28)
    assert result.dtype == np.uint8
    assert result.max() == 255
    rows, columns = np.nonzero(result > 40)
    sides = (np.ptp(rows) + 1, np.ptp(columns) + 1)
    assert 18 <= max(sides) <= 20
    y, x = np.mgrid[:28, :28]
    mass = result.astype(float)
    assert abs((mass * x).sum() / mass.sum() - 13.9) < 0.7
    # Of long thin shapes the box reaches the edge before the centre of mass is in the middle.
    if rows.min() > 0 and rows.max() < 27:
        assert abs((mass * y).sum() / mass.sum() - 13.9) < 0.7


def difference(first: np.ndarray, second: np.ndarray) -> float:
    """Share of the ink that differs, at the best of the nine shifts by at most one pixel."""
    first, second = first.astype(float), second.astype(float)
    shifts = [np.roll(second, (i, j), (0, 1)) for i in (-1, 0, 1) for j in (-1, 0, 1)]
    return min(float(np.abs(first - other).sum() / first.sum()) for other in shifts)


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_digit_looks_the_same_however_it_was_taken(variant: str) -> None:
    result = centre_digit(VARIANTS[variant](seven()))
    check_form(result)
    assert difference(centre_digit(seven()), result) < 0.25


def test_images_of_mnist_come_back_nearly_unchanged(tiny_digits: ImageData) -> None:
    images = tiny_digits["train"].images[:150, 0]
    differences = [difference(image, centre_digit(Image.fromarray(image))) for image in images]
    assert np.median(differences) < 0.06
    assert np.quantile(differences, 0.9) < 0.3


def test_enlarged_digits_are_nearest_to_their_own_class(mnist: ImageData) -> None:
    train = mnist["train"]
    known = train.images[:6000, 0].reshape(6000, -1).astype(np.float32)
    known /= np.linalg.norm(known, axis=1, keepdims=True)
    right = 0
    for image, label in zip(train.images[6000:6060, 0], train.labels[6000:6060], strict=True):
        photo = Image.fromarray(255 - image).resize((224, 224), Image.Resampling.BICUBIC)
        seen = centre_digit(lit(photo)).reshape(-1).astype(np.float32)
        right += int(train.labels[(known @ seen).argmax()] == label)
    assert right >= 54


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_the_examples_are_nearest_to_their_digit(path: Path, mnist: ImageData) -> None:
    assert path.stat().st_size < 60_000
    seen = centre_digit(open_image(path))
    check_form(seen)
    train = mnist["train"]
    vector = seen.reshape(-1).astype(np.float32)
    known = train.images[:10_000, 0].reshape(10_000, -1).astype(np.float32)
    likeness = known @ vector / np.linalg.norm(known, axis=1)
    nearest = train.labels[:10_000][np.argsort(likeness)[-5:]]
    assert str(np.bincount(nearest, minlength=10).argmax()) == path.stem[-1]


def test_there_is_an_example_of_each_digit() -> None:
    assert [path.stem for path in EXAMPLES] == [f"digit-{digit}" for digit in range(10)]


@pytest.mark.parametrize("pen", [4, 8, 40, 260])
def test_strokes_end_as_wide_as_those_of_mnist(pen: int) -> None:
    image = Image.new("L", (3000, 2000), 240)
    path = [(1000, 500), (1700, 500), (1250, 1500)]
    ImageDraw.Draw(image).line(path, 30, pen, joint="curve")
    result = centre_digit(image)
    check_form(result)
    stem = result[12:20].astype(float).sum(axis=1) / 255  # width of the slanting stroke
    assert 1.7 <= np.median(stem) <= 6


def test_the_separate_bar_of_a_five_stays() -> None:
    image = Image.new("L", (200, 200), 255)
    draw = ImageDraw.Draw(image)
    draw.line([(80, 50), (76, 95)], 0, 10)
    draw.arc((60, 85, 140, 160), 230, 520, 0, 10)
    below = centre_digit(image)
    draw.line([(98, 48), (150, 48)], 0, 10)
    with_bar = centre_digit(image)
    check_form(with_bar)
    assert difference(below, with_bar) > 0.2
    rows = np.nonzero(with_bar > 100)[0]
    assert (with_bar[rows.min() : rows.min() + 3, 14:] > 100).sum() >= 6


@pytest.mark.parametrize(
    "image",
    [
        Image.new("L", (28, 28)),
        Image.new("RGB", (300, 200), (255, 255, 255)),
        Image.new("RGBA", (64, 64), (0, 0, 0, 0)),
        Image.new("L", (1, 1), 9),
        Image.linear_gradient("L"),
        Image.fromarray(np.random.default_rng(0).normal(128, 6, (200, 200)).astype(np.uint8)),
    ],
    ids=["black", "white", "transparent", "one pixel", "gradient", "noise"],
)
def test_a_blank_image_has_no_digit(image: Image.Image) -> None:
    with pytest.raises(ImageError, match=r"no digit was found .* turn digit finding off"):
        centre_digit(image)


@settings(deadline=None, max_examples=100)
@given(hnp.arrays(np.uint8, st.tuples(st.integers(1, 30), st.integers(1, 30))))
def test_any_pixels_give_a_result_or_an_image_error(pixels: np.ndarray) -> None:
    try:
        result = centre_digit(Image.fromarray(pixels))
    except ImageError:
        return
    assert result.shape == (28, 28)
    assert result.any()


def thick(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A digit whose strokes a maximum filter widened by two pixels."""
    return np.asarray(Image.fromarray(image).filter(ImageFilter.MaxFilter(3)))


def negative(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return 255 - image


def enlarged(image: NDArray[np.uint8], resampling: Image.Resampling) -> NDArray[np.uint8]:
    return np.asarray(Image.fromarray(image).resize((112, 112), resampling))


@pytest.mark.parametrize("strokes", [lambda image: image, thick], ids=["plain", "thick"])
class TestInTheFormOfMnist:
    """Images that have MNIST's form: here the image itself is the oracle."""

    @pytest.fixture
    def digits(self, mnist: ImageData, strokes: Callable[..., Any]) -> list[NDArray[np.uint8]]:
        """Eights above all: their holes lie in their strokes."""
        test = mnist["test"]
        eights = np.flatnonzero(test.labels == 8)[:20]
        return [strokes(image) for image in test.images[np.r_[eights, :20], 0]]

    @pytest.mark.parametrize("shown", [lambda image: image, negative], ids=["white", "black"])
    def test_is_left_as_it_is(self, digits: list[Any], shown: Callable[..., Any]) -> None:
        found = [centre_digit(Image.fromarray(shown(image))) for image in digits]
        same = [np.abs(a.astype(int) - b).max() <= 2 for a, b in zip(found, digits, strict=True)]
        assert np.mean(same) > 0.8  # the others lie off the middle

    @pytest.mark.parametrize(
        "shown",
        [
            lambda image: enlarged(image, Image.Resampling.NEAREST),
            lambda image: enlarged(image, Image.Resampling.BICUBIC),
            lambda image: negative(enlarged(image, Image.Resampling.BICUBIC)),
            lambda image: np.pad(image, 14),
            lambda image: negative(np.pad(image, 14)),
        ],
        ids=["squares", "smooth", "black", "room", "black in room"],
    )
    def test_a_hole_is_never_the_digit(self, digits: list[Any], shown: Callable[..., Any]) -> None:
        for image in digits:
            found = centre_digit(Image.fromarray(shown(image)))
            alike = max(
                np.corrcoef(np.roll(found, (y, x), (0, 1)).ravel(), image.ravel())[0, 1]
                for y in range(-2, 3)
                for x in range(-2, 3)
            )
            assert alike > 0.7  # of thick strokes thinned; holes have less than 0.3


@pytest.mark.parametrize("number", [181, 876])
@pytest.mark.parametrize("scale", [1, 2, 10])
@pytest.mark.parametrize("shown", [lambda image: image, negative], ids=["white", "black"])
def test_eights_whose_holes_are_nearly_closed(
    mnist: ImageData, number: int, scale: int, shown: Callable[..., Any]
) -> None:
    expected = thick(mnist["test"].images[number, 0])
    image = Image.fromarray(shown(expected)).resize((28 * scale, 28 * scale))
    found = centre_digit(image)
    assert np.corrcoef(found.ravel(), expected.ravel())[0, 1] > 0.99
    assert scale > 1 or np.array_equal(found, expected)
