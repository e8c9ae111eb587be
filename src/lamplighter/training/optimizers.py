"""The optimizers of the recipes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import nn


def adamw(network: nn.Module, learning_rate: float, weight_decay: float) -> torch.optim.Optimizer:
    """Return AdamW for all weights, in one pass over them."""
    return torch.optim.AdamW(
        network.parameters(), lr=learning_rate, weight_decay=weight_decay, fused=True
    )


def muon(network: nn.Module, learning_rate: float, weight_decay: float) -> torch.optim.Optimizer:
    """Return Muon for convolutions that take several maps, and AdamW for all other weights.

    Muon (K. Jordan and others, 2024, https://kellerjordan.github.io/posts/muon/) makes the
    momentum of a matrix orthogonal, so that a step moves all its directions alike; a convolution
    counts as a matrix of its outputs by its inputs. timm's, since torch's takes no convolutions.

    Args:
        network: what is trained.
        learning_rate: of Muon; that of AdamW is 0.15 of it.
        weight_decay: of Muon; that of AdamW is four times as much.
    """
    from timm.optim.muon import Muon

    weights = list(network.parameters())
    return Muon(
        [
            {"params": [weight for weight in weights if _joins_maps(weight)], "use_muon": True},
            {
                "params": [weight for weight in weights if not _joins_maps(weight)],
                "use_fallback": True,
                "weight_decay": 4 * weight_decay,
                "nesterov": False,  # plain AdamW, with torch's own values
                "betas": (0.9, 0.999),
                "eps": 1e-8,
            },
        ],
        lr=learning_rate,
        weight_decay=weight_decay,
        nesterov=True,
        ns_coefficients="original",
        adjust_lr_fn="original",
        fallback_lr_scale=0.15,
    )


def _joins_maps(weight: nn.Parameter) -> bool:
    """Return whether it is a convolution's (O, I, H, W), over more than one map."""
    return weight.ndim == 4 and weight.shape[1] > 1
