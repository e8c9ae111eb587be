"""Random transforms of an image while it is optimised, against adversarial noise.

A picture that holds only in one place, at one size and at one angle is mostly noise that
suits the network; one that survives being moved shows what the network looks for (Olah et al.,
2017, doi:10.23915/distill.00007). Every change is differentiable and keeps the size; what comes
in at the edges repeats the edge.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as f

from lamplighter.errors import ModelError

# Pixels of the shorter side from which on an image is taken for a photo, whose things may lie
# anywhere, and no longer for a symbol that fills it.
_PHOTO = 64

# Images (N, C, H, W) and where random numbers come from, to images of the same shape.
Transform = Callable[[Tensor, torch.Generator], Tensor]


@dataclass(frozen=True)
class Jitter:
    """Move all images of a batch by the same random number of whole pixels.

    Attributes:
        pixels: the farthest, in each direction.

    Raises:
        ModelError: `pixels` is negative.
    """

    pixels: int

    def __post_init__(self) -> None:
        if type(self.pixels) is not int or self.pixels < 0:
            raise ModelError(
                f"a jitter must be a whole number of pixels, 0 or more, received {self.pixels!r}."
            )

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Return `images` (N, C, H, W) moved."""
        down, right = torch.randint(-self.pixels, self.pixels + 1, (2,), generator=generator)
        return moved(images, int(down), int(right))


@dataclass(frozen=True)
class Scale:
    """Enlarge or shrink all images of a batch about the centre, by the same random factor.

    Attributes:
        least: the smallest factor, above 0.
        most: the largest.

    Raises:
        ModelError: the factors are not positive and in order.
    """

    least: float
    most: float

    def __post_init__(self) -> None:
        if not 0 < self.least <= self.most < math.inf:
            raise ModelError(
                "a scale needs two factors above 0, the smaller one first, "
                f"received {self.least!r} and {self.most!r}."
            )

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Return `images` (N, C, H, W) scaled."""
        share = float(torch.rand((), generator=generator))
        return scaled(images, self.least + share * (self.most - self.least))


@dataclass(frozen=True)
class Rotate:
    """Turn all images of a batch about the centre, by the same random angle.

    Attributes:
        degrees: the largest angle, either way.

    Raises:
        ModelError: `degrees` is negative or not finite.
    """

    degrees: float

    def __post_init__(self) -> None:
        if not 0 <= self.degrees < math.inf:
            raise ModelError(f"a rotation must be 0 degrees or more, received {self.degrees!r}.")

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Return `images` (N, C, H, W) turned."""
        share = 2 * float(torch.rand((), generator=generator)) - 1
        return rotated(images, share * self.degrees)


@dataclass(frozen=True)
class Crop:
    """Enlarge a window at a random place, of a random size, the same for all images of a batch.

    What must be found again in windows of many sizes is drawn as a thing with parts, not as a
    texture of one size or a patch of light that fills the image.

    Attributes:
        least: the smallest share of each side that a window has, above 0.
        most: the largest, at most 1.

    Raises:
        ModelError: the shares are not in order, or not in this range.
    """

    least: float
    most: float

    def __post_init__(self) -> None:
        if not 0 < self.least <= self.most <= 1:
            raise ModelError(
                "a crop needs two shares above 0 and up to 1, the smaller one first, "
                f"received {self.least!r} and {self.most!r}."
            )

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Return a window of `images` (N, C, H, W), as large as they were."""
        share, down, right = torch.rand(3, generator=generator).tolist()
        share = self.least + share * (self.most - self.least)
        room = 1 - share
        return cropped(images, share, (room * (2 * down - 1), room * (2 * right - 1)))


def moved(images: Tensor, down: int, right: int) -> Tensor:
    """Return `images` (N, C, H, W) moved by whole pixels; the edges are repeated."""
    height, width = images.shape[-2:]
    rows = (torch.arange(height, device=images.device) - down).clamp(0, height - 1)
    columns = (torch.arange(width, device=images.device) - right).clamp(0, width - 1)
    return images.index_select(2, rows).index_select(3, columns)


def scaled(images: Tensor, factor: float) -> Tensor:
    """Return `images` (N, C, H, W), `factor` times as large about the centre."""
    return _resampled(images, ((1 / factor, 0.0), (0.0, 1 / factor)))


def rotated(images: Tensor, degrees: float) -> Tensor:
    """Return `images` (N, C, H, W) turned about the centre, counterclockwise."""
    cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return _resampled(images, ((cosine, -sine), (sine, cosine)))


def cropped(images: Tensor, share: float, centre: tuple[float, float]) -> Tensor:
    """Return a window of `images` (N, C, H, W), enlarged to their size.

    Args:
        images: to be cut.
        share: of each side that the window has.
        centre: of the window, down and right, where the edges of the image are at -1 and 1.
    """
    return _resampled(images, ((share, 0.0), (0.0, share)), centre)


def default_transforms(height: int, width: int) -> tuple[Transform, ...]:
    """Return the changes that `maximise` makes to images of this size unless told otherwise."""
    shorter = min(height, width)
    if shorter >= _PHOTO:
        return (Rotate(8.0), Crop(0.5, 1.0))
    return (
        Rotate(10.0),
        Scale(0.9, 1.1),
        Jitter(max(1, round(shorter / 14)) if shorter > 1 else 0),
    )


def _resampled(
    images: Tensor,
    matrix: tuple[tuple[float, float], tuple[float, float]],
    centre: tuple[float, float] = (0.0, 0.0),
) -> Tensor:
    """Return images whose point p, in pixels from the centre, is that at `matrix` p before.

    From `centre` instead, which is given down and right in halves of the sides.
    """
    height, width = images.shape[-2:]
    (xx, xy), (yx, yy) = matrix
    # Coordinates go from -1 to 1 along both sides, so that they are not square.
    theta = images.new_tensor(
        [[xx, xy * height / width, centre[1]], [yx * width / height, yy, centre[0]]]
    )
    size = [len(images), *images.shape[1:]]
    grid = f.affine_grid(theta.expand(len(images), 2, 3), size, align_corners=False)
    return f.grid_sample(images, grid, padding_mode="border", align_corners=False)
