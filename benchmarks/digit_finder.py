"""Digits found in pictures of MNIST's test images, beside the same digits left as they are.

    python benchmarks/digit_finder.py [--images N]

Each test image is drawn anew (thicker, thinner), then shown in some way (inverted, enlarged, with
little contrast, with much room about it, cropped tightly). The finder gets the picture; the
baseline is what the same network says of the drawing before it was shown, 28 x 28 pixels, white on
black, left as it is (`predict --as-is`).
"""

from __future__ import annotations

import argparse
import math
import os
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageFilter, ImageOps

from measuring import median, record, table, timed

if TYPE_CHECKING:
    from collections.abc import Callable

    Picture = Callable[[Image.Image], Image.Image]

BAR = 0.3  # points that the finder may lose
NEAREST, BICUBIC = Image.Resampling.NEAREST, Image.Resampling.BICUBIC


def enlarged(factor: int, filtered: Image.Resampling) -> Picture:
    return lambda image: image.resize((image.width * factor, image.height * factor), filtered)


def finely(filtered: ImageFilter.Filter) -> Picture:
    """Return what filters an image at four times its size."""
    return lambda image: (
        enlarged(4, BICUBIC)(image).filter(filtered).resize(image.size, Image.Resampling.BOX)
    )


def shifted(extreme: Callable[..., np.ndarray]) -> Picture:
    """Return what takes the `extreme` of each 2 x 2 pixels."""

    def work(image: Image.Image) -> Image.Image:
        pixels = np.pad(np.asarray(image), ((1, 0), (1, 0)))
        return Image.fromarray(
            extreme([pixels[1:, 1:], pixels[:-1, 1:], pixels[1:, :-1], pixels[:-1, :-1]], axis=0)
        )

    return work


def faint(image: Image.Image) -> Image.Image:
    return image.point(lambda value: 90 + value * 60 // 255)


def tight(image: Image.Image) -> Image.Image:
    return image.crop(image.getbbox())


def cornered(image: Image.Image) -> Image.Image:
    result, digit = Image.new("L", (84, 84)), tight(image)
    result.paste(digit, (82 - digit.width, 2))
    return result


def chained(*steps: Picture) -> Picture:
    def work(image: Image.Image) -> Image.Image:
        for step in steps:
            image = step(image)
        return image

    return work


def roomy(pixels: int) -> Picture:
    return lambda image: ImageOps.expand(image, pixels)


DRAWN: dict[str, Picture] = {
    "plain": lambda image: image,
    "thick, 2 x 2": shifted(np.max),
    "thick, 3 x 3": lambda image: image.filter(ImageFilter.MaxFilter(3)),
    "thick, 5 x 5 of 4-fold": finely(ImageFilter.MaxFilter(5)),
    "thin, 2 x 2": shifted(np.min),
}
SHOWN: dict[str, Picture] = {
    "as it is": lambda image: image,
    "inverted": ImageOps.invert,
    "2-fold, bicubic": enlarged(2, BICUBIC),
    "4-fold, bicubic": enlarged(4, BICUBIC),
    "10-fold, nearest": enlarged(10, NEAREST),
    "inverted, 10-fold": chained(ImageOps.invert, enlarged(10, BICUBIC)),
    "inverted, faint": chained(ImageOps.invert, faint),
    "with room": roomy(14),
    "inverted, with room, 2-fold": chained(roomy(28), ImageOps.invert, enlarged(2, BICUBIC)),
    "in a corner, inverted": chained(cornered, ImageOps.invert),
    "tight": tight,
    "inverted, tight, 4-fold": chained(tight, ImageOps.invert, enlarged(4, BICUBIC)),
}


def found(drawn: str, shown: str, images: np.ndarray) -> tuple[np.ndarray, int]:
    """Return what the finder makes of `images` (N, 28, 28) so shown, and how many it refuses."""
    from lamplighter.errors import ImageError
    from lamplighter.images.digits.centering import centre_digit

    result, refused = np.zeros_like(images), 0
    for number, pixels in enumerate(images):
        try:
            picture = SHOWN[shown](DRAWN[drawn](Image.fromarray(pixels)))
            result[number] = centre_digit(picture)
        except ImageError:
            refused += 1
    return result, refused


def paired(baseline: np.ndarray, finder: np.ndarray) -> tuple[float, float]:
    """Return by how many points `finder` is right more often, and half of its 95 % interval.

    Wald's interval for the difference of paired proportions, with Bonett and Price's (2012) two
    pseudo-observations, so that it is none of width 0.
    """
    count = len(baseline) + 2
    gained, lost = (~baseline & finder).sum() + 1, (baseline & ~finder).sum() + 1
    spread = math.sqrt(gained + lost - (gained - lost) ** 2 / count) / count
    return 100 * float(finder.mean() - baseline.mean()), 100 * 1.96 * spread


def speed() -> str:
    """Return how long finding takes, in words."""
    from lamplighter import ImageData
    from lamplighter.images.digits.centering import centre_digit

    digits = [Image.fromarray(pixels) for pixels in ImageData.mnist()["test"].images[:200, 0]]
    small = median([timed(partial(centre_digit, digit))[0] for digit in digits])
    photo = ImageOps.expand(enlarged(60, BICUBIC)(ImageOps.invert(digits[0])), 660, 255)
    light = np.linspace(0.95, 0.6, photo.width)
    noise = np.random.default_rng(0).normal(0, 5, (photo.height, photo.width))
    lit = Image.fromarray((np.asarray(photo) * light + noise).clip(0, 255).astype(np.uint8))
    large = median([timed(partial(centre_digit, lit.convert("RGB")))[0] for _ in range(9)])
    size = lit.width * lit.height / 1e6
    return f"{1000 * small:.1f} ms for 28 x 28 pixels, {1000 * large:.0f} ms for {size:.0f} million"


def main() -> None:
    from lamplighter import ImageData, train
    from lamplighter.inference.runtime import runtime

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=10_000)
    count = parser.parse_args().images
    mnist = ImageData.mnist()
    classifier = train(mnist, recipe="quick", seed=0, test=False)
    images, labels = mnist["test"].images[:count, 0], mnist["test"].labels[:count]
    run = runtime(classifier)

    def right(pixels: np.ndarray) -> np.ndarray:
        normalised = classifier.preprocessing.normalise(pixels[:, np.newaxis])
        batches = np.array_split(normalised, max(1, len(normalised) // 500))
        return np.concatenate([run(batch).argmax(axis=1) for batch in batches]) == labels

    rows, least = [], math.inf
    with ProcessPoolExecutor(min(2, os.cpu_count() or 1)) as pool:
        for drawn, draw in DRAWN.items():
            as_is = right(np.stack([np.asarray(draw(Image.fromarray(one))) for one in images]))
            for shown in SHOWN:
                parts = list(pool.map(partial(found, drawn, shown), np.array_split(images, 40)))
                finder = right(np.concatenate([pixels for pixels, _ in parts]))
                gain, half = paired(as_is, finder)
                least = min(least, gain)
                refused = sum(number for _, number in parts)
                rows.append(
                    [
                        drawn,
                        shown,
                        f"{as_is.mean():.2%}",
                        f"{finder.mean():.2%}",
                        f"{gain:+.2f} ± {half:.2f}",
                        refused,
                    ]
                )
                print(*rows[-1], sep=" | ", flush=True)
    header = ["drawn", "shown", "left as it is", "found", "difference, points", "refused"]
    text = (
        f"{len(images):,} test images of MNIST, the quick recipe. Left as it is: the drawing, 28 x "
        "28, white on black, before it is shown in some way. The difference with its 95 % interval "
        f"is of the same images; an image that is refused counts as wrong. Bar: no loss of more "
        f"than {BAR} points; the least difference is {least:+.2f}.\n\n{table(header, rows)}\n\n"
        f"Finding takes {speed()}, medians."
    )
    record("digit_finder.py", "Finding a digit", text)


if __name__ == "__main__":
    main()
