"""Attribution, beside oracles that share no code with it."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from torch import nn

from lamplighter.errors import ClassCountError, ModelError, UnknownClassError, UnknownLayerError
from lamplighter.explain.attribution.attribution import METHODS, as_method, attribute
from lamplighter.images.preprocessing import Preprocessing
from lamplighter.models.classifier import Classifier
from lamplighter.models.heads import KNNHead, SVMHead
from tests.explain.conftest import kept_as_it_was

GREY = Preprocessing(height=12, width=10, channels=1, mean=(0.1,), std=(0.5,))
COLOUR = Preprocessing(height=9, width=14)
UNIT = Preprocessing(height=12, width=10, channels=1, mean=(0.0,), std=(1.0,))


class Tiny(nn.Module):
    """A convolution, an activation, a pooling, a dense layer."""

    def __init__(self, channels=1, act=None, classes=3):
        super().__init__()
        torch.manual_seed(5)
        self.conv = nn.Conv2d(channels, 4, 3)
        self.act = act or nn.Tanh()
        self.fc = nn.Linear(4, classes)

    def forward(self, images):
        return self.fc(self.act(self.conv(images)).mean((2, 3)))


def classifier_of(network, preprocessing=GREY, classes=3):
    return Classifier(network, preprocessing, [f"class {index}" for index in range(classes)])


def images(preprocessing=GREY, count=2, seed=0):
    shape = (count, preprocessing.channels, preprocessing.height, preprocessing.width)
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("preprocessing", [GREY, COLOUR])
def test_saliency_is_the_slope_that_finite_differences_find(preprocessing):
    network = Tiny(preprocessing.channels).double()
    inputs = images(preprocessing, 1)
    found = attribute(
        classifier_of(Tiny(preprocessing.channels), preprocessing), inputs, "saliency", target=1
    ).maps[0]
    step, exact = 1e-5, inputs[0].double()
    slopes = np.zeros(exact.shape)
    for place in itertools.product(*map(range, exact.shape)):
        ends = []
        for sign in (1, -1):
            moved = exact.clone()
            moved[place] += sign * step
            ends.append(float(network(moved[None]).detach()[0, 1]))
        slopes[place] = (ends[0] - ends[1]) / (2 * step)
    np.testing.assert_allclose(found, np.abs(slopes).max(0), rtol=1e-3, atol=1e-6)


def test_smoothgrad_of_a_linear_network_is_its_weights():
    network = nn.Sequential(nn.Flatten(), nn.Linear(120, 3))
    found = attribute(classifier_of(network), images(), "smoothgrad", target=2, samples=3).maps
    weights = network[1].weight[2].detach().abs().reshape(12, 10).numpy()
    np.testing.assert_allclose(found, np.stack([weights] * 2), rtol=1e-5)


def test_smoothgrad_is_a_mean_over_noise_and_the_same_for_a_seed():
    classifier, inputs = classifier_of(Tiny()), images()
    state = torch.random.get_rng_state()
    first, again, other = (
        attribute(classifier, inputs, "smoothgrad", seed=seed).maps for seed in (1, 1, 2)
    )
    assert torch.equal(torch.random.get_rng_state(), state)
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    alone = attribute(classifier, inputs[1:], "smoothgrad", seed=1).maps
    np.testing.assert_allclose(alone[0], first[1], rtol=1e-5)


def test_grad_cam_is_what_a_hand_calculates():
    network = nn.Sequential(nn.Conv2d(1, 2, 1, bias=False), nn.Flatten(), nn.Linear(8, 2))
    with torch.no_grad():
        network[0].weight[:] = torch.tensor([1.0, -1.0]).reshape(2, 1, 1, 1)
        # The first map speaks for class 1 by 2 in the mean, the second by 1.
        rows = [[0.0] * 8, [2.0, 2, 1, 3, 1, 1, 0, 2]]
        network[2].weight[:] = torch.tensor(rows)
    preprocessing = Preprocessing(height=2, width=2, channels=1, mean=(0.0,), std=(1.0,))
    classifier = classifier_of(network, preprocessing, 2)
    inputs = torch.tensor([[[[1.0, 2.0], [-3.0, 4.0]]]])
    # 2 x + 1 (-x) = x, without what is negative.
    found = attribute(classifier, inputs, "grad-cam", target=1)
    np.testing.assert_allclose(found.maps[0], [[1, 2], [0, 4]])
    assert (found.settings["layer"], found.settings["layer_size"]) == ("0", [2, 2])
    signed = attribute(classifier, inputs, "grad-cam", target=1, relu=False)
    np.testing.assert_allclose(signed.maps[0], [[1, 2], [-3, 4]])


def test_grad_cam_agrees_with_captum(photo_classifier, photo):
    from captum.attr import LayerGradCam

    found = attribute(photo_classifier, photo, "grad-cam", target=985)
    network = photo_classifier.network
    coarse = LayerGradCam(network, network.backbone.bn2).attribute(
        found.inputs, target=985, relu_attributions=True
    )
    expected = nn.functional.interpolate(coarse, (96, 96), mode="bilinear")[0, 0].detach()
    np.testing.assert_allclose(found.maps[0], expected, rtol=1e-3, atol=1e-5)
    assert found.settings["layer"] == "backbone.bn2"


def test_occlusion_is_what_a_loop_finds():
    network, window, stride = Tiny(3), (4, 5), (2, 3)
    inputs = images(COLOUR, 1)
    found = attribute(
        classifier_of(network, COLOUR),
        inputs,
        "occlusion",
        target=0,
        window=window,
        stride=stride,
        baseline="black",
    ).maps[0]

    def score(batch):
        return float(network(batch).detach()[0, 0])

    falls, times = np.zeros((9, 14)), np.zeros((9, 14))
    tops = [top for top in range(0, 9, 2) if top - 2 + 4 < 9]
    lefts = [left for left in range(0, 14, 3) if left - 3 + 5 < 14]
    for top, left in itertools.product(tops, lefts):
        covered = inputs.clone()
        covered[:, :, top : top + 4, left : left + 5] = -1.0  # (0 - 0.5) / 0.5
        falls[top : top + 4, left : left + 5] += score(inputs) - score(covered)
        times[top : top + 4, left : left + 5] += 1
    np.testing.assert_allclose(found, falls / times, atol=1e-5)


def test_integrated_gradients_add_up(digit_classifier, digit_data):
    pixels = digit_data["test"].images[:6]
    found = attribute(digit_classifier, pixels, "integrated-gradients")
    network = digit_classifier.network.eval()
    black = digit_classifier.preprocessing.normalise(np.zeros((1, 1, 28, 28), np.uint8))
    with torch.no_grad():
        scores = network(found.inputs) - network(torch.from_numpy(black))
    whole = scores.numpy()[np.arange(6), found.targets]
    np.testing.assert_allclose(found.maps.sum((1, 2)), whole, rtol=0.05)
    assert (found.measured["gap"] < 0.05).all()
    assert found.settings["baseline"] == "black"


def even_steps(network, image, target, steps):
    """Return a plain Riemann sum over the middles of even steps from 0, shape (H, W)."""
    total = torch.zeros(image.shape, dtype=torch.float64)
    for part in ((torch.arange(steps) + 0.5) / steps).split(16):
        points = (part.reshape(-1, 1, 1, 1) * image).requires_grad_()
        (slopes,) = torch.autograd.grad(network(points)[:, target].sum(), points)
        total += slopes.double().sum(0)
    return (total / steps * image).sum(0).numpy()


@pytest.mark.slow
def test_integrated_gradients_of_a_photo_are_near_those_of_many_even_steps(photo_classifier, photo):
    found = attribute(photo_classifier, photo, "integrated-gradients")
    network, target = photo_classifier.network.eval(), int(found.targets[0])
    with torch.no_grad():  # the mean colour is 0
        logits = network(torch.stack([found.inputs[0], torch.zeros(3, 96, 96)]))[:, target]
    whole = float(logits[0] - logits[1])
    assert abs(found.maps.sum() - whole) <= 0.05 * abs(whole)
    assert found.measured["gap"][0] == pytest.approx(abs(found.maps.sum() / whole - 1), abs=1e-4)
    many = even_steps(network, found.inputs[0], target, 512)
    few = even_steps(network, found.inputs[0], target, int(found.measured["steps"][0]))
    missed = np.abs(found.maps[0] - many).sum()
    assert missed < 0.1 * np.abs(many).sum()
    assert missed < np.abs(few - many).sum()


class Kinked(nn.Module):
    """A score that rises between two thousandths and three of the way alone."""

    def forward(self, images):
        way = images.mean((1, 2, 3))[:, None] - torch.tensor([0.002, 0.003])
        rise = 1000 * (way[:, :1].relu() - way[:, 1:].relu())
        return torch.cat([rise, -rise, 0 * rise], 1)


def test_integrated_gradients_take_more_steps_where_the_gap_is_too_wide():
    inputs = torch.ones(1, 1, 12, 10)
    classifier = classifier_of(Kinked(), UNIT)
    found = attribute(classifier, inputs, "integrated-gradients", target=0, least_steps=2)
    assert 2 < found.measured["steps"][0] <= 256
    assert found.maps.sum() == pytest.approx(1, rel=0.05)
    assert found.notes == ()


class Jump(nn.Module):
    """A score with a jump that gradients do not see, beside a slope."""

    def forward(self, images):
        way = images.mean((1, 2, 3))[:, None]
        return torch.cat([way + (way > 0.3), -way, 0 * way], 1)


def test_integrated_gradients_say_where_most_steps_do_not_suffice():
    classifier = classifier_of(Jump(), UNIT)
    found = attribute(classifier, torch.ones(1, 1, 12, 10), "integrated-gradients", target=0)
    assert found.measured["steps"].tolist() == [256]
    assert found.measured["gap"][0] == pytest.approx(0.5)
    (note,) = found.notes
    assert "by 50 %" in note
    assert "256 steps" in note
    assert found.maps.sum() == pytest.approx(1)  # not scaled to the whole of 2


class Functional(nn.Module):
    """ReLUs as functions, in place, one module used twice, and a ReLU6."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(1)
        self.first, self.second = nn.Conv2d(1, 4, 3), nn.Conv2d(4, 4, 3)
        self.relu, self.relu6, self.fc = nn.ReLU(inplace=True), nn.ReLU6(), nn.Linear(4, 3)

    def forward(self, images):
        maps = self.relu(self.first(images))
        maps = self.relu6(3 * self.relu(self.second(maps)))
        return self.fc(nn.functional.relu(maps - 0.1, inplace=True).mean((2, 3)))


def test_guided_backpropagation_is_what_the_chain_rule_says():
    network, inputs = Functional(), images(count=1)
    found = attribute(classifier_of(network), inputs, "guided-backprop", target=0).maps[0]
    with torch.no_grad():  # backwards by hand: a ReLU passes what is positive where it was on
        first = network.first(inputs)
        second = network.second(first.relu())
        third = 3 * second.relu()
        last = third.clamp(0, 6) - 0.1
        gradient = network.fc.weight[0].reshape(1, 4, 1, 1).expand_as(last) / last[0, 0].numel()
        gradient = gradient.clamp(min=0) * (last > 0)
        gradient = 3 * gradient.clamp(min=0) * ((third > 0) & (third < 6))
        gradient = gradient.clamp(min=0) * (second > 0)
        gradient = nn.functional.conv_transpose2d(gradient, network.second.weight)
        gradient = gradient.clamp(min=0) * (first > 0)
        gradient = nn.functional.conv_transpose2d(gradient, network.first.weight)
    np.testing.assert_allclose(found, gradient.abs()[0, 0], rtol=1e-4, atol=1e-8)
    plain = attribute(classifier_of(network), inputs, "saliency", target=0).maps[0]
    assert not np.allclose(found, plain)


def test_guided_backpropagation_says_what_it_cannot_treat():
    with pytest.raises(ModelError, match=r"ReLU and ReLU6.*it has SiLU"):
        attribute(classifier_of(Tiny(act=nn.SiLU())), images(), "guided-backprop")
    both = Tiny(act=nn.Sequential(nn.ReLU(), nn.GELU()))
    assert "GELU" in attribute(classifier_of(both), images(), "guided-backprop").notes[0]


@pytest.mark.parametrize("method", METHODS)
def test_a_network_is_left_as_it_was(method, digit_classifier, digit_data):
    network = digit_classifier.network
    with kept_as_it_was(network):
        found = attribute(digit_classifier, digit_data["test"].images[0], method)
    assert found.maps.shape == (1, 28, 28)
    assert np.isfinite(found.maps).all()


class Failing(Tiny):
    """Fails when it is called for the second time and later."""

    calls = 0

    def forward(self, images):
        logits = super().forward(images)
        self.calls += 1
        if self.calls > 1:
            raise RuntimeError("out of order")
        return logits


@pytest.mark.parametrize("method", METHODS)
def test_a_network_is_left_as_it_was_when_it_fails(method):
    network = Failing(act=nn.ReLU())
    with kept_as_it_was(network), pytest.raises((ModelError, RuntimeError), match="out of order"):
        attribute(classifier_of(network), images(), method)


def test_targets_are_names_numbers_or_one_for_each():
    classifier, inputs = classifier_of(Tiny()), images()
    by_name = attribute(classifier, inputs, "saliency", target="class 2")
    by_number = attribute(classifier, inputs, "saliency", target=2)
    each = attribute(classifier, inputs, "saliency", target=["class 2", 0])
    assert by_name.target_names == ["class 2"] * 2
    assert each.targets.tolist() == [2, 0]
    assert np.array_equal(by_name.maps, by_number.maps)
    assert np.array_equal(each.maps[0], by_name.maps[0])
    assert not np.array_equal(each.maps[1], by_name.maps[1])
    with torch.no_grad():
        shares = classifier.network(inputs).softmax(1).numpy()
    default = attribute(classifier, inputs, "saliency")
    assert default.targets.tolist() == shares.argmax(1).tolist()
    np.testing.assert_allclose(default.target_probabilities, shares.max(1), rtol=1e-5)
    with pytest.raises(UnknownClassError, match="did you mean"):
        attribute(classifier, inputs, "saliency", target="clas 2")
    with pytest.raises(UnknownClassError):
        attribute(classifier, inputs, "saliency", target=3)
    for target in ([["a"], ["b"]], [None, None], 1.5):
        with pytest.raises(UnknownClassError, match="its name or by a number from 0 to 2, rec"):
            attribute(classifier, inputs, "saliency", target=target)
    for target in (np.int64(2), torch.tensor(2), np.array([2, 2])):
        named = attribute(classifier, inputs, "saliency", target=target)
        assert named.targets.tolist() == [2, 2]
    with pytest.raises(ModelError, match="one for each of the 2 images, received 1"):
        attribute(classifier, inputs, "saliency", target=[1])


def test_a_method_of_ones_own():
    def brightness(network, inputs, targets):
        assert not network.training
        assert targets.shape == (2,)
        return inputs.mean(1)

    found = attribute(classifier_of(Tiny()), images(), brightness)
    np.testing.assert_allclose(found.maps, images().mean(1))
    assert found.method.name == "brightness"
    with pytest.raises(ModelError, match=r"shape \(2, 12, 10\), received \(2, 1, 12, 10\)"):
        attribute(classifier_of(Tiny()), images(), lambda network, inputs, targets: inputs)


@pytest.mark.parametrize("spelling", ["GradCAM", "grad_cam", "Grad-CAM", "gradcam"])
def test_a_method_has_its_name_in_any_spelling(spelling):
    assert as_method(spelling).name == "grad-cam"


@pytest.mark.parametrize(
    ("method", "settings", "message"),
    [
        ("salience", {}, "no method of attribution 'salience'; did you mean 'saliency'.*occlusion"),
        ("occlusion", {"strid": 3}, "occlusion takes no setting 'strid'; did you mean 'stride'"),
        (7, {}, "a name or a function, received int"),
        ("saliency", {"steps": 3}, "saliency takes no setting 'steps'; it takes none"),
        ("smoothgrad", {"samples": 0}, "samples must be"),
        ("smoothgrad", {"noise": -1.0}, "noise must be"),
        ("integrated-gradients", {"least_steps": 1}, "at least 2"),
        ("integrated-gradients", {"baseline": "white"}, "baseline must be one of black"),
        ("occlusion", {"window": 11}, "must fit into the image of 12 x 10 pixels"),
        ("occlusion", {"window": 2, "stride": 3}, "stride must be at most the window"),
        ("occlusion", {"window": 0}, "window must be"),
        ("occlusion", {"window": 4.5}, "window must be a whole number.*received 4.5"),
        ("occlusion", {"stride": 2.5}, "stride must be a whole number.*received 2.5"),
        ("occlusion", {"window": (4, "5")}, "window must be a whole number.*received '5'"),
        ("occlusion", {"window": [4, 5, 6]}, "one number or .height, width., received"),
        ("grad-cam", {"layer": 5}, "a layer is given by its name.*received 5"),
    ],
)
def test_wrong_methods_and_settings_are_one_error_each(method, settings, message):
    with pytest.raises(ModelError, match=message):
        attribute(classifier_of(Tiny()), images(), method, **settings)


def test_grad_cam_of_a_layer_that_does_not_fit():
    classifier = classifier_of(Tiny())
    with pytest.raises(UnknownLayerError, match="did you mean 'conv'"):
        attribute(classifier, images(), layer="convv")
    with pytest.raises(UnknownLayerError, match=r"maps of more than one pixel, received 'fc'"):
        attribute(classifier, images(), layer="fc")
    dense = classifier_of(nn.Sequential(nn.Flatten(), nn.Linear(120, 3)))
    with pytest.raises(ModelError, match="no layer gives maps"):
        attribute(dense, images())


def knn(weights):
    head = KNNHead(4, 3, num_references=6, neighbours=6, weights=weights)
    head.references[:] = nn.functional.normalize(torch.randn(6, 4))
    head.labels[:] = torch.tensor([0, 0, 1, 1, 2, 2])
    return head


def test_votes_have_no_gradient_and_occlusion_needs_none():
    network = Tiny()
    network.fc = knn("uniform")
    for method in ("saliency", "grad-cam", "integrated-gradients", "smoothgrad"):
        with pytest.raises(ModelError, match=r"KNNHead counts votes.*occlusion"):
            attribute(classifier_of(network), images(), method)
    network.fc = knn("distance")
    assert attribute(classifier_of(network), images(), "saliency").maps.any()
    assert attribute(classifier_of(network), images(), "occlusion").maps.any()


@pytest.mark.parametrize("method", METHODS)
def test_a_support_vector_machine_is_explained_like_any_smooth_head(method):
    network = Tiny(act=nn.ReLU())
    network.fc = head = SVMHead(4, 3, num_vectors=6)
    head.vectors[:] = torch.randn(6, 4)
    head.coefficients[:] = torch.randn(3, 6)
    found = attribute(classifier_of(network), images(), method)
    assert found.maps.any()
    assert not any("votes" in note for note in found.notes)
    if method == "integrated-gradients":
        assert (found.measured["gap"] < 0.05).all()


def test_what_is_not_finite_or_does_not_fit_is_refused():
    network = Tiny()
    with torch.no_grad():
        network.conv.weight[0, 0, 0, 0] = float("nan")
    with pytest.raises(ModelError, match="finite"):
        attribute(classifier_of(network), images())
    with pytest.raises(ClassCountError, match="4 class names, but its network gives 3"):
        attribute(classifier_of(Tiny(), classes=4), images())
