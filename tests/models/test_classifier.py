from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest
import torch
from torch import nn

import lamplighter
from lamplighter import Classifier, list_models
from lamplighter.errors import ClassCountError, ModelError, ShapeError, UnknownModelError
from lamplighter.images.preprocessing import Preprocessing
from lamplighter.models import registry
from lamplighter.models.classifier import check_classifier

if TYPE_CHECKING:
    from lamplighter.datasets.image_data import ImageData

RGB = Preprocessing(height=40, width=32, mean=(0.5,) * 3, std=(0.5,) * 3)


def test_the_networks_by_name() -> None:
    assert {
        *("simple-cnn", "better-cnn", "branch-cnn"),
        *("residual-cnn", "inception-cnn", "quick-cnn", "champion"),
    } <= list_models().keys()
    assert all(summary and "\n" not in summary for summary in list_models().values())
    list_models().clear()
    assert list_models()


@pytest.mark.parametrize("name", list_models())
def test_each_network_fits_preprocessing_and_classes(name: str) -> None:
    classifier = Classifier.new(name, preprocessing=RGB, class_names=["a", "b", "c"])
    assert classifier.num_classes == 3
    network = classifier.network.eval()
    with torch.no_grad():
        assert network(torch.rand(2, 3, 40, 32)).shape == (2, 3)
    for word in ("forward_features", "forward_head", "num_features", "reset_classifier"):
        assert hasattr(network, word)
    assert name in repr(classifier)
    assert "3 classes" in repr(classifier)


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        (
            ("better-cnn", RGB, ["a", "b"]),
            r"'better-cnn'; Classifier\.new\('better-cnn', data",
        ),
        (
            (nn.Identity(), nn.Identity(), ["a", "b"]),
            r"a Identity; say .* Preprocessing\(",
        ),
        ((nn.Identity(), None, ["a", "b"]), "needs a Preprocessing.*received a NoneType"),
        ((nn.Identity(), RGB, 10), r"list of names .* received 10; .* list\('0123456789'\)"),
    ],
)
def test_parts_in_the_wrong_place_are_told(parts, message) -> None:
    with pytest.raises(ModelError, match=message):
        Classifier(*parts)


def test_a_network_or_a_path_is_no_classifier() -> None:
    check_classifier(Classifier(nn.Identity(), RGB, ["a", "b"]), "save")
    with pytest.raises(ModelError, match=r"save takes a Classifier, received a Linear; make one"):
        check_classifier(nn.Linear(2, 2), "save")
    for path in ("a.lamp", Path("a.lamp")):
        with pytest.raises(ModelError, match=r"load the bundle first: load\('a\.lamp'\)"):
            check_classifier(path, "save")


def test_what_takes_a_classifier_refuses_a_network() -> None:
    network, nothing = nn.Linear(2, 2), cast("Any", None)
    asked: dict[str, Any] = {
        "at_precision": lambda: lamplighter.at_precision(network, "fp32"),
        "climb_ladder": lambda: lamplighter.climb_ladder("photos", backbone=network),
        "cut_batches": lambda: lamplighter.cut_batches(network, nothing, "train", nothing),
        "deletion_curve": lambda: lamplighter.deletion_curve(network, nothing),
        "gallery": lambda: lamplighter.gallery(network, nothing, nothing),
        "insertion_curve": lambda: lamplighter.insertion_curve(network, nothing),
        "source_of": lambda: lamplighter.source_of("a.lamp", network, Path("a.index")),
        "attribute": lambda: lamplighter.attribute(network, "a.png"),
        "compare_methods": lambda: lamplighter.compare_methods(network, "a.png"),
        "filters": lambda: lamplighter.filters(network),
        "layers": lambda: lamplighter.layers(network),
        "maximise": lambda: lamplighter.maximise(network, "fc"),
        "plot_feature_maps": lambda: lamplighter.plot_feature_maps(network, "a.png"),
        "plot_filters": lambda: lamplighter.plot_filters(network),
        "sanity_check": lambda: lamplighter.sanity_check(network, "a.png"),
    }
    for name, ask in asked.items():
        with pytest.raises(
            ModelError, match=f"^({name}|explaining) takes a Classifier, received a"
        ):
            ask()


def test_a_near_name_is_suggested() -> None:
    hint = re.escape("did you mean 'better-cnn'?")
    with pytest.raises(UnknownModelError, match=rf"'beter-cnn'; {hint} There are simple-cnn"):
        Classifier.new("beter-cnn", preprocessing=RGB, class_names=["a", "b"])
    with pytest.raises(UnknownModelError, match="simple-cnn") as caught:
        registry.build("zzz", num_classes=2, in_chans=1, img_size=(28, 28))
    assert "did you mean" not in str(caught.value)


def test_arguments_of_a_network() -> None:
    classifier = Classifier.new(
        "simple-cnn", preprocessing=RGB, class_names=["a", "b"], dropout=0.4
    )
    assert [m.p for m in classifier.network.modules() if isinstance(m, nn.Dropout)] == [0.4]
    assert classifier.architecture is not None
    assert classifier.architecture.arguments == {"dropout": 0.4}
    with pytest.raises(ModelError, match=r"simple-cnn does not take these arguments.*depth"):
        Classifier.new("simple-cnn", preprocessing=RGB, class_names=["a", "b"], depth=4)
    with pytest.raises(ModelError, match=r"'droput' is none of them; did you mean 'dropout'\?"):
        Classifier.new("simple-cnn", preprocessing=RGB, class_names=["a", "b"], droput=0.4)
    with pytest.raises(ModelError, match=r"simple-cnn does not take .*between 0 and 1.*got 2"):
        Classifier.new("simple-cnn", preprocessing=RGB, class_names=["a", "b"], dropout=2)


def test_what_a_classifier_takes_from_the_data(tiny_digits: ImageData) -> None:
    classifier = Classifier.new("quick-cnn", tiny_digits)
    assert classifier.class_names == tiny_digits.class_names
    assert classifier.preprocessing == tiny_digits.preprocessing
    assert classifier.samples is not None
    assert (classifier.samples == tiny_digits["train"].images[:32]).all()
    other = Classifier.new("quick-cnn", tiny_digits, class_names=[str(n) for n in range(12)])
    assert other.num_classes == 12


def test_what_a_classifier_needs() -> None:
    for given in ({}, {"preprocessing": RGB}, {"class_names": ["a", "b"]}):
        with pytest.raises(ModelError, match="preprocessing= and class_names="):
            Classifier.new("simple-cnn", **given)  # type: ignore[arg-type]
    for names in ([], ["a"], ["a", "b", "a"]):
        with pytest.raises(ClassCountError, match="two or more class names, all different"):
            Classifier(nn.Identity(), RGB, names)
    with pytest.raises(ClassCountError, match=r"must be strings, received 1; give \[str\("):
        Classifier(nn.Identity(), RGB, ["a", 1])  # type: ignore[list-item]
    tiny = Preprocessing(height=4, width=4, channels=1, mean=(0.5,), std=(0.5,))
    with pytest.raises(ShapeError, match="4 x 4 are too small"):
        Classifier.new("simple-cnn", preprocessing=tiny, class_names=["a", "b"])


def test_a_network_of_ones_own() -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(3 * 40 * 32, 2))
    classifier = Classifier(network, RGB, ["a", "b"])
    assert classifier.network is network
    assert classifier.architecture is None
    assert classifier.graph is None
    assert "a network of its own" in repr(classifier)
    assert (classifier.record.recipe, classifier.record.scores) == ({}, {})
