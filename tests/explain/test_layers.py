import pytest
import torch
from torch import nn

from lamplighter import Classifier, Preprocessing, errors, layers, models
from tests.explain.conftest import kept_as_it_was

SMALL = Preprocessing(height=28, width=20, channels=1, mean=(0.5,), std=(0.5,))


def classifier_of(network: nn.Module) -> Classifier:
    return Classifier(network, SMALL, ("a", "b"))


def test_names_kinds_shapes_and_parameters():
    network = models.SimpleCNN(2, 1, (28, 20))
    found = {layer.name: layer for layer in layers(classifier_of(network))}
    assert list(found) == [name for name, _ in network.named_modules() if name]
    conv = found["features.0"]
    assert (conv.kind, conv.output_shape, conv.spatial) == ("Conv2d", (32, 24, 16), True)
    assert conv.parameters == 32 * 25 + 32
    assert found["features"].output_shape == (32, 12, 8)
    assert found["features"].parameters == conv.parameters
    assert (found["fc"].output_shape, found["fc"].spatial) == ((2,), False)
    total = sum(parameter.numel() for parameter in network.parameters())
    assert found["features"].parameters + found["hidden"].parameters + 128 * 2 + 2 == total


def test_the_network_is_left_as_it_was(photo_classifier, digit_classifier):
    for classifier in (photo_classifier, digit_classifier):
        with kept_as_it_was(classifier.network):
            found = layers(classifier)
        assert any(layer.spatial for layer in found)
        assert found[-1].output_shape == (classifier.num_classes,)


def test_a_layer_that_is_not_called_or_gives_no_tensor():
    class Odd(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.rows = nn.LSTM(20, 2, batch_first=True)
            self.idle = nn.Linear(3, 3)

        def forward(self, images):
            return self.rows(images[:, 0])[0][:, -1]

    rows, idle = layers(classifier_of(Odd()))
    assert (rows.kind, rows.output_shape, rows.spatial) == ("LSTM", None, False)
    assert (idle.output_shape, idle.parameters) == (None, 12)


def test_a_network_for_other_images_is_one_error():
    network = nn.Sequential(nn.Conv2d(3, 2, 3), nn.Flatten(), nn.Linear(4, 2))
    with (
        kept_as_it_was(network),
        pytest.raises(errors.ModelError, match=r"images of shape \(1, 1, 28, 20\)"),
    ):
        layers(classifier_of(network))


def test_shapes_are_those_of_an_image_whatever_mode_the_network_is_in():
    network = nn.Sequential(
        nn.AdaptiveAvgPool2d(1), nn.BatchNorm2d(1), nn.Flatten(), nn.Linear(1, 2)
    ).train()
    with kept_as_it_was(network):  # BatchNorm refuses one value for each channel while training
        pool, norm, *_ = layers(classifier_of(network))
    assert (pool.output_shape, norm.spatial) == ((1, 1, 1), False)
    assert torch.equal(network[1].running_mean, torch.zeros(1))
