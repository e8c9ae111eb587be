"""Train with images and with a DataLoader; started twice by torchrun, or once as it is.

Arguments: a file for the results, the number of processes.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import torch
from torch import nn

from lamplighter import Trial
from lamplighter.datasets.image_data import ImageData, Split
from lamplighter.images.preprocessing import Preprocessing
from lamplighter.training.callbacks import Callback


def data() -> ImageData:
    """Splits whose last batches cannot be shared evenly: 8 + 8 + 8 + 5 and 8 + 3."""
    rng = np.random.default_rng(0)
    splits = {}
    for name, count in (("train", 29), ("val", 11)):
        labels = rng.integers(0, 3, count)
        images = rng.integers(0, 200, (count, 1, 6, 6), dtype=np.uint8)
        images[np.arange(count), 0, labels] += 50
        splits[name] = Split(images, labels)
    preprocessing = Preprocessing(height=6, width=6, channels=1, mean=(0.5,), std=(0.5,))
    return ImageData(splits, ["a", "b", "c"], preprocessing=preprocessing)


class First(Callback):
    """Watches in the first process alone."""

    epochs = 0

    def on_epoch_end(self, view) -> None:
        self.epochs += 1


def small_network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(36, 16), nn.ReLU(), nn.Linear(16, 3))


def weights(network: nn.Module) -> dict[str, object]:
    return {name: values.tolist() for name, values in network.state_dict().items()}


def steps_of_a_list(processes: int) -> dict[str, object]:
    """Weights after two epochs of two steps, each of two batches of a list: one a process.

    The loss ignores some of the labels, not as many in each batch.
    """
    images, labels = data().splits["train"].images, data().splits["train"].labels
    labels = np.where(np.arange(len(labels)) % 5 == 0, -100, labels)  # two of 6, then one
    size = 12 // processes
    pairs = [
        (torch.tensor(images[i : i + size] / 255).float(), torch.tensor(labels[i : i + size]))
        for i in range(0, 24, size)
    ]
    network = small_network()
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    trial = Trial(network, optimizer, nn.CrossEntropyLoss(), verbose=0, seed=1)
    trial.with_train_generator(pairs).for_train_steps(2)
    if processes > 1:
        trial.with_trainer(strategy="ddp", accelerator="cpu", devices=processes)
    trial.run(2)
    return weights(network)


def main(file: str, processes: int) -> None:
    network = small_network()
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9)
    watcher = First()
    trial = Trial(
        network,
        optimizer,
        nn.CrossEntropyLoss(),
        metrics=["loss", "acc", "mse"],
        callbacks=[watcher],
        verbose=0,
        seed=1,
    ).with_images(data(), 8)
    if processes > 1:
        trial.with_trainer(strategy="ddp", accelerator="cpu", devices=processes)
    trial.run(3)
    results = trial.evaluate()
    predicted = {key: trial.predict(data_key=key).tolist() for key in ("train", "val")}
    steps = steps_of_a_list(processes)
    rank = torch.distributed.get_rank() if processes > 1 else 0
    if rank == 0:
        whole = {"weights": weights(network), "history": trial.history, "results": results}
        whole |= {"predicted": predicted, "steps": steps, "watched": watcher.epochs}
        with Path(file).open("w") as stream:
            json.dump(whole, stream)
    else:
        assert watcher.epochs == 0
    if processes > 1:
        torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
