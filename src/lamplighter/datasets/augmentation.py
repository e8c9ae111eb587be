"""Random changes to training images, for a whole batch at once."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Callable

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
        shift: the largest move in each direction beyond `translate`, as a share of the side.
        edges: what comes in from outside: "black", or "repeat" for the pixels at the edge.
        interpolation: between pixels; "bicubic" blurs fine strokes less.
    """

    degrees: float = 10.0
    scale: float = 0.1
    shear: float = 0.1
    translate: float = 2.0
    elastic: float = 0.0
    knots: int = 5
    shift: float = 0.0
    edges: Literal["black", "repeat"] = "black"
    interpolation: Literal["bilinear", "bicubic"] = "bilinear"

    def __call__(self, images: Tensor) -> Tensor:
        """Return warped images of the same shape (B, C, H, W), on the scale 0..1."""
        from torch.nn import functional

        grid = functional.affine_grid(
            self._matrices(images), list(images.shape), align_corners=False
        )  # (B, H, W, 2): where each output pixel comes from
        if self.elastic:
            grid = grid + self._bends(images)
        outside = "zeros" if self.edges == "black" else "border"
        warped = functional.grid_sample(
            images, grid, mode=self.interpolation, padding_mode=outside, align_corners=False
        )
        # Cubics go beyond the values between which they run.
        return warped.clamp_(0, 1) if self.interpolation == "bicubic" else warped

    def _matrices(self, images: Tensor) -> Tensor:
        """Return affine maps in coordinates from -1 to 1, shape (B, 2, 3)."""
        import torch

        count = len(images)
        height, width = images.shape[-2:]
        angle = _drawn(count, math.radians(self.degrees))
        wide, high = 1 + _drawn(count, self.scale), 1 + _drawn(count, self.scale)
        shear = _drawn(count, self.shear)
        cosine, sine = angle.cos(), angle.sin()
        # These are longer where the image is: a rotation has to allow for that.
        slant = height / width
        rows = [
            [
                cosine * wide,
                (cosine * shear - sine) * high * slant,
                _drawn(count, 2 * (self.translate / width + self.shift)),
            ],
            [
                sine * wide / slant,
                (sine * shear + cosine) * high,
                _drawn(count, 2 * (self.translate / height + self.shift)),
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


@dataclass(frozen=True)
class RandomThickness:
    """Thicken or thin the light strokes of each image by an amount of its own.

    Each value is moved towards the largest of its 3 x 3 neighbours (grey dilation) or the
    smallest (grey erosion).

    Attributes:
        amount: the largest part of the way, 0..1; as much thicker as thinner.
    """

    amount: float = 0.5

    def __call__(self, images: Tensor) -> Tensor:
        """Return images of the same shape (B, C, H, W)."""
        import torch
        from torch.nn import functional

        amounts = _drawn(len(images), self.amount).view(-1, 1, 1, 1).to(images.device)
        # The smallest of the neighbours is the largest with all signs turned.
        signs = amounts.sign()
        extremes = functional.max_pool2d(images * signs, 3, stride=1, padding=1) * signs
        return torch.lerp(images, extremes, amounts.abs())


@dataclass(frozen=True)
class RandomFlip:
    """Show some of the images as in a mirror, left for right.

    Attributes:
        share: how likely it is for each image, 0..1.
    """

    share: float = 0.5

    def __call__(self, images: Tensor) -> Tensor:
        """Return images of the same shape (B, C, H, W)."""
        import torch

        flipped = (torch.rand(len(images)) < self.share).to(images.device)
        return torch.where(flipped.view(-1, 1, 1, 1), images.flip(-1), images)


@dataclass(frozen=True)
class RandomColour:
    """Change brightness, contrast and saturation of each image by amounts of its own.

    As torchvision's ColorJitter does, in that order, without its change of hue; torchvision
    draws one amount for a whole batch.

    Attributes:
        brightness: the largest relative change of all values.
        contrast: the largest relative change of their distance to the mean grey of the image.
        saturation: the largest relative change of their distance to the grey of their pixel;
            of no effect on grey images.
    """

    brightness: float = 0.2
    contrast: float = 0.2
    saturation: float = 0.2

    def __call__(self, images: Tensor) -> Tensor:
        """Return images of the same shape (B, C, H, W), on the scale 0..1."""
        import torch

        def drawn(largest: float) -> Tensor:
            return (_drawn(len(images), largest) + 1).view(-1, 1, 1, 1).to(images.device)

        brightness, contrast = drawn(self.brightness), drawn(self.contrast)
        saturation = drawn(self.saturation)
        images = (images * brightness).clamp_(0, 1)
        mean = _grey(images).mean(dim=(-2, -1), keepdim=True)  # (B, 1, 1, 1)
        images = torch.lerp(mean.expand_as(images), images, contrast).clamp_(0, 1)
        if images.shape[1] == 1:
            return images
        grey = _grey(images).expand_as(images)
        return torch.lerp(grey, images, saturation).clamp_(0, 1)


@dataclass(frozen=True)
class Compose:
    """Several changes, one after the other.

    Attributes:
        parts: each takes float images (B, C, H, W) and returns such.
    """

    parts: tuple[Callable[[Tensor], Tensor], ...]

    def __call__(self, images: Tensor) -> Tensor:
        """Return images of the same shape (B, C, H, W)."""
        for part in self.parts:
            images = part(images)
        return images


def photo_augmentation() -> Compose:
    """Return what a photo of something may as well have looked like."""
    return Compose(
        (
            RandomFlip(),
            RandomWarp(
                degrees=8, scale=0.15, shear=0.05, translate=0.0, shift=0.06, edges="repeat"
            ),
            RandomColour(),
        )
    )


def _drawn(count: int, largest: float) -> Tensor:
    """Return amounts from -largest to largest, shape (count,), on the CPU."""
    import torch

    return (torch.rand(count) * 2 - 1) * largest


def _grey(images: Tensor) -> Tensor:
    """Return the brightness of each pixel as ITU-R 601 has it, shape (B, 1, H, W)."""
    if images.shape[1] == 1:
        return images
    red, green, blue = images.unbind(dim=1)
    return (0.2989 * red + 0.587 * green + 0.114 * blue).unsqueeze(1)
