"""Recipes: a network, how long and how it is trained, under one name."""

from __future__ import annotations

import os
import warnings
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import nn

from lamplighter.arguments import checked
from lamplighter.datasets.augmentation import (
    Compose,
    RandomShift,
    RandomThickness,
    RandomWarp,
    photo_augmentation,
)
from lamplighter.errors import (
    LamplighterError,
    LamplighterWarning,
    ResumeError,
    TrainingError,
)
from lamplighter.evaluation.report import evaluate
from lamplighter.models.classifier import Classifier
from lamplighter.names import unknown_name
from lamplighter.training.balancing import check_balance, class_weights
from lamplighter.training.labels import by_name
from lamplighter.training.loaders import check_seed, seed_all
from lamplighter.training.muon import Muon
from lamplighter.training.trial import Trial
from lamplighter.training.trial_data import check_images

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lamplighter.datasets.batches import Augmentation
    from lamplighter.datasets.image_data import ImageData
    from lamplighter.training.balancing import Balance


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How to train.

    Attributes:
        summary: what it is for, in a line.
        model: the network, unless another is asked for.
        epochs: how often each training image is seen, unless another number is asked for.
        batch_size: images in a batch.
        optimizer: "adam", "adamw", or "muon" for the convolutions with AdamW for the rest.
        learning_rate: of the optimizer; with `one_cycle` its peak.
        one_cycle: whether the learning rate rises and falls once, rather than stay.
        weight_decay: of AdamW or Muon.
        label_smoothing: part of each target that is spread over all classes, 0..1.
        augmentation: random changes to the training images.
        plain_epochs: share of the epochs, the last ones, in which training images come as they
            are, 0..1.
        ema_decay: of the moving average of the weights, each 4 steps; None answers with the
            weights themselves.
        standardise: whether mean and standard deviation of the pixels are brought to 0 and 1;
            else they stay on the scale 0..1.
        half: whether to compute in bfloat16 where the device has units for it.
    """

    summary: str
    model: str
    epochs: int
    batch_size: int = 128
    optimizer: Literal["adam", "adamw", "muon"] = "adam"
    learning_rate: float = 1e-3
    one_cycle: bool = False
    weight_decay: float = 0.0
    label_smoothing: float = 0.0
    augmentation: Augmentation | None = None
    plain_epochs: float = 0.0
    ema_decay: float | None = None
    standardise: bool = True
    half: bool = False


RECIPES = {
    "lab": Recipe(
        summary="10 epochs of Adam, as a first course does it, and the average of its weights",
        model="simple-cnn",
        epochs=10,
        ema_decay=0.99,  # over about an epoch, in which they only move to and fro
        standardise=False,
    ),
    "quick": Recipe(
        summary="over 99 % on MNIST in seconds",
        model="quick-cnn",
        epochs=2,
        optimizer="adamw",
        learning_rate=1e-2,
        one_cycle=True,
        weight_decay=0.02,
        label_smoothing=0.05,
        augmentation=RandomShift(1),
    ),
    "best": Recipe(
        summary="over 99.7 % on MNIST in minutes",
        model="champion",
        epochs=26,
        optimizer="muon",
        learning_rate=2e-2,
        one_cycle=True,
        weight_decay=0.05,
        label_smoothing=0.1,
        augmentation=Compose(
            (
                RandomWarp(degrees=15, scale=0.2, shear=0.2, translate=3, interpolation="bicubic"),
                RandomThickness(),
            )
        ),
        plain_epochs=0.12,  # warped strokes are blurred, those to be told apart are not
        ema_decay=0.996,
        half=True,
    ),
    "photos": Recipe(
        summary="a small network on photos, from scratch",
        model="better-cnn",
        epochs=25,
        batch_size=32,
        optimizer="adamw",
        learning_rate=2e-3,
        one_cycle=True,
        weight_decay=0.02,
        label_smoothing=0.05,
        augmentation=photo_augmentation(),
    ),
}
"""The recipes by name, each with its network, optimizer, schedule and augmentation."""

_WARM_UP = 0.2
_EMA_EVERY = 4


@checked
def train(
    data: ImageData,
    *,
    recipe: str = "quick",
    model: str | None = None,
    epochs: int | None = None,
    seed: int = 7,
    device: str | None = None,
    augment: bool | None = None,
    balance: Balance = "none",
    folder: str | Path | None = None,
    resume: bool = False,
    test: bool = True,
    callbacks: Sequence[Any] = (),
    silence: Sequence[str] = (),
    verbose: int = 2,
) -> Classifier:
    """Return a classifier trained on `data["train"]`, and tested on "test" where there is one.

    It tells the classes apart that have a training image, and matches those of other splits by
    name.

    Args:
        data: images in splits.
        recipe: one of `RECIPES`: "lab", "quick" or "best"; "photos" for images in colour.
        model: one of `lamplighter.list_models()`; by default the recipe's.
        epochs: by default the recipe's.
        seed: the same seed gives the same weights on a CPU.
        device: such as "cpu" or "cuda:0"; None takes an accelerator where there is one.
        augment: whether to change the training images at random, as the recipe says or, where it
            says nothing, as is usual for photos; by default where the recipe says so.
        balance: "weights" weighs the loss of each image, "sampler" draws the images so that all
            classes count the same; "none" leaves a large class its weight.
        folder: where the history and a checkpoint of each epoch are kept; None keeps neither.
        resume: continue from the checkpoint in `folder`, if there is one.
        test: False leaves the test split alone, as while choosing between several trainings.
        callbacks: what else watches and steers, as in `Trial`.
        silence: names of `lamplighter.CHECKS` not to look for.
        verbose: 2 shows a bar over the batches, 1 a line for each epoch, 0 nothing.

    Raises:
        ArgumentError: an argument is unknown or of another type.
        TrainingError: there is no recipe of that name, or training cannot start.
        UnknownModelError: there is no network of that name.
        ResumeError: the checkpoint cannot be continued from.
    """
    check_images(data)
    chosen = _recipe(recipe)
    epochs = chosen.epochs if epochs is None else epochs
    if epochs < 1:
        raise TrainingError(f"the number of epochs must be at least 1, received {epochs}.")
    check_balance(balance)
    check_seed(seed)
    chosen = replace(chosen, augmentation=augmentation_of(recipe, augment))
    seed_all(seed)  # the weights that training begins with
    preprocessing = data.preprocessing
    if not chosen.standardise:
        channels = preprocessing.channels
        preprocessing = replace(preprocessing, mean=(0.0,) * channels, std=(1.0,) * channels)
    classifier = Classifier.new(
        model or chosen.model,
        data,
        preprocessing=preprocessing,
        class_names=data.trained_class_names,
    )
    # On CPUs convolutions run faster with the channels of a pixel side by side.
    classifier.network.to(memory_format=torch.channels_last)
    trial = Trial(
        classifier,
        _optimizer(chosen, classifier.network),
        _criterion(classifier, data, balance),
        metrics=["loss", "acc"],
        callbacks=[*_callbacks(chosen, folder), *callbacks],
        verbose=verbose,
        seed=seed,
        silence=silence,
    ).with_images(
        data,
        chosen.batch_size,
        augmentation=chosen.augmentation,
        augmented_epochs=epochs - round(epochs * chosen.plain_epochs),
        balance="sampler" if balance == "sampler" else "none",
    )
    if device is not None:
        trial.to(device)
    elif "WORLD_SIZE" not in os.environ:  # of several devices one, unless torchrun shares them out
        trial.with_trainer(devices=1)
    half = chosen.half and _computes_in_half(device)
    if half:
        trial.with_trainer(precision="bf16-mixed")
    checkpoint = _checkpoint(folder) if resume else None
    trial.run(epochs, checkpoint=checkpoint)
    classifier.record.recipe = {
        "name": recipe,
        "epochs": epochs,
        "seed": seed,
        **{k: v for k, v in asdict(chosen).items() if k not in ("summary", "model", "epochs")},
        "augmentation": repr(chosen.augmentation),
        "balance": balance,
        "half": half,
    }
    if test and "test" in data:
        try:
            evaluate(classifier, data, "test")
        except LamplighterError as error:  # what was learned is not lost for it
            warnings.warn(f"trained, but not tested: {error}", LamplighterWarning, stacklevel=2)
    return classifier


def augmentation_of(recipe: str, augment: bool | None = None) -> Augmentation | None:
    """Return what `train` does to the training images with these arguments.

    Raises:
        TrainingError: there is no recipe of that name.
    """
    own = _recipe(recipe).augmentation
    if augment is None:
        return own
    return (own or photo_augmentation()) if augment else None


def _recipe(name: str) -> Recipe:
    if name not in RECIPES:
        raise TrainingError(unknown_name("recipe", name, RECIPES))
    return RECIPES[name]


def _criterion(classifier: Classifier, data: ImageData, balance: Balance) -> nn.CrossEntropyLoss:
    if balance != "weights":
        return nn.CrossEntropyLoss()
    labels = by_name(classifier, data, "train").labels
    return nn.CrossEntropyLoss(weight=class_weights(labels, classifier.num_classes))


def _optimizer(recipe: Recipe, network: nn.Module) -> torch.optim.Optimizer:
    weights, rate, decay = network.parameters(), recipe.learning_rate, recipe.weight_decay
    match recipe.optimizer:
        case "adam":
            return torch.optim.Adam(weights, lr=rate)
        case "adamw":  # in one pass over all weights
            return torch.optim.AdamW(weights, lr=rate, weight_decay=decay, fused=True)
        case "muon":
            return Muon(network, rate, decay)


def _callbacks(recipe: Recipe, folder: str | Path | None) -> list[Any]:
    from lamplighter.training.callbacks import EMA, Checkpoint, LabelSmoothing, Log, OneCycle

    callbacks: list[Any] = []
    if recipe.one_cycle:
        callbacks.append(OneCycle(recipe.learning_rate, warm_up=_WARM_UP))
    if recipe.label_smoothing:
        callbacks.append(LabelSmoothing(recipe.label_smoothing))
    if recipe.ema_decay is not None:
        callbacks.append(EMA(recipe.ema_decay, every=_EMA_EVERY))
    if folder is not None:
        callbacks += [Checkpoint(folder), Log(folder)]
    return callbacks


def _computes_in_half(device: str | None) -> bool:
    """Return whether bfloat16 is faster there; a CPU without units for it only imitates it."""
    if torch.cuda.is_available() and device != "cpu":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    units = torch.cpu.get_capabilities()
    return bool(units.get("amx_bf16") or units.get("avx512_bf16"))


def _checkpoint(folder: str | Path | None) -> Path | None:
    if folder is None:
        raise ResumeError("to resume, name the folder that the training wrote to.")
    checkpoint = Path(folder) / "last.ckpt"
    return checkpoint if checkpoint.is_file() else None
