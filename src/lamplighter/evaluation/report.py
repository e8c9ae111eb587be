"""The report of a test: predictions and labels matched by name, scores with intervals."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from lamplighter.errors import ClassCountError, DatasetError, ShapeError
from lamplighter.evaluation import metrics
from lamplighter.evaluation.intervals import Estimate, bootstrap_macro_f1, wilson
from lamplighter.evaluation.open_set import Answered
from lamplighter.inference import predictor
from lamplighter.models.classifier import check_classifier
from lamplighter.text import align, counted, listed, percent

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from lamplighter.datasets.image_data import ImageData, Split
    from lamplighter.inference.predictor import Predictions
    from lamplighter.models.classifier import Classifier


def check_in_common(classifier: Classifier, present: Sequence[str]) -> None:
    """Refuse a split with the classes `present`, if the classifier knows none of them.

    Raises:
        ClassCountError: they have no name in common.
    """
    if present and set(classifier.class_names).isdisjoint(present):
        raise ClassCountError(
            "classes are matched by name and none is in common: the classifier knows "
            f"{listed(classifier.class_names)}, the split has {listed(present)}; choose data "
            "with classes that it knows, or a classifier that learned these."
        )


def labels_by_name(
    classifier: Classifier, data: ImageData, split: Split
) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    """Return all class names, the classifier's first, and the labels as indices into them."""
    present = [data.class_names[index] for index in np.unique(split.labels)]
    check_in_common(classifier, present)
    unknown = [name for name in present if name not in classifier.class_names]
    names = (*classifier.class_names, *unknown)
    index = {name: place for place, name in enumerate(names)}
    places = np.array([index.get(name, -1) for name in data.class_names], dtype=np.int64)
    return names, places[split.labels]


_GUESSES = 5


@dataclass(frozen=True, eq=False, repr=False)
class Report:
    """What a classifier said of a split, and every score that follows from it.

    Attributes:
        data: what the data set is called.
        split: which split of it.
        fingerprint: SHA-256 of the images and labels.
        class_names: the K names of the classifier, in the order of its logits, then those of
            the split that it does not know.
        labels: the true class of each image, an index into `class_names`, shape (N,).
        predictions: what the classifier said of each image.
    """

    data: str
    split: str
    fingerprint: str
    class_names: tuple[str, ...]
    labels: NDArray[np.int64]
    predictions: Predictions

    @property
    def count(self) -> int:
        """N, the number of images."""
        return len(self.labels)

    @cached_property
    def predicted(self) -> NDArray[np.int64]:
        """The predicted class of each image, an index into `class_names`, shape (N,)."""
        return self.predictions.indices

    @property
    def right(self) -> NDArray[np.bool_]:
        """Whether the prediction for each image is right, shape (N,)."""
        right: NDArray[np.bool_] = self.predicted == self.labels
        return right

    @cached_property
    def confusion(self) -> NDArray[np.int64]:
        """How often each class was taken for each; rows true, columns predicted."""
        return metrics.confusion_matrix(self.labels, self.predicted, len(self.class_names))

    @cached_property
    def scores(self) -> metrics.ClassScores:
        """Precision, recall, F1 and support of each class."""
        return metrics.class_scores(self.confusion)

    @cached_property
    def accuracy(self) -> Estimate:
        """The share of images that are right, with its Wilson interval."""
        return wilson(int(self.right.sum()), self.count)

    @cached_property
    def macro_f1(self) -> Estimate:
        """The mean F1 of the classes that have images, with its bootstrap interval."""
        return bootstrap_macro_f1(self.confusion)

    @cached_property
    def top5(self) -> Estimate | None:
        """The share of images whose class is among the first five, where there are more."""
        outputs = len(self.predictions.class_names)
        if outputs <= _GUESSES:
            return None
        known = self.labels < outputs
        hits = metrics.in_top_k(self.predictions.logits[known], self.labels[known], _GUESSES)
        return wilson(int(hits.sum()), self.count)

    @property
    def unknown_classes(self) -> tuple[str, ...]:
        """Classes of the split that the classifier does not know: its answer is always wrong."""
        return self.class_names[len(self.predictions.class_names) :]

    @property
    def missing_classes(self) -> tuple[str, ...]:
        """Classes of the classifier without an image in the split: left out of macro-F1."""
        return tuple(
            name
            for name, support in zip(self.class_names, self.scores.support, strict=True)
            if not support
        )

    @property
    def answered(self) -> Answered:
        """The share of images that is not called unknown, and the accuracy on them."""
        return Answered.of(self.predictions.known, self.right)

    @property
    def _says_unknown(self) -> bool:
        return self.predictions.threshold is not None

    def confusions(self, count: int = 5) -> list[tuple[str, str, int]]:
        """Return the most frequent mistakes as (true, predicted, how often)."""
        mistaken = self.confusion * (1 - np.eye(len(self.class_names), dtype=np.int64))
        order = np.argsort(-mistaken, axis=None, kind="stable")[:count]
        cells = [divmod(int(cell), len(self.class_names)) for cell in order]
        return [
            (self.class_names[true], self.class_names[said], int(mistaken[true, said]))
            for true, said in cells
            if mistaken[true, said]
        ]

    def __str__(self) -> str:
        lines = [
            f"{self.data}, {self.split}: {counted(self.count, 'image')}, "
            + counted(len(self.class_names), "class", "classes"),
            f"accuracy  {self.accuracy}",
            f"macro-F1  {self.macro_f1}",
        ]
        if self.top5 is not None:
            lines.append(f"top 5     {self.top5}")
        if self._says_unknown:
            lines.append(f"known     {self.answered}")
        if self.unknown_classes:
            lines.append(f"unknown to the classifier, always wrong: {listed(self.unknown_classes)}")
        if self.missing_classes:
            lines.append(f"without an image, not in macro-F1: {listed(self.missing_classes)}")
        return "\n".join(lines)

    def __repr__(self) -> str:
        return f"Report({self.data}, {self.split}, {counted(self.count, 'image')}, {self.accuracy})"

    def table(self) -> str:
        """Return the scores of each class as text; the interval is that of the recall."""
        rows = [["class", "images", "right", "recall", "95 % interval", "precision", "F1"]]
        hits = np.diagonal(self.confusion)
        for index, name in enumerate(self.class_names):
            support = int(self.scores.support[index])
            interval = "-"
            if support:
                recall = wilson(int(hits[index]), support)
                interval = f"{100 * recall.low:.2f} to {100 * recall.high:.2f}"
            rows.append(
                [
                    name,
                    f"{support:,}",
                    f"{hits[index]:,}",
                    percent(self.scores.recall[index]),
                    interval,
                    percent(self.scores.precision[index]),
                    percent(self.scores.f1[index]),
                ]
            )
        return align(rows)

    def confusion_table(self) -> str:
        """Return the confusion matrix as text: rows true, columns predicted, a dot for no mistake.

        Columns are headed by the class names where these are short, else by row numbers.
        """
        short = max(len(name) for name in self.class_names) <= 5
        heads = list(self.class_names)
        names = heads
        if not short:
            heads = [str(number) for number in range(1, len(heads) + 1)]
            names = [f"{head} {name}" for head, name in zip(heads, names, strict=True)]
        rows = [["true \\ predicted", *heads]]
        for number, (name, counts) in enumerate(zip(names, self.confusion, strict=True)):
            cells = [f"{count:,}" if count else "." for count in counts]
            if counts.any():
                cells[number] = f"{counts[number]:,}"
            rows.append([name, *cells])
        return align(rows)

    def summary(self) -> dict[str, Any]:
        """Return the scores of the whole split as plain JSON types, as for a bundle."""
        return {
            "data": self.data,
            "split": self.split,
            "fingerprint": self.fingerprint,
            "count": self.count,
            "accuracy": self.accuracy.to_dict(),
            "macro_f1": self.macro_f1.to_dict(),
            "top5": self.top5.to_dict() if self.top5 is not None else None,
            "answered": self.answered.to_dict() if self._says_unknown else None,
            "unknown_classes": list(self.unknown_classes),
            "missing_classes": list(self.missing_classes),
        }

    def to_dict(self) -> dict[str, Any]:
        """Return all scores as plain JSON types; a score that is 0 divided by 0 is None."""
        scores = self.scores
        classes = [
            {
                "name": name,
                "precision": _number(scores.precision[index]),
                "recall": _number(scores.recall[index]),
                "f1": _number(scores.f1[index]),
                "support": int(scores.support[index]),
            }
            for index, name in enumerate(self.class_names)
        ]
        return self.summary() | {"classes": classes, "confusion": self.confusion.tolist()}


def evaluate(
    classifier: Classifier,
    data: ImageData,
    split: str = "test",
    *,
    progress: Callable[[int], None] | None = None,
) -> Report:
    """Return how good `classifier` is on a split that it has not learned from.

    Classes are matched by name, whatever their order in the data. A class of the split that the
    classifier does not know counts as wrong, and is named in the report. The scores join the
    record of the classifier, which a bundle keeps.

    Args:
        classifier: what is tested.
        data: images of the size and channels of the classifier's preprocessing.
        split: which split of the data.
        progress: called after each batch with the number of images done so far.

    Raises:
        UnknownSplitError: the data has no such split.
        DatasetError: the split is empty.
        ShapeError: the images are of another size or number of channels.
        ClassCountError: data and classifier have no class name in common.
        ModelError: a score of the classifier is NaN or infinite.
    """
    check_classifier(classifier, "evaluate")
    chosen = data[split]
    if not len(chosen):
        raise DatasetError(f"the split {split!r} of {data.name} has no image to evaluate on.")
    check_size(classifier, chosen, data.name)
    class_names, labels = labels_by_name(classifier, data, chosen)
    predictions = predictor.predict_pixels(classifier, chosen.images, progress=progress)
    report = Report(data.name, split, chosen.fingerprint, class_names, labels, predictions)
    classifier.record.scores[split] = report.summary()
    return report


def check_size(classifier: Classifier, split: Split, name: str) -> None:
    """Refuse images of another size or number of channels than the classifier takes.

    Raises:
        ShapeError: they differ.
    """
    expected = classifier.preprocessing
    channels, height, width = split.images.shape[1:]
    if (channels, height, width) != (expected.channels, expected.height, expected.width):
        raise ShapeError(
            f"the classifier takes images of {expected.height} x {expected.width} pixels and "
            f"{expected.channels} channels, received {name} with {height} x {width} pixels and "
            f"{channels} channels; load the data with the classifier's preprocessing."
        )


def _number(value: np.float64) -> float | None:
    return None if np.isnan(value) else float(value)
