"""What finding the digit costs and gains: MNIST's test images, shown in many ways.

Each image is changed (its strokes thickened or thinned) and shown (inverted, enlarged, faint, with
room about it). The network answers what the finder makes of that, and, for comparison, the changed
image itself, white on black and 28 x 28: what `predict --as-is` would answer if it knew how the
image is shown.
"""

from __future__ import annotations

import os
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from PIL import Image, ImageFilter

from lamplighter import ImageData, train
from lamplighter.data.digits import centre_digit
from lamplighter.errors import ImageError
from lamplighter.inference.predictor import predict_pixels
from measuring import record, table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from numpy.typing import NDArray

    from lamplighter import Classifier

    Pixels = NDArray[np.uint8]

NEAREST, BICUBIC = Image.Resampling.NEAREST, Image.Resampling.BICUBIC


def filtered(
    image: Pixels, change: type[ImageFilter.RankFilter], size: int, *, scale: int
) -> Pixels:
    """Return a digit whose strokes a filter of so many pixels widened or narrowed."""
    large = enlarged(image, scale, BICUBIC) if scale > 1 else image
    changed = Image.fromarray(large).filter(change(size))
    return np.asarray(changed.resize((28, 28), Image.Resampling.BOX) if scale > 1 else changed)


def enlarged(image: Pixels, scale: int, resampling: Image.Resampling) -> Pixels:
    height, width = image.shape
    return np.asarray(Image.fromarray(image).resize((scale * width, scale * height), resampling))


def inverted(image: Pixels) -> Pixels:
    return 255 - image


def faint(image: Pixels) -> Pixels:
    return (90 + image.astype(float) * 60 / 255).round().astype(np.uint8)


def with_room(image: Pixels) -> Pixels:
    return np.pad(image, 14)


def cropped(image: Pixels) -> Pixels:
    rows, columns = np.nonzero(image)
    return image[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]


def of(*steps: Callable[[Pixels], Pixels]) -> Callable[[Pixels], Pixels]:
    """Return what takes all `steps`, one after the other."""
    return partial(_all_of, steps)


def _all_of(steps: Iterable[Callable[[Pixels], Pixels]], image: Pixels) -> Pixels:
    for step in steps:
        image = step(image)
    return image


STROKES: dict[str, Callable[[Pixels], Pixels]] = {
    "as they are": of(),
    "thick (3 x 3 maximum)": partial(filtered, change=ImageFilter.MaxFilter, size=3, scale=1),
    "thick (half a pixel)": partial(filtered, change=ImageFilter.MaxFilter, size=5, scale=4),
    "thin (half a pixel)": partial(filtered, change=ImageFilter.MinFilter, size=5, scale=4),
}
X2, X4, X10 = (partial(enlarged, scale=scale, resampling=BICUBIC) for scale in (2, 4, 10))
SHOWN: dict[str, Callable[[Pixels], Pixels]] = {
    "28 x 28": of(),
    "inverted": inverted,
    "2 x": X2,
    "4 x": X4,
    "4 x, pixels as squares": partial(enlarged, scale=4, resampling=NEAREST),
    "10 x": X10,
    "10 x, inverted": of(inverted, X10),
    "faint, inverted": of(inverted, faint),
    "room about it": with_room,
    "cropped": cropped,
}


class Compared(NamedTuple):
    """How the finder did on N images.

    Attributes:
        as_is: for each image whether the answer to it as it is was right, shape (N,).
        found: whether that to what the finder made of it was.
        refused: how many it found no digit in.
    """

    as_is: NDArray[np.bool_]
    found: NDArray[np.bool_]
    refused: int

    @property
    def difference(self) -> float:
        """Points of accuracy that the finder gains."""
        return 100 * float(self.found.mean() - self.as_is.mean())

    @property
    def margin(self) -> float:
        """Half of the 95 % interval of the difference: the images are the same on both sides."""
        apart = self.found.astype(float) - self.as_is
        return 196 * float(apart.std() / np.sqrt(len(apart)))


def compare(
    classifier: Classifier, images: Pixels, labels: NDArray[np.int64], strokes: str, shown: str
) -> Compared:
    """Return the answers to `images` (N, 28, 28) with and without the finder."""
    changed = np.stack([STROKES[strokes](image) for image in images])
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        parts = list(pool.map(partial(_found, shown), np.array_split(changed, 16)))
    found = np.concatenate([part for part, _ in parts])
    right = [
        predict_pixels(classifier, pixels[:, np.newaxis]).indices == labels
        for pixels in (changed, found)
    ]
    return Compared(right[0], right[1], sum(refused for _, refused in parts))


def _found(shown: str, images: Pixels) -> tuple[Pixels, int]:
    found, refused = np.zeros_like(images), 0
    for place, image in enumerate(images):
        try:
            found[place] = centre_digit(Image.fromarray(SHOWN[shown](image)))
        except ImageError:
            refused += 1
    return found, refused


def main() -> None:
    test = ImageData.mnist()["test"]
    classifier = train(ImageData.mnist(), recipe="quick", seed=7, verbose=0)
    rows = []
    for strokes in STROKES:
        for shown in SHOWN:
            done = compare(classifier, test.images[:, 0], test.labels, strokes, shown)
            rows.append(
                (
                    strokes,
                    shown,
                    f"{100 * done.as_is.mean():.2f} %",
                    f"{100 * done.found.mean():.2f} %",
                    f"{done.difference:+.2f} ± {done.margin:.2f}",
                    done.refused,
                )
            )
            print(*rows[-1], flush=True)
    header = ("strokes", "shown", "as it is", "found", "points", "refused")
    record(
        "digit_finder.py",
        "Finding the digit: all 10,000 test images of MNIST, quick recipe",
        table(header, rows),
    )


if __name__ == "__main__":
    main()
