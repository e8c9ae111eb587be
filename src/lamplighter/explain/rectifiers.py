"""ReLUs that let a gradient through where otherwise nothing at all would come through."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

_KINDS = (nn.ReLU, nn.ReLU6)


class _Redirected(torch.autograd.Function):
    """A rectifier's output, whose gradient never dies wholly for an image."""

    @staticmethod
    def forward(context: Any, inputs: Tensor, output: Tensor, ceiling: float) -> Tensor:
        context.save_for_backward(inputs)
        context.ceiling = ceiling
        return output.clone()

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (gradient,), (inputs,) = gradients, context.saved_tensors
        off, full = inputs <= 0, inputs >= context.ceiling
        plain = gradient.masked_fill(off | full, 0)
        dead = plain.flatten(1).abs().amax(1) == 0  # (N,)
        if not dead.any():
            return plain, None, None
        # A larger output is wanted where the gradient is positive: off units may be pushed up
        # only, full ones down only, for the other way they can never answer.
        helps = (off & (gradient > 0)) | (full & (gradient < 0)) | ~(off | full)
        rescued = gradient * helps
        return torch.where(dead.reshape(-1, *[1] * (inputs.ndim - 1)), rescued, plain), None, None


@contextlib.contextmanager
def redirected(network: nn.Module) -> Iterator[None]:
    """Let the ReLUs of `network` pass a gradient for images for which they pass none.

    A unit that is off for the whole of an image, or a ReLU6 that is full, has no gradient, and an
    ascent that begins there would never move. For such an image alone, and as long as it is so,
    the gradient of what is to be maximised goes through wherever it leads out of the flat part.
    All other gradients and all outputs are as they are. Within `hooks.untouched` only, which
    keeps rectifiers from working in place.
    """
    with contextlib.ExitStack() as hung:
        for module in network.modules():
            if isinstance(module, _KINDS):
                hung.callback(module.register_forward_hook(_hook).remove)
        yield


def _hook(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
    ceiling = 6.0 if isinstance(module, nn.ReLU6) else float("inf")
    redirected_output: Tensor = _Redirected.apply(inputs[0], output, ceiling)
    return redirected_output
