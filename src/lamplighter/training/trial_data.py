"""The data of a trial, given in Torchbearer's words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, Self

import torch

from lamplighter.arguments import checked_arguments
from lamplighter.datasets.batches import Batches
from lamplighter.datasets.image_data import ImageData
from lamplighter.errors import ShapeError, TrainingError
from lamplighter.models.classifier import SAMPLES
from lamplighter.training.labels import by_name
from lamplighter.training.loaders import (
    TRAIN_DATA,
    DataKey,
    Source,
    check_seed,
    check_source,
    tensor_loader,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from torch import Tensor

    from lamplighter.datasets.batches import Augmentation
    from lamplighter.models.classifier import Classifier


@checked_arguments
class TrialData:
    """Training, validation and test data of a trial; each method returns the trial.

    Args:
        classifier: whose preprocessing images get; None where the trial has a bare network.
        seed: of the shuffling.
    """

    def __init__(self, classifier: Classifier | None, seed: int | None) -> None:
        self.classifier = classifier
        self.seed = check_seed(seed)
        self.sources = {key: Source() for key in DataKey}

    def with_images(
        self,
        data: ImageData,
        batch_size: int = 128,
        *,
        augmentation: Augmentation | None = None,
        augmented_epochs: int | None = None,
        balance: Literal["none", "sampler"] = "none",
    ) -> Self:
        """Take "train", "val" and "test" from `data`, as far as it has them.

        Classes are matched by name. Validation and test images of a class that the classifier
        does not know are left out, with a line that says so.

        Args:
            data: images, whose classes the classifier knows.
            batch_size: images in a batch.
            augmentation: random changes to the training images, float (B, C, H, W) in 0..1.
            augmented_epochs: after so many epochs they come as they are; None changes them in
                all epochs.
            balance: "sampler" draws training images so that all classes are equally likely.

        Raises:
            ClassCountError: a training image is of a class that the classifier does not know.
            ShapeError: the images are of another size or number of channels.
            TrainingError: there is no such balance, or `data` is no ImageData.
        """
        check_images(data)
        if balance not in ("none", "sampler"):
            raise TrainingError(f"balance must be none or sampler here, received {balance!r}.")
        classifier = self.classifier
        if classifier is not None:
            _check_size(classifier, data)
        seed = self.seed if self.seed is not None else int(torch.randint(2**31, ()))
        for key in DataKey:
            if key.value not in data:
                continue
            split = data[key.value] if classifier is None else by_name(classifier, data, key.value)
            if not len(split) and len(data[key.value]):  # of unknown classes, all of them
                continue
            training = key is TRAIN_DATA
            self.sources[key].batches = Batches(
                split.images,
                split.labels,
                batch_size=batch_size,
                shuffle=training,
                seed=seed,
                preprocessing=classifier.preprocessing if classifier else data.preprocessing,
                augmentation=augmentation if training else None,
                augmented_epochs=augmented_epochs,
                balanced=training and balance == "sampler",
            )
        if classifier is not None:
            classifier.record.data |= {name: data.fingerprint(name) for name in data.splits}
            if classifier.samples is None and data.splits:
                classifier.samples = next(iter(data.splits.values())).images[:SAMPLES]
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
        """Take batches from any iterables of (inputs, targets), such as DataLoaders.

        Steps that are not given stay as they were.

        Raises:
            TrainingError: one of them gives no batches.
        """
        generators = (train_generator, val_generator, test_generator)
        steps = (train_steps, val_steps, test_steps)
        for key, batches, count in zip(DataKey, generators, steps, strict=True):
            if batches is not None:
                check_source(batches)
                self.sources[key].batches = batches
                self._count(key, count)
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
            self._count(key, count)
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

    def _count(self, key: DataKey, steps: int | None) -> None:
        if steps is not None:
            self.sources[key].steps = int(steps)


def check_images(data: Any) -> None:
    """Look whether this is a data set of images.

    Raises:
        TrainingError: it is something else.
    """
    if not isinstance(data, ImageData):
        raise TrainingError(
            f"images must be ImageData, received one of type {type(data).__name__}; read a folder "
            "with ImageData.from_folder(...), or give batches to Trial.with_generators(...)."
        )


def _check_size(classifier: Classifier, data: ImageData) -> None:
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
