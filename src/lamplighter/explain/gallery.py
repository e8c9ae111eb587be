"""The worst mistakes, with attribution maps and the most similar training images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lamplighter.errors import DataError, DatasetError, ShapeError
from lamplighter.evaluation.mistakes import mistakes
from lamplighter.evaluation.plots import finished
from lamplighter.evaluation.report import check_size
from lamplighter.explain.attribution.attribution import as_method, attribute
from lamplighter.explain.attribution.plots import over_picture, say_if_empty, strength_of
from lamplighter.explain.images import to_rgb
from lamplighter.explain.style import (
    DIVERGING,
    SEQUENTIAL,
    axes_grid,
    draw_bar,
    draw_image,
    write_title,
)
from lamplighter.inference.predictor import logits_and_features
from lamplighter.models.classifier import check_classifier
from lamplighter.models.reliability import unit_length

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from lamplighter.datasets.image_data import ImageData, Split
    from lamplighter.evaluation.mistakes import Mistake
    from lamplighter.evaluation.report import Report
    from lamplighter.explain.attribution.attribution import Method
    from lamplighter.models.classifier import Classifier

_TRAIN = "train"


@dataclass(frozen=True, eq=False)
class Neighbour:
    """A training image that the network finds like another image.

    Attributes:
        index: where it is in the training split.
        label: the name of its class.
        similarity: cosine of the angle between the features of the two, -1..1.
        image: pixels, uint8, shape (C, H, W).
    """

    index: int
    label: str
    similarity: float
    image: NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Entry:
    """A mistake with what may have led to it.

    Attributes:
        mistake: the image, its class, and what was said instead.
        map: what the wrong answer rests on, float32, shape (H, W).
        method: how the map was made.
        neighbours: the nearest training images, the nearest first.
        notes: what a reader of the maps of all entries should know, a sentence each.
    """

    mistake: Mistake
    map: NDArray[np.float32]
    method: Method
    neighbours: tuple[Neighbour, ...]
    notes: tuple[str, ...] = ()


def gallery(
    classifier: Classifier,
    report: Report,
    data: ImageData,
    count: int = 6,
    *,
    method: str = "grad-cam",
    neighbours: int = 3,
    features: NDArray[np.float32] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> list[Entry]:
    """Return the worst mistakes, those first that the classifier was most sure of.

    Each comes with a map of what the wrong answer rests on, and with the training images whose
    features are nearest to its own. Where these are of the class that was said, the network has
    learned to see it so; where they are of the true class, look at the last layer; and where a
    nearly identical one has another label, look at the labels.

    Args:
        classifier: what was evaluated.
        report: what `evaluate` returned.
        data: the data that it was given, with its "train" split.
        count: how many mistakes at most.
        method: of attribution, one of `lamplighter.METHODS`.
        neighbours: how many training images for each.
        features: those of the training split, made already, shape (N, D).
        progress: told how many training images have been looked at, and of how many.

    Raises:
        UnknownSplitError: the data has no training images.
        DatasetError: the data is not that of the report, or a number is less than 1.
        ShapeError: training images are of another size, or `features` has another length.
        ModelError: there is no such method, it cannot explain this network, or the network has
            no features.
    """
    check_classifier(classifier, "gallery")
    if count < 1 or neighbours < 1:
        raise DatasetError(
            "a gallery needs one mistake and one neighbour or more, "
            f"received {count} and {neighbours}."
        )
    chosen = as_method(method)
    worst = mistakes(report, data, count)
    train = data[_TRAIN]
    check_size(classifier, train, data.name)
    if not worst:
        return []
    images = np.stack([mistake.image for mistake in worst])  # (M, C, H, W)
    own = logits_and_features(classifier, images)[1]
    known = _known(classifier, train, features, progress)
    excluded = [mistake.index for mistake in worst] if report.split == _TRAIN else None
    found = nearest(own, known, neighbours, excluded=excluded)
    said = [mistake.predicted for mistake in worst]
    why = attribute(classifier, images, chosen, target=said)
    return [
        Entry(
            mistake,
            why.maps[number],
            chosen,
            tuple(
                Neighbour(
                    index,
                    data.class_names[train.labels[index]],
                    similarity,
                    train.images[index],
                )
                for index, similarity in found[number]
            ),
            why.notes,
        )
        for number, mistake in enumerate(worst)
    ]


def nearest(
    vectors: NDArray[np.float32],
    known: NDArray[np.float32],
    count: int,
    *,
    excluded: Sequence[int] | None = None,
) -> list[list[tuple[int, float]]]:
    """Return for each vector its nearest known ones by cosine, the nearest first.

    Args:
        vectors: shape (M, D).
        known: shape (N, D).
        count: how many, at most N.
        excluded: for each vector, the known one that it must not find; that is, itself.

    Returns:
        Index and cosine of each, M lists.
    """
    cosines = unit_length(vectors) @ unit_length(known).T  # (M, N)
    if excluded is not None:
        cosines[np.arange(len(cosines)), list(excluded)] = -np.inf
    order = np.argsort(-cosines, axis=1, kind="stable")[:, :count]
    return [
        [
            (int(index), float(np.clip(cosines[row, index], -1, 1)))
            for index in indices
            if np.isfinite(cosines[row, index])
        ]
        for row, indices in enumerate(order)
    ]


def plot_gallery(entries: Sequence[Entry]) -> Figure:
    """Return a gallery as a figure: a row for each mistake.

    From the left: the image, what the wrong answer rests on, and the nearest training images.
    Each map is drawn as `plot_attribution` does, scaled to its own 99th percentile; an empty one
    says so.

    Args:
        entries: what `gallery` returned, one or more.

    Raises:
        DataError: there is no entry.
        MissingPackageError: matplotlib is not installed.
    """
    if not entries:
        raise DataError("a gallery needs one mistake or more, received none.")
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    columns = 2 + max(len(entry.neighbours) for entry in entries)
    height, width = entries[0].map.shape
    title = entries[0].method.title
    grid = axes_grid(
        columns * len(entries),
        aspect=width / height,
        lines=3,
        title=f"The worst mistakes, {title} for the wrong answer, nearest training images",
        bar=True,
        columns=columns,
    )
    signed = entries[0].method.signed
    for row, entry in enumerate(entries):
        cells = grid.cells[row * columns : (row + 1) * columns]
        mistake = entry.mistake
        pictures = [mistake.image, *(neighbour.image for neighbour in entry.neighbours)]
        shown = to_rgb(np.stack(pictures))  # (1 + neighbours, H, W, 3)
        draw_image(cells[0], shown[0])
        sure = min(99.9, 100 * mistake.probability)
        write_title(cells[0], [f"is {mistake.true}", f"said {mistake.predicted}", f"{sure:.3g} %"])
        draw_image(cells[1], over_picture(shown[0], strength_of(entry.map), signed))
        say_if_empty(cells[1], entry.map)
        write_title(cells[1], ["why", mistake.predicted])
        for cell, picture, neighbour in zip(cells[2:], shown[1:], entry.neighbours, strict=False):
            draw_image(cell, picture)
            write_title(cell, ["train", neighbour.label, f"cosine {neighbour.similarity:.3f}"])
        for cell in cells[2 + len(entry.neighbours) :]:
            cell.set_visible(False)
    drawn = ScalarMappable(Normalize(-1 if signed else 0, 1), DIVERGING if signed else SEQUENTIAL)
    draw_bar(grid, drawn, f"{entries[0].method.unit}, share of 99th percentile")
    return finished(grid.figure)


def _known(
    classifier: Classifier,
    train: Split,
    features: NDArray[np.float32] | None,
    progress: Callable[[int, int], None] | None,
) -> NDArray[np.float32]:
    """Return the features of the training split."""
    if features is None:
        tell = None if progress is None else (lambda done: progress(done, len(train)))
        return logits_and_features(classifier, train.images, progress=tell)[1]
    if features.ndim != 2 or len(features) != len(train):
        raise ShapeError(
            f"features must be of shape (N, D), one row for each of the {len(train)} training "
            f"images, received {features.shape}; they must be of this split, in its order."
        )
    return features
