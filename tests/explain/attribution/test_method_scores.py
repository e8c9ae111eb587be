"""Which map to believe: the sanity check, deletion and insertion, methods side by side, plots."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.stats import spearmanr
from torch import nn

from lamplighter.errors import DataError, ModelError, ShapeError, UnknownClassError
from lamplighter.explain.attribution.attribution import attribute
from lamplighter.explain.attribution.curves import deletion_curve, insertion_curve, mean_of
from lamplighter.explain.attribution.method_comparison import compare_methods
from lamplighter.explain.attribution.plots import plot_attribution, plot_curves
from lamplighter.explain.attribution.sanity import (
    rank_correlation,
    sanity_check,
    structural_similarity,
)
from lamplighter.explain.attribution.score_plots import plot_comparison, plot_sanity
from lamplighter.images.preprocessing import Preprocessing
from lamplighter.inference.predictor import predict
from lamplighter.models.classifier import Classifier
from lamplighter.models.heads import KNNHead, SVMHead
from lamplighter.models.reliability import Trust
from tests.explain.conftest import kept_as_it_was


def edges(network, inputs, targets):
    """A fake: it looks at the image alone."""
    across = torch.tensor([[-1.0, 0, 1], [-2, 0, 2], [-1, 0, 1]])[None, None]
    grey = inputs.mean(1, keepdim=True)
    slopes = [nn.functional.conv2d(grey, part, padding=1) for part in (across, across.mT)]
    return (slopes[0] ** 2 + slopes[1] ** 2).sqrt()[:, 0]


@pytest.fixture(scope="module")
def digits(digit_data):
    return digit_data["test"].images[:8]


@pytest.mark.parametrize("method", ["saliency", "integrated-gradients", "grad-cam", "occlusion"])
def test_a_real_method_passes(method, digit_classifier, digits):
    with kept_as_it_was(digit_classifier.network):
        check = sanity_check(digit_classifier, digits, method)
    assert check.passed
    assert check.verdict.startswith("passes: with random weights")
    assert check.similarity.low <= check.similarity.value <= check.similarity.high


def test_a_fake_fails(digit_classifier, digits):
    check = sanity_check(digit_classifier, digits, edges)
    assert not check.passed
    assert check.similarity.value == pytest.approx(1)
    assert check.structures == pytest.approx(1)
    assert check.verdict.startswith("fails: with random weights the maps of edges correlate 1.00")


def test_real_and_fake_on_photos(photo_classifier, photo):
    assert sanity_check(photo_classifier, photo, "saliency").passed
    assert not sanity_check(photo_classifier, photo, edges).passed


def test_weights_become_random_from_the_last_layer_on(digit_classifier, digits):
    check = sanity_check(digit_classifier, digits, "saliency", stages=3)
    assert check.similarities.shape == check.structures.shape == (3, 8)
    means = check.similarities.mean(1)
    assert means[0] > means[2]
    assert list(check.layers) == sorted(check.layers)
    assert json.loads(json.dumps(check.to_dict()))["passed"] is True
    with pytest.raises(ModelError, match="stages must be"):
        sanity_check(digit_classifier, digits, stages=0)


class Frail(nn.Module):
    """Passes the image on where its one bias is above 0, and nothing where it is not."""

    def __init__(self):
        super().__init__()
        self.gate = nn.Parameter(torch.tensor([1.0, -1.0, -1.0, -1.0]))
        self.look = nn.Parameter(torch.arange(32.0).reshape(2, 16))

    def forward(self, inputs):
        return self.gate[0].relu() * inputs.flatten(1) @ self.look.T


class Gone(Frail):
    """The same with a weight that is 1 only in its own place: no draw keeps it alive."""

    def __init__(self):
        super().__init__()
        self.register_buffer("own", self.look.detach().clone())

    def forward(self, inputs):
        return super().forward(inputs) * torch.equal(self.look, self.own)


def tiny(network):
    sizes = {"height": 4, "width": 4, "channels": 1, "mean": (0.0,), "std": (1.0,)}
    return Classifier(network, Preprocessing(**sizes), ("a", "b"))


@pytest.mark.parametrize("method", ["saliency", "integrated-gradients", "occlusion"])
def test_weights_that_kill_the_network_are_drawn_again(method):
    """Three of four draws leave no signal: maps of 0 are no maps that have changed."""
    images = torch.rand(3, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    checks = [sanity_check(tiny(Frail()), images, method, seed=seed) for seed in range(3)]
    assert all(check.decided for check in checks)
    assert all(0 < abs(check.similarity.value) < 1 for check in checks)


def test_where_no_draw_lives_nothing_is_said():
    images = torch.rand(3, 1, 4, 4)
    check = sanity_check(tiny(Gone()), images, "saliency")
    assert not check.decided
    assert not check.passed
    assert check.verdict.startswith("undecided: ")
    written = json.loads(json.dumps(check.to_dict(), allow_nan=False))
    assert (written["similarity"], written["similarities"]) == (None, [[None] * 3])
    (score, _) = compare_methods(tiny(Gone()), images, ["saliency"], steps=4).scores
    assert score.verdict.startswith("cannot be told")


def head_of_buffers(kind):
    torch.manual_seed(0)
    if kind == "knn":
        head = KNNHead(16, 2, num_references=8, neighbours=3)
        head.references[:] = nn.functional.normalize(torch.randn(8, 16))
        head.labels[4:] = 1
    else:
        head = SVMHead(16, 2, num_vectors=8)
        head.vectors[:] = nn.functional.normalize(torch.randn(8, 16))
        head.coefficients[:] = torch.randn(2, 8)
    return head


@pytest.mark.parametrize("kind", ["knn", "svm"])
def test_a_head_without_parameters_forgets_too(kind):
    """All that is learned here is in buffers: maps that stayed would pass for a fake's."""
    network = nn.Sequential(nn.Flatten(), head_of_buffers(kind))
    images = torch.randn(6, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    with kept_as_it_was(network):
        check = sanity_check(tiny(network), images, "occlusion", window=2)
    assert check.layers == (1,)
    assert check.passed


def test_an_empty_map_does_not_count(digit_classifier, digits):
    """Some maps show nothing, and the others are the edges: it is a fake all the same."""

    def of_odd_digits(network, inputs, targets):
        return edges(network, inputs, targets) * (targets % 2)[:, None, None]

    targets = [0, 1] * 4
    check = sanity_check(digit_classifier, digits, of_odd_digits, target=targets)
    assert np.isnan(check.similarities[0]).tolist() == [True, False] * 4
    assert check.similarity.value == pytest.approx(1)
    assert not check.passed


def test_probabilities_are_those_of_predict(digit_classifier, digits):
    """With the temperature that makes them honest."""
    trusted = Classifier(
        digit_classifier.network,
        digit_classifier.preprocessing,
        digit_classifier.class_names,
    )
    trusted.trust = Trust(temperature=2.5)
    pictures = Image.fromarray(digits[0, 0]), Image.fromarray(digits[1, 0])
    found = attribute(trusted, pictures, "saliency")
    expected = predict(trusted, list(pictures))
    assert found.probabilities == pytest.approx(expected.probabilities, abs=1e-4)
    curve = deletion_curve(trusted, found, steps=4)
    assert curve.probabilities[:, 0] == pytest.approx(expected.probabilities.max(1), abs=1e-4)


def test_rank_correlation_is_scipys():
    generator = np.random.default_rng(0)
    one = generator.integers(1, 5, (9, 7)).astype(float)
    other = one + generator.normal(0, 2, (9, 7)).round()
    expected = spearmanr(one.ravel(), other.ravel()).statistic
    assert rank_correlation(one, other) == pytest.approx(expected)
    assert rank_correlation(one, one**3) == pytest.approx(1)
    assert rank_correlation(one, np.ones((9, 7))) == 0
    assert rank_correlation(np.zeros((3, 3)), np.zeros((3, 3))) == 1


def test_structural_similarity():
    one = np.random.default_rng(1).random((20, 20))
    assert structural_similarity(one, 3 * one) == pytest.approx(1)
    assert structural_similarity(one, one[::-1].copy()) < 0.3
    assert structural_similarity(one[:3, :3], one[:3, :3]) == pytest.approx(1)


class Brightness(nn.Module):
    """Its first logit is ten times the mean of the pixels on the left half, its second 5."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(10.0))

    def forward(self, images):
        left = self.scale * images[:, 0, :, :2].mean((1, 2))
        return torch.stack([left, torch.full_like(left, 5)], 1)


BRIGHT = Classifier(
    Brightness(),
    Preprocessing(height=4, width=4, channels=1, mean=(0.0,), std=(1.0,)),
    ["bright", "dark"],
)


EIGHT = Classifier(
    nn.Sequential(nn.Flatten(), nn.Linear(64, 2)),
    Preprocessing(height=8, width=8, channels=1, mean=(0.0,), std=(1.0,)),
    ("a", "b"),
)


def left_first(network, inputs, targets):
    return torch.arange(4.0, 0, -1).expand(len(inputs), 4, 4)


def test_curves_are_what_a_hand_counts():
    white = torch.ones(1, 1, 4, 4)
    found = attribute(BRIGHT, white, left_first, target="bright")
    gone = deletion_curve(BRIGHT, found, steps=4)
    come = insertion_curve(BRIGHT, found, steps=4)
    np.testing.assert_allclose(gone.fractions, [0, 0.25, 0.5, 0.75, 1])
    # Columns go from the left: the logit is 10, 5, then 0, beside 5.
    expected = 1 / (1 + np.exp(5 - np.array([10, 5, 0, 0, 0.0])))
    np.testing.assert_allclose(gone.probabilities[0], expected, rtol=1e-5)
    np.testing.assert_allclose(come.probabilities[0], expected[[2, 1, 0, 0, 0]], rtol=1e-5)
    area = (expected[:-1] + expected[1:]).sum() / 8
    assert gone.areas[0] == pytest.approx(area)
    assert (gone.baseline, come.baseline) == ("black", "black")
    assert (gone.area.low, gone.area.high) == (0, 1)
    with pytest.raises(ModelError, match="steps must be"):
        deletion_curve(BRIGHT, found, steps=0)
    with pytest.raises(ModelError, match="baseline must be one of"):
        insertion_curve(BRIGHT, found, baseline="grey")


def test_equal_values_go_in_random_order():
    found = attribute(BRIGHT, torch.ones(1, 1, 4, 4), lambda *_: np.ones((1, 4, 4)))
    curves = [deletion_curve(BRIGHT, found, seed=seed).probabilities for seed in (0, 0, 1)]
    assert np.array_equal(curves[0], curves[1])
    assert not np.array_equal(curves[0], curves[2])


def test_a_photo_comes_out_of_a_blur(photo_classifier, photo):
    found = attribute(photo_classifier, photo, "grad-cam")
    come = insertion_curve(photo_classifier, found, steps=6)
    assert come.baseline == "blur"
    assert deletion_curve(photo_classifier, found, steps=6).baseline == "mean"
    assert come.probabilities[0, -1] == pytest.approx(found.target_probabilities[0], rel=1e-4)
    assert come.probabilities[0, 0] < come.probabilities[0, -1]


def test_mean_of_holds_the_mean():
    values = np.random.default_rng(0).normal(-0.5, 0.1, 50)
    found = mean_of(values, (-2, 2))
    assert found.value == pytest.approx(values.mean())
    assert found.high - found.low == pytest.approx(2 * 1.96 * 0.1 / 50**0.5, rel=0.3)


def test_methods_side_by_side(digit_classifier, digits):
    named = []
    methods = ["integrated-gradients", edges, "guided-backprop", "saliency"]
    found = compare_methods(digit_classifier, digits, methods, steps=12, progress=named.append)
    assert named == ["integrated-gradients", "edges", "guided-backprop", "saliency"]
    scores = {score.name: score for score in found.scores}
    assert scores["integrated-gradients"].verdict == (
        "too few images to tell: better than chance on these 8, and 10 are needed"
    )
    assert scores["edges"].verdict.startswith("do not believe it")
    assert found.scores[-1].name == "chance"
    order = [score.name for score in found.scores]
    assert order.index("saliency") < order.index("edges")  # whatever its curves
    assert scores["integrated-gradients"].deletion.area.value < scores["chance"].deletion.area.value
    text = str(found)
    assert "8 images; in brackets" in text
    assert all(len(line) <= 120 for line in text.splitlines())
    assert json.loads(json.dumps(found.to_dict()))["scores"][0]["verdict"]
    with pytest.raises(UnknownClassError):
        compare_methods(digit_classifier, digits, target="ten")


def test_a_method_that_cannot_explain_a_network_is_left_out():
    images = torch.rand(2, 1, 4, 4)
    found = compare_methods(BRIGHT, images, ["guided-backprop", "saliency"], target="bright")
    assert list(found.attributions) == ["saliency"]
    assert "ReLU" in found.skipped["guided-backprop"]
    assert "guided-backprop: left out." in str(found)
    with pytest.raises(ModelError, match="none of the methods"):
        compare_methods(BRIGHT, torch.rand(2, 1, 4, 4), ["guided-backprop"])


def test_the_plot_has_each_image_with_its_maps(digit_classifier, digits):
    several = [
        attribute(digit_classifier, digits[:2], method)
        for method in ("saliency", "occlusion", "integrated-gradients", "grad-cam")
    ]
    figure = plot_attribution(several)
    shown = [axes for axes in figure.axes if axes.get_visible() and axes.images]
    titles = [axes.get_title().split("\n")[0] for axes in shown]
    assert titles[:5] == ["seen: 7", "Saliency", "Occlusion", "Integrated gradients", "Grad-CAM"]
    assert len(titles) == 10
    bars = [axes for axes in figure.axes if axes.get_ylabel()]
    assert [axes.get_ylim() for axes in bars] == [(0, 1), (-1, 1)]
    figure.canvas.draw()
    alone = plot_attribution(several[0])
    assert alone.get_suptitle() == "Saliency (Simonyan et al., 2013, arXiv:1312.6034)"
    assert "why 7" in alone.axes[1].get_title()


def test_a_map_of_nothing_says_so(digit_classifier, digits):
    def of_the_first(network, inputs, targets):
        return inputs[:, 0] * torch.tensor([1.0, 0.0])[:, None, None]

    (_, first, _, second, _) = plot_attribution(
        attribute(digit_classifier, digits[:2], of_the_first)
    ).axes
    written = [[text.get_text() for text in cell.texts] for cell in (first, second)]
    assert written == [[], ["nothing speaks for it"]]


def test_a_sanity_check_is_drawn_with_its_maps(digit_classifier, digits):
    def of_odd_digits(network, inputs, targets):
        return edges(network, inputs, targets) * (targets % 2)[:, None, None]

    check = sanity_check(digit_classifier, digits[:2], "saliency", stages=3)
    assert check.after.shape == (3, 2, 28, 28)
    for stage in range(3):
        for own, after, value in zip(
            check.before.maps, check.after[stage], check.similarities[stage], strict=True
        ):
            assert rank_correlation(own, after) == pytest.approx(value)
    figure = plot_sanity(check)
    figure.canvas.draw()
    assert figure.get_facecolor() == (1, 1, 1, 1)
    assert figure.get_suptitle().replace("\n", " ")[1:] == check.verdict[1:]
    titles = [axes.get_title() for axes in figure.axes[:10]]
    assert titles[6] == f"why {check.before.target_names[1]}\nown weights"
    assert titles[9].endswith(f"layers random\ncorrelates {check.similarities[2, 1]:.2f}")
    assert len(figure.axes) == 2 * 5 + 1  # and the colour bar
    empty = plot_sanity(sanity_check(digit_classifier, digits[:2], of_odd_digits, target=[0, 1]))
    assert empty.axes[2].get_title().endswith("not compared")
    assert [bool(axes.texts) for axes in empty.axes[:6]] == [False, True, True] + [False] * 3
    assert empty.axes[-1].get_ylim() == (-1, 1)  # a method of one's own may have both signs


@pytest.mark.parametrize("count", [1, 3])
def test_methods_are_drawn_beside_chance(digit_classifier, digits, count):
    found = compare_methods(digit_classifier, digits[:count], [edges, "saliency"], steps=4)
    figure = plot_comparison(found)
    figure.canvas.draw()
    for panel, kind in zip(figure.axes, ("deletion", "insertion"), strict=True):
        curves = [getattr(score, kind) for score in found.scores]
        stars = [
            "" if score.sanity is None or score.sanity.passed else " *" for score in found.scores
        ]
        labels = [text.get_text() for text in panel.get_legend().get_texts()]
        assert labels == [
            f"{curve.method}{star}, {curve.area.value:.2f}"
            for curve, star in zip(curves, stars, strict=True)
        ]
        assert sorted(stars) == ["", "", " *"]  # the edges do not pass
        for line, curve in zip(panel.get_lines(), curves, strict=True):
            np.testing.assert_allclose(line.get_ydata(), 100 * curve.probabilities.mean(0))
        shapes = [line.get_linestyle() for line in panel.get_lines()]
        assert [shape == ":" for shape in shapes] == [False, False, True]
    assert f"on {count} image{'s' if count > 1 else ''}\n* does not pass" in figure.get_suptitle()


def _strongest(cell):
    """Return how far the colours of a map are from those of nothing, at most."""
    drawn = np.asarray(cell.images[0].get_array())
    return np.abs(drawn - np.median(drawn, axis=(0, 1))).max()


def test_maps_of_a_method_have_one_scale_and_each_method_its_own():
    images = np.zeros((2, 1, 8, 8), np.uint8)

    def marks(strength):
        def method(network, inputs, targets):
            maps = torch.zeros(len(inputs), 8, 8)
            maps[:, 0] = strength * torch.tensor([1.0, 0.1])[:, None]
            return maps

        return method

    def plotted(*strengths):
        found = [attribute(EIGHT, images, marks(strength)) for strength in strengths]
        return [axes for axes in plot_attribution(found).axes if axes.images]

    _, strong, _, weak = plotted(1.0)
    assert _strongest(strong) > 2 * _strongest(weak)
    _, one, other, _, weak_one, weak_other = plotted(1.0, 1000.0)
    np.testing.assert_allclose(one.images[0].get_array(), other.images[0].get_array())
    np.testing.assert_allclose(weak_one.images[0].get_array(), weak_other.images[0].get_array())


def test_a_wide_photo_lies_above_its_map_and_the_bar_says_all():
    network = nn.Sequential(nn.Flatten(), nn.Linear(12 * 40, 2))
    sizes = {"height": 12, "width": 40, "channels": 1, "mean": (0.0,), "std": (1.0,)}
    wide = Classifier(network, Preprocessing(**sizes), ("Lanciamaggioredi10mMarrone", "b"))
    figure = plot_attribution(attribute(wide, torch.rand(1, 1, 12, 40), "saliency", target=0))
    seen, why, bar = figure.axes
    assert seen.get_position().y0 > why.get_position().y1
    assert why.get_title().startswith("why Lanciamaggioredi10mMarrone\n")
    written = (bar.get_xlabel() or bar.get_ylabel()).replace("\n", " ")
    assert written == "change of score per change of pixel, share of 99th percentile"


def test_what_cannot_be_plotted(digit_classifier, digits):
    pair = [attribute(digit_classifier, digits[:count], "saliency") for count in (1, 2)]
    with pytest.raises(ShapeError, match="of the same images"):
        plot_attribution(pair)
    with pytest.raises(DataError, match="received none"):
        plot_attribution([])
    with pytest.raises(DataError, match="received none"):
        plot_curves([])


def test_curves_are_drawn_with_their_areas(digit_classifier, digits):
    found = attribute(digit_classifier, digits, "saliency")
    curves = [make(digit_classifier, found, steps=4) for make in (deletion_curve, insertion_curve)]
    figure = plot_curves(curves)
    labels = [text.get_text() for axes in figure.axes for text in axes.get_legend().get_texts()]
    assert labels == [f"Saliency, {curve.area.value:.2f}" for curve in curves]
    figure.canvas.draw()


@pytest.mark.parametrize(
    ("count", "gain", "verdict"),
    [
        (1, (0.4, -2.0, 2.0), "too few images to tell: better than chance on this image"),
        (8, (0.06, 0.01, 0.11), "too few images to tell: better than chance on these 8"),
        (9, (-0.1, -0.2, 0.0), "too few images to tell: no better than chance on these 9"),
        (10, (0.37, 0.2, 0.5), "believe it"),
        (40, (0.06, 0.01, 0.11), "better than chance, but by little"),
        (40, (0.3, -0.1, 0.7), "no better than chance on these images"),
    ],
)
def test_the_verdict_counts_the_images_and_weighs_the_gain(count, gain, verdict):
    from types import SimpleNamespace

    from lamplighter.evaluation.intervals import Estimate
    from lamplighter.explain.attribution.method_comparison import MethodScore

    curve = SimpleNamespace(areas=np.zeros(count))
    sanity = SimpleNamespace(decided=True, passed=True)
    score = MethodScore("saliency", curve, curve, sanity, Estimate(*gain), 0.0)
    assert score.verdict.startswith(verdict)
