"""`add_trust`: calibration and open-set answers, measured on the validation split."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from lamplighter.errors import DatasetError, ModelError
from lamplighter.evaluation import calibration, open_set
from lamplighter.evaluation.intervals import wilson
from lamplighter.evaluation.report import check_size, labels_by_name
from lamplighter.inference.predictor import logits_and_features, predict_pixels
from lamplighter.inference.runtime import runtime
from lamplighter.models.classifier import check_classifier
from lamplighter.models.reliability import Trust

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from lamplighter.datasets.image_data import ImageData, Split
    from lamplighter.evaluation.report import Report
    from lamplighter.models.classifier import Classifier

_FOLDS = 5
_FEW = 5  # images of unknown classes from which their separation is measured
_LOGGER = logging.getLogger("lamplighter.data")


def make_trust(
    classifier: Classifier,
    *,
    val_logits: NDArray[np.float32],
    val_labels: NDArray[np.int64],
    val_features: NDArray[np.float32] | None = None,
    train_features: NDArray[np.float32] | None = None,
    train_labels: NDArray[np.int64] | None = None,
    val_distances: NDArray[np.float32] | None = None,
    coverage: float = 0.95,
    neighbours: int = 1,
    seed: int = 0,
) -> Trust:
    """Return the trust of a classifier, measured on images that it was not trained on.

    The temperature is fitted to the images of known classes. The calibration error after it is
    taken by cross-fitting, five-fold: each image has its probabilities from a temperature that was
    fitted to others; neither its folds nor the temperature depend on `seed`. Where that does not
    lower the error, the temperature stays 1.

    The threshold is the smallest distance within which the share `coverage` of the images of known
    classes lies. Without features there is a temperature alone.

    One neighbour was best on photos of boats, 601 to learn from and 216 to validate on, some
    classes of a single training image: leaving out each class in turn, its validation images were
    told from the others with a mean AUROC of 0.67; with 5 neighbours 0.61, with 50 0.51.

    Args:
        classifier: what gave the logits.
        val_logits: shape (N, K).
        val_labels: indices of its classes, shape (N,); any other number, such as -1, for an image
            of a class that it does not know.
        val_features: from the same images, shape (N, D).
        train_features: of images that it was trained on, shape (M, D); of more than 2,000 a
            sample is kept, stratified by class.
        train_labels: indices of its classes, shape (M,); by default all count as one class.
        val_distances: of the images to those that whatever gave their logits was trained on,
            0..2, shape (N,), where that was not `train_features`, as in cross-validation.
        coverage: the share of images of known classes that is to count as known, 0..1.
        neighbours: which of the nearest training images counts, at least 1.
        seed: of the sample, the folds and the draws of the intervals.

    Raises:
        DatasetError: shapes do not fit one another, or a number is out of range.
        ModelError: logits or features are NaN or infinite.
    """
    _check(classifier, val_logits, val_labels)
    known = (val_labels >= 0) & (val_labels < classifier.num_classes)
    temperature = calibration.fit_temperature(val_logits, val_labels)
    measured: dict[str, Any] = {
        "count": len(val_labels),
        "unknown_count": int((~known).sum()),
        "calibration": _measure_calibration(
            val_logits[known], val_labels[known], temperature, seed
        ),
        "unknown": None,
    }
    if measured["calibration"] is not None and measured["calibration"]["rejected"] is not None:
        temperature = 1.0
    if train_features is None or (val_features is None and val_distances is None):
        return Trust(temperature, measured=measured)
    if not known.any():
        return Trust(temperature, measured=measured)
    reference = open_set.make_reference(
        train_features, train_labels, classifier.num_classes, neighbours, seed=seed
    )
    neighbours = min(neighbours, len(reference))
    distances = val_distances
    if distances is None:
        assert val_features is not None
        distances = open_set.distances(val_features, reference, neighbours)
    if distances.shape != val_labels.shape:
        raise DatasetError(
            f"each validation image needs one label, received features of {len(distances)} "
            f"and {len(val_labels)} labels."
        )
    threshold = open_set.choose_threshold(distances[known], coverage)
    right = np.asarray(val_logits).argmax(axis=1) == val_labels
    measured["unknown"] = {
        "chosen_coverage": coverage,
        **_measure_unknown(distances, right, known, threshold, seed),
    }
    return Trust(temperature, reference, neighbours, threshold, measured)


def with_threshold(trust: Trust, threshold: float, report: Report, *, seed: int = 0) -> Trust:
    """Return a trust with another threshold of "unknown", and what that does to held-out images.

    Args:
        trust: with a reference.
        threshold: the largest distance that is to be known, 0..2.
        report: of images that were not trained on, with their distances, such as
            `Ladder.validation`.
        seed: of the draws of an interval.

    Raises:
        ModelError: the trust has no reference, or the threshold is out of range.
        DatasetError: the report has no distances, no image of a class that is known, or none that
            is within the threshold.
    """
    if trust.reference is None:
        raise ModelError(
            "a threshold needs a reference of training images, and this classifier has none: "
            "it calls nothing unknown."
        )
    distances = report.predictions.distances
    known = report.labels < len(report.predictions.class_names)
    if distances is None or not known.any():
        raise DatasetError(
            f"a threshold is measured on held-out images of known classes, with their distances; "
            f"the report on {report.split!r} has none."
        )
    changed = replace(trust, threshold=threshold)  # which checks it first
    if not (distances <= threshold).any():
        raise DatasetError(
            f"with a threshold of {threshold:.4g} every image would be unknown; the nearest one of "
            f"{report.split!r} has a distance of {distances.min():.4g}."
        )
    unknown = {
        "source": f"the images of {report.split!r}",
        "chosen_coverage": float((distances[known] <= threshold).mean()),
        **_measure_unknown(distances, report.right, known, threshold, seed),
    }
    return replace(changed, measured={**trust.measured, "unknown": unknown})


def add_trust(
    classifier: Classifier,
    data: ImageData,
    *,
    split: str = "val",
    coverage: float = 0.95,
    neighbours: int = 1,
    seed: int = 0,
    progress: Callable[[int], None] | None = None,
) -> Trust:
    """Measure how far the answers of a classifier can be trusted; it keeps and uses the result.

    From then on its probabilities are calibrated, and an image unlike those it was trained on is
    called unknown (see `make_trust`). Do this last: the result holds for the weights that the
    classifier has now.

    Args:
        classifier: what is measured; its `trust` is set.
        data: with the "train" split that it was trained on, and one that it was not. Without
            "train" the reference that the classifier has stays; where it has none, a warning of
            the logger `lamplighter.data` says that nothing will be called unknown.
        split: the latter; its scores were not to be chosen by.
        coverage: the share of images of known classes that is to count as known, 0..1.
        neighbours: which of the nearest training images counts, at least 1.
        seed: of samples and draws.
        progress: called after each batch with the number of images done so far.

    Returns:
        What the classifier now has as its `trust`.

    Raises:
        UnknownSplitError: the data has no such split.
        DatasetError: a split is empty or was learned from, or a number is out of range.
        ShapeError: the images are of another size or number of channels.
        ClassCountError: data and classifier have no class name in common.
        ModelError: the classifier answers NaN.
    """
    check_classifier(classifier, "add_trust")
    if split == "train":
        raise DatasetError(
            "trust is measured on images that were not trained on, received the split 'train'; "
            "make another one with hold_out."
        )
    if split in classifier.record.learned_splits:
        raise DatasetError(
            f"this classifier has learned from the split {split!r} too, after it was chosen by it: "
            "its trust was measured by cross-validation then; give a split that it has not seen "
            f"(split='test'), or make it without a refit to keep {split!r} held out."
        )
    chosen = data[split]
    if not len(chosen):
        raise DatasetError(f"the split {split!r} of {data.name} has no image to measure on.")
    check_size(classifier, chosen, data.name)
    labels = labels_by_name(classifier, data, chosen)[1]
    has_features = _has_features(classifier, chosen)
    features: NDArray[np.float32] | None = None
    if has_features:
        logits, features = logits_and_features(classifier, chosen.images, progress=progress)
    else:
        logits = predict_pixels(classifier, chosen.images, progress=progress).logits
    train_features, train_labels = None, None
    if has_features and "train" not in data:
        train_features = _known_reference(classifier, data.name)
    elif has_features:
        train = data["train"]
        check_size(classifier, train, data.name)
        train_labels = labels_by_name(classifier, data, train)[1]
        kept = open_set.choose_reference(
            train_labels, classifier.num_classes, neighbours, seed=seed
        )
        train_labels = train_labels[kept]
        follow = None if progress is None else lambda done: progress(len(chosen) + done)
        train_features = logits_and_features(classifier, train.take(kept).images, progress=follow)[
            1
        ]
    trust = make_trust(
        classifier,
        val_logits=logits,
        val_labels=labels,
        val_features=features,
        train_features=train_features,
        train_labels=train_labels,
        coverage=coverage,
        neighbours=neighbours,
        seed=seed,
    )
    classifier.trust = trust
    return trust


def _known_reference(classifier: Classifier, name: str) -> NDArray[np.float32] | None:
    """Return the reference that a classifier has, for data without training images."""
    known = classifier.trust.reference if classifier.trust is not None else None
    if known is None:
        _LOGGER.warning(
            "%s has no split 'train', so no image can be called unknown: only the temperature is "
            "measured; add the training images.",
            name,
        )
    return known


def _measure_calibration(
    logits: NDArray[np.float32], labels: NDArray[np.int64], temperature: float, seed: int
) -> dict[str, Any] | None:
    """Return the calibration before and after, or None where there are too few images for it."""
    if len(labels) < 2:
        return None
    # Always the same: the draws of an interval may depend on a seed, a temperature should not.
    folds = np.random.default_rng(0).permutation(len(labels)) % min(_FOLDS, len(labels))
    after = np.empty(logits.shape)
    for fold in range(folds.max() + 1):
        others, own = folds != fold, folds == fold
        own_temperature = calibration.fit_temperature(logits[others], labels[others])
        after[own] = calibration.softmax(logits[own], own_temperature)
    before = calibration.softmax(logits)
    note = None
    if np.all(logits.argmax(axis=1) == labels):
        note = "every answer is right, so no temperature can be fitted: it stays 1"
    elif temperature in (calibration.LOWEST, calibration.HIGHEST):
        note = f"the temperature is at the bound of {temperature:g}: do not rely on probabilities"
    plain, fitted = (calibration.reliability(p, labels, seed=seed) for p in (before, after))
    rejected = None
    if fitted.error.value > plain.error.value and temperature != 1:
        rejected = {"temperature": temperature, "error": fitted.error.to_dict()}
        note = (
            f"a temperature of {temperature:.3g} would raise it to {fitted.error:.1f}: it stays 1"
        )
        fitted = plain
    return {
        "before": plain.to_dict(),
        "after": fitted.to_dict(),
        "after_by": f"cross-fitting, {folds.max() + 1} folds",
        "rejected": rejected,
        "note": note,
    }


def _measure_unknown(
    distances: NDArray[np.float32],
    right: NDArray[np.bool_],
    known: NDArray[np.bool_],
    threshold: float,
    seed: int,
) -> dict[str, Any]:
    within = distances <= threshold
    unseen = None
    if not known.all():
        enough = int((~known).sum()) >= _FEW
        apart = open_set.separation(distances[known], distances[~known]) if enough else None
        unseen = {
            "count": int((~known).sum()),
            "called_unknown": wilson(int((~within & ~known).sum()), int((~known).sum())).to_dict(),
            "auroc": apart.to_dict() if apart is not None else None,
        }
    return {
        "coverage": wilson(int((within & known).sum()), int(known.sum())).to_dict(),
        "accuracy": wilson(int(right.sum()), len(right)).to_dict(),
        "accuracy_on_known": wilson(int(right[within].sum()), int(within.sum())).to_dict(),
        "curve": open_set.coverage_curve(distances, right, seed=seed).to_dict(),
        "unseen_classes": unseen,
    }


def _has_features(classifier: Classifier, split: Split) -> bool:
    """Return whether the network gives features, which for some is known by trying alone."""
    compute = runtime(classifier)
    if compute.num_features is None:
        return False
    try:
        compute.with_features(classifier.preprocessing.normalise(split.images[:1]))
    except ModelError:  # if all it gives is damaged, its logits will tell
        return False
    return True


def _check(classifier: Classifier, logits: NDArray[np.float32], labels: NDArray[np.int64]) -> None:
    if logits.shape != (len(labels), classifier.num_classes) or not len(labels):
        raise DatasetError(
            f"trust is measured on one image or more, each with {classifier.num_classes} logits "
            f"and a label, received logits of shape {logits.shape} and {len(labels)} labels."
        )
