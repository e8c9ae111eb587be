"""Attribution methods compared on the same images: sanity checks and curves."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from lamplighter.errors import ModelError
from lamplighter.explain.attribution.attribution import METHODS, as_method, attribute
from lamplighter.explain.attribution.curves import Curve, deletion_curve, insertion_curve, mean_of
from lamplighter.explain.attribution.sanity import SanityCheck, check_against
from lamplighter.text import align, counted

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lamplighter.evaluation.intervals import Estimate
    from lamplighter.explain.attribution.attribution import Attribution
    from lamplighter.explain.attribution.registry import Method, OwnMethod
    from lamplighter.explain.images import Images
    from lamplighter.models.classifier import Classifier

    AnyMethod = str | Method | OwnMethod

CHANCE = "chance"
_ENOUGH = 10  # images: the bootstrap of fewer is too narrow, and any method looks good on some
_LITTLE = 0.1  # a gain that leaves most of what the answer rests on unfound


@dataclass(frozen=True, eq=False)
class MethodScore:
    """How one method of attribution does on N images.

    Attributes:
        name: of the method.
        deletion: its deletion curve; a small area is good.
        insertion: its insertion curve; a large area is good.
        sanity: its sanity check; None for the order of chance.
        gain: by how much insertion less deletion is better than with the order of chance, -2..2,
            with its bootstrap interval over images; None for chance itself.
        seconds: for each image.
    """

    name: str
    deletion: Curve
    insertion: Curve
    sanity: SanityCheck | None
    gain: Estimate | None
    seconds: float

    @property
    def verdict(self) -> str:
        """Whether to believe it here, in a few words."""
        if self.sanity is None or self.gain is None:
            return "for comparison: pixels in random order"
        if not self.sanity.decided:
            return "cannot be told: its maps, or those of random weights, are empty"
        if not self.sanity.passed:
            return "do not believe it: the maps change too little with random weights"
        count = len(self.deletion.areas)
        if count < _ENOUGH:
            than = "better than" if self.gain.value > 0 else "no better than"
            these = "this image" if count == 1 else f"these {count}"
            return f"too few images to tell: {than} chance on {these}, and {_ENOUGH} are needed"
        if self.gain.low <= 0:
            return "no better than chance on these images"
        if self.gain.value < _LITTLE:
            return "better than chance, but by little: it misses most of what the answer rests on"
        return "believe it: it finds what the answer rests on"

    def to_dict(self) -> dict[str, Any]:
        """Return the values as plain JSON types."""
        return {
            "method": self.name,
            "deletion": self.deletion.to_dict(),
            "insertion": self.insertion.to_dict(),
            "sanity": None if self.sanity is None else self.sanity.to_dict(),
            "gain": None if self.gain is None else self.gain.to_dict(),
            "seconds": self.seconds,
            "verdict": self.verdict,
        }


@dataclass(frozen=True, eq=False)
class MethodComparison:
    """Methods of attribution on the same images, the best first; `str` is a table.

    Attributes:
        scores: of each method, the order of chance among them.
        attributions: what each method found, by its name.
        skipped: why a method cannot explain this network, by its name.
    """

    scores: tuple[MethodScore, ...]
    attributions: dict[str, Attribution]
    skipped: dict[str, str]

    def __str__(self) -> str:
        images = len(self.scores[0].deletion.areas)
        rows = [["method", "deletion", "insertion", "gain on chance", "similarity", "s/image"]]
        rows += [
            [
                score.name,
                _written(score.deletion.area, images),
                _written(score.insertion.area, images),
                "" if score.gain is None else _written(score.gain, images),
                "" if score.sanity is None else _written(score.sanity.similarity, images),
                f"{score.seconds:.2f}",
            ]
            for score in self.scores
        ]
        lines = [align(rows), ""]
        lines += [f"{score.name}: {score.verdict}." for score in self.scores]
        lines += [f"{name}: left out. {why}" for name, why in self.skipped.items()]
        interval = "; in brackets 95 % bootstrap intervals over them" if images > 1 else ""
        lines += [
            "",
            f"{counted(images, 'image')}{interval}.",
            "Deletion: area under the probability as pixels go, small is good.",
            "Insertion: the same as they come, large is good.",
            "Gain: insertion less deletion, less that of chance.",
            "Similarity: rank correlation with the maps of random weights, below 0.5 is good.",
        ]
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """Return the values as plain JSON types."""
        return {
            "scores": [score.to_dict() for score in self.scores],
            "skipped": dict(self.skipped),
        }


def compare_methods(
    classifier: Classifier,
    images: Images,
    methods: Sequence[AnyMethod] = tuple(METHODS),
    *,
    target: str | int | Sequence[str | int] | None = None,
    steps: int = 32,
    seed: int = 0,
    progress: Callable[[str], None] | None = None,
) -> MethodComparison:
    """Return how each method of attribution does on a classifier and images, the best first.

    Each is scored by deletion and insertion curves (Petsiuk et al., 2018, arXiv:1806.07421) beside
    pixels in random order, and by whether its maps change when the weights become random (Adebayo
    et al., 2018, arXiv:1810.03292). Curves ask what the classifier's answer rests on; whether that
    is what it should rest on, they do not tell.

    Args:
        classifier: with a torch network.
        images: one image or a list; ten and more for intervals that say something.
        methods: names of METHODS, or functions of your own as `attribute` takes them.
        target: as `attribute` takes it.
        steps: in how many parts pixels go and come.
        seed: of the random order and the random weights.
        progress: called with the name of each method before it begins.

    Raises:
        ModelError: none of the methods can explain this network.
        UnknownClassError: the classifier has no such class.
    """
    chance = _measured(
        classifier, attribute(classifier, images, _by_chance(seed), target=target), steps=steps
    )
    scores, attributions, skipped = [], {}, {}
    for method in map(as_method, methods):
        if progress is not None:
            progress(method.name)
        start = time.perf_counter()
        try:
            found = attribute(classifier, images, method, target=target)
            seconds = (time.perf_counter() - start) / len(found)
            sanity = check_against(classifier, found, seed=seed)
        except ModelError as error:
            skipped[method.name] = str(error)
            continue
        attributions[method.name] = found
        deletion, insertion = _measured(classifier, found, steps=steps)
        gains = (insertion.areas - deletion.areas) - (chance[1].areas - chance[0].areas)
        gain = mean_of(gains, (-2.0, 2.0))
        scores.append(MethodScore(method.name, deletion, insertion, sanity, gain, seconds))
    if not scores:
        raise ModelError(
            "none of the methods can explain this network: "
            + (" ".join(skipped.values()) or "no method was named.")
        )
    scores.sort(key=lambda score: (_passes(score), _gain(score)), reverse=True)
    scores.append(MethodScore(CHANCE, *chance, None, None, 0.0))
    return MethodComparison(tuple(scores), attributions, skipped)


def _measured(
    classifier: Classifier, attribution: Attribution, *, steps: int
) -> tuple[Curve, Curve]:
    return (
        deletion_curve(classifier, attribution, steps=steps),
        insertion_curve(classifier, attribution, steps=steps),
    )


def _by_chance(seed: int) -> OwnMethod:
    """Return a method that knows nothing."""

    def chance(_: torch.nn.Module, inputs: torch.Tensor, __: torch.Tensor) -> torch.Tensor:
        count, _channels, height, width = inputs.shape
        drawn = np.random.default_rng(seed).random((count, height, width), dtype=np.float32)
        return torch.from_numpy(drawn)

    return chance


def _passes(score: MethodScore) -> bool:
    return score.sanity is not None and score.sanity.passed


def _gain(score: MethodScore) -> float:
    return -2.0 if score.gain is None else score.gain.value


def _written(estimate: Estimate, images: int) -> str:
    if math.isnan(estimate.value):
        return "-"
    if images < 2:
        return f"{estimate.value:.2f}"
    return f"{estimate.value:.2f} ({estimate.low:.2f} to {estimate.high:.2f})"
