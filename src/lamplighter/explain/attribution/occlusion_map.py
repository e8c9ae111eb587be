"""`occlusion_map`: what an answer rests on, by any network that answers; without torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lamplighter.errors import ModelError, ShapeError
from lamplighter.explain.attribution.covers import (
    Window,
    baseline_name,
    cover_color,
    mean_falls,
    window_over,
)
from lamplighter.inference.predictor import Predictions
from lamplighter.inference.runtime import runtime
from lamplighter.models.classifier import check_classifier, class_index

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL import Image

    from lamplighter.datasets.files import Progress
    from lamplighter.inference.runtime import Runtime
    from lamplighter.models.classifier import Classifier

_AT_ONCE = 16  # covered images in memory


@dataclass(frozen=True, eq=False)
class OcclusionMap:
    """How far the score of a class falls when parts of one image are covered.

    Attributes:
        values: the fall at each pixel, negative where the score rises, float32, shape (H, W).
        pixels: what the network sees, uint8, shape (C, H, W).
        target: the class that is asked about.
        probability: how probable the classifier finds it, 0..1.
        settings: window, stride and baseline, plain JSON types.
    """

    values: NDArray[np.float32]
    pixels: NDArray[np.uint8]
    target: str
    probability: float
    settings: dict[str, Any] = field(default_factory=dict)


def occlusion_map(
    classifier: Classifier,
    image: str | Path | bytes | Image.Image | NDArray[np.uint8],
    *,
    target: str | int | None = None,
    window: int | tuple[int, int] | None = None,
    stride: int | tuple[int, int] | None = None,
    baseline: str | None = None,
    progress: Progress | None = None,
) -> OcclusionMap:
    """Return how far the score of a class falls when a window of the image is covered.

    The mean fall over all places of the window that cover a pixel (Zeiler and Fergus, 2014,
    arXiv:1311.2901): the same as `attribute(..., "occlusion")`, computed with what the classifier
    answers with, which may be an ONNX graph, also in 8-bit integers. It needs about 100 answers.

    Args:
        classifier: whose answer is to be explained.
        image: the path of an image file, the bytes of one, an image, or pixels as the network sees
            them, uint8, shape (C, H, W).
        target: the class that is asked about, by name or number; by default the most probable.
        window: height and width of the cover in pixels, or one number for both; by default a
            square of such a size that about 100 places cover the image.
        stride: from one place to the next; by default half the window.
        baseline: the cover, "black" or "mean"; by default "black" where images are dark in the
            mean, as digits are, else "mean".
        progress: told how many places are done, and of how many.

    Raises:
        ImageError: the image cannot be used.
        ShapeError: pixels are of another type or shape than the network's.
        UnknownClassError: the classifier has no class `target`.
        ModelError: a setting is wrong, or the network answers NaN.
    """
    check_classifier(classifier, "occlusion_map")
    wanted, compute = classifier.preprocessing, runtime(classifier)
    name = baseline_name(wanted, baseline)
    if name == "blur":
        raise ModelError(
            'occlusion_map covers with "black" or "mean", received "blur"; '
            'attribute(..., "occlusion") takes it.'
        )
    cover = window_over(wanted.height, wanted.width, window, stride)
    pixels = _pixels(classifier, image)
    inputs = wanted.normalise(pixels[np.newaxis])  # (1, C, H, W)
    logits = compute(inputs)
    number = int(logits.argmax()) if target is None else class_index(classifier.class_names, target)
    color = cover_color(wanted, name)
    scores = _covered_scores(compute, inputs[0], color, cover, number, progress)
    falls = mean_falls(logits[0, number] - scores, cover, wanted.height, wanted.width)
    trust = classifier.trust
    temperature = 1.0 if trust is None else trust.temperature
    said = Predictions(logits, classifier.class_names, temperature=temperature)
    return OcclusionMap(
        falls,
        pixels,
        classifier.class_names[number],
        float(said.probabilities[0, number]),
        {
            "window": [cover.tall, cover.wide],
            "stride": [cover.down, cover.across],
            "baseline": name,
        },
    )


def _pixels(
    classifier: Classifier, image: str | Path | bytes | Image.Image | NDArray[np.uint8]
) -> NDArray[np.uint8]:
    """Return what the network sees of an image, uint8, shape (C, H, W)."""
    wanted = classifier.preprocessing
    if not isinstance(image, np.ndarray):
        return wanted.pixels(wanted.open(image) if isinstance(image, str | Path | bytes) else image)
    shape = (wanted.channels, wanted.height, wanted.width)
    if image.dtype != np.uint8 or image.shape != shape:
        raise ShapeError(
            f"pixels must be uint8 of shape {shape}, received {image.dtype} of shape "
            f"{image.shape}; give the image itself to have it prepared."
        )
    return image


def _covered_scores(
    compute: Runtime,
    image: NDArray[np.float32],
    color: NDArray[np.float32],
    cover: Window,
    target: int,
    progress: Progress | None,
) -> NDArray[np.float32]:
    """Return the score of class `target` with the window at each of its P places, shape (P,)."""
    places = cover.places(*image.shape[1:])
    parts = []
    for start in range(0, len(places), _AT_ONCE):
        chosen = places[start : start + _AT_ONCE]
        batch = np.repeat(image[np.newaxis], len(chosen), axis=0)  # (n, C, H, W)
        for covered, (rows, columns) in zip(batch, chosen, strict=True):
            covered[:, rows, columns] = color
        parts.append(compute(batch)[:, target])
        if progress is not None:
            progress(start + len(chosen), len(places))
    return np.concatenate(parts)
