import gc

import numpy as np
import psutil
import pytest
import torch
from PIL import Image
from torch import nn

from lamplighter import (
    Classifier,
    Preprocessing,
    errors,
    feature_maps,
    layers,
    models,
    plot_feature_maps,
)
from lamplighter.explain.images import prepare
from tests.explain.conftest import hooks_on, kept_as_it_was

GREY = Preprocessing(height=28, width=28, channels=1, mean=(0.5,), std=(0.5,))
WIDE = Preprocessing(height=240, width=800, channels=3)


def classifier_of(*modules: nn.Module) -> Classifier:
    return Classifier(nn.Sequential(*modules), GREY, ("a", "b"))


@pytest.fixture
def digit(digit_data):
    return digit_data["test"].images[0]


def test_maps_are_what_the_layers_up_to_it_compute(digit):
    torch.manual_seed(0)
    network = models.BetterCNN().train()
    classifier = Classifier(network, GREY, tuple("0123456789"))
    inputs = prepare(classifier, digit)
    for last in (0, 1, 3, 6):  # 6 is dropout, which does nothing here
        with kept_as_it_was(network):
            maps = feature_maps(classifier, digit, f"features.{last}")
        with torch.no_grad():
            expected = network.features[: min(last, 5) + 1](inputs)[0].numpy()
        assert maps.dtype == np.float32
        assert np.allclose(maps, expected, atol=1e-6)


def test_maps_of_a_photo(photo_classifier, photo):
    with kept_as_it_was(photo_classifier.network):
        maps = feature_maps(photo_classifier, photo, "backbone.blocks.2")
    assert maps.shape == (40, 12, 12)
    network = photo_classifier.network
    with torch.no_grad():
        stages = network.backbone
        inside = stages.bn1(stages.conv_stem(prepare(photo_classifier, photo)))
        expected = stages.blocks[:3](inside)[0].numpy()
    assert np.allclose(maps, expected, atol=1e-4)


def test_every_layer_that_is_listed_as_spatial_has_maps_and_no_other(digit_classifier, digit):
    for layer in layers(digit_classifier):
        if layer.spatial:
            maps = feature_maps(digit_classifier, digit, layer.name)
            assert maps.shape == layer.output_shape
        else:
            with pytest.raises(errors.UnknownLayerError, match=repr(layer.name)):
                feature_maps(digit_classifier, digit, layer.name)


def test_a_photo_of_800_by_240(photo):
    network = nn.Sequential(
        nn.Conv2d(3, 8, 5), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 3)
    )
    classifier = Classifier(network, WIDE, tuple("abc"))
    maps = feature_maps(classifier, photo)
    assert maps.shape == (8, 236, 796)
    figure = plot_feature_maps(classifier, photo, channels=[3, 7])
    image, *cells = figure.axes[:3]
    box = image.get_position()
    width, height = figure.get_size_inches()
    assert box.width * width / (box.height * height) == pytest.approx(800 / 240, rel=1e-3)
    assert cells[1].images[0].get_array().shape == (236, 796)


def test_channels_last_are_brought_forward():
    class Last(nn.Module):
        def forward(self, maps):
            return maps.permute(0, 2, 3, 1)

    classifier = classifier_of(
        nn.Conv2d(1, 5, 4, stride=4), Last(), nn.Flatten(), nn.Linear(245, 2)
    )
    image = np.arange(784, dtype=np.uint8).reshape(28, 28)
    assert np.array_equal(feature_maps(classifier, image, "1"), feature_maps(classifier, image))


def test_maps_are_drawn_beside_the_image_on_one_scale(digit_classifier, digit):
    first = next(layer.name for layer in layers(digit_classifier) if layer.kind == "Conv2d")
    maps = feature_maps(digit_classifier, digit, first)
    figure = plot_feature_maps(digit_classifier, digit, first)
    image, *cells, bar = figure.axes
    assert bar.get_ylabel() == "activation"
    assert image.get_title() == "image"
    assert np.array_equal(image.images[0].get_array()[..., 0], digit[0])
    assert [cell.get_title() for cell in cells] == [str(number) for number in range(len(maps))]
    drawn = [cell.images[0] for cell in cells]
    assert all(np.array_equal(a.get_array(), b) for a, b in zip(drawn, maps, strict=True))
    assert maps.min() < 0 < maps.max()
    ((low, high),) = {picture.get_clim() for picture in drawn}
    assert {picture.cmap.name for picture in drawn} == {"RdBu_r"}
    assert low == -high
    assert 0.99 < np.mean(np.abs(maps) <= high) < 1  # a few are beyond it


def test_maps_of_one_sign_have_a_scale_of_one_sign(digit):
    torch.manual_seed(0)
    classifier = Classifier(models.BetterCNN(), GREY, tuple("0123456789"))
    cell = plot_feature_maps(classifier, digit, "features.1").axes[1]
    assert cell.images[0].cmap.name == "viridis"
    assert cell.images[0].get_clim()[0] == 0


def test_of_many_maps_the_first_are_drawn_and_it_is_said(photo_classifier, photo):
    figure = plot_feature_maps(photo_classifier, photo, "backbone.bn2")
    assert figure.get_suptitle() == "backbone.bn2: the first 64 of 1,280 maps of 3 x 3"
    assert len(figure.axes) == 1 + 64 + 1
    with pytest.raises(errors.UnknownLayerError, match="1,280 maps, numbered 0 to 1279"):
        plot_feature_maps(photo_classifier, photo, "backbone.bn2", channels=[1280])


def test_maps_that_are_all_alike_can_be_drawn(digit):
    conv = nn.Conv2d(1, 2, 3)
    nn.init.zeros_(conv.weight)
    nn.init.zeros_(conv.bias)
    classifier = classifier_of(conv, nn.Flatten(), nn.Linear(2 * 26 * 26, 2))
    figure = plot_feature_maps(classifier, digit)
    figure.canvas.draw()
    assert (feature_maps(classifier, digit) == 0).all()


def test_what_has_no_maps_is_one_clear_error(digit_classifier, digit):
    with pytest.raises(errors.UnknownLayerError, match="no layer 'featurs'"):
        feature_maps(digit_classifier, digit, "featurs")
    with pytest.raises(errors.UnknownLayerError, match=r"by its name, .* received 5"):
        feature_maps(digit_classifier, digit, 5)
    dense = classifier_of(nn.Flatten(), nn.Linear(784, 2))
    with pytest.raises(errors.UnknownLayerError, match="no layer of Sequential gives such"):
        feature_maps(dense, digit)
    with pytest.raises(errors.UnknownLayerError, match=r"layer '1' gives 2 for an image"):
        feature_maps(dense, digit, "1")


def test_a_layer_that_is_never_called(digit):
    class Idle(models.SimpleCNN):
        def __init__(self) -> None:
            super().__init__()
            self.idle = nn.Conv2d(1, 1, 3)

    classifier = Classifier(Idle(), GREY, tuple("0123456789"))
    with pytest.raises(errors.UnknownLayerError, match="'idle', a Conv2d, gives no tensor"):
        feature_maps(classifier, digit, "idle")


def test_images_that_are_none_or_many(digit_classifier, digit_data):
    with pytest.raises(errors.DataError, match="of one image, received 2"):
        feature_maps(digit_classifier, digit_data["test"].images[:2])
    with pytest.raises(errors.ShapeError):
        feature_maps(digit_classifier, np.zeros((3, 9, 9), np.uint8))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_activations_that_are_not_finite(digit, value):
    conv = nn.Conv2d(1, 2, 3)
    nn.init.constant_(conv.bias, value)
    classifier = classifier_of(conv, nn.Flatten(), nn.Linear(2 * 26 * 26, 2))
    with pytest.raises(errors.ModelError, match="activations of layer '0' must be finite"):
        feature_maps(classifier, digit)
    assert hooks_on(classifier.network) == 0


def test_hooks_are_gone_when_the_forward_pass_raises(digit):
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(inplace=True), nn.Linear(7, 2)).train()
    classifier = Classifier(network, GREY, ("a", "b"))
    for layer in (None, "0"):
        with kept_as_it_was(network), pytest.raises(errors.ModelError, match="the network fails"):
            feature_maps(classifier, digit, layer)
    assert hooks_on(network) == 0


@pytest.mark.slow
def test_no_memory_grows_over_200_explanations(tmp_path):
    Image.new("L", (90, 60), 200).save(tmp_path / "blank.png")
    photos = Preprocessing(height=60, width=200, channels=3)
    conv, act, pool = nn.Conv2d(3, 32, 5), nn.ReLU(inplace=True), nn.AdaptiveAvgPool2d(1)
    network = nn.Sequential(conv, act, pool, nn.Flatten(), nn.Linear(32, 3))
    classifier = Classifier(network, photos, tuple("abc"))
    process = psutil.Process()

    def living():
        gc.collect()
        return sum(issubclass(type(thing), torch.Tensor) for thing in gc.get_objects())

    def grown(count):
        before = process.memory_info().rss
        for _ in range(count):
            feature_maps(classifier, tmp_path / "blank.png", "0")
        return process.memory_info().rss - before

    grown(10)
    before = living()
    of_one = 32 * 56 * 196 * 4  # bytes of the maps of the convolution
    assert grown(200) < 20 * of_one
    assert living() <= before
