"""Labels that a criterion ignores: images without a class, which no score may count."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

# What torch's losses ignore unless they are told otherwise.
IGNORED = -100


def ignored_index(criterion: Any) -> int:
    """Return the label that `criterion` ignores."""
    return int(getattr(criterion, "ignore_index", IGNORED))


def are_indices(targets: Tensor) -> bool:
    """Return whether targets are class indices (B,), of which some may be ignored."""
    return targets.ndim == 1 and not targets.is_floating_point()


def unified(targets: Tensor, criterion: Any) -> Tensor:
    """Return targets in which the label that `criterion` ignores is -100."""
    index = ignored_index(criterion)
    if index == IGNORED or not are_indices(targets):
        return targets
    return targets.long().masked_fill(targets == index, IGNORED)


def counted(targets: Tensor) -> int | Tensor:
    """Return how many images of a batch count: all but those with the label -100.

    On a device it is a tensor of shape (), since reading it would make the device wait.
    """
    size = targets.shape[0]
    if not size or not are_indices(targets):
        return size
    # On a CPU the smallest is found in a third of the time that counting takes.
    if targets.is_cpu and targets.min().item() >= 0:
        return size
    count = (targets != IGNORED).sum()
    return int(count) if targets.is_cpu else count
