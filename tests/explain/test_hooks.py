import gc

import pytest
import torch
from torch import nn
from torch.nn import functional as f

from lamplighter.errors import BundleError, ModelError, NetworkMissingError, UnknownLayerError
from lamplighter.explain.hooks import (
    activations_of,
    check_finite,
    find_layer,
    forward_pass,
    network_of,
    spatial_maps,
    untouched,
    voting_head,
)
from lamplighter.images.preprocessing import Preprocessing
from lamplighter.models.classifier import Architecture, Classifier
from lamplighter.models.heads import KNNHead, LinearHead
from lamplighter.saving.bundle import load, save
from tests.explain.conftest import hooks_on, kept_as_it_was

GREY = Preprocessing(height=8, width=8, channels=1, mean=(0.5,), std=(0.5,))


class Residual(nn.Module):
    """What a layer gives is changed in place afterwards, twice."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3, padding=1)
        self.act = nn.ReLU(inplace=True)
        self.fc = nn.Linear(4 * 64, 3)

    def forward(self, images):
        maps = self.conv(images)
        maps += 1
        return self.fc(self.act(maps).flatten(1))


class Failing(Residual):
    def forward(self, images):
        self.conv(images)
        raise RuntimeError("out of memory\nand more")


@pytest.fixture
def network():
    torch.manual_seed(0)
    return Residual()


def test_a_look_inside_leaves_no_trace(network):
    network.train()
    network.fc.eval()
    network.conv.weight.requires_grad_(False)
    with kept_as_it_was(network):
        with untouched(network), activations_of(network, ["conv", "act"]):
            assert not any(module.training for module in network.modules())
            assert not any(parameter.requires_grad for parameter in network.parameters())
            assert all(parameter.grad is None for parameter in network.parameters())
            assert hooks_on(network) == 2
            forward_pass(network, torch.rand(2, 1, 8, 8))
        assert hooks_on(network) == 0


def test_hooks_of_others_stay(network):
    calls = []
    handle = network.conv.register_forward_hook(lambda *_: calls.append(1))
    with kept_as_it_was(network), untouched(network), activations_of(network, ["conv"]):
        network(torch.rand(1, 1, 8, 8))
    network(torch.rand(1, 1, 8, 8))
    assert (len(calls), hooks_on(network)) == (2, 1)
    handle.remove()


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_hooks_are_gone_when_the_forward_pass_raises(network, error):
    def fail(*_):
        raise error

    network.fc.register_forward_pre_hook(fail)
    before = hooks_on(network)
    with (
        kept_as_it_was(network),
        pytest.raises(error),
        untouched(network),
        activations_of(network, ["conv", "act", "fc"]),
    ):
        network(torch.rand(1, 1, 8, 8))
    assert hooks_on(network) == before == 1


def test_hooks_that_others_forget_inside_are_removed(network):
    with kept_as_it_was(network), untouched(network):
        network.act.register_forward_pre_hook(lambda *_: None)
        network.act.register_full_backward_hook(lambda *_: None)
        network.conv.register_forward_hook(lambda *_, **__: None, with_kwargs=True)
        assert hooks_on(network) > 2
    network.act.register_backward_hook(lambda *_: None)  # refused beside a full one
    assert hooks_on(network) == 1


def test_untouched_within_untouched(network):
    network.train()
    with kept_as_it_was(network), untouched(network):
        with untouched(network, parameter_gradients=True):
            pass
        assert not network.training
        assert not network.conv.weight.requires_grad


def test_parameters_may_have_gradients_inside_that_do_not_stay(network):
    with kept_as_it_was(network), untouched(network, parameter_gradients=True):
        network(torch.rand(1, 1, 8, 8)).sum().backward()
        assert network.conv.weight.grad is not None


def test_activations_are_those_of_the_layer_though_they_are_changed_in_place(network):
    images = torch.rand(2, 1, 8, 8)
    plain = f.conv2d(images, network.conv.weight, network.conv.bias, padding=1)
    expected = network(images)
    with untouched(network), activations_of(network, ["conv", "act"]) as outputs:
        logits = network(images)
    assert torch.equal(outputs["conv"], plain)
    assert torch.equal(outputs["act"], (plain + 1).relu())
    assert torch.equal(logits, expected)


def test_activations_are_part_of_the_graph_of_gradients(network):
    images = torch.rand(2, 1, 8, 8, requires_grad=True)
    with untouched(network), activations_of(network, ["act"]) as outputs:
        score = network(images)[:, 1].sum()
    (gradient,) = torch.autograd.grad(score, outputs["act"])
    by_hand = network.fc.weight[1].detach().reshape(4, 8, 8).expand(2, 4, 8, 8)
    assert torch.allclose(gradient, by_hand)


def test_of_a_layer_called_twice_the_last_output_is_kept():
    act = nn.ReLU()
    network = nn.Sequential(act, nn.Flatten(), nn.Linear(4, 2), act)
    with activations_of(network, ["0"]) as outputs:
        logits = network(torch.rand(1, 1, 2, 2))
    assert torch.equal(outputs["0"], logits)


@pytest.mark.slow
def test_no_memory_grows_over_200_looks(network):
    def look():
        with untouched(network), activations_of(network, ["conv", "act"]) as outputs:
            images = torch.rand(1, 1, 8, 8, requires_grad=True)
            torch.autograd.grad(forward_pass(network, images).sum(), outputs["act"])

    def living():
        gc.collect()
        return sum(issubclass(type(thing), torch.Tensor) for thing in gc.get_objects())

    look()
    before, hooks = living(), hooks_on(network)
    for _ in range(200):
        look()
    assert living() <= before
    assert hooks_on(network) == hooks


def test_find_layer(network):
    assert find_layer(network, "conv") is network.conv
    assert find_layer(network, "conv", nn.Conv2d) is network.conv
    assert find_layer(network, "fc", (nn.Conv2d, nn.Linear)) is network.fc


@pytest.mark.parametrize(
    ("name", "kind", "message"),
    [
        (
            "convv",
            None,
            "has no layer 'convv'; did you mean 'conv'? It has conv, act, fc.",
        ),
        ("", None, "the network has no layer ''; it has conv, act, fc."),
        ("conv", nn.Linear, "layer 'conv' must be a Linear, received a Conv2d; it has fc."),
        ("conv", nn.LSTM, "layer 'conv' must be a LSTM, received a Conv2d; it has none."),
        ("x", (nn.Conv2d, nn.Linear), "no Conv2d or Linear 'x'; it has conv, fc."),
    ],
)
def test_a_layer_that_is_not_there_names_near_ones(network, name, kind, message):
    with pytest.raises(UnknownLayerError) as error:
        find_layer(network, name, kind)
    assert message in str(error.value)


def test_the_last_part_of_a_name_finds_the_layer(photo_classifier):
    with pytest.raises(UnknownLayerError, match=r"did you mean 'backbone\.conv_stem'\?"):
        find_layer(photo_classifier.network, "conv_stem")
    with pytest.raises(UnknownLayerError) as error:
        find_layer(photo_classifier.network, "nothing like it")
    assert "and 2" in str(error.value)  # some 270 more, not all of them


def test_no_hook_stays_where_one_of_the_names_is_wrong(network):
    with pytest.raises(UnknownLayerError), activations_of(network, ["conv", "none"]):
        pass
    assert hooks_on(network) == 0


def test_a_forward_pass_that_fails_is_one_line(network):
    with pytest.raises(ModelError, match=r"fails on images of shape \(1, 3, 8, 8\): .*channels"):
        forward_pass(network, torch.rand(1, 3, 8, 8))
    with pytest.raises(ModelError) as error:
        forward_pass(Failing(), torch.rand(1, 1, 8, 8))
    assert "out of memory; do its layers" in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("network", "received"),
    [(nn.Identity(), r"one of shape \(1, 1, 8, 8\)"), (nn.LSTM(8, 2), "tuple")],
)
def test_what_is_no_classifier_is_refused(network, received):
    inputs = torch.rand(1, 1, 8, 8) if isinstance(network, nn.Identity) else torch.rand(1, 1, 8)
    with pytest.raises(ModelError, match=rf"logits \(N, K\), received {received}"):
        forward_pass(network, inputs)


@pytest.mark.parametrize(
    ("shape", "size", "maps"),
    [
        ((2, 16, 7, 7), (224, 224), (2, 16, 7, 7)),
        ((2, 7, 7, 768), (224, 224), (2, 768, 7, 7)),  # channels last
        ((2, 7, 25, 96), (240, 800), (2, 96, 7, 25)),
        ((2, 96, 3, 12), (240, 800), (2, 96, 3, 12)),
        ((2, 7, 7, 7), (28, 28), (2, 7, 7, 7)),
        ((2, 5, 9, 3), (28, 28), (2, 5, 9, 3)),  # like nothing: as torch has it
        ((2, 1280, 1, 1), (224, 224), None),
        ((2, 1, 1, 1280), (224, 224), None),
        ((2, 197, 192), (224, 224), None),
        ((128, 3, 49, 49), (224, 224), None),  # attention within windows
    ],
)
def test_maps_have_places_and_their_channels_first(shape, size, maps):
    found = spatial_maps(torch.zeros(shape), size, count=2)
    assert (None if found is None else tuple(found.shape)) == maps


def test_values_must_be_finite():
    check_finite(torch.ones(3), "x")
    with pytest.raises(ModelError, match=r"the x must be finite, .* in 2 of 3 places"):
        check_finite(torch.tensor([1.0, float("nan"), float("inf")]), "the x")


def test_only_a_classifier_has_a_network(network):
    with pytest.raises(ModelError, match="explaining takes a Classifier, received a Residual"):
        network_of(network)


def test_a_bundle_of_a_network_of_ones_own_says_what_to_do(network, tmp_path):
    path = save(Classifier(network, GREY, ("a", "b", "c")), tmp_path / "own.lamp")
    with pytest.raises(NetworkMissingError) as error:
        network_of(load(path))
    assert "Residual" in str(error.value)
    assert "load(path, network=...)" in str(error.value)
    assert "\n" not in str(error.value)
    assert network_of(load(path, network=Residual())).fc.out_features == 3


def test_a_bundle_whose_network_cannot_be_built_is_one_error():
    def build():
        raise BundleError("the network of the bundle, quick-cnn, cannot be built: no such argument")

    with pytest.raises(BundleError, match="cannot be built"):
        network_of(Classifier.from_graph(b"", build, GREY, ("a", "b")))


def test_heads_that_vote_are_found(network):
    knn = KNNHead(4, 2, num_references=5, neighbours=3)
    assert voting_head(nn.Sequential(nn.Flatten(), knn)) is knn
    assert voting_head(nn.Sequential(nn.Flatten(), LinearHead(4, 2))) is None


def test_the_classifier_of_a_network_of_ones_own_is_looked_into(network):
    classifier = Classifier(network, GREY, ("a", "b", "c"), architecture=Architecture("x"))
    assert network_of(classifier) is network
