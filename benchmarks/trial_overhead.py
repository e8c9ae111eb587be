"""What a Trial costs over a plain loop, on the same network and batches.

BetterCNN, batches of 128, epochs of MNIST. Each side runs in processes of its own, as it would for
its user, and the sides take turns. A Trial has the C library keep freed memory, which is a good
part of the time; so the Trial's processes also run the plain loop, and the same loop on Lightning's
Fabric, in turn with the Trial and with its memory kept alike.
"""

from __future__ import annotations

import json
import subprocess
import sys
import warnings

import torch
from torch import nn

from lamplighter import Classifier, ImageData, Trial
from measuring import median, record, table, timed

ROUNDS = 5
EPOCHS = 3


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


def fabric(data: ImageData, batches: object) -> nn.Module:
    from lightning_fabric import Fabric

    network, optimizer, criterion = fresh(data)
    runner = Fabric(accelerator="cpu", devices=1)
    runner.launch()
    model, optimizer = runner.setup(network, optimizer)
    model.train()
    total, right, count = 0.0, 0, 0
    for batch in batches:
        images, labels = runner.to_device(batch)
        optimizer.zero_grad()
        logits = model(images)
        loss = criterion(logits, labels)
        runner.backward(loss)
        optimizer.step()
        total += loss.item() * len(labels)
        right += (logits.argmax(1) == labels).sum().item()
        count += len(labels)
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


SIDES = {
    "plain loop": [loop],
    "Trial": [trial, loop, fabric],
    "Torchbearer 0.5.5": [torchbearer],
    "plain Lightning": [lightning],
}


def measure(side: str) -> None:
    """Print the wall and processor seconds of the epochs of a side, by the name of its work."""
    data = ImageData.mnist()
    batches = data.batches("train", 128, seed=7)
    times = {work.__name__: [] for work in SIDES[side]}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for work in SIDES[side]:  # imports and first calls are not counted
            work(data, batches)
        for _ in range(EPOCHS):
            for work in SIDES[side]:
                times[work.__name__].append(timed(lambda work=work: work(data, batches)))
    print(json.dumps(times))


def in_a_process(side: str) -> dict[str, tuple[float, float]]:
    """Return the median seconds of each work of a side, measured in a process of its own."""
    command = [sys.executable, __file__, side]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    times = json.loads(printed.splitlines()[-1])
    return {
        work: tuple(median([each[kind] for each in taken]) for kind in (0, 1))
        for work, taken in times.items()
    }


def main() -> None:
    rounds = [{side: in_a_process(side) for side in SIDES} for _ in range(ROUNDS)]
    kept = "plain loop, memory kept"
    seconds = {side: [each[side][SIDES[side][0].__name__] for each in rounds] for side in SIDES}
    seconds[kept] = [each["Trial"]["loop"] for each in rounds]
    seconds["bare Fabric loop, memory kept"] = [each["Trial"]["fabric"] for each in rounds]

    def over(side: str, other: str, kind: int) -> list[float]:
        pairs = zip(seconds[side], seconds[other], strict=True)
        return [mine[kind] / yours[kind] for mine, yours in pairs]

    rows = []
    for side, taken in seconds.items():
        cells = [side]
        for kind in (0, 1):
            cells.append(f"{median([each[kind] for each in taken]):.2f}")
            cells += [f"{median(over(side, other, kind)):.3f}" for other in ("plain loop", kept)]
        rows.append(cells)
    against = ["to plain", "to plain, kept"]
    text = table(["", "wall s", *against, "processor s", *against], rows)
    spread = ", ".join(f"{ratio:.3f}" for ratio in sorted(over("Trial", kept, 0)))
    text += (
        f"\n\nMedians over {ROUNDS} processes a side, each the median of {EPOCHS} epochs (bar: "
        "Trial at most 1.05 times the plain loop). A Trial to the plain loop with its memory "
        f"kept, wall time in each process: {spread}."
    )
    record("trial_overhead.py", "What a Trial costs", text)


if __name__ == "__main__":
    measure(sys.argv[1]) if len(sys.argv) > 1 else main()
