"""Freezing parts of a network, and learning rates that fall towards its older parts."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from lamplighter.errors import TrainingError
from lamplighter.transfer.stages import FLATTEN, holders_of, members_of, places_of
from lamplighter.transfer.stages import stages as stages

if TYPE_CHECKING:
    from torch import nn

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
