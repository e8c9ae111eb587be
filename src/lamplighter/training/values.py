"""Numbers that a device computes one after the other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor

_ROOM = 1024


class Values:
    """A growing list of numbers, which stay on their device until they are read.

    They are copied into one tensor. Kept as they are, each would lie in memory between the large
    blocks of its step and keep these from being used again: two megabytes a step.
    """

    def __init__(self) -> None:
        self._kept: Tensor | None = None
        self._count = 0

    def append(self, value: Tensor) -> None:
        """Add a number: a tensor of shape ()."""
        if self._kept is None:
            self._kept = torch.empty(_ROOM, dtype=value.dtype, device=value.device)
        elif self._count == len(self._kept):
            self._kept = torch.cat([self._kept, torch.empty_like(self._kept)])
        self._kept[self._count] = value
        self._count += 1

    def __len__(self) -> int:
        return self._count

    @property
    def device(self) -> torch.device:
        """Where they are; the CPU while there is none."""
        return torch.device("cpu") if self._kept is None else self._kept.device

    def read(self, last: int | None = None) -> list[float]:
        """Return all numbers, or the last ones; the device is waited for."""
        if self._kept is None:
            return []
        first = 0 if last is None else max(0, self._count - last)
        numbers: list[float] = self._kept[first : self._count].tolist()
        return numbers
