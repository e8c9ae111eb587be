"""Classes by name: the labels of some data as those of a classifier."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import numpy as np

from lamplighter.datasets.image_data import Split
from lamplighter.errors import ClassCountError
from lamplighter.text import listed
from lamplighter.training.distributed import is_first

if TYPE_CHECKING:
    from lamplighter.datasets.image_data import ImageData
    from lamplighter.models.classifier import Classifier

_LOGGER = logging.getLogger("lamplighter.data")


def by_name(classifier: Classifier, data: ImageData, split: str) -> Split:
    """Return a split with labels that are indices into the classifier's class names.

    Images of classes that the classifier does not know are left out, with one line that says
    which; `evaluate` counts them as wrong.

    Args:
        classifier: whose classes count.
        data: images with classes of the same names, in any order.
        split: which split of them.

    Raises:
        ClassCountError: "train" has images of a class that the classifier does not know, or no
            class of the data is known to it.
        UnknownSplitError: the data has no such split.
    """
    chosen = data[split]
    index = {name: place for place, name in enumerate(classifier.class_names)}
    places = np.array([index.get(name, -1) for name in data.class_names], dtype=np.int64)
    labels = places[chosen.labels]
    known = labels >= 0
    if known.all():
        return chosen if np.array_equal(labels, chosen.labels) else _labelled(chosen, labels)
    counts = np.bincount(chosen.labels[~known], minlength=len(data.class_names))
    unknown = [name for name, count in zip(data.class_names, counts, strict=True) if count]
    if split == "train" or not index.keys() & set(data.class_names):
        raise ClassCountError(
            f"the classes of {data.name} must be those of the classifier, by name: it has "
            f"{listed(classifier.class_names)}, the split {split!r} has images of "
            f"{listed(unknown)}; make it with Classifier.new(name, data)."
        )
    if is_first():
        _LOGGER.warning(
            "%s of the %s images of %r are left out of the metrics while training: the classifier "
            "does not know %s.",
            f"{counts.sum():,}",
            f"{len(chosen):,}",
            split,
            listed(unknown),
        )
    rest = chosen.take(np.flatnonzero(known))
    return _labelled(rest, labels[known])


def _labelled(split: Split, labels: np.ndarray[tuple[int], np.dtype[np.int64]]) -> Split:
    return Split(split.images, labels, split.paths)
