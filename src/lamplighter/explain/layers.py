"""The layers of a network, by name, with what they give."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from lamplighter.explain.hooks import (
    activations_of,
    forward_pass,
    network_of,
    spatial_maps,
    untouched,
)
from lamplighter.explain.images import zero_image

if TYPE_CHECKING:
    from lamplighter.models.classifier import Classifier


@dataclass(frozen=True)
class LayerInfo:
    """What one layer of a network is.

    Attributes:
        name: as `named_modules` has it.
        kind: the name of its class.
        output_shape: of what it gives for one image, without the batch, such as (C, H, W); None
            where it gives no tensor or was not called.
        parameters: how many numbers it learns, those of the layers within it included.
        spatial: whether its output are feature maps of more than one pixel.
    """

    name: str
    kind: str
    output_shape: tuple[int, ...] | None
    parameters: int
    spatial: bool


def layers(classifier: Classifier) -> list[LayerInfo]:
    """Return the layers of a classifier's network, in the order of `named_modules`.

    Their shapes are those of one forward pass on an image of zeros.

    Raises:
        NetworkMissingError: the torch network cannot be built.
        ModelError: the network fails on images of its own size.
    """
    network = network_of(classifier)
    modules = {name: module for name, module in network.named_modules() if name}
    with untouched(network), torch.no_grad(), activations_of(network, list(modules)) as outputs:
        forward_pass(network, zero_image(classifier))
    size = classifier.preprocessing.height, classifier.preprocessing.width
    return [
        LayerInfo(
            name,
            type(module).__name__,
            tuple(outputs[name].shape[1:]) if name in outputs else None,
            sum(parameter.numel() for parameter in module.parameters()),
            name in outputs and spatial_maps(outputs[name], size, count=1) is not None,
        )
        for name, module in modules.items()
    ]
