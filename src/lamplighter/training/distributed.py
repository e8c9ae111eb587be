"""What the processes of a distributed training share."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import torch
from torch import distributed

if TYPE_CHECKING:
    from torch import Tensor


def is_first() -> bool:
    """Return whether this is the process that speaks, also before the processes have met."""
    # torchrun and Lightning number their processes in the environment.
    return all(os.environ.get(name, "0") == "0" for name in ("RANK", "LOCAL_RANK"))


def summed(values: list[float], device: torch.device) -> list[float]:
    """Return the sums of `values` over all processes."""
    if not (distributed.is_available() and distributed.is_initialized()):
        return values
    sums = torch.tensor(values, dtype=torch.float64, device=device)
    distributed.all_reduce(sums)
    return list(sums.tolist())


def weighted(loss: Tensor, count: int) -> Tensor:
    """Return the mean loss of `count` images, weighted by their share of the whole batch.

    The gradients are averaged over the processes, of which one may have an image more; with the
    weights they are those that one process would get.
    """
    total = torch.tensor(float(count), device=loss.device)
    distributed.all_reduce(total)
    return loss * (count * distributed.get_world_size() / total)
