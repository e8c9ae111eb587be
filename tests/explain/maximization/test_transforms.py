"""Movements, turns and scalings of images whose result is known."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from lamplighter.errors import ModelError
from lamplighter.explain.maximization.transforms import (
    Crop,
    Jitter,
    Rotate,
    Scale,
    cropped,
    default_transforms,
    moved,
    rotated,
    scaled,
)


def random_images(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(("down", "right"), [(0, 0), (2, 0), (-1, 3), (4, -2)])
def test_a_move_is_a_padding_and_a_cut(down: int, right: int) -> None:
    images = random_images(2, 3, 5, 7)
    padded = np.pad(images.numpy(), ((0, 0), (0, 0), (4, 4), (4, 4)), mode="edge")
    expected = padded[:, :, 4 - down : 9 - down, 4 - right : 11 - right]
    np.testing.assert_array_equal(moved(images, down, right).numpy(), expected)


def test_turns_by_right_angles_are_exact() -> None:
    images = random_images(2, 3, 6, 6)
    for quarter in range(4):
        expected = torch.rot90(images, quarter, (2, 3))
        torch.testing.assert_close(rotated(images, 90.0 * quarter), expected, atol=1e-5, rtol=0)
    oblong = random_images(1, 1, 5, 9)
    torch.testing.assert_close(rotated(oblong, 180.0), oblong.flip(2, 3), atol=1e-5, rtol=0)


def test_a_turn_keeps_shapes_in_oblong_images() -> None:
    """A point ten pixels right of the centre goes ten pixels up, not fewer."""
    image = torch.zeros(1, 1, 41, 81)
    image[0, 0, 20, 50] = 1
    turned = rotated(image, 90.0)
    assert divmod(int(turned.argmax()), 81) == (10, 40)


def test_a_scaling_about_the_centre() -> None:
    rows = torch.arange(9.0).reshape(1, 1, 9, 1).expand(1, 1, 9, 11)
    # Twice as large, a ramp rises half as fast; the centre stays.
    torch.testing.assert_close(scaled(rows, 2.0)[0, 0, :, 5], 4 + (torch.arange(9.0) - 4) / 2)
    small = scaled(rows, 0.5)[0, 0, :, 5]
    expected = (4 + 2 * (torch.arange(9.0) - 4)).clamp(0, 8)  # edges are repeated
    torch.testing.assert_close(small, expected)


def test_a_crop_is_a_window_enlarged() -> None:
    """Half of a ramp, at its lower right: rises half as fast and ends where the ramp does."""
    rows = torch.arange(8.0).reshape(1, 1, 8, 1).expand(1, 1, 8, 12)
    columns = torch.arange(12.0).reshape(1, 1, 1, 12).expand(1, 1, 8, 12)
    expected = (3.75 + torch.arange(8.0) / 2).clamp(max=7)
    torch.testing.assert_close(cropped(rows, 0.5, (0.5, 0.5))[0, 0, :, 4], expected)
    expected = (5.75 + torch.arange(12.0) / 2).clamp(max=11)
    torch.testing.assert_close(cropped(columns, 0.5, (0.5, 0.5))[0, 0, 3], expected)
    torch.testing.assert_close(cropped(rows, 1.0, (0.0, 0.0)), rows)


def test_crops_lie_everywhere_within_the_image() -> None:
    columns = torch.arange(40.0).reshape(1, 1, 1, 40).expand(1, 1, 30, 40)
    generator = torch.Generator().manual_seed(0)
    windows = [Crop(0.25, 0.5)(columns, generator)[0, 0, 0] for _ in range(300)]
    shares = [float(window[20] - window[19]) for window in windows]
    assert 0.25 <= min(shares) + 1e-5 < 0.26
    assert 0.49 < max(shares) <= 0.5 + 1e-5
    assert min(float(window[0]) for window in windows) == 0
    assert max(float(window[-1]) for window in windows) == 39
    # Never beyond an edge: where a window repeated it, more than one end would be the same.
    assert all(window[1] > window[0] or window[2] > window[1] for window in windows)


@pytest.mark.parametrize("transform", [Jitter(2), Scale(0.8, 1.2), Rotate(15.0), Crop(0.4, 1.0)])
@pytest.mark.parametrize("shape", [(2, 1, 28, 28), (1, 3, 9, 14), (1, 2, 1, 1)])
def test_random_ones_keep_the_shape_are_seeded_and_differentiable(transform, shape) -> None:
    images = random_images(*shape).requires_grad_()
    first = transform(images, torch.Generator().manual_seed(3))
    again = transform(images, torch.Generator().manual_seed(3))
    assert first.shape == images.shape
    assert torch.equal(first, again)
    (gradient,) = torch.autograd.grad(first.sum(), images)
    assert gradient.any()


def test_they_vary_within_their_range() -> None:
    generator = torch.Generator().manual_seed(0)
    image = torch.zeros(1, 1, 21, 21)
    image[0, 0, 10, 10] = 1
    places = {int(Jitter(1)(image, generator).argmax()) for _ in range(200)}
    assert places == {21 * row + column for row in (9, 10, 11) for column in (9, 10, 11)}
    assert torch.equal(Jitter(0)(image, generator), image)
    torch.testing.assert_close(Scale(1, 1)(image, generator), image)
    torch.testing.assert_close(Rotate(0)(image, generator), image)


def test_the_default_suits_tiny_images() -> None:
    for height, width in ((1, 1), (2, 9), (28, 28), (240, 800)):
        images = random_images(1, 1, height, width)
        for transform in default_transforms(height, width):
            images = transform(images, torch.Generator().manual_seed(0))
        assert images.shape == (1, 1, height, width)
        assert images.isfinite().all()


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: Jitter(-1),
        lambda: Jitter(1.5),  # type: ignore[arg-type]
        lambda: Scale(0, 1),
        lambda: Scale(1.2, 0.8),
        lambda: Scale(1, float("inf")),
        lambda: Crop(0, 1),
        lambda: Crop(0.9, 0.4),
        lambda: Crop(0.4, 1.1),
        lambda: Crop(float("nan"), 1),
        lambda: Rotate(-1),
        lambda: Rotate(float("nan")),
    ],
)
def test_ranges_that_are_none(wrong) -> None:
    with pytest.raises(ModelError, match="received"):
        wrong()
