"""Images of an index that are nearly the same, by comparing all pairs."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from lamplighter.features.index.store import Store

_BLOCK = 2048  # images that are compared with as many others at a time


def near_duplicates(
    store: Store, threshold: float, progress: Callable[[int, int], None] | None = None
) -> list[list[tuple[int, float]]]:
    """Return groups of items that are linked by pairs of at least `threshold`.

    Memory holds two blocks of vectors and one number for each item, however many pairs there are.

    Args:
        store: the items; their vectors have length 1.
        threshold: least cosine similarity of a pair.
        progress: called with the items done and their number.

    Returns:
        Groups of two items or more, the largest first. Of each item its id and the similarity
        to the nearest of its group.
    """
    links, nearest = _Links(), dict[int, float]()
    count, done = len(store), 0
    # A little less than asked for: the vectors are rounded to 24 bits.
    threshold -= 1e-6
    for rows, left in store.blocks(_BLOCK):
        for columns, right in store.blocks(_BLOCK, after=int(rows[0]) - 1):
            similarities = left @ right.T  # (B, B')
            if rows[0] == columns[0]:
                similarities[np.tri(len(rows), dtype=bool)] = -2  # itself, and each pair once
            _link(similarities, threshold, rows, columns, links, nearest)
        done += len(rows)
        if progress is not None:
            progress(done, count)
    members: dict[int, list[int]] = defaultdict(list)
    for number in sorted(nearest):
        members[links.first(number)].append(number)
    groups = [[(number, nearest[number]) for number in group] for group in members.values()]
    return sorted(groups, key=lambda group: (-len(group), group[0]))


def _link(
    similarities: NDArray[np.float32],
    threshold: float,
    rows: NDArray[np.int64],
    columns: NDArray[np.int64],
    links: _Links,
    nearest: dict[int, float],
) -> None:
    """Note the pairs among `rows` (B,) and `columns` (B',) that are at least `threshold`."""
    for row in np.flatnonzero(similarities.max(axis=1) >= threshold):
        first = int(rows[row])
        for column in np.flatnonzero(similarities[row] >= threshold):
            second, similarity = int(columns[column]), float(similarities[row, column])
            links.join(first, second)
            for number in (first, second):
                nearest[number] = max(similarity, nearest.get(number, -1.0))


class _Links:
    """Sets of numbers that grow together: the first of each set stands for it."""

    def __init__(self) -> None:
        self._parent: dict[int, int] = {}

    def first(self, number: int) -> int:
        """Return the smallest number that `number` is linked to, directly or not."""
        parent = self._parent
        while (above := parent.get(number, number)) != number:
            parent[number] = parent.get(above, above)  # so that the next way is shorter
            number = above
        return number

    def join(self, one: int, other: int) -> None:
        """Link two numbers."""
        low, high = sorted((self.first(one), self.first(other)))
        if low != high:
            self._parent[high] = low
