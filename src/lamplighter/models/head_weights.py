"""What a head on features has learned, and the scores that it gives, without torch."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray
    from torch import nn

    Floats = NDArray[np.floating[Any]]

KINDS = ("knn", "svm", "linear")
WEIGHTS = ("uniform", "distance")
NEAR = 0.07  # how fast a neighbour's vote fades with its cosine distance
TIE = 1e-6  # similarities that differ by less are equal: float32 has no more
TIED = 16  # neighbours that may tie with the last one and vote too
_CHUNK = 1024  # vectors that are scored at a time: each has a number for each one that is known


@dataclass(frozen=True, eq=False)
class HeadWeights:
    """A head as arrays: what makes the torch module, the ONNX graph and the scores alike.

    Attributes:
        kind: "knn", "svm" or "linear".
        weights: by the names that they have in the head of `lamplighter.models.heads`.
        arguments: what that head is built with, beyond its sizes.
    """

    kind: str
    weights: Mapping[str, NDArray[Any]]
    arguments: Mapping[str, Any] = field(default_factory=dict)
    _module: Any = field(default=None, init=False, repr=False)

    @property
    def num_features(self) -> int:
        """D, the length of a feature vector."""
        of_features = {"knn": "centre", "svm": "centre", "linear": "weight"}
        return int(self.weights[of_features[self.kind]].shape[-1])

    @property
    def num_classes(self) -> int:
        """K, the number of classes."""
        of_classes = {"knn": "class_weights", "svm": "intercepts", "linear": "bias"}
        return len(self.weights[of_classes[self.kind]])

    def logits(self, features: Floats) -> Floats:
        """Return the scores (N, K) of `features` (N, D), computed in their own precision."""
        scores = {"knn": _knn, "svm": _svm, "linear": _linear}[self.kind]
        starts = range(0, max(len(features), 1), _CHUNK)
        parts = [scores(self, features[start : start + _CHUNK]) for start in starts]
        return np.concatenate(parts)

    def to_torch(self) -> nn.Module:
        """Return the head as a torch module in evaluation mode, with copies of the weights.

        Raises:
            ImportError: torch is not installed.
        """
        import torch

        from lamplighter.models.heads import build_head

        head: nn.Module = build_head(
            self.kind, self.num_features, self.num_classes, **self.arguments
        )
        head.load_state_dict(
            {name: torch.tensor(np.asarray(value)) for name, value in self.weights.items()}
        )
        return head.eval()


class ModuleWeights(HeadWeights):
    """A head of a kind that was registered, or is of a plug-in: its torch module.

    Args:
        kind: the name that it was registered by.
        module: features (N, D) -> logits (N, K), with `num_features` and `num_classes`.
        arguments: what it is built with, beyond its sizes.
    """

    def __init__(self, kind: str, module: nn.Module, arguments: Mapping[str, Any]) -> None:
        super().__init__(kind, _arrays(module), arguments)
        object.__setattr__(self, "_module", module)

    @property
    def num_features(self) -> int:
        """D, the length of a feature vector."""
        return int(self._module.num_features)

    @property
    def num_classes(self) -> int:
        """K, the number of classes."""
        return int(self._module.num_classes)

    def logits(self, features: Floats) -> Floats:
        """Return the scores (N, K) of `features` (N, D), computed in their own precision."""
        import torch

        given = torch.from_numpy(np.ascontiguousarray(features))
        module = self.to_torch().to(given.dtype)
        with torch.inference_mode():
            scores: Floats = module(given).numpy()
        return scores

    def to_torch(self) -> nn.Module:
        """Return a copy of the torch module in evaluation mode."""
        module: nn.Module = copy.deepcopy(self._module)
        return module.eval()


def of_module(head: nn.Module) -> HeadWeights | None:
    """Return what a torch head has learned, or None if it is of no kind that is known here."""
    from torch import nn

    from lamplighter.models.heads import KNNHead, SVMHead

    arguments: dict[str, Any] = {}
    if isinstance(head, KNNHead):
        kind, names = "knn", ("neighbours", "weights", "smoothing")
        arguments = {name: getattr(head, name) for name in names}
        arguments["num_references"] = len(head.references)
    elif isinstance(head, SVMHead):
        kind, arguments = "svm", {"num_vectors": len(head.vectors)}
    elif isinstance(head, nn.Linear) and head.bias is not None:
        kind = "linear"
    else:
        return None
    return HeadWeights(kind, _arrays(head), arguments)


def _arrays(head: nn.Module) -> dict[str, NDArray[Any]]:
    arrays = {}
    for name, value in head.state_dict().items():
        held = value.detach().cpu()
        arrays[name] = (held.float() if held.is_floating_point() else held).numpy().copy()
    return arrays


def unit_rows(vectors: Floats) -> Floats:
    """Return vectors (N, D) at length 1; one of length 0 stays as it is."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit: Floats = vectors / np.maximum(lengths, 1e-12)
    return unit


def _like(features: Floats, values: NDArray[Any]) -> Floats:
    """Return weights in the precision of `features`, without a copy where they have it."""
    return values.astype(features.dtype, copy=False)


def _linear(head: HeadWeights, features: Floats) -> Floats:
    weight, bias = (_like(features, head.weights[name]) for name in ("weight", "bias"))
    scores: Floats = features @ weight.T + bias
    return scores


def _svm(head: HeadWeights, features: Floats) -> Floats:
    values = {name: _like(features, value) for name, value in head.weights.items()}
    vectors = values["vectors"]
    prepared = (unit_rows(features) - values["centre"]) * values["stretch"]
    squares = (
        np.square(prepared).sum(1, keepdims=True)
        + np.square(vectors).sum(1)
        - 2 * prepared @ vectors.T
    )  # (N, V)
    kernel = np.exp(-values["gamma"] * np.maximum(squares, 0))
    scores: Floats = kernel @ values["coefficients"].T + values["intercepts"]
    return scores


def _knn(head: HeadWeights, features: Floats) -> Floats:
    arguments, classes = head.arguments, head.num_classes
    similarities, which = nearest(head, features, arguments["neighbours"])
    smoothing = arguments["smoothing"]
    shares = voted(head, similarities, which)
    logits: Floats = np.log((shares + smoothing) / (1 + classes * smoothing))
    return logits.astype(features.dtype)


def nearest(
    head: HeadWeights, features: Floats, neighbours: int
) -> tuple[Floats, NDArray[np.intp]]:
    """Return the similarities of so many neighbours and a few more, and which they are.

    Args:
        head: of kind "knn".
        features: shape (N, D).
        neighbours: how many vote.

    Returns:
        Two arrays (N, found), the most similar first.
    """
    references = _like(features, head.weights["references"])
    centred = unit_rows(features - _like(features, head.weights["centre"]))
    similarities = centred @ references.T  # (N, M)
    found = min(neighbours + TIED, len(references))
    which = np.argpartition(-similarities, found - 1, axis=1)[:, :found]
    values = np.take_along_axis(similarities, which, axis=1)
    order = np.argsort(-values, axis=1, kind="stable")
    return np.take_along_axis(values, order, axis=1), np.take_along_axis(which, order, axis=1)


def voted(head: HeadWeights, similarities: Floats, which: NDArray[np.intp]) -> Floats:
    """Return each class's share (N, K) of the votes of what `nearest` found."""
    neighbours = head.arguments["neighbours"]
    last = similarities[:, neighbours - 1 : neighbours]
    votes = (similarities >= last - TIE).astype(similarities.dtype)
    if head.arguments["weights"] == "distance":
        # Relative to the nearest one, so that votes far away do not vanish.
        votes = votes * np.exp((similarities - similarities[:, :1]) / NEAR)
    counted = np.zeros((len(votes), head.num_classes), dtype=votes.dtype)
    rows = np.arange(len(votes))[:, np.newaxis]
    np.add.at(counted, (rows, head.weights["labels"][which]), votes)
    counted *= _like(votes, head.weights["class_weights"])
    shares: Floats = counted / counted.sum(1, keepdims=True)
    return shares
