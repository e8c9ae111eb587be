"""Images with their labels, in splits: the data that a classifier learns from and is tested on."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal

import numpy as np

from lamplighter.data.batches import Batches
from lamplighter.errors import DatasetError, UnknownSplitError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from lamplighter.data.batches import Augmentation
    from lamplighter.data.preprocessing import Preprocessing

SplitName = Literal["train", "val", "test"]


@dataclass(frozen=True, eq=False)
class Split:
    """Images and labels that fit in memory.

    Attributes:
        images: pixels, uint8, shape (N, C, H, W).
        labels: class indices, int64, shape (N,).

    Raises:
        DatasetError: shapes or types do not fit one another.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]

    def __post_init__(self) -> None:
        if self.images.ndim != 4 or self.images.dtype != np.uint8:
            raise DatasetError(
                "images must be uint8 of shape (N, C, H, W), received "
                f"{self.images.dtype} of shape {self.images.shape}."
            )
        if self.labels.shape != self.images.shape[:1] or self.labels.dtype != np.int64:
            raise DatasetError(
                f"labels must be int64 of shape ({len(self.images)},), one for each image, "
                f"received {self.labels.dtype} of shape {self.labels.shape}."
            )

    def __len__(self) -> int:
        return len(self.labels)

    @cached_property
    def fingerprint(self) -> str:
        """A SHA-256 of pixels and labels in their order, as 64 hexadecimal digits."""
        digest = hashlib.sha256(repr((self.images.shape, self.labels.shape)).encode())
        digest.update(np.ascontiguousarray(self.images).data)
        digest.update(np.ascontiguousarray(self.labels).data)
        return digest.hexdigest()

    def take(self, indices: NDArray[np.int64]) -> Split:
        """Return the images and labels at `indices`."""
        return Split(self.images[indices], self.labels[indices])


class ImageData:
    """A labelled data set in splits, with the names of its classes.

    Args:
        splits: "train", "val" and "test", or some of them.
        class_names: one name for each class index.
        preprocessing: how an image from elsewhere becomes one like these.
        name: what the data set is called in reports.

    Raises:
        DatasetError: a label has no class name, names repeat, or images differ from the
            preprocessing in size or channels.
    """

    def __init__(
        self,
        splits: Mapping[str, Split],
        class_names: Sequence[str],
        *,
        preprocessing: Preprocessing,
        name: str = "images",
    ) -> None:
        self.splits = dict(splits)
        self.class_names = tuple(class_names)
        self.preprocessing = preprocessing
        self.name = name
        if len(set(self.class_names)) != len(self.class_names):
            raise DatasetError(f"class names must differ, received {list(self.class_names)}.")
        for split_name, split in self.splits.items():
            self._check(split_name, split)

    @classmethod
    def mnist(cls) -> ImageData:
        """Return MNIST: 60,000 training and 10,000 test images of handwritten digits, 28 x 28.

        The data comes with the package and needs no network. Y. LeCun, C. Cortes and
        C. J. C. Burges, CC BY-SA 3.0.

        Raises:
            DatasetError: the embedded files are damaged.
        """
        from lamplighter.data.mnist import MNIST_PREPROCESSING, load_mnist

        splits = {name: Split(*arrays) for name, arrays in load_mnist().items()}
        digits = [str(digit) for digit in range(10)]
        return cls(splits, digits, preprocessing=MNIST_PREPROCESSING, name="mnist")

    def __getitem__(self, split: str) -> Split:
        try:
            return self.splits[split]
        except KeyError:
            raise UnknownSplitError(
                f"{self.name} has no split {split!r}; it has {', '.join(self.splits)}."
            ) from None

    def __contains__(self, split: object) -> bool:
        return split in self.splits

    def __repr__(self) -> str:
        sizes = ", ".join(f"{name}: {len(split):,}" for name, split in self.splits.items())
        return f"ImageData({self.name}, {sizes}, {len(self.class_names)} classes)"

    def fingerprint(self, split: str) -> str:
        """Return the SHA-256 of the content of `split`."""
        return self[split].fingerprint

    def hold_out(self, fraction: float = 0.1, *, seed: int = 0) -> ImageData:
        """Return the same data with part of "train" set aside as "val", the same share of a class.

        Raises:
            DatasetError: `fraction` is not between 0 and 1, or there is a "val" already.
        """
        if not 0 < fraction < 1:
            raise DatasetError(f"the fraction to hold out must be in 0..1, received {fraction}.")
        if "val" in self:
            raise DatasetError(f"{self.name} has a validation split already.")
        train = self["train"]
        order = np.random.default_rng(seed).permutation(len(train))
        held_out = np.zeros(len(train), dtype=bool)
        for label in np.unique(train.labels):
            members = order[train.labels[order] == label]
            held_out[members[: round(len(members) * fraction)]] = True
        splits = {
            **self.splits,
            "train": train.take(np.flatnonzero(~held_out)),
            "val": train.take(np.flatnonzero(held_out)),
        }
        return ImageData(splits, self.class_names, preprocessing=self.preprocessing, name=self.name)

    def batches(
        self,
        split: str,
        batch_size: int = 128,
        *,
        shuffle: bool | None = None,
        seed: int = 0,
        preprocessing: Preprocessing | None = None,
        augmentation: Augmentation | None = None,
    ) -> Batches:
        """Return `split` as batches of tensors, ready for a network.

        Args:
            split: "train", "val" or "test".
            batch_size: images in a batch; the last one may be smaller.
            shuffle: a new order in each epoch; by default for "train" alone.
            seed: of the shuffling.
            preprocessing: how pixels are normalised; by default as this data says.
            augmentation: random changes, given float images of shape (N, C, H, W) on the
                scale 0..1, before they are normalised.
        """
        chosen = self[split]
        return Batches(
            chosen.images,
            chosen.labels,
            batch_size=batch_size,
            shuffle=split == "train" if shuffle is None else shuffle,
            seed=seed,
            preprocessing=preprocessing or self.preprocessing,
            augmentation=augmentation,
        )

    def _check(self, split_name: str, split: Split) -> None:
        expected = self.preprocessing
        if split.images.shape[1:] != (expected.channels, expected.height, expected.width):
            raise DatasetError(
                f"the images of {split_name!r} must have the shape of the preprocessing, "
                f"{(expected.channels, expected.height, expected.width)}, "
                f"received {split.images.shape[1:]}."
            )
        if len(split) and not 0 <= split.labels.min() <= split.labels.max() < len(self.class_names):
            raise DatasetError(
                f"the labels of {split_name!r} must be in 0..{len(self.class_names) - 1}, one for "
                f"each class name, received {split.labels.min()}..{split.labels.max()}."
            )
