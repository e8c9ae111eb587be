from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import lamplighter
from lamplighter.errors import ImageError, TrainingError, UnknownClassError, UnknownLayerError
from lamplighter.explain.watching import DrawClass, DrawFeatureMaps, DrawFilters
from lamplighter.models.classifier import Classifier
from lamplighter.training.callbacks import Callback
from lamplighter.training.trial import Trial

if TYPE_CHECKING:
    from pathlib import Path

    from lamplighter.datasets.image_data import ImageData


@pytest.fixture
def data(tiny_digits: ImageData) -> ImageData:
    splits = {name: tiny_digits[name].take(np.arange(48)) for name in ("train", "test")}
    return type(tiny_digits)(
        splits, tiny_digits.class_names, preprocessing=tiny_digits.preprocessing, name="few"
    )


def _trial(data: ImageData, *callbacks: Any, seed: int | None = 5) -> Trial:
    torch.manual_seed(3)
    classifier = Classifier.new("simple-cnn", data)
    silence = ["one-class"]
    trial = Trial(classifier, callbacks=callbacks, verbose=0, seed=seed, silence=silence)
    return trial.with_images(data, 16)


def _all(folder: Path, data: ImageData, every: int) -> list[Any]:
    digit = data["test"].images[0]
    return [
        DrawFilters(folder, every=every),
        DrawFeatureMaps(folder, digit, every=every),
        DrawClass(folder, "7", every=every, steps=3),
    ]


def _hooks_on(network: nn.Module) -> int:
    return sum(
        len(table)
        for module in network.modules()
        for name, table in vars(module).items()
        if "hooks" in name and isinstance(table, dict)
    )


def test_pictures_appear_every_few_epochs(data: ImageData, tmp_path: Path) -> None:
    filters, maps, maximised = _all(tmp_path, data, 2)
    maps.every = maximised.every = 3
    _trial(data, filters, maps, maximised).run(4)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == [
        "class-7-3.png",
        "feature-maps-3.png",
        "filters-2.png",
        "filters-4.png",
    ]
    for name in names:
        with Image.open(tmp_path / name) as picture:
            assert min(picture.size) > 100
    # They show the network as it was then.
    early, late = (np.asarray(Image.open(tmp_path / f"filters-{epoch}.png")) for epoch in (2, 4))
    assert early.shape != late.shape or (early != late).any()


@pytest.mark.parametrize("seed", [5, None])
def test_training_is_the_same_with_and_without(
    data: ImageData, tmp_path: Path, seed: int | None
) -> None:
    plain = _trial(data, seed=seed)
    plain.run(2)
    # Of the three, a maximised class alone draws random numbers of its own.
    callbacks = _all(tmp_path, data, 1)[-1:] if seed is None else _all(tmp_path, data, 2)
    watched = _trial(data, *callbacks, seed=seed)
    watched.run(2)
    assert len(list(tmp_path.iterdir())) == (2 if seed is None else 3)
    ours, theirs = plain.network.state_dict(), watched.network.state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    values = [
        {name: value for name, value in row.items() if "time" not in name}
        for row in plain.history + watched.history
    ]
    assert values[:2] == values[2:]
    assert _hooks_on(watched.network) == _hooks_on(plain.network)


class _Look(Callback):
    """Notes what the pictures must leave alone, right after them."""

    def on_epoch_end(self, view: Any) -> None:
        legacy = np.random.get_state()[1].tolist()  # noqa: NPY002 - what users draw from
        state = torch.get_rng_state().tolist(), random.getstate(), legacy
        modes = [module.training for module in view.network.modules()]
        flags = [parameter.requires_grad for parameter in view.network.parameters()]
        gradients = [
            None if p.grad is None else p.grad.clone().tolist() for p in view.network.parameters()
        ]
        self.seen = [state, modes, flags, gradients, _hooks_on(view.network)]


def test_nothing_else_is_changed(data: ImageData, tmp_path: Path) -> None:
    before, after = _Look(), _Look()
    _trial(data, before, *_all(tmp_path, data, 1), after).run(1)
    assert len(list(tmp_path.iterdir())) == 3
    assert before.seen == after.seen


def test_layers_and_classes_are_in_the_names(data: ImageData, tmp_path: Path) -> None:
    classifier = _trial(data).classifier
    assert classifier is not None
    layer = next(n for n, m in classifier.network.named_modules() if isinstance(m, nn.Conv2d))
    Image.fromarray(data["test"].images[0][0]).save(tmp_path / "digit.png")
    folder = tmp_path / "made" / "here"
    callbacks = [
        DrawFilters(folder, every=1, layer=layer),
        DrawFeatureMaps(folder, tmp_path / "digit.png", layer, every=1),
    ]
    odd_name = r"../a $\b$"
    odd = Classifier(classifier.network, data.preprocessing, [odd_name, *"bcdefghij"])
    images = type(data)(data.splits, odd.class_names, preprocessing=data.preprocessing)
    callbacks.append(DrawClass(folder, odd_name, every=1, steps=2))
    trial = Trial(odd, callbacks=callbacks, verbose=0, seed=1, silence=["one-class"])
    trial.with_images(images, 16).run(1)
    assert sorted(path.name for path in folder.iterdir()) == [
        "class-.._a___b_-1.png",
        f"feature-maps-{layer}-1.png",
        f"filters-{layer}-1.png",
    ]


@pytest.mark.parametrize(
    ("make", "error", "said"),
    [
        (lambda folder: DrawFilters(folder, layer="conv99"), UnknownLayerError, "conv99"),
        (lambda folder: DrawClass(folder, "77"), UnknownClassError, "77"),
        (lambda folder: DrawFeatureMaps(folder, "absent.png"), ImageError, "absent.png"),
    ],
)
def test_what_cannot_be_drawn_is_said_before_training(
    data: ImageData, tmp_path: Path, make: Any, error: type[Exception], said: str
) -> None:
    trial = _trial(data, make(tmp_path))
    before = {name: value.clone() for name, value in trial.network.state_dict().items()}
    with pytest.raises(error, match=said):
        trial.run(1)
    after = trial.network.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_a_bare_network_is_refused(tmp_path: Path) -> None:
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(32, 2))
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    trial = Trial(network, optimizer, nn.CrossEntropyLoss(), callbacks=[DrawFilters(tmp_path)])
    trial.with_train_data(torch.rand(8, 1, 6, 6), torch.arange(8) % 2, 4)
    with pytest.raises(TrainingError, match="DrawFilters needs a trial of a Classifier"):
        trial.run(1, verbose=0)


def test_every_must_be_positive() -> None:
    with pytest.raises(TrainingError, match="received 0"):
        DrawFilters(every=0)


def test_they_are_public() -> None:
    assert dir(lamplighter.explain.watching) == ["DrawClass", "DrawFeatureMaps", "DrawFilters"]
    assert lamplighter.explain.watching.DrawClass is DrawClass
    with pytest.raises(AttributeError, match="has no attribute 'DrawCats'"):
        getattr(lamplighter.explain.watching, "DrawCats")  # noqa: B009
