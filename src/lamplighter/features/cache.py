"""Feature vectors kept between runs: what was computed once for a file is not computed again."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lamplighter.files.content_cache import ContentCache

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray


class FeatureCache(ContentCache):
    """Vectors by the SHA-256 of an image file's content, in one SQLite file for each network.

    Args:
        network: the fingerprint of what computes the vectors; None keeps nothing.
        folder: where the cache is; by default in the user's cache folder.
    """

    def __init__(self, network: str | None, *, folder: Path | None = None) -> None:
        path = (folder or Path("features")) / f"{network[:32]}.sqlite" if network else None
        super().__init__(path, {"vector": "BLOB"})

    def get(self, contents: Sequence[str]) -> dict[str, NDArray[np.float32]]:
        """Return the vectors that are known, each (D,), by the SHA-256 of the file."""
        known: dict[str, NDArray[np.float32]] = {}
        for content, (stored,) in self.rows(contents).items():
            if isinstance(stored, bytes) and len(stored) % 4 == 0:
                vector = np.frombuffer(stored, dtype="<f4")
                if np.isfinite(vector).all():
                    known[content] = vector
        return known

    def put(self, vectors: Iterable[tuple[str, NDArray[np.float32]]]) -> None:
        """Keep vectors (D,) by SHA-256; they are safe from a kill once this returns."""
        self.keep((content, (vector.astype("<f4").tobytes(),)) for content, vector in vectors)
