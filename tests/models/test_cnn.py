"""The small networks, layer for layer: counted by hand and computed by function."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as f

from lamplighter.errors import ShapeError
from lamplighter.models.cnn import BetterCNN, BranchCNN, ChampionCNN, QuickCNN, SimpleCNN


def count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def test_parameters_counted_by_hand() -> None:
    # A convolution has (channels * kernel^2 + 1) * maps, a dense layer (inputs + 1) * units.
    simple = (25 + 1) * 32 + (12 * 12 * 32 + 1) * 128 + (128 + 1) * 10
    better = (25 + 1) * 30 + (30 * 9 + 1) * 15 + (5 * 5 * 15 + 1) * 128 + 129 * 50 + 51 * 10
    branch = (1 + 1) * 16 + (25 + 1) * 16 + (14 * 14 * 16 + 1) * 128 + 129 * 10
    assert count(SimpleCNN()) == simple == 592_074
    assert count(BetterCNN()) == better == 59_933
    assert count(BranchCNN()) == branch == 403_274
    # Convolutions before a batch normalisation have no bias; it has two numbers for each map.
    quick = 25 * 16 + 32 + 16 * 16 * 32 + 64 + 9 * 32 * 64 + 128 + (3 * 3 * 64 + 1) * 10
    assert count(QuickCNN()) == quick


def test_parameters_for_other_sizes_channels_and_classes() -> None:
    better = (3 * 25 + 1) * 30 + (30 * 9 + 1) * 15 + (14 * 10 * 15 + 1) * 128 + 129 * 50 + 51 * 4
    assert count(BetterCNN(4, 3, (64, 48))) == better  # 64 -> 30 -> 14 and 48 -> 22 -> 10
    assert count(SimpleCNN(2, 3, (7, 8))) == 76 * 32 + (1 * 2 * 32 + 1) * 128 + 129 * 2


def simple(n: SimpleCNN, x: Tensor) -> Tensor:
    w = list(n.parameters())
    x = f.max_pool2d(f.relu(f.conv2d(x, w[0], w[1])), 2)
    return f.linear(f.relu(f.linear(x.flatten(1), w[2], w[3])), w[4], w[5])


def better(n: BetterCNN, x: Tensor) -> Tensor:
    w = list(n.parameters())
    x = f.max_pool2d(f.relu(f.conv2d(x, w[0], w[1])), 2)
    x = f.max_pool2d(f.relu(f.conv2d(x, w[2], w[3])), 2)
    x = f.relu(f.linear(x.flatten(1), w[4], w[5]))
    return f.linear(f.relu(f.linear(x, w[6], w[7])), w[8], w[9])


def branch(n: BranchCNN, x: Tensor) -> Tensor:
    w = list(n.parameters())
    x = f.relu(f.conv2d(x, w[0], w[1])) + f.relu(f.conv2d(x, w[2], w[3], padding=2))
    x = f.max_pool2d(x, 2).flatten(1)
    return f.linear(f.relu(f.linear(x, w[4], w[5])), w[6], w[7])


CASES = [(SimpleCNN, simple), (BetterCNN, better), (BranchCNN, branch)]


@pytest.mark.parametrize(("network_class", "formula"), CASES)
@pytest.mark.parametrize(("channels", "size"), [(1, (28, 28)), (3, (21, 34))])
def test_the_layers_in_evaluation(network_class, formula, channels, size) -> None:
    network = network_class(5, channels, size).eval()
    images = torch.rand(4, channels, *size)
    torch.testing.assert_close(network(images), formula(network, images))
    torch.testing.assert_close(network(images), network(images), rtol=0, atol=0)


@pytest.mark.parametrize(
    ("network_class", "maps"), [(SimpleCNN, 32), (BetterCNN, 15), (BranchCNN, 16)]
)
def test_a_fifth_of_the_maps_values_is_dropped_in_training(network_class, maps) -> None:
    network = network_class().train()
    dropouts = [m for m in network.modules() if isinstance(m, nn.Dropout)]
    assert [m.p for m in dropouts] == [0.2]
    torch.manual_seed(0)
    images = torch.rand(16, 1, 28, 28)
    dropped = network.forward_features(images)
    whole = network.eval().forward_features(images)
    there = whole > 0
    share = (dropped[there] == 0).float().mean().item()
    assert share == pytest.approx(0.2, abs=0.02)
    kept = there & (dropped != 0)
    torch.testing.assert_close(dropped[kept], whole[kept] / 0.8)
    assert dropped.shape[1] == maps
    assert network_class(dropout=0.5).features[-1].p == 0.5


SMALLEST = [(SimpleCNN, 6), (BetterCNN, 12), (BranchCNN, 2), (ChampionCNN, 16), (QuickCNN, 20)]


@pytest.mark.parametrize(("network_class", "smallest"), SMALLEST)
def test_how_small_images_may_be(network_class, smallest: int) -> None:
    network = network_class(3, 1, (smallest, smallest + 7)).eval()
    assert network(torch.rand(2, 1, smallest, smallest + 7)).shape == (2, 3)
    for size in ((smallest - 1, 40), (40, smallest - 1)):
        with pytest.raises(ShapeError, match=f"{size[0]} x {size[1]} are too small.*use larger"):
            network_class(3, 1, size)


@pytest.mark.parametrize("network_class", [c for c, _ in SMALLEST])
def test_the_vocabulary_of_timm(network_class) -> None:
    network = network_class(7, 3, (32, 40)).eval()
    images = torch.rand(2, 3, 32, 40)
    maps = network.forward_features(images)
    assert maps.ndim == 4
    features = network.forward_head(maps, pre_logits=True)
    assert features.shape == (2, network.num_features)
    torch.testing.assert_close(network.fc(features), network(images))
    torch.testing.assert_close(network.forward_head(maps), network(images))
    assert network.num_classes == 7
    before = {name: w.clone() for name, w in network.features.state_dict().items()}
    network.reset_classifier(4)
    assert network.num_classes == 4
    assert network(images).shape == (2, 4)
    assert all(torch.equal(w, before[name]) for name, w in network.features.state_dict().items())


def test_the_champion() -> None:
    network = ChampionCNN(widths=(8, 16, 24), dropout=0.4)
    convolutions = [m for m in network.features if isinstance(m, nn.Conv2d)]
    shapes = [(m.in_channels, m.out_channels, m.kernel_size) for m in convolutions]
    pairs = [(8, 16), (16, 16), (16, 24), (24, 24)]
    assert shapes == [(1, 8, (5, 5)), *((i, o, (3, 3)) for i, o in pairs)]
    for kind in (nn.BatchNorm2d, nn.GELU):
        assert sum(isinstance(m, kind) for m in network.features) == 5
    maps = network.forward_features(torch.rand(2, 1, 28, 28))
    assert maps.shape == (2, 24, 4, 4)
    assert isinstance(network.hidden, nn.Dropout)
    assert network.hidden.p == 0.4
