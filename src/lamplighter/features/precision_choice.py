"""The choice of a precision: int8 where it is faster on this processor and as accurate."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lamplighter.errors import BundleError
from lamplighter.features.extraction import embed
from lamplighter.features.heads.fitting import fit_head
from lamplighter.features.heads.model_selection import lot
from lamplighter.inference.runtime import runtime
from lamplighter.saving.quantized import at_precision

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lamplighter.datasets.files import ImageFiles, Progress
    from lamplighter.models.classifier import Classifier, Precision

MOST_LOST = 0.005  # of validation accuracy
_TIMED, _ROUNDS = 4, 5  # images at once, as embedding takes them, and how often
_FASTER = 0.9  # of the time in float32: what is gained beyond the noise of a measurement
_MOST = 400  # images of each split that accuracy is compared on


@dataclass(frozen=True, eq=False)
class PrecisionChoice:
    """A precision, and why it was chosen.

    Attributes:
        precision: "fp32" or "int8".
        classifier: the backbone with it.
        reason: one sentence with what was measured.
    """

    precision: Precision
    classifier: Classifier
    reason: str


def choose_precision(
    classifier: Classifier, files: ImageFiles, *, seed: int = 0, progress: Progress | None = None
) -> PrecisionChoice:
    """Return the backbone in int8 if that is faster here and loses no accuracy, else as it is.

    Time is that of the network alone. Accuracy is that of a linear head which learns from up to
    400 training images and is asked about up to 400 validation images: with features in int8 it may
    be lower by half a point at most.

    Args:
        classifier: the backbone.
        files: with the splits "train" and "val".
        seed: of the images that are taken, and of the head.
        progress: called with the number of images embedded so far and of all.
    """
    try:
        reduced = at_precision(classifier, "int8")
    except BundleError as error:
        return PrecisionChoice("fp32", classifier, f"fp32: {error}")
    exact_ms, reduced_ms = _milliseconds(classifier, reduced)
    times = f"{reduced_ms:.1f} ms an image in int8 and {exact_ms:.1f} ms in fp32"
    if reduced_ms > _FASTER * exact_ms:
        return PrecisionChoice("fp32", classifier, f"fp32, since it takes {times} here")
    accuracies = [_accuracy(network, files, seed, progress) for network in (classifier, reduced)]
    exact, lower = (f"{100 * accuracy:.1f} %" for accuracy in accuracies)
    measured = f"{times} here, with {lower} and {exact} of validation images right"
    if accuracies[1] < accuracies[0] - MOST_LOST:
        return PrecisionChoice(
            "fp32", classifier, f"fp32, since int8 is less accurate: it takes {measured}"
        )
    return PrecisionChoice("int8", reduced, f"int8: it takes {measured}")


def _milliseconds(*classifiers: Classifier) -> list[float]:
    """Return what the network of each takes for an image on one core, measured in turn."""
    wanted = classifiers[0].preprocessing
    shape = (_TIMED, wanted.channels, wanted.height, wanted.width)
    pixels = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    inputs = wanted.normalise(pixels)
    computes = [runtime(classifier) for classifier in classifiers]
    times: list[list[float]] = [[] for _ in computes]
    for number in range(_ROUNDS + 1):
        for taken, compute in zip(times, computes, strict=True):
            start = time.perf_counter()
            compute.with_features(inputs)
            if number:  # the first sets memory up
                taken.append(time.perf_counter() - start)
    return [1000 * float(np.median(taken)) / _TIMED for taken in times]


def _accuracy(
    classifier: Classifier, files: ImageFiles, seed: int, progress: Progress | None
) -> float:
    rows = [_some(files, split, seed) for split in ("train", "val")]
    features = embed(classifier, files.take(np.concatenate(rows)), progress=progress)
    train, val = features.split("train"), features.split("val")
    classes, labels = np.unique(train.files.labels, return_inverse=True)
    head = fit_head("linear", train.vectors, labels, len(classes), seed=seed).head
    answers = classes[head.logits(val.vectors).argmax(axis=1)]
    return float((answers == np.asarray(val.files.labels)).mean())


def _some(files: ImageFiles, split: str, seed: int) -> NDArray[np.int64]:
    """Return rows of a split: all or, of many, of each class its share."""
    rows = np.asarray(files.rows_of(split), dtype=np.int64)
    labels = np.asarray(files.labels, dtype=np.int64)[rows]
    return rows[lot(labels, _MOST, seed=seed)]
