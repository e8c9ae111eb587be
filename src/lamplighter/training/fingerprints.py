"""Is this the same data as that?"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import torch
from torch.utils.data import DataLoader

if TYPE_CHECKING:
    from collections.abc import Iterable

    from torch import Tensor

    from lamplighter.data.batches import Batches


def overlap(train: Batches, other: Batches) -> int:
    """Return how many images of `other` are in `train`, by their hashes."""
    seen = _hashes(train.images)
    return int(torch.isin(_hashes(other.images), seen).sum())


def _hashes(images: Tensor) -> Tensor:
    """Return a number of 64 bits for each image, by multiplying with random odd numbers."""
    pixels = images.flatten(1)
    generator = torch.Generator().manual_seed(0)
    factors = torch.randint(-(2**62), 2**62, (pixels.shape[1],), generator=generator) | 1
    # In pieces, since int64 takes eight times the memory of the pixels.
    return torch.cat([(piece.long() * factors).sum(dim=1) for piece in torch.split(pixels, 4096)])


def fingerprint(batches: Iterable[Any] | None) -> str | None:
    """Return a hash of a few items of a DataLoader's data set, or of a sequence of batches."""
    items: Any = batches.dataset if isinstance(batches, DataLoader) else batches
    if items is None or not hasattr(items, "__getitem__") or not hasattr(items, "__len__"):
        return None
    count = len(items)
    digest = hashlib.sha256(str(count).encode())
    # Items may be costly to make: 16 of them tell one data set from another.
    for index in sorted({round(i * (count - 1) / 15) for i in range(16)}) if count else []:
        digest.update(_content(items[index]))
    return digest.hexdigest()


def _content(item: Any) -> bytes:
    if isinstance(item, torch.Tensor):
        return item.detach().cpu().flatten().contiguous().view(torch.uint8).numpy().tobytes()
    if isinstance(item, (tuple, list)):
        return b"".join(_content(part) for part in item)
    return repr(item).encode()
