from __future__ import annotations

import random

import numpy as np
import pytest
import torch

from lamplighter import TEST_DATA, TRAIN_DATA, VALIDATION_DATA
from lamplighter.errors import TrainingError
from lamplighter.training.loaders import (
    EpochBatches,
    Source,
    data_key,
    same_random_numbers,
    seed_all,
)

from . import toys


def drawn() -> tuple[float, float, float]:
    return torch.rand(()).item(), np.random.rand(), random.random()  # noqa: NPY002


def test_the_keys_are_torchbearers() -> None:
    assert [data_key(name) for name in ("train", "val", "test")] == [
        TRAIN_DATA,
        VALIDATION_DATA,
        TEST_DATA,
    ]


def test_an_epochs_random_numbers_depend_on_seed_and_epoch_alone() -> None:
    class Random:
        def __iter__(self):
            yield drawn()
            yield drawn()

    def epoch(number: int, seed: int) -> list[tuple[float, float, float]]:
        return list(EpochBatches(Source(Random()), lambda: number, seed=seed))

    first = epoch(0, 7)
    drawn()
    assert epoch(0, 7) == first
    assert len({*first, *epoch(1, 7), *epoch(0, 8)}) == 6


def test_without_a_seed_the_numbers_are_left_alone() -> None:
    seed_all(3)
    expected = drawn()
    seed_all(3)
    list(EpochBatches(Source([1, 2])))
    with same_random_numbers():
        drawn()
    assert drawn() == expected


def test_lengths() -> None:
    batches = [1, 2, 3]
    assert len(EpochBatches(Source(batches))) == 3
    assert len(EpochBatches(Source(iter(batches), 8))) == 8
    assert Source(iter(batches)).length is None
    with pytest.raises(TypeError):
        len(EpochBatches(Source(iter(batches))))


@pytest.mark.parametrize("steps", [1, 2, 3, 4, 7])
def test_so_many_steps_from_so_many_batches(steps: int) -> None:
    assert list(EpochBatches(Source([0, 1, 2], steps))) == [n % 3 for n in range(steps)]


@pytest.mark.parametrize(("rank", "expected"), [(0, [0, 2, 4, 0]), (1, [1, 3, 1, 3])])
def test_every_second_batch_for_each_of_two_processes(rank: int, expected: list[int]) -> None:
    assert list(EpochBatches(Source(range(5), 4), share=(rank, 2))) == expected


def test_a_generator_without_end() -> None:
    def count():
        number = 0
        while True:
            yield number
            number += 1

    epochs = EpochBatches(Source(count(), 3))
    assert [list(epochs), list(epochs)] == [[0, 1, 2], [3, 4, 5]]


def test_a_generator_that_is_exhausted() -> None:
    epochs = EpochBatches(Source(iter([0, 1, 2]), 2))
    assert list(epochs) == [0, 1]
    with pytest.raises(TrainingError, match="gone through only once"):
        list(epochs)
    with pytest.raises(TrainingError, match="it is empty"):
        EpochBatches(Source([]))


@pytest.mark.parametrize("steps", [None, 6])
def test_an_exhausted_generator_stops_the_trial(steps: int | None) -> None:
    once = iter([toys.examples(8), toys.examples(8, 1)])
    trial = toys.trial().with_generators(once, train_steps=steps)
    with pytest.raises(TrainingError, match="gone through only once; give a list, a DataLoader"):
        trial.run(2)
    assert len(trial.history) == (0 if steps else 1)


def test_tensors_without_examples() -> None:
    images, labels = toys.examples(8)
    trial = toys.trial()
    for take in (trial.with_train_data, trial.with_val_data, trial.with_test_data):
        with pytest.raises(TrainingError, match="1 example or more, received none"):
            take(images[:0], y=labels[:0])
        with pytest.raises(TrainingError, match="at least 1, received 0"):
            take(images, y=labels, batch_size=0)


def test_empty_data_stops_the_trial() -> None:
    with pytest.raises(TrainingError, match="no batches"):
        toys.trial().with_generators([]).run(1)
    trial = toys.trial().with_generators(toys.loader(8, shuffle=True), [], [])
    with pytest.raises(TrainingError, match="no batches"):
        trial.run(1)
    with pytest.raises(TrainingError, match="no batches"):
        trial.evaluate(data_key=TEST_DATA)
    with pytest.raises(TrainingError, match="no batches"):
        trial.predict()
