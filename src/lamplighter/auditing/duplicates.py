"""Exact duplicates and near-duplicates, by hashes and thumbnails.

A copy is found though it was saved anew as JPEG (quality 50) or another format, made smaller (to
half its size) or larger, squashed, or made lighter or darker by 5 %: all of 1,103 photos so
changed were. At 10 % lighter, where highlights burn out, 92 in 100 were, and 94 in 100 of those
that lost 0.5 % at each edge. Not found are copies that were cropped more, turned, mirrored,
made grey or otherwise coloured. Two photos of a fixed camera are no copies, unless they were taken
in so short a time that nothing moved. Images with next to nothing in them are not compared;
simple drawings of a few strokes may be taken for copies though they are not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lamplighter.auditing.thumbnails import SIDE

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from lamplighter.auditing.thumbnails import Look

# Bits of 64. Of 8,824 changed copies of 1,103 photos of one camera the farthest was at 8, and one
# pair in 400 of different photos is nearer than 13.
RADIUS = 12
# Differences of grey values in units of their standard deviation: over the whole thumbnail, and
# in that cell of 8 x 8 where it is largest. Copies differed by at most 0.09 and 0.24; of 600,000
# pairs of different photos none by less than 0.16 in the whole and 0.57 in a cell.
_MEAN, _CELL = 0.12, 0.3
_COLOUR_MEAN, _COLOUR_CELL = 4.0, 16.0  # levels of 0..255; copies differed by at most 1.2 and 4
_FLOOR = 4.0  # a smaller deviation, in levels, counts as this: the rest is noise of JPEG
_LEAST = 1.5  # deviation of a thumbnail, in levels, below which there is nothing to compare
_CELLS = 8
_BLOCK = 1 << 21  # pairs of hashes at once: 16 MB
_CHUNK = 2048  # pairs of thumbnails at once: 8 MB each


def perceptual_hashes(greys: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """Return a hash of each thumbnail, of which similar images differ in few bits.

    The 8 x 8 lowest frequencies of the cosine transform, each above or below their median
    (the DCT hash of Zauner, "Implementation and Benchmarking of Perceptual Image Hash
    Functions", 2010).

    Args:
        greys: shape (N, 32, 32).

    Returns:
        Hashes, shape (N,).
    """
    steps = np.arange(SIDE, dtype=np.float32)
    waves = np.cos(np.pi / SIDE * (steps + 0.5) * np.arange(8, dtype=np.float32)[:, None])
    hashes = np.empty(len(greys), np.uint64)
    for start in range(0, len(greys), 4096):
        part = greys[start : start + 4096].astype(np.float32)
        values = (waves @ part @ waves.T).reshape(-1, 64)
        above = values > np.median(values[:, 1:], axis=1, keepdims=True)  # 1: all but the mean
        hashes[start : start + 4096] = np.packbits(above, axis=1).view(np.uint64)[:, 0]
    return hashes


def close_pairs(
    hashes: NDArray[np.uint64], radius: int = RADIUS
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Yield all pairs i < j whose hashes differ in at most `radius` bits, some at a time.

    Every pair is compared, in blocks, so that the memory stays as it is for any N.

    Args:
        hashes: shape (N,).
        radius: bits, 0..64.

    Yields:
        The i and the j of some pairs, shape (M,) each.
    """
    count = len(hashes)
    start = 0
    while start < count - 1:
        stop = min(count, start + max(1, _BLOCK // (count - start)))
        bits = np.bitwise_count(hashes[start:stop, None] ^ hashes[None, start:])
        first, second = np.nonzero(bits <= radius)
        later = second > first
        if later.any():
            yield first[later] + start, second[later] + start
        start = stop


def near_duplicates(looks: Sequence[Look]) -> list[list[int]]:
    """Return groups of images that are copies or near-copies of one another.

    Candidates by their perceptual hash are compared by their thumbnails. What is a copy of a copy
    is in the same group. Files of the same content always are, others not where they have next
    to nothing in them.

    Args:
        looks: N looks.

    Returns:
        Indices of two or more images each, ascending, in the order of the first of each.
    """
    single = {look.content: look for look in reversed(looks)}  # one look of each content
    found = _Clusters(list(single.values())).found()
    number = dict(zip(single, found.tolist(), strict=True))
    groups: dict[int, list[int]] = {}
    for index, look in enumerate(looks):
        groups.setdefault(number[look.content], []).append(index)
    return [group for group in groups.values() if len(group) > 1]


class _Clusters:
    """Images of different content, joined where they are near-copies."""

    def __init__(self, looks: Sequence[Look]) -> None:
        self.labels: NDArray[np.int64] = np.arange(len(looks), dtype=np.int64)
        greys = [look.grey for look in looks]
        self.greys = np.stack(greys) if greys else np.empty((0, SIDE, SIDE), np.uint8)
        size = (len(looks), _CELLS, _CELLS)
        self.colours = np.array([look.colours for look in looks], np.uint8).reshape(*size, 3)
        flat = self.greys.reshape(len(looks), SIDE * SIDE)
        self.means = flat.mean(axis=1, dtype=np.float32)
        deviations = np.array([row.std(dtype=np.float32) for row in flat], np.float32)
        self.comparable = deviations >= _LEAST
        self.scales = np.maximum(deviations, _FLOOR)
        # No whole differs by less than its cells' means do: they rule out most candidates.
        pooled = [_pooled(grey.astype(np.float32)[None])[0] for grey in self.greys]
        cells = np.array(pooled, np.float32).reshape(size)
        self.cells = (cells - self.means[:, None, None]) / self.scales[:, None, None]

    def found(self) -> NDArray[np.int64]:
        """Return the number of its group for each image, shape (N,)."""
        candidates = np.flatnonzero(self.comparable)
        for first, second in close_pairs(perceptual_hashes(self.greys[candidates])):
            for start in range(0, len(first), _CHUNK):
                i = candidates[first[start : start + _CHUNK]]
                j = candidates[second[start : start + _CHUNK]]
                apart = self.labels[i] != self.labels[j]  # the others are known already
                i, j = i[apart], j[apart]
                same = self._same(i, j)
                for a, b in zip(i[same], j[same], strict=True):
                    one, other = sorted((self.labels[a], self.labels[b]))
                    if one != other:
                        self.labels[self.labels == other] = one
        return self.labels

    def _same(self, i: NDArray[np.int64], j: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return which of the pairs (i, j) are near-copies, as places in `i`."""
        rough = np.abs(self.cells[i] - self.cells[j])
        likely = (rough.mean(axis=(1, 2)) <= _MEAN) & (rough.max(axis=(1, 2)) <= _CELL)
        places = np.flatnonzero(likely)
        i, j = i[places], j[places]
        differences = np.abs(self._normalised(i) - self._normalised(j))
        cells = _pooled(differences)
        hue = np.abs(self._hues(i) - self._hues(j)).mean(axis=3)
        near = (
            (differences.mean(axis=(1, 2)) <= _MEAN)
            & (cells.max(axis=(1, 2)) <= _CELL)
            & (hue.mean(axis=(1, 2)) <= _COLOUR_MEAN)
            & (hue.max(axis=(1, 2)) <= _COLOUR_CELL)
        )
        found: NDArray[np.int64] = places[near]
        return found

    def _normalised(self, indices: NDArray[np.int64]) -> NDArray[np.float32]:
        greys = self.greys[indices].astype(np.float32)
        scaled: NDArray[np.float32] = (greys - self.means[indices, None, None]) / self.scales[
            indices, None, None
        ]
        return scaled

    def _hues(self, indices: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return how far each colour is from grey, shape (M, 8, 8, 3)."""
        colours = self.colours[indices].astype(np.float32)
        hues: NDArray[np.float32] = colours - colours.mean(axis=3, keepdims=True)
        return hues


def _pooled(images: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the means of the 8 x 8 cells of images (N, 32, 32), shape (N, 8, 8)."""
    step = SIDE // _CELLS
    pooled: NDArray[np.float32] = images.reshape(-1, _CELLS, step, _CELLS, step).mean(axis=(2, 4))
    return pooled
