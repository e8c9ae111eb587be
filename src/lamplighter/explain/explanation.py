"""The explanation of one image by all attribution methods."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from lamplighter.errors import LamplighterError
from lamplighter.explain.attribution.attribution import as_method, attribute
from lamplighter.inference.predictor import predict
from lamplighter.models.classifier import class_index

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from lamplighter.explain.attribution.attribution import Attribution, Method
    from lamplighter.explain.attribution.method_comparison import MethodComparison
    from lamplighter.models.classifier import Classifier

_GUESSES = 3


@dataclass(frozen=True, eq=False)
class Reason:
    """What one method says of one image.

    Attributes:
        method: how the map was made.
        seconds: how long that took.
        attribution: of the one image; None where the method failed.
        error: why it failed.
        deletion: area under the deletion curve of the map, 0..1, the smaller the better; None
            where it was not measured.
        insertion: area under the insertion curve of the map, 0..1, the larger the better.
    """

    method: Method
    seconds: float
    attribution: Attribution | None = None
    error: str = ""
    deletion: float | None = None
    insertion: float | None = None

    @property
    def gap(self) -> float | None:
        """By which share of the whole integrated gradients miss it; None of other methods."""
        if self.attribution is None or "gap" not in self.attribution.measured:
            return None
        return float(self.attribution.measured["gap"][0])

    @property
    def steps(self) -> int | None:
        """How many steps integrated gradients took; None of other methods."""
        if self.attribution is None or "steps" not in self.attribution.measured:
            return None
        return int(self.attribution.measured["steps"][0])

    def to_dict(self) -> dict[str, Any]:
        """Return the values as plain JSON types, without the map."""
        made = self.attribution
        return {
            "method": self.method.name,
            "title": self.method.title,
            "paper": self.method.paper,
            "seconds": round(self.seconds, 3),
            "completeness_gap": self.gap,
            "steps": self.steps,
            "deletion": self.deletion,
            "insertion": self.insertion,
            "settings": made.settings if made is not None else None,
            "notes": list(made.notes) if made is not None else [],
            "error": self.error or None,
        }


@dataclass(frozen=True, eq=False)
class Explanation:
    """What a classifier says of an image, and why.

    Attributes:
        path: the file.
        label: the most probable class; "unknown" where the image is unlike all training images.
        known: whether it is not; None where that was not measured.
        top: the most probable classes with their probabilities.
        target: the class that the maps are about.
        picture: what the network sees, RGB, uint8, shape (H, W, 3); None where all methods failed.
        reasons: one for each method.
    """

    path: str
    label: str
    known: bool | None
    top: tuple[tuple[str, float], ...]
    target: str
    picture: NDArray[np.uint8] | None
    reasons: tuple[Reason, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return all but pictures and maps as plain JSON types."""
        return {
            "path": self.path,
            "prediction": self.label,
            "probability": round(self.top[0][1], 6),
            "known": self.known,
            "top": [{"label": name, "probability": round(p, 6)} for name, p in self.top],
            "target": self.target,
            "maps": [reason.to_dict() for reason in self.reasons],
        }


def explain(
    classifier: Classifier,
    path: str | Path,
    methods: Sequence[str],
    *,
    target: str | None = None,
    progress: Callable[[], None] | None = None,
) -> Explanation:
    """Return what `classifier` says of the image in a file, and why.

    A method that cannot explain this network is noted, and the others go on.

    Args:
        classifier: with a torch network.
        path: the image.
        methods: names of `lamplighter.METHODS`.
        target: the class that is asked about; by default the most probable one.
        progress: called after each method.

    Raises:
        ImageError: the file cannot be read.
        UnknownClassError: the classifier has no class `target`.
        ModelError: there is no such method, or the network answers NaN.
    """
    chosen = [as_method(method) for method in methods]
    predictions = predict(classifier, [path])
    predictions.raise_for_errors()
    (answer,) = predictions.results(_GUESSES)
    top = answer.guesses
    wanted = top[0][0] if target is None else target
    number = class_index(classifier.class_names, wanted)
    reasons = []
    for method in chosen:
        reasons.append(_reason(classifier, path, method, number))
        if progress is not None:
            progress()
    pictures = [one.attribution.pictures[0] for one in reasons if one.attribution is not None]
    return Explanation(
        str(path),
        answer.label or "",
        answer.known,
        top,
        wanted,
        pictures[0] if pictures else None,
        tuple(reasons),
    )


def _reason(classifier: Classifier, path: str | Path, method: Method, target: int) -> Reason:
    start = time.perf_counter()
    try:
        attribution = attribute(classifier, [path], method, target=target)
    except LamplighterError as error:
        return Reason(method, time.perf_counter() - start, error=str(error))
    return Reason(method, time.perf_counter() - start, attribution)


def scored(explanations: Sequence[Explanation], comparison: MethodComparison) -> list[Explanation]:
    """Return explanations with the areas under deletion and insertion curves of their maps.

    Args:
        explanations: of N images.
        comparison: what `compare_methods` returned for the same images in this order.
    """
    curves = {
        score.name: (score.deletion.areas, score.insertion.areas) for score in comparison.scores
    }
    made = []
    for number, explanation in enumerate(explanations):
        reasons = []
        for reason in explanation.reasons:
            if reason.method.name in curves:
                deletion, insertion = (float(areas[number]) for areas in curves[reason.method.name])
                reason = replace(reason, deletion=deletion, insertion=insertion)
            reasons.append(reason)
        made.append(replace(explanation, reasons=tuple(reasons)))
    return made
