"""Where the batches of a trial come from."""

from __future__ import annotations

import contextlib
import itertools
import random
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lamplighter.datasets.batches import epoch_seed
from lamplighter.errors import TrainingError
from lamplighter.names import meant

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    import torch
    from torch import Tensor


class DataKey(StrEnum):
    """Which data a trial evaluates or predicts; the value begins the names of its results."""

    TRAIN = "train"
    VALIDATION = "val"
    TEST = "test"


TRAIN_DATA = DataKey.TRAIN
"""The training data of a trial."""
VALIDATION_DATA = DataKey.VALIDATION
"""The validation data of a trial."""
TEST_DATA = DataKey.TEST
"""The test data of a trial."""

_EMPTY = (
    "the data gave no batches: it is empty, or a generator that can be gone through only once; "
    "give a list, a DataLoader or another iterable that begins anew."
)


def data_key(key: DataKey | str) -> DataKey:
    """Return `key` as one of the three keys.

    Raises:
        TrainingError: it is none of them.
    """
    try:
        return DataKey(key)
    except ValueError:
        names = ", ".join(f"{member.name}_DATA ({member.value!r})" for member in DataKey)
        near = {member.name.lower(): member.value for member in DataKey}.get(str(key).lower())
        hint = meant(near or key, [member.value for member in DataKey]) or "."
        raise TrainingError(f"data_key must be one of {names}, received {key!r}{hint}") from None


@dataclass
class Source:
    """Batches, and how many of them make an epoch.

    Attributes:
        batches: any iterable of (inputs, targets), or of inputs alone for predicting.
        steps: batches in an epoch; None for as many as there are.
    """

    batches: Iterable[Any] | None = None
    steps: int | None = None

    @property
    def length(self) -> int | None:
        """How many batches an epoch has; None where the iterable does not say."""
        if self.steps is not None:
            return self.steps
        batches: Any = self.batches
        try:
            return len(batches)
        except (TypeError, NotImplementedError):  # a DataLoader over a stream has a len that raises
            return None


class EpochBatches:
    """The batches of a source, epoch by epoch.

    With a seed, all random numbers of an epoch depend on the seed and the epoch alone: a
    training that was interrupted goes on as if it had not been, and watching does not change it.

    Args:
        source: the batches; beginning anew where they end before `source.steps`.
        epoch: gives the number of the epoch when its batches are asked for.
        seed: of all random numbers; None leaves them alone.
        share: take every n-th batch from number `rank` on, given as (rank, n).

    Raises:
        TrainingError: there are no batches, or the number of steps is not positive.
    """

    def __init__(
        self,
        source: Source,
        epoch: Callable[[], int] = lambda: 0,
        *,
        seed: int | None = None,
        share: tuple[int, int] = (0, 1),
    ) -> None:
        if source.batches is None:
            raise TrainingError(
                "the trial has no data for this; give some, for example by with_generators(...)."
            )
        if source.steps is not None and source.steps < 1:
            raise TrainingError(f"an epoch needs at least 1 step, received {source.steps}.")
        if source.length == 0:
            raise TrainingError(_EMPTY)
        self.batches = source.batches
        self.steps = source.steps
        self._source = source
        self._epoch = epoch
        self._seed = seed
        self._share = share

    def __len__(self) -> int:
        # Asked anew each time: in a distributed training it depends on how many processes share.
        length = self._source.length
        if length is None:
            raise TypeError("the source does not say how many batches it has")
        return length

    def __iter__(self) -> Iterator[Any]:
        epoch = self._epoch()
        if self._seed is not None:
            seed_all(epoch_seed(self._seed, epoch))
        if hasattr(self.batches, "set_epoch"):
            self.batches.set_epoch(epoch)
        rank, processes = self._share
        done = 0
        while done < (self.steps or 1):
            before = done
            wanted = self.steps - done if self.steps is not None else None
            own = itertools.islice(self.batches, rank, None, processes)
            for batch in _explained(itertools.islice(own, wanted)):
                yield batch
                done += 1
            if done == before:
                raise TrainingError(_EMPTY)


def check_source(batches: Any) -> None:
    """Refuse what gives no batches.

    Raises:
        TrainingError: it cannot be iterated over, or holds whole data in place of batches.
    """
    import torch

    remedy = None
    if isinstance(batches, (str, Path)):
        remedy = "read images with ImageData.from_folder(...) and give them to with_images(...)"
    elif isinstance(batches, torch.Tensor):
        remedy = "give tensors to with_train_data(x, y), with_val_data or with_test_data"
    elif isinstance(batches, (tuple, list)) and _are_inputs_and_targets(batches):
        remedy = "give inputs and targets apart: with_train_data(x, y), with_val_data(x, y)"
    elif hasattr(batches, "splits") and hasattr(batches, "class_names"):
        remedy = "give images to with_images(...)"
    elif not hasattr(batches, "__iter__") and not hasattr(batches, "__getitem__"):
        remedy = "give a list of batches, a DataLoader or another iterable"
    if remedy is not None:
        raise TrainingError(
            "a generator must give batches of (inputs, targets), received one of type "
            f"{type(batches).__name__}; {remedy}."
        )


def _are_inputs_and_targets(batches: Sequence[Any]) -> bool:
    """Return whether this is one pair of tensors rather than batches that are pairs themselves."""
    import torch

    if len(batches) != 2 or not all(isinstance(part, torch.Tensor) for part in batches):
        return False
    inputs, targets = batches
    return len(inputs) == len(targets) and inputs.ndim > targets.ndim


def _explained(batches: Iterable[Any]) -> Iterator[Any]:
    """Give the batches; say what a DataLoader cannot put together.

    Raises:
        TrainingError: items are not tensors, or not of one size.
    """
    iterator = iter(batches)
    while True:
        try:
            batch = next(iterator)
        except StopIteration:
            return
        except (TypeError, RuntimeError) as error:
            remedy = next((r for words, r in _COLLATING.items() if words in str(error)), None)
            if remedy is None:
                raise
            reason = str(error).strip().splitlines()[-1].removeprefix(f"{type(error).__name__}: ")
            raise TrainingError(
                f"the DataLoader cannot make a batch of its items: {reason}; {remedy}."
            ) from error
        yield batch


_ONE_SIZE = "bring all images to one size, for example with torchvision's Resize((64, 64))"
# What torch's default_collate says, and what helps.
_COLLATING = {
    "batch must contain tensors": "end the transforms of the data set with one that makes tensors, "
    "such as torchvision's ToImage() and ToDtype(torch.float32, scale=True)",
    "expects each tensor to be equal size": _ONE_SIZE,
    "storage that is not resizable": _ONE_SIZE,  # the same, in a worker process
}


def check_seed(seed: int | None) -> int | None:
    """Return `seed`.

    Raises:
        TrainingError: it is not in 0..2**32 - 1.
    """
    if seed is not None and not 0 <= seed < 2**32:
        raise TrainingError(f"the seed must be in 0..{2**32 - 1}, received {seed}.")
    return seed


def seed_all(seed: int) -> None:
    """Seed the random numbers of torch, numpy and Python, differently in each process."""
    import numpy as np
    import torch

    if torch.distributed.is_available() and torch.distributed.is_initialized():
        seed = epoch_seed(seed, torch.distributed.get_rank())
    torch.manual_seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002 - users' augmentations may draw from it
    random.seed(seed)


@contextlib.contextmanager
def same_random_numbers(*devices: torch.device) -> Iterator[None]:
    """Leave the random numbers of torch, numpy and Python as they were.

    Args:
        devices: GPUs that may draw some too.
    """
    import numpy as np
    import torch

    states = random.getstate(), np.random.get_state()  # noqa: NPY002 - what users draw from
    try:
        with torch.random.fork_rng(devices=devices):
            yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])  # noqa: NPY002


def tensor_loader(
    inputs: Tensor, targets: Tensor | None, batch_size: int, *, shuffle: bool, num_workers: int
) -> Iterable[Any]:
    """Return torch's DataLoader over tensors of equal length.

    Raises:
        TrainingError: they differ in length or are empty, or the batch size is less than 1.
    """
    import torch
    from torch.utils.data import DataLoader, TensorDataset

    for what, values in (("inputs", inputs), ("targets", targets)):
        if values is not None and not isinstance(values, torch.Tensor):
            raise TrainingError(
                f"{what} must be a tensor, received one of type {type(values).__name__}; make it "
                "with torch.as_tensor(...)."
            )
    tensors = (inputs,) if targets is None else (inputs, targets)
    if targets is not None and len(inputs) != len(targets):
        raise TrainingError(
            f"inputs and targets must be as many, received {len(inputs)} and {len(targets)}."
        )
    if not len(inputs):
        raise TrainingError("the data must hold 1 example or more, received none.")
    if batch_size < 1:
        raise TrainingError(f"the batch size must be at least 1, received {batch_size}.")
    return DataLoader(
        TensorDataset(*tensors), batch_size=batch_size, shuffle=shuffle, num_workers=num_workers
    )
