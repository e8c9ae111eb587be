"""Data that is the training data, and data that is not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Subset, SubsetRandomSampler, TensorDataset

from lamplighter.training.fingerprints import overlap, same_data

from . import toys

if TYPE_CHECKING:
    from lamplighter.datasets.image_data import ImageData


def test_no_image_of_mnist_is_in_training_and_test(mnist: ImageData) -> None:
    train, test = mnist.batches("train"), mnist.batches("test")
    assert overlap(train, test) == 0
    seen = {image.tobytes() for image in mnist["train"].images}  # the hashes tell the truth
    assert not any(image.tobytes() in seen for image in mnist["test"].images)


class Random(Dataset[tuple[Tensor, int]]):
    """Items that are random each time, as with augmentation."""

    def __len__(self) -> int:
        return 40

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return torch.rand(1, 6, 6), index % 3


def dataset(seed: int = 0) -> TensorDataset:
    return TensorDataset(*toys.examples(40, seed))


def cut(start: int, end: int, dtype: torch.dtype = torch.float32) -> DataLoader[tuple[Tensor, ...]]:
    images, labels = toys.examples(40)
    images = (100 * images).to(dtype)
    return DataLoader(TensorDataset(images[start:end], labels[start:end]), 8)


def line(start: int, end: int) -> DataLoader[tuple[Tensor, ...]]:
    return DataLoader(TensorDataset(torch.arange(40)[start:end]), 8)


def batches(seed: int = 0) -> list[tuple[Tensor, ...]]:
    return [tuple(batch) for batch in toys.loader(40, seed)]


SAME = {
    "one data set": lambda: [DataLoader(d := dataset(), 8, shuffle=True), DataLoader(d, 5)],
    "equal data sets": lambda: [DataLoader(dataset(), 8, shuffle=True), DataLoader(dataset(), 5)],
    "one random data set": lambda: [DataLoader(d := Random(), 8), DataLoader(d, 5)],
    "a list": lambda: [batches(), batches()],
    "a list itself": lambda: [b := batches(), b],
    "a part": lambda: [DataLoader(d := dataset(), 8), DataLoader(Subset(d, range(7)), 5)],
    "parts that overlap": lambda: [
        DataLoader(Subset(d := dataset(), range(30)), 8),
        DataLoader(Subset(d, range(29, 40)), 5),
    ],
    "samplers that overlap": lambda: [
        DataLoader(d := dataset(), 8, sampler=SubsetRandomSampler(range(30))),
        DataLoader(d, 8, sampler=SubsetRandomSampler([35, 29])),
    ],
    "cuts of tensors that overlap": lambda: [cut(0, 30), cut(29, 40)],
    "cuts of whole numbers": lambda: [cut(0, 30, torch.uint8), cut(29, 40, torch.uint8)],
    "cuts of small numbers": lambda: [cut(0, 30, torch.bfloat16), cut(29, 40, torch.bfloat16)],
    "cuts of single values": lambda: [line(0, 30), line(29, 40)],
}
OTHER = {
    "cuts of tensors": lambda: [cut(0, 30), cut(30, 40)],
    "cuts of single values": lambda: [line(0, 30), line(30, 40)],
    "cuts of another shape": lambda: [line(0, 30), cut(0, 30)],
    "other data sets": lambda: [DataLoader(dataset(), 8), DataLoader(dataset(1), 8)],
    "other lists": lambda: [batches(), batches(1)],
    "two random data sets": lambda: [DataLoader(Random(), 8), DataLoader(Random(), 8)],
    "parts": lambda: [
        DataLoader(Subset(d := dataset(), range(30)), 8),
        DataLoader(Subset(d, range(30, 40)), 5),
    ],
    "a part of a part": lambda: [
        DataLoader(Subset(half := Subset(dataset(), range(20)), range(10)), 8),
        DataLoader(Subset(half, range(10, 20)), 5),
    ],
    "samplers": lambda: [
        DataLoader(d := dataset(), 8, sampler=SubsetRandomSampler(range(30))),
        DataLoader(d, 8, sampler=SubsetRandomSampler(range(30, 40))),
    ],
    "arrays that agree at their ends": lambda: [
        [(a := np.zeros((60, 60)), 0)],
        [(np.where(np.eye(60) * np.arange(60) == 30, 1.0, a), 0)],
    ],
    "pictures": lambda: [
        [(Image.new("L", (9, 9), value), 0) for value in values] for values in ((1, 2), (1, 3))
    ],
    "streams": lambda: [toys.Endless([]), toys.Endless([])],
    "no data": lambda: [DataLoader(Subset(dataset(), []), 8) for _ in range(2)],
    "nothing": lambda: [batches(), None],
    "batches in a way of their own": lambda: [
        DataLoader(d := dataset(), batch_sampler=[[0, 1], [2]]),
        DataLoader(d, batch_sampler=[[3, 4], [5]]),
    ],
}


@pytest.mark.parametrize("kind", SAME)
def test_data_that_is_shared(kind: str) -> None:
    first, second = SAME[kind]()
    assert same_data(first, second)
    assert same_data(second, first)


@pytest.mark.parametrize("kind", OTHER)
def test_data_that_is_not_shared(kind: str) -> None:
    first, second = OTHER[kind]()
    assert not same_data(first, second)
    assert not same_data(second, first)


def test_equal_pictures_are_the_same() -> None:
    first, second = ([(Image.new("L", (9, 9), 7), {"age": 3})] for _ in range(2))
    assert same_data(first, second)
