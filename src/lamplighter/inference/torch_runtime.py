"""Runs a torch network; torch itself is imported when it does."""

from __future__ import annotations

import contextlib
import math
from typing import TYPE_CHECKING

import numpy as np

from lamplighter.errors import ModelError
from lamplighter.text import first_line

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import torch
    from numpy.typing import NDArray
    from torch import nn


# Pixels of the images in one forward pass on a CPU: 16 photos of 224 x 224, a thousand digits.
# More leave its caches, and took gigabytes without being faster.
_PIXELS = 16 * 224 * 224


class TorchRuntime:
    """Runs a torch network in evaluation mode, where it is, and leaves it as it was.

    Args:
        network: maps images (N, C, H, W) to logits (N, K).
        batch_size: images in one forward pass at most; large ones take fewer on a CPU.
    """

    def __init__(self, network: nn.Module, *, batch_size: int = 250) -> None:
        self.network = network
        self.batch_size = batch_size

    def __call__(self, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the logits (N, K) of preprocessed `inputs` (N, C, H, W).

        Raises:
            ModelError: the network fails on them.
        """
        return np.concatenate([logits for logits, _ in self._batches(inputs)])

    def with_features(
        self, inputs: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return logits (N, K) and features (N, D) of preprocessed `inputs` (N, C, H, W).

        Raises:
            ModelError: the network fails on them, or has no features.
        """
        batches = self._batches(inputs)
        features = [part for _, part in batches if part is not None]
        if len(features) < len(batches):
            raise no_features()
        return np.concatenate([logits for logits, _ in batches]), np.concatenate(features)

    def gives_features(self, inputs: NDArray[np.float32]) -> bool:
        """Return whether there are features (N, D) of preprocessed `inputs` (N, C, H, W).

        Raises:
            ModelError: the network fails on them.
        """
        return all(features is not None for _, features in self._batches(inputs))

    @property
    def num_features(self) -> int | None:
        """D, or None where the network has no features to give."""
        from lamplighter.models.features import num_features

        return num_features(self.network)

    def _batches(
        self, inputs: NDArray[np.float32]
    ) -> list[tuple[NDArray[np.float32], NDArray[np.float32] | None]]:
        """Return logits and, where there are any, features of each batch."""
        import torch

        device = device_of(self.network)
        images = torch.from_numpy(np.ascontiguousarray(inputs))
        count = self.batch_size
        if device.type == "cpu":
            count = min(count, images_at_once(images.shape))
        with evaluating(self.network), torch.inference_mode():
            return [self._forward(batch.to(device)) for batch in torch.split(images, count)]

    def _forward(
        self, images: torch.Tensor
    ) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
        import torch

        from lamplighter.models.features import forward_with_features

        try:
            logits, features = forward_with_features(self.network, images)
        except RuntimeError as error:  # what torch raises, above all where shapes do not fit
            raise ModelError(
                f"the network fails on images of shape {shape_text(images.shape)}: "
                f"{first_line(error)}; do its layers fit the preprocessing?"
            ) from error
        if not isinstance(logits, torch.Tensor):
            raise ModelError(
                "the network must return one tensor of logits (N, K), "
                f"received {type(logits).__name__}."
            )
        scores: NDArray[np.float32] = logits.float().cpu().numpy()
        return scores, None if features is None else features.float().cpu().numpy()


def images_at_once(shape: Sequence[int], pixels: int = _PIXELS) -> int:
    """Return how many images of a batch (N, C, H, W) are `pixels` together; at least one."""
    return max(1, pixels // max(1, math.prod(shape[2:])))


@contextlib.contextmanager
def evaluating(network: nn.Module) -> Iterator[None]:
    """Put `network` into evaluation mode, and each of its modules back afterwards."""
    modes = {module: module.training for module in network.modules()}
    network.eval()
    try:
        yield
    finally:
        for module, training in modes.items():
            module.training = training


def device_of(network: nn.Module) -> torch.device:
    """Return the device of the network's first parameter or buffer; the CPU if it has none."""
    import torch

    for tensor in (*network.parameters(), *network.buffers()):
        return tensor.device
    return torch.device("cpu")


def no_features() -> ModelError:
    """Return what to raise where features are asked of a network without."""
    return ModelError(
        "features are what the last layer of a network is given, one vector for each image, but "
        "this network has none; use one that ends with a dense layer."
    )


def shape_text(shape: tuple[int | str | None, ...]) -> str:
    """Return `shape` as it is written."""
    return f"({', '.join(str(size) for size in shape)})"
