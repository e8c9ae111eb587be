import numpy as np
import pytest
import torch
from PIL import Image

from lamplighter.errors import DataError, ImageError, ShapeError
from lamplighter.explain.images import pixels_of, prepare, shown, to_rgb, zero_image
from lamplighter.images.decoding import open_image


@pytest.fixture
def wide(tmp_path):
    """A photo of 800 x 240, black to the left and white to the right."""
    path = tmp_path / "wide.png"
    picture = np.zeros((240, 800, 3), dtype=np.uint8)
    picture[:, 400:] = 255
    Image.fromarray(picture).save(path)
    return path


def test_a_path_an_image_and_its_pixels_are_the_same(photo_classifier, photo):
    image = open_image(photo)
    expected = photo_classifier.preprocessing(image)  # (C, H, W)
    for given in (photo, str(photo), image, np.asarray(image), torch.tensor(np.asarray(image))):
        prepared = prepare(photo_classifier, given)
        assert prepared.shape == (1, 3, 96, 96)
        assert np.array_equal(prepared[0].numpy(), expected)


def test_several_kinds_at_once(photo_classifier, photo, wide):
    prepared = prepare(photo_classifier, [photo, open_image(wide)])
    assert prepared.shape == (2, 3, 96, 96)
    assert torch.equal(prepared[:1], prepare(photo_classifier, photo))


def test_digits_of_the_networks_own_size_are_taken_as_they_are(digit_classifier, digit_data):
    pixels = digit_data["test"].images[:3]
    expected = digit_data.preprocessing.normalise(pixels)
    assert np.array_equal(prepare(digit_classifier, pixels).numpy(), expected)
    assert np.array_equal(prepare(digit_classifier, pixels[1]).numpy(), expected[1:2])
    assert np.array_equal(prepare(digit_classifier, list(pixels)).numpy(), expected)


def test_what_is_prepared_already_stays_and_is_not_shared(digit_classifier):
    given = torch.rand(2, 1, 28, 28, dtype=torch.float64)
    prepared = prepare(digit_classifier, given)
    assert torch.equal(prepared, given.float())
    assert torch.equal(prepare(digit_classifier, given[0]), prepared[:1])
    again = prepare(digit_classifier, prepared)
    again.zero_()
    assert prepared.abs().sum() > 0


@pytest.mark.parametrize(
    ("given", "kind", "message"),
    [
        (np.zeros((28, 28)), ImageError, r"uint8, 0 to 255, received float64 of shape \(28, 28\)"),
        (np.zeros((3, 40, 50), np.uint8), ShapeError, r"\(1, 28, 28\) or .* \(3, 40, 50\)"),
        (np.zeros((2, 3, 40, 50), np.uint8), ShapeError, r"received \(2, 3, 40, 50\)"),
        (np.zeros(7, np.uint8), ShapeError, r"received \(7\)"),
        (torch.zeros(1, 3, 28, 28), ShapeError, r"\(N, 1, 28, 28\), received \(1, 3, 28, 28\)"),
        (torch.full((1, 28, 28), float("nan")), ImageError, "must be finite"),
        (7, ImageError, "a path, a PIL image, an array of uint8 or a tensor, received int"),
        ([None], ImageError, "received NoneType"),
        ([], DataError, "one image or more, received none"),
        (np.zeros((0, 1, 28, 28), np.uint8), DataError, "received none"),
        ("absent.png", ImageError, "there is no file absent.png"),
        (Image.new("RGB", (0, 4)), ImageError, "at least 1 x 1 pixels"),
    ],
)
def test_what_is_no_image_is_one_clear_error(digit_classifier, given, kind, message):
    with pytest.raises(kind, match=message) as error:
        prepare(digit_classifier, given)
    assert "\n" not in str(error.value)


def test_an_image_without_a_digit_is_named(digit_classifier, tmp_path):
    Image.new("L", (60, 60), 255).save(tmp_path / "blank.png")
    if not digit_classifier.preprocessing.find_digit:
        pytest.fail("the digits are to be found")
    with pytest.raises(ImageError, match=r"blank\.png cannot be used"):
        prepare(digit_classifier, tmp_path / "blank.png")


def test_pixels_come_back(photo_classifier, digit_classifier, digit_data, photo):
    pixels = digit_data["test"].images[:4]
    assert np.array_equal(pixels_of(prepare(digit_classifier, pixels), digit_classifier), pixels)
    seen = np.asarray(photo_classifier.preprocessing.seen(open_image(photo)))  # (H, W, 3)
    pictures = shown(prepare(photo_classifier, photo), photo_classifier)
    assert np.array_equal(pictures, seen[np.newaxis])


def test_what_is_beyond_white_is_white(photo_classifier):
    assert (shown(torch.full((1, 3, 96, 96), 9.0), photo_classifier) == 255).all()
    assert (shown(torch.full((1, 3, 96, 96), -9.0), photo_classifier) == 0).all()


def test_grey_becomes_rgb(digit_data):
    pixels = digit_data["test"].images[:2]
    pictures = to_rgb(pixels)
    assert pictures.shape == (2, 28, 28, 3)
    assert all(np.array_equal(pictures[..., channel], pixels[:, 0]) for channel in range(3))


def test_an_image_of_zeros(photo_classifier):
    assert torch.equal(zero_image(photo_classifier), torch.zeros(1, 3, 96, 96))
