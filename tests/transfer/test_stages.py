from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from lamplighter.errors import ModelError
from lamplighter.models.pretrained import PretrainedNetwork
from lamplighter.models.registry import build, list_models
from lamplighter.transfer.freezing import stages


@pytest.mark.parametrize("name", list_models())
def test_small_networks_are_chains(name: str) -> None:
    model = build(name, num_classes=5, in_chans=3, img_size=(32, 40))
    images = torch.rand(2, 3, 32, 40)
    chain = stages(model, images)
    with torch.no_grad():
        values = images
        model.eval()
        for _, module in chain:
            values = module.eval()(values)
        torch.testing.assert_close(values, model(images))
    in_stages = [p for _, module in chain for p in module.parameters()]
    assert list(map(id, in_stages)) == list(map(id, model.parameters()))
    assert [stage for stage, _ in chain][-1] == "fc"


@pytest.mark.parametrize(
    ("backbone", "expected"),
    [
        (
            "efficientnet-lite0",
            [
                "backbone.conv_stem",
                *(f"backbone.blocks.{number}" for number in range(7)),
                "backbone.conv_head",
                "head",
            ],
        ),
        (
            "resnet18",
            [
                "backbone.conv1",
                *(f"backbone.layer{layer}.{block}" for layer in range(1, 5) for block in (0, 1)),
                "head",
            ],
        ),
    ],
)
def test_backbones_are_chains_of_their_blocks(backbone: str, expected: list[str]) -> None:
    model = PretrainedNetwork(4, 3, (64, 64), backbone=backbone)
    chain = stages(model, torch.rand(2, 3, 64, 64))
    assert [name for name, _ in chain] == expected
    in_stages = [p for _, module in chain for p in module.parameters()]
    assert list(map(id, in_stages)) == list(map(id, model.parameters()))


def test_what_is_no_chain_is_refused() -> None:
    class Branching(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Conv2d(1, 1, 3), nn.Conv2d(1, 1, 3)

        def forward(self, images: Tensor) -> Tensor:
            maps: Tensor = self.first(images) + self.second(images)
            return maps

    class Shifting(Branching):
        def forward(self, images: Tensor) -> Tensor:
            maps: Tensor = self.second(self.first(images)) + 0.01
            return maps

    for model, reason in ((Branching(), "another shape"), (Shifting(), "differ from it by 0.01")):
        assert [name for name, _ in stages(model)] == ["first", "second"]
        with pytest.raises(ModelError, match=f"must be a chain.*{reason}"):
            stages(model, torch.rand(2, 1, 8, 8))
