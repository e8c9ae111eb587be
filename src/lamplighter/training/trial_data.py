"""The part of a trial that says where its data comes from, in Torchbearer's words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import torch

from lamplighter.errors import ClassCountError, ShapeError
from lamplighter.models.classifier import SAMPLES
from lamplighter.training.loaders import TRAIN_DATA, DataKey, Source, tensor_loader

if TYPE_CHECKING:
    from collections.abc import Iterable

    from torch import Tensor

    from lamplighter.data.batches import Augmentation
    from lamplighter.data.image_data import ImageData
    from lamplighter.models.classifier import Classifier


class TrialData:
    """Training, validation and test data of a trial; each method returns the trial.

    Args:
        classifier: whose preprocessing images get; None where the trial has a bare network.
        seed: of the shuffling.
    """

    def __init__(self, classifier: Classifier | None, seed: int | None) -> None:
        self.classifier = classifier
        self.seed = seed
        self.sources = {key: Source() for key in DataKey}

    def with_images(
        self, data: ImageData, batch_size: int = 128, *, augmentation: Augmentation | None = None
    ) -> Self:
        """Take "train", "val" and "test" from `data`, as far as it has them.

        Args:
            data: images whose classes are those of the classifier.
            batch_size: images in a batch.
            augmentation: random changes to the training images, float (B, C, H, W) in 0..1.

        Raises:
            ClassCountError: the classes of the data are not the classifier's, in its order.
            ShapeError: the images are of another size or number of channels.
        """
        if self.classifier is not None:
            _check(self.classifier, data)
        preprocessing = self.classifier.preprocessing if self.classifier else None
        seed = self.seed if self.seed is not None else int(torch.randint(2**31, ()))
        for key in DataKey:
            if key.value in data:
                self.sources[key].batches = data.batches(
                    key.value,
                    batch_size,
                    seed=seed,
                    preprocessing=preprocessing,
                    augmentation=augmentation if key is TRAIN_DATA else None,
                )
        if self.classifier is not None:
            self.classifier.record.data |= {name: data.fingerprint(name) for name in data.splits}
            if self.classifier.samples is None and data.splits:
                self.classifier.samples = next(iter(data.splits.values())).images[:SAMPLES]
        return self

    def with_generators(
        self,
        train_generator: Iterable[Any] | None = None,
        val_generator: Iterable[Any] | None = None,
        test_generator: Iterable[Any] | None = None,
        train_steps: int | None = None,
        val_steps: int | None = None,
        test_steps: int | None = None,
    ) -> Self:
        """Take batches from any iterables of (inputs, targets), such as DataLoaders."""
        generators = (train_generator, val_generator, test_generator)
        steps = (train_steps, val_steps, test_steps)
        for key, batches, count in zip(DataKey, generators, steps, strict=True):
            if batches is not None:
                self.sources[key] = Source(batches, count)
        return self

    def with_train_generator(self, generator: Iterable[Any], steps: int | None = None) -> Self:
        """Take training batches from any iterable of (inputs, targets)."""
        return self.with_generators(train_generator=generator, train_steps=steps)

    def with_val_generator(self, generator: Iterable[Any], steps: int | None = None) -> Self:
        """Take validation batches from any iterable of (inputs, targets)."""
        return self.with_generators(val_generator=generator, val_steps=steps)

    def with_test_generator(self, generator: Iterable[Any], steps: int | None = None) -> Self:
        """Take test batches from any iterable of (inputs, targets), or of inputs alone."""
        return self.with_generators(test_generator=generator, test_steps=steps)

    def with_train_data(
        self,
        x: Tensor,
        y: Tensor,
        batch_size: int = 1,
        shuffle: bool = True,
        num_workers: int = 0,
        steps: int | None = None,
    ) -> Self:
        """Take training data from tensors of inputs and targets."""
        loader = tensor_loader(x, y, batch_size, shuffle=shuffle, num_workers=num_workers)
        return self.with_train_generator(loader, steps)

    def with_val_data(
        self,
        x: Tensor,
        y: Tensor,
        batch_size: int = 1,
        shuffle: bool = False,
        num_workers: int = 0,
        steps: int | None = None,
    ) -> Self:
        """Take validation data from tensors of inputs and targets."""
        loader = tensor_loader(x, y, batch_size, shuffle=shuffle, num_workers=num_workers)
        return self.with_val_generator(loader, steps)

    def with_test_data(
        self,
        x: Tensor,
        batch_size: int = 1,
        num_workers: int = 0,
        steps: int | None = None,
        *,
        y: Tensor | None = None,
    ) -> Self:
        """Take test data from a tensor of inputs, with targets if it is to be evaluated."""
        loader = tensor_loader(x, y, batch_size, shuffle=False, num_workers=num_workers)
        return self.with_test_generator(loader, steps)

    def for_steps(
        self,
        train_steps: int | None = None,
        val_steps: int | None = None,
        test_steps: int | None = None,
    ) -> Self:
        """Make epochs of so many batches; generators that end before begin anew."""
        for key, count in zip(DataKey, (train_steps, val_steps, test_steps), strict=True):
            if count is not None:
                self.sources[key].steps = count
        return self

    def for_train_steps(self, steps: int) -> Self:
        """Make training epochs of so many batches."""
        return self.for_steps(train_steps=steps)

    def for_val_steps(self, steps: int) -> Self:
        """Make validation passes of so many batches."""
        return self.for_steps(val_steps=steps)

    def for_test_steps(self, steps: int) -> Self:
        """Make test passes of so many batches."""
        return self.for_steps(test_steps=steps)


def _check(classifier: Classifier, data: ImageData) -> None:
    if data.class_names != classifier.class_names:
        raise ClassCountError(
            "the classes of the data must be those of the classifier, in the same order: it has "
            f"{_listed(classifier.class_names)}, received {_listed(data.class_names)}; make it "
            "with Classifier.new(name, data)."
        )
    expected, received = classifier.preprocessing, data.preprocessing
    if (expected.channels, expected.height, expected.width) != (
        received.channels,
        received.height,
        received.width,
    ):
        raise ShapeError(
            f"the classifier takes images of {expected.height} x {expected.width} pixels and "
            f"{expected.channels} channels, received {data.name} with {received.height} x "
            f"{received.width} pixels and {received.channels} channels; load the data with the "
            "classifier's preprocessing, or make the classifier with Classifier.new(name, data)."
        )


def _listed(names: tuple[str, ...], most: int = 10) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
