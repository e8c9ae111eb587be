"""Networks by name."""

from __future__ import annotations

import importlib
import inspect
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lamplighter.errors import LamplighterError, ModelError, UnknownModelError
from lamplighter.names import suggestion, unknown_name

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import nn


@dataclass(frozen=True)
class ModelEntry:
    """A network in the registry.

    Attributes:
        module: where its class is; imported only when the network is built.
        class_name: its class, called with (num_classes, in_chans, img_size, **arguments).
        summary: its layers in one line.
    """

    module: str
    class_name: str
    summary: str


_MODELS = {
    "simple-cnn": ModelEntry(
        "lamplighter.models.cnn",
        "SimpleCNN",
        "conv 5x5x32, pool, dropout 0.2, dense 128, out",
    ),
    "better-cnn": ModelEntry(
        "lamplighter.models.cnn",
        "BetterCNN",
        "conv 5x5x30, pool, conv 3x3x15, pool, dropout 0.2, dense 128, dense 50, out",
    ),
    "branch-cnn": ModelEntry(
        "lamplighter.models.cnn",
        "BranchCNN",
        "1x1 and 5x5 branches of 16 maps, added; pool, dropout 0.2, dense 128, out",
    ),
    "residual-cnn": ModelEntry(
        "lamplighter.models.branching",
        "ResidualCNN",
        "three residual blocks of 16, 32 and 64 maps, average, out",
    ),
    "inception-cnn": ModelEntry(
        "lamplighter.models.branching",
        "InceptionCNN",
        "two inception blocks of 32 and 64 maps, average, out",
    ),
    "quick-cnn": ModelEntry(
        "lamplighter.models.cnn",
        "QuickCNN",
        "three convolutions with batch normalisation, out; for a good score in seconds",
    ),
    "champion": ModelEntry(
        "lamplighter.models.cnn",
        "ChampionCNN",
        "five convolutions with batch normalisation, dropout 0.3, out; for the best score",
    ),
}
# Networks that are not started from nothing; found by their name, and not listed.
_UNLISTED = {
    "pretrained": ModelEntry(
        "lamplighter.models.pretrained",
        "PretrainedNetwork",
        "a backbone of timm, and a head",
    ),
}


def list_models() -> dict[str, str]:
    """Return the names of the networks that come with Lamplighter, with their layers in a line."""
    return {name: entry.summary for name, entry in _MODELS.items()}


def find(name: str, *, listed: bool = False) -> ModelEntry:
    """Return the network of this name.

    Args:
        name: of the network.
        listed: whether it must be one of `list_models()`, which can be trained from nothing.

    Raises:
        UnknownModelError: there is none; the message suggests a near name.
    """
    entry = (_MODELS if listed else _MODELS | _UNLISTED).get(name)
    if entry is None:
        raise UnknownModelError(unknown_name("network", name, _MODELS))
    return entry


def build(
    name: str,
    *,
    num_classes: int,
    in_chans: int,
    img_size: tuple[int, int],
    **arguments: Any,
) -> nn.Module:
    """Return a new network with random weights.

    Args:
        name: one of `list_models()`.
        num_classes: K, the number of classes.
        in_chans: channels of the images.
        img_size: height and width of the images.
        arguments: what else its class takes, such as `dropout`.

    Raises:
        UnknownModelError: there is no network of that name.
        ModelError: its class does not take these arguments.
        ShapeError: the images are too small for it.
    """
    entry = find(name)
    network_class = getattr(importlib.import_module(entry.module), entry.class_name)
    try:
        network: nn.Module = network_class(num_classes, in_chans, img_size, **arguments)
    except LamplighterError:
        raise
    except (TypeError, ValueError) as error:
        told = _unknown_argument(network_class, arguments) or f"{error}."
        raise ModelError(f"{name} does not take these arguments: {told}") from error
    return network


def _unknown_argument(network_class: type[nn.Module], arguments: Mapping[str, Any]) -> str:
    """Return what is said of the first argument that a class does not know, "" if it knows all."""
    parameters = list(inspect.signature(network_class).parameters.values())
    known = [one.name for one in parameters[3:]]  # beyond classes, channels and size
    unknown = [argument for argument in arguments if argument not in known]
    takes_any = any(one.kind is one.VAR_KEYWORD for one in parameters)
    if takes_any or not unknown:
        return ""
    return f"{unknown[0]!r} is none of them; {suggestion(unknown[0], known, opening='it has')}"
