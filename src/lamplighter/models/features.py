"""The features of an image: what the last part of a network, its head, is given."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from torch import Tensor, nn

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any


def head_of(network: nn.Module) -> nn.Module | None:
    """Return the module whose input are the features of `network`, or None if there is none.

    It is `head` of a PretrainedNetwork, what `get_classifier()` gives as timm has it, else the
    last dense layer.
    """
    from lamplighter.models.pretrained import PretrainedNetwork

    if isinstance(network, PretrainedNetwork):
        return network.head
    get_classifier = getattr(network, "get_classifier", None)
    if callable(get_classifier):
        head = get_classifier()
        return head if isinstance(head, nn.Module) else None
    dense = [module for module in network.modules() if isinstance(module, nn.Linear)]
    return dense[-1] if dense and dense[-1] is not network else None


def num_features(network: nn.Module) -> int | None:
    """Return D, how many features `network` gives an image, or None if it has none to give."""
    head = head_of(network)
    for value in (getattr(head, "in_features", None), getattr(network, "num_features", None)):
        if head is not None and isinstance(value, int):
            return value
    return None


@contextlib.contextmanager
def inputs_of(module: nn.Module) -> Iterator[list[Any]]:
    """Give the list of what `module` is called with, as long as this lasts."""
    inputs: list[Any] = []

    def keep(_: nn.Module, arguments: tuple[Any, ...]) -> None:
        inputs.append(arguments[0] if arguments else None)

    handle = module.register_forward_pre_hook(keep)
    try:
        yield inputs
    finally:
        handle.remove()


def forward_with_features(network: nn.Module, images: Tensor) -> tuple[Any, Tensor | None]:
    """Return what `network` gives for `images` (N, C, H, W), and the features (N, D) on the way.

    The features are None where the network has no head, calls it more or less than once, or
    gives it something else than one vector for each image.
    """
    head = head_of(network)
    if head is None:
        return network(images), None
    with inputs_of(head) as inputs:
        outputs = network(images)
    features = inputs[0] if len(inputs) == 1 else None
    fits = (
        isinstance(features, Tensor)
        and features.ndim == 2
        and features.shape[0] == images.shape[0]  # not len, which an export takes as fixed
    )
    return outputs, features if fits else None
