from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from lamplighter.errors import DataError
from lamplighter.evaluation.preprocessing_preview import fits_sheet
from lamplighter.images.preprocessing import Preprocessing


def two_halves() -> Image.Image:
    """Red on the left, blue on the right."""
    image = Image.new("RGB", (400, 100), "red")
    image.paste("blue", (200, 0, 400, 100))
    return image


def holds(sheet: Image.Image, picture: np.ndarray) -> bool:
    """Return whether `picture` (H, W, 3) lies somewhere on the sheet, pixel for pixel."""
    windows = np.lib.stride_tricks.sliding_window_view(np.asarray(sheet), picture.shape[:2], (0, 1))
    corners = (windows[..., 0, 0] == picture[0, 0]).all(axis=2)
    return any((windows[y, x].transpose(1, 2, 0) == picture).all() for y, x in np.argwhere(corners))


@pytest.mark.parametrize("fit", ["squash", "crop", "letterbox"])
def test_the_sheet_shows_what_the_network_sees(fit: str) -> None:
    sheet = fits_sheet(two_halves(), 224, crop_pct=0.875)
    seen = Preprocessing(height=224, width=224, fit=fit, crop_pct=0.875).seen(two_halves())
    assert holds(sheet, np.asarray(seen))
    assert sheet.mode == "RGB"


def test_small_inputs_are_drawn_as_squares() -> None:
    sheet = fits_sheet(two_halves(), (14, 56), channels=1)
    half = (0.5,)
    grey = Preprocessing(height=14, width=56, channels=1, mean=half, std=half)
    seen = np.asarray(grey.seen(two_halves()).convert("RGB"))
    assert holds(sheet, seen.repeat(4, axis=0).repeat(4, axis=1))


def test_large_inputs_are_reduced() -> None:
    assert fits_sheet(two_halves(), 900).width < 1000
    assert fits_sheet(Image.new("RGBA", (3, 900)), (5, 900)).height < 300


def test_a_size_out_of_range_is_refused() -> None:
    with pytest.raises(DataError, match="height and width"):
        fits_sheet(two_halves(), 0)


def test_a_title_stands_above_the_pictures() -> None:
    plain, titled = fits_sheet(two_halves(), 224), fits_sheet(two_halves(), 224, title="a/b.png")
    above = titled.height - plain.height
    assert above > 0
    assert titled.crop((0, above + 14, *titled.size)) == plain.crop((0, 14, *plain.size))
