"""Freezing the stages of a network, and keeping them frozen."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from lamplighter.errors import ModelError, TrainingError, UnknownLayerError
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


# The blocks of one stage of a residual network, layer3.0, layer3.1 ..., learn alike.
_BLOCK = re.compile(r"(.*\blayer\d+)\.\d+")
_LEARNED = "_learned_before_freezing"


def freeze(network: nn.Module, *, until: str | None = None) -> None:
    """Keep the older stages as they are: weights, statistics of BatchNorm, dropout off.

    Frozen modules stay in evaluation mode, whatever mode the network is put into.

    Args:
        network: as for `stages`.
        until: the last stage to freeze, by its name or that of a module in it, or the beginning
            of such a name: "backbone" means all of the backbone. None freezes all.

    Raises:
        UnknownLayerError: the network has no such stage.
    """
    chain = members_of(network)
    last = len(chain) - 1 if until is None else max(places_of(chain, until))
    for _, members in chain[: last + 1]:
        for member in members.values():
            for module in member.modules():
                _freeze_one(module)
    _settle(network)


def unfreeze(network: nn.Module, *, since: str | None = None) -> None:
    """Let the newer stages learn again.

    Args:
        network: as for `stages`.
        since: the first stage to unfreeze, named as for `freeze`; all newer ones too. None
            unfreezes all.

    Raises:
        UnknownLayerError: the network has no such stage.
    """
    chain = members_of(network)
    first = 0 if since is None else min(places_of(chain, since))
    for _, members in chain[first:]:
        for member in members.values():
            for module in member.modules():
                _unfreeze_one(module, network.training)
    _settle(network)


def frozen(network: nn.Module) -> list[str]:
    """Return the names of the stages that are frozen, the oldest first."""
    return [
        name
        for name, members in members_of(network)
        # What makes a vector of maps is no module of the network, and has nothing to freeze.
        if all(is_frozen(member) for key, member in members.items() if key != FLATTEN)
    ]


def is_frozen(module: nn.Module) -> bool:
    """Return whether `freeze` holds this module as it is."""
    return isinstance(vars(module).get("train"), _Stay)


def layered_parameters(
    network: nn.Module, lr: float, *, decay: float = 0.5
) -> list[dict[str, Any]]:
    """Return groups of parameters for an optimizer, with lower learning rates for older stages.

    Discriminative fine-tuning (Howard and Ruder, 2018, arXiv:1801.06146). The blocks of one
    stage of a residual network share a rate. Biases and normalisation have no weight decay;
    what is frozen is left out.

    Args:
        network: as for `stages`.
        lr: the learning rate of the newest stage.
        decay: each older stage has this times the rate of the next, above 0 and up to 1.

    Raises:
        TrainingError: a value is out of range, or everything is frozen.
    """
    if not (lr > 0 and 0 < decay <= 1):
        raise TrainingError(
            "layered_parameters takes a positive learning rate and a decay above 0 and up to 1, "
            f"received {lr} and {decay}."
        )
    layers: dict[str, list[nn.Parameter]] = {}
    loose = [p for module in holders_of(network) for p in module.parameters(recurse=False)]
    for name, members in members_of(network):
        block = _BLOCK.fullmatch(name)
        layer = layers.setdefault(block[1] if block else name, [*loose])
        layer += [p for member in members.values() for p in member.parameters()]
        loose = []
    groups = []
    seen: set[int] = set()
    for age, (name, parameters) in enumerate(reversed(layers.items())):
        learning = [p for p in parameters if p.requires_grad and id(p) not in seen]
        seen |= {id(p) for p in learning}
        common = {"lr": lr * decay**age, "stage": name}
        weights = [p for p in learning if p.ndim > 1]
        others = [p for p in learning if p.ndim <= 1]
        if weights:
            groups.append({"params": weights, **common})
        if others:
            groups.append({"params": others, **common, "weight_decay": 0.0})
    if not groups:
        raise TrainingError(
            "there is nothing to train: every stage is frozen; unfreeze some, for example with "
            f"unfreeze(network, since={next(reversed(layers), '')!r})."
        )
    return groups


class _Stay:
    """Takes the place of a frozen module's `train`: whatever is asked for, it stays as it is.

    Args:
        module: the module.
    """

    def __init__(self, module: nn.Module) -> None:
        self.module = module

    def __call__(self, mode: bool = True) -> nn.Module:
        return self.module


def _settle(network: nn.Module) -> None:
    """Freeze what holds nothing but frozen modules, which may have weights or dropout of its own.

    Weights of its own, such as embeddings of positions, are as old as its oldest stage.
    """
    for module in reversed(holders_of(network)):
        held = [is_frozen(child) for child in module.children()]
        if not held:
            continue  # the network is one layer, and its own only stage
        _unfreeze_one(module, network.training)
        if module is not network and all(held):
            _freeze_one(module)
        elif any(held):
            _hold_weights(module)


def _freeze_one(module: nn.Module) -> None:
    if not is_frozen(module):
        _hold_weights(module)
        module.training = False
        vars(module)["train"] = _Stay(module)


def _hold_weights(module: nn.Module) -> None:
    """Let the weights of the module itself learn no more."""
    own = dict(module.named_parameters(recurse=False))
    vars(module)[_LEARNED] = [name for name, weights in own.items() if weights.requires_grad]
    for weights in own.values():
        weights.requires_grad = False
        weights.grad = None


def _unfreeze_one(module: nn.Module, training: bool) -> None:
    for name in vars(module).pop(_LEARNED, ()):
        getattr(module, name).requires_grad = True
    if is_frozen(module):
        del vars(module)["train"]
        module.training = training
