"""The classes of a classifier and of data, matched by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lamplighter.errors import ClassCountError
from lamplighter.text import listed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from lamplighter.datasets.image_data import ImageData, Split
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
