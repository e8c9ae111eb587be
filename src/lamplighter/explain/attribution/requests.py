"""What an attribution method is given, and what it returns."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch

from lamplighter.errors import NoGradientError
from lamplighter.explain.hooks import voting_head
from lamplighter.inference.torch_runtime import images_at_once

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    from torch import Tensor, nn

    from lamplighter.images.preprocessing import Preprocessing
    from lamplighter.models.classifier import Classifier

_BLUR = 1 / 20  # standard deviation of the blur, in shorter sides of the image
# Larger batches no longer fit the processor's caches and are slower for each image.
_GRADIENT_PIXELS = 4 * 224 * 224
_FORWARD_PIXELS = 8 * 224 * 224


@dataclass(frozen=True)
class Asked:
    """Why does `network` give `inputs` these scores?

    Attributes:
        network: in evaluation mode, its parameters without gradients.
        inputs: prepared images, shape (N, C, H, W), where the network is.
        targets: the class that is asked about for each, int64, shape (N,).
        preprocessing: how the images were prepared.
    """

    network: nn.Module
    inputs: Tensor
    targets: Tensor
    preprocessing: Preprocessing

    def one_by_one(self) -> Iterator[Asked]:
        """Give the question about each image by itself."""
        for number in range(len(self.inputs)):
            one = slice(number, number + 1)
            yield Asked(self.network, self.inputs[one], self.targets[one], self.preprocessing)

    def in_batches(self) -> Iterator[Asked]:
        """Give the question in batches that are fit for a forward and a backward pass."""
        for part in batches(len(self.inputs), self.gradient_batch):
            yield Asked(self.network, self.inputs[part], self.targets[part], self.preprocessing)

    @property
    def gradient_batch(self) -> int:
        """How many images a forward and backward pass takes at a time."""
        return min(256, images_at_once(self.inputs.shape, _GRADIENT_PIXELS))

    @property
    def forward_batch(self) -> int:
        """How many images a forward pass takes at a time."""
        return min(512, images_at_once(self.inputs.shape, _FORWARD_PIXELS))

    def logits(self, inputs: Tensor) -> Tensor:
        """Return the logits (M, K) of any prepared images (M, C, H, W), without gradients."""
        with torch.no_grad():
            parts = [
                self.network(inputs[part]) for part in batches(len(inputs), self.forward_batch)
            ]
        return torch.cat(parts)


@dataclass(frozen=True)
class Answer:
    """The maps of a method, with how they were made.

    Attributes:
        maps: shape (N, H, W).
        settings: how, as plain JSON types.
        notes: what the reader of the maps should know, a sentence each.
        measured: numbers about each map by name, each of shape (N,).
    """

    maps: Tensor
    settings: dict[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    measured: dict[str, np.ndarray[Any, Any]] = field(default_factory=dict)


def batches(count: int, size: int) -> list[slice]:
    """Return slices of at most `size` that together are `count`."""
    return [slice(start, start + size) for start in range(0, count, size)]


def baseline_of(inputs: Tensor, preprocessing: Preprocessing, name: str) -> Tensor:
    """Return what is to stand for nothing being there.

    Args:
        inputs: prepared images, shape (N, C, H, W).
        preprocessing: of the classifier.
        name: "black", "mean" (the mean colour that the preprocessing subtracts) or "blur" (the
            image out of focus, by a Gaussian of a twentieth of its shorter side).

    Returns:
        Prepared images, shape (N, C, H, W).
    """
    if name == "blur":
        from torchvision.transforms.v2.functional import gaussian_blur

        sigma = max(0.6, _BLUR * min(inputs.shape[2:]))
        reach = min(int(3 * sigma), min(inputs.shape[2:]) - 1)  # it reflects at the edges
        blurred: Tensor = gaussian_blur(inputs, [2 * reach + 1] * 2, [sigma] * 2)
        return blurred
    if name == "mean":
        return torch.zeros_like(inputs)
    black = [-mean / std for mean, std in zip(preprocessing.mean, preprocessing.std, strict=True)]
    colour = torch.tensor(black, dtype=inputs.dtype, device=inputs.device)
    return colour.reshape(1, -1, 1, 1).expand_as(inputs).clone()


def shares_of(logits: Tensor, classifier: Classifier) -> Tensor:
    """Return logits (N, K) as the probabilities that `predict` gives, with their temperature."""
    trust = classifier.trust
    return (logits / (1.0 if trust is None else trust.temperature)).softmax(1)


@contextlib.contextmanager
def gradients_explained(network: nn.Module) -> Iterator[None]:
    """Say in one line what is the matter where scores do not depend on images smoothly.

    Raises:
        NoGradientError: torch finds no gradient.
    """
    try:
        yield
    except RuntimeError as error:
        if "does not require grad" not in str(error) and "not have been used" not in str(error):
            raise
        raise no_gradient(network) from error


def no_gradient(network: nn.Module) -> NoGradientError:
    """Return what to raise where the gradient of the scores is missing or 0 everywhere."""
    head = voting_head(network)
    cause = (
        f"its {type(head).__name__} counts votes, which a small change of the image leaves as they "
        "are"
        if head is not None
        else "no path of gradients leads from them to the image"
    )
    return NoGradientError(
        "this method needs scores that change with the image, but the gradient is 0 everywhere: "
        f"{cause}; method='occlusion' works without gradients."
    )
