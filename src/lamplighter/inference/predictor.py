"""Images in, predictions out."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from lamplighter.errors import DataError, ImageError, ShapeError
from lamplighter.inference.runtime import runtime, usable_cores
from lamplighter.models.trust import unknown_label

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from lamplighter.inference.runtime import Runtime
    from lamplighter.models.classifier import Classifier
    from lamplighter.models.trust import Trust

_FEW = 4  # fewer images than these are not worth a thread


@dataclass(frozen=True, eq=False)
class Predictions:
    """What a classifier says of N images.

    Attributes:
        logits: scores before the softmax, float32, shape (N, K).
        class_names: K names, in the order of the logits.
        sources: what each image is called, N strings; empty where they have no names.
        temperature: what the logits are divided by before the softmax.
        distances: how far each image lies from the training images, 0..2, shape (N,); None where
            that was not measured.
        threshold: the largest distance that is still known; None where all are.
    """

    logits: NDArray[np.float32]
    class_names: tuple[str, ...]
    sources: tuple[str, ...] = ()
    temperature: float = 1.0
    distances: NDArray[np.float32] | None = None
    threshold: float | None = None

    @cached_property
    def probabilities(self) -> NDArray[np.float32]:
        """Probabilities, each row sums to 1, shape (N, K)."""
        below = self.logits - self.logits.max(axis=1, keepdims=True)
        shifted = np.exp(below / np.float32(self.temperature))
        probabilities: NDArray[np.float32] = shifted / shifted.sum(axis=1, keepdims=True)
        return probabilities

    @property
    def indices(self) -> NDArray[np.int64]:
        """The most probable class of each image, shape (N,)."""
        indices: NDArray[np.int64] = self.logits.argmax(axis=1).astype(np.int64)
        return indices

    @property
    def known(self) -> NDArray[np.bool_]:
        """Whether each image is like those that the classifier learned from, shape (N,)."""
        if self.distances is None or self.threshold is None:
            return np.ones(len(self), dtype=bool)
        known: NDArray[np.bool_] = self.distances <= self.threshold
        return known

    @property
    def labels(self) -> list[str]:
        """The name of the most probable class of each image; "unknown" where it is not known.

        Where a class is named so itself, "(unknown)" stands for what is not known.
        """
        unknown = unknown_label(self.class_names)
        return [
            self.class_names[index] if known else unknown
            for index, known in zip(self.indices, self.known, strict=True)
        ]

    def top(self, k: int = 3) -> list[list[tuple[str, float]]]:
        """Return for each image the `k` most probable classes with their probabilities.

        These are classes where the image is not known as well: what it is nearest to.

        Raises:
            DataError: `k` is less than 1.
        """
        if k < 1:
            raise DataError(f"top takes 1 class or more, received {k}.")
        order = np.argsort(-self.logits, axis=1, kind="stable")[:, :k]
        return [
            [(self.class_names[index], float(row[index])) for index in indices]
            for row, indices in zip(self.probabilities, order, strict=True)
        ]

    def __len__(self) -> int:
        return len(self.logits)


def predict(
    classifier: Classifier,
    images: Sequence[str | Path | Image.Image],
    *,
    batch_size: int = 64,
    always_answer: bool = False,
) -> Predictions:
    """Return what `classifier` says of `images`, each preprocessed as the classifier says.

    Where the classifier has `trust`, its probabilities have their temperature, and images that
    are unlike those it learned from are called unknown.

    Args:
        classifier: from a training, or loaded from a bundle.
        images: paths of image files, or images; of any size.
        batch_size: how many are held in memory at a time, at least 1.
        always_answer: call nothing unknown.

    Raises:
        ImageError: a file cannot be read.
        DataError: `images` is one image, or holds something else, or the batch size is less than 1.
        ClassCountError: network and class names do not fit one another.
        ModelError: the network answers NaN, or its trust is that of another network.
    """
    if isinstance(images, str | Path | Image.Image):
        raise DataError("predict takes a list of images, received one; write [image].")
    for image in images:
        if not isinstance(image, str | Path | Image.Image):
            raise DataError(
                "predict takes paths and Pillow images, received a "
                f"{type(image).__name__}; write Image.fromarray(array) for pixels."
            )
    _check_batch_size(batch_size)
    answers = _Answers(classifier, always_answer=always_answer)

    def prepare(image: str | Path | Image.Image) -> NDArray[np.float32]:
        if isinstance(image, Image.Image):
            return classifier.preprocessing(image)
        opened = classifier.preprocessing.open(image)
        try:
            return classifier.preprocessing(opened)
        except ImageError as error:
            raise ImageError(f"{image} cannot be used: {error}") from error

    workers = usable_cores() if len(images) >= _FEW else 1
    with ThreadPoolExecutor(workers) as pool:  # it starts no thread before it is used
        for start in range(0, len(images), batch_size):
            batch = images[start : start + batch_size]
            prepared = pool.map(prepare, batch) if workers > 1 else map(prepare, batch)
            answers.add(np.stack(list(prepared)))
    return answers.predictions(tuple(_source(image) for image in images))


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

    def predictions(self, sources: tuple[str, ...] = ()) -> Predictions:
        """Return all of them."""
        logits, names = np.concatenate(self._logits), self._classifier.class_names
        if self._trust is None:
            return Predictions(logits, names, sources)
        return Predictions(
            logits,
            names,
            sources,
            temperature=self._trust.temperature,
            distances=np.concatenate(self._distances) if self._measures else None,
            threshold=self._trust.threshold if self._measures else None,
        )


def _check_batch_size(batch_size: int) -> None:
    if batch_size < 1:
        raise DataError(f"the batch size must be at least 1, received {batch_size}.")


def _source(image: str | Path | Image.Image) -> str:
    """Return the path of an image, or nothing for one that was made in memory."""
    return str(getattr(image, "filename", "") if isinstance(image, Image.Image) else image)
