"""Which values the ends of a colour scale stand for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


def scale_of(
    values: Sequence[NDArray[Any]], *, centred: bool = False, share: float = 1.0
) -> tuple[float, float]:
    """Return the least and the largest of all `values`, NaN aside; `centred` about 0.

    Args:
        values: arrays of any shape.
        centred: as far below 0 as above it.
        share: of the values that are within the scale; less than 1 leaves out the few that would
            make all others look alike.
    """
    parts = [part[np.isfinite(part)].ravel() for part in values]
    finite = np.concatenate([*parts, np.empty(0)])
    if not finite.size:
        finite = np.array([0.0, 1.0])
    if share < 1:
        ends = np.quantile(np.abs(finite), share) * np.array([-1, 1])
        inner = ends if centred else np.quantile(finite, [1 - share, share])
        finite = inner if inner[1] > inner[0] else finite
    low, high = float(finite.min()), float(finite.max())
    if centred:
        reach = max(abs(low), abs(high)) or 1.0
        return -reach, reach
    return (low, high) if high > low else (low, low + 1.0)
