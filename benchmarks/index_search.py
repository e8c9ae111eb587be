"""Similar images among 100,000: the index beside an exact search with numpy, query by query."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lamplighter.datasets.files import ImageFiles
from lamplighter.features.extraction import Features
from lamplighter.features.index.index import Index
from measuring import median, record, table

if TYPE_CHECKING:
    from collections.abc import Callable

COUNT, DIMENSION, QUERIES, K = 100_000, 1280, 200, 10
# Queries of one search before it is the other's turn. The threads of numpy's BLAS go on waiting for
# work on both cores for a moment after each product, in the way of whoever comes next.
TURN, PAUSE = 20, 0.2
LABELS = 100
RECALL_BAR, MILLISECONDS_BAR = 0.99, 10


def gaussian(rng: np.random.Generator, count: int) -> np.ndarray:
    """No structure at all: the nearest is hardly nearer than the rest."""
    return rng.standard_normal((count, DIMENSION), dtype=np.float32)


def photos(rng: np.random.Generator, count: int) -> np.ndarray:
    """200 classes, each varying along 64 directions, a third of all images near another one.

    Numbers are mostly small, some large, none negative, as a network's features are.
    """
    classes = gaussian(rng, 200)[rng.integers(0, 200, count)]
    along = rng.standard_normal((count, 64), dtype=np.float32) @ (gaussian(rng, 64) / 8)
    vectors = 0.5 * classes + 0.7 * along + 0.15 * gaussian(rng, count)
    near = np.flatnonzero(rng.random(count) < 1 / 3)
    vectors[near] = vectors[rng.integers(0, count, len(near))]
    vectors[near] += 0.05 * gaussian(rng, len(near))
    vectors *= np.exp(0.8 * rng.standard_normal(DIMENSION)).astype(np.float32)
    return np.maximum(vectors, 0)


def frames(rng: np.random.Generator, count: int) -> np.ndarray:
    """100 scenes of 1,000 frames that are nearly the same, with few large numbers."""
    scenes = np.maximum(gaussian(rng, 100), 0)[rng.integers(0, 100, count)] ** 3
    along = rng.standard_normal((count, 20), dtype=np.float32) @ gaussian(rng, 20)
    return np.maximum(scenes + 0.15 * along + 0.05 * gaussian(rng, count), 0)


KINDS = {"photos": photos, "frames": frames, "gaussian": gaussian}


def features(vectors: np.ndarray) -> Features:
    count = len(vectors)
    files = ImageFiles(
        name="images",
        root=Path("/images"),
        paths=tuple(f"{number:06d}.jpg" for number in range(count)),
        labels=np.arange(count, dtype=np.int64) % LABELS,
        class_names=tuple(f"class {number}" for number in range(LABELS)),
        splits=("",) * count,
        groups=("",) * count,
    )
    hashes = tuple(f"{number:064x}" for number in range(count))
    return Features(vectors=vectors, files=files, hashes=hashes, network="0" * 64)


def anonymous_memory() -> float:
    """Return the megabytes that this process holds itself."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("RssAnon:")[1].split()[0]) / 1024


def cold(path: Path, queries: Path) -> None:
    """Print what a process of its own needs for its first answer from an index."""
    query = np.load(queries)[:1]
    before, start = anonymous_memory(), time.perf_counter()
    index = Index.open(path)
    index.search(query, K)
    print(json.dumps([time.perf_counter() - start, anonymous_memory() - before]))


def answer(search: Callable[[np.ndarray], Any], query: np.ndarray, seconds: list[float]) -> Any:
    """Return what a search finds, and add the seconds that it took."""
    start = time.perf_counter()
    found = search(query)
    seconds.append(time.perf_counter() - start)
    return found


def measure(kind: str, folder: Path) -> list[object]:
    rng = np.random.default_rng(0)
    vectors = KINDS[kind](rng, COUNT + QUERIES)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors, queries = vectors[:COUNT], vectors[COUNT:].copy()
    path = folder / f"{kind}.index"
    np.save(folder / "queries.npy", queries)
    start = time.perf_counter()
    index = Index.create(path, features(vectors))
    written = time.perf_counter() - start
    index.prepare()
    built = time.perf_counter() - start
    ours, exact, labelled, found = [], [], [], []
    for start in range(0, QUERIES, TURN):
        some = queries[start : start + TURN]
        nearest = [answer(lambda q: np.argpartition(-(vectors @ q), K)[:K], q, exact) for q in some]
        time.sleep(PAUSE)
        for query, right in zip(some, nearest, strict=True):
            (hits,) = answer(lambda q: index.search(q[np.newaxis], K), query, ours)
            names = {f"{number:06d}.jpg" for number in right}
            found.append(len(names & {hit.path for hit in hits}) / K)
        for query in some:
            (hits,) = answer(
                lambda q: index.search(q[np.newaxis], K, where={"label": "class 7"}),
                query,
                labelled,
            )
            assert len(hits) == K
            assert all(hit.label == "class 7" for hit in hits)
    command = [sys.executable, __file__, "cold", str(path), str(folder / "queries.npy")]
    first, memory = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    size = (path.stat().st_size, path.with_name(f"{path.name}.faiss").stat().st_size)
    return [
        kind,
        f"{np.mean(found):.4f}",
        *(f"{1000 * median(times):.1f} / {1000 * np.percentile(times, 95):.1f}"
          for times in (ours, labelled, exact)),
        f"{written:.1f} + {built - written:.1f}",
        f"{first:.2f}",
        f"{memory:.0f}",
        f"{size[0] / 1e6:.0f} + {size[1] / 1e6:.0f}",
    ]  # fmt: skip


def main() -> None:
    rows = []
    for kind in KINDS:
        with tempfile.TemporaryDirectory() as folder:
            rows.append(measure(kind, Path(folder)))
    header = [
        "vectors",
        f"recall@{K} (bar {RECALL_BAR})",
        f"ms a query (bar {MILLISECONDS_BAR})",
        "with a label",
        "exact, numpy",
        "build s, truth + cache",
        "first answer s",
        "memory MB",
        "disk MB, truth + cache",
    ]
    text = (
        f"{COUNT:,} vectors of {DIMENSION:,} numbers, {QUERIES} queries one at a time, {TURN} of "
        "each search in turn; milliseconds are median / 95th percentile. The first answer is that "
        "of a process which opens the index, its cache in place."
    )
    record(
        "index_search.py",
        "Search in an index of similar images",
        f"{text}\n\n{table(header, rows)}",
    )


if __name__ == "__main__":
    if sys.argv[1:2] == ["cold"]:
        cold(Path(sys.argv[2]), Path(sys.argv[3]))
    else:
        main()
