from __future__ import annotations

import copy
import io

import pytest
import torch
from torch import nn

from lamplighter.training.muon import Muon, orthogonalised

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
    optimizer = Muon(trained, RATE, DECAY)
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
        Muon(ours, RATE, DECAY),
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
    optimizer = Muon(alone, RATE, DECAY)
    give_gradients(alone, 1)
    optimizer.step()
    stream = io.BytesIO()
    torch.save(optimizer.state_dict(), stream)
    resumed = copy.deepcopy(alone)
    other = Muon(resumed, RATE, DECAY)
    stream.seek(0)
    other.load_state_dict(torch.load(stream, weights_only=True))
    for seed in (2, 3):
        for trained, its in ((alone, optimizer), (resumed, other)):
            give_gradients(trained, seed)
            its.step()
    for name, weight in alone.named_parameters():
        assert torch.equal(weight, resumed.get_parameter(name)), name


def test_a_network_without_convolutions() -> None:
    trained = nn.Linear(3, 2)
    before = trained.weight.detach().clone()
    optimizer = Muon(trained, RATE, DECAY)
    give_gradients(trained, 1)
    optimizer.step()
    assert not torch.equal(trained.weight, before)


def test_weights_without_a_gradient_stay() -> None:
    trained = network()
    before = {name: weight.detach().clone() for name, weight in trained.named_parameters()}
    optimizer = Muon(trained, RATE, DECAY)
    give_gradients(trained, 1)
    trained[3].weight.grad = trained[5].weight.grad = None
    optimizer.step()
    still = {
        name for name, weight in trained.named_parameters() if torch.equal(weight, before[name])
    }
    assert still == {"3.weight", "5.weight"}


@pytest.mark.parametrize("shape", [(16, 45), (45, 16), (20, 20), (1, 7)])
@pytest.mark.parametrize("spread", [0, 3])
def test_the_matrix_is_that_of_timm(shape: tuple[int, int], spread: int) -> None:
    from timm.optim.muon import zeropower_via_newtonschulz

    generator = torch.Generator().manual_seed(3)
    matrix = torch.randn(shape, generator=generator) * torch.logspace(0, -spread, shape[1])
    theirs = zeropower_via_newtonschulz(
        matrix.double(), 5, [(3.4445, -4.7750, 2.0315)], dtype=torch.float64
    )
    torch.testing.assert_close(orthogonalised(matrix).double(), theirs, rtol=0, atol=5e-4)


def test_a_gradient_of_nothing_moves_nothing() -> None:
    assert not orthogonalised(torch.zeros(3, 5)).any()


def test_a_step_is_that_of_timm() -> None:
    from timm.optim.muon import Muon as TimmMuon

    ours, theirs = network(), network()
    weight, other = ours[3].weight, theirs[3].weight
    optimizers = (
        Muon(ours, RATE, DECAY),
        TimmMuon(
            [other],
            lr=RATE,
            weight_decay=DECAY,
            nesterov=True,
            ns_coefficients="original",
            adjust_lr_fn="original",
        ),
    )
    for seed in range(5):
        for trained, optimizer in zip((ours, theirs), optimizers, strict=True):
            give_gradients(trained, seed)
            optimizer.step()
    # Theirs has bfloat16's eight bits; five steps move each weight by up to 0.1.
    torch.testing.assert_close(weight, other, rtol=0, atol=5 * RATE * 0.01)
    assert (weight - network()[3].weight).abs().max() > 0.02


def test_a_closure_is_called_once_and_its_loss_returned() -> None:
    trained = network()
    optimizer = Muon(trained, RATE, DECAY)
    images = torch.ones(2, 1, 8, 8)
    losses = []

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        losses.append(trained(images).square().mean())
        losses[-1].backward()
        return losses[-1]

    assert optimizer.step(closure) is losses[0]
    assert len(losses) == 1
