"""The same seed gives the same weights, whoever watches."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from torch import nn

from lamplighter import Classifier, Trial
from lamplighter.datasets.augmentation import RandomShift
from lamplighter.training.callbacks import Callback

from . import toys

if TYPE_CHECKING:
    from lamplighter.datasets.image_data import ImageData
    from lamplighter.training.view import TrialView


class Drawing(Callback):
    """Draws random numbers between the epochs, as one that samples images would."""

    def _draw(self, view: TrialView) -> None:
        torch.rand(5)
        np.random.rand(3)  # noqa: NPY002
        random.random()

    on_start = on_epoch_start = on_validation_start = on_validation_end = on_epoch_end = _draw
    on_validation_batch_end = on_end = _draw


def trained(source: object, seed: int | None, *callbacks: Callback) -> nn.Module:
    trial = toys.trial(seed=seed, callbacks=callbacks)  # with dropout
    return trial.with_generators(source, toys.loader(16, 1)).run(3) and trial.network  # type: ignore[arg-type]


def sources() -> dict[str, object]:
    images, labels = toys.examples(40)
    batches = list(zip(torch.split(images, 8), torch.split(labels, 8), strict=True))
    return {"loader": toys.loader(40, shuffle=True), "endless": toys.Endless(batches, noise=True)}


@pytest.mark.parametrize("kind", ["loader", "endless"])
def test_a_seed_makes_a_run_repeatable(kind: str) -> None:
    source = sources()[kind]
    first = trained(source, 5)
    torch.manual_seed(123)
    assert toys.same_weights(first, trained(source, 5))
    assert not toys.same_weights(first, trained(source, 6))
    assert toys.same_weights(first, trained(source, 5, Drawing()))


def test_without_a_seed_torchs_own_is_taken() -> None:
    source = toys.loader(40, shuffle=True)
    first = trained(source, None)  # toys.network() seeds torch
    assert toys.same_weights(first, trained(source, None))
    assert not toys.same_weights(first, trained(source, None, Drawing()))


def test_a_seeded_run_on_images(tiny_digits: ImageData) -> None:
    def digits(seed: int, *callbacks: Callback) -> nn.Module:
        torch.manual_seed(0)
        classifier = Classifier.new("quick-cnn", tiny_digits)
        trial = Trial(classifier, callbacks=callbacks, seed=seed, verbose=0)
        trial.with_images(tiny_digits, 128, augmentation=RandomShift(2)).run(2)
        return classifier.network

    first = digits(1)
    torch.rand(7)
    assert toys.same_weights(first, digits(1, Drawing()))
    assert not toys.same_weights(first, digits(2))
