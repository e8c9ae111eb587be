"""Two classifiers compared on the same images, with McNemar's test."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lamplighter.errors import DatasetError
from lamplighter.evaluation.intervals import McNemar, mcnemar
from lamplighter.evaluation.report import Report, evaluate
from lamplighter.models.classifier import check_classifier

if TYPE_CHECKING:
    from collections.abc import Callable

    from lamplighter.datasets.image_data import ImageData
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
    data_b: ImageData | None = None,
    progress: Callable[[int], None] | None = None,
) -> Comparison:
    """Return which of two classifiers is better on the same images, if either.

    Args:
        classifier_a: the first.
        classifier_b: the second.
        data: images of the size and channels of both, or of the first.
        split: which split of the data.
        data_b: the same images, in the same order, of the size and channels of the second.
        progress: called after each batch with the number of answers so far, which goes to 2 N.

    Raises:
        DatasetError: the images are not the same.
        LamplighterError: as `evaluate`.
    """
    check_classifier(classifier_a, "compare")
    check_classifier(classifier_b, "compare")
    if data_b is not None and _names(data, split) != _names(data_b, split):
        raise DatasetError(
            f"two classifiers are compared on the same images, received {len(data[split]):,} of "
            f"{data.name} and {len(data_b[split]):,} others of {data_b.name}."
        )
    a = evaluate(classifier_a, data, split, progress=progress)
    follow = None if progress is None else lambda done: progress(a.count + done)
    b = evaluate(classifier_b, data_b or data, split, progress=follow)
    return Comparison(a, b, mcnemar(a.right, b.right))


def _names(data: ImageData, split: str) -> list[tuple[str, str]]:
    """Return what tells the images of a split apart: their files, and their classes."""
    chosen = data[split]
    paths = chosen.paths or ("",) * len(chosen)
    labels = [data.class_names[label] for label in chosen.labels]
    return list(zip(paths, labels, strict=True))
