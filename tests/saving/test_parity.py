import numpy as np
import pytest
import torch
from torch import nn

from lamplighter.data.preprocessing import Preprocessing
from lamplighter.errors import ClassCountError, ModelError, ParityError, ShapeError
from lamplighter.models.classifier import Classifier
from lamplighter.saving import parity, tracing
from lamplighter.saving.bundle import save
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


def test_other_weights_in_the_graph_write_nothing(other_graph, tmp_path, monkeypatch):
    monkeypatch.setattr(tracing, "onnx_graph", lambda *_: other_graph)
    path = tmp_path / "x.lamp"
    path.write_bytes(b"old")
    with pytest.raises(ParityError, match=r"within 0\.0001 .*received a difference of .*nothing"):
        save(make_classifier(), path)
    with pytest.raises(ParityError):
        export(make_classifier(), path, "onnx")
    assert [file.read_bytes() for file in tmp_path.iterdir()] == [b"old"]


def compare(difference, scale=1.0):
    expected = np.array([[3.0, 1.0, 2.0]], dtype=np.float32) * np.float32(scale)
    logits = expected.copy()
    logits[0, 1] += difference
    return parity._compare(logits, expected)


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
        parity._compare(expected[:, ::-1], expected)


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
