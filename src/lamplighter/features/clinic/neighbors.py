"""The most similar images of some, and near-copies among all, by exact cosine similarity."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lamplighter.models.reliability import unit_length

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

NEAR_COPY = 0.985  # cosine similarity from which two images count as one picture
_AT_ONCE = 30_000_000  # similarities in memory: 120 MB
_FEW = 4096  # vectors of which all pairs are compared as they are
_AXES = 127
_SAMPLE = 8192  # vectors that the axes are chosen by
_PENDING = 1_000_000  # links between two mergers of groups


@dataclass(frozen=True, eq=False, kw_only=True)
class NearCopies:
    """Images that show one picture.

    Attributes:
        groups: the place of the first of its copies, and of copies of these, shape (N,).
        partner: of each image with a label the most similar copy that has another label, shape
            (N,); -1 where there is none.
        similarity: to the partner, shape (N,); 0 where there is none.
    """

    groups: NDArray[np.int64]
    partner: NDArray[np.int64]
    similarity: NDArray[np.float32]


def near_copies(
    directions: NDArray[np.float32],
    labels: NDArray[np.int64],
    contents: Sequence[str],
    *,
    threshold: float = NEAR_COPY,
) -> NearCopies:
    """Return which of N images are copies: files of one content, and very similar vectors.

    Args:
        directions: vectors of length 1, shape (N, D).
        labels: classes, shape (N,); -1 for none.
        contents: a hash of each file's content, N texts.
        threshold: least cosine similarity of a near-copy.
    """
    places: dict[str, int] = {}
    copied = np.array(
        [places.setdefault(content, row) for row, content in enumerate(contents)], dtype=np.int64
    )
    first, numbers = np.unique(copied, return_inverse=True)
    partner = np.full(len(labels), -1, dtype=np.int64)
    similarity = np.zeros(len(labels), dtype=np.float32)

    def conflict(i: NDArray[np.int64], j: NDArray[np.int64], alike: NDArray[np.float32]) -> None:
        differ = (labels[i] != labels[j]) & (labels[i] >= 0) & (labels[j] >= 0)
        for one, other in ((i[differ], j[differ]), (j[differ], i[differ])):
            closest = np.argsort(alike[differ], kind="stable")  # the last of one place stays
            one, other, close = one[closest], other[closest], alike[differ][closest]
            better = close > similarity[one]
            partner[one[better]], similarity[one[better]] = other[better], close[better]

    same = np.flatnonzero(copied != np.arange(len(labels)))
    conflict(copied[same], same, np.ones(len(same), dtype=np.float32))
    links = _Links(len(first))
    single = directions if len(first) == len(directions) else directions[first]
    for i, j, alike in close_pairs(single, threshold):
        links.add(i, j)
        conflict(first[i], first[j], alike)
    return NearCopies(groups=first[links.groups()[numbers]], partner=partner, similarity=similarity)


def close_pairs(
    directions: NDArray[np.float32], threshold: float
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]]:
    """Yield all pairs i < j of at least `threshold` cosine similarity, some at a time.

    Of many vectors, first their shadows on the 127 main axes are compared. What is left of two
    vectors, of lengths r and s, adds at most r s to their product (Cauchy and Schwarz), so that no
    pair is missed; few pairs remain to be compared in full.

    Args:
        directions: vectors of length 1, shape (N, D).
        threshold: least similarity.

    Yields:
        The i, the j and the similarity of some pairs, shape (M,) each.
    """
    count = len(directions)
    shadows = directions
    if count > _FEW and directions.shape[1] > 2 * _AXES:
        shadows = _shadows(directions)
    start = 0
    while start < count - 1:
        stop = min(count, start + max(1, _AT_ONCE // (count - start)))
        # A little less than asked for: sums are rounded to 24 bits.
        bound = shadows[start:stop] @ shadows[start:].T >= threshold - 1e-5
        bound[np.tri(stop - start, count - start, dtype=bool)] = False  # itself, each pair once
        i, j = (places + start for places in np.nonzero(bound))
        for at in range(0, len(i), _FEW):
            one, other = i[at : at + _FEW], j[at : at + _FEW]
            alike = np.einsum("nd,nd->n", directions[one], directions[other])
            near = alike >= threshold
            if near.any():
                yield one[near], other[near], alike[near]
        start = stop


def _shadows(directions: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return vectors (N, 128) whose products are at least those of `directions` (N, D)."""
    sample = directions[:: -(-len(directions) // _SAMPLE)]
    _, axes = np.linalg.eigh(sample.T @ sample)
    main = np.ascontiguousarray(axes[:, -_AXES:], dtype=np.float32)
    shadows = np.empty((len(directions), main.shape[1] + 1), dtype=np.float32)
    np.matmul(directions, main, out=shadows[:, :-1])
    lengths = np.square(shadows[:, :-1]).sum(1)
    shadows[:, -1] = np.sqrt(np.maximum(1 - lengths, 0) + 1e-6)
    return shadows


def joined_groups(groups: NDArray[np.int64], names: Sequence[str]) -> NDArray[np.int64]:
    """Return groups (N,) in which images of one name are together as well; "" is no name."""
    links = _Links(len(groups))
    members: dict[str, int] = {}
    firsts = [members.setdefault(name, row) if name else row for row, name in enumerate(names)]
    rows = np.arange(len(groups))
    links.add(rows, groups)
    links.add(rows, np.array(firsts, dtype=np.int64))
    return links.groups()


def directions_of(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return each row of `vectors` (N, D) at length 1, without a copy in double precision."""
    found = np.empty_like(vectors)
    for start in range(0, len(vectors), _FEW):
        found[start : start + _FEW] = unit_length(vectors[start : start + _FEW])
    return found


class _Links:
    """Groups of numbers that grow together."""

    def __init__(self, count: int) -> None:
        self._groups = np.arange(count, dtype=np.int64)
        self._pending: list[tuple[NDArray[np.int64], NDArray[np.int64]]] = []
        self._waiting = 0

    def add(self, i: NDArray[np.int64], j: NDArray[np.int64]) -> None:
        """Link pairs."""
        self._pending.append((i, j))
        self._waiting += len(i)
        if self._waiting >= _PENDING:
            self._merge()

    def groups(self) -> NDArray[np.int64]:
        """Return the number of the group of each, shape (N,)."""
        self._merge()
        return self._groups

    def _merge(self) -> None:
        from scipy.sparse import coo_array
        from scipy.sparse.csgraph import connected_components

        count = len(self._groups)
        pairs = [*self._pending, (np.arange(count), self._groups)]
        i, j = (np.concatenate(part) for part in zip(*pairs, strict=True))
        graph = coo_array((np.ones(len(i), dtype=np.int8), (i, j)), shape=(count, count))
        _, found = connected_components(graph, directed=False)
        # Of each group its first member, which is a place in the graph as well.
        self._groups = np.unique(found, return_index=True)[1][found].astype(np.int64)
        self._pending, self._waiting = [], 0


def nearest_others(
    directions: NDArray[np.float32],
    rows: NDArray[np.intp],
    groups: NDArray[np.int64],
    *,
    count: int,
) -> Iterator[tuple[NDArray[np.intp], NDArray[np.float32]]]:
    """Yield for each of `rows` its most similar others, those of its own group left out.

    Args:
        directions: vectors of length 1, shape (N, D).
        rows: whose neighbors are wanted.
        groups: shape (N,); an image and its copies are of one group.
        count: the most neighbors of each.

    Yields:
        Rows, the most similar first, and their cosine similarities; fewer than `count` where there
        are not so many.
    """
    step = max(1, _AT_ONCE // max(len(directions), 1))
    wanted = min(count, len(directions))
    for start in range(0, len(rows), step):
        part = rows[start : start + step]
        alike = directions[part] @ directions.T  # (n, N)
        alike[groups[part][:, np.newaxis] == groups] = -2.0
        for row in alike:
            places = np.argpartition(-row, wanted - 1)[:wanted] if wanted else np.arange(0)
            places = places[np.lexsort((places, -row[places]))]
            places = places[row[places] > -1.5]
            yield places, row[places]
