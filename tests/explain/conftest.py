"""Two classifiers that the tests of this folder share, photos, and what a network must keep."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from lamplighter.datasets.image_data import ImageData

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import nn

    from lamplighter.models.classifier import Classifier


@pytest.fixture(scope="session")
def digit_data(mnist: ImageData) -> ImageData:
    """6,000 training and 1,000 test images of MNIST."""
    splits = {
        name: mnist[name].take(np.arange(count))
        for name, count in (("train", 6000), ("test", 1000))
    }
    return ImageData(splits, mnist.class_names, preprocessing=mnist.preprocessing, name="digits")


@pytest.fixture(scope="session")
def digit_classifier(digit_data: ImageData) -> Classifier:
    """A network that tells most digits apart; do not change it."""
    from lamplighter.training.recipes import train

    return train(digit_data, epochs=2, seed=7, verbose=0)


@pytest.fixture(scope="session")
def photo_classifier() -> Classifier:
    """EfficientNet-Lite0 with the weights of ImageNet, on photos of 96 x 96; do not change it."""
    from lamplighter.saving.backbones import bundled_classifier

    classifier = bundled_classifier("efficientnet-lite0", size=(96, 96))
    classifier.to_torch()
    return classifier


@pytest.fixture(scope="session")
def photo() -> Path:
    """A photo of a dahlia, 640 x 427, which comes with scikit-learn (CC BY)."""
    import sklearn.datasets

    return Path(sklearn.datasets.__file__).parent / "images" / "flower.jpg"


def hooks_on(network: nn.Module) -> int:
    """Return how many hooks hang on a network and all its modules, of whatever kind."""
    return sum(
        len(value)
        for module in network.modules()
        for name, value in module.__dict__.items()
        if name.startswith("_") and "hook" in name and hasattr(value, "__len__")
    )


@contextlib.contextmanager
def kept_as_it_was(network: nn.Module) -> Iterator[None]:
    """Assert that weights, modes, gradients, flags and hooks are afterwards what they were.

    Every second parameter gets a gradient of its own before.
    """
    for number, parameter in enumerate(network.parameters()):
        parameter.grad = torch.full_like(parameter, 0.5) if number % 2 else None
    state = {name: value.clone() for name, value in network.state_dict().items()}
    gradients = [parameter.grad for parameter in network.parameters()]
    flags = [parameter.requires_grad for parameter in network.parameters()]
    modes = [module.training for module in network.modules()]
    in_place = [getattr(module, "inplace", None) for module in network.modules()]
    hooks = hooks_on(network)
    try:
        yield
    finally:
        after = network.state_dict()
        assert after.keys() == state.keys()
        assert all(torch.equal(after[name], state[name]) for name in state)
        assert all(
            parameter.grad is gradient
            for parameter, gradient in zip(network.parameters(), gradients, strict=True)
        )
        assert all(gradient is None or (gradient == 0.5).all() for gradient in gradients)
        assert [parameter.requires_grad for parameter in network.parameters()] == flags
        assert [module.training for module in network.modules()] == modes
        assert [getattr(module, "inplace", None) for module in network.modules()] == in_place
        assert hooks_on(network) == hooks
        for parameter in network.parameters():
            parameter.grad = None
