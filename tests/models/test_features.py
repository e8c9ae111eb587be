import pytest
import torch
from torch import nn

from lamplighter.models.branching import ResidualCNN
from lamplighter.models.cnn import BetterCNN
from lamplighter.models.features import forward_with_features, head_of, inputs_of, num_features
from lamplighter.models.pretrained import PretrainedNetwork

IMAGES = torch.linspace(-1, 1, 2 * 3 * 32 * 32).reshape(2, 3, 32, 32)


@pytest.fixture(scope="module")
def tiny():
    """A pretrained network of timm's smallest backbone, with random weights."""
    return PretrainedNetwork(4, 3, (32, 32), backbone="test_resnet").eval()


def hooks(network):
    return sum(len(module._forward_pre_hooks) for module in network.modules())


class TestHead:
    def test_of_a_pretrained_network_is_its_head(self, tiny):
        assert head_of(tiny) is tiny.head
        assert num_features(tiny) == tiny.num_features == tiny.head.in_features

    def test_of_a_network_of_timm_is_its_classifier(self):
        import timm

        network = timm.create_model("test_resnet", num_classes=4)
        assert head_of(network) is network.fc

    def test_of_any_other_is_its_last_dense_layer(self):
        network = BetterCNN(5, 3, (32, 32))
        dense = [module for module in network.modules() if isinstance(module, nn.Linear)]
        assert head_of(network) is dense[-1]
        assert num_features(network) == 50

    @pytest.mark.parametrize("network", [nn.Flatten(), nn.Linear(3, 2), nn.Conv2d(3, 4, 1)])
    def test_is_missing_where_no_layer_is_the_last_of_several(self, network):
        assert head_of(network) is None
        assert num_features(network) is None


class TestForward:
    def test_gives_what_the_parts_give(self, tiny):
        with torch.no_grad():
            logits, features = forward_with_features(tiny, IMAGES)
            expected = tiny.backbone(IMAGES)
        assert torch.equal(features, expected)
        assert torch.equal(logits, tiny.head(expected))
        assert features.shape == (2, tiny.num_features)

    def test_gives_pooled_maps_of_a_convolutional_network(self):
        network = ResidualCNN(5, 3, (32, 32)).eval()
        with torch.no_grad():
            _, features = forward_with_features(network, IMAGES)
            expected = network.features(IMAGES).mean(dim=(2, 3))
        torch.testing.assert_close(features, expected)

    def test_leaves_no_hook_behind(self, tiny):
        forward_with_features(tiny, IMAGES)
        assert hooks(tiny) == 0
        with pytest.raises(RuntimeError):
            forward_with_features(tiny, IMAGES[:, :2])
        assert hooks(tiny) == 0

    def test_has_none_for_a_layer_that_is_called_twice_or_never(self):
        class Twice(nn.Module):
            def __init__(self, times):
                super().__init__()
                self.fc = nn.Linear(4, 4)
                self.times = times

            def forward(self, images):
                outputs = images.mean(dim=(2, 3))
                for _ in range(self.times):
                    outputs = self.fc(outputs)
                return outputs

        images = torch.rand(3, 4, 2, 2)
        for times, has in ((0, False), (1, True), (2, False)):
            _, features = forward_with_features(Twice(times), images)
            assert (features is not None) == has

    def test_has_none_where_the_layer_is_not_given_vectors(self):
        network = nn.Sequential(nn.Flatten(2), nn.Linear(1024, 4), nn.Flatten())
        assert forward_with_features(network, IMAGES)[1] is None


def test_inputs_are_kept_in_order_while_it_lasts():
    layer = nn.Linear(2, 2)
    rows = torch.eye(2)
    with inputs_of(layer) as inputs:
        layer(rows[:1])
        layer(rows[1:])
    layer(rows)
    assert [given.tolist() for given in inputs] == [[[1, 0]], [[0, 1]]]
