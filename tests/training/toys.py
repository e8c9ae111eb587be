"""Small networks and data that learn in milliseconds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from lamplighter import Trial
from lamplighter.training.callbacks import Callback

if TYPE_CHECKING:
    from lamplighter.training.view import TrialView

CLASSES = 3


def network(seed: int = 0, *, dropout: float = 0.3, classes: int = CLASSES) -> nn.Sequential:
    """Images (N, 1, 6, 6) to logits (N, classes)."""
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Flatten(), nn.Linear(36, 16), nn.ReLU(), nn.Dropout(dropout), nn.Linear(16, classes)
    )


def examples(count: int, seed: int = 0, *, classes: int = CLASSES) -> tuple[Tensor, Tensor]:
    """Noisy images (count, 1, 6, 6), each with its class's row lit, and their labels."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, classes, (count,), generator=generator)
    images = torch.rand(count, 1, 6, 6, generator=generator)
    images[torch.arange(count), 0, labels % 6] += 1.0
    return images, labels


def loader(
    count: int, seed: int = 0, *, batch_size: int = 8, shuffle: bool = False
) -> DataLoader[tuple[Tensor, ...]]:
    return DataLoader(TensorDataset(*examples(count, seed)), batch_size, shuffle=shuffle)


def trial(model: nn.Module | None = None, **arguments: object) -> Trial:
    """A quiet trial of a small network with Adam and cross-entropy."""
    model = model if model is not None else network()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    values = {"metrics": ["loss", "acc"], "verbose": 0} | arguments
    return Trial(model, optimizer, nn.CrossEntropyLoss(), **values)  # type: ignore[arg-type]


def same_weights(first: nn.Module, second: nn.Module) -> bool:
    ours, theirs = first.state_dict(), second.state_dict()
    return ours.keys() == theirs.keys() and all(torch.equal(ours[k], theirs[k]) for k in ours)


class Endless:
    """An iterable of batches that begins anew and does not say how many there are."""

    def __init__(self, batches: list[tuple[Tensor, Tensor]], *, noise: bool = False) -> None:
        self.batches = batches
        self.noise = noise

    def __iter__(self):
        for images, labels in self.batches:
            yield images + torch.randn_like(images) * 0.1 if self.noise else images, labels


class Steps(Callback):
    """Count the batches of each epoch and keep their first pixels."""

    def __init__(self) -> None:
        self.counts: list[int] = []
        self.pixels: list[float] = []

    def on_epoch_start(self, view: TrialView) -> None:
        self.counts.append(0)

    def on_batch_start(self, view: TrialView) -> None:
        self.counts[-1] += 1
        assert view.images is not None
        self.pixels.append(view.images.flatten()[0].item())
