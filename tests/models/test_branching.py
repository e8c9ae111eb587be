from __future__ import annotations

import pytest
import torch
from torch import nn

from lamplighter.errors import ShapeError
from lamplighter.models.branching import (
    Branches,
    InceptionBlock,
    InceptionCNN,
    ResidualBlock,
    ResidualCNN,
)


def count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def test_branches_are_added_or_joined() -> None:
    first, second = nn.Conv2d(3, 4, 1), nn.Conv2d(3, 4, 3, padding=1)
    images = torch.rand(2, 3, 5, 6)
    one, two = first(images), second(images)
    torch.testing.assert_close(Branches(first, second)(images), one + two)
    joined = Branches(first, second, nn.Identity(), merge="concatenate")(images)
    torch.testing.assert_close(joined, torch.cat([one, two, images], dim=1))
    torch.testing.assert_close(Branches(first)(images), one)
    assert "merge=concatenate" in repr(Branches(first, merge="concatenate"))


def test_the_input_is_not_changed_by_adding() -> None:
    images = torch.rand(2, 3, 5, 6)
    before = images.clone()
    result = Branches(nn.Identity(), nn.Identity(), nn.Identity())(images)
    torch.testing.assert_close(result, 3 * before)
    assert torch.equal(images, before)


def test_gradients_reach_all_branches() -> None:
    branches = Branches(nn.Conv2d(1, 2, 1), nn.Conv2d(1, 2, 3, padding=1))
    branches(torch.rand(1, 1, 4, 4)).sum().backward()
    assert all(bool(p.grad.any()) for p in branches.parameters() if p.grad is not None)
    assert all(p.grad is not None for p in branches.parameters())


def test_branches_that_do_not_fit() -> None:
    images = torch.rand(2, 3, 8, 8)
    with pytest.raises(ShapeError, match=r"agree in shape, received \[\(2, 4, 8, 8\), \(2, 5,"):
        Branches(nn.Conv2d(3, 4, 1), nn.Conv2d(3, 5, 1))(images)
    with pytest.raises(ShapeError, match=r"all but their channels.*pad"):
        Branches(nn.Conv2d(3, 4, 1), nn.Conv2d(3, 4, 3), merge="concatenate")(images)
    with pytest.raises(ShapeError, match="at least one branch"):
        Branches()
    with pytest.raises(ShapeError, match="'multiply'"):
        Branches(nn.Identity(), merge="multiply")  # type: ignore[arg-type]


def test_a_residual_block_adds_its_input() -> None:
    block = ResidualBlock(4, 4).eval()
    images = torch.randn(2, 4, 6, 6)
    _, residual = block.branches.branches
    torch.testing.assert_close(block(images), (images + residual(images)).relu())
    assert count(block) == 2 * (9 * 4 * 4 + 2 * 4)
    halved = ResidualBlock(4, 8, stride=2)
    assert halved(images).shape == (2, 8, 3, 3)
    assert count(halved) == (4 * 8 + 16) + (9 * 4 * 8 + 16) + (9 * 8 * 8 + 16)


def test_an_inception_block_has_four_branches() -> None:
    block = InceptionBlock(5, 3).eval()
    images = torch.randn(2, 5, 7, 9)
    output = block(images)
    assert output.shape == (2, 12, 7, 9)
    kernels = [
        [m.kernel_size[0] for m in branch if isinstance(m, nn.Conv2d)] for branch in block.branches
    ]
    assert kernels == [[1], [1, 3], [1, 5], [1]]
    torch.testing.assert_close(output[:, 3:6], block.branches[1](images))


def test_the_networks_parameters_counted_by_hand() -> None:
    residual = (
        (9 * 16 + 32)
        + 2 * (9 * 16 * 16 + 32)
        + (16 * 32 + 64 + 9 * 16 * 32 + 64 + 9 * 32 * 32 + 64)
        + (32 * 64 + 128 + 9 * 32 * 64 + 128 + 9 * 64 * 64 + 128)
        + 65 * 10
    )
    first = 4 * (16 * 8 + 16) + (9 * 8 * 8 + 16) + (25 * 8 * 8 + 16)
    second = 4 * (32 * 16 + 32) + (9 * 16 * 16 + 32) + (25 * 16 * 16 + 32)
    assert count(ResidualCNN()) == residual == 77_754
    assert count(InceptionCNN()) == (9 * 16 + 32) + first + second + 65 * 10 == 14_554


@pytest.mark.parametrize("network_class", [ResidualCNN, InceptionCNN])
def test_the_networks_take_any_size(network_class) -> None:
    network = network_class(5, 3, (28, 20)).eval()
    for size in ((28, 20), (64, 48), (9, 9), (4, 4)):
        images = torch.rand(2, 3, *size)
        maps = network.forward_features(images)
        assert maps.shape[:2] == (2, 64)
        features = network.forward_head(maps, pre_logits=True)
        torch.testing.assert_close(features, maps.mean(dim=(2, 3)))
        torch.testing.assert_close(network(images), network.fc(features))
    network.reset_classifier(2)
    assert network(images).shape == (2, 2)
    assert (network.num_features, network.num_classes) == (64, 2)


def test_images_that_an_inception_network_cannot_pool() -> None:
    for size in ((3, 9), (9, 3)):
        with pytest.raises(ShapeError, match="too small"):
            InceptionCNN(img_size=size)
