"""No memory grows however often one looks inside, and many looks leave a network as it was."""

from __future__ import annotations

import gc
import itertools
from typing import TYPE_CHECKING

import numpy as np
import psutil
import pytest
import torch
from torch import nn

from lamplighter.datasets.image_data import ImageData
from lamplighter.evaluation.report import evaluate
from lamplighter.explain.attribution.attribution import METHODS, attribute
from lamplighter.explain.attribution.curves import deletion_curve, insertion_curve
from lamplighter.explain.attribution.method_comparison import compare_methods
from lamplighter.explain.attribution.sanity import sanity_check
from lamplighter.explain.gallery import gallery
from lamplighter.explain.maximization.maximization import maximise
from lamplighter.models.classifier import Classifier
from tests.explain.conftest import kept_as_it_was

if TYPE_CHECKING:
    from collections.abc import Callable

    from lamplighter.datasets.image_data import Split

SIDE = 96
IMAGE = 3 * SIDE * SIDE * 4  # bytes of one as the network sees it
_WARM = 24  # until the caches of the allocator are about as large as they get


class Small(nn.Module):
    """A convolution, a ReLU, a pooling, and a head that a gallery finds features before."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.conv, self.act = nn.Conv2d(3, 8, 5, stride=2), nn.ReLU(inplace=True)
        self.head = nn.Linear(8, 3)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        maps: torch.Tensor = self.act(self.conv(images))
        logits: torch.Tensor = self.head(maps.mean((2, 3)))
        return logits


@pytest.fixture(scope="module")
def data() -> ImageData:
    """Forty coloured images of noise in three classes."""
    from lamplighter.datasets.image_data import Split
    from lamplighter.images.preprocessing import Preprocessing

    generator = np.random.default_rng(0)

    def split(count: int) -> Split:
        pixels = generator.integers(0, 256, (count, 3, SIDE, SIDE), dtype=np.uint8)
        return Split(pixels, np.arange(count) % 3)

    return ImageData(
        {"train": split(24), "test": split(16)},
        tuple("abc"),
        preprocessing=Preprocessing(height=SIDE, width=SIDE),
        name="noise",
    )


@pytest.fixture(scope="module")
def classifier(data: ImageData) -> Classifier:
    return Classifier(Small(), data.preprocessing, data.class_names)


def living() -> int:
    gc.collect()
    return sum(issubclass(type(thing), torch.Tensor) for thing in gc.get_objects())


def assert_nothing_stays(look: Callable[[int], object], count: int) -> None:
    """Assert that `count` looks leave no tensor, nor in memory a fifth of an image for each.

    What stays grows in every third of them; what the allocator once takes for itself does not.
    """
    for number in range(_WARM):
        look(number)
    tensors, grown = living(), []
    for third in np.array_split(np.arange(count), 3):
        resident = psutil.Process().memory_info().rss
        for number in third.tolist():
            look(number)
        assert living() <= tensors
        grown.append((psutil.Process().memory_info().rss - resident) / len(third))
    assert min(grown) < IMAGE / 5, f"{min(grown) / 1e3:.0f} kB for each look"


@pytest.mark.slow
def test_no_memory_grows_over_200_explanations(classifier: Classifier, data: ImageData) -> None:
    methods = list(itertools.islice(itertools.cycle(METHODS), 204))
    images = data["test"].images

    def explain(number: int) -> None:
        attribute(classifier, images[number % len(images)], methods[number])

    assert_nothing_stays(explain, len(methods))


@pytest.mark.slow
@pytest.mark.parametrize("what", ["maximise", "gallery", "curves", "sanity"])
def test_no_memory_grows_over_dozens_of_other_looks(
    what: str, classifier: Classifier, data: ImageData
) -> None:
    report = evaluate(classifier, data)
    why = attribute(classifier, data["test"].images[:2], "saliency")
    looks: dict[str, Callable[[int], object]] = {
        "maximise": lambda number: maximise(classifier, "abc"[number % 3], steps=4, seed=number),
        "gallery": lambda _: gallery(classifier, report, data, 2, neighbours=2),
        "curves": lambda number: (deletion_curve, insertion_curve)[number % 2](
            classifier, why, steps=8
        ),
        "sanity": lambda number: sanity_check(classifier, why.inputs, "saliency", seed=number),
    }
    assert_nothing_stays(looks[what], 36)


@pytest.mark.parametrize("what", ["gallery", "curves", "compare_methods"])
def test_a_network_is_left_as_it_was(what: str, classifier: Classifier, data: ImageData) -> None:
    images = data["test"].images[:2]
    report = evaluate(classifier, data)
    with kept_as_it_was(classifier.network.train()):
        if what == "gallery":
            assert gallery(classifier, report, data, 2, neighbours=2)
        elif what == "curves":
            why = attribute(classifier, images, "saliency")
            assert deletion_curve(classifier, why, steps=4).areas.shape == (2,)
            assert insertion_curve(classifier, why, steps=4).areas.shape == (2,)
        else:
            assert compare_methods(classifier, images, steps=4).skipped == {}
