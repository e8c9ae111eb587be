from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from lamplighter import evaluate, train
from lamplighter.datasets.image_data import ImageData
from lamplighter.errors import (
    ClassCountError,
    LamplighterWarning,
    ResumeError,
    TrainingError,
    UnknownModelError,
)
from lamplighter.training.callbacks import on_batch_end, on_epoch_end
from lamplighter.training.recipes import RECIPES

from . import toys

if TYPE_CHECKING:
    from torch import Tensor

    from lamplighter.training.view import TrialView


def test_a_recipe_gives_a_tested_classifier_with_its_record(tiny_digits: ImageData) -> None:
    epochs = []

    @on_epoch_end
    def note(view: TrialView) -> None:
        epochs.append(view.metrics)

    classifier = train(tiny_digits, epochs=3, callbacks=[note], verbose=0)
    assert [row.keys() >= {"loss", "acc"} for row in epochs] == [True] * 3
    record = classifier.record
    assert record.data == {name: tiny_digits.fingerprint(name) for name in ("train", "test")}
    assert record.scores["test"] == evaluate(classifier, tiny_digits, "test").summary()
    recipe = record.recipe
    assert json.loads(json.dumps(recipe)) == recipe
    assert (recipe["name"], recipe["epochs"], recipe["seed"]) == ("quick", 3, 7)
    assert recipe["learning_rate"] == RECIPES["quick"].learning_rate
    assert recipe["augmentation"] == repr(RECIPES["quick"].augmentation)
    assert classifier.architecture is not None
    assert classifier.architecture.name == "quick-cnn"
    assert classifier.class_names == tiny_digits.class_names
    assert evaluate(classifier, tiny_digits, "train").accuracy.value > 0.5


def test_the_test_split_may_be_left_alone(tiny_digits: ImageData) -> None:
    classifier = train(tiny_digits, epochs=1, test=False, verbose=0)
    assert "test" in tiny_digits
    assert classifier.record.scores == {}


def test_a_test_that_fails_costs_no_training(
    tiny_digits: ImageData, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise ClassCountError("no class in common.")

    monkeypatch.setattr("lamplighter.training.recipes.evaluate", fail)
    with pytest.warns(LamplighterWarning, match="trained, but not tested: no class in common"):
        classifier = train(tiny_digits, recipe="quick", epochs=1, verbose=0)
    assert classifier.record.scores == {}
    assert classifier.record.recipe["name"] == "quick"


def test_a_seed_gives_the_weights_again(tiny_digits: ImageData) -> None:
    first, again, other = (
        train(tiny_digits, epochs=1, seed=seed, verbose=0).network for seed in (1, 1, 2)
    )
    assert toys.same_weights(first, again)
    assert not toys.same_weights(first, other)


@pytest.mark.parametrize(("share", "changed"), [(0.0, 10), (0.2, 8), (0.26, 7), (1.0, 0)])
def test_a_share_of_the_epochs_shows_the_images_as_they_are(
    tiny_digits: ImageData, monkeypatch: pytest.MonkeyPatch, share: float, changed: int
) -> None:
    seen: list[int] = []

    def note(images: Tensor) -> Tensor:
        seen.append(len(images))
        return images

    recipe = replace(RECIPES["quick"], augmentation=note, plain_epochs=share)
    monkeypatch.setitem(RECIPES, "quick", recipe)
    train(tiny_digits, epochs=10, verbose=0, test=False)
    assert sum(seen) == changed * len(tiny_digits["train"])


@pytest.mark.parametrize(
    ("units", "half"), [({"amx_bf16": True}, True), ({"avx512_bf16": True}, True), ({}, False)]
)
def test_half_precision_is_for_processors_with_units_for_it(
    tiny_digits: ImageData, monkeypatch: pytest.MonkeyPatch, units: dict[str, bool], half: bool
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: units)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setitem(RECIPES, "quick", replace(RECIPES["quick"], half=True))
    used = []

    @on_batch_end
    def note(view: TrialView) -> None:
        used.append(view.logits.dtype)

    classifier = train(tiny_digits, epochs=1, callbacks=[note], verbose=0, test=False)
    assert set(used) == {torch.bfloat16 if half else torch.float32}
    assert classifier.record.recipe["half"] is half


@pytest.mark.parametrize("recipe", RECIPES)
def test_every_recipe_runs_with_another_network(recipe: str, mnist: ImageData) -> None:
    few = {"train": mnist["train"].take(np.arange(64))}
    data = ImageData(few, mnist.class_names, preprocessing=mnist.preprocessing)
    classifier = train(data, recipe=recipe, model="residual-cnn", epochs=1, verbose=0)
    assert classifier.architecture is not None
    assert classifier.architecture.name == "residual-cnn"
    assert classifier.record.scores == {}  # there is no test split
    assert classifier.record.recipe["name"] == recipe


def test_the_folder_keeps_history_and_checkpoint(tiny_digits: ImageData, tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "run"
    first = train(tiny_digits, epochs=2, folder=folder, resume=True, verbose=0)  # begins anew
    rows = [json.loads(line) for line in (folder / "history.jsonl").read_text().splitlines()]
    assert [row["epoch"] for row in rows] == [1, 2]
    assert (folder / "last.ckpt").is_file()
    again = train(tiny_digits, epochs=2, folder=folder, resume=True, verbose=0)
    assert toys.same_weights(first.network, again.network)
    (folder / "last.ckpt").write_bytes(b"damaged")
    with pytest.raises(ResumeError, match=r"last\.ckpt cannot be continued from") as caught:
        train(tiny_digits, epochs=2, folder=folder, resume=True, verbose=0)
    assert "\n" not in str(caught.value)


def test_another_network_cannot_resume(tiny_digits: ImageData, tmp_path: Path) -> None:
    train(tiny_digits, epochs=1, folder=tmp_path, verbose=0)
    for change in ({"model": "residual-cnn"}, {"recipe": "lab", "model": "better-cnn"}):
        with pytest.raises(ResumeError, match="cannot be continued from"):
            train(tiny_digits, epochs=2, folder=tmp_path, resume=True, verbose=0, **change)  # type: ignore[arg-type]


def test_what_is_not_known(tiny_digits: ImageData) -> None:
    with pytest.raises(TrainingError, match=r"no recipe 'slow'; there are lab, quick, best"):
        train(tiny_digits, recipe="slow")
    with pytest.raises(UnknownModelError, match="did you mean 'quick-cnn'"):
        train(tiny_digits, model="quick-cn")
    for epochs in (0, -1):
        with pytest.raises(TrainingError, match=f"at least 1, received {epochs}"):
            train(tiny_digits, epochs=epochs)
    with pytest.raises(ResumeError, match="name the folder"):
        train(tiny_digits, resume=True, verbose=0)
    only_test = ImageData(
        {"test": tiny_digits["test"]},
        tiny_digits.class_names,
        preprocessing=tiny_digits.preprocessing,
    )
    with pytest.raises(TrainingError, match="training data"):
        train(only_test, verbose=0)
