from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lamplighter import Classifier, Preprocessing, Trial, load, save
from lamplighter.errors import TrainingError, UnknownLayerError
from lamplighter.models.pretrained import PretrainedNetwork
from lamplighter.training.callbacks import EMA, Checkpoint, OneCycle, on_batch_end
from lamplighter.transfer.freezing import freeze, frozen, layered_parameters, unfreeze

CLASSES = 3


def network() -> nn.Sequential:
    """Images (N, 1, 6, 6) to logits (N, 3): two convolutions with BatchNorm, dropout, out."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.Dropout(0.5),
        nn.Conv2d(4, 4, 3),
        nn.BatchNorm2d(4),
        nn.Flatten(),
        nn.Dropout(0.5),
        nn.Linear(16, CLASSES),
    )


def batches(count: int = 4) -> list[tuple[Tensor, Tensor]]:
    generator = torch.Generator().manual_seed(1)
    return [
        (
            torch.rand(8, 1, 6, 6, generator=generator) * 3 + 1,
            torch.randint(CLASSES, (8,), generator=generator),
        )
        for _ in range(count)
    ]


def trial(model: nn.Module, *callbacks: Any, **arguments: Any) -> Trial:
    groups = layered_parameters(model, 0.01)
    optimizer = torch.optim.AdamW(groups, weight_decay=0.1)
    return Trial(
        model,
        optimizer,
        nn.CrossEntropyLoss(),
        callbacks=list(callbacks),
        verbose=0,
        seed=3,
        **arguments,
    ).with_generators(batches(), val_generator=batches(1))


def state(module: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in module.state_dict().items()}


def changed(module: nn.Module, before: dict[str, Tensor]) -> list[str]:
    return [name for name, value in module.state_dict().items() if not value.equal(before[name])]


def test_frozen_stages_do_not_change_by_a_bit() -> None:
    model, control = network(), network()
    freeze(model, until="4")
    assert frozen(model) == ["0", "4"]
    before = state(model)
    trained = trial(model, silence=["unshuffled"])
    trained.run(3)
    assert changed(model, before) == ["8.weight", "8.bias"]
    trial(control).run(3)
    assert "1.running_mean" in changed(control, before)  # else the test would show nothing
    assert trained.findings == []
    assert [name for name, part in model.train().named_modules() if part.training] == [
        "",
        "6",
        "7",
        "8",
    ]


def test_dropout_in_frozen_stages_is_off() -> None:
    model = network()
    freeze(model, until="4")
    model.train()
    images = batches(1)[0][0]
    torch.testing.assert_close(model[:6](images), model[:6](images), rtol=0, atol=0)
    assert not torch.equal(model(images), model(images))  # the last dropout is on


def test_frozen_after_a_kill_and_with_averaged_weights(tmp_path: Path) -> None:
    class Killed(Exception):
        pass

    @on_batch_end
    def kill(view: Any) -> None:
        if view.epoch == 2:
            raise Killed

    def new(*callbacks: Any) -> tuple[nn.Sequential, Trial]:
        model = network()
        freeze(model, until="4")
        made = [OneCycle(), EMA(0.9), Checkpoint(tmp_path), *callbacks]
        return model, trial(model, *made)

    model, stopped = new(kill)
    before = state(model)
    with pytest.raises(Killed):
        stopped.run(4)
    model, resumed = new()
    resumed.run(4, checkpoint=tmp_path / "last.ckpt")
    assert changed(model, before) == ["8.weight", "8.bias"]
    whole, uninterrupted = new()
    uninterrupted.run(4)
    assert changed(whole, state(model)) == []
    assert len(resumed.history) == 4


def test_unfreezing_by_stage() -> None:
    model = network()
    model[0].bias.requires_grad = False  # its owner's wish, which freezing keeps
    freeze(model)
    assert frozen(model) == ["0", "4", "8"]
    with pytest.raises(TrainingError, match="nothing to train: every stage is frozen"):
        layered_parameters(model, 0.1)
    unfreeze(model, since="4")
    assert frozen(model) == ["0"]
    before = state(model)
    trial(model).run(1)
    assert {name.split(".")[0] for name in changed(model, before)} == {"4", "5", "8"}
    unfreeze(model)
    assert frozen(model) == []
    assert all(part.training for part in model.train().modules())
    assert [name for name, p in model.named_parameters() if not p.requires_grad] == ["0.bias"]


def test_names_of_stages_may_be_beginnings() -> None:
    model = PretrainedNetwork(4, 3, (32, 32), backbone="resnet18")
    freeze(model, until="backbone.layer2")
    assert frozen(model)[-1] == "backbone.layer2.1"
    freeze(model, until="backbone")
    assert frozen(model)[-1] == "backbone.layer4.1"
    assert [name for name, part in model.train().named_modules() if part.training] == ["", "head"]
    unfreeze(model, since="backbone.layer4")
    assert frozen(model)[-1] == "backbone.layer3.1"
    with pytest.raises(UnknownLayerError, match=r"no stage 'layer9'; it has backbone\.conv1, "):
        freeze(model, until="layer9")
    assert frozen(model)[-1] == "backbone.layer3.1"


def test_a_backbone_that_ends_in_dropout_does_not_freeze_the_head() -> None:
    layers = network()
    model = nn.Sequential()
    model.add_module("backbone", layers[:8])
    model.add_module("head", layers[8])
    freeze(model, until="backbone")
    learning = [name for name, p in model.named_parameters() if p.requires_grad]
    assert learning == ["head.weight", "head.bias"]
    model.train()
    assert not model.backbone[7].training  # its dropout stays off
    assert model.head.training


def test_weights_of_no_stage_are_as_old_as_the_oldest() -> None:
    model = PretrainedNetwork(4, 3, (224, 224), backbone="vit_tiny_patch16_224")
    model.backbone.cls_token.requires_grad = True
    freeze(model, until="backbone.blocks.3")
    assert not model.backbone.cls_token.requires_grad
    assert not model.backbone.pos_embed.requires_grad
    assert model.backbone.blocks[4].mlp.fc1.weight.requires_grad
    held = {id(p) for group in layered_parameters(model, 1.0) for p in group["params"]}
    assert held == {id(p) for p in model.parameters() if p.requires_grad}
    unfreeze(model)
    assert all(p.requires_grad for p in model.parameters())
    oldest = layered_parameters(model, 1.0)[-1]
    assert oldest["stage"] == "backbone.patch_embed"


def test_a_copy_of_a_frozen_network_is_frozen_by_itself() -> None:
    model = network()
    freeze(model, until="0")
    twin = copy.deepcopy(model)
    unfreeze(model)
    assert frozen(twin) == ["0"]
    assert not twin.train()[1].training
    assert model.train()[1].training


def test_older_stages_learn_more_slowly() -> None:
    model = network()
    groups = layered_parameters(model, 0.8, decay=0.5)
    rates = {id(p): group["lr"] for group in groups for p in group["params"]}
    decays = {id(p): group.get("weight_decay") for group in groups for p in group["params"]}
    expected = {"0": 0.2, "1": 0.2, "4": 0.4, "5": 0.4, "8": 0.8}
    for name, parameter in model.named_parameters():
        assert rates[id(parameter)] == pytest.approx(expected[name.split(".")[0]])
        assert decays[id(parameter)] == (
            None if name in ("0.weight", "4.weight", "8.weight") else 0
        )
    freeze(model, until="0")
    assert {group["stage"] for group in layered_parameters(model, 0.8)} == {"4", "8"}
    for lr, decay in ((0, 0.5), (0.1, 0), (0.1, 1.5)):
        with pytest.raises(TrainingError, match="positive learning rate and a decay above 0"):
            layered_parameters(model, lr, decay=decay)


def test_blocks_of_one_layer_share_a_rate() -> None:
    model = PretrainedNetwork(4, 3, (32, 32), backbone="resnet18")
    groups = layered_parameters(model, 1.0, decay=0.5)
    rates = {group["stage"]: group["lr"] for group in groups}
    assert rates == {
        "head": 1.0,
        **{f"backbone.layer{number}": 0.5 ** (5 - number) for number in (4, 3, 2, 1)},
        "backbone.conv1": 0.5**5,
    }


def test_one_cycle_keeps_the_peak_of_each_group() -> None:
    model = network()
    seen: list[list[float]] = []

    @on_batch_end
    def note(view: Any) -> None:
        seen.append([group["lr"] for group in view.optimizer.param_groups])

    learner = trial(model, OneCycle(warm_up=0.5), note)
    peaks = [group["lr"] for group in layered_parameters(model, 0.01)]
    for _ in range(2):  # the second run has the same peaks
        seen.clear()
        learner.run(5)
        highest = [max(rates) for rates in zip(*seen, strict=True)]
        assert highest == pytest.approx(peaks)
        assert all(first < last for first, last in zip(seen[0], highest, strict=True))
        assert all(rate < 0.1 * peak for rate, peak in zip(seen[-1], peaks, strict=True))


def test_a_frozen_network_is_saved_like_any_other(tmp_path: Path) -> None:
    preprocessing = Preprocessing(height=32, width=32)
    classifier = Classifier.new("champion", preprocessing=preprocessing, class_names=("a", "b"))
    classifier.network.eval()
    freeze(classifier.network, until="features.14")
    loaded = load(save(classifier, tmp_path / "frozen.lamp"))
    assert frozen(classifier.network)[-1] == "features.14"
    assert frozen(loaded.to_torch()) == []
    images = torch.rand(2, 3, 32, 32)
    with torch.no_grad():
        expected = classifier.network.eval()(images)
        torch.testing.assert_close(loaded.network.eval()(images), expected)
