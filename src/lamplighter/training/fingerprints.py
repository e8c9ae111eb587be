"""Fingerprints of data, which tell whether two data sets hold the same images."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from PIL import Image
from torch.utils.data import (
    DataLoader,
    RandomSampler,
    SequentialSampler,
    Subset,
    SubsetRandomSampler,
    TensorDataset,
    WeightedRandomSampler,
)

from lamplighter.training.loaders import same_random_numbers

if TYPE_CHECKING:
    from torch import Tensor

    from lamplighter.datasets.batches import Batches

# Items may be costly to make: 16 of them tell one data set from another.
_ITEMS = 16
# Whole numbers of as many bits as a floating-point number has, by its bytes.
_BITS = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


def overlap(train: Batches, other: Batches) -> int:
    """Return how many images of `other` are in `train`, by their hashes."""
    images, others = train.images, other.images
    return _shared(images, range(len(images)), others, range(len(others)))


def _shared(
    images: Tensor, indices: Sequence[int], others: Tensor, other_indices: Sequence[int]
) -> int:
    """Return how many of `others` at their indices are among `images` at theirs."""
    seen = _hashes(images, indices)
    return int(torch.isin(_hashes(others, other_indices), seen).sum())


def _hashes(images: Tensor, indices: Sequence[int]) -> Tensor:
    """Return a number of 64 bits for each image, by multiplying with random odd numbers."""
    generator = torch.Generator().manual_seed(0)
    values = images.shape[1:].numel()
    factors = torch.randint(-(2**62), 2**62, (values,), generator=generator) | 1
    hashes = []
    # In pieces, since int64 takes eight times the memory of the pixels.
    for chosen in torch.split(torch.tensor(indices, dtype=torch.long), 4096):
        pixels = images[chosen].cpu().reshape(len(chosen), values)
        if pixels.is_floating_point():
            pixels = pixels.view(_BITS[pixels.itemsize])
        hashes.append((pixels.long() * factors).sum(dim=1))
    return torch.cat(hashes)


def same_data(train: Any, other: Any) -> bool:
    """Return whether two DataLoaders, or two lists of batches, share their data.

    Of one data set the indices are compared, of two of tensors all inputs, of two others a few
    items. Where it cannot be told, as for streams and samplers of one's own, the answer is no.
    """
    first, second = _items(train), _items(other)
    if first is None or second is None:
        return False
    (items, indices), (others, other_indices) = first, second
    if items is others:
        return not set(indices).isdisjoint(other_indices)
    if isinstance(items, TensorDataset) and isinstance(others, TensorDataset):
        inputs, other_inputs = items.tensors[0], others.tensors[0]
        if inputs.shape[1:] != other_inputs.shape[1:] or inputs.dtype != other_inputs.dtype:
            return False
        return _shared(inputs, indices, other_inputs, other_indices) > 0
    ours, theirs = fingerprint(items, indices), fingerprint(others, other_indices)
    return ours is not None and ours == theirs


def sampler_of(loader: DataLoader[Any]) -> Any:
    """Return what chooses the items of a DataLoader; None where it has a way of its own."""
    if loader.batch_sampler is None:
        return loader.sampler
    return getattr(loader.batch_sampler, "sampler", None)


def _items(batches: Any) -> tuple[Any, Sequence[int]] | None:
    """Return what is indexed and the indices in use; None where that cannot be told."""
    if not isinstance(batches, DataLoader):
        is_list = isinstance(batches, Sequence) and len(batches) > 0
        return (batches, range(len(batches))) if is_list else None
    items: Any = batches.dataset
    sampler = sampler_of(batches)
    indices: Sequence[int]
    if isinstance(sampler, SubsetRandomSampler):
        indices = list(sampler.indices)
    elif isinstance(sampler, (SequentialSampler, RandomSampler, WeightedRandomSampler)):
        indices = range(len(items))
    else:
        return None
    while isinstance(items, Subset):
        indices, items = [items.indices[index] for index in indices], items.dataset
    return (items, indices) if len(indices) else None


def fingerprint(items: Any, indices: Sequence[int]) -> str | None:
    """Return a hash of a few of the items at `indices`, and of how many these are.

    None where items are random, and tell nothing of the data behind them.
    """
    count = len(indices)
    digest = hashlib.sha256(str(count).encode())
    places = sorted({round(i * (count - 1) / (_ITEMS - 1)) for i in range(_ITEMS)})
    with same_random_numbers():
        contents = [_content(items[indices[place]]) for place in [*places, places[-1]]]
    if contents[-1] != contents[-2]:
        return None
    for content in contents:
        digest.update(content)
    return digest.hexdigest()


def _content(item: Any) -> bytes:
    if isinstance(item, torch.Tensor):
        return item.detach().cpu().flatten().contiguous().view(torch.uint8).numpy().tobytes()
    if isinstance(item, (np.ndarray, Image.Image)):
        return np.asarray(item).tobytes()
    if isinstance(item, dict):
        return b"".join(_content(part) for pair in item.items() for part in pair)
    if isinstance(item, (tuple, list)):
        return b"".join(_content(part) for part in item)
    return repr(item).encode()
