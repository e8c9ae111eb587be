"""Connected components and morphology on small masks.

scipy.ndimage has both, but importing it takes 0.2 s: two thirds of what `predict` takes for one
digit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]
    Mask = NDArray[np.bool_]


def root(parents: list[int], member: int) -> int:
    """Return the member that stands for the set of `member`, and shorten the way to it.

    Args:
        parents: for each member another one of its set, or itself where it stands for the set.
        member: number of the member.
    """
    while parents[member] != member:
        parents[member] = parents[parents[member]]
        member = parents[member]
    return member


_RECTANGULAR = 0.87  # of the rectangle about it a sheet covers more, an ellipse 0.79
_CONVEX = 0.9  # of the convex hull
_ANGLES = np.deg2rad(np.arange(0, 180, 3))


class Box(NamedTuple):
    """A part of an image: rows top..bottom and columns left..right, the ends excluded."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def long_side(self) -> int:
        """The longer of height and width."""
        return max(self.right - self.left, self.bottom - self.top)

    def gap(self, other: Box) -> int:
        """Return the distance between two boxes, 0 where they overlap."""
        across = max(self.left, other.left) - min(self.right, other.right)
        down = max(self.top, other.top) - min(self.bottom, other.bottom)
        return max(across, down, 0)

    def joined(self, other: Box) -> Box:
        """Return the smallest box around both."""
        return Box(
            min(self.left, other.left),
            min(self.top, other.top),
            max(self.right, other.right),
            max(self.bottom, other.bottom),
        )


class Blob(NamedTuple):
    """A connected patch of ink."""

    label: int
    ink: float
    box: Box


def components(mask: NDArray[np.bool_]) -> NDArray[np.int32]:
    """Return the connected patches of `mask` (H, W), numbered from 1, 0 outside.

    Runs of each row are united with those they touch in the row above, corners included.
    """
    edges = np.diff(np.pad(mask, ((0, 0), (1, 1))).astype(np.int8), axis=1)
    rows, starts = np.nonzero(edges == 1)
    ends = np.nonzero(edges == -1)[1]
    runs = list(zip(rows.tolist(), starts.tolist(), ends.tolist(), strict=True))
    parents = list(range(len(runs)))

    above = 0
    for run, (row, start, end) in enumerate(runs):
        while runs[above][0] < row - 1 or (runs[above][0] == row - 1 and runs[above][2] < start):
            above += 1
        other = above
        while runs[other][0] == row - 1 and runs[other][1] <= end:
            parents[root(parents, other)] = root(parents, run)
            other += 1
    labels = np.zeros(mask.shape, dtype=np.int32)
    numbers = np.unique([root(parents, run) for run in range(len(runs))], return_inverse=True)[1]
    labels[mask] = np.repeat(numbers + 1, ends - starts)
    return labels


def blobs(labels: NDArray[np.int32], departure: Floats) -> list[Blob]:
    """Return each patch of `labels` (H, W) with its box and the sum of its ink."""
    count = int(labels.max(initial=0))
    ink = np.bincount(labels.reshape(-1), weights=departure.reshape(-1), minlength=count + 1)
    rows, columns = np.nonzero(labels)
    inside = labels[rows, columns]
    low, high = np.full((2, count + 1), 1 << 30), np.zeros((2, count + 1), dtype=int)
    for axis, places in enumerate((columns, rows)):
        np.minimum.at(low[axis], inside, places)
        np.maximum.at(high[axis], inside, places + 1)
    return [
        Blob(label, float(ink[label]), Box(*low[:, label].tolist(), *high[:, label].tolist()))
        for label in range(1, count + 1)
    ]


def spread(ink: Floats, radius: float) -> Floats:
    """Return the largest value of `ink` (H, W) within `radius` of each pixel."""
    reach = int(radius)
    padded = np.pad(ink, reach)
    height, width = ink.shape
    result = ink
    for down in range(-reach, reach + 1):
        for across in range(-reach, reach + 1):
            if down * down + across * across <= radius * radius:
                top, left = reach + down, reach + across
                result = np.maximum(result, padded[top : top + height, left : left + width])
    return result


def grown(mask: Mask) -> Mask:
    """Return `mask` (H, W) with the pixels beside it, where strokes fade out."""
    return spread(mask.astype(np.float32), 1.5) > 0


def filled(mask: Mask) -> Mask:
    """Return `mask` (H, W) together with what it encloses."""
    outside = components(np.pad(~mask, 1, constant_values=True))
    inside: Mask = outside[1:-1, 1:-1] != outside[0, 0]
    return inside


def shrunk(mask: Mask) -> Mask:
    """Return `mask` (H, W) without the pixels less than 3 from one outside it or the border."""
    outside = np.pad(~mask, 1, constant_values=True).astype(np.float32)
    inside: Mask = spread(outside, 3)[1:-1, 1:-1] == 0
    return inside


def edge(mask: Mask) -> Mask:
    """Return the pixels of `mask` (H, W) beside one outside it or beyond the image."""
    padded = np.pad(mask, 1)
    inner = padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    return mask & ~inner


def is_straight(mask: Mask) -> bool:
    """Return whether `mask` (H, W) is a rectangle, upright or turned, or a corner cut off."""
    if rectangularity(mask) > _RECTANGULAR:
        return True
    if not mask[[0, 0, -1, -1], [0, -1, 0, -1]].any():
        return False
    return convexity(mask) > _CONVEX


def rectangularity(mask: Mask) -> float:
    """Return what share of the smallest rectangle about it, upright or turned, `mask` covers."""
    sides = np.ptp(_along(mask), axis=1) + 1
    return float(mask.sum() / (sides * np.roll(sides, len(_ANGLES) // 2)).min())


def convexity(mask: Mask) -> float:
    """Return what share of its convex hull `mask` (H, W) covers, 0..1."""
    along = _along(mask)
    hull = np.ones_like(mask)
    rows, columns = np.ogrid[: mask.shape[0], : mask.shape[1]]
    ends = zip(_ANGLES, along.min(axis=1) - 0.5, along.max(axis=1) + 0.5, strict=True)
    for angle, least, most in ends:
        place = columns * np.cos(angle) + rows * np.sin(angle)
        hull &= (place >= least) & (place <= most)
    return float(mask.sum() / hull.sum())


def _along(mask: Mask) -> NDArray[np.float64]:
    """Return how far along each angle each of the N pixels at the edge of `mask` lies, (A, N)."""
    y, x = np.nonzero(edge(mask))
    along: NDArray[np.float64] = np.outer(np.cos(_ANGLES), x) + np.outer(np.sin(_ANGLES), y)
    return along


def holds_square(mask: Mask, side: int) -> bool:
    """Return whether `mask` (H, W) covers a square of `side` pixels somewhere."""
    side = max(side, 1)
    if side > min(mask.shape):
        return False
    return bool((_sums(mask, side) == side * side).any())


def widened(mask: Mask, reach: int) -> Mask:
    """Return `mask` (H, W) with all pixels at most `reach` rows and columns from it."""
    near: Mask = _sums(np.pad(mask, reach), 2 * reach + 1) > 0
    return near


def _sums(mask: Mask, side: int) -> NDArray[np.int32]:
    """Return how much of each square of `side` pixels within `mask` (H, W) is covered."""
    sums = np.pad(mask.astype(np.int32).cumsum(axis=0).cumsum(axis=1), ((1, 0), (1, 0)))
    inside: NDArray[np.int32] = (
        sums[side:, side:] - sums[:-side, side:] - sums[side:, :-side] + sums[:-side, :-side]
    )
    return inside
