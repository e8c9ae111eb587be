"""Features of files that need not be there, for tests of the index."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lamplighter.datasets.files import ImageFiles
from lamplighter.features.extraction import Features

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

NAMES = ("cat", "dog")


def normal(count: int, dimension: int = 16, seed: int = 0) -> NDArray[np.float32]:
    """Random vectors, of any length and direction."""
    return np.random.default_rng(seed).standard_normal((count, dimension), dtype=np.float32)


def make_features(
    vectors: NDArray[np.float32],
    *,
    paths: Sequence[str] | None = None,
    labels: Sequence[int] | None = None,
    root: Path = Path("/photos"),
    network: str = "n" * 64,
) -> Features:
    """Return features whose content follows from their vectors; labels alternate."""
    count = len(vectors)
    paths = tuple(paths or (f"{number:05d}.jpg" for number in range(count)))
    given = np.arange(count) % len(NAMES) if labels is None else np.asarray(labels)
    files = ImageFiles(
        name="photos",
        root=root,
        paths=paths,
        labels=given.astype(np.int64),
        class_names=NAMES,
        splits=("train",) * count,
        groups=("",) * count,
    )
    hashes = tuple(hashlib.sha256(vector.tobytes()).hexdigest() for vector in vectors)
    return Features(vectors=vectors, files=files, hashes=hashes, network=network)


def nearest(
    vectors: NDArray[np.float32], query: NDArray[np.float32], k: int
) -> list[tuple[int, float]]:
    """The oracle: cosine similarities one by one in float64, the largest first."""
    cosines = [
        float(np.dot(v, query) / np.sqrt(np.dot(v, v) * np.dot(query, query)))
        for v, query in ((vector.astype(float), query.astype(float)) for vector in vectors)
    ]
    order = sorted(range(len(cosines)), key=lambda number: -cosines[number])[:k]
    return [(number, cosines[number]) for number in order]
