"""Sanity checks of attribution maps (Adebayo et al. 2018): do they change with the weights?"""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from lamplighter.errors import ModelError, NoGradientError
from lamplighter.evaluation.intervals import Estimate
from lamplighter.explain.attribution.attribution import attribute
from lamplighter.explain.attribution.curves import mean_of
from lamplighter.explain.hooks import network_of
from lamplighter.models.classifier import Classifier
from lamplighter.models.heads import KNNHead, SVMHead

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from lamplighter.explain.attribution.attribution import Attribution
    from lamplighter.explain.attribution.registry import Method, OwnMethod
    from lamplighter.explain.images import Images


def learned(module: nn.Module) -> list[torch.Tensor]:
    """Return what a module itself, not those within it, has learned.

    A head of neighbours or support vectors keeps that in buffers: all those that a bundle holds,
    but for the whole numbers among them.
    """
    weights: list[torch.Tensor] = list(module.parameters(recurse=False))
    if isinstance(module, KNNHead | SVMHead):
        kept = module.state_dict()  # without buffers that only say how classes make pairs
        weights += [kept[name] for name in kept if kept[name].is_floating_point()]
    return weights


def shuffle(module: nn.Module, generator: torch.Generator) -> None:
    """Put the values of each weight of a module, not of those within it, into random order."""
    with torch.no_grad():
        for weight in learned(module):
            order = torch.randperm(weight.numel(), generator=generator).to(weight.device)
            weight.copy_(weight.flatten()[order].reshape(weight.shape))


def renew_statistics(network: nn.Module, inputs: torch.Tensor) -> None:
    """Let batch normalisation measure its means and variances on `inputs` (N, C, H, W)."""
    norms = [
        part for part in network.modules() if isinstance(part, nn.modules.batchnorm._BatchNorm)
    ]
    norms = [norm for norm in norms if norm.track_running_stats]
    if not norms:
        return
    device = next(network.parameters()).device
    momenta = [norm.momentum for norm in norms]
    network.eval()
    for norm in norms:
        norm.train()
        norm.reset_running_stats()
        norm.momentum = None  # the mean over all batches
    with torch.no_grad():
        for batch in torch.split(inputs, 16):
            # One value of a channel alone has no variance.
            network((batch if len(batch) > 1 else batch.repeat(2, 1, 1, 1)).to(device))
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    network.eval()


PASSES, FAILS = 0.5, 0.8
_DRAWS = 5  # of random weights, until the maps are not empty


@dataclass(frozen=True, eq=False)
class SanityCheck:
    """How alike the maps of a network and of one with random weights are.

    Attributes:
        method: title of the method.
        similarities: rank correlation of the maps before and after, -1..1, for each stage and
            image, shape (stages, N). In the last stage all weights are random. NaN where a map is
            empty, before or with every draw of random weights: such maps tell nothing.
        structures: structural similarity of the same, -1..1 or NaN, shape (stages, N).
        layers: how many layers with weights are random in each stage.
        before: the maps of the network as it is, with the images.
        after: the maps that they were compared with, float32, shape (stages, N, H, W); of an image
            that could not be compared, those of the last draw, or 0.
    """

    method: str
    similarities: NDArray[np.float64]
    structures: NDArray[np.float64]
    layers: tuple[int, ...]
    before: Attribution
    after: NDArray[np.float32]

    @property
    def similarity(self) -> Estimate:
        """The mean rank correlation with all weights random, with its interval over images.

        Of images whose maps are not empty; NaN, with the widest interval, where all are.
        """
        last = self.similarities[-1]
        told = last[~np.isnan(last)]
        return mean_of(told, (-1.0, 1.0)) if len(told) else Estimate(math.nan, -1.0, 1.0)

    @property
    def decided(self) -> bool:
        """Whether there is any image whose maps can be compared."""
        return not math.isnan(self.similarity.value)

    @property
    def passed(self) -> bool:
        """Whether the maps depend on what the network learned: a similarity below 0.5."""
        return self.decided and self.similarity.value < PASSES

    @property
    def verdict(self) -> str:
        """What this means, in one sentence."""
        value = self.similarity.value
        if not self.decided:
            return (
                f"undecided: with random weights, or without, all maps of {self.method} are empty."
            )
        found = f"with random weights the maps of {self.method} correlate {value:.2f} with its own"
        if value < PASSES:
            return f"passes: {found}, so they show what the network learned."
        if value < FAILS:
            return f"doubtful: {found}; part of them is the image, whatever the network learned."
        return f"fails: {found}; they show the image, not what the network learned."

    def to_dict(self) -> dict[str, Any]:
        """Return the values as plain JSON types."""
        return {
            "method": self.method,
            "similarity": self.similarity.to_dict() if self.decided else None,
            "passed": self.passed,
            "verdict": self.verdict,
            "layers": list(self.layers),
            "similarities": _plain(self.similarities),
            "structures": _plain(self.structures),
        }


def sanity_check(
    classifier: Classifier,
    images: Images,
    method: str | Method | OwnMethod = "grad-cam",
    *,
    target: str | int | Sequence[str | int] | None = None,
    stages: int = 1,
    seed: int = 0,
    **settings: Any,
) -> SanityCheck:
    """Return whether the maps of a method change when the network forgets all it learned.

    A copy of the network gets random weights, from the last layer on (Adebayo et al., 2018,
    arXiv:1810.03292), and maps of the same classes are compared by rank. A method whose maps stay
    as they were, such as an edge detector, tells of the image, not of the network. Values of a
    weight are shuffled, so that their distribution stays, and so are the vectors and coefficients
    that a head of neighbours or support vectors has kept; batch normalisation takes its
    statistics anew from the images, so that signals neither die nor explode. Where they die all
    the same and a map is empty, weights are drawn again, up to five times; an empty map is no map
    that has changed, and does not count. That a map changes does not make it true: that is what
    deletion and insertion curves are for.

    Args:
        classifier: with a torch network, which is left as it is.
        images: one image or a list; ten and more for an interval that says something.
        method: as `attribute` takes it.
        target: as `attribute` takes it.
        stages: in how many steps the weights become random, from the last layer to the first.
        seed: of the shuffling.
        settings: of the method.

    Raises:
        ModelError: `stages` is less than 1, or the method cannot explain this network.
    """
    if type(stages) is not int or stages < 1:
        raise ModelError(f"stages must be a whole number of at least 1, received {stages!r}.")
    before = attribute(classifier, images, method, target=target, **settings)
    return check_against(classifier, before, stages=stages, seed=seed, **settings)


def check_against(
    classifier: Classifier, before: Attribution, *, stages: int = 1, seed: int = 0, **settings: Any
) -> SanityCheck:
    """Return the same of an attribution that is there already, made with these settings."""
    shape = stages, len(before)
    ranked, structures = np.full(shape, np.nan), np.full(shape, np.nan)
    others = np.zeros((stages, *before.maps.shape), np.float32)
    lively = _lively(before.maps)
    ends: list[int] = []
    for draw in range(_DRAWS):
        missing = np.flatnonzero(np.isnan(ranked).any(0) & lively)
        if draw and not len(missing):
            break
        generator = torch.Generator().manual_seed(seed + draw * 1_000_003)
        asked = missing if len(missing) else np.arange(len(before))
        drawn = _random_maps(classifier, before, asked, stages, generator, settings)
        ends = [end for end, _ in drawn]
        for stage, (_, maps) in enumerate(drawn):
            for image, after in zip(asked, maps, strict=True):
                if not np.isnan(ranked[stage, image]):
                    continue
                others[stage, image] = after
                if lively[image] and _lively(after[None])[0]:
                    own = before.maps[image]
                    ranked[stage, image] = rank_correlation(own, after)
                    structures[stage, image] = structural_similarity(own, after)
    return SanityCheck(before.method.title, ranked, structures, tuple(ends), before, others)


def _random_maps(
    classifier: Classifier,
    before: Attribution,
    images: NDArray[np.int64],
    stages: int,
    generator: torch.Generator,
    settings: dict[str, Any],
) -> list[tuple[int, NDArray[np.float32]]]:
    """Return how many layers are random in each stage, and the maps (M, H, W) of `images`.

    Where no gradient gets through the random weights, all maps are 0.
    """
    network = copy.deepcopy(network_of(classifier))
    twin = Classifier(network, classifier.preprocessing, classifier.class_names)
    weighted = [module for module in network.modules() if learned(module)]
    targets = before.targets[images].tolist()
    drawn, done = [], 0
    for stage in range(1, stages + 1):
        end = round(len(weighted) * stage / stages)
        for module in weighted[::-1][done:end]:
            shuffle(module, generator)
        done = end
        renew_statistics(network, before.inputs)
        inputs = before.inputs[torch.from_numpy(images)]
        try:
            maps = attribute(twin, inputs, before.method, target=targets, **settings).maps
        except NoGradientError:
            maps = np.zeros_like(before.maps[images])
        drawn.append((end, maps))
    return drawn


def _lively(maps: NDArray[Any]) -> NDArray[np.bool_]:
    """Return which of the maps (N, H, W) are not the same everywhere."""
    flat = maps.reshape(len(maps), -1)
    different: NDArray[np.bool_] = flat.min(1) < flat.max(1)
    return different


def _plain(values: NDArray[np.float64]) -> list[list[float | None]]:
    return [[None if math.isnan(value) else value for value in row] for row in values.tolist()]


def rank_correlation(one: NDArray[Any], other: NDArray[Any]) -> float:
    """Return Spearman's rank correlation of two maps (H, W), over pixels where not both are 0.

    Equal values share the mean of their ranks. Where a map is the same everywhere, there is no
    order to compare: 0 if the other is not, 1 if neither has any.
    """
    some = (one != 0) | (other != 0)
    pair = [_mean_ranks(part[some]) for part in (one, other)]
    spreads = [float(ranks.std()) if ranks.size else 0.0 for ranks in pair]
    if min(spreads) == 0:
        return float(max(spreads) == 0)
    centred = [ranks - ranks.mean() for ranks in pair]
    return float((centred[0] * centred[1]).mean() / (spreads[0] * spreads[1]))


def structural_similarity(one: NDArray[Any], other: NDArray[Any], *, window: int = 7) -> float:
    """Return the mean structural similarity of two maps (H, W), each scaled to 1 at its largest.

    (2 m m' + c) (2 cov + d) / ((m² + m'² + c) (v + v' + d)) over square windows, with means m,
    variances v, c = 0.01² and d = 0.03² (Wang et al., 2004, IEEE Trans. Image Process. 13:600).
    """
    scaled = [
        torch.from_numpy(part / (np.abs(part).max() or 1.0)).double() for part in (one, other)
    ]
    side = min(window, *one.shape)

    def mean(values: torch.Tensor) -> torch.Tensor:
        return nn.functional.avg_pool2d(values[None, None], side, stride=1)

    a, b = scaled
    c, d = 0.01**2, 0.03**2
    means = mean(a), mean(b)
    variances = mean(a * a) - means[0] ** 2, mean(b * b) - means[1] ** 2
    covariance = mean(a * b) - means[0] * means[1]
    above = (2 * means[0] * means[1] + c) * (2 * covariance + d)
    below = (means[0] ** 2 + means[1] ** 2 + c) * (variances[0] + variances[1] + d)
    return float((above / below).mean())


def _mean_ranks(values: NDArray[Any]) -> NDArray[np.float64]:
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    ranks: NDArray[np.float64] = (last - (counts - 1) / 2)[places]
    return ranks
