"""Scores of logits that are there already, for files matched with classes by name."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np

from lamplighter.evaluation.report import Report
from lamplighter.inference.predictor import Predictions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from lamplighter.features.extraction import Features
    from lamplighter.models.reliability import Trust


def known_labels(features: Features, class_names: Sequence[str]) -> NDArray[np.int64]:
    """Return the labels as indices into `class_names`, -1 for any other class, shape (N,)."""
    index = {name: place for place, name in enumerate(class_names)}
    places = np.array([index.get(name, -1) for name in features.files.class_names], dtype=np.int64)
    return places[features.files.labels]


def report_on(
    features: Features,
    split: str,
    logits: NDArray[np.float32],
    class_names: Sequence[str],
    *,
    trust: Trust | None = None,
) -> Report:
    """Return the report on a split whose logits are known.

    Args:
        features: of the images of the split, N of them.
        split: what the split is called.
        logits: of the same images, shape (N, K).
        class_names: K names in the order of the logits; another class is always wrong.
        trust: the temperature and what is unknown, if that was measured.
    """
    labels = known_labels(features, class_names)
    names = features.files.class_names
    unknown = [names[label] for label in np.unique(features.files.labels[labels < 0])]
    place = {name: len(class_names) + index for index, name in enumerate(unknown)}
    labels = np.array(
        [
            label if label >= 0 else place[names[given]]
            for label, given in zip(labels, features.files.labels, strict=True)
        ],
        dtype=np.int64,
    )
    predictions = Predictions(logits, tuple(class_names))
    if trust is not None:
        measures = trust.reference is not None
        predictions = Predictions(
            logits,
            tuple(class_names),
            temperature=trust.temperature,
            distances=trust.distances(features.vectors) if measures else None,
            threshold=trust.threshold,
        )
    return Report(
        features.files.name,
        split,
        fingerprint_of(features),
        (*class_names, *unknown),
        labels,
        predictions,
    )


def fingerprint_of(features: Features) -> str:
    """Return a SHA-256 of the content and the class name of every file, in their order."""
    names = features.files.class_names
    digest = hashlib.sha256()
    for content, label in zip(features.hashes, features.files.labels, strict=True):
        digest.update(f"{content} {names[label]}\n".encode(errors="surrogatepass"))
    return digest.hexdigest()
