from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np
import pytest
import torch
from scipy import ndimage
from torch import Tensor
from torchvision.transforms.v2 import functional as tv

from lamplighter.datasets.augmentation import (
    Compose,
    RandomColour,
    RandomFlip,
    RandomShift,
    RandomThickness,
    RandomWarp,
    photo_augmentation,
)

STILL = {"degrees": 0.0, "scale": 0.0, "shear": 0.0, "translate": 0.0}


def blob(height: int, width: int, y: float, x: float) -> Tensor:
    """One image with a spot around the pixel (y, x), shape (1, 1, height, width)."""
    down, right = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    return torch.exp(-((down - y) ** 2 + (right - x) ** 2) / 6.0).view(1, 1, height, width)


def centre(image: Tensor) -> tuple[float, float]:
    """The centre of mass of an image (H, W), as (y, x)."""
    mass = image.double().numpy()
    down, right = np.indices(mass.shape)
    return float((mass * down).sum() / mass.sum()), float((mass * right).sum() / mass.sum())


def test_a_shift_moves_all_images_alike_and_fills_with_black() -> None:
    images = torch.rand(3, 2, 5, 7) + 1.0
    before = images.clone()
    seen = set()
    for seed in range(60):
        torch.manual_seed(seed)
        moved = RandomShift(1)(images)
        places = [
            (down, right)
            for down in (-1, 0, 1)
            for right in (-1, 0, 1)
            if torch.equal(moved, _moved(before, down, right))
        ]
        assert len(places) == 1
        seen.update(places)
    assert len(seen) == 9
    assert torch.equal(images, before)


def _moved(images: Tensor, down: int, right: int) -> Tensor:
    result = torch.zeros_like(images)
    height, width = images.shape[-2:]
    for y in range(height):
        for x in range(width):
            if 0 <= y - down < height and 0 <= x - right < width:
                result[..., y, x] = images[..., y - down, x - right]
    return result


def test_no_shift() -> None:
    images = torch.rand(2, 1, 4, 4)
    moved = RandomShift(0)(images)
    assert torch.equal(moved, images)
    moved.zero_()  # the batch is normalised in place
    assert images.any()


def test_nothing_drawn_leaves_the_images() -> None:
    images = torch.rand(4, 3, 11, 16)
    torch.testing.assert_close(RandomWarp(**STILL)(images), images, atol=1e-5, rtol=0)


def test_each_image_is_warped_in_its_own_way_and_repeatably() -> None:
    images = blob(28, 28, 10, 12).repeat(8, 1, 1, 1)
    torch.manual_seed(0)
    first = RandomWarp()(images)
    torch.manual_seed(0)
    assert torch.equal(first, RandomWarp()(images))
    assert first.shape == images.shape
    assert len({image.numpy().tobytes() for image in first}) == 8


def test_strokes_are_thickened_as_far_as_dilation_and_thinned_as_far_as_erosion() -> None:
    torch.manual_seed(0)
    images = torch.rand(60, 2, 7, 9)
    changed = RandomThickness(1.0)(images)
    lightest = _filtered(ndimage.grey_dilation, images)
    darkest = _filtered(ndimage.grey_erosion, images)
    thicker = _parts(changed - images, lightest - images)
    thinner = _parts(changed - images, darkest - images)
    # Each image went one way, the same part of it everywhere.
    assert torch.equal(torch.isfinite(thicker), ~torch.isfinite(thinner))
    for parts in (thicker[torch.isfinite(thicker)], thinner[torch.isfinite(thinner)]):
        assert 20 <= len(parts) <= 40
        assert 0 <= parts.min() < 0.2
        assert 0.8 < parts.max() <= 1


def _filtered(by: Any, images: Tensor) -> Tensor:
    """`images` as SciPy changes them, with the values at the edge repeated outside."""
    return torch.from_numpy(by(images.numpy(), size=(1, 1, 3, 3), mode="nearest"))


def _parts(moved: Tensor, whole: Tensor) -> Tensor:
    """What part of the way each image was moved, shape (B,); NaN if not the same everywhere."""
    ways, wholes = moved.flatten(1), whole.flatten(1)
    parts = (ways * wholes).sum(1) / (wholes**2).sum(1)
    same = torch.isclose(ways, parts[:, None] * wholes, atol=1e-5).all(1)
    return torch.where(same, parts, torch.nan)


def test_a_smaller_amount_thickens_less_and_none_at_all_leaves_the_images() -> None:
    images = blob(28, 28, 10, 12).repeat(30, 1, 1, 1)
    kept = images.clone()

    def furthest(amount: float) -> float:
        torch.manual_seed(0)
        return float((RandomThickness(amount)(images) - images).abs().max())

    assert furthest(0.25) == pytest.approx(furthest(1.0) / 4, rel=1e-4)
    assert furthest(0.0) == 0.0
    assert torch.equal(images, kept)


@pytest.mark.parametrize(("height", "width"), [(40, 40), (40, 80)])
def test_a_rotation_turns_about_the_centre(height: int, width: int) -> None:
    y, x = (height - 1) / 2, (width - 1) / 2
    images = blob(height, width, y, x + 12).repeat(200, 1, 1, 1)
    torch.manual_seed(0)
    turned = RandomWarp(**STILL | {"degrees": 50.0})(images)
    angles = []
    for image in turned[:, 0]:
        down, right = centre(image)
        assert math.hypot(down - y, right - x) == pytest.approx(12, abs=0.15)  # a true circle
        angles.append(math.degrees(math.atan2(down - y, right - x)))
    assert -50.5 < min(angles) < -40
    assert 40 < max(angles) < 50.5
    assert abs(np.mean(angles)) < 8


def test_a_move_is_in_pixels() -> None:
    images = blob(40, 60, 20, 30).repeat(300, 1, 1, 1)
    torch.manual_seed(0)
    moved = RandomWarp(**STILL | {"translate": 5.0})(images)
    places = np.array([centre(image) for image in moved[:, 0]]) - (20, 30)
    assert (np.abs(places) < 5.05).all()
    assert (places.max(axis=0) > 4.5).all()
    assert (places.min(axis=0) < -4.5).all()


def test_scales_of_height_and_width_are_apart() -> None:
    images = blob(40, 40, 25.5, 27.5).repeat(300, 1, 1, 1)
    torch.manual_seed(0)
    scaled = RandomWarp(**STILL | {"scale": 0.2})(images)
    factors = (np.array([centre(image) for image in scaled[:, 0]]) - 19.5) / (6, 8)
    assert (factors > 1 / 1.2 - 0.02).all()
    assert (factors < 1 / 0.8 + 0.02).all()
    assert (factors.max(axis=0) > 1.2).all()
    assert (factors.min(axis=0) < 0.85).all()
    assert abs(np.corrcoef(factors.T)[0, 1]) < 0.2


def test_a_shear_slants_the_rows() -> None:
    images = blob(40, 40, 27.5, 19.5).repeat(300, 1, 1, 1)
    torch.manual_seed(0)
    slanted = RandomWarp(**STILL | {"shear": 0.3})(images)
    places = np.array([centre(image) for image in slanted[:, 0]])
    np.testing.assert_allclose(places[:, 0], 27.5, atol=0.1)  # rows stay
    tangents = (places[:, 1] - 19.5) / 8
    assert np.abs(tangents).max() == pytest.approx(0.3, abs=0.02)


def test_bending_moves_parts_apart_by_so_many_pixels() -> None:
    whole = blob(40, 40, 10, 10) + blob(40, 40, 29, 29)
    torch.manual_seed(0)
    bent = RandomWarp(**STILL, elastic=1.0)(whole.repeat(400, 1, 1, 1))[:, 0]
    corners = bent[:, :20, :20], bent[:, 20:, 20:]
    moves = [
        np.array([centre(image) for image in part]) - place
        for part, place in zip(corners, (10, 9), strict=True)
    ]
    for move in moves:
        assert (np.abs(move.mean(axis=0)) < 0.15).all()
        # Between knots the displacement is a weighted mean of several: less than at a knot.
        assert ((move.std(axis=0) > 0.3) & (move.std(axis=0) < 1.1)).all()
    assert abs(np.corrcoef(moves[0][:, 0], moves[1][:, 0])[0, 1]) < 0.3


def test_cubics_keep_strokes_sharper_and_stay_on_the_scale() -> None:
    slope = torch.linspace(0.2, 0.8, 40).expand(20, 1, 40, 40)
    stroke = torch.zeros(20, 1, 40, 40)
    stroke[..., 19:21] = 1

    def warped(images: torch.Tensor, interpolation: Literal["bilinear", "bicubic"]) -> torch.Tensor:
        torch.manual_seed(0)
        return RandomWarp(degrees=20, interpolation=interpolation)(images)[..., 12:28, 12:28]

    # Both give a slope as it is, nearly; a thin line keeps more of its contrast between cubics.
    torch.testing.assert_close(
        warped(slope, "bicubic"), warped(slope, "bilinear"), rtol=0, atol=2e-3
    )
    faint = stroke / 2
    assert warped(faint, "bicubic").var() > 1.05 * warped(faint, "bilinear").var()
    assert warped(stroke, "bicubic").aminmax() == (0, 1)


def test_recipes_can_be_written_down() -> None:
    assert repr(RandomShift(2)) == "RandomShift(pixels=2)"
    assert eval(repr(RandomWarp(degrees=3.0))) == RandomWarp(degrees=3.0)
    kind = photo_augmentation()
    assert eval(repr(kind)) == kind


def test_a_shift_in_shares_of_the_side() -> None:
    images = blob(40, 80, 20, 40).repeat(300, 1, 1, 1)
    torch.manual_seed(0)
    moved = RandomWarp(**STILL, shift=0.1)(images)
    places = np.array([centre(image) for image in moved[:, 0]]) - (20, 40)
    assert (np.abs(places) < (4.05, 8.05)).all()
    assert (np.abs(places).max(axis=0) > (3.6, 7.2)).all()


def test_edges_can_be_repeated() -> None:
    images = torch.full((50, 1, 12, 12), 0.5)
    torch.manual_seed(0)
    assert RandomWarp(edges="repeat")(images).amin() == pytest.approx(0.5)
    assert RandomWarp()(images).amin() == 0


def test_some_images_are_mirrored() -> None:
    images = torch.rand(400, 3, 4, 6)
    torch.manual_seed(0)
    made = RandomFlip(0.25)(images)
    as_they_are = [torch.equal(new, old) for new, old in zip(made, images, strict=True)]
    mirrored = [torch.equal(new, tv.hflip(old)) for new, old in zip(made, images, strict=True)]
    assert all(a != b for a, b in zip(as_they_are, mirrored, strict=True))
    assert 70 < sum(mirrored) < 130
    assert torch.equal(RandomFlip(1)(images), images.flip(-1))
    assert torch.equal(RandomFlip(0)(images), images)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    ("kind", "oracle"),
    [
        ("brightness", tv.adjust_brightness),
        ("contrast", tv.adjust_contrast),
        ("saturation", tv.adjust_saturation),
    ],
)
def test_colours_change_as_in_torchvision(kind: str, oracle, channels: int) -> None:
    images = torch.rand(64, channels, 5, 7)
    torch.manual_seed(3)
    made = RandomColour(**{"brightness": 0.0, "contrast": 0.0, "saturation": 0.0, kind: 0.6})(
        images
    )
    torch.manual_seed(3)
    amounts = {
        name: 1 + 0.6 * (torch.rand(64, 1, 1, 1) * 2 - 1)
        for name in ("brightness", "contrast", "saturation")
    }[kind].flatten()
    assert amounts.min() < 0.6
    assert amounts.max() > 1.4
    expected = torch.stack(
        [
            # torchvision knows no saturation of grey images, which have none to change
            image if (kind, channels) == ("saturation", 1) else oracle(image, float(amount))
            for image, amount in zip(images, amounts, strict=True)
        ]
    )
    torch.testing.assert_close(made, expected, atol=1e-5, rtol=0)


def test_changes_are_made_one_after_the_other() -> None:
    images = torch.rand(2, 3, 4, 4)
    both = Compose((RandomFlip(1), lambda images: images + 1))
    assert torch.equal(both(images), images.flip(-1) + 1)
    assert torch.equal(Compose(())(images), images)
