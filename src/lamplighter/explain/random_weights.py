"""A network that forgets what it learned: weights in random order, statistics taken anew."""

from __future__ import annotations

import torch
from torch import nn

from lamplighter.models.heads import KNNHead, SVMHead


def learned(module: nn.Module) -> list[torch.Tensor]:
    """Return what a module itself, not those within it, has learned.

    A head of neighbours or support vectors keeps that in buffers: all those that a bundle holds,
    but for the whole numbers among them.
    """
    weights: list[torch.Tensor] = list(module.parameters(recurse=False))
    if isinstance(module, KNNHead | SVMHead):
        kept = module.state_dict()  # without buffers that only say how classes make pairs
        weights += [kept[name] for name in kept if kept[name].is_floating_point()]
    return weights


def shuffle(module: nn.Module, generator: torch.Generator) -> None:
    """Put the values of each weight of a module, not of those within it, into random order."""
    with torch.no_grad():
        for weight in learned(module):
            order = torch.randperm(weight.numel(), generator=generator).to(weight.device)
            weight.copy_(weight.flatten()[order].reshape(weight.shape))


def renew_statistics(network: nn.Module, inputs: torch.Tensor) -> None:
    """Let batch normalisation measure its means and variances on `inputs` (N, C, H, W)."""
    norms = [
        part for part in network.modules() if isinstance(part, nn.modules.batchnorm._BatchNorm)
    ]
    norms = [norm for norm in norms if norm.track_running_stats]
    if not norms:
        return
    device = next(network.parameters()).device
    momenta = [norm.momentum for norm in norms]
    network.eval()
    for norm in norms:
        norm.train()
        norm.reset_running_stats()
        norm.momentum = None  # the mean over all batches
    with torch.no_grad():
        for batch in torch.split(inputs, 16):
            # One value of a channel alone has no variance.
            network((batch if len(batch) > 1 else batch.repeat(2, 1, 1, 1)).to(device))
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    network.eval()
