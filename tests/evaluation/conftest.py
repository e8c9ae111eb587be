"""Classifiers whose answers are written into the images: row 0 of an image holds its scores."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from torch import Tensor, nn

from lamplighter.datasets.image_data import ImageData, Split
from lamplighter.images.preprocessing import Preprocessing
from lamplighter.models.classifier import Classifier

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

WIDTH = 12
PREPROCESSING = Preprocessing(height=3, width=WIDTH, channels=1, mean=(0.0,), std=(1.0,))


class FirstRow(nn.Module):
    """Logits are the first K pixels of an image, 0..20."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.num_classes = num_classes

    def forward(self, images: Tensor) -> Tensor:
        return 20 * images[:, 0, 0, : self.num_classes]


@pytest.fixture
def reader() -> Callable[[Sequence[str]], Classifier]:
    def build(class_names: Sequence[str]) -> Classifier:
        return Classifier(FirstRow(len(class_names)), PREPROCESSING, class_names)

    return build


@pytest.fixture
def written() -> Callable[..., ImageData]:
    """Make data: the class names, the label of each image, and the output that it makes highest."""

    def build(
        class_names: Sequence[str],
        labels: Sequence[int],
        outputs: Sequence[int],
        strengths: Sequence[int] | None = None,
    ) -> ImageData:
        images = np.zeros((len(labels), 1, 3, WIDTH), dtype=np.uint8)
        images[:, 0, 1] = np.arange(len(labels))[:, None] % 256  # no two alike
        images[np.arange(len(labels)), 0, 0, list(outputs)] = (
            255 if strengths is None else list(strengths)
        )
        split = Split(images, np.array(labels, dtype=np.int64))
        return ImageData({"test": split}, class_names, preprocessing=PREPROCESSING, name="coded")

    return build
