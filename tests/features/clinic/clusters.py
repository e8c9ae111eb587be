"""Features of images that lie in a cluster for each class."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from lamplighter.datasets.files import ImageFiles
from lamplighter.features.extraction import Features


def features_of(vectors, labels, *, names=None, groups=None, hashes=None) -> Features:
    """Return features with files that are not there, numbered; -1 is no label."""
    labels = np.asarray(labels, dtype=np.int64)
    count = len(labels)
    return Features(
        vectors=np.asarray(vectors, dtype=np.float32),
        files=ImageFiles(
            name="clusters",
            root=Path("/nowhere"),
            paths=tuple(f"{number:04d}.png" for number in range(count)),
            labels=labels,
            class_names=tuple(names or (f"class {n}" for n in range(labels.max(initial=0) + 1))),
            splits=("",) * count,
            groups=tuple(groups or ("",) * count),
        ),
        hashes=tuple(hashes or (f"{number:064x}" for number in range(count))),
        network="0" * 64,
    )


def clusters(sizes, *, dimension=24, spread=0.6, seed=0):
    """Return vectors (N, D) around one center for each class, and their classes (N,)."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(len(sizes)), sizes)
    centers = rng.normal(size=(len(sizes), dimension))
    return centers[labels] + spread * rng.normal(size=(len(labels), dimension)), labels
