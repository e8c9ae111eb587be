"""The last layer of a network that still knows where things are."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from lamplighter.errors import ModelError
from lamplighter.explain.hooks import spatial_maps

if TYPE_CHECKING:
    from torch import Tensor


def last_spatial_layer(network: nn.Module, inputs: Tensor) -> str:
    """Return the name of the layer that is the last to give maps of more than one pixel.

    It is the one that ends last in a forward pass, so that what is added up in a block counts as
    the block's. Of several that give the very same maps, it is the outermost.

    Args:
        network: in evaluation mode.
        inputs: prepared images, shape (N, C, H, W).

    Raises:
        ModelError: there is none, or what follows it are sequences, as in a transformer.
    """
    size = (int(inputs.shape[2]), int(inputs.shape[3]))
    last, after = "", False

    def watch(name: str) -> Any:
        def hook(_: nn.Module, __: Any, output: Any) -> None:
            nonlocal last, after
            if not isinstance(output, torch.Tensor):
                return
            if spatial_maps(output, size) is not None:
                last, after = name, False
            elif output.ndim == 3 and output.shape[1] > 1:
                after = True

        return hook

    with contextlib.ExitStack() as hung, torch.no_grad():
        for name, module in network.named_modules():
            if name:
                hung.callback(module.register_forward_hook(watch(name)).remove)
        network(inputs)
    if not last or after:
        cause = "its maps become sequences" if last else "no layer gives maps"
        raise ModelError(
            "Grad-CAM needs a layer that gives maps of more than one pixel near the network's end, "
            f"but {cause} in this one; name a layer= or use another method."
        )
    return last
