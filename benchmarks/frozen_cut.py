"""What an epoch of fine-tuning costs when everything before a cut is frozen.

EfficientNet-Lite0 at 224 x 224, batches of 32, no augmentation. One side runs the whole network
at each epoch, with its older stages frozen; the other computes the activations at the cut once
and trains on them. Both begin with the same weights and seeds, and must end with the same ones.

python benchmarks/frozen_cut.py [FOLDER]    (noise of 600 images without a folder of photos)
"""

from __future__ import annotations

import argparse
import time
import warnings
from pathlib import Path

import numpy as np
import torch
from torch import nn

from lamplighter import Classifier, ImageData, Preprocessing, Split, Trial
from lamplighter.models.pretrained import pretrained_classifier
from lamplighter.training.callbacks import on_epoch_end, on_epoch_start
from lamplighter.transfer.freezing import freeze, layered_parameters
from lamplighter.transfer.split_network import CutNetwork, cut_batches
from measuring import median, record, table, timed

CUTS = ("backbone", "backbone.blocks.5")
EPOCHS, BATCH, SEED, SIZE = 4, 32, 7, 224


def images(folder: Path | None) -> ImageData:
    if folder is not None:
        return ImageData.from_folder(folder, size=SIZE)
    generator = np.random.default_rng(0)
    pixels = generator.integers(0, 256, (600, 3, SIZE, SIZE), dtype=np.uint8)
    split = Split(pixels, generator.integers(0, 20, 600))
    names = [f"class {number}" for number in range(20)]
    preprocessing = Preprocessing(height=SIZE, width=SIZE)
    return ImageData({"train": split}, names, preprocessing=preprocessing, name="noise")


def fresh(data: ImageData, base: Classifier) -> Classifier:
    torch.manual_seed(SEED)
    classifier = Classifier.new("pretrained", data, backbone="efficientnet-lite0")
    classifier.network.backbone.load_state_dict(base.network.backbone.state_dict())
    return classifier


def epochs(classifier: Classifier, network: nn.Module, give: object) -> list[float]:
    """Train `network`, and return the seconds of each epoch."""
    seconds: list[float] = []

    @on_epoch_start
    def begin(view: object) -> None:
        seconds.append(time.perf_counter())

    @on_epoch_end
    def end(view: object) -> None:
        seconds[-1] = time.perf_counter() - seconds[-1]

    # Adam makes full steps of gradients that are nothing but rounding; a larger eps does not.
    optimizer = torch.optim.AdamW(layered_parameters(classifier.network, 1e-3), eps=1e-4)
    watch = [begin, end]
    trial = Trial(network, optimizer, nn.CrossEntropyLoss(), ["loss"], watch, verbose=0, seed=SEED)
    give(trial).run(EPOCHS)
    return seconds


def both(data: ImageData, base: Classifier, after: str) -> list[str]:
    whole = fresh(data, base)
    freeze(whole.network, until=after)
    slow = epochs(
        whole,
        whole,
        lambda trial: trial.with_images(
            ImageData({"train": data["train"]}, data.class_names, preprocessing=data.preprocessing),
            BATCH,
        ),
    )
    tailed = fresh(data, base)
    sample = torch.from_numpy(data.preprocessing.normalise(data["train"].images[:2]))
    cut = CutNetwork(tailed.network, after, sample)
    made: list[object] = []

    def compute() -> None:
        made.append(cut_batches(tailed, data, "train", cut, batch_size=BATCH, seed=SEED))

    once, _ = timed(compute)
    fast = epochs(tailed, cut.tail_part, lambda trial: trial.with_generators(made[0]))
    theirs = {name: value for name, value in whole.network.state_dict().items() if value.any()}
    apart = max(
        float((value.float() - theirs[name].float()).abs().max() / theirs[name].abs().max())
        for name, value in tailed.network.state_dict().items()
        if name in theirs
    )
    whole_epoch, cut_epoch = median(slow[1:]), median(fast[1:])
    return [
        after,
        f"{whole_epoch:.2f}",
        f"{cut_epoch:.2f}",
        f"{cut_epoch / whole_epoch:.3f}",
        f"{once:.2f}",
        f"{apart:.1e}",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?")
    data = images(parser.parse_args().folder)
    base = pretrained_classifier("efficientnet-lite0", size=SIZE)
    header = [
        "frozen up to",
        "epoch of the whole network, s",
        "epoch after the cut, s",
        "ratio",
        "activations, once, s",
        "largest difference, relative to the largest weight of its tensor",
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        rows = [both(data, base, after) for after in CUTS]
    text = table(header, rows)
    text += (
        f"\n\n{len(data['train']):,} images of {data.name}; medians of epochs 2 to {EPOCHS} "
        "(bar: a ratio of at most 0.333, the same weights within float error)."
    )
    record("frozen_cut.py", "Fine-tuning after a cut", text)


if __name__ == "__main__":
    main()
