"""An index of feature vectors: nearest neighbours and near-duplicates."""

from __future__ import annotations

import operator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from lamplighter.datasets.zipped_images import ZipPaths
from lamplighter.errors import OutputError, SimilarIndexError
from lamplighter.features.index.near_duplicates import near_duplicates
from lamplighter.features.index.scan import Scan, scan_of
from lamplighter.features.index.store import COLUMNS, Store
from lamplighter.features.index.update import (
    Changes,
    checked,
    directions,
    found_at,
    items,
    place_of,
    write,
)
from lamplighter.files.writing import check_target
from lamplighter.models.reliability import unit_length
from lamplighter.names import suggestion
from lamplighter.text import counted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from numpy.typing import NDArray

    from lamplighter.features.extraction import Features


@dataclass(frozen=True)
class Hit:
    """An image that an index found.

    Attributes:
        path: its file, relative to the root of the index.
        label: its class; "" without one.
        similarity: cosine of the angle between its vector and that asked for, -1..1.
        id: its number in the index.
        split: its split; "" without one.
        file: where the file should be; it may have vanished since.
    """

    path: str
    label: str
    similarity: float
    id: int
    split: str
    file: Path


def hits_of(store: Store, root: Path, found: Iterable[tuple[int, float]]) -> list[Hit]:
    """Return the hits of these ids and similarities, their files below `root`."""
    hits = []
    for number, similarity in found:
        item = store.item(number)
        similarity = min(1.0, max(-1.0, similarity))  # rounding goes beyond
        hits.append(Hit(item.path, item.label, similarity, number, item.split, root / item.path))
    return hits


def checked_condition(store: Store, where: Mapping[str, str]) -> dict[str, str]:
    """Return the condition `where` if the items of `store` can be chosen by it.

    Raises:
        SimilarIndexError: it names something else, or what no item has.
    """
    for column, value in where.items():
        if column not in COLUMNS:
            raise SimilarIndexError(
                f"images can be chosen by {' or '.join(COLUMNS)}, received {column!r}."
            )
        known = store.values(column)
        if value not in known:
            told = suggestion(value, [name or "images without" for name in known], opening="it has")
            raise SimilarIndexError(f"{store.path} has no image of {column} {value!r}; {told}")
    return dict(where)


_BLOCK = 4096  # vectors held in memory at a time
_MOST = 8192  # candidates that are enough in any case
_SPARE = 100  # candidates beyond twice those asked for, since rounding may reorder them


class Index:
    """Similar images by the cosine similarity of their features, in a file.

    Made by `Index.create` and `Index.open`. Safe for several threads, and for several processes.

    Args:
        store: the opened file.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._scan: Scan | None = None
        self._zips = ZipPaths()

    @classmethod
    def create(
        cls,
        path: str | Path,
        features: Features,
        *,
        source: Mapping[str, Any] | None = None,
        force: bool = False,
    ) -> Self:
        """Write a new index of `features` to `path`, whole or not at all.

        Args:
            path: the file, by custom NAME.index.
            features: what `lamplighter.embed` returned.
            source: how to make their network again, plain JSON; see `lamplighter.similar`.
            force: replace a file that is there already.

        Raises:
            OutputError: the file is there already, or cannot be written.
            SimilarIndexError: a vector is not finite.
        """
        path = Path(path)
        if check_target(path).exists() and not force:
            raise OutputError(f"{path} is there already: choose another name, or force it.")
        about = {
            "dimension": int(checked(features).shape[1]),
            "network": features.network,
            "source": dict(source or {}),
            "root": place_of(features.files.root, path),
        }
        rows = zip(items(features), directions(features), strict=True)
        return cls(Store.create(path, about, rows))

    @classmethod
    def open(cls, path: str | Path) -> Self:
        """Return the index in the file `path`. Nothing in it is executed or unpickled.

        Raises:
            SimilarIndexError: it is missing, damaged, no index, or of a later version.
        """
        return cls(Store(Path(path)))

    def close(self) -> None:
        """Let the file go."""
        self._store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __len__(self) -> int:
        return len(self._store)

    def __repr__(self) -> str:
        return f"Index({self.path}, {counted(len(self), 'image')}, {self.dimension:,} numbers each)"

    @property
    def path(self) -> Path:
        """The file of the index."""
        return self._store.path

    @property
    def network(self) -> str:
        """The fingerprint of the network that the vectors come from."""
        return str(self._store.about["network"])

    @property
    def source(self) -> dict[str, Any]:
        """How to make that network again, as `create` was told."""
        source = self._store.about.get("source")
        return source if isinstance(source, dict) else {}

    @property
    def dimension(self) -> int:
        """D, how many numbers a vector has."""
        return self._store.dimension

    @property
    def root(self) -> Path:
        """The folder that paths are relative to; it may have moved together with the index."""
        return self._zips.real(found_at(self._store.about.get("root"), self.path))

    def update(self, features: Features, *, force: bool = False) -> Changes:
        """Make the index one of exactly these `features`; only what differs is written.

        All of it is one transaction: an update that is killed leaves the index as it was.

        Args:
            features: those of a whole folder, of the network of this index.
            force: take them even if they are of another folder, with no file of this one.

        Raises:
            SimilarIndexError: they are of another network or folder, a vector is not finite, or
                another process is writing.
            OutputError: the file cannot be written.
        """
        return write(self._store, features, keep=False, force=force)

    def add(self, features: Features) -> Changes:
        """Add `features`, in place of those of the same paths; all others stay.

        Raises:
            SimilarIndexError: they are of another network, a vector is not finite, or another
                process is writing.
            OutputError: the file cannot be written.
        """
        return write(self._store, features, keep=True, force=True)

    def remove(self, paths: Iterable[str]) -> int:
        """Remove the images of these paths, relative to the root; return how many there were.

        Raises:
            SimilarIndexError: another process is writing.
            OutputError: the file cannot be written.
        """
        unwanted = set(paths)
        with self._store.writing():
            ids = [n for n, item in self._store.items().items() if item.path in unwanted]
            if ids:
                self._store.remove(ids)
        return len(ids)

    def search(
        self, vectors: NDArray[np.float32], k: int = 12, *, where: Mapping[str, str] | None = None
    ) -> list[list[Hit]]:
        """Return for each vector the `k` most similar images, the most similar first.

        Candidates are found by a scan of all images in 8 bits and ranked by their exact vectors;
        where these show that the 8 bits could have missed one, more are ranked.

        Args:
            vectors: features of the network of this index, shape (Q, D), of any length.
            k: how many for each, at least 1; fewer where there are not so many.
            where: choose among images with this "label", "split" or both.

        Raises:
            SimilarIndexError: vectors do not fit or are not finite, `k` or `where` is none, or
                the index is damaged.
        """
        count = operator.index(k)
        if count < 1:
            raise SimilarIndexError(f"k must be at least 1, received {k}.")
        queries = np.asarray(vectors)
        if queries.ndim != 2 or queries.shape[1] != self.dimension:
            raise SimilarIndexError(
                f"vectors must be of shape (Q, {self.dimension}), received {queries.shape}; embed "
                "the images with the network of the index."
            )
        if not np.isfinite(queries).all():
            raise SimilarIndexError("vectors must be finite, received NaN or infinity.")
        queries = unit_length(queries)
        with self._store.reading():
            among = self._store.ids(checked_condition(self._store, where)) if where else None
            scan = self._present_scan()
            found = scan.candidates(queries, 2 * count + _SPARE, among=among)
            return [
                self._ranked(scan, query, count, candidates, among=among)
                for query, candidates in zip(queries, found, strict=True)
            ]

    def near_duplicates(
        self, threshold: float = 0.95, *, progress: Callable[[int, int], None] | None = None
    ) -> list[list[Hit]]:
        """Return groups of images that are nearly the same, the largest group first.

        Each image of a group has a similarity of at least `threshold` to another one of it, so
        that a long row of frames, each like the next, is one group. All pairs are compared, some
        thousand images at a time.

        Args:
            threshold: least cosine similarity, above 0 and up to 1.
            progress: called with the images done and their number.

        Returns:
            Groups of two or more; the similarity of a hit is that to the nearest of its group.

        Raises:
            SimilarIndexError: the threshold is out of range, or the index is damaged.
        """
        if not 0 < threshold <= 1:
            raise SimilarIndexError(f"threshold must be above 0, up to 1, received {threshold}.")
        with self._store.reading():
            groups = near_duplicates(self._store, threshold, progress)
            return [hits_of(self._store, self.root, group) for group in groups]

    def prepare(self) -> None:
        """Make the cache for search now, rather than at the first search."""
        with self._store.reading():
            self._present_scan()

    def _present_scan(self) -> Scan:
        if self._scan is None or self._scan.token != self._store.about["token"]:
            self._scan = scan_of(self._store, self.path.with_name(f"{self.path.name}.faiss"))
        return self._scan

    def _ranked(
        self,
        scan: Scan,
        query: NDArray[np.float32],
        count: int,
        candidates: tuple[NDArray[np.int64], NDArray[np.float32]],
        *,
        among: NDArray[np.int64] | None,
    ) -> list[Hit]:
        """Return the `count` images that are most similar to `query` (D,).

        Vectors are read, those first that seem nearest, until one that is left out would still
        come after the last hit if the scan is off by four standard deviations. Among hundreds of
        images that are nearly the same, the 8 bits of the scan may have missed some: where all
        candidates do not suffice, more are asked for.
        """
        while True:
            ids, about = candidates
            exact, best = np.empty(0, dtype=np.float32), np.empty(0, dtype=np.intp)
            certain = False
            while len(exact) < len(ids) and not certain:
                some = slice(len(exact), len(exact) + min(_BLOCK, count + _SPARE // 4 + len(exact)))
                exact = np.append(exact, self._store.vectors(ids[some]) @ query)
                best = np.lexsort((ids[: len(exact)], -exact))[:count]
                errors = exact - about[: len(exact)]
                spread = max(float(errors.std()), scan.deviation(query))
                left_out = about[min(len(exact), len(ids) - 1)] + errors.mean() + 4 * spread
                certain = bool(exact[best[-1]] >= left_out) and len(best) == count
            every = len(ids) == (len(scan) if among is None else len(among))
            if certain or every or len(ids) >= max(_MOST, 4 * count):
                break
            (candidates,) = scan.candidates(query[np.newaxis], 4 * len(ids), among=among)
        found = [(int(ids[i]), float(exact[i])) for i in best]
        return hits_of(self._store, self.root, found)
