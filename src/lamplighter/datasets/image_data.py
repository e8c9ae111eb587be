"""Images in memory with their labels, splits and class names."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from lamplighter.arguments import checked_arguments
from lamplighter.datasets.batches import Batches
from lamplighter.errors import DatasetError, UnknownSplitError
from lamplighter.images.preprocessing import Preprocessing
from lamplighter.names import suggestion

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from lamplighter.datasets.batches import Augmentation
    from lamplighter.datasets.files import ImageFiles, Progress, SetAside
    from lamplighter.errors import LamplighterError
    from lamplighter.images.preprocessing import Fit


def check_strings(names: Iterable[Any], error: type[LamplighterError]) -> None:
    """Refuse names of classes that are not strings, by raising `error`."""
    wrong = [name for name in names if not isinstance(name, str)]
    if wrong:
        raise error(
            f"class names must be strings, received {wrong[0]!r}; give "
            "[str(name) for name in class_names]."
        )


@dataclass(frozen=True, eq=False)
class Split:
    """Images and labels that fit in memory.

    Attributes:
        images: pixels, uint8, shape (N, C, H, W).
        labels: class indices, int64, shape (N,).
        paths: the names of the N files that they come from; none where they come from elsewhere.

    Raises:
        DatasetError: shapes or types do not fit one another.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    paths: tuple[str, ...] = ()

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
        if self.paths and len(self.paths) != len(self.labels):
            raise DatasetError(
                f"paths must be {len(self.labels)}, one for each image, or none, "
                f"received {len(self.paths)}."
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
        """Return the images, labels and paths at `indices`."""
        chosen = np.arange(len(self))[indices] if self.paths else ()
        paths = tuple(self.paths[index] for index in chosen)
        return Split(self.images[indices], self.labels[indices], paths)


@checked_arguments
class ImageData:
    """A labelled data set in splits, with the names of its classes.

    Args:
        splits: "train", "val" and "test", or some of them; further test splits "test-...".
        class_names: one name for each class index.
        preprocessing: how an image from elsewhere becomes one like these.
        name: what the data set is called in reports.
        trained: how many of the classes, the first ones, are there to be learnt; by default all.
            The others have no training image.
        set_aside: files that were left out, each with its reason.
        notes: what to know of how the files were found and split, one line each.

    Raises:
        DatasetError: a label has no class name, names repeat or are no strings, or images differ
            from the preprocessing in size or channels.
    """

    def __init__(
        self,
        splits: Mapping[str, Split],
        class_names: Sequence[str],
        *,
        preprocessing: Preprocessing,
        name: str = "images",
        trained: int | None = None,
        set_aside: Sequence[SetAside] = (),
        notes: Sequence[str] = (),
    ) -> None:
        self.splits = dict(splits)
        self.class_names = tuple(class_names)
        self.preprocessing = preprocessing
        self.name = name
        self.set_aside = tuple(set_aside)
        self.notes = tuple(notes)
        self.trained_class_names = self.class_names[:trained]
        check_strings(self.class_names, DatasetError)
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
        from lamplighter.datasets.mnist import MNIST_CLASSES, MNIST_PREPROCESSING, load_mnist

        splits = {name: Split(*arrays) for name, arrays in load_mnist().items()}
        return cls(splits, MNIST_CLASSES, preprocessing=MNIST_PREPROCESSING, name="mnist")

    @classmethod
    def from_folder(
        cls,
        path: str | Path,
        *,
        size: int | tuple[int, int] = 64,
        fit: Fit | Literal["full"] = "squash",
        channels: int = 3,
        group: str | None = None,
        seed: int = 0,
        val: float = 0.15,
        test: float = 0.15,
        progress: Progress | None = None,
        preprocessing: Preprocessing | None = None,
    ) -> ImageData:
        """Return the images of a folder, a zip file or a CSV manifest, in memory and in splits.

        Files that cannot be used are left out, and listed in `set_aside`.

        Args:
            path: a folder with a folder for each class, with or without train, val and test
                above them; a zip file of it; or a CSV file with the columns path, label and, if
                wanted, split and group.
            size: side of the square that the network sees, or its (height, width), in pixels.
            fit: what happens to images of another aspect ratio; "full" takes the size from the
                images, the commonest one.
            channels: 1 (grey) or 3 (RGB).
            group: a regular expression; files in whose names it finds the same are kept in the
                same split.
            seed: of the splits.
            val: the share that becomes "val", where there is none.
            test: the share that becomes "test", where there is none.
            progress: told how many files have been read, and of how many.
            preprocessing: how images become the network's input, instead of size, fit and
                channels.

        Raises:
            DatasetError: there is nothing to learn from, or the manifest is wrong.
        """
        from lamplighter.datasets.folders import find_files
        from lamplighter.datasets.loading import preprocessing_for
        from lamplighter.datasets.scenes import scene_notes
        from lamplighter.datasets.splitting import assign_splits, check_classes

        files = find_files(path, group=group)
        files = replace(files, notes=(*files.notes, *scene_notes(files)))
        files = assign_splits(files, val=val, test=test, seed=seed)
        check_classes(files)
        preprocessing = preprocessing or preprocessing_for(files, size, fit, channels=channels)
        return load_images(files, preprocessing, progress=progress)

    @classmethod
    def emoji(cls, preprocessing: Preprocessing | None = None) -> ImageData:
        """Return 825 emoji in 17 classes, laid on white, in splits.

        "train", "val" and "test" are drawn by one artist, Noto; "test-twemoji" shows the emoji
        of "test" as drawn by another. The data comes with the package: Google, Apache-2.0;
        Twitter and contributors, CC BY 4.0.

        Args:
            preprocessing: how a drawing becomes what a network sees; by default 64 x 64 RGB as
                drawn, with a mean and a standard deviation of 0.5.

        Raises:
            DatasetError: the embedded files are damaged.
        """
        from lamplighter.datasets.emoji import EMOJI_SIZE, emoji_classes, emoji_splits

        preprocessing = preprocessing or Preprocessing(height=EMOJI_SIZE, width=EMOJI_SIZE)
        splits = {name: Split(*arrays) for name, arrays in emoji_splits(preprocessing).items()}
        return cls(splits, emoji_classes(), preprocessing=preprocessing, name="emoji")

    def __getitem__(self, split: str) -> Split:
        try:
            return self.splits[split]
        except KeyError:
            told = suggestion(split, self.splits, opening="it has")
            raise UnknownSplitError(f"{self.name} has no split {split!r}; {told}") from None

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
        return ImageData(
            splits,
            self.class_names,
            preprocessing=self.preprocessing,
            name=self.name,
            trained=len(self.trained_class_names),
            set_aside=self.set_aside,
            notes=self.notes,
        )

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
            split: the name of a split.
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


def load_images(
    files: ImageFiles, preprocessing: Preprocessing, *, progress: Progress | None = None
) -> ImageData:
    """Return the pixels of `files` in memory, as the network sees them.

    A file that cannot be read, or has no label, is left out and listed in `set_aside` of the
    result. Class names are sorted, those with a training image before the others.

    Args:
        files: the files, each in a split.
        preprocessing: how an image becomes uint8 pixels of shape (C, H, W).
        progress: told how many files have been read, and of how many.

    Raises:
        DatasetError: files have no split, none can be read, or the memory does not suffice.
    """
    from lamplighter.datasets.loading import class_order, read_splits

    files, pixels = read_splits(files, preprocessing, progress=progress)
    class_names, trained = class_order(files)
    index = {name: number for number, name in enumerate(class_names)}
    # A class all of whose files failed has no number; no label asks for it.
    rank = np.array([index.get(name, -1) for name in files.class_names], dtype=np.int64)
    splits = {}
    for name in files.split_names:
        part = files.split(name)
        splits[name] = Split(pixels[name], rank[part.labels], part.paths)
    return ImageData(
        splits,
        class_names,
        preprocessing=preprocessing,
        name=files.name,
        trained=trained,
        set_aside=files.set_aside,
        notes=files.notes,
    )
