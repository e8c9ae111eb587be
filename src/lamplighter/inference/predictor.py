"""Images in, predictions out."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from lamplighter.data.images import open_image
from lamplighter.errors import DataError, ImageError, ShapeError
from lamplighter.inference.runtime import runtime, usable_cores

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from lamplighter.models.classifier import Classifier

_FEW = 4  # fewer images than these are not worth a thread


@dataclass(frozen=True, eq=False)
class Predictions:
    """What a classifier says of N images.

    Attributes:
        logits: scores before the softmax, float32, shape (N, K).
        class_names: K names, in the order of the logits.
        sources: what each image is called, N strings; empty where they have no names.
    """

    logits: NDArray[np.float32]
    class_names: tuple[str, ...]
    sources: tuple[str, ...] = ()

    @cached_property
    def probabilities(self) -> NDArray[np.float32]:
        """Probabilities, each row sums to 1, shape (N, K)."""
        shifted = np.exp(self.logits - self.logits.max(axis=1, keepdims=True))
        probabilities: NDArray[np.float32] = shifted / shifted.sum(axis=1, keepdims=True)
        return probabilities

    @property
    def indices(self) -> NDArray[np.int64]:
        """The most probable class of each image, shape (N,)."""
        indices: NDArray[np.int64] = self.logits.argmax(axis=1).astype(np.int64)
        return indices

    @property
    def labels(self) -> list[str]:
        """The name of the most probable class of each image."""
        return [self.class_names[index] for index in self.indices]

    def top(self, k: int = 3) -> list[list[tuple[str, float]]]:
        """Return for each image the `k` most probable classes with their probabilities."""
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
) -> Predictions:
    """Return what `classifier` says of `images`, each preprocessed as the classifier says.

    Args:
        classifier: from a training, or loaded from a bundle.
        images: paths of image files, or images; of any size.
        batch_size: how many are held in memory at a time, at least 1.

    Raises:
        ImageError: a file cannot be read.
        DataError: `images` is one image, or the batch size is less than 1.
        ClassCountError: network and class names do not fit one another.
        ModelError: the network answers NaN.
    """
    if isinstance(images, str | Path | Image.Image):
        raise DataError("predict takes a list of images, received one; write [image].")
    _check_batch_size(batch_size)
    compute = runtime(classifier)

    def prepare(image: str | Path | Image.Image) -> NDArray[np.float32]:
        if isinstance(image, Image.Image):
            return classifier.preprocessing(image)
        opened = open_image(image)
        try:
            return classifier.preprocessing(opened)
        except ImageError as error:
            raise ImageError(f"{image} cannot be used: {error}") from error

    logits = [np.empty((0, classifier.num_classes), dtype=np.float32)]
    workers = usable_cores() if len(images) >= _FEW else 1
    with ThreadPoolExecutor(workers) as pool:  # it starts no thread before it is used
        for start in range(0, len(images), batch_size):
            batch = images[start : start + batch_size]
            prepared = pool.map(prepare, batch) if workers > 1 else map(prepare, batch)
            logits.append(compute(np.stack(list(prepared))))
    return Predictions(
        np.concatenate(logits), classifier.class_names, tuple(_source(image) for image in images)
    )


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
        ModelError: the network answers NaN.
    """
    _check_batch_size(batch_size)
    wanted = classifier.preprocessing
    shape = (wanted.channels, wanted.height, wanted.width)
    if pixels.dtype != np.uint8 or pixels.ndim != 4 or pixels.shape[1:] != shape:
        raise ShapeError(
            f"pixels must be uint8 of shape (N, {', '.join(map(str, shape))}), received "
            f"{pixels.dtype} of shape {pixels.shape}; for images of another size use predict."
        )
    compute = runtime(classifier)
    logits = np.empty((len(pixels), classifier.num_classes), dtype=np.float32)
    for start in range(0, len(pixels), batch_size):
        batch = pixels[start : start + batch_size]
        logits[start : start + len(batch)] = compute(wanted.normalise(batch))
        if progress is not None:
            progress(start + len(batch))
    return Predictions(logits, classifier.class_names)


def _check_batch_size(batch_size: int) -> None:
    if batch_size < 1:
        raise DataError(f"the batch size must be at least 1, received {batch_size}.")


def _source(image: str | Path | Image.Image) -> str:
    """Return the path of an image, or nothing for one that was made in memory."""
    return str(getattr(image, "filename", "") if isinstance(image, Image.Image) else image)
