"""What EfficientNet-Lite0 knows of photos of ImageNet, beside the figures it is to agree with.

    python benchmarks/imagenet.py FOLDER

FOLDER holds a folder for each class, named by its WordNet id (n01440764) or its number (0 to 999).
The figures are those of 1,000 photos; others are easier or harder.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from lamplighter import Estimate, find_files, predict, pretrained, wilson
from measuring import record, table

EXPECTED = {"top-1": 88.3, "top-5": 97.7}  # %
BATCH = 100


def numbers(names: tuple[str, ...]) -> np.ndarray:
    """Return the places of classes among ImageNet's thousand, shape (K,)."""
    from timm.data import ImageNetInfo

    places = {name: place for place, name in enumerate(ImageNetInfo().label_names())}
    places |= {str(place): place for place in range(1000)}
    unknown = [name for name in names if name not in places]
    if unknown:
        raise SystemExit(
            "folders must be named by WordNet id, such as n01440764, or number, 0 to 999; "
            f"received {unknown[0]!r}."
        )
    return np.array([places[name] for name in names])


def ranks(folder: Path) -> np.ndarray:
    """Return at which place, from 0, the network has the class of each photo, shape (N,)."""
    files = find_files(folder)
    truth = numbers(files.class_names)[files.labels]
    network = pretrained()
    parts = [
        predict(network, files.files[start : start + BATCH]).logits
        for start in range(0, len(files), BATCH)
    ]
    logits = np.concatenate(parts)
    own = np.take_along_axis(logits, truth[:, np.newaxis], axis=1)
    return (logits > own).sum(axis=1)


def share(places: np.ndarray, most: int) -> Estimate:
    """Return how many photos have their class among the first `most`."""
    return wilson(int((places < most).sum()), len(places))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    places = ranks(parser.parse_args().folder)
    rows = []
    for (name, expected), most in zip(EXPECTED.items(), (1, 5), strict=True):
        measured = share(places, most)
        agrees = 100 * measured.low <= expected <= 100 * measured.high
        rows.append([name, format(measured, ".1f"), expected, "yes" if agrees else "no"])
    text = table(["", "measured", "expected, %", "within the interval"], rows)
    record("imagenet.py", "Photos of ImageNet", f"{text}\n\n{len(places):,} photos.")


if __name__ == "__main__":
    main()
