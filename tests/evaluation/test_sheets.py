import numpy as np
import pytest
from PIL import Image

from lamplighter.errors import ArgumentError, DatasetError
from lamplighter.evaluation.report import evaluate
from lamplighter.evaluation.sheets import contact_sheet, mistakes_sheet

IMAGES = np.random.default_rng(0).integers(0, 120, (5, 1, 28, 28), dtype=np.uint8)


def array(picture: Image.Image) -> np.ndarray:
    return np.asarray(picture.convert("RGB")).astype(int)


def gaps(pixels: np.ndarray) -> np.ndarray:
    """Columns of pixels that are white from top to bottom."""
    return np.flatnonzero((pixels == 255).all(axis=(0, 2)))


def test_small_images_are_enlarged_pixel_by_pixel():
    pixels = array(contact_sheet(IMAGES, list("abcde"), columns=3))
    enlarged = IMAGES[4, 0].repeat(4, axis=0).repeat(4, axis=1)
    rows, columns = np.lib.stride_tricks.sliding_window_view(pixels[..., 0], (112, 112)).shape[:2]
    found = [
        (row, column)
        for row in range(rows)
        for column in range(columns)
        if pixels[row, column, 0] == enlarged[0, 0]
        and np.array_equal(pixels[row : row + 112, column : column + 112, 0], enlarged)
    ]
    assert len(found) == 1
    assert found[0][0] > 112  # the second of two rows
    assert 112 < found[0][1] < 224  # the second of three columns


def test_captions_stay_under_their_images():
    bare = array(contact_sheet(IMAGES, [""] * 5, columns=5))
    full = array(contact_sheet(IMAGES, ["a very long caption " * 9] * 5, columns=5))
    assert bare.shape == full.shape
    np.testing.assert_array_equal(gaps(full), gaps(bare))
    assert (full != bare).any()


def test_several_lines_make_room():
    one = contact_sheet(IMAGES, ["one"] * 5)
    two = contact_sheet(IMAGES, ["one\ntwo"] * 5)
    assert two.height > one.height
    assert two.width == one.width


@pytest.mark.parametrize("letters", ["été", "Привет", "Ωmega"])
def test_letters_beyond_ascii_are_drawn_not_boxed(letters):
    def drawn(text: str) -> bytes:
        return contact_sheet(IMAGES[:1], [text]).tobytes()

    # A font without a letter draws the same box for each of them.
    assert drawn(letters[0]) != drawn("\ue000")


def test_large_images_are_reduced_and_narrow_ones_get_room():
    photos = np.zeros((2, 3, 300, 600), dtype=np.uint8)
    assert contact_sheet(photos, ["a", "b"], columns=1).width < 300
    strip = contact_sheet(np.zeros((1, 1, 400, 2), np.uint8), ["narrow"])
    assert strip.width > 112


def test_the_wrong_label_has_a_colour_of_its_own(reader, written):
    data = written("abc", [0, 1, 1], [0, 0, 2])
    report = evaluate(reader("abc"), data)
    colours = {colour for _, colour in mistakes_sheet(report, data).getcolors(100_000)}
    assert {(0, 90, 140), (184, 67, 0)} <= colours


def test_count_and_columns_shape_the_sheet(reader, written):
    data = written("abc", [0] * 9, [1] * 9)
    report = evaluate(reader("abc"), data)
    row = mistakes_sheet(report, data, 3, columns=3)
    column = mistakes_sheet(report, data, 3, columns=1)
    assert row.width > 2 * column.width
    assert column.height > 2 * row.height


def test_no_mistakes_are_a_picture_too(reader, written):
    data = written("abc", [0, 1], [0, 1])
    picture = mistakes_sheet(evaluate(reader("abc"), data), data)
    assert (array(picture) < 100).any()


@pytest.mark.parametrize(
    ("count", "captions", "columns", "error", "message"),
    [
        (0, 0, None, DatasetError, "received 0 images"),
        (5, 4, None, DatasetError, "received 5 images and 4"),
        (5, 5, 0, ArgumentError, "received 0"),
    ],
)
def test_sheets_that_cannot_be_made(count, captions, columns, error, message):
    with pytest.raises(error, match=message):
        contact_sheet(IMAGES[:count], ["a"] * captions, columns=columns)
