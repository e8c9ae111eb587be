"""The attribution methods by name, each with its paper and what it means."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import torch

from lamplighter.errors import ModelError
from lamplighter.explain.attribution.integrated_gradients import integrated_gradients
from lamplighter.explain.attribution.methods import (
    grad_cam,
    guided_backprop,
    occlusion,
    saliency,
    smoothgrad,
)
from lamplighter.explain.attribution.requests import Answer, Asked
from lamplighter.names import same_name, unknown_name

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray
    from torch import Tensor, nn

    # The network in evaluation mode, prepared images (N, C, H, W), classes (N,) -> maps (N, H, W).
    OwnMethod: TypeAlias = Callable[[nn.Module, Tensor, Tensor], Tensor | NDArray[Any]]


@dataclass(frozen=True)
class Method:
    """A method of attribution.

    Attributes:
        name: what `attribute` calls it.
        title: what a plot calls it.
        function: gives the maps; its docstring says what they mean and what not.
        paper: where it comes from.
        meaning: of a large value, in one sentence.
        unit: of the values, in a few words.
        signed: whether values may be negative.
        gradients: whether it follows gradients of the score, which see no votes of a head.
    """

    name: str
    title: str
    function: Callable[..., Answer]
    paper: str
    meaning: str
    unit: str
    signed: bool = False
    gradients: bool = False


METHODS: dict[str, Method] = {
    method.name: method
    for method in (
        Method(
            "saliency",
            "Saliency",
            saliency,
            "Simonyan et al., 2013, arXiv:1312.6034",
            "A small change of this pixel would change the score a lot, up or down.",
            "change of score per change of pixel",
            gradients=True,
        ),
        Method(
            "smoothgrad",
            "SmoothGrad",
            smoothgrad,
            "Smilkov et al., 2017, arXiv:1706.03825",
            "A small change of this pixel would change the scores of similar images a lot.",
            "change of score per change of pixel",
            gradients=True,
        ),
        Method(
            "integrated-gradients",
            "Integrated gradients",
            integrated_gradients,
            "Sundararajan et al., 2017, arXiv:1703.01365",
            "How much this pixel adds to the score or takes away, compared with a baseline image.",
            "contribution to the score",
            signed=True,
            gradients=True,
        ),
        Method(
            "guided-backprop",
            "Guided backpropagation",
            guided_backprop,
            "Springenberg et al., 2014, arXiv:1412.6806",
            "Edges and textures here activate what supports the class.",
            "guided gradient of the score",
            gradients=True,
        ),
        Method(
            "grad-cam",
            "Grad-CAM",
            grad_cam,
            "Selvaraju et al., 2017, arXiv:1610.02391",
            "Around here the network's last feature maps support the class.",
            "weighted feature maps",
            gradients=True,
        ),
        Method(
            "occlusion",
            "Occlusion",
            occlusion,
            "Zeiler and Fergus, 2014, arXiv:1311.2901",
            "How much the score falls when this part is covered.",
            "fall of the score when covered",
            signed=True,
        ),
    )
}


def as_method(method: str | Method | OwnMethod) -> Method:
    """Return a method by its name, or one made of a function of the user's.

    Raises:
        ModelError: there is none of that name.
    """
    if isinstance(method, Method):
        return method
    if isinstance(method, str):
        name = same_name(method, METHODS)
        if name is None:
            raise ModelError(unknown_name("method of attribution", method, METHODS))
        return METHODS[name]
    if not callable(method):
        raise ModelError(
            f"a method is a name or a function, received {type(method).__name__}; names are "
            f"{', '.join(METHODS)}."
        )
    own, name = method, getattr(method, "__name__", type(method).__name__)

    def function(asked: Asked) -> Answer:
        maps = torch.as_tensor(own(asked.network, asked.inputs, asked.targets)).detach()
        shape = (len(asked.inputs), *asked.inputs.shape[2:])
        if tuple(maps.shape) != shape:
            raise ModelError(
                f"a method returns maps of shape {shape}, received {tuple(maps.shape)} from {name}."
            )
        return Answer(maps)

    return Method(name, name, function, "your own", "As its maker says.", "value", signed=True)
