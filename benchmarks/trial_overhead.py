"""What a Trial costs over a plain loop, on the same network and batches.

BetterCNN, batches of 128, one epoch of MNIST a run. The sides take turns; each run's time is
divided by that of the plain loop beside it, and the median of these ratios counts.
"""

from __future__ import annotations

import warnings

import torch
from torch import nn

from lamplighter import Classifier, ImageData, Trial
from measuring import median, record, table, timed

ROUNDS = 9


def fresh(data: ImageData) -> tuple[nn.Module, torch.optim.Optimizer, nn.Module]:
    torch.manual_seed(7)
    network = Classifier.new("better-cnn", data).network
    return network, torch.optim.Adam(network.parameters()), nn.CrossEntropyLoss()


def loop(data: ImageData, batches: object) -> nn.Module:
    network, optimizer, criterion = fresh(data)
    network.train()
    total, right, count = 0.0, 0, 0
    for images, labels in batches:
        optimizer.zero_grad()
        logits = network(images)
        loss = criterion(logits, labels)
        loss.backward()
        optimizer.step()
        total += loss.item() * len(labels)
        right += (logits.argmax(1) == labels).sum().item()
        count += len(labels)
    return network


def trial(data: ImageData, batches: object) -> nn.Module:
    network, optimizer, criterion = fresh(data)
    Trial(network, optimizer, criterion, metrics=["acc", "loss"], verbose=0).with_generators(
        batches
    ).run(1)
    return network


def torchbearer(data: ImageData, batches: object) -> nn.Module:
    from torchbearer import Trial as Original

    network, optimizer, criterion = fresh(data)
    original = Original(network, optimizer, criterion, metrics=["acc", "loss"])
    original.with_generators(batches).run(1, verbose=0)
    return network


def lightning(data: ImageData, batches: object) -> nn.Module:
    import pytorch_lightning as pl

    network, optimizer, criterion = fresh(data)

    class Module(pl.LightningModule):
        def __init__(self):
            super().__init__()
            self.network = network

        def training_step(self, batch, batch_idx):
            images, labels = batch
            logits = self.network(images)
            loss = criterion(logits, labels)
            self.log("loss", loss, on_step=False, on_epoch=True)
            right = (logits.argmax(1) == labels).float().mean()
            self.log("acc", right, on_step=False, on_epoch=True)
            return loss

        def configure_optimizers(self):
            return optimizer

    trainer = pl.Trainer(
        max_epochs=1,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(Module(), batches)
    return network


def main() -> None:
    data = ImageData.mnist()
    batches = data.batches("train", 128, seed=7)
    sides = {
        "plain loop": loop,
        "Trial": trial,
        "Torchbearer 0.5.5": torchbearer,
        "plain Lightning": lightning,
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for side in sides.values():  # imports and first calls are not counted
            side(data, batches)
        times = {name: [] for name in sides}
        for _ in range(ROUNDS):
            for name, side in sides.items():
                times[name].append(timed(lambda side=side: side(data, batches)))
    rows = []
    for name, taken in times.items():
        ratios = [
            [
                mine[kind] / plain[kind]
                for mine, plain in zip(taken, times["plain loop"], strict=True)
            ]
            for kind in (0, 1)
        ]
        wall, processor = (median([each[kind] for each in taken]) for kind in (0, 1))
        rows.append(
            [
                name,
                f"{wall:.2f}",
                f"{median(ratios[0]):.3f}",
                f"{processor:.2f}",
                f"{median(ratios[1]):.3f}",
            ]
        )
    text = table(["", "wall s", "ratio", "processor s", "ratio"], rows)
    text += f"\n\nMedians of {ROUNDS} rounds (bar: Trial at most 1.05 times the plain loop)."
    record("trial_overhead.py", "What a Trial costs", text)


if __name__ == "__main__":
    main()
