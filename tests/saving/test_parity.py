import sys
import zipfile

import numpy as np
import pytest
import torch
from torch import nn

from lamplighter.errors import (
    BundleError,
    ClassCountError,
    ExportError,
    LamplighterWarning,
    MissingPackageError,
    ModelError,
    NetworkMissingError,
    ParityError,
    ShapeError,
)
from lamplighter.images.preprocessing import Preprocessing
from lamplighter.inference.predictor import predict_pixels
from lamplighter.inference.runtime import OnnxRuntime
from lamplighter.models.classifier import Classifier
from lamplighter.saving import parity, tracing
from lamplighter.saving.bundle import describe, load, save
from lamplighter.saving.export import export
from lamplighter.saving.parity import proven_graph, synthetic_images

from .conftest import NAMES, PREPROCESSING, make_classifier, pixels


@pytest.fixture(scope="module")
def other_graph():
    """The graph of another network of the same form."""
    network = make_classifier(dropout=0.0).network
    with torch.no_grad():
        network.fc.weight += 0.01
    return tracing.onnx_graph(network, PREPROCESSING)


class TestWithoutGraph:
    """What was learned is written where there is no graph that can be proven."""

    @pytest.fixture(params=["disproven", "not exported", "not run", "no onnx"])
    def hopeless(self, request, other_graph, monkeypatch):
        """Make no graph provable, and return what the bundle says of it."""
        if request.param == "disproven":
            monkeypatch.setattr(tracing, "onnx_graph", lambda *_: other_graph)
            return "the ONNX graph must give the logits of the torch network within 0.0001"
        if request.param == "no onnx":
            monkeypatch.setitem(sys.modules, "onnx", None)
            return "saving a classifier needs onnx, which is not installed"
        if request.param == "not run":
            monkeypatch.setattr(tracing, "onnx_graph", lambda *_: b"no graph")
            return "the ONNX graph of the network cannot be used: "

        def refuse(*_, **__):
            raise NotImplementedError("no such operator")

        monkeypatch.setattr(torch.onnx, "export", refuse)
        return "the network cannot be exported to ONNX: NotImplementedError: no such operator"

    def test_the_bundle_answers_with_torch_and_says_why(self, hopeless, tmp_path):
        classifier, path = make_classifier(), tmp_path / "x.lamp"
        expected = predict_pixels(classifier, pixels(4)).logits
        with pytest.warns(LamplighterWarning, match="written without its ONNX graph") as warned:
            save(classifier, path)
        assert hopeless in str(warned[0].message)
        assert f"lamplighter export {path} --format bundle tries again" in str(warned[0].message)
        loaded = load(path)
        assert loaded.graph is None
        np.testing.assert_array_equal(predict_pixels(loaded, pixels(4)).logits, expected)
        assert describe(path)["parity"]["max_difference"] is None
        assert hopeless in describe(path)["parity"]["failure"]
        with zipfile.ZipFile(path) as bundle:
            assert set(bundle.namelist()) == {"description.json", "weights.safetensors"}

    @pytest.mark.usefixtures("hopeless")
    @pytest.mark.parametrize(("kind", "name"), [("onnx", "x.onnx"), ("bundle", "x.lamp")])
    def test_where_a_graph_is_asked_for_nothing_is_written(self, tmp_path, kind, name):
        path = tmp_path / name
        path.write_bytes(b"old")
        with pytest.raises((ParityError, ExportError, MissingPackageError)):
            export(make_classifier(), path, kind)
        assert [file.read_bytes() for file in tmp_path.iterdir()] == [b"old"]

    def test_a_later_export_gives_the_bundle_its_graph(self, other_graph, tmp_path, monkeypatch):
        path = tmp_path / "x.lamp"
        with monkeypatch.context() as patch:
            patch.setattr(tracing, "onnx_graph", lambda *_: other_graph)
            with pytest.warns(LamplighterWarning):
                save(make_classifier(), path)
        again = export(load(path), tmp_path / "again.lamp", "bundle")
        assert load(again).graph is not None
        assert describe(again)["parity"]["failure"] is None
        expected = predict_pixels(load(path), pixels(4)).logits
        np.testing.assert_allclose(
            predict_pixels(load(again), pixels(4)).logits, expected, atol=1e-4
        )

    def test_a_network_of_ones_own_keeps_its_weights(self, other_graph, tmp_path, monkeypatch):
        network = nn.Sequential(nn.Flatten(), nn.Linear(156, 3))
        monkeypatch.setattr(tracing, "onnx_graph", lambda *_: other_graph)
        first, second = tmp_path / "x.lamp", tmp_path / "y.lamp"
        with pytest.warns(LamplighterWarning):
            save(Classifier(network, PREPROCESSING, NAMES), first)
        with pytest.warns(LamplighterWarning):
            save(load(first), second)  # without its class nothing can be proven
        with pytest.raises(NetworkMissingError, match="no ONNX graph in it"):
            predict_pixels(load(second), pixels(1))
        other = nn.Sequential(nn.Flatten(), nn.Linear(156, 3))
        load(second, network=other)
        assert torch.equal(other[1].weight, network[1].weight)

    def test_a_graph_that_is_named_must_be_there(self, tmp_path, content):
        """A bundle without a graph is one that says so, not one whose graph was taken away."""
        path = tmp_path / "x.lamp"
        path.write_bytes(content)
        with zipfile.ZipFile(path) as whole:
            parts = {name: whole.read(name) for name in whole.namelist()}
        with zipfile.ZipFile(path, "w") as less:
            for name in ("description.json", "weights.safetensors"):
                less.writestr(name, parts[name])
        with pytest.raises(BundleError, match=r"network\.onnx"):
            load(path)


def compare(difference, scale=1.0):
    expected = np.array([[3.0, 1.0, 2.0]], dtype=np.float32) * np.float32(scale)
    logits = expected.copy()
    logits[0, 1] += difference
    return compared(logits, expected)


def compared(logits, expected, exact=None):
    known = None if exact is None else (exact,)
    return parity._compare(
        (logits,), parity._Expected((expected,), lambda: known), np.arange(len(logits))
    )


def test_the_tolerance_is_a_tenthousandth():
    assert compare(0.9e-4) == pytest.approx(0.9e-4, rel=0.01)
    with pytest.raises(ParityError):
        compare(1.1e-4)


def test_very_large_logits_may_differ_in_their_seventh_digit():
    assert compare(0.02, scale=10_000) > 0.01  # 1e-6 of 30,000 is 0.03
    with pytest.raises(ParityError):
        compare(0.05, scale=10_000)


def test_another_class_is_refused_however_close():
    expected = np.array([[1.0, 1.00001]], dtype=np.float32)
    with pytest.raises(ParityError, match="another class for 1 of 1"):
        compared(expected[:, ::-1], expected)


class TestRounding:
    """Where float32 itself is coarser than the tolerance, its own error is the measure."""

    EXACT = np.array([[3.0, 1.0, 2.0], [0.5, 0.0, 2.5], [1.0, 4.0, 2.0], [7.0, 1.0, 0.0]])

    def rounded(self, size, seed=0):
        noise = np.random.default_rng(seed).uniform(-size, size, self.EXACT.shape)
        return (self.EXACT + noise).astype(np.float32)

    def test_a_difference_of_the_size_of_rounding_is_none(self):
        ours, theirs = self.rounded(2e-3, seed=1), self.rounded(2e-3, seed=2)
        with pytest.raises(ParityError):
            compared(ours, theirs)  # nothing tells that it is rounding
        assert compared(ours, theirs, self.EXACT) == pytest.approx(np.abs(ours - self.EXACT).max())

    def test_a_larger_one_is_refused(self):
        theirs = self.rounded(2e-3)
        with pytest.raises(ParityError, match=r"within 0\.0\d+ .* difference of 0\.05"):
            compared(self.EXACT + np.array([0, 0, 0.05]), theirs, self.EXACT)

    def test_exact_answers_excuse_nothing_else(self):
        with pytest.raises(ParityError, match=r"within 0\.0001"):
            compared(self.EXACT + np.array([0, 0, 1.1e-4]), self.rounded(0), self.EXACT)

    def test_classes_that_tie_are_told_apart_by_nobody(self):
        exact = self.EXACT.copy()
        exact[0, 2] = exact[0, 0] - 1e-9
        ours, theirs = exact.astype(np.float32), exact.astype(np.float32)
        ours[0, 2] += np.float32(3e-7)
        assert ours[0].argmax() != theirs[0].argmax()
        assert compared(ours, theirs + np.float32(2e-7), exact) < 1e-6

    def test_an_image_at_a_step_proves_nothing_and_the_others_do(self):
        exact = np.tile(self.EXACT, (2, 1))
        ours, theirs = exact.astype(np.float32), exact.astype(np.float32)
        ours[0] = theirs[0] = [1.0, 3.0, 2.0]  # a vote that float32 turns round
        assert compared(ours, theirs, exact) < 1e-6
        ours[1, 0] += 1
        with pytest.raises(ParityError):
            compared(ours, theirs, exact)

    def test_where_most_images_are_at_steps_nothing_is_proven(self):
        theirs = self.EXACT[:, ::-1].astype(np.float32)
        with pytest.raises(ParityError, match="hang on the last digit"):
            compared(theirs + np.float32(1e-3), theirs, self.EXACT)

    def test_a_network_of_large_weights_that_cancel_is_proven(self):
        """Float32 keeps 4 digits of the difference of two sums of 10,000."""
        torch.manual_seed(0)
        network = Cancelling()
        classifier = Classifier(network, PREPROCESSING, NAMES, samples=pixels(9))
        graph, found = proven_graph(classifier)
        assert found.max_difference > 2e-4  # what was refused once
        inputs = PREPROCESSING.normalise(pixels(9))
        ours = OnnxRuntime(graph)(inputs)
        exact = Cancelling.exact(network, inputs)
        assert found.max_difference == pytest.approx(np.abs(ours - exact).max(), rel=0.5)


class Cancelling(nn.Module):
    """The same large sum twice, with a small one between."""

    def __init__(self):
        super().__init__()
        self.large = nn.Linear(156, 3)
        self.small = nn.Linear(156, 3)
        with torch.no_grad():
            self.large.weight.mul_(30_000)

    def forward(self, images):
        flat = images.flatten(1)
        return self.large(flat) + self.small(flat) - self.large(flat.flip(1)).flip(1) * 0.999

    @staticmethod
    def exact(network, inputs):
        flat = inputs.reshape(len(inputs), -1).astype(np.float64)
        weights = {k: v.numpy().astype(np.float64) for k, v in network.state_dict().items()}

        def layer(name, x):
            return x @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]

        other = layer("large", flat[:, ::-1])[:, ::-1]
        return layer("large", flat) + layer("small", flat) - other * 0.999


@pytest.mark.parametrize("channels", [1, 3])
def test_synthetic_images_are_varied_and_the_same_each_time(channels):
    wanted = Preprocessing(
        height=9, width=11, channels=channels, mean=(0.5,) * channels, std=(0.5,) * channels
    )
    images = synthetic_images(wanted)
    assert images.dtype == np.uint8
    assert images.shape == (16, channels, 9, 11)
    assert len({image.tobytes() for image in images}) == 16
    assert images.std(axis=(1, 2, 3)).min() > 5
    np.testing.assert_array_equal(images, synthetic_images(wanted))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("where", ["weight", "buffer"])
def test_weights_that_are_no_numbers_are_named(value, where, tmp_path):
    network = nn.Sequential(nn.BatchNorm2d(1), nn.Flatten(), nn.Linear(156, 3))
    with torch.no_grad():
        (network[2].weight[0] if where == "weight" else network[0].running_var)[0] = value
    name = r"2\.weight" if where == "weight" else r"0\.running_var"
    classifier = Classifier(network, PREPROCESSING, NAMES)
    with pytest.raises(ModelError, match=rf"weights {name} hold NaN.*train again"):
        save(classifier, tmp_path / "x.lamp")
    assert not list(tmp_path.iterdir())


def test_scores_and_class_names_must_agree(tmp_path):
    network = nn.Sequential(nn.Flatten(), nn.Linear(156, 4))
    with pytest.raises(ClassCountError, match="4 scores, but there are 3 class names"):
        save(Classifier(network, PREPROCESSING, NAMES), tmp_path / "x.lamp")


@pytest.mark.parametrize("samples", [pixels(2)[:, :, :5], pixels(2).astype(np.float32)])
def test_samples_of_another_form_are_refused(samples):
    classifier = make_classifier()
    classifier.samples = samples
    with pytest.raises(ShapeError, match=r"samples .* uint8 of shape \(M, 1, 12, 13\)"):
        proven_graph(classifier)
