"""Images into a network, and a network's input back into pictures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import torch
from PIL import Image

from lamplighter.errors import DataError, ImageError, ShapeError
from lamplighter.explain.hooks import network_of
from lamplighter.inference.torch_runtime import device_of, shape_text
from lamplighter.models.classifier import check_classifier

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from lamplighter.images.preprocessing import Preprocessing
    from lamplighter.models.classifier import Classifier

OneImage: TypeAlias = "str | Path | Image.Image | NDArray[np.uint8] | Tensor"
Images: TypeAlias = "OneImage | Sequence[OneImage]"


def prepare(classifier: Classifier, images: Images) -> Tensor:
    """Return images as the input of a classifier's network, where the network is.

    Args:
        classifier: whose preprocessing is used.
        images: one or a list of: the path of an image file; a PIL image; pixels as uint8 of
            shape (H, W), (H, W, 3) or (H, W, 4), of any size; pixels as uint8 of shape (C, H, W)
            or all in one (N, C, H, W), of the network's own size; or a float tensor (C, H, W) or
            (N, C, H, W) of that size that is prepared already.

    Returns:
        float32 of shape (N, C, H, W), N at least 1.

    Raises:
        ImageError: a file cannot be read, or what was given is no image.
        ShapeError: pixels are of another size or channel count than the network's.
        DataError: there is no image.
    """
    check_classifier(classifier, "explaining")
    wanted = classifier.preprocessing
    many: Sequence[Any] = images if isinstance(images, list | tuple) else [images]
    parts = [_prepared(image, wanted) for image in many]  # each (n, C, H, W)
    if sum(len(part) for part in parts) == 0:
        raise DataError("explaining needs one image or more, received none.")
    return torch.cat(parts).to(device_of(network_of(classifier)))


def pixels_of(inputs: Tensor, classifier: Classifier) -> NDArray[np.uint8]:
    """Return prepared `inputs` (N, C, H, W) as the pixels they stand for, uint8, same shape.

    Values beyond black and white are cut off.
    """
    wanted = classifier.preprocessing
    values = inputs.detach().float().cpu().numpy()
    mean, std = (
        np.array(numbers, dtype=np.float32).reshape(-1, 1, 1)
        for numbers in (wanted.mean, wanted.std)
    )
    pixels: NDArray[np.uint8] = ((values * std + mean) * 255).round().clip(0, 255).astype(np.uint8)
    return pixels


def to_rgb(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return pixels (N, C, H, W), grey or RGB, as RGB pictures (N, H, W, 3)."""
    rgb = np.repeat(pixels, 3, axis=1) if pixels.shape[1] == 1 else pixels
    return np.ascontiguousarray(rgb.transpose(0, 2, 3, 1))


def shown(inputs: Tensor, classifier: Classifier) -> NDArray[np.uint8]:
    """Return prepared `inputs` (N, C, H, W) as RGB pictures to draw, uint8, (N, H, W, 3)."""
    return to_rgb(pixels_of(inputs, classifier))


def zero_image(classifier: Classifier) -> Tensor:
    """Return one image of zeros as the network's input, shape (1, C, H, W), where it is."""
    wanted = classifier.preprocessing
    shape = (1, wanted.channels, wanted.height, wanted.width)
    return torch.zeros(shape, device=device_of(network_of(classifier)))


def _prepared(image: OneImage, wanted: Preprocessing) -> Tensor:
    """Return what was given as input of shape (n, C, H, W)."""
    if isinstance(image, torch.Tensor):
        if image.is_floating_point():
            return _checked_input(image, wanted)
        image = image.detach().cpu().numpy()
    if isinstance(image, np.ndarray):
        return torch.from_numpy(wanted.normalise(_pixels(image, wanted)))
    if isinstance(image, Image.Image):
        return torch.from_numpy(wanted(image)).unsqueeze(0)
    if not isinstance(image, str | Path):
        raise ImageError(
            "an image must be a path, a PIL image, an array of uint8 or a tensor, received "
            f"{type(image).__name__}."
        )
    opened = wanted.open(image)  # as `predict` does, so that the pixels are the same
    try:
        return torch.from_numpy(wanted(opened)).unsqueeze(0)
    except ImageError as error:
        raise ImageError(f"{image} cannot be used: {error}") from error


def _checked_input(inputs: Tensor, wanted: Preprocessing) -> Tensor:
    batch = inputs.unsqueeze(0) if inputs.ndim == 3 else inputs
    shape = (wanted.channels, wanted.height, wanted.width)
    if batch.ndim != 4 or tuple(batch.shape[1:]) != shape:
        raise ShapeError(
            f"a prepared tensor must be of shape (N, {', '.join(map(str, shape))}), received "
            f"{shape_text(inputs.shape)}; give the image itself to have it prepared."
        )
    if not torch.isfinite(batch).all():
        raise ImageError("pixels must be finite, received NaN or infinity; replace them first.")
    return batch.detach().float().cpu().clone()


def _pixels(array: NDArray[np.uint8], wanted: Preprocessing) -> NDArray[np.uint8]:
    """Return an array as pixels (n, C, H, W) of the network's size."""
    shape = (wanted.channels, wanted.height, wanted.width)
    if array.dtype != np.uint8:
        raise ImageError(
            f"pixels must be uint8, 0 to 255, received {array.dtype} of shape "
            f"{shape_text(array.shape)}; convert them, or give a prepared float tensor of torch."
        )
    if array.ndim == 4 and array.shape[1:] == shape:
        return array
    if array.shape == shape:
        return array[np.newaxis]
    if array.ndim == 2 or (array.ndim == 3 and array.shape[2] in (3, 4)):
        return wanted.pixels(Image.fromarray(array))[np.newaxis]
    raise ShapeError(
        f"pixels must be of shape (H, W), (H, W, 3), {shape_text(shape)} or "
        f"(N, {', '.join(map(str, shape))}), received {shape_text(array.shape)}."
    )
