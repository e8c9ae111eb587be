from __future__ import annotations

import numpy as np
import pytest
import torch

from lamplighter.datasets.augmentation import RandomFlip, photo_augmentation
from lamplighter.datasets.image_data import ImageData, Split
from lamplighter.errors import DatasetError, UnknownSplitError
from lamplighter.evaluation.augmentation_sheet import augmentation_sheet
from lamplighter.images.preprocessing import Preprocessing

SIDE = 112  # a size that the sheet shows as it is


@pytest.fixture(scope="module")
def data() -> ImageData:
    """Forty images of class a, one of b: left half grey as its number, right half white."""
    images = np.full((41, 3, SIDE, SIDE), 255, dtype=np.uint8)
    images[..., : SIDE // 2] = np.arange(41, dtype=np.uint8).reshape(-1, 1, 1, 1)
    labels = np.zeros(41, dtype=np.int64)
    labels[17] = 1
    preprocessing = Preprocessing(height=SIDE, width=SIDE)
    return ImageData({"train": Split(images, labels)}, ("a", "b"), preprocessing=preprocessing)


def cells(sheet, rows: int, columns: int) -> np.ndarray:
    """The middle row of pixels of each image on the sheet, (rows, columns, SIDE)."""
    grey = np.asarray(sheet.convert("L"))
    height, width = grey.shape
    step_x, step_y = (width - 14) // columns, (height - 14) // rows
    return np.array(
        [
            [
                grey[14 + row * step_y + SIDE // 2, 14 + column * step_x :][:SIDE]
                for column in range(columns)
            ]
            for row in range(rows)
        ]
    )


def test_each_row_is_an_image_and_what_becomes_of_it(data: ImageData) -> None:
    found = cells(augmentation_sheet(data, RandomFlip(1), count=3, draws=2), 3, 3)
    numbers = found[:, 0, 5]
    assert len(set(numbers.tolist())) == 3
    assert 17 in numbers[:2]  # of each class one, before a second one of a class
    assert (found[:, 0, -5] == 255).all()
    for draw in (1, 2):
        np.testing.assert_array_equal(found[:, draw], found[:, 0, ::-1])
    still = cells(augmentation_sheet(data, None, count=2, draws=1), 2, 2)
    np.testing.assert_array_equal(still[:, 0], still[:, 1])


def test_the_same_seed_draws_the_same_sheet_and_leaves_the_generator(data: ImageData) -> None:
    state = torch.get_rng_state()
    first, again, other = (
        augmentation_sheet(data, photo_augmentation(), seed=seed).tobytes() for seed in (1, 1, 2)
    )
    assert first == again != other
    assert torch.equal(torch.get_rng_state(), state)


def test_what_cannot_be_shown(data: ImageData) -> None:
    with pytest.raises(UnknownSplitError):
        augmentation_sheet(data, None, split="test")
    for numbers in ({"count": 0}, {"draws": 0}):
        with pytest.raises(DatasetError, match="one image and one draw or more"):
            augmentation_sheet(data, None, **numbers)
