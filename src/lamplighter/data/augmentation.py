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
class RandomAffine:
    """Rotate, scale, shear and move each image by amounts of its own, drawn uniformly.

    torchvision's RandomAffine draws one amount for a whole batch, or takes images one by one;
    here each image has its own and the batch is warped at once.

    Attributes:
        degrees: the largest rotation, in degrees.
        scale: the largest relative change of height and of width.
        shear: the largest shear, as the tangent of its angle.
        translate: the largest move in each direction, in pixels.
    """

    degrees: float = 10.0
    scale: float = 0.1
    shear: float = 0.1
    translate: float = 2.0

    def __call__(self, images: Tensor) -> Tensor:
        """Return warped images of the same shape (B, C, H, W); what comes in is black."""
        import torch
        from torch.nn import functional

        count = len(images)
        height, width = images.shape[-2:]

        def drawn(largest: float) -> Tensor:
            return (torch.rand(count) * 2 - 1) * largest

        angle = drawn(math.radians(self.degrees))
        wide, high, shear = 1 + drawn(self.scale), 1 + drawn(self.scale), drawn(self.shear)
        cosine, sine = angle.cos(), angle.sin()
        # Where each output pixel comes from, in coordinates from -1 to 1: (B, 2, 3).
        rows = [
            [cosine * wide, (cosine * shear - sine) * high, drawn(2 * self.translate / width)],
            [sine * wide, (sine * shear + cosine) * high, drawn(2 * self.translate / height)],
        ]
        matrices = torch.stack([torch.stack(row, dim=1) for row in rows], dim=1)
        grid = functional.affine_grid(
            matrices.to(images.device), list(images.shape), align_corners=False
        )
        return functional.grid_sample(images, grid, align_corners=False)
