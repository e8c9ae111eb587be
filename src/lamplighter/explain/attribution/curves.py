"""Deletion and insertion curves (Petsiuk et al. 2018)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from lamplighter.errors import ModelError
from lamplighter.evaluation.intervals import Estimate, bootstrap
from lamplighter.explain.attribution.covers import baseline_name
from lamplighter.explain.attribution.requests import (
    Asked,
    baseline_of,
    batches,
    shares_of,
)
from lamplighter.explain.hooks import network_of, untouched
from lamplighter.models.classifier import check_classifier

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from lamplighter.explain.attribution.attribution import Attribution
    from lamplighter.models.classifier import Classifier


@dataclass(frozen=True, eq=False)
class Curve:
    """How probable the class stays as pixels go, or becomes as they come.

    Attributes:
        kind: "deletion" or "insertion".
        method: title of the method whose maps give the order.
        fractions: which share of the pixels went or came, from 0 to 1, shape (S + 1,).
        probabilities: of each image's class, shape (N, S + 1).
        baseline: what stands where a pixel went or has not come yet.
    """

    kind: str
    method: str
    fractions: NDArray[np.float64]
    probabilities: NDArray[np.float64]
    baseline: str

    @property
    def areas(self) -> NDArray[np.float64]:
        """The area under each image's curve, 0..1, shape (N,)."""
        areas = np.trapezoid(self.probabilities, self.fractions, axis=1)
        return np.asarray(areas, dtype=np.float64)

    @property
    def area(self) -> Estimate:
        """The mean area with its bootstrap interval over images; as wide as can be for one."""
        return mean_of(self.areas, (0.0, 1.0))

    def to_dict(self) -> dict[str, Any]:
        """Return the values as plain JSON types."""
        return {
            "kind": self.kind,
            "method": self.method,
            "baseline": self.baseline,
            "fractions": self.fractions.tolist(),
            "probabilities": self.probabilities.tolist(),
            "areas": self.areas.tolist(),
            "area": self.area.to_dict(),
        }


def deletion_curve(
    classifier: Classifier,
    attribution: Attribution,
    *,
    steps: int = 32,
    baseline: str | None = None,
    seed: int = 0,
) -> Curve:
    """Return how fast the class goes as the pixels go that a map finds most important.

    A good map takes the class away early: the smaller the area, the better (Petsiuk et al., 2018,
    arXiv:1806.07421). An image with holes is unlike any that the network learned from; so compare
    methods on the same images, and with the order of chance.

    Args:
        classifier: whose answers are explained.
        attribution: what `attribute` returned; largest values go first, equal ones in random
            order.
        steps: S, in how many equal parts pixels go.
        baseline: what comes in their place: "black", "mean" or "blur"; by default "black" where
            images are dark in the mean, else "mean".
        seed: of the order of equal values.

    Raises:
        ModelError: `steps` is less than 1, or there is no such baseline.
    """
    check_classifier(classifier, "deletion_curve")
    name = baseline_name(classifier.preprocessing, baseline)
    return _curve("deletion", classifier, attribution, steps=steps, baseline=name, seed=seed)


def insertion_curve(
    classifier: Classifier,
    attribution: Attribution,
    *,
    steps: int = 32,
    baseline: str | None = None,
    seed: int = 0,
) -> Curve:
    """Return how fast the class comes as the pixels come that a map finds most important.

    A good map brings the class early: the larger the area, the better (Petsiuk et al., 2018,
    arXiv:1806.07421).

    Args:
        classifier: whose answers are explained.
        attribution: what `attribute` returned; largest values come first, equal ones in random
            order.
        steps: S, in how many equal parts pixels come.
        baseline: what they come onto: "black", "mean" or "blur"; by default "black" where images
            are dark in the mean, else "blur".
        seed: of the order of equal values.

    Raises:
        ModelError: `steps` is less than 1, or there is no such baseline.
    """
    check_classifier(classifier, "insertion_curve")
    name = baseline_name(classifier.preprocessing, baseline)
    if baseline is None and name == "mean":
        name = "blur"
    return _curve("insertion", classifier, attribution, steps=steps, baseline=name, seed=seed)


def mean_of(values: NDArray[np.float64], limits: tuple[float, float]) -> Estimate:
    """Return the mean of one value for each image, with its bootstrap interval over images.

    Args:
        values: shape (N,).
        limits: the least and the largest that a value can be; they are the interval of one image.
    """
    if len(values) < 2:
        return Estimate(float(values[0]), *limits)
    low, high = limits
    shares = (values - low) / (high - low)  # what the bootstrap takes is 0..1
    found = bootstrap(lambda counts: float(counts @ shares / counts.sum()), len(values))
    value, least, most = (low + (high - low) * end for end in (found.value, found.low, found.high))
    return Estimate(value, least, most, found.confidence)


def _curve(
    kind: str,
    classifier: Classifier,
    attribution: Attribution,
    *,
    steps: int,
    baseline: str,
    seed: int,
) -> Curve:
    pixels = attribution.maps[0].size
    if type(steps) is not int or steps < 1:
        raise ModelError(f"steps must be a whole number of at least 1, received {steps!r}.")
    network = network_of(classifier)
    inputs = attribution.inputs
    targets = torch.from_numpy(attribution.targets)
    counts = np.round(np.linspace(0, pixels, min(steps, pixels) + 1)).astype(np.int64)
    generator = np.random.default_rng(seed)
    device = next((tensor.device for tensor in network.parameters()), torch.device("cpu"))
    rows = []
    with untouched(network):
        asked = Asked(network, inputs.to(device), targets, classifier.preprocessing)
        for number, one in enumerate(asked.one_by_one()):
            base = baseline_of(one.inputs, classifier.preprocessing, baseline)
            first, then = (one.inputs, base) if kind == "deletion" else (base, one.inputs)
            ranks = torch.from_numpy(_ranks(attribution.maps[number], generator)).to(device)
            rows.append(_probabilities(classifier, one, (first, then), ranks=ranks, counts=counts))
    return Curve(kind, attribution.method.title, counts / pixels, np.stack(rows), baseline)


def _ranks(values: NDArray[np.float32], generator: np.random.Generator) -> NDArray[np.int64]:
    """Return each pixel's place in the order from the largest value on, int64, shape (H, W)."""
    flat = values.ravel()
    order = np.lexsort((generator.random(flat.size), -flat))
    ranks = np.empty(flat.size, dtype=np.int64)
    ranks[order] = np.arange(flat.size)
    return ranks.reshape(values.shape)


def _probabilities(
    classifier: Classifier,
    one: Asked,
    pair: tuple[Tensor, Tensor],
    *,
    ranks: Tensor,
    counts: NDArray[np.int64],
) -> NDArray[np.float64]:
    """Return how probable the class is when so many pixels of the first are those of the other."""
    (first, then), found = pair, []
    for part in batches(len(counts), one.forward_batch):
        many = torch.from_numpy(counts[part]).to(ranks.device).reshape(-1, 1, 1, 1)
        logits = one.logits(torch.where(ranks < many, then, first))
        found.append(shares_of(logits.double(), classifier)[:, int(one.targets)].cpu().numpy())
    return np.concatenate(found)
