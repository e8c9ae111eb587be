"""Updates of an index: what differs is written, in one transaction."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lamplighter.errors import SimilarIndexError
from lamplighter.features.index.store import Item
from lamplighter.files.naming import lasting
from lamplighter.models.reliability import unit_length

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from lamplighter.features.extraction import Features
    from lamplighter.features.index.store import Store

_BLOCK = 4096  # vectors held in memory at a time


@dataclass(frozen=True)
class Changes:
    """How many images an index gained and lost.

    Attributes:
        added: new ones.
        replaced: those whose file has another content now.
        relabelled: those whose label or split alone has changed.
        removed: those whose file is no longer among those given.
        unchanged: all others.
    """

    added: int = 0
    replaced: int = 0
    relabelled: int = 0
    removed: int = 0
    unchanged: int = 0


def write(store: Store, features: Features, *, keep: bool, force: bool) -> Changes:
    """Bring `store` to `features` in one transaction.

    Args:
        store: the file to change.
        features: of the network of the index.
        keep: whether items that are not among `features` stay.
        force: whether features of another folder, with no file in common, are taken.

    Raises:
        SimilarIndexError: they do not fit, or another process is writing.
        OutputError: the file cannot be written.
    """
    vectors = checked(features)
    counts = dict.fromkeys(Changes.__annotations__, 0)
    with store.writing():
        _check_network(store, features.network, vectors.shape[1])
        known = {item.path: (number, item) for number, item in store.items().items()}
        if not force:
            _check_folder(store, features, {item.content for _, item in known.values()})
        for item, vector in zip(items(features), directions(features), strict=True):
            number, old = known.pop(item.path, (None, None))
            if old is None or old.content != item.content:
                store.put(item, vector, number)
            elif old != item:
                store.relabel(number or 0, item)
            counts[_change(old, item)] += 1
        if known and not keep:
            store.remove([number for number, _ in known.values()])
        counts["unchanged" if keep else "removed"] += len(known)
        store.about["root"] = place_of(features.files.root, store.path)
    return Changes(**counts)


def _check_network(store: Store, network: str, dimension: int) -> None:
    own, numbers = str(store.about["network"]), store.dimension
    if (network, dimension) != (own, numbers):
        raise SimilarIndexError(
            f"{store.path} is of the network {own[:12]} ({numbers} numbers), "
            f"received features of {network[:12]} ({dimension} numbers); use that network, or "
            "name another index."
        )


def _check_folder(store: Store, features: Features, contents: set[str]) -> None:
    """Refuse to empty an index by mistake."""
    root = found_at(store.about.get("root"), store.path)
    moved = lasting(features.files.root).resolve() != root.resolve()
    if moved and contents and contents.isdisjoint(features.hashes):
        raise SimilarIndexError(
            f"{store.path} is of the folder {root}, received {lasting(features.files.root)}, which "
            "has no image of it; name another index for it."
        )


def place_of(path: Path, index: Path) -> dict[str, str]:
    """Return where `path` is, absolute and seen from the folder of `index`, as plain JSON."""
    absolute = os.path.realpath(lasting(path))
    try:
        relative = os.path.relpath(absolute, os.path.realpath(index.parent))
    except ValueError:  # on another drive
        relative = absolute
    return {"absolute": absolute, "relative": relative}


def found_at(place: object, index: Path) -> Path:
    """Return the path that `place_of` noted: seen from `index` if it is there, else absolute."""
    if not isinstance(place, dict):
        return index.parent
    absolute = Path(str(place.get("absolute", "")))
    relative = index.parent / str(place.get("relative", ""))
    if not relative.exists() or (".." in relative.parts and relative.resolve() == absolute):
        return absolute
    return relative


def _change(old: Item | None, new: Item) -> str:
    if old is None:
        return "added"
    if old.content != new.content:
        return "replaced"
    return "unchanged" if old == new else "relabelled"


def items(features: Features) -> Iterator[Item]:
    """Yield an item for each file."""
    files = features.files
    for path, content, label, split in zip(
        files.paths, features.hashes, files.labels, files.splits, strict=True
    ):
        yield Item(path, content, files.class_names[label] if label >= 0 else "", split)


def directions(features: Features) -> Iterator[NDArray[np.float32]]:
    """Yield each vector with length 1; there is never a second copy of all in memory."""
    for start in range(0, len(features.vectors), _BLOCK):
        yield from unit_length(features.vectors[start : start + _BLOCK])


def checked(features: Features) -> NDArray[np.float32]:
    """Return the vectors, (N, D), if all is well with them.

    Raises:
        SimilarIndexError: the message names the file.
    """
    paths, vectors = features.files.paths, features.vectors
    if vectors.ndim != 2 or vectors.shape[1] < 1 or len(vectors) != len(paths):
        raise SimilarIndexError(
            f"{len(paths)} files need vectors of shape ({len(paths)}, D), received {vectors.shape}."
        )
    if len(set(paths)) != len(paths):
        raise SimilarIndexError("each file may come once, received a path twice.")
    for start in range(0, len(vectors), _BLOCK):
        finite = np.isfinite(vectors[start : start + _BLOCK]).all(axis=1)
        if not finite.all():
            path = paths[start + int(finite.argmin())]
            raise SimilarIndexError(
                f"vectors must be finite, received NaN or infinity for {path}; is the network "
                "damaged?"
            )
    return vectors
