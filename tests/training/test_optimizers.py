from __future__ import annotations

import copy
import io

import pytest
import torch
from torch import nn

from lamplighter.training.optimizers import adamw, muon

RATE, DECAY = 0.02, 0.05


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        *(nn.Conv2d(1, 6, 3, bias=False), nn.BatchNorm2d(6), nn.GELU()),
        *(nn.Conv2d(6, 8, 3), nn.Flatten(), nn.Linear(8 * 16, 3)),
    ).to(memory_format=torch.channels_last)


def give_gradients(of: nn.Module, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    for weight in of.parameters():
        weight.grad = torch.randn(weight.shape, generator=generator)


def test_a_step_of_muon_moves_all_directions_of_a_convolution_alike() -> None:
    trained = network()
    optimizer = muon(trained, RATE, DECAY)
    weight = trained[3].weight
    before = weight.detach().clone()
    give_gradients(trained, 1)
    optimizer.step()
    moved = (before * (1 - RATE * DECAY) - weight.detach()).flatten(1) / RATE
    assert weight.grad is not None
    left, sizes, right = torch.linalg.svd(weight.grad.flatten(1), full_matrices=False)
    along = left.T @ moved @ right.T
    # The iteration brings singular values near 1; the gradient's own are far apart.
    assert sizes[0] > 1.5 * sizes[-1]
    assert ((along.diagonal() > 0.6) & (along.diagonal() < 1.3)).all()
    assert (along - along.diagonal().diag()).abs().max() < 0.05
    torch.testing.assert_close(left @ along @ right, moved, rtol=0, atol=0.05)


def test_all_other_weights_move_as_adamw_moves_them() -> None:
    ours, theirs = network(), network()
    optimizers = (
        muon(ours, RATE, DECAY),
        torch.optim.AdamW(theirs.parameters(), lr=0.15 * RATE, weight_decay=4 * DECAY),
    )
    for seed in range(5):
        for trained, optimizer in zip((ours, theirs), optimizers, strict=True):
            give_gradients(trained, seed)
            optimizer.step()
    start = network()
    for name, weight in ours.named_parameters():
        same = torch.allclose(weight, theirs.get_parameter(name), rtol=1e-5, atol=1e-7)
        assert same is (name != "3.weight"), name
        assert not torch.equal(weight, start.get_parameter(name)), name


def test_muon_goes_on_from_a_saved_state() -> None:
    alone = network()
    optimizer = muon(alone, RATE, DECAY)
    give_gradients(alone, 1)
    optimizer.step()
    stream = io.BytesIO()
    torch.save(optimizer.state_dict(), stream)
    resumed = copy.deepcopy(alone)
    other = muon(resumed, RATE, DECAY)
    stream.seek(0)
    other.load_state_dict(torch.load(stream, weights_only=True))
    for seed in (2, 3):
        for trained, its in ((alone, optimizer), (resumed, other)):
            give_gradients(trained, seed)
            its.step()
    for name, weight in alone.named_parameters():
        assert torch.equal(weight, resumed.get_parameter(name)), name


@pytest.mark.parametrize("make", [adamw, muon])
def test_a_network_without_convolutions(make) -> None:
    trained = nn.Linear(3, 2)
    before = trained.weight.detach().clone()
    optimizer = make(trained, RATE, DECAY)
    give_gradients(trained, 1)
    optimizer.step()
    assert not torch.equal(trained.weight, before)
