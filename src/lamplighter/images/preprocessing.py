"""Preprocessing, in Pillow and numpy: written once, used in training and inference alike."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from PIL import Image, ImageOps

from lamplighter.errors import DataError, LamplighterError
from lamplighter.images.decoding import as_8_bit, flatten_alpha, open_image, within_memory
from lamplighter.images.digits.centering import centre_digit
from lamplighter.names import wrong_choice

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

Fit = Literal["squash", "crop", "letterbox"]
Interpolation = Literal["bilinear", "bicubic"]

_FITS = {
    "squash": "stretched to fit",
    "crop": "scaled and cropped about the centre",
    "letterbox": "scaled to fit, with black bars",
}
# A JPEG is decoded at least so many times as large as it is scaled to. Of photos of 12 megapixels
# seen at 224 x 224, the pixels then differ from those after decoding the whole by 0.2 to 0.5 of
# 255 in the mean; with 1 by 0.4 to 1.8, with 4 by 0 to 0.2, at half the speed.
_DECODING_MARGIN = 2
# An image so long and narrow that it would be larger than this when scaled is cropped first.
_LARGEST_SCALED = 2**25  # pixels
_RESAMPLING = {
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
}


@dataclass(frozen=True, kw_only=True)
class Preprocessing:
    """How an image becomes the input of a network.

    Attributes:
        height: rows of the network's input, in pixels.
        width: columns of the network's input, in pixels.
        channels: 1 (grey) or 3 (RGB).
        mean: mean of each channel, on the scale 0..1, subtracted.
        std: standard deviation of each channel, on the scale 0..1, divided by.
        fit: what happens to an image of another aspect ratio.
        interpolation: the filter of the resize.
        crop_pct: of fit "crop", the share of the scaled image's shorter side that is kept, above
            0 and at most 1; below 1 exactly timm's, that is torchvision's Resize and CenterCrop.
        find_digit: look for one handwritten digit and bring it to the form of MNIST
            (see `lamplighter.images.digits.centering`) instead of resizing the whole image.

    Raises:
        DataError: a value is out of range.
    """

    height: int
    width: int
    channels: int = 3
    mean: tuple[float, ...] = (0.5, 0.5, 0.5)
    std: tuple[float, ...] = (0.5, 0.5, 0.5)
    fit: Fit = "squash"
    interpolation: Interpolation = "bilinear"
    crop_pct: float = 1.0
    find_digit: bool = False

    def __post_init__(self) -> None:
        if self.channels not in (1, 3):
            raise DataError(f"channels must be 1 (grey) or 3 (RGB), received {self.channels}.")
        sizes = (self.height, self.width)
        if any(type(size) is not int or size < 1 for size in sizes):
            raise DataError(
                "height and width must be positive whole numbers, "
                f"received {self.height!r} x {self.width!r}."
            )
        if len(self.mean) != self.channels or len(self.std) != self.channels:
            raise DataError(
                f"mean and std need one value for each of the {self.channels} channels, "
                f"received {len(self.mean)} and {len(self.std)}."
            )
        if not all(value > 0 for value in self.std) or not np.isfinite(self.mean + self.std).all():
            raise DataError(
                "mean must be finite and std finite and positive, "
                f"received {self.mean} and {self.std}."
            )
        if self.fit not in _FITS:
            raise DataError(wrong_choice("fit", self.fit, _FITS))
        if self.interpolation not in _RESAMPLING:
            raise DataError(wrong_choice("interpolation", self.interpolation, _RESAMPLING))
        if type(self.crop_pct) not in (int, float) or not 0 < self.crop_pct <= 1:
            raise DataError(f"crop_pct must be above 0 and at most 1, received {self.crop_pct!r}.")

    def __call__(self, image: Image.Image) -> NDArray[np.float32]:
        """Return `image` as the network's input, float32 of shape (C, H, W)."""
        batch = self.normalise(self.pixels(image)[np.newaxis])  # (1, C, H, W)
        return batch.squeeze(0)

    @within_memory()
    def pixels(self, image: Image.Image) -> NDArray[np.uint8]:
        """Return what the network sees of `image`, before normalising: uint8, shape (C, H, W).

        Raises:
            ImageError: the image has no pixels, or no digit where one is to be found, or needs
                more memory than there is.
        """
        if self.find_digit:
            grey = Image.fromarray(centre_digit(image))
            fitted = self._resize(grey)
        else:
            fitted = self._resize(flatten_alpha(as_8_bit(image)))
        fitted = fitted.convert("L" if self.channels == 1 else "RGB")
        array = np.asarray(fitted, dtype=np.uint8)  # (H, W) or (H, W, 3)
        return array[np.newaxis] if self.channels == 1 else array.transpose(2, 0, 1).copy()

    def seen(self, image: Image.Image) -> Image.Image:
        """Return what the network sees of `image` as a picture."""
        pixels = self.pixels(image)
        return Image.fromarray(pixels[0] if self.channels == 1 else pixels.transpose(1, 2, 0))

    def open(self, path: str | Path | bytes, *, scaled: bool = True) -> Image.Image:
        """Return the image in a file, upright, for `pixels`.

        Args:
            path: the file, or the bytes in it.
            scaled: decode a JPEG at a reduced scale where the result is nearly the same.

        Raises:
            ImageError: the file cannot be read or is no whole image.
        """
        return open_image(path, at_least=self.decode_size if scaled else None)

    def decode_size(self, image_size: tuple[int, int]) -> tuple[int, int]:
        """Return the least (width, height) of the whole image that `pixels` sees nearly as well.

        Args:
            image_size: (width, height) of the image as it is.
        """
        if self.find_digit:
            return image_size
        width, height = self._scaled_size(image_size)
        return (
            min(image_size[0], _DECODING_MARGIN * width),
            min(image_size[1], _DECODING_MARGIN * height),
        )

    def normalise(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return uint8 `pixels` of shape (N, C, H, W) as the network's input, float32."""
        mean = np.array(self.mean, dtype=np.float32).reshape(-1, 1, 1)
        std = np.array(self.std, dtype=np.float32).reshape(-1, 1, 1)
        scaled = pixels.astype(np.float32) / np.float32(255)
        normalised: NDArray[np.float32] = (scaled - mean) / std
        return normalised

    def describe(self) -> str:
        """Return what is done to an image, in one sentence."""
        colour = "grey" if self.channels == 1 else "RGB"
        if self.find_digit:
            found = "the digit found, white on black, centred as in MNIST"
        else:
            kept = self.fit == "crop" and self.crop_pct < 1
            share = f" ({self.crop_pct:g} of the shorter side)" if kept else ""
            found = f"{_FITS[self.fit]}{share} ({self.interpolation})"
        mean = ", ".join(f"{value:g}" for value in self.mean)
        std = ", ".join(f"{value:g}" for value in self.std)
        return (
            f"{self.height} x {self.width} {colour}, {found}; "
            f"scaled to 0..1, minus mean ({mean}), divided by std ({std})"
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the values as plain JSON types."""
        values = asdict(self)
        return values | {
            "mean": list(self.mean),
            "std": list(self.std),
            "crop_pct": float(self.crop_pct),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Preprocessing:
        """Return the preprocessing that `to_dict` described.

        Raises:
            DataError: a value is missing, unknown or of the wrong type.
        """
        try:
            return cls(
                **{
                    **values,
                    "mean": tuple(float(value) for value in values["mean"]),
                    "std": tuple(float(value) for value in values["std"]),
                }
            )
        except LamplighterError:
            raise
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(f"the description of the preprocessing is damaged: {error}.") from error

    def _resize(self, image: Image.Image) -> Image.Image:
        size = (self.width, self.height)
        if image.size == size and (self.fit != "crop" or self.crop_pct == 1):
            return image
        resampling = _RESAMPLING[self.interpolation]
        if self.fit == "crop" and self.crop_pct < 1:
            return self._resize_and_crop(image)
        if self.fit == "crop":
            return ImageOps.fit(image, size, method=resampling)
        if self.fit == "letterbox":
            inner = image.resize(self._scaled_size(image.size), resampling)
            return ImageOps.pad(inner, size, method=resampling, color=0)
        return image.resize(size, resampling)

    def _scaled_size(self, image_size: tuple[int, int]) -> tuple[int, int]:
        """Return (width, height) that the whole image is scaled to, before cropping or bars."""
        width, height = image_size
        if self.fit == "squash":
            return self.width, self.height
        if self.fit == "letterbox":
            scale = min(self.width / width, self.height / height)
            return max(1, round(width * scale)), max(1, round(height * scale))
        across, down = (math.floor(side / self.crop_pct) for side in (self.width, self.height))
        if across == down:  # as torchvision rounds: the longer side down
            shorter = min(width, height)
            return int(across * width / shorter), int(across * height / shorter)
        ratio = min(width / across, height / down)  # as timm rounds: both sides to the nearest
        return round(width / ratio), round(height / ratio)

    def _resize_and_crop(self, image: Image.Image) -> Image.Image:
        resampling = _RESAMPLING[self.interpolation]
        width, height = self._scaled_size(image.size)
        left, top = round((width - self.width) / 2), round((height - self.height) / 2)
        box = (left, top, left + self.width, top + self.height)
        if width * height <= _LARGEST_SCALED:
            return image.resize((width, height), resampling).crop(box)
        # The same without the whole in between, but not the same to the last bit.
        across, down = image.width / width, image.height / height
        part = (box[0] * across, box[1] * down, box[2] * across, box[3] * down)
        return image.resize((self.width, self.height), resampling, box=part)
