"""What holds for every figure that the package draws."""

from __future__ import annotations

import io
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import matplotlib.style
import numpy as np
import pytest
import torch
from matplotlib.text import Text
from PIL import Image
from torch import nn

import lamplighter
from lamplighter.datasets.image_data import ImageData, Split
from lamplighter.evaluation.data_map import DataMap
from lamplighter.evaluation.reliability import make_trust
from lamplighter.evaluation.report import Report
from lamplighter.explain.attribution.attribution import attribute
from lamplighter.explain.attribution.curves import deletion_curve, insertion_curve
from lamplighter.images.preprocessing import Preprocessing
from lamplighter.inference.predictor import Predictions
from lamplighter.models.classifier import Classifier
from lamplighter.training.learning_rate import LearningRates

if TYPE_CHECKING:
    from collections.abc import Callable

BAD = r"$\bad$"  # no formula, and so no word that can be drawn as one
NAMES = (BAD, r"$x_$", "c")
SIZE = Preprocessing(height=12, width=12, channels=1, mean=(0.0,), std=(1.0,))


def _classifier() -> Classifier:
    torch.manual_seed(0)
    layers = [
        (BAD, nn.Conv2d(1, 3, 3)),
        ("relu", nn.ReLU()),
        (f"{BAD}2", nn.Conv2d(3, 4, 3)),
        ("flat", nn.Flatten()),
        ("head", nn.Linear(256, 3)),
    ]
    return Classifier(nn.Sequential(OrderedDict(layers)), SIZE, NAMES)


def _images(count: int = 2) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, (count, 1, 12, 12)).astype(np.uint8)


def _report() -> Report:
    labels = np.arange(30) % 3
    logits = np.random.default_rng(0).normal(size=(30, 3)).astype(np.float32)
    logits[np.arange(30), labels] += 1
    return Report(BAD, "test", "", NAMES, labels, Predictions(logits, NAMES))


def _trust() -> Any:
    generator = np.random.default_rng(0)
    logits = generator.normal(size=(300, 3)).astype(np.float32) * 6
    return make_trust(
        _classifier(),
        val_logits=logits,
        val_labels=np.where(generator.random(300) < 0.7, logits.argmax(axis=1), 0),
        val_features=generator.normal(size=(300, 256)).astype(np.float32),
        train_features=generator.normal(size=(50, 256)).astype(np.float32),
    )


def _map() -> DataMap:
    generator = np.random.default_rng(0)
    labels = np.arange(60) % 3
    return DataMap(
        data=BAD,
        split="test",
        method="pca",
        points=generator.normal(size=(60, 2)) + labels[:, None],
        indices=np.arange(60),
        labels=labels,
        predicted=np.where(np.arange(60) % 10 == 0, (labels + 1) % 3, labels),
        class_names=NAMES,
        images=_images(60),
        explained=(0.6, 0.2),
    )


def _curves() -> Any:
    classifier = _classifier()
    found = attribute(classifier, _images(), _mean_of_pixels)
    return [make(classifier, found, steps=3) for make in (deletion_curve, insertion_curve)]


def _mean_of_pixels(network: Any, inputs: Any, targets: Any) -> Any:
    return inputs.mean(1)


_mean_of_pixels.__name__ = BAD  # the title of a method of one's own


def _gallery() -> Any:
    images, labels = _images(30), np.arange(30) % 3
    split = Split(images, labels)
    data = ImageData({"train": split, "test": split}, NAMES, preprocessing=SIZE, name=BAD)
    classifier = _classifier()
    report = lamplighter.evaluate(classifier, data, "test")
    return lamplighter.gallery(classifier, report, data, 2, method="saliency")


FIGURES: dict[str, Callable[[], Any]] = {
    "plot_attribution": lambda: lamplighter.plot_attribution(
        [attribute(_classifier(), _images(), name) for name in ("saliency", _mean_of_pixels)]
    ),
    "plot_comparison": lambda: lamplighter.plot_comparison(
        lamplighter.compare_methods(_classifier(), _images(), ["saliency", _mean_of_pixels])
    ),
    "plot_confusion": lambda: lamplighter.plot_confusion(_report()),
    "plot_coverage": lambda: lamplighter.plot_coverage(_trust()),
    "plot_curves": lambda: lamplighter.plot_curves(_curves()),
    "plot_data_map": lambda: lamplighter.plot_data_map(_map(), thumbnails=9),
    "plot_feature_maps": lambda: lamplighter.plot_feature_maps(_classifier(), _images()[0], BAD),
    "plot_filters": lambda: lamplighter.plot_filters(_classifier(), f"{BAD}2"),
    "plot_gallery": lambda: lamplighter.plot_gallery(_gallery()),
    "plot_history": lambda: lamplighter.plot_history([{BAD: 1.0, f"val_{BAD}": 2.0}] * 2),
    "plot_learning_rates": lambda: lamplighter.plot_learning_rates(
        LearningRates([1e-4, 1e-3, 1e-2, 1e-1], [3.0, 2.0, 1.0, 4.0], 1e-3)
    ),
    "plot_maximised": lambda: lamplighter.plot_maximised(
        lamplighter.maximise(_classifier(), BAD, steps=2), title=BAD
    ),
    "plot_reliability": lambda: lamplighter.plot_reliability(_trust()),
    "plot_sanity": lambda: lamplighter.plot_sanity(
        lamplighter.sanity_check(_classifier(), _images(), _mean_of_pixels)
    ),
}
# Figures that write no names but their own.
_NAMELESS = {"plot_coverage", "plot_learning_rates", "plot_reliability"}


def _drawn(figure: Any) -> np.ndarray:
    file = io.BytesIO()
    figure.savefig(file, format="png")
    return np.asarray(Image.open(file).convert("RGB"))


def _texts(figure: Any) -> list[Any]:
    return [text for text in figure.findobj(Text) if text.get_text() and text.get_visible()]


def test_all_are_looked_at() -> None:
    assert set(FIGURES) == {name for name in lamplighter.__all__ if name.startswith("plot_")}


@pytest.mark.parametrize("name", FIGURES)
def test_figures_are_white_with_dark_words_in_a_dark_notebook_too(name: str) -> None:
    light = FIGURES[name]()
    expected = _drawn(light)
    with mpl.style.context("dark_background"):
        dark = FIGURES[name]()
        np.testing.assert_array_equal(_drawn(dark), expected)
    for figure in (light, dark):
        assert mpl.colors.to_hex(figure.get_facecolor()) == "#ffffff"
        assert {mpl.colors.to_hex(axes.get_facecolor()) for axes in figure.axes} == {"#ffffff"}
        inside = [text for axes in figure.axes for text in axes.texts]  # on colours of their own
        for text in _texts(figure):
            if text not in inside:
                assert mpl.colors.to_hex(text.get_color()) == "#1a1a1a", text.get_text()


@pytest.mark.parametrize("name", sorted(set(FIGURES) - _NAMELESS))
def test_names_with_a_dollar_are_drawn_as_they_are(name: str) -> None:
    figure = FIGURES[name]()
    for form in ("png", "svg", "pdf"):
        figure.savefig(io.BytesIO(), format=form)
    named = [text for text in _texts(figure) if "$" in text.get_text()]
    named = [text for text in named if "mathdefault" not in text.get_text()]  # numbers of ticks
    assert any(BAD in text.get_text() for text in named)
    assert not any(text.get_parse_math() for text in named)
