"""Batches of tensors from images in memory: an index into a tensor, no work for each item."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from lamplighter.errors import DatasetError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from lamplighter.images.preprocessing import Preprocessing

    Augmentation = Callable[[Tensor], Tensor]


class Batches:
    """An iterable of (images, labels): float32 of shape (B, C, H, W) and int64 of shape (B,).

    The order of an epoch depends on the seed and the number of the epoch alone, so a training
    that was interrupted sees what it would have seen. In a distributed training each process
    gets its share of every batch, so that the global batches are those of one process; a last
    batch of fewer images than there are processes joins the one before.

    Args:
        images: pixels, uint8, shape (N, C, H, W).
        labels: class indices, int64, shape (N,).
        batch_size: images in a (global) batch; the last one may be smaller.
        shuffle: a new order in each epoch.
        seed: of the shuffling.
        preprocessing: how pixels are normalised.
        augmentation: random changes to float images on the scale 0..1, before normalising.
        augmented_epochs: after so many epochs the images come as they are; None changes them in
            all epochs.
        balanced: with `shuffle`, draw N images in each epoch, with replacement, so that all
            classes are equally likely.
        shared: False gives each process of a distributed training whole batches.

    Raises:
        DatasetError: there are no images, or a batch has too few for the processes to share.
    """

    def __init__(
        self,
        images: NDArray[np.uint8],
        labels: NDArray[np.int64],
        *,
        batch_size: int,
        shuffle: bool,
        seed: int,
        preprocessing: Preprocessing,
        augmentation: Augmentation | None = None,
        augmented_epochs: int | None = None,
        balanced: bool = False,
        shared: bool = True,
    ) -> None:
        import torch

        if batch_size < 1:
            raise DatasetError(f"the batch size must be at least 1, received {batch_size}.")
        if not len(images):
            raise DatasetError("there are no images to make batches of.")
        self.images = _tensor(images)
        self.labels = _tensor(labels)
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.seed = seed
        self.preprocessing = preprocessing
        self.augmentation = augmentation
        self.augmented_epochs = augmented_epochs
        self.balanced = balanced
        self.shared = shared
        self.epoch = 0
        self._mean = torch.tensor(preprocessing.mean).view(-1, 1, 1)
        self._std = torch.tensor(preprocessing.std).view(-1, 1, 1)

    def __len__(self) -> int:
        return len(self._sizes())

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        import torch

        rank, processes = self._sharing()
        for chosen in torch.split(self._order(), self._sizes()):
            share = chosen[rank::processes]
            yield self.inputs(share), self.labels[share]

    def _sizes(self) -> list[int]:
        """Return how many images each batch of an epoch has, over all processes."""
        count, processes = len(self.labels), self._sharing()[1]
        if min(count, self.batch_size) < processes:
            raise DatasetError(
                f"{count} images in batches of {self.batch_size} cannot be shared by {processes} "
                "processes; give larger batches or start fewer processes."
            )
        whole, rest = divmod(count, self.batch_size)
        sizes = [self.batch_size] * whole
        if rest >= processes:
            sizes.append(rest)
        else:
            sizes[-1] += rest
        return sizes

    def _sharing(self) -> tuple[int, int]:
        """Return which share of each batch is given, and of how many."""
        return rank_and_world_size() if self.shared else (0, 1)

    def inputs(self, chosen: Tensor) -> Tensor:
        """Return what a network is given of the images at `chosen` (B,): (B, C, H, W)."""
        images = self.images[chosen].float().div_(255)  # (B, C, H, W)
        plain = self.augmented_epochs is not None and self.epoch >= self.augmented_epochs
        if self.augmentation is not None and not plain:
            images = self.augmentation(images)
        # Not in place: an augmentation may hand out a tensor that it keeps.
        return (images - self._mean) / self._std

    def _order(self) -> Tensor:
        """Return the indices of the images of this epoch, shape (N,)."""
        import torch

        count = len(self.labels)
        if not self.shuffle:
            return torch.arange(count)
        generator = torch.Generator().manual_seed(epoch_seed(self.seed, self.epoch))
        if not self.balanced:
            return torch.randperm(count, generator=generator)
        # A class, each as likely, then one of its images: multinomial takes no more than 2**24.
        sizes = self.labels.bincount()
        sizes = sizes[sizes > 0]
        drawn = torch.randint(len(sizes), (count,), generator=generator)
        place = (torch.rand(count, generator=generator) * sizes[drawn]).long()
        first = sizes.cumsum(0) - sizes
        by_class = self.labels.argsort(stable=True)
        return by_class[first[drawn] + place.minimum(sizes[drawn] - 1)]

    def set_epoch(self, epoch: int) -> None:
        """Choose the order of epoch number `epoch`, counted from 0."""
        self.epoch = epoch


def _tensor(values: NDArray[Any]) -> Tensor:
    """Return an array as a tensor in the same memory, copied only where torch cannot share it."""
    import torch

    if not values.flags.writeable or any(stride < 0 for stride in values.strides):
        values = values.copy()
    return torch.from_numpy(values)


def epoch_seed(seed: int, epoch: int) -> int:
    """Return a seed of 63 bits that differs with either number."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{epoch}".encode()).digest()[:8]) >> 1


def rank_and_world_size() -> tuple[int, int]:
    """Return the rank of this process and how many there are."""
    import torch.distributed

    if torch.distributed.is_available() and torch.distributed.is_initialized():
        return torch.distributed.get_rank(), torch.distributed.get_world_size()
    return 0, 1
