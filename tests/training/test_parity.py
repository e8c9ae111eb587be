"""A trial gives the very weights of the loop that everybody writes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset, TensorDataset

from lamplighter import Trial
from lamplighter.models.cnn import SimpleCNN

from . import toys

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from lamplighter.datasets.image_data import ImageData


def plain_loop(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    batches: Iterable[list[Tensor]],
    epochs: int,
    validation: Iterable[list[Tensor]] = (),
) -> None:
    criterion = nn.CrossEntropyLoss()
    for _ in range(epochs):
        model.train()
        for images, labels in batches:
            optimizer.zero_grad()
            criterion(model(images), labels).backward()
            optimizer.step()
        model.eval()
        with torch.no_grad():
            for images, _ in validation:
                model(images)


OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "adam": lambda p: torch.optim.Adam(p, lr=0.01),
    "sgd": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=1e-3, nesterov=True),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_weights_are_those_of_a_plain_loop(name: str) -> None:
    ours, theirs = toys.network(), toys.network()  # with dropout
    optimizers = [OPTIMIZERS[name](model.parameters()) for model in (ours, theirs)]
    train = toys.loader(50, shuffle=True)  # the last batch is smaller
    validation = toys.loader(20, 1)
    torch.manual_seed(3)
    plain_loop(theirs, optimizers[1], train, 3, validation)
    after = torch.random.get_rng_state()
    torch.manual_seed(3)
    trial = Trial(ours, optimizers[0], nn.CrossEntropyLoss(), metrics=["acc", "loss"], verbose=0)
    trial.with_generators(train, validation).run(3)
    assert torch.equal(torch.random.get_rng_state(), after)  # nothing else drew a number
    assert toys.same_weights(ours, theirs)
    assert not toys.same_weights(ours, toys.network())


class Jittered(Dataset[tuple[Tensor, Tensor]]):
    """Items that are random each time, as with augmentation."""

    def __init__(self, count: int, seed: int) -> None:
        self.images, self.labels = toys.examples(count, seed)

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        image = self.images[index]
        return image + 0.1 * torch.randn_like(image), self.labels[index]


def test_looking_for_mistakes_draws_no_random_numbers() -> None:
    ours, theirs = toys.network(), toys.network()
    optimizers = [OPTIMIZERS["adam"](model.parameters()) for model in (ours, theirs)]
    train = DataLoader(Jittered(40, 0), 8, shuffle=True)
    validation = DataLoader(Jittered(16, 1), 8)
    torch.manual_seed(5)
    plain_loop(theirs, optimizers[1], train, 2, validation)
    torch.manual_seed(5)
    trial = Trial(ours, optimizers[0], nn.CrossEntropyLoss(), verbose=0)
    trial.with_generators(train, validation).run(2)
    assert toys.same_weights(ours, theirs)


class Noisy(nn.Module):
    """A network with dropout that forgets the mode."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = toys.network()

    def forward(self, images: Tensor) -> Tensor:
        return functional.dropout(self.layers(images), 0.1)


def test_nor_does_it_where_evaluation_is_random() -> None:
    ours, theirs = Noisy(), Noisy()
    optimizers = [OPTIMIZERS["adam"](model.parameters()) for model in (ours, theirs)]
    train = toys.loader(40, shuffle=True)
    torch.manual_seed(5)
    plain_loop(theirs, optimizers[1], train, 2)
    torch.manual_seed(5)
    trial = Trial(ours, optimizers[0], nn.CrossEntropyLoss(), verbose=0)
    trial.with_generators(train).run(2)
    assert [finding.name for finding in trial.findings] == ["dropout-in-eval"]
    assert toys.same_weights(ours, theirs)


def test_a_convolutional_network_on_mnist(tiny_digits: ImageData) -> None:
    images = torch.from_numpy(tiny_digits["train"].images[:192]).float() / 255
    labels = torch.from_numpy(tiny_digits["train"].labels[:192])
    batches = DataLoader(TensorDataset(images, labels), 64, shuffle=True)
    networks = []
    for _ in range(2):
        torch.manual_seed(0)
        networks.append(SimpleCNN())
    optimizers = [torch.optim.Adam(model.parameters()) for model in networks]
    torch.manual_seed(1)
    plain_loop(networks[0], optimizers[0], batches, 2)
    torch.manual_seed(1)
    trial = Trial(networks[1], optimizers[1], nn.CrossEntropyLoss(), metrics=["acc"], verbose=0)
    trial.with_generators(batches).run(2)
    assert toys.same_weights(*networks)
