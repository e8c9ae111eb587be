"""Which of two classifiers is better, if either."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lamplighter.evaluation.intervals import McNemar, mcnemar
from lamplighter.evaluation.report import Report, evaluate

if TYPE_CHECKING:
    from collections.abc import Callable

    from lamplighter.data.image_data import ImageData
    from lamplighter.models.classifier import Classifier


@dataclass(frozen=True, eq=False)
class Comparison:
    """Two classifiers on the same images.

    Attributes:
        a: the report on the first.
        b: the report on the second.
        test: where they differ, and whether that can be chance.
    """

    a: Report
    b: Report
    test: McNemar

    def sentence(self, a: str = "A", b: str = "B", *, alpha: float = 0.05) -> str:
        """Return the outcome in words; `alpha` is the p from which chance is ruled out."""
        test = self.test
        p = "p < 0.001" if test.p_value < 0.001 else f"p = {test.p_value:.3g}"
        verdict = "a real difference" if test.p_value < alpha else "no difference can be claimed"
        return (
            f"{a} is right on {test.only_a:,} images where {b} is wrong, "
            f"{b} on {test.only_b:,} where {a} is wrong; {p}: {verdict}"
        )

    def __str__(self) -> str:
        return f"A {self.a.accuracy}\nB {self.b.accuracy}\n{self.sentence()}"

    def to_dict(self) -> dict[str, Any]:
        """Return all scores as plain JSON types."""
        return {"a": self.a.to_dict(), "b": self.b.to_dict(), "test": self.test.to_dict()}


def compare(
    classifier_a: Classifier,
    classifier_b: Classifier,
    data: ImageData,
    split: str = "test",
    *,
    progress: Callable[[int], None] | None = None,
) -> Comparison:
    """Return which of two classifiers is better on the same images, if either.

    Args:
        classifier_a: the first.
        classifier_b: the second.
        data: images of the size and channels of both.
        split: which split of the data.
        progress: called after each batch with the number of answers so far, which goes to 2 N.

    Raises:
        LamplighterError: as `evaluate`.
    """
    a = evaluate(classifier_a, data, split, progress=progress)
    follow = None if progress is None else lambda done: progress(a.count + done)
    b = evaluate(classifier_b, data, split, progress=follow)
    return Comparison(a, b, mcnemar(a.right, b.right))
