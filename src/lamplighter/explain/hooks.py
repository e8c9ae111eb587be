"""Hooks on the layers of a network, which are removed whatever happens.

Every look inside a network happens within `untouched`, and hooks are context managers: what is
hung onto a network is gone afterwards, also where the forward pass raises.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from lamplighter.errors import ModelError, NetworkMissingError, UnknownLayerError
from lamplighter.inference.torch_runtime import evaluating, shape_text
from lamplighter.models.classifier import Classifier, check_classifier
from lamplighter.names import suggestion
from lamplighter.text import first_line

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from torch import Tensor

_HOOKS = "hooks"  # what the attributes of a module that hold its hooks have in their names


def network_of(classifier: Classifier) -> nn.Module:
    """Return the torch network of `classifier`, whose layers can be looked at.

    Raises:
        NetworkMissingError: it is of a class that Lamplighter does not have.
        BundleError: it cannot be built from its bundle.
        ModelError: this is no classifier.
    """
    check_classifier(classifier, "explaining")
    try:
        network: nn.Module = classifier.read_network()
    except NetworkMissingError as error:
        raise NetworkMissingError(
            f"explaining looks inside the torch network, and {error} Without it the classifier "
            "predicts, but cannot be explained."
        ) from error
    return network


def voting_head(network: nn.Module) -> nn.Module | None:
    """Return the kNN head of `network`, or None if it has another.

    Votes are steps: the gradient of its scores is 0 wherever all neighbours agree.
    """
    from lamplighter.models.heads import KNNHead

    return next((part for part in network.modules() if isinstance(part, KNNHead)), None)


def find_layer(
    network: nn.Module, name: str, kind: type[nn.Module] | tuple[type[nn.Module], ...] | None = None
) -> nn.Module:
    """Return the layer of `network` that `named_modules` calls `name`.

    Args:
        network: any network.
        name: such as "features.0".
        kind: the class or classes of which it must be one.

    Raises:
        UnknownLayerError: this is no name, there is no such layer, or it is of another kind; the
            message names near ones.
    """
    if not isinstance(name, str):
        raise UnknownLayerError(
            f"a layer is given by its name, such as 'features.0', received {name!r}; "
            "lamplighter.layers lists them."
        )
    modules: dict[str, nn.Module] = {key: part for key, part in network.named_modules() if key}
    of_kind = [key for key, module in modules.items() if kind is None or isinstance(module, kind)]
    found = modules.get(name)
    if name in of_kind and found is not None:
        return found
    wanted = "layer" if kind is None else _kind_text(kind)
    told = suggestion(name, of_kind, opening="it has")
    if found is not None:
        raise UnknownLayerError(
            f"layer {name!r} must be a {wanted}, received a {type(found).__name__}; {told}"
        )
    raise UnknownLayerError(f"the network has no {wanted} {name!r}; {told}")


@contextlib.contextmanager
def activations_of(network: nn.Module, names: Sequence[str]) -> Iterator[dict[str, Tensor]]:
    """Give what layers compute in the forward passes that happen as long as this lasts.

    Of a layer that is called several times, the last output is kept; of one that gives no
    tensor, none. The tensors are part of the graph of gradients and stay as the layer gave them:
    what comes after it, were it in-place, works on a copy.

    Args:
        network: any network.
        names: of layers, as `named_modules` has them.

    Yields:
        Output of each layer by its name, shape (N, ...).

    Raises:
        UnknownLayerError: the network has no layer of that name.
    """
    chosen = {name: find_layer(network, name) for name in names}
    outputs: dict[str, Tensor] = {}

    def keep(name: str) -> Any:
        def hook(_: nn.Module, __: Any, output: Any) -> Any:
            if not isinstance(output, torch.Tensor):
                return None
            outputs[name] = output
            return output.clone()

        return hook

    with contextlib.ExitStack() as hung:
        for name, module in chosen.items():
            hung.callback(module.register_forward_hook(keep(name)).remove)
        yield outputs


@contextlib.contextmanager
def untouched(network: nn.Module, *, parameter_gradients: bool = False) -> Iterator[None]:
    """Put `network` into evaluation mode, and leave it exactly as it was.

    Afterwards modes, `requires_grad`, gradients and hooks are as before, whatever happened
    inside. Inside no parameter needs a gradient, so that none is computed for them, and no
    activation works in-place, which gradients and hooks would stumble over.

    Args:
        network: any network; may be inside another `untouched` already.
        parameter_gradients: let parameters have gradients inside.
    """
    parameters = list(network.parameters())
    kept = [(parameter, parameter.requires_grad, parameter.grad) for parameter in parameters]
    hooks = [(table, set(table)) for module in network.modules() for table in _hook_tables(module)]
    full = [(module, module._is_full_backward_hook) for module in network.modules()]
    in_place: list[Any] = [
        module for module in network.modules() if getattr(module, "inplace", None) is True
    ]
    with evaluating(network):
        try:
            for module in in_place:
                module.inplace = False
            for parameter in parameters:
                parameter.grad = None
                if not parameter_gradients:
                    parameter.requires_grad_(False)
            yield
        finally:
            for module in in_place:
                module.inplace = True
            for parameter, needed, gradient in kept:
                parameter.requires_grad_(needed)
                parameter.grad = gradient
            for table, before in hooks:
                for key in set(table) - before:
                    del table[key]
            for module, was_full in full:
                module._is_full_backward_hook = was_full


def forward_pass(network: nn.Module, inputs: Tensor) -> Tensor:
    """Return the logits (N, K) of preprocessed `inputs` (N, C, H, W).

    Raises:
        ModelError: the network fails on them, or gives something else than logits.
    """
    try:
        logits = network(inputs)
    except RuntimeError as error:  # what torch raises, above all where shapes do not fit
        raise ModelError(
            f"the network fails on images of shape {shape_text(inputs.shape)}: "
            f"{first_line(error)}; do its layers fit the preprocessing?"
        ) from error
    if not isinstance(logits, torch.Tensor) or logits.ndim != 2:
        received = (
            f"one of shape {shape_text(logits.shape)}"
            if isinstance(logits, torch.Tensor)
            else type(logits).__name__
        )
        raise ModelError(
            f"the network must return one tensor of logits (N, K), received {received}."
        )
    return logits


def spatial_maps(
    output: Tensor, image_size: tuple[int, int], *, count: int | None = None
) -> Tensor | None:
    """Return the output of a layer as maps (N, C, H, W), or None if it has no places.

    Maps of one pixel are no maps. Where a network keeps the channels last, as some transformers
    do, they are brought forward; it shows in the aspect ratio of the images.

    Args:
        output: shape (N, ...).
        image_size: height and width of the images.
        count: N, how many images they were, if it is known; what has another number of rows, such
            as attention within windows, is no map of them.
    """
    if output.ndim != 4 or (count is not None and len(output) != count):
        return None
    first, second, last = output.shape[1:]
    if _like(second, last, image_size) or not _like(first, second, image_size):
        maps = output
    else:
        maps = output.permute(0, 3, 1, 2)
    return maps if maps.shape[2] * maps.shape[3] > 1 else None


def check_finite(values: Tensor, what: str) -> None:
    """Refuse values that are NaN or infinite.

    Raises:
        ModelError: some are; `what` says of what, such as "the activations of layer 'fc'".
    """
    if not torch.isfinite(values).all():
        count = int((~torch.isfinite(values)).sum())
        raise ModelError(
            f"{what} must be finite, received NaN or infinity in {count:,} of {values.numel():,} "
            "places; the network's weights may have grown beyond bounds: train it again at a "
            "lower learning rate."
        )


def _hook_tables(module: nn.Module) -> list[dict[Any, Any]]:
    """Return the dictionaries in which torch keeps the hooks of a module."""
    return [
        table for key, table in vars(module).items() if _HOOKS in key and isinstance(table, dict)
    ]


def _like(height: int, width: int, image_size: tuple[int, int]) -> bool:
    """Return whether a map may be an image made smaller, give or take a pixel."""
    return abs(height * image_size[1] - width * image_size[0]) <= max(image_size)


def _kind_text(kind: type[nn.Module] | tuple[type[nn.Module], ...]) -> str:
    kinds = kind if isinstance(kind, tuple) else (kind,)
    return " or ".join(one.__name__.strip("_") for one in kinds)
