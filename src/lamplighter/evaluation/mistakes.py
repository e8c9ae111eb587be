"""The images that a classifier got wrong, those first that it was most sure of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lamplighter.errors import ArgumentError, DatasetError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lamplighter.datasets.image_data import ImageData
    from lamplighter.evaluation.report import Report


@dataclass(frozen=True, eq=False)
class Mistake:
    """An image that was given to a wrong class.

    Attributes:
        index: where the image is in its split.
        true: the name of its class.
        predicted: the name of the class it was given to.
        probability: that of the wrong class, 0..1.
        image: pixels, uint8, shape (C, H, W).
    """

    index: int
    true: str
    predicted: str
    probability: float
    image: NDArray[np.uint8]


def mistakes(report: Report, data: ImageData, count: int = 25) -> list[Mistake]:
    """Return the worst mistakes: those that the classifier was most sure of come first.

    Args:
        report: what `evaluate` returned.
        data: the data that it was given.
        count: how many at most, 0 or more.

    Raises:
        DatasetError: the data is not that of the report.
        ArgumentError: the count is negative.
    """
    if report.split not in data or data.fingerprint(report.split) != report.fingerprint:
        raise DatasetError(
            f"the report is on the split {report.split!r} of {report.data}, "
            f"received other images ({data.name}); give the data that was evaluated."
        )
    images = data[report.split].images
    return [mistake_at(report, row, images[row]) for row in surest_mistakes(report, count)]


def surest_mistakes(report: Report, count: int) -> NDArray[np.int64]:
    """Return where the worst mistakes are in their split, shape (M,), M at most `count`.

    Raises:
        ArgumentError: the count is negative.
    """
    if count < 0:
        raise ArgumentError(f"the count of mistakes must be 0 or more, received {count}.")
    wrong = np.flatnonzero(~report.right)
    sure = report.predictions.probabilities[wrong, report.predicted[wrong]]
    worst: NDArray[np.int64] = wrong[np.argsort(-sure, kind="stable")[:count]].astype(np.int64)
    return worst


def mistake_at(report: Report, row: int, image: NDArray[np.uint8]) -> Mistake:
    """Return the mistake that was made on image `row` of the split, whose pixels are `image`."""
    predicted = report.predicted[row]
    return Mistake(
        index=int(row),
        true=report.class_names[report.labels[row]],
        predicted=report.class_names[predicted],
        probability=float(report.predictions.probabilities[row, predicted]),
        image=image,
    )
