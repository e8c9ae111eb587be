"""Random changes to training images, for a whole batch at once."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class RandomShift:
    """Move the images of a batch by the same few pixels; what comes in is black.

    Attributes:
        pixels: the furthest, in each direction.
    """

    pixels: int = 1

    def __call__(self, images: Tensor) -> Tensor:
        """Return moved images of the same shape (B, C, H, W)."""
        import torch
        from torch.nn import functional

        reach = self.pixels
        height, width = images.shape[-2:]
        down, right = torch.randint(0, 2 * reach + 1, (2,)).tolist()
        padded = functional.pad(images, (reach,) * 4)
        return padded[..., down : down + height, right : right + width].clone()


@dataclass(frozen=True)
class RandomWarp:
    """Rotate, scale, shear, move and bend each image by amounts of its own.

    torchvision's transforms draw one amount for a whole batch, or take images one by one; here
    each image has its own and the batch is warped at once. Bending is the elastic distortion of
    Simard, Steinkraus and Platt (2003), with smooth displacements between a few knots.

    Attributes:
        degrees: the largest rotation, in degrees.
        scale: the largest relative change of height and of width.
        shear: the largest shear, as the tangent of its angle.
        translate: the largest move in each direction, in pixels.
        elastic: the standard deviation of the displacement of a knot, in pixels.
        knots: how many there are along each side.
    """

    degrees: float = 10.0
    scale: float = 0.1
    shear: float = 0.1
    translate: float = 2.0
    elastic: float = 0.0
    knots: int = 5

    def __call__(self, images: Tensor) -> Tensor:
        """Return warped images of the same shape (B, C, H, W); what comes in is black."""
        from torch.nn import functional

        grid = functional.affine_grid(
            self._matrices(images), list(images.shape), align_corners=False
        )  # (B, H, W, 2): where each output pixel comes from
        if self.elastic:
            grid = grid + self._bends(images)
        return functional.grid_sample(images, grid, align_corners=False)

    def _matrices(self, images: Tensor) -> Tensor:
        """Return affine maps in coordinates from -1 to 1, shape (B, 2, 3)."""
        import torch

        count = len(images)
        height, width = images.shape[-2:]

        def drawn(largest: float) -> Tensor:
            return (torch.rand(count) * 2 - 1) * largest

        angle = drawn(math.radians(self.degrees))
        wide, high, shear = 1 + drawn(self.scale), 1 + drawn(self.scale), drawn(self.shear)
        cosine, sine = angle.cos(), angle.sin()
        # These are longer where the image is: a rotation has to allow for that.
        slant = height / width
        rows = [
            [
                cosine * wide,
                (cosine * shear - sine) * high * slant,
                drawn(2 * self.translate / width),
            ],
            [
                sine * wide / slant,
                (sine * shear + cosine) * high,
                drawn(2 * self.translate / height),
            ],
        ]
        return torch.stack([torch.stack(row, dim=1) for row in rows], dim=1).to(images.device)

    def _bends(self, images: Tensor) -> Tensor:
        """Return displacements in coordinates from -1 to 1, shape (B, H, W, 2)."""
        import torch
        from torch.nn import functional

        height, width = images.shape[-2:]
        amounts = torch.tensor([2 * self.elastic / width, 2 * self.elastic / height])
        knots = torch.randn(len(images), 2, self.knots, self.knots) * amounts.view(1, 2, 1, 1)
        bends = functional.interpolate(
            knots, size=(height, width), mode="bicubic", align_corners=True
        )
        return bends.permute(0, 2, 3, 1).to(images.device)
