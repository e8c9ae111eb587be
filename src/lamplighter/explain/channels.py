"""Which channels of a layer are drawn, and how that is said."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lamplighter.errors import UnknownLayerError

if TYPE_CHECKING:
    from collections.abc import Sequence


def chosen_channels(
    count: int, wanted: Sequence[int] | None, most: int, what: str, layer: str
) -> list[int]:
    """Return the numbers of the channels to draw: those wanted, or the first `most`.

    Args:
        count: how many there are.
        wanted: numbers from 0 to count - 1, at least one; None for the first.
        most: how many are drawn where none are named.
        what: what one of them is called.
        layer: the name of the layer.

    Raises:
        UnknownLayerError: there is no channel of that number, or none is wanted.
    """
    if wanted is None:
        return list(range(min(count, most)))
    numbers = [int(number) for number in wanted]
    beyond = [number for number in numbers if not 0 <= number < count]
    if beyond or not numbers:
        received = f"received {beyond[0]}" if beyond else "received none"
        raise UnknownLayerError(
            f"layer {layer!r} has {count:,} {what}s, numbered 0 to {count - 1}, {received}."
        )
    return numbers


def selection_text(chosen: Sequence[int], count: int, what: str) -> str:
    """Return how many of `count` are drawn, such as "the first 64 of 1,280 maps"."""
    plural = what if count == 1 else f"{what}s"
    if list(chosen) == list(range(count)):
        return f"{count:,} {plural}"
    if list(chosen) == list(range(len(chosen))):
        first = "the first" if len(chosen) == 1 else f"the first {len(chosen):,}"
        return f"{first} of {count:,} {plural}"
    return f"{len(chosen):,} of {count:,} {plural}"
