"""The priors, the step along the gradient, and what an ascent refuses."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from lamplighter.errors import ModelError
from lamplighter.explain.maximization.optimizer import (
    Settings,
    prior_gradient,
    total_variation,
    unit,
)

GOOD = {
    "steps": 4,
    "learning_rate": 0.1,
    "optimiser": "adam",
    "transforms": (),
    "total_variation": 0.0,
    "l2": 0.0,
    "views": 1,
}


def test_total_variation_by_brute_force() -> None:
    images = torch.randn(3, 2, 4, 5, generator=torch.Generator().manual_seed(0))
    for number, image in enumerate(images.numpy()):
        expected = 0.0
        for plane in image:
            for row in range(4):
                for column in range(5):
                    if row + 1 < 4:
                        expected += abs(float(plane[row + 1, column] - plane[row, column]))
                    if column + 1 < 5:
                        expected += abs(float(plane[row, column + 1] - plane[row, column]))
        assert float(total_variation(images)[number]) == pytest.approx(expected, rel=1e-5)
    assert not total_variation(torch.ones(2, 3, 1, 1)).any()


def test_the_gradient_of_the_priors_by_finite_differences() -> None:
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(2, 1, 4, 4, generator=generator, dtype=torch.float64).requires_grad_()
    mean = torch.tensor([[[0.3]]], dtype=torch.float64)
    settings = Settings(**GOOD | {"total_variation": 0.7, "l2": 0.2})
    gradient = prior_gradient(images, mean, settings)

    def held(pixels: np.ndarray) -> float:
        down, right = np.diff(pixels, axis=2), np.diff(pixels, axis=3)
        return 0.7 * (abs(down).sum() + abs(right).sum()) + 0.2 * ((pixels - 0.3) ** 2).sum()

    pixels = images.detach().numpy()
    for place in ((0, 0, 0, 0), (0, 0, 2, 3), (1, 0, 3, 1)):
        step = np.zeros_like(pixels)
        step[place] = 1e-6
        slope = (held(pixels + step) - held(pixels - step)) / 2e-6
        assert float(gradient[place]) == pytest.approx(slope, rel=1e-4)
    assert not prior_gradient(images, mean, Settings(**GOOD)).any()


def test_gradients_are_made_one_long_for_each_image() -> None:
    gradient = torch.tensor([1.0, 100.0, 0.0]).reshape(3, 1, 1, 1) * torch.randn(3, 2, 5, 5)
    sizes = unit(gradient).abs().mean((1, 2, 3))
    torch.testing.assert_close(sizes, torch.tensor([1.0, 1.0, 0.0]))


@pytest.mark.parametrize(
    "wrong",
    [
        {"steps": 0},
        {"steps": 2.5},
        {"views": 0},
        {"learning_rate": 0},
        {"learning_rate": float("nan")},
        {"learning_rate": -1},
        {"total_variation": -0.1},
        {"l2": float("inf")},
        {"l2": "much"},
        {"optimiser": "newton"},
    ],
)
def test_settings_out_of_range(wrong) -> None:
    with pytest.raises(ModelError, match=f"{next(iter(wrong))} must be .*received"):
        Settings(**GOOD | wrong)
