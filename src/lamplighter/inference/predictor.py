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
from lamplighter.images.decoding import UNNAMED
from lamplighter.inference.runtime import runtime
from lamplighter.machine import usable_cores
from lamplighter.models.classifier import check_classifier
from lamplighter.models.reliability import unknown_label

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

    from numpy.typing import NDArray

    from lamplighter.images.preprocessing import Preprocessing
    from lamplighter.models.classifier import Classifier

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
    measure = not always_answer
    runtime(classifier)  # what cannot answer says so before any image is looked at
    parts: list[Computed] = []

    def prepare(image: AnyImage) -> NDArray[np.float32] | ImageError:
        try:
            return prepared(classifier.preprocessing, image)
        except ImageError as error:
            return error

    errors: dict[int, ImageError] = {}
    workers = usable_cores() if len(chosen) >= _FEW else 1
    with ThreadPoolExecutor(workers) as pool:  # it starts no thread before it is used
        for start in range(0, len(chosen), batch_size):
            batch = chosen[start : start + batch_size]
            results = pool.map(prepare, batch) if workers > 1 else map(prepare, batch)
            inputs = []
            for number, one in enumerate(results, start):
                if isinstance(one, ImageError):
                    errors[number] = one
                else:
                    inputs.append(one)
            if inputs:
                parts.append(compute(classifier, np.stack(inputs), measure=measure))
            if progress is not None:
                progress(start + len(batch))
    sources = tuple(map(_source, chosen))
    return collected(classifier, parts, sources=sources, errors=errors, measure=measure)


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


def prepared(
    preprocessing: Preprocessing, image: AnyImage, *, scaled: bool = True
) -> NDArray[np.float32]:
    """Return the network's input (C, H, W) of one image.

    Args:
        preprocessing: of the classifier.
        image: the path of an image file, the bytes of one, or an image.
        scaled: decode a JPEG at a reduced scale where the result is nearly the same.

    Raises:
        ImageError: it cannot be used; the message names it.
    """
    if isinstance(image, Image.Image):
        return preprocessing(image)
    opened = preprocessing.open(image, scaled=scaled)
    try:
        return preprocessing(opened)
    except ImageError as error:
        named = _source(image) or UNNAMED
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
    parts = []
    for start in range(0, len(pixels), batch_size):
        batch = pixels[start : start + batch_size]
        parts.append(compute(classifier, wanted.normalise(batch)))
        if progress is not None:
            progress(start + len(batch))
    return collected(classifier, parts)


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


@dataclass(frozen=True, eq=False)
class Computed:
    """What a network makes of N preprocessed images.

    Attributes:
        logits: float32, shape (N, K).
        distances: to the training images, 0..2, shape (N,); None where they were not measured.
        features: float32, shape (N, D); None where they were not asked for.
    """

    logits: NDArray[np.float32]
    distances: NDArray[np.float32] | None = None
    features: NDArray[np.float32] | None = None

    def row(self, number: int) -> Computed:
        """Return what was computed of one image, as of a batch of one."""
        one = slice(number, number + 1)
        return Computed(
            self.logits[one],
            None if self.distances is None else self.distances[one],
            None if self.features is None else self.features[one],
        )


def compute(
    classifier: Classifier,
    inputs: NDArray[np.float32],
    *,
    measure: bool = True,
    keep_features: bool = False,
) -> Computed:
    """Return what the network of `classifier` makes of preprocessed images.

    Args:
        classifier: whose network and trust are asked.
        inputs: shape (N, C, H, W).
        measure: measure how far they lie from the training images, where there is a reference.
        keep_features: return the features as well.

    Raises:
        ClassCountError: network and class names do not fit one another.
        ModelError: the network answers NaN, has no features that were asked for, or its trust is
            that of another network.
    """
    ask, trust = runtime(classifier), classifier.trust
    measured = trust if measure and trust is not None and trust.reference is not None else None
    if measured is None and not keep_features:
        return Computed(ask(inputs))
    logits, features = ask.with_features(inputs)
    distances = None if measured is None else measured.distances(features)
    return Computed(logits, distances, features if keep_features else None)


def collected(
    classifier: Classifier,
    parts: Iterable[Computed],
    *,
    sources: tuple[str, ...] = (),
    errors: Mapping[int, ImageError] | None = None,
    measure: bool = True,
) -> Predictions:
    """Return the predictions of images that were computed in parts.

    Args:
        classifier: whose network computed them.
        parts: of those that have no error, in their order.
        sources: what each image is called; empty where they have no names.
        errors: of the others, by the place of each among all.
        measure: whether what is far from the training images is unknown.
    """
    errors, parts, trust = errors or {}, list(parts), classifier.trust
    none = np.empty((0, classifier.num_classes), dtype=np.float32)
    logits = _with_gaps(np.concatenate([none, *(part.logits for part in parts)]), errors)
    distances, threshold = None, None
    if measure and trust is not None and trust.reference is not None:
        measured = [part.distances for part in parts if part.distances is not None]
        distances = _with_gaps(np.concatenate([none[:, 0], *measured]), errors)
        threshold = trust.threshold
    return Predictions(
        logits,
        classifier.class_names,
        sources,
        temperature=1.0 if trust is None else trust.temperature,
        distances=distances,
        threshold=threshold,
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
