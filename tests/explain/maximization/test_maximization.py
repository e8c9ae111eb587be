"""Maximised images: recognised by another network, and the classifier left as it was."""

from __future__ import annotations

import gc
import re

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from lamplighter.errors import ModelError, UnknownClassError, UnknownLayerError
from lamplighter.explain.maximization.maximization import PLAIN, maximise, plot_maximised
from lamplighter.explain.maximization.objectives import channel, class_, layer, neuron
from lamplighter.explain.maximization.transforms import Jitter
from lamplighter.images.preprocessing import Preprocessing
from lamplighter.models.classifier import Classifier
from lamplighter.models.heads import KNNHead, SVMHead
from tests.explain.conftest import kept_as_it_was

DIGITS = [str(digit) for digit in range(10)]


def classifier_of(network: nn.Module, size: tuple[int, int] = (12, 16), channels: int = 3):
    preprocessing = Preprocessing(
        height=size[0],
        width=size[1],
        channels=channels,
        mean=(0.5,) * channels,
        std=(0.25,) * channels,
    )
    return Classifier(network, preprocessing, ("cat", "dog", "horse"))


def small_network(channels: int = 3) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(channels, 4, 3, padding=1),
        nn.BatchNorm2d(4),
        nn.ReLU(inplace=True),
        nn.Dropout(0.5),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Linear(16, 3),
    )


def answers(classifier: Classifier, pixels: np.ndarray) -> np.ndarray:
    """Return probabilities (N, K), computed without the code under test."""
    with torch.no_grad():
        inputs = torch.from_numpy(classifier.preprocessing.normalise(pixels))
        return classifier.network.eval()(inputs).softmax(1).numpy()


@pytest.fixture(scope="module")
def well_trained(mnist) -> tuple[Classifier, Classifier]:
    """Two networks of different kinds on all of MNIST, from different seeds; over 99 % on test.

    Of the lab recipe: the quick one smooths labels, which leaves its networks less than 0.9 sure
    of one real digit in ten.
    """
    from lamplighter.training.recipes import train

    return (
        train(mnist, recipe="lab", model="quick-cnn", seed=7, verbose=0),
        train(mnist, recipe="lab", model="better-cnn", seed=11, verbose=0),
    )


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_digits_are_recognised_by_another_network(well_trained, seed):
    for one, other in (well_trained, well_trained[::-1]):
        found = maximise(one, DIGITS, seed=seed)
        own = answers(one, found.images)[np.arange(10), np.arange(10)]
        np.testing.assert_allclose(found.probabilities, own, atol=1e-5)
        assert (own > 0.9).all()
        foreign = answers(other, found.images)[np.arange(10), np.arange(10)]
        assert (foreign > 0.9).sum() >= 8, foreign.round(2)


def test_the_objective_rises_and_the_score_is_that_of_the_image(digit_classifier):
    found = maximise(digit_classifier, [class_("3"), class_("8") - class_("3")], steps=60)
    assert found.images.shape == (2, 1, 28, 28)
    assert found.images.dtype == np.uint8
    assert found.history.shape == (60, 2)
    assert (found.scores > found.history[0] + 1).all()
    with torch.no_grad():
        inputs = digit_classifier.preprocessing.normalise(found.images)
        logits = digit_classifier.network.eval()(torch.from_numpy(inputs)).numpy()
    expected = [logits[0, 3], logits[1, 8] - logits[1, 3]]
    np.testing.assert_allclose(found.scores, expected, rtol=1e-4)
    assert found.objectives == ("class 3", "class 8 - class 3")


def test_plain_gradient_ascent_is_the_textbooks():
    """Three steps written out: add the gradient, made 1 long on average, and cut off."""
    network = small_network()
    classifier = classifier_of(network)
    found = maximise(classifier, class_("dog"), steps=3, noise=0.0, **PLAIN)
    image = torch.full((1, 3, 12, 16), 0.5)
    network.eval()
    for _ in range(3):
        image.requires_grad_()
        (gradient,) = torch.autograd.grad(network((image - 0.5) / 0.25)[0, 1], image)
        step = PLAIN["learning_rate"] * gradient / gradient.abs().mean()
        image = (image + step).clamp(0, 1).detach()
    expected = (image * 255).round().numpy().astype(np.uint8)
    assert abs(found.images.astype(int) - expected).max() <= 1
    assert (found.history[1:] > found.history[:-1]).all()


def test_a_seed_gives_the_same_and_others_do_not_matter():
    classifier = classifier_of(small_network())
    state = torch.random.get_rng_state()
    together = maximise(classifier, ["cat", "dog"], steps=8, noise=0.1, seed=5)
    again = maximise(classifier, ["cat", "dog"], steps=8, noise=0.1, seed=5)
    alone = maximise(classifier, "dog", steps=8, noise=0.1, seed=5)
    singly = maximise(classifier, ["cat", "dog"], steps=8, noise=0.1, seed=5, batch_size=1)
    other = maximise(classifier, "dog", steps=8, noise=0.1, seed=6)
    assert np.array_equal(together.images, again.images)
    for images in (alone.images, singly.images[1:]):
        assert abs(images.astype(int) - together.images[1:]).max() <= 2
    assert abs(other.images.astype(int) - alone.images).max() > 5
    assert torch.equal(torch.random.get_rng_state(), state)


def test_copies_views_and_progress():
    classifier = classifier_of(small_network())
    told = []
    found = maximise(
        classifier,
        ["cat", "dog"],
        steps=3,
        copies=2,
        views=2,
        noise=0.1,
        batch_size=3,
        progress=lambda done, total: told.append((done, total)),
    )
    assert told == [(step, 6) for step in range(1, 7)]
    assert found.objectives == ("class cat", "class cat", "class dog", "class dog")
    assert len(found) == 4
    assert not np.array_equal(found.images[0], found.images[1])


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("parameterisation", ["pixel", "fourier"])
@pytest.mark.parametrize("bounds", ["sigmoid", "clamp"])
def test_any_part_of_the_network(channels, parameterisation, bounds):
    classifier = classifier_of(small_network(channels), channels=channels)
    wanted = [channel("0", 1), channel("2", 3), neuron("1", 2, 0, 15), neuron("6", 1), layer("2")]
    found = maximise(classifier, wanted, steps=30, parameterisation=parameterisation, bounds=bounds)
    assert found.images.shape == (5, channels, 12, 16)
    assert (found.history[-1] > found.history[0]).all()
    assert np.isnan(found.probabilities).all()


@pytest.mark.parametrize("training", [True, False])
def test_the_network_is_left_as_it_was(training):
    network = small_network().train(training)
    classifier = classifier_of(network)
    with kept_as_it_was(network):
        maximise(classifier, [class_("cat"), channel("2", 1)], steps=3)
    with kept_as_it_was(network), pytest.raises(UnknownLayerError):
        maximise(classifier, [class_("cat"), channel("2", 9)], steps=3)

    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with kept_as_it_was(network), pytest.raises(KeyboardInterrupt):
        maximise(classifier, "cat", steps=3, progress=stop)


def test_a_unit_that_is_off_everywhere_comes_alive():
    network = small_network().eval()
    with torch.no_grad():
        network[1].bias.fill_(-1.0)  # no place of any image near grey gets beyond 0
    classifier = classifier_of(network)
    found = maximise(classifier, channel("2", 1), steps=100)
    assert found.history[0] == 0
    assert found.scores[0] > 0


def test_values_that_are_not_finite():
    class Spoilt(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.dense = nn.Linear(3 * 12 * 16, 3)
            self.calls = 0

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            self.calls += 1
            return self.dense(images.flatten(1)) * (float("nan") if self.calls > 4 else 1)

    network = Spoilt()
    with kept_as_it_was(network), pytest.raises(ModelError) as caught:
        maximise(classifier_of(network), "cat", steps=9)
    assert "finite, received NaN or infinity in step 5 of maximising class cat" in str(caught.value)


def test_what_does_not_depend_on_the_image():
    network = small_network()
    with torch.no_grad():
        network[6].weight[1] = 0
    with pytest.raises(
        ModelError, match="no change of the image changes class dog: its gradient is 0"
    ):
        maximise(classifier_of(network), [class_("cat"), class_("dog")], steps=3)


def test_a_head_of_neighbours():
    class Voting(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.backbone = nn.Sequential(nn.Flatten(), nn.Linear(576, 4))
            self.head = KNNHead(4, 3, num_references=5, neighbours=3)

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            logits: torch.Tensor = self.head(self.backbone(images))
            return logits

    classifier = classifier_of(Voting())
    with pytest.raises(ModelError, match="received one where the nearest neighbours vote"):
        maximise(classifier, "cat", steps=2)
    assert len(maximise(classifier, channel("backbone.1", 2), steps=2)) == 1


def test_a_head_of_support_vectors_is_led_to_a_class():
    network = small_network()
    network[6] = head = SVMHead(16, 3, num_vectors=3)
    with torch.no_grad():
        generator = torch.Generator().manual_seed(0)
        head.vectors[:] = torch.nn.functional.normalize(torch.randn(3, 16, generator=generator))
        head.coefficients[:] = 16 * torch.eye(3)
    classifier = classifier_of(network)
    found = maximise(classifier, ["cat", "dog", "horse"], steps=60)
    shares = answers(classifier, found.images)
    assert shares.argmax(1).tolist() == [0, 1, 2]
    np.testing.assert_allclose(found.probabilities, shares.diagonal(), atol=1e-5)
    assert (found.history[-1] > found.history[0]).all()


@pytest.mark.parametrize(
    ("objective", "error", "message"),
    [
        ("cta", UnknownClassError, "no class 'cta'; did you mean 'cat'"),
        (class_(3), UnknownClassError, "a number from 0 to 2, received 3"),
        (channel("8", 0), UnknownLayerError, "no layer '8'"),
        (channel("2", 4), UnknownLayerError, "channels 0 to 3, received 4"),
        (neuron("6", 0, 1, 1), UnknownLayerError, "needs a layer with spatial maps"),
        (7, ModelError, "must be an objective"),
        ([], ModelError, "must be an objective"),
    ],
)
def test_what_cannot_be_maximised(objective, error, message):
    with pytest.raises(error, match=re.escape(message)):
        maximise(classifier_of(small_network()), objective, steps=2)


@pytest.mark.parametrize(
    "wrong",
    [
        {"copies": 0},
        {"batch_size": 0},
        {"noise": -1},
        {"seed": -1},
        {"seed": 0.5},
        {"transforms": (3,)},
        {"transforms": 5},
        {"transforms": Jitter(2)},
        {"parameterisation": "wavelet"},
        {"bounds": "tanh"},
    ],
)
def test_settings_out_of_range(wrong):
    with pytest.raises(ModelError, match=f"{next(iter(wrong))} must be .*received"):
        maximise(classifier_of(small_network()), "cat", steps=2, **wrong)


@pytest.mark.slow
def test_nothing_of_an_ascent_stays_in_memory():
    classifier = classifier_of(small_network())

    def tensors() -> int:
        gc.collect()
        return sum(issubclass(type(thing), torch.Tensor) for thing in gc.get_objects())

    maximise(classifier, ["cat", channel("2", 1)], steps=2)
    before = tensors()
    for _ in range(5):
        maximise(classifier, ["cat", channel("2", 1)], steps=2)
    assert tensors() <= before


def test_the_figure_names_each_image():
    found = maximise(classifier_of(small_network()), [class_("cat"), channel("2", 1)], steps=2)
    figure = plot_maximised(found, title="what it wants")
    titles = [axes.get_title() for axes in figure.axes]
    assert titles[0].splitlines() == ["class cat", f"{found.probabilities[0]:.3f}"]
    assert titles[1].splitlines()[1] == f"value {found.scores[1]:.3g}"
    drawn = figure.axes[0].images[0].get_array()
    assert np.array_equal(drawn, found.images[0].transpose(1, 2, 0))


@pytest.mark.slow
def test_a_photo_network_and_its_dead_units(photo_classifier):
    wanted = [class_("goldfish"), channel("backbone.blocks.1.0.bn1.act", 5)]
    with kept_as_it_was(photo_classifier.network):
        found = maximise(photo_classifier, wanted, steps=40)
    assert found.probabilities[0] > 0.9
    assert found.history[-1, 1] > 2 * found.history[0, 1]


@pytest.mark.slow
def test_a_photo_network_knows_parts_of_its_image_too(photo_classifier):
    """Noise that deceives a network does so pixel by pixel: enlarged parts of it do not."""
    network = photo_classifier.network
    name = next(n for n in photo_classifier.class_names if n.startswith("daisy"))

    def known(**settings):
        image = maximise(photo_classifier, [name], steps=64, **settings).images[0]
        pixels = torch.from_numpy(photo_classifier.preprocessing.normalise(image[np.newaxis]))
        size = pixels.shape[-1]
        fifth = size // 5
        parts = [pixels[..., :-fifth, :-fifth], pixels[..., fifth:, fifth:]]
        enlarged = torch.cat([functional.interpolate(part, (size, size)) for part in parts])
        with torch.inference_mode():
            shares = network(enlarged).softmax(1)
        return shares[:, photo_classifier.class_names.index(name)]

    assert known().min() > 0.9
    # One part of one image may be known by chance: which, a change of 1e-5 in the weights decides.
    plain = torch.cat([known(seed=seed, **PLAIN) for seed in range(3)])
    assert plain.median() < 0.1
    assert (plain < 0.5).float().mean() > 0.7
