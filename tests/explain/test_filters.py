import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as f
from torch.nn.utils.parametrizations import weight_norm

from lamplighter import Classifier, Preprocessing, errors, filters, models, plot_filters
from lamplighter.explain.feature_maps import chosen_channels, selection_text
from lamplighter.explain.filters import mosaic
from tests.explain.conftest import kept_as_it_was

GREY = Preprocessing(height=28, width=28, channels=1, mean=(0.5,), std=(0.5,))
COLOUR = Preprocessing(height=28, width=28, channels=3)


def classifier_of(*layers: nn.Module, preprocessing: Preprocessing = GREY) -> Classifier:
    return Classifier(nn.Sequential(*layers), preprocessing, ("a", "b"))


def titles(figure) -> list[str]:
    return [axes.get_title() for axes in figure.axes if axes.get_title()]


def test_filters_are_the_weights():
    network = models.BetterCNN()
    classifier = Classifier(network, GREY, tuple("0123456789"))
    first, second = filters(classifier), filters(classifier, "features.3")
    assert np.array_equal(first, network.features[0].weight.detach().numpy())
    assert (first.shape, second.shape, second.dtype) == ((30, 1, 5, 5), (15, 30, 3, 3), np.float32)
    first[:] = 0
    assert network.features[0].weight.abs().sum() > 0


@pytest.mark.parametrize("groups", [1, 2, 4])
def test_each_filter_computes_its_channel(groups):
    """Also of a transposed convolution, whose weights lie the other way round."""
    torch.manual_seed(0)
    images = torch.rand(1, 4, 6, 6)
    plain = nn.Conv2d(4, 8, 3, groups=groups, bias=False)
    turned = nn.ConvTranspose2d(4, 8, 3, groups=groups, bias=False)
    for layer in (plain, turned):
        weights = torch.from_numpy(filters(classifier_of(layer)))
        assert weights.shape == (8, 4 // groups, 3, 3)
        channel = 5
        group = channel * groups // 8
        seen = images[:, group * 4 // groups : (group + 1) * 4 // groups]
        kernel = weights[channel : channel + 1]
        if layer is turned:  # it adds the filter at each place: a convolution of the flipped one
            seen, kernel = f.pad(seen, (2, 2, 2, 2)), kernel.flip(2, 3)
        by_hand = f.conv2d(seen, kernel)
        assert torch.allclose(layer(images)[:, channel], by_hand[:, 0], atol=1e-6)


def test_a_parametrised_convolution():
    layer = weight_norm(nn.Conv2d(1, 4, 3))
    assert np.allclose(filters(classifier_of(layer)), layer.weight.detach().numpy())


def test_looking_changes_nothing(photo_classifier):
    with kept_as_it_was(photo_classifier.network):
        filters(photo_classifier)
        plot_filters(photo_classifier)


def test_filters_of_photos_are_drawn_in_their_colours(photo_classifier):
    weights = filters(photo_classifier)  # (32, 3, 3, 3)
    figure = plot_filters(photo_classifier)
    assert len(figure.axes) == len(weights)  # no colour bar
    assert (
        figure.get_suptitle() == "backbone.conv_stem: 32 filters of 3 x 3 in colour; mid-grey is 0"
    )
    drawn = np.stack([axes.images[0].get_array() for axes in figure.axes])  # (32, 3, 3, 3)
    assert drawn.min() >= 0
    assert drawn.max() <= 1
    largest = np.abs(weights).max()
    assert np.allclose((drawn - 0.5) * 2 * largest, weights.transpose(0, 2, 3, 1), atol=1e-6)


def test_filters_of_grey_images_are_grey_on_one_scale(digit_classifier):
    weights = filters(digit_classifier)
    figure = plot_filters(digit_classifier)
    *cells, bar = figure.axes
    assert len(cells) == len(weights)
    assert bar.get_ylabel() == "weight"
    pictures = [cell.images[0] for cell in cells]
    largest = float(np.abs(weights).max())
    assert {picture.cmap.name for picture in pictures} == {"gray"}
    assert {picture.get_clim() for picture in pictures} == {(-largest, largest)}
    assert np.array_equal(pictures[3].get_array(), weights[3, 0])


def test_deeper_filters_are_drawn_for_each_input_channel():
    classifier = Classifier(models.BetterCNN(), GREY, tuple("0123456789"))
    weights = filters(classifier, "features.3")
    axes, _ = plot_filters(classifier, "features.3").axes
    drawn = axes.images[0].get_array()
    assert drawn.shape == (15 * 3, 30 * 3)
    assert np.array_equal(drawn[6:9, 12:15], weights[2, 4])
    assert axes.get_title() == "features.3:\n15 filters of 3 x 3"
    assert axes.get_xlabel() == "input channel (30)"


def test_chosen_filters_keep_their_numbers():
    classifier = Classifier(models.BetterCNN(), GREY, tuple("0123456789"))
    axes, _ = plot_filters(classifier, "features.3", channels=[7, 2]).axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["7", "2"]
    assert "2 of 15 filters" in axes.get_title()
    weights = filters(classifier, "features.3")
    assert np.array_equal(axes.images[0].get_array()[3:6, :3], weights[2, 0])
    assert titles(plot_filters(classifier, channels=[4, 29])) == ["4", "29"]


def test_of_large_layers_the_first_are_drawn_and_it_is_said():
    classifier = classifier_of(
        nn.Conv2d(1, 70, 3), nn.Conv2d(70, 40, 1), nn.Conv2d(40, 80, 5, groups=40)
    )
    first = plot_filters(classifier)
    assert "the first 64 of 70 filters" in first.get_suptitle()
    assert titles(first) == [str(number) for number in range(64)]
    deep = plot_filters(classifier, "1").axes[0]
    assert deep.images[0].get_array().shape == (32, 32)
    assert "the first 32 of 40 filters" in deep.get_title()
    assert deep.get_xlabel() == "input channel (the first 32 of 70)"
    depthwise = plot_filters(classifier, "2")
    assert (
        "the first 64 of 80 filters of 5 x 5, each on one input channel" in depthwise.get_suptitle()
    )
    assert depthwise.axes[0].images[0].cmap.name == "RdBu_r"


def test_a_deeper_layer_of_three_channels_has_no_colours():
    classifier = classifier_of(
        nn.Conv2d(3, 8, 3), nn.Conv2d(8, 3, 3), nn.Conv2d(3, 4, 3), preprocessing=COLOUR
    )
    assert plot_filters(classifier).axes[0].images[0].get_array().shape == (3, 3, 3)
    assert plot_filters(classifier, "2").axes[0].images[0].get_array().shape == (12, 9)


def test_both_branches_that_see_the_image_are_drawn_alike():
    classifier = Classifier(models.BranchCNN(2), GREY, ("a", "b"))
    names = [
        name for name, module in classifier.network.named_modules() if isinstance(module, nn.Conv2d)
    ]
    for name in names:
        assert plot_filters(classifier, name).axes[0].images[0].cmap.name == "gray"


def test_filters_that_are_all_zero_can_be_drawn():
    layer = nn.Conv2d(1, 2, 3)
    nn.init.zeros_(layer.weight)
    figure = plot_filters(classifier_of(layer))
    figure.canvas.draw()
    assert figure.axes[0].images[0].get_clim() == (-1, 1)


def test_what_cannot_be_drawn_is_one_clear_error(digit_classifier):
    with pytest.raises(errors.UnknownLayerError, match="did you mean"):
        filters(digit_classifier, "features.00")
    with pytest.raises(errors.UnknownLayerError, match="must be a Conv2d or ConvTranspose2d"):
        filters(classifier_of(nn.Conv2d(1, 1, 1), nn.ReLU()), "1")
    dense = classifier_of(nn.Flatten(), nn.Linear(784, 2))
    for layer in (None, "1"):
        with pytest.raises(errors.UnknownLayerError, match="Sequential has none; choose a network"):
            filters(dense, layer)
    with pytest.raises(errors.UnknownLayerError, match="4 filters, numbered 0 to 3, received 4"):
        plot_filters(classifier_of(nn.Conv2d(1, 4, 3)), channels=[0, 4])
    broken = nn.Conv2d(1, 4, 3)
    nn.init.constant_(broken.weight, float("inf"))
    with pytest.raises(errors.ModelError, match="filters of layer '0' must be finite"):
        plot_filters(classifier_of(broken))


def test_a_mosaic_is_its_tiles():
    tiles = np.arange(2 * 3 * 4 * 5, dtype=np.float32).reshape(2, 3, 4, 5)
    picture = mosaic(tiles)
    assert picture.shape == (8, 15)
    for row in range(2):
        for column in range(3):
            part = picture[row * 4 : row * 4 + 4, column * 5 : column * 5 + 5]
            assert np.array_equal(part, tiles[row, column])


@pytest.mark.parametrize(
    ("chosen", "text"),
    [
        (range(5), "5 maps"),
        (range(3), "the first 3 of 5 maps"),
        ([0], "the first of 5 maps"),
        ([4, 1], "2 of 5 maps"),
    ],
)
def test_a_selection_is_said(chosen, text):
    assert selection_text(list(chosen), 5, "map") == text
    assert selection_text([0], 1, "map") == "1 map"


def test_channels_are_numbers_that_there_are():
    assert chosen_channels(5, None, 3, "map", "x") == [0, 1, 2]
    assert chosen_channels(5, [4, 0], 3, "map", "x") == [4, 0]
    for wanted in ([-1], [5], []):
        with pytest.raises(errors.UnknownLayerError, match="5 maps, numbered 0 to 4, received"):
            chosen_channels(5, wanted, 3, "map", "x")
