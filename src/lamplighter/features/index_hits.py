"""What is asked of an index of similar images, and what it answers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lamplighter.errors import SimilarIndexError
from lamplighter.features.index_store import COLUMNS
from lamplighter.names import suggestion

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from lamplighter.features.index_store import Store


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
