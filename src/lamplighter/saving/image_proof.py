"""Proof that an exported model answers as `predict` does, on real images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from lamplighter.datasets.files import ImageFiles
from lamplighter.errors import BundleError, DataError, ImageError, ParityError
from lamplighter.evaluation.intervals import Estimate, mcnemar, wilson
from lamplighter.images.decoding import as_8_bit, flatten_alpha
from lamplighter.inference.predictor import Predictions, predict
from lamplighter.text import counted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from numpy.typing import NDArray

    from lamplighter.inference.predictor import AnyImage
    from lamplighter.models.classifier import Classifier

    # Maps an image, uint8 (1, h, w, 3), to "probabilities" (1, K) and what else a model gives.
    Answer = Callable[[NDArray[np.uint8]], dict[str, NDArray[Any]]]

_MOST = 200  # images that a proof takes
# Rows and columns of emoji in a picture, and pixels that are cut off to the right and below.
_MOSAICS = ((1, 1, 0, 0), (2, 2, 0, 0), (3, 4, 7, 1), (1, 5, 3, 0), (6, 1, 0, 5), (5, 7, 11, 13))
_EACH = 4  # pictures of each
_DIGITS = 64
_SURE = 0.5  # the difference of the two highest probabilities from which an answer is sure
_FLIPPED = 0.05  # the share of sure answers that may change where numbers are rounded


@dataclass(frozen=True)
class ImageProof:
    """How closely an exported model answers as `predict`.

    Attributes:
        images: what they were compared on.
        max_difference: the largest difference of two probabilities, 0..1.
    """

    images: str
    max_difference: float

    def __str__(self) -> str:
        return (
            f"proven on {self.images}: the same answers as predict, probabilities within "
            f"{self.max_difference:.0e}"
        )


@dataclass(frozen=True)
class PrecisionLoss:
    """What a model loses by computing with fewer digits.

    Attributes:
        images: what was asked.
        agreement: the share of images that have the same class in both.
        mean_change: of the probability of the first class, 0..1.
        accuracy: before and after; None where the images have no labels of the classifier's.
        p_value: of McNemar's test between the two; None as above.
    """

    images: str
    agreement: Estimate
    mean_change: float
    accuracy: tuple[Estimate, Estimate] | None = None
    p_value: float | None = None

    def __str__(self) -> str:
        said = (
            f"the same class as in fp32 for {self.agreement:.1f} of {self.images}; its probability "
            f"changes by {100 * self.mean_change:.1f} points on average"
        )
        if self.accuracy is None or self.p_value is None:
            return said
        before, after = self.accuracy
        kind = "a real difference" if self.p_value < 0.05 else "no more than chance explains"
        return (
            f"{said}; accuracy {before:.1f} in fp32, {after:.1f} now (p = {self.p_value:.2g}: "
            f"{kind})"
        )


def real_images(
    classifier: Classifier, given: ImageFiles | Iterable[AnyImage] | None = None
) -> tuple[list[AnyImage], str]:
    """Return images to prove an export on, and what they are.

    Args:
        classifier: of which the export is.
        given: images of the user's. By default MNIST's digits where the classifier finds digits;
            else the emoji that come with Lamplighter, side by side in pictures of many sizes, and
            images that the classifier met.

    Raises:
        DataError: there is no image among those given.
    """
    if given is not None:
        chosen: list[AnyImage] = list(given.files if isinstance(given, ImageFiles) else given)
        if not chosen:
            raise DataError("an export is proven on one image or more, received none.")
        name = f" of {given.name}" if isinstance(given, ImageFiles) else " that were given"
        return chosen, f"{counted(len(chosen), 'image')}{name}"
    from lamplighter.datasets.image_data import ImageData

    if classifier.preprocessing.find_digit:
        digits = ImageData.mnist()["test"].images[:_DIGITS]  # (N, 1, 28, 28)
        return [Image.fromarray(digit[0]) for digit in digits], f"{_DIGITS} digits of MNIST"
    pictures = [*emoji_mosaics(ImageData.emoji()["test"].images), *_samples(classifier)]
    return list(pictures), f"{len(pictures)} pictures"


def emoji_mosaics(emoji: NDArray[np.uint8]) -> list[Image.Image]:
    """Return pictures of many sizes and shapes, always the same ones, of emoji (N, 3, 64, 64)."""
    rng = np.random.default_rng(0)
    pictures = []
    for rows, columns, across, down in _MOSAICS * _EACH:
        chosen = emoji[rng.choice(len(emoji), rows * columns, replace=False)]
        grid = chosen.reshape(rows, columns, 3, 64, 64).transpose(0, 3, 1, 4, 2)
        whole = grid.reshape(rows * 64, columns * 64, 3)
        pictures.append(Image.fromarray(whole[: rows * 64 - down, : columns * 64 - across].copy()))
    return pictures


def _samples(classifier: Classifier) -> list[Image.Image]:
    """Return images that the classifier met, if it still has any."""
    if classifier.samples is None:
        return []
    return [
        Image.fromarray(pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0))
        for pixels in classifier.samples[:16]
    ]


def prove(
    classifier: Classifier,
    answer: Answer,
    images: Sequence[AnyImage],
    described: str,
    *,
    tolerance: float,
) -> ImageProof:
    """Compare a model with `predict`, image by image, and return how closely they agree.

    Args:
        classifier: what the model was made of.
        answer: asks the model about one image.
        images: of more than 200, so many are taken, evenly.
        described: what these are.
        tolerance: how much a probability or distance may differ. An image whose answer hangs on
            less than twice that is not asked for the same label.

    Raises:
        ParityError: a probability or distance differs by more, or a label differs.
        DataError: none of the images can be read.
    """
    taken = evenly(images)
    largest, count = 0.0, 0
    for image in taken:
        try:
            opened = _whole(classifier, image)
        except ImageError:
            continue
        expected = predict(classifier, [opened])
        if expected.errors:
            continue
        pixels = np.asarray(flatten_alpha(as_8_bit(opened)).convert("RGB"))[np.newaxis]
        try:
            given = answer(pixels)
        except BundleError as error:
            raise ParityError(f"the exported model cannot be used: {error}") from error
        largest = max(largest, _compared(given, expected, tolerance))
        count += 1
    if not count:
        raise DataError(
            f"an export is proven on images, and of the {counted(len(taken), 'file')} that were "
            "given none can be read; give others, or none at all."
        )
    if count < len(images):
        described = described.replace(f"{len(images):,}", f"{count:,}", 1)
    return ImageProof(described, largest)


def evenly(images: Sequence[AnyImage], most: int = _MOST) -> list[AnyImage]:
    """Return at most so many of the images, from all parts of their order."""
    places = np.linspace(0, len(images) - 1, min(most, len(images))).round().astype(int)
    return [images[place] for place in places]


def _whole(classifier: Classifier, image: AnyImage) -> Image.Image:
    """Return an image decoded whole, since that is what other software gives a model."""
    if isinstance(image, Image.Image):
        return image
    return classifier.preprocessing.open(image, scaled=False)


def _compared(given: dict[str, NDArray[Any]], expected: Predictions, tolerance: float) -> float:
    """Return the largest difference of probabilities.

    Raises:
        ParityError: a value differs by more than the tolerance, or a label where it is decided.
    """
    probabilities = expected.probabilities[0]
    found = given["probabilities"].reshape(-1)
    if found.shape != probabilities.shape:
        raise ParityError(
            f"the exported model must give {len(probabilities)} probabilities, received "
            f"{len(found)}."
        )
    difference = float(np.abs(found - probabilities).max())
    apart, decided = 0.0, _margin(probabilities) > 2 * tolerance
    if "distance" in given and expected.distances is not None and expected.threshold is not None:
        distance = float(expected.distances[0])
        apart = abs(float(given["distance"].reshape(-1)[0]) - distance)
        decided = decided and abs(distance - expected.threshold) > 2 * tolerance
    label = str(given["label"].reshape(-1)[0]) if "label" in given else None
    same_class = int(found.argmax()) == int(probabilities.argmax())
    same = same_class and (label is None or label == expected.labels[0])
    if not max(difference, apart) <= tolerance or (decided and not same):  # NaN is not
        raise ParityError(
            f"the exported model must answer as predict within {tolerance:.0e}, received a "
            f"probability that differs by {difference:.2g}, a distance that differs by "
            f"{apart:.2g} and the answer {label or int(found.argmax())!r} for "
            f"{expected.labels[0]!r}; please report it."
        )
    return difference


def _margin(probabilities: NDArray[np.float32]) -> float:
    second, first = np.sort(probabilities)[-2:]
    return float(first - second)


def measure_loss(
    exact: Classifier,
    reduced: Classifier,
    images: Sequence[AnyImage],
    described: str,
    files: ImageFiles | None = None,
) -> PrecisionLoss:
    """Ask two classifiers about the same images and return what the second loses.

    Args:
        exact: in floats.
        reduced: of the same classes, in integers.
        images: what they are asked.
        described: what these are.
        files: the images with their labels; None where they have none.

    Raises:
        ParityError: more than a twentieth of the sure answers (first and second class 0.5 apart)
            become others.
        DataError: none of the images can be read.
    """
    first, second = predict(exact, images), predict(reduced, images)
    good = np.flatnonzero(first.answered & second.answered)
    if not len(good):
        raise DataError("none of the images can be read; give others, or none at all.")
    described = described.replace(f"{len(images):,}", f"{len(good):,}", 1)
    before, after = first.indices[good], second.indices[good]
    kept = first.probabilities[good, before], second.probabilities[good, before]
    same = before == after
    margins = np.array([_margin(row) for row in first.probabilities[good]])
    sure = margins > _SURE
    flipped = int((~same & sure).sum())
    if flipped > _FLIPPED * max(1, sure.sum()):
        raise ParityError(
            "int8 must keep the answers that fp32 is sure of, received another class for "
            f"{flipped} of {counted(int(sure.sum()), 'image')}; export it in fp32."
        )
    agreement = wilson(int(same.sum()), len(good))
    change = float(np.abs(kept[0] - kept[1]).mean())
    true = _true_indices(exact, files, good)
    if true is None:
        return PrecisionLoss(described, agreement, change)
    known = true >= 0
    right = [(indices == true)[known] for indices in (before, after)]
    accuracy = tuple(wilson(int(one.sum()), len(one)) for one in right)
    test = mcnemar(right[0], right[1])
    return PrecisionLoss(described, agreement, change, (accuracy[0], accuracy[1]), test.p_value)


def _true_indices(
    classifier: Classifier, files: ImageFiles | None, rows: NDArray[np.int64]
) -> NDArray[np.int64] | None:
    """Return the classifier's class of each file by name, -1 for others; None where all are."""
    if files is None:
        return None
    places = {name: index for index, name in enumerate(classifier.class_names)}
    own = np.array([places.get(name, -1) for name in (*files.class_names, "")], dtype=np.int64)
    own[-1] = -1  # of a file without a label
    true: NDArray[np.int64] = own[files.labels[rows]]
    return true if (true >= 0).any() else None
