"""What the processes of a distributed training share."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import torch
from torch import distributed

from lamplighter.datasets.batches import rank_and_world_size
from lamplighter.training.ignore_index import counted, unified

if TYPE_CHECKING:
    from torch import Tensor


def is_first() -> bool:
    """Return whether this is the process that speaks, also before the processes have met."""
    # torchrun and Lightning number their processes in the environment.
    return all(os.environ.get(name, "0") == "0" for name in ("RANK", "LOCAL_RANK"))


def summed(values: list[float], device: torch.device) -> list[float]:
    """Return the sums of `values` over all processes."""
    if rank_and_world_size()[1] == 1:
        return values
    sums = torch.tensor(values, dtype=torch.float64, device=device)
    distributed.all_reduce(sums)
    return list(sums.tolist())


def weighted(loss: Tensor, targets: Tensor, *, criterion: Any) -> Tensor:
    """Return the mean loss of a share of a batch, weighted by the images of it that count.

    The gradients are averaged over the processes, of which one may have an image more, or more
    labels that `criterion` ignores; with the weights they are those that one process would get.
    """
    processes = rank_and_world_size()[1]
    if processes == 1:
        return loss
    count = counted(unified(targets, criterion))
    total = torch.as_tensor(count, dtype=torch.float32, device=loss.device).clone()
    distributed.all_reduce(total)
    return loss * (count * processes / total)
