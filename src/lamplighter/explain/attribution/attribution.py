"""`attribute`: attribution maps of images by any of the methods."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from lamplighter.errors import ClassCountError, ModelError
from lamplighter.explain.attribution.registry import METHODS, Method, as_method
from lamplighter.explain.attribution.requests import Asked, shares_of
from lamplighter.explain.hooks import (
    check_finite,
    forward_pass,
    network_of,
    untouched,
)
from lamplighter.explain.images import prepare, shown
from lamplighter.models.classifier import class_index
from lamplighter.models.fetching import ignore_missing_widgets
from lamplighter.names import suggestion

__all__ = ["METHODS", "Attribution", "Method", "as_method", "attribute"]

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor, nn

    from lamplighter.explain.attribution.registry import OwnMethod
    from lamplighter.explain.images import Images
    from lamplighter.models.classifier import Classifier


@dataclass(frozen=True, eq=False)
class Attribution:
    """What the scores of N images rest on.

    Attributes:
        maps: a value for each pixel, float32, shape (N, H, W); on no scale of its own.
        inputs: the prepared images, shape (N, C, H, W).
        pictures: the same to be drawn, uint8, shape (N, H, W, 3).
        targets: the class of each that the map is about, int64, shape (N,).
        probabilities: of all classes, as `predict` gives them, float32, shape (N, K).
        class_names: K names.
        method: how the maps were made.
        settings: of the method, plain JSON types.
        notes: what a reader of the maps should know, a sentence each.
        measured: numbers about each map by name, each of shape (N,); of integrated gradients
            `gap`, by which share of the whole the contributions miss it (completeness), and
            `steps`, how many were taken.
    """

    maps: NDArray[np.float32]
    inputs: Tensor
    pictures: NDArray[np.uint8]
    targets: NDArray[np.int64]
    probabilities: NDArray[np.float32]
    class_names: tuple[str, ...]
    method: Method
    settings: dict[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    measured: dict[str, NDArray[Any]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.maps)

    @property
    def target_names(self) -> list[str]:
        """The name of each image's class that the map is about."""
        return [self.class_names[target] for target in self.targets]

    @property
    def target_probabilities(self) -> NDArray[np.float32]:
        """How probable the classifier finds it, shape (N,)."""
        chosen: NDArray[np.float32] = self.probabilities[np.arange(len(self)), self.targets]
        return chosen

    def to_dict(self) -> dict[str, Any]:
        """Return all but maps and images as plain JSON types."""
        return {
            "method": self.method.name,
            "title": self.method.title,
            "paper": self.method.paper,
            "meaning": self.method.meaning,
            "settings": self.settings,
            "notes": list(self.notes),
            "images": [
                {
                    "target": name,
                    "probability": float(self.target_probabilities[number]),
                    "least": float(self.maps[number].min()),
                    "largest": float(self.maps[number].max()),
                    **{key: float(values[number]) for key, values in self.measured.items()},
                }
                for number, name in enumerate(self.target_names)
            ],
        }


def attribute(
    classifier: Classifier,
    images: Images,
    method: str | Method | OwnMethod = "grad-cam",
    *,
    target: str | int | Sequence[str | int] | None = None,
    **settings: Any,
) -> Attribution:
    """Return which parts of images a classifier's answer rests on.

    No method tells the whole; `compare_methods` measures which to believe on a network.

    Args:
        classifier: with a torch network.
        images: one image or a list, as `lamplighter.explain.images.prepare` takes them.
        method: "saliency", "smoothgrad", "integrated-gradients", "guided-backprop", "grad-cam",
            "occlusion" (see `METHODS`), or a function of your own that takes the network, prepared
            images (N, C, H, W) and classes (N,) and returns maps (N, H, W).
        target: the class that is asked about, by name or number, or one for each image; by
            default the most probable one.
        settings: of the method, such as least_steps=64; its docstring has them.

    Raises:
        UnknownClassError: the classifier has no such class.
        UnknownLayerError: the network has no such layer.
        ModelError: there is no such method or setting, or the method cannot explain this network.
        NetworkMissingError: the torch network cannot be built.
        ImageError: an image cannot be read.
        ShapeError: pixels are of another size than the network's.
    """
    chosen = as_method(method)
    _check_settings(chosen, settings)
    ignore_missing_widgets()
    network = network_of(classifier)
    inputs = prepare(classifier, images)
    wanted = _wanted(classifier, target, len(inputs))
    with untouched(network):
        logits = _logits(classifier, network, inputs)
        targets = logits.argmax(1) if wanted is None else torch.tensor(wanted, device=inputs.device)
        asked = Asked(network, inputs, targets, classifier.preprocessing)
        answer = chosen.function(asked, **settings)
    check_finite(answer.maps, f"the map of {chosen.title}")
    return Attribution(
        answer.maps.detach().float().cpu().numpy(),
        inputs.cpu(),
        shown(inputs, classifier),
        targets.cpu().numpy(),
        shares_of(logits, classifier).cpu().numpy(),
        classifier.class_names,
        chosen,
        answer.settings,
        answer.notes,
        answer.measured,
    )


def _check_settings(method: Method, settings: dict[str, Any]) -> None:
    known = list(inspect.signature(method.function).parameters)[1:]
    for name in settings:
        if name not in known:
            told = suggestion(name, known) if known else "it takes none."
            raise ModelError(f"{method.name} takes no setting {name!r}; {told}")


def _wanted(
    classifier: Classifier, target: str | int | Sequence[str | int] | None, count: int
) -> list[int] | None:
    """Return the class that is asked about for each image, None for the most probable."""
    if target is None:
        return None
    if isinstance(target, str) or not isinstance(target, Sequence | np.ndarray):
        return [class_index(classifier.class_names, target)] * count
    if len(target) != count:
        raise ModelError(
            f"target is one class, or one for each of the {count} images, received {len(target)}."
        )
    return [class_index(classifier.class_names, one) for one in target]


def _logits(classifier: Classifier, network: nn.Module, inputs: Tensor) -> Tensor:
    """Return the logits (N, K), finite and as many as there are classes."""
    part = Asked(network, inputs, torch.empty(0), classifier.preprocessing).forward_batch
    with torch.no_grad():
        logits = torch.cat([forward_pass(network, batch) for batch in torch.split(inputs, part)])
    check_finite(logits, "the scores of the network")
    if logits.shape[1] != classifier.num_classes:
        raise ClassCountError(
            f"the classifier has {classifier.num_classes} class names, but its network gives "
            f"{logits.shape[1]} scores."
        )
    return logits
