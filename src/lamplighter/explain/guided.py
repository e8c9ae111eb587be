"""Guided backpropagation's rectifiers: nothing negative goes back through them."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from torch.overrides import TorchFunctionMode

# What torch's functions are called, in-place or not.
_RECTIFIERS = ("relu", "relu6")
_SMOOTH = {
    "celu": "CELU",
    "elu": "ELU",
    "gelu": "GELU",
    "hardswish": "Hardswish",
    "leaky_relu": "LeakyReLU",
    "mish": "Mish",
    "prelu": "PReLU",
    "selu": "SELU",
    "silu": "SiLU",
    "softplus": "Softplus",
}


class GuidedRectifiers(TorchFunctionMode):
    """While this lasts, ReLUs let only positive gradients back (see `guided_backprop`).

    It watches torch's own functions, so that it sees ReLU and ReLU6 as modules and as functions,
    in-place or not, and each use of a module that is used several times; it hangs nothing onto
    the network. What torch does not run by these functions, such as compiled code, it cannot see.

    Attributes:
        treated: how many rectifiers were.
        others: the names of other activation functions, which were not.
    """

    def __init__(self) -> None:
        super().__init__()
        self.treated = 0
        self.others: set[str] = set()

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Call a function of torch, and mind the gradient of what a rectifier gives."""
        kwargs = kwargs or {}
        output = func(*args, **kwargs)
        name = getattr(func, "__name__", "").rstrip("_")
        if name in _SMOOTH:
            self.others.add(_SMOOTH[name])
        if _rectifies(name, args, kwargs) and isinstance(output, Tensor) and output.requires_grad:
            self.treated += 1
            # The rectifier itself then passes what is left where its input is above 0.
            hang: Any = output.register_hook  # it has no types
            hang(lambda gradient: gradient.clamp(min=0))
        return output


def _rectifies(name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Return whether a function of torch is a ReLU or, as a Hardtanh from 0, a ReLU6."""
    if name in _RECTIFIERS:
        return True
    if name != "hardtanh":
        return False
    low = args[1] if len(args) > 1 else kwargs.get("min_val", -1.0)
    return bool(low == 0)
