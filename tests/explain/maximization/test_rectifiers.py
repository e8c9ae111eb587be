"""Rectifiers that let a gradient through only where there would be none."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from lamplighter.explain.hooks import untouched
from lamplighter.explain.maximization.optimizer import redirected
from tests.explain.conftest import hooks_on


def gradient(module: nn.Module, inputs: torch.Tensor, upward: torch.Tensor) -> torch.Tensor:
    leaf = inputs.clone().requires_grad_()
    with untouched(module), redirected(module):
        outputs = module(leaf)
        assert torch.equal(outputs, module(inputs))
        (found,) = torch.autograd.grad(outputs, leaf, upward)
    return found


def test_what_has_a_gradient_keeps_it() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(6, 8), nn.ReLU(inplace=True), nn.Linear(8, 3), nn.ReLU6())
    inputs = torch.randn(5, 6)
    upward = torch.ones(5, 3)
    leaf = inputs.clone().requires_grad_()
    (plain,) = torch.autograd.grad(network(leaf), leaf, upward)
    alive = plain.any(1)
    assert alive.any()
    torch.testing.assert_close(gradient(network, inputs, upward)[alive], plain[alive])


def test_units_that_are_off_are_pushed_up_alone() -> None:
    inputs = torch.tensor([[-1.0, -2.0, -3.0], [-1.0, 2.0, -3.0]])
    upward = torch.tensor([[1.0, -1.0, 0.5], [1.0, 0.25, 0.5]])
    # The first image is dead: what would push a unit further down does not pass. The second is not.
    expected = torch.tensor([[1.0, 0.0, 0.5], [0.0, 0.25, 0.0]])
    assert torch.equal(gradient(nn.ReLU(), inputs, upward), expected)


def test_full_units_are_pushed_down_alone() -> None:
    inputs = torch.tensor([[7.0, 9.0, -1.0]])
    upward = torch.tensor([[1.0, -1.0, 2.0]])
    assert torch.equal(gradient(nn.ReLU6(), inputs, upward), torch.tensor([[0.0, -1.0, 2.0]]))


def test_hooks_go_also_after_an_error() -> None:
    network = nn.Sequential(nn.ReLU(), nn.ReLU6())
    before = hooks_on(network)

    def spoil() -> None:
        with redirected(network):
            assert hooks_on(network) > before
            raise RuntimeError("spoilt")

    with pytest.raises(RuntimeError, match="spoilt"):
        spoil()
    assert hooks_on(network) == before
