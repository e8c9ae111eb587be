import logging
import re
import sys
import warnings

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import nn

from lamplighter.errors import MissingPackageError, ModelError, OutputError
from lamplighter.inference.runtime import TorchRuntime
from lamplighter.installation import install_command
from lamplighter.models.classifier import Classifier
from lamplighter.saving.bundle import load, save
from lamplighter.saving.export import export
from lamplighter.saving.tracing import onnx_graph

from .conftest import NAMES, PREPROCESSING, make_classifier, pixels


def inputs(count):
    return PREPROCESSING.normalise(pixels(count, seed=count))


def state_of(network):
    return (
        [module.training for module in network.modules()],
        [(p.requires_grad, p.grad, p.device, p.data_ptr()) for p in network.parameters()],
        {name: value.clone() for name, value in network.state_dict().items()},
        [
            len(module._forward_hooks) + len(module._forward_pre_hooks)
            for module in network.modules()
        ],
    )


@pytest.fixture(scope="module")
def batch_normed():
    """Batch normalisation with statistics, dropout and adaptive pooling."""
    torch.manual_seed(2)
    network = nn.Sequential(
        nn.Conv2d(1, 4, 3),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.Dropout(0.5),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Linear(16, 3),
    )
    for _ in range(3):
        network(torch.randn(8, 1, 12, 13) * 2 + 1)
    network[1].eval()  # frozen, as in a transfer
    return Classifier(network, PREPROCESSING, NAMES, samples=pixels(4))


def test_onnx_gives_the_networks_answers_quietly(batch_normed, tmp_path, capfd):
    path, network = tmp_path / "network.onnx", batch_normed.network
    before = state_of(network)
    level = logging.getLogger("torch").level
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert export(batch_normed, path, "onnx") == path
    assert (caught, capfd.readouterr()) == ([], ("", ""))
    assert logging.getLogger("torch").level == level

    after = state_of(network)
    assert before[0] == after[0]
    assert before[1] == after[1]
    assert before[3] == after[3]
    for name, value in after[2].items():
        torch.testing.assert_close(value, before[2][name], rtol=0, atol=0)

    session = onnxruntime.InferenceSession(path)
    assert [port.name for port in session.get_inputs()] == ["images"]
    assert [port.name for port in session.get_outputs()] == ["logits", "features"]
    assert session.get_inputs()[0].shape == ["N", 1, 12, 13]
    for count in (1, 2, 5, 33):
        answers = session.run(["logits", "features"], {"images": inputs(count)})
        expected = TorchRuntime(network).with_features(inputs(count))
        np.testing.assert_allclose(answers[0], expected[0], atol=1e-5)
        np.testing.assert_allclose(answers[1], expected[1], atol=1e-5)

    onnx.checker.check_model(path, full_check=True)
    assert b"site-packages" not in path.read_bytes()  # nothing of this machine
    assert {file.name for file in tmp_path.iterdir()} == {"network.onnx"}  # all in one file


@pytest.mark.parametrize("name", ["branch-cnn", "residual-cnn", "inception-cnn"])
def test_networks_with_branches_can_be_exported(name, tmp_path):
    classifier = make_classifier(name)
    path = export(classifier, tmp_path / "network.onnx", "onnx")
    session = onnxruntime.InferenceSession(path)
    (logits,) = session.run(["logits"], {"images": inputs(3)})
    np.testing.assert_allclose(logits, TorchRuntime(classifier.network)(inputs(3)), atol=1e-5)


def test_the_state_dict_reads_without_pickle(classifier, tmp_path):
    path = export(classifier, tmp_path / "weights.pt", "state-dict")
    state = torch.load(path, weights_only=True)
    expected = classifier.network.state_dict()
    assert list(state) == list(expected)
    assert all(torch.equal(state[name], value) for name, value in expected.items())


@pytest.mark.parametrize("kind", ["onnx", "state-dict"])
def test_a_network_of_ones_own_is_exported_from_its_bundle(batch_normed, tmp_path, kind):
    loaded = load(save(batch_normed, tmp_path / "own.lamp"))
    path = export(loaded, tmp_path / "network", kind)
    if kind == "onnx":
        assert path.read_bytes() == loaded.graph
        return
    state, expected = torch.load(path, weights_only=True), batch_normed.network.state_dict()
    assert state.keys() == expected.keys()
    assert all(torch.equal(state[name], value) for name, value in expected.items())


def test_the_torch_program_takes_any_number_of_images(batch_normed, tmp_path):
    path = export(batch_normed, tmp_path / "network.pt2", "torch-export")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.export.load(path).module()
    for count in (1, 7):
        logits = program(torch.from_numpy(inputs(count))).detach().numpy()
        expected = TorchRuntime(batch_normed.network)(inputs(count))
        np.testing.assert_allclose(logits, expected, atol=1e-5)


def test_an_unknown_format_is_named(classifier, tmp_path):
    with pytest.raises(
        OutputError,
        match="onnx, bundle, state-dict, torch-export, litert, coreml, received 'keras'",
    ):
        export(classifier, tmp_path / "x", "keras")


def test_a_folder_is_refused_before_any_work(classifier, tmp_path, monkeypatch):
    monkeypatch.setattr("lamplighter.saving.export.proven_graph", None)
    with pytest.raises(OutputError, match="must be a file"):
        export(classifier, tmp_path, "onnx")


def test_a_network_that_cannot_be_exported_is_named():
    class Counting(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc = nn.Linear(156, 3)

        def forward(self, images):
            return self.fc(images.flatten(1)) * len(set(images.shape))

    network = Counting().train()
    with pytest.raises(ModelError, match=r"cannot be exported to ONNX: .* any number") as caught:
        onnx_graph(network, PREPROCESSING)
    assert "\n" not in str(caught.value)
    assert network.training


def test_a_network_that_decides_by_its_images_is_refused_quietly(tmp_path, capfd):
    class Deciding(nn.Sequential):
        def forward(self, images):
            scores = super().forward(images)
            return scores if scores.sum() > 0 else -scores

    classifier = Classifier(Deciding(nn.Flatten(), nn.Linear(156, 3)), PREPROCESSING, NAMES)
    for form in ("onnx", "torch-export"):
        with pytest.raises(ModelError, match="must be made of tensor operations"):
            export(classifier, tmp_path / "network", form)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("package", ["onnxscript", "onnx"])
def test_a_missing_package_is_named(classifier, tmp_path, monkeypatch, package):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingPackageError, match=re.escape(install_command())):
        export(classifier, tmp_path / "network.onnx", "onnx")
    assert not list(tmp_path.iterdir())
