"""`predict`: images in, predictions out."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from lamplighter.errors import DataError, ImageError, ShapeError
from lamplighter.inference.runtime import runtime
from lamplighter.machine import usable_cores
from lamplighter.models.classifier import check_classifier
from lamplighter.models.reliability import unknown_label

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

    from numpy.typing import NDArray

    from lamplighter.inference.runtime import Runtime
    from lamplighter.models.classifier import Classifier
    from lamplighter.models.reliability import Trust

    AnyImage = str | Path | bytes | Image.Image

_AT_ONCE = 500  # images that are normalised at a time, for their features
_FEW = 4  # fewer images than these are not worth a thread


@dataclass(frozen=True, eq=False, kw_only=True)
class Prediction:
    """What a classifier says of one image, or why it says nothing.

    Attributes:
        source: what the image is called; "" where it has no name.
        label: the name of the most probable class, or what stands for unknown; None where the
            image cannot be used.
        known: whether the image is like those that the classifier learned from; None where that
            was not measured.
        distance: how far it lies from them, 0..2; None where that was not measured.
        guesses: the classes with their probabilities, the most probable first.
        error: why the image cannot be used; None where it can.
    """

    source: str
    label: str | None = None
    known: bool | None = None
    distance: float | None = None
    guesses: tuple[tuple[str, float], ...] = ()
    error: ImageError | None = None


@dataclass(frozen=True, eq=False)
class Predictions:
    """What a classifier says of N images: one result for each, in the order they were given.

    `predictions[3]` and a loop over all give a `Prediction` for each image. The arrays and lists
    have a place for each image as well, so that they go with what was given: of one that cannot
    be used the logits are NaN, the index -1, the label None and the guesses none.

    Attributes:
        logits: scores before the softmax, float32, shape (N, K).
        class_names: K names, in the order of the logits.
        sources: what each image is called, N strings; empty where they have no names.
        temperature: what the logits are divided by before the softmax.
        distances: how far each image lies from the training images, 0..2, shape (N,); None where
            that was not measured.
        threshold: the largest distance that is still known; None where all are.
        errors: why an image cannot be used, by its place in 0..N-1; empty where all can.
    """

    logits: NDArray[np.float32]
    class_names: tuple[str, ...]
    sources: tuple[str, ...] = ()
    temperature: float = 1.0
    distances: NDArray[np.float32] | None = None
    threshold: float | None = None
    errors: Mapping[int, ImageError] = field(default_factory=dict)

    @cached_property
    def probabilities(self) -> NDArray[np.float32]:
        """Probabilities, each row sums to 1, shape (N, K)."""
        below = self.logits - self.logits.max(axis=1, keepdims=True)
        shifted = np.exp(below / np.float32(self.temperature))
        probabilities: NDArray[np.float32] = shifted / shifted.sum(axis=1, keepdims=True)
        return probabilities

    @cached_property
    def answered(self) -> NDArray[np.bool_]:
        """Whether each image could be used, shape (N,)."""
        answered = np.ones(len(self), dtype=bool)
        answered[list(self.errors)] = False
        return answered

    @property
    def indices(self) -> NDArray[np.int64]:
        """The most probable class of each image, shape (N,); -1 where it cannot be used."""
        indices: NDArray[np.int64] = self.logits.argmax(axis=1).astype(np.int64)
        indices[~self.answered] = -1
        return indices

    @property
    def measured(self) -> bool:
        """Whether it was measured how far the images lie from the training images."""
        return self.distances is not None and self.threshold is not None

    @property
    def known(self) -> NDArray[np.bool_]:
        """Whether each image is like those that the classifier learned from, shape (N,).

        Where that was not measured, all that can be used count as known.
        """
        if self.distances is None or self.threshold is None:
            return self.answered.copy()
        known: NDArray[np.bool_] = self.answered & (self.distances <= self.threshold)
        return known

    @property
    def labels(self) -> list[str | None]:
        """The name of the most probable class of each image; "unknown" where it is not known.

        Where a class is named so itself, "(unknown)" stands for what is not known. None where an
        image cannot be used.
        """
        unknown = unknown_label(self.class_names)
        labels: list[str | None] = [
            self.class_names[index] if known else unknown
            for index, known in zip(self.indices, self.known, strict=True)
        ]
        for number in self.errors:
            labels[number] = None
        return labels

    def top(self, k: int = 3) -> list[list[tuple[str, float]]]:
        """Return for each image the `k` most probable classes with their probabilities.

        These are classes where the image is not known as well: what it is nearest to. There are
        none where it cannot be used.

        Raises:
            DataError: `k` is less than 1.
        """
        if k < 1:
            raise DataError(f"top takes 1 class or more, received {k}.")
        order = np.argsort(-self.logits, axis=1, kind="stable")[:, :k]
        return [
            [(self.class_names[index], float(row[index])) for index in indices] if good else []
            for row, indices, good in zip(self.probabilities, order, self.answered, strict=True)
        ]

    def results(self, k: int = 3) -> list[Prediction]:
        """Return a result for each image, with the `k` most probable classes.

        Raises:
            DataError: `k` is less than 1.
        """
        labels, known, measured = self.labels, self.known, self.measured
        distances = self.distances if self.distances is not None else np.full(len(self), np.nan)
        return [
            Prediction(source=self._source(number), error=self.errors[number])
            if number in self.errors
            else Prediction(
                source=self._source(number),
                label=labels[number],
                known=bool(known[number]) if measured else None,
                distance=float(distances[number]) if measured else None,
                guesses=tuple(guesses),
            )
            for number, guesses in enumerate(self.top(k))
        ]

    def counts(self) -> dict[str, int]:
        """Return how many images each label was given to, the most frequent first.

        What is not known counts under its own label; `errors` holds the others.
        """
        return dict(Counter(label for label in self.labels if label is not None).most_common())

    def raise_for_errors(self) -> None:
        """Raise the error of the first image that cannot be used, if there is one.

        Raises:
            ImageError: as it says.
        """
        if self.errors:
            raise self.errors[min(self.errors)]

    def _source(self, number: int) -> str:
        return self.sources[number] if self.sources else ""

    def __len__(self) -> int:
        return len(self.logits)

    def __getitem__(self, number: int) -> Prediction:
        place = range(len(self))[number]
        alone = replace(
            self,
            logits=self.logits[place : place + 1],
            sources=self.sources[place : place + 1],
            distances=None if self.distances is None else self.distances[place : place + 1],
            errors={0: self.errors[place]} if place in self.errors else {},
        )
        return alone.results(len(self.class_names))[0]

    def __iter__(self) -> Iterator[Prediction]:
        return iter(self.results(len(self.class_names)))


def predict(
    classifier: Classifier,
    images: Iterable[AnyImage],
    *,
    batch_size: int = 64,
    always_answer: bool = False,
    progress: Callable[[int], None] | None = None,
) -> Predictions:
    """Return what `classifier` says of `images`, each preprocessed as the classifier says.

    Where the classifier has `trust`, its probabilities have their temperature, and images that
    are unlike those it learned from are called unknown. An image that cannot be used does not
    keep the others from their answers: its error is its result, in `Predictions.errors`.

    Args:
        classifier: from a training, or loaded from a bundle.
        images: paths of image files, the bytes of such files, or images; of any size.
        batch_size: how many are held in memory at a time, at least 1.
        always_answer: call nothing unknown.
        progress: called after each batch with the number of images done so far.

    Raises:
        DataError: `images` is one image, or holds something else, or the batch size is less than 1.
        ClassCountError: network and class names do not fit one another.
        ModelError: `classifier` is none, the network answers NaN, or its trust is that of another.
    """
    check_classifier(classifier, "predict")
    _check_batch_size(batch_size)
    chosen = _checked_images(images)
    answers = _Answers(classifier, always_answer=always_answer)

    def prepare(image: AnyImage) -> NDArray[np.float32] | ImageError:
        try:
            return _prepared(classifier, image)
        except ImageError as error:
            return error

    errors: dict[int, ImageError] = {}
    workers = usable_cores() if len(chosen) >= _FEW else 1
    with ThreadPoolExecutor(workers) as pool:  # it starts no thread before it is used
        for start in range(0, len(chosen), batch_size):
            batch = chosen[start : start + batch_size]
            prepared = pool.map(prepare, batch) if workers > 1 else map(prepare, batch)
            inputs = []
            for number, one in enumerate(prepared, start):
                if isinstance(one, ImageError):
                    errors[number] = one
                else:
                    inputs.append(one)
            if inputs:
                answers.add(np.stack(inputs))
            if progress is not None:
                progress(start + len(batch))
    return answers.predictions(tuple(map(_source, chosen)), errors)


def _checked_images(images: Iterable[AnyImage]) -> list[AnyImage]:
    """Return the images as a list, of which none has been looked at."""
    if isinstance(images, str | Path) and Path(images).is_dir():
        raise DataError(
            f"predict takes a list of images, received the folder {images}; write "
            "find_files(folder).files for all that are in it."
        )
    if isinstance(images, str | Path | bytes | Image.Image):
        raise DataError("predict takes a list of images, received one; write [image].")
    chosen = list(images)
    for image in chosen:
        if not isinstance(image, str | Path | bytes | Image.Image):
            raise DataError(
                "predict takes paths, bytes of image files and Pillow images, received a "
                f"{type(image).__name__}; write Image.fromarray(array) for pixels."
            )
    return chosen


def _prepared(classifier: Classifier, image: AnyImage) -> NDArray[np.float32]:
    """Return the network's input (C, H, W), or raise an error that names the image."""
    if isinstance(image, Image.Image):
        return classifier.preprocessing(image)
    opened = classifier.preprocessing.open(image)
    try:
        return classifier.preprocessing(opened)
    except ImageError as error:
        named = _source(image) or "the image given as bytes"
        raise ImageError(f"{named} cannot be used: {error}", fault=error.fault) from error


def predict_pixels(
    classifier: Classifier,
    pixels: NDArray[np.uint8],
    *,
    batch_size: int = 500,
    progress: Callable[[int], None] | None = None,
) -> Predictions:
    """Return what `classifier` says of images that have its size already.

    Args:
        classifier: from a training, or loaded from a bundle.
        pixels: uint8, shape (N, C, H, W), with C, H and W of the classifier's preprocessing.
        batch_size: how many are normalised at a time, at least 1; memory does not grow with N.
        progress: called after each batch with the number of images done so far.

    Raises:
        ShapeError: `pixels` has another type or shape.
        DataError: the batch size is less than 1.
        ClassCountError: network and class names do not fit one another.
        ModelError: the network answers NaN, or its trust is that of another network.
    """
    check_classifier(classifier, "predict_pixels")
    _check_batch_size(batch_size)
    wanted = classifier.preprocessing
    shape = (wanted.channels, wanted.height, wanted.width)
    if pixels.dtype != np.uint8 or pixels.ndim != 4 or pixels.shape[1:] != shape:
        raise ShapeError(
            f"pixels must be uint8 of shape (N, {', '.join(map(str, shape))}), received "
            f"{pixels.dtype} of shape {pixels.shape}; for images of another size use predict."
        )
    answers = _Answers(classifier)
    for start in range(0, len(pixels), batch_size):
        batch = pixels[start : start + batch_size]
        answers.add(wanted.normalise(batch))
        if progress is not None:
            progress(start + len(batch))
    return answers.predictions()


def logits_and_features(
    classifier: Classifier,
    pixels: NDArray[np.uint8],
    *,
    progress: Callable[[int], None] | None = None,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the logits (N, K) and the features (N, D) of images of a classifier's own size.

    Args:
        classifier: whose network is asked.
        pixels: uint8, shape (N, C, H, W), N at least 1.
        progress: called after each batch with the number of images done so far.

    Raises:
        ModelError: the network has no features, or answers NaN.
    """
    compute, parts = runtime(classifier), []
    for start in range(0, len(pixels), _AT_ONCE):
        batch = pixels[start : start + _AT_ONCE]
        parts.append(compute.with_features(classifier.preprocessing.normalise(batch)))
        if progress is not None:
            progress(start + len(batch))
    logits, features = zip(*parts, strict=True)
    return np.concatenate(logits), np.concatenate(features)


class _Answers:
    """Collects logits and, where there is a reference to compare with, distances."""

    def __init__(self, classifier: Classifier, *, always_answer: bool = False) -> None:
        self._classifier = classifier
        self._compute: Runtime = runtime(classifier)
        self._trust: Trust | None = classifier.trust
        self._measures = (
            self._trust is not None and self._trust.reference is not None and not always_answer
        )
        self._logits = [np.empty((0, classifier.num_classes), dtype=np.float32)]
        self._distances = [np.empty(0, dtype=np.float32)]

    def add(self, inputs: NDArray[np.float32]) -> None:
        """Take the answers to preprocessed images (N, C, H, W)."""
        if self._measures and self._trust is not None:
            logits, features = self._compute.with_features(inputs)
            self._distances.append(self._trust.distances(features))
        else:
            logits = self._compute(inputs)
        self._logits.append(logits)

    def predictions(
        self, sources: tuple[str, ...] = (), errors: Mapping[int, ImageError] | None = None
    ) -> Predictions:
        """Return all of them, those that have an error instead of an answer among them."""
        errors = errors or {}
        logits = _with_gaps(np.concatenate(self._logits), errors)
        names = self._classifier.class_names
        if self._trust is None:
            return Predictions(logits, names, sources, errors=errors)
        distances = _with_gaps(np.concatenate(self._distances), errors)
        return Predictions(
            logits,
            names,
            sources,
            temperature=self._trust.temperature,
            distances=distances if self._measures else None,
            threshold=self._trust.threshold if self._measures else None,
            errors=errors,
        )


def _with_gaps(values: NDArray[np.float32], places: Collection[int]) -> NDArray[np.float32]:
    """Return `values` with NaN put in, so that it stands at `places` of the result."""
    if not places:
        return values
    whole = np.full((len(values) + len(places), *values.shape[1:]), np.nan, dtype=np.float32)
    whole[np.delete(np.arange(len(whole)), list(places))] = values
    return whole


def _check_batch_size(batch_size: int) -> None:
    if batch_size < 1:
        raise DataError(f"the batch size must be at least 1, received {batch_size}.")


def _source(image: AnyImage) -> str:
    """Return the path of an image, or nothing for one that was made in memory."""
    if isinstance(image, bytes):
        return ""
    return str(getattr(image, "filename", "") if isinstance(image, Image.Image) else image)
