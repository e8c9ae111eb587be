"""A network as a chain of stages, from the images to the logits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from lamplighter.errors import ModelError, UnknownLayerError
from lamplighter.inference.runtime import evaluating
from lamplighter.names import suggestion

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from torch import Tensor

FLATTEN = "(flatten)"  # no name of a module

_CLOSE = 1e-4  # relative to the largest output: what float32 leaves after many layers
_NO_CHAIN = (
    "the network must be a chain of its parts in their order, as nn.Sequential is; "
    "cut a network with a backbone and a head between these"
)


def stages(network: nn.Module, sample: Tensor | None = None) -> list[tuple[str, nn.Module]]:
    """Return `network` as a chain of named stages, the oldest, nearest to the images, first.

    A stage is a block, or a layer with weights and what follows it: normalisation, activation,
    pooling. Dropout belongs to the stage that comes after it.

    Args:
        network: one with a backbone and a head, a small network of Lamplighter, a sequence of
            layers, or any other that uses its parts one after the other in their order.
        sample: images (N, C, H, W) to prove the chain on; without them it is not proven.

    Returns:
        Names of modules of the network, and modules that share them; run one after the other
        in evaluation mode they are the network.

    Raises:
        ModelError: the stages, run one after the other, do not give what the network gives.
    """
    chain = [
        (name, parts[0] if len(parts) == 1 else nn.Sequential(*parts))
        for name, parts in ((name, list(members.values())) for name, members in members_of(network))
    ]
    if sample is not None:
        check_chain(network, [module for _, module in chain], sample)
    return chain


def check_chain(network: nn.Module, modules: Sequence[nn.Module], sample: Tensor) -> None:
    """Refuse modules that do not give what `network` gives when run one after the other.

    Args:
        network: what they are parts of.
        modules: the first takes the images.
        sample: images (N, C, H, W).

    Raises:
        ModelError: they do not.
    """
    with evaluating(network), torch.no_grad():
        expected = network(sample)
        received: Any = sample
        try:
            for module in modules:
                # A wrapper around parts of the network has a mode of its own.
                with evaluating(module):
                    received = module(received)
        except (RuntimeError, TypeError, AttributeError, NotImplementedError) as error:
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise ModelError(f"{_NO_CHAIN}; run so, they fail: {reason[:200]}") from error
    if not isinstance(received, torch.Tensor) or received.shape != expected.shape:
        raise ModelError(f"{_NO_CHAIN}; run so, they give another shape.")
    difference = float((received - expected).abs().max())
    if not difference <= _CLOSE * max(1.0, float(expected.abs().max())):
        raise ModelError(f"{_NO_CHAIN}; run so, they differ from it by {difference:.3g}.")


def members_of(network: nn.Module) -> list[tuple[str, dict[str, nn.Module]]]:
    """Return the stages as their names and the modules in each, by their names."""
    chain: list[tuple[str, dict[str, nn.Module]]] = []
    waiting: dict[str, nn.Module] = {}  # dropout, for the stage that comes next
    for name, module in _flattened(_parts(network)):
        if name == "head" and chain:  # what ends the backbone is no part of the head
            ending = {key: waiting.pop(key) for key in list(waiting) if key.startswith("backbone.")}
            chain[-1][1].update(ending)
        has_weights = any(p.ndim > 1 for p in (*module.parameters(), *module.buffers()))
        if isinstance(module, (nn.Dropout, nn.Flatten)):
            waiting[name] = module
        elif has_weights or not chain or name == "head":
            chain.append((name, {**waiting, name: module}))
            waiting = {}
        else:
            chain[-1][1].update({**waiting, name: module})
            waiting = {}
    if waiting and chain:
        chain[-1][1].update(waiting)
    return chain


def _parts(network: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """Yield the parts of a network in their order: blocks, and layers that are in none."""
    if not any(True for _ in network.children()):
        yield "", network
    holders = set(holders_of(network))
    for name, module in network.named_modules():
        inside = name.rpartition(".")[0]
        if module not in holders and network.get_submodule(inside) in holders:
            yield name, module


def holders_of(network: nn.Module) -> list[nn.Module]:
    """Return the network and what in it is a chain of parts rather than a part."""
    holders: list[nn.Module] = [network]
    for name, child in network.named_children():
        if name == "backbone":
            holders.append(child)
            children = list(child.children())
        else:
            children = [child]
        if not isinstance(network, nn.Sequential):
            holders += [c for c in children if isinstance(c, nn.Sequential) and len(c)]
    return holders


def _flattened(parts: Iterator[tuple[str, nn.Module]]) -> Iterator[tuple[str, nn.Module]]:
    """Yield the parts, with what makes a vector of feature maps before the first dense layer.

    Networks do so in `forward`, after `features` and before the dropout of the dense layers.
    """
    chain = list(parts)
    dense = next((i for i, (_, part) in enumerate(chain) if isinstance(part, nn.Linear)), None)
    if dense and not any(isinstance(part, nn.Flatten) for _, part in chain[:dense]):
        while dense > 1:
            name, part = chain[dense - 1]
            if not isinstance(part, nn.Dropout | nn.Identity) or name.startswith("features."):
                break
            dense -= 1
        chain.insert(dense, (FLATTEN, nn.Flatten(1)))
    yield from chain


def places_of(chain: Sequence[tuple[str, dict[str, nn.Module]]], wanted: str) -> list[int]:
    """Return the numbers of the stages that `wanted` names, or begins the name of.

    Raises:
        UnknownLayerError: there is none.
    """
    places = [
        place
        for place, (_, members) in enumerate(chain)
        if any(member == wanted or member.startswith(f"{wanted}.") for member in members)
    ]
    if not places:
        told = suggestion(wanted, [name for name, _ in chain], opening="it has")
        raise UnknownLayerError(f"the network has no stage {wanted!r}; {told}")
    return places
