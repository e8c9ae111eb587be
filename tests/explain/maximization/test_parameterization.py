"""Pixels and spectra: what images they stand for, by numpy and by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from lamplighter.errors import ModelError
from lamplighter.explain.maximization.parameterization import (
    Parameterisation,
    colour_axes,
    frequency_scale,
)


def spectrum_of(free: Parameterisation) -> np.ndarray:
    parts = free.parameters.detach().numpy()
    return parts[..., 0] + 1j * parts[..., 1]


@pytest.mark.parametrize(("height", "width"), [(8, 8), (7, 9), (5, 12), (1, 1)])
def test_the_spectrum_is_numpys(height: int, width: int) -> None:
    free = Parameterisation(2, (1, height, width), bounds="clamp", mean=[0.25], noise=1.0)
    scale = frequency_scale(height, width).numpy()
    expected = np.fft.irfft2(spectrum_of(free) * scale, s=(height, width), norm="ortho") + 0.25
    np.testing.assert_allclose(free.unbounded().detach().numpy(), expected, atol=1e-5)
    np.testing.assert_allclose(free.images().detach().numpy(), expected.clip(0, 1), atol=1e-5)


def test_colours_are_mixed_from_their_axes() -> None:
    free = Parameterisation(2, (3, 6, 7), bounds="clamp", mean=[0.1, 0.2, 0.3], noise=1.0)
    scale = frequency_scale(6, 7, lowest=3).numpy()  # flatter than for grey images
    plain = np.fft.irfft2(spectrum_of(free) * scale, s=(6, 7), norm="ortho")  # (N, 3, H, W)
    expected = np.zeros_like(plain)
    for axis, colour in enumerate(colour_axes().numpy()):
        for channel in range(3):
            expected[:, channel] += plain[:, axis] * colour[channel]
    expected += np.array([0.1, 0.2, 0.3]).reshape(3, 1, 1)
    np.testing.assert_allclose(free.unbounded().detach().numpy(), expected, atol=1e-5)


def test_frequencies_weigh_one_over_f() -> None:
    scale = frequency_scale(8, 8)
    assert float(scale[1, 0] / scale[2, 0]) == pytest.approx(2)
    assert float(scale[0, 0]) == float(scale[1, 0]) == float(scale[0, 1])
    assert float(scale[-1, 0]) == float(scale[1, 0])  # the negative frequency
    assert float(scale[3, 3] / scale[3, 0]) == pytest.approx(2**-0.5)
    assert float(scale.square().mean()) == pytest.approx(1)


def test_the_lowest_frequencies_may_weigh_alike() -> None:
    scale = frequency_scale(16, 16, lowest=3)
    assert scale[:3, 0].unique().numel() == scale[:4, 0].unique().numel() == 1
    assert float(scale[3, 0] / scale[6, 0]) == pytest.approx(2)
    assert float(scale.square().mean()) == pytest.approx(1)


def test_colour_axes_are_at_right_angles_and_brightness_leads() -> None:
    axes = colour_axes()
    products = axes @ axes.T
    torch.testing.assert_close(products, torch.diag(products.diagonal()), atol=1e-6, rtol=0)
    lengths = products.diagonal().sqrt()
    assert float(lengths[0]) == pytest.approx(1)
    assert lengths[0] > lengths[1] > lengths[2] > 0
    assert axes[0].unique().numel() == 1


@pytest.mark.parametrize("kind", ["pixel", "fourier"])
@pytest.mark.parametrize("bounds", ["sigmoid", "clamp"])
@pytest.mark.parametrize("channels", [1, 3])
def test_images_begin_at_the_mean_and_are_valid(kind, bounds, channels) -> None:
    mean = [0.2, 0.5, 0.7][:channels]
    shape = (channels, 6, 8)
    free = Parameterisation(3, shape, kind=kind, bounds=bounds, mean=mean, noise=0.0)
    expected = torch.tensor(mean).reshape(-1, 1, 1).expand(3, *shape)
    torch.testing.assert_close(free.images(), expected)
    wild = Parameterisation(3, shape, kind=kind, bounds=bounds, mean=mean, noise=30.0)
    images = wild.images()
    assert images.shape == (3, *shape)
    assert 0 <= float(images.detach().min()) < 0.01
    assert 0.99 < float(images.detach().max()) <= 1
    (gradient,) = torch.autograd.grad(free.images().square().sum(), free.parameters)
    assert gradient.any()


def test_noise_follows_the_generator() -> None:
    def start(seed: int) -> torch.Tensor:
        generator = torch.Generator().manual_seed(seed)
        return Parameterisation(2, (1, 4, 4), mean=[0.5], noise=1, generator=generator).images()

    assert torch.equal(start(1), start(1))
    assert not torch.equal(start(1), start(2))
    assert not torch.equal(start(1)[0], start(1)[1])


def test_pixels_at_an_edge_come_back_but_do_not_go_on() -> None:
    free = Parameterisation(1, (1, 2, 2), kind="pixel", bounds="clamp", mean=[0.0], noise=0.0)
    with torch.no_grad():
        free.parameters.copy_(torch.tensor([[[[-3.0, 0.4], [1.0, 9.0]]]]))
    free.project()
    torch.testing.assert_close(free.parameters.detach(), torch.tensor([[[[0.0, 0.4], [1.0, 1.0]]]]))
    (darker,) = torch.autograd.grad(free.images().sum(), free.parameters)
    (lighter,) = torch.autograd.grad(-free.images().sum(), free.parameters)
    assert darker.flatten().tolist() == [0, 1, 1, 1]
    assert lighter.flatten().tolist() == [-1, -1, 0, 0]


def test_a_mean_of_black_can_still_move() -> None:
    free = Parameterisation(1, (1, 4, 4), mean=[0.0], noise=0.0)
    (gradient,) = torch.autograd.grad(free.images().sum(), free.parameters)
    assert float(gradient.abs().max()) > 0.01


def test_some_rows_are_taken_and_the_rest_stays() -> None:
    free = Parameterisation(3, (1, 4, 4), mean=[0.5], noise=1.0)
    taken = free.taken([2, 0, 2], torch.device("cpu"))
    torch.testing.assert_close(taken.images(), free.images()[[2, 0, 2]])
    with torch.no_grad():
        taken.parameters.zero_()
    assert free.parameters.detach().any()


@pytest.mark.parametrize("wrong", [{"kind": "wavelet"}, {"bounds": "tanh"}])
def test_wrong_choices(wrong) -> None:
    with pytest.raises(ModelError, match="must be one of"):
        Parameterisation(1, (1, 4, 4), mean=[0.5], **wrong)
