"""A quantised scan of all vectors with FAISS, which finds candidates for neighbours.

The only module that knows FAISS. What it finds are candidates, which the index ranks anew by the
exact vectors. Each of the D numbers of a vector is kept on a scale of its own from the smallest to
the largest value that any vector has there, in 256 steps; the query is weighted by those scales and
rounded too, so that FAISS compares whole numbers. Half precision would read twice the memory for
each query and take twice as long; a graph would take minutes to build and miss neighbours.

The codes are kept beside the index in a cache that can be made anew at any time. Of that file only
numbers are read, by numpy: FAISS's own reader is not made for files of strangers.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import tempfile
import zlib
from concurrent.futures import ThreadPoolExecutor
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from lamplighter.errors import OutputError
from lamplighter.files.writing import written_whole
from lamplighter.machine import usable_cores

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from lamplighter.features.index.store import Store

_LAYOUT = 1
_HEADER = (
    4096  # bytes: JSON, filled up with spaces; then middles, scales, ids, codes and a checksum
)
_CHECKSUM = 4
_ENOUGH = 10_000  # vectors that are worth a thread
_MOST = 8  # threads; more wait for the memory
_BLOCK = 16_384  # vectors that are read from the cache at a time


class Scan:
    """Candidates among the N vectors of an index.

    Args:
        file: what `_write` wrote, from its beginning.
        token: the state of the index that it must be of.

    Raises:
        ValueError: the file is damaged, or of another state.
        OSError: it cannot be read.
    """

    def __init__(self, file: IO[bytes], token: str) -> None:
        beginning = file.read(_HEADER)
        header = json.loads(beginning)
        if not isinstance(header, dict) or header.get("layout") != _LAYOUT:
            raise ValueError("of another layout")
        if header.get("token") != token:
            raise ValueError("of another state of the index")
        count, dimension = int(header["count"]), int(header["dimension"])
        body = 8 * dimension + 8 * count + count * dimension
        if os.fstat(file.fileno()).st_size != _HEADER + body + _CHECKSUM:
            raise ValueError("of another size")
        self.token = token
        check = zlib.crc32(beginning)
        scales, ids = file.read(8 * dimension), file.read(8 * count)
        check = zlib.crc32(ids, zlib.crc32(scales, check))
        self._middle, self._scales = np.frombuffer(scales, dtype="<f4").reshape(2, dimension)
        self._ids = np.frombuffer(ids, dtype="<i8")
        self._shards: list[Any] = []
        workers = min(usable_cores(), _MOST, -(-count // _ENOUGH))
        for own in np.array_split(self._ids, max(workers, 1)):
            shard = _shard(dimension)
            for start in range(0, len(own), _BLOCK):
                part = own[start : start + _BLOCK]
                codes = file.read(len(part) * dimension)
                check = zlib.crc32(codes, check)
                array = np.frombuffer(codes, dtype=np.uint8).reshape(len(part), dimension)
                shard.add_sa_codes(array, part)
            self._shards.append(shard)
        if file.read() != check.to_bytes(_CHECKSUM, "little"):
            raise ValueError("of another checksum")

    def __len__(self) -> int:
        return len(self._ids)

    def candidates(
        self, queries: NDArray[np.float32], count: int, *, among: NDArray[np.int64] | None = None
    ) -> list[tuple[NDArray[np.int64], NDArray[np.float32]]]:
        """Return for each query the ids of about the nearest vectors, those nearest first.

        Args:
            queries: float32, shape (Q, D).
            count: how many for each; fewer where there are not so many.
            among: the ids to choose from; all by default.

        Returns:
            For each query at most `count` ids, and about how similar these are.
        """
        count = min(count, len(self) if among is None else len(among))
        if count == 0:
            return [(np.empty(0, dtype=np.int64), np.empty(0, dtype=np.float32)) for _ in queries]
        weighted = queries * self._scales  # (Q, D)
        largest = np.abs(weighted).max(axis=1, keepdims=True)
        largest = np.where(largest > 0, largest, 1)
        rounded = np.rint(weighted * (127 / largest)).astype(np.float32)

        def search(shard: Any) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
            _use_one_thread()  # each core has a shard already
            # Each shard needs options of its own: while it searches, FAISS writes to them.
            options = None if among is None else _only(among)
            scores, ids = shard.search(rounded, min(count, shard.ntotal), params=options)
            return scores, ids

        with ThreadPoolExecutor(len(self._shards)) as pool:
            found = list(pool.map(search, self._shards))
        scores = np.concatenate([part for part, _ in found], axis=1)  # (Q, up to shards * count)
        ids = np.concatenate([part for _, part in found], axis=1)
        order = np.argsort(-scores, axis=1, kind="stable")
        ids = np.take_along_axis(ids, order, axis=1)
        similarities = np.take_along_axis(scores, order, axis=1) * (largest / 127**2)
        similarities += (queries @ self._middle)[:, np.newaxis]
        # Where a shard has too few that are allowed, it fills up with -1, scored lowest.
        return [
            (own[own >= 0][:count], about[own >= 0][:count])
            for own, about in zip(ids, similarities, strict=True)
        ]

    def deviation(self, query: NDArray[np.float32]) -> float:
        """Return the standard deviation of similarities to `query` (D,) by the rounding of codes.

        Each number is off by up to half a step, evenly spread, which has a variance of 1/12.
        """
        return float(np.linalg.norm(query * self._scales)) / (127 * math.sqrt(12))


def scan_of(store: Store, cache: Path) -> Scan:
    """Return the scan of the present state of `store`, from `cache` if it is of that state.

    Otherwise the cache is written anew, or, where it cannot be, a temporary file in its place.

    Raises:
        SimilarIndexError: the index is damaged.
    """
    token = store.about["token"]
    unfit = (OSError, ValueError, KeyError, TypeError, RecursionError)
    with contextlib.suppress(*unfit), cache.open("rb") as file:
        return Scan(file, token)
    with contextlib.suppress(OutputError):
        with written_whole(cache) as file:
            _write(store, file)
        with contextlib.suppress(*unfit), cache.open("rb") as file:
            return Scan(file, token)
    with tempfile.TemporaryFile() as file:
        _write(store, file)
        file.seek(0)
        return Scan(file, token)


def _write(store: Store, file: IO[bytes]) -> None:
    """Write header, middles (D,), scales (D,), ids (N,), codes (N, D), checksum."""
    count, low, high = 0, np.inf, -np.inf
    every = [np.empty(0, dtype=np.int64)]
    for ids, vectors in store.blocks():
        low, high = np.minimum(low, vectors.min(axis=0)), np.maximum(high, vectors.max(axis=0))
        every.append(ids)
        count += len(ids)
    dimension = store.dimension
    middle = np.broadcast_to((low + high) / 2 if count else 0, dimension).astype("<f4")
    scales = np.broadcast_to((high - low) / 2 if count else 0, dimension).astype("<f4")
    header = {
        "layout": _LAYOUT,
        "token": store.about["token"],
        "count": count,
        "dimension": dimension,
    }
    check = 0
    for part in (
        json.dumps(header).encode().ljust(_HEADER),
        middle.tobytes(),
        scales.tobytes(),
        np.concatenate(every).astype("<i8").tobytes(),
        *_codes(store, middle, scales),
    ):
        check = zlib.crc32(part, check)
        file.write(part)
    file.write(check.to_bytes(_CHECKSUM, "little"))


def _codes(
    store: Store, middle: NDArray[np.float32], scales: NDArray[np.float32]
) -> Iterator[bytes]:
    """Yield the codes of all vectors: a byte for each number, 1..255 about 128."""
    steps = 127 / np.where(scales > 0, scales, 1)
    for _, vectors in store.blocks():
        yield (np.rint((vectors - middle) * steps) + 128).astype(np.uint8).tobytes()


def _shard(dimension: int) -> Any:
    """Return an empty index of whole numbers -128..127, each a byte, to be found by id."""
    import faiss

    kind = faiss.ScalarQuantizer.QT_8bit_direct_signed
    return faiss.IndexIDMap(faiss.IndexScalarQuantizer(dimension, kind, faiss.METRIC_INNER_PRODUCT))


def _only(ids: NDArray[np.int64]) -> Any:
    """Return the options of a search among these ids."""
    import faiss

    options: Any = faiss.SearchParameters
    return options(sel=faiss.IDSelectorBatch(ids))  # faiss's wrapper keeps the selector alive


def _use_one_thread() -> None:
    """Have FAISS use one thread for what the present thread asks of it."""
    import faiss

    faiss.omp_set_num_threads(1)
