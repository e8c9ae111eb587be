import dataclasses
import errno
import json
import os
import re
import sys
import zipfile

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import nn

from lamplighter import __version__
from lamplighter.errors import (
    BundleError,
    MissingPackageError,
    ModelError,
    NetworkMissingError,
    OutputError,
)
from lamplighter.explain.layers import layers
from lamplighter.features.heads.fitting import fit_head, with_head
from lamplighter.inference.predictor import predict_pixels
from lamplighter.inference.runtime import runtime
from lamplighter.installation import install_command
from lamplighter.models.classifier import Classifier
from lamplighter.saving.bundle import describe, load, save
from lamplighter.saving.description import _canonical, sha256
from lamplighter.saving.export import export
from lamplighter.saving.parity import Parity
from tests.absent_packages import run_without

from .conftest import NAMES, PREPROCESSING, make_classifier, pixels

PROOF = Parity("none", 0.0)


class Own(nn.Module):
    """A network of somebody's own, with a tied weight and a buffer."""

    def __init__(self, classes=3):
        super().__init__()
        self.norm = nn.BatchNorm2d(1)
        self.first = nn.Linear(156, 156)
        self.second = nn.Linear(156, 156)
        self.second.weight = self.first.weight
        self.fc = nn.Linear(156, classes)

    def forward(self, images):
        return self.fc(self.second(self.first(self.norm(images).flatten(1)).relu()))


@pytest.fixture(scope="module")
def own_path(tmp_path_factory):
    torch.manual_seed(3)
    classifier = Classifier(Own(), PREPROCESSING, NAMES)
    return save(classifier, tmp_path_factory.mktemp("own") / "own.lamp")


class TestRoundTrip:
    def test_the_weights_come_back_bit_by_bit(self, classifier, path):
        state = load(path).to_torch().state_dict()
        expected = classifier.network.state_dict()
        assert list(state) == list(expected)
        for name, value in expected.items():
            assert state[name].dtype == value.dtype
            assert torch.equal(state[name], value)

    def test_all_else_comes_back(self, classifier, path):
        loaded = load(path)
        assert loaded.class_names == classifier.class_names
        assert loaded.preprocessing == classifier.preprocessing
        assert loaded.architecture == classifier.architecture
        assert loaded.architecture.arguments == {"dropout": 0.3}
        assert loaded.record == classifier.record
        network = loaded.to_torch()
        assert not network.training
        assert network.features[-1].p == 0.3

    def test_graph_and_networks_answer_alike(self, classifier, path):
        images = pixels(40, seed=9)
        loaded = load(path)
        expected = predict_pixels(classifier, images).logits
        by_graph = predict_pixels(loaded, images).logits
        loaded.to_torch()
        by_network = predict_pixels(loaded, images).logits
        np.testing.assert_allclose(by_graph, expected, atol=1e-4)
        np.testing.assert_array_equal(by_network, expected)

    def test_saving_leaves_the_network_as_it_was(self, classifier, content):
        assert content  # the bundle has been made
        network = classifier.network
        assert all(module.training for module in network.modules())
        assert all(p.requires_grad and p.grad is None for p in network.parameters())
        assert not any(module._forward_hooks for module in network.modules())

    def test_building_uses_up_no_random_number(self, path):
        torch.manual_seed(5)
        expected = torch.rand(1)
        torch.manual_seed(5)
        assert load(path).to_torch() is not None
        assert torch.equal(torch.rand(1), expected)

    def test_a_loaded_classifier_can_be_saved_again(self, path, tmp_path):
        again = save(load(path), tmp_path / "again.lamp")
        first, second = describe(path), describe(again)
        assert first["sha256"]["weights"] == second["sha256"]["weights"]
        assert first["record"] == second["record"]
        assert second["parity"]["images"] == "16 synthetic images"
        with zipfile.ZipFile(path) as one, zipfile.ZipFile(again) as two:
            assert one.read("weights.safetensors") == two.read("weights.safetensors")


class TestWhatAnswers:
    """A graph answers until `to_torch` is called, whatever else is done with the classifier."""

    def test_the_network_of_a_graph_is_an_explicit_step(self, path):
        loaded = load(path)
        with pytest.raises(ModelError, match=r"\.to_torch\(\)"):
            _ = loaded.network
        graph, network = loaded.graph, loaded.to_torch()
        assert graph is not None
        assert loaded.graph is None
        assert loaded.network is network is loaded.to_torch()
        with torch.no_grad():
            network.fc.bias[1] += 1000
        assert set(predict_pixels(loaded, pixels(5)).labels) == {NAMES[1]}

    def test_reading_saving_and_a_new_head_leave_it_as_it_is(self, path, tmp_path):
        loaded = load(path)
        graph = loaded.graph
        network = loaded.read_network()
        assert loaded.read_network() is network
        save(loaded, tmp_path / "again.lamp")
        export(loaded, tmp_path / "network.pt2", "torch-export")
        layers(loaded)
        vectors = runtime(loaded).with_features(PREPROCESSING.normalise(pixels(6)))[1]
        with_head(loaded, fit_head("linear", vectors, [0, 1, 2] * 2, 3), NAMES)
        assert loaded.graph is graph
        assert loaded.to_torch() is network


class TestDescription:
    def test_says_what_is_in_the_bundle(self, path):
        values = describe(path)
        assert values["format"] == 1
        assert values["written_by"] == f"lamplighter {__version__}"
        assert values["architecture"] == {"name": "better-cnn", "arguments": {"dropout": 0.3}}
        assert values["class_names"] == list(NAMES)
        assert values["preprocessing"] == PREPROCESSING.to_dict()
        assert values["record"]["recipe"] == {"epochs": 3, "lr": 0.001}
        assert values["parity"]["images"] == "5 images of the data"
        assert 0 <= values["parity"]["max_difference"] <= 1e-4
        assert values["versions"]["torch"].split("+")[0] == torch.__version__.split("+")[0]
        assert values["created"].endswith("+00:00")

    def test_the_file_is_a_plain_zip_of_three(self, path):
        with zipfile.ZipFile(path) as bundle:
            assert set(bundle.namelist()) == {
                "description.json",
                "weights.safetensors",
                "network.onnx",
            }
            assert json.loads(bundle.read("description.json")) == describe(path)

    @pytest.mark.parametrize(
        "recipe", [{"lr": float("nan")}, {"lr": object()}, {"name": "\ud800"}, {"a": np.int64(1)}]
    )
    def test_a_record_that_json_cannot_hold_is_refused(self, tmp_path, recipe, monkeypatch):
        classifier = make_classifier()
        classifier.record.recipe = recipe
        monkeypatch.setattr("lamplighter.saving.bundle.proven_graph", lambda _: (b"", PROOF))
        with pytest.raises(BundleError, match="plain JSON values"):
            save(classifier, tmp_path / "x.lamp")
        assert not list(tmp_path.iterdir())

    def test_tuples_and_numbers_as_keys_become_what_json_has(self, tmp_path, monkeypatch):
        classifier = make_classifier()
        classifier.record.recipe = {"steps": (1, 2), "by epoch": {10: "b", 9: "a"}}
        monkeypatch.setattr("lamplighter.saving.bundle.proven_graph", lambda _: (b"", PROOF))
        recipe = describe(save(classifier, tmp_path / "x.lamp"))["record"]["recipe"]
        assert recipe == {"steps": [1, 2], "by epoch": {"10": "b", "9": "a"}}


class TestOwnNetwork:
    def test_answers_by_its_graph_without_its_class(self, own_path):
        loaded = load(own_path)
        assert predict_pixels(loaded, pixels(3)).logits.shape == (3, 3)
        with pytest.raises(NetworkMissingError, match=r"Own, which .*load\(path, network="):
            loaded.to_torch()
        assert describe(own_path)["architecture"]["name"] is None

    def test_takes_its_weights_when_it_is_given(self, own_path):
        by_graph = predict_pixels(load(own_path), pixels(3)).logits
        network = Own().train()
        loaded = load(own_path, network=network)
        assert loaded.network is network
        assert not network.training
        np.testing.assert_allclose(predict_pixels(loaded, pixels(3)).logits, by_graph, atol=1e-4)

    def test_another_network_is_refused_and_stays_as_it_was(self, own_path):
        network = Own(classes=4)
        before = network.first.weight.clone()
        with pytest.raises(BundleError, match=r"2 differ, first fc\.bias: \(4,\) in the network"):
            load(own_path, network=network)
        assert torch.equal(network.first.weight, before)
        assert network.training
        with pytest.raises(BundleError, match="absent"):
            load(own_path, network=nn.Linear(2, 2))

    def test_is_saved_again_without_its_class(self, own_path, tmp_path):
        loaded = load(own_path)
        loaded.record.scores = {"test": {"acc": 0.5}}
        again = save(loaded, tmp_path / "again.lamp")
        old, new = describe(own_path), describe(again)
        assert new["record"]["scores"] == {"test": {"acc": 0.5}}
        for key in ("architecture", "parity", "class_names", "preprocessing"):
            assert new[key] == old[key]
        by_graph = predict_pixels(load(own_path), pixels(3)).logits
        for network in (None, Own()):
            answers = predict_pixels(load(again, network=network), pixels(3)).logits
            np.testing.assert_allclose(answers, by_graph, atol=1e-4)

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("preprocessing", dataclasses.replace(PREPROCESSING, height=10)),
            ("class_names", ("cat", "dog")),
        ],
    )
    def test_is_not_saved_with_what_does_not_fit_it(self, own_path, tmp_path, name, value):
        loaded = load(own_path)
        setattr(loaded, name, value)
        with pytest.raises(ModelError):
            save(loaded, tmp_path / "again.lamp")
        assert not list(tmp_path.iterdir())

    def test_state_that_is_no_tensor_is_refused(self, tmp_path):
        class Stateful(Own):
            def get_extra_state(self):
                return {"steps": 3}

            def set_extra_state(self, state):
                pass

        from lamplighter.errors import ModelError

        with pytest.raises(ModelError, match="_extra_state, a dict"):
            save(Classifier(Stateful(), PREPROCESSING, NAMES), tmp_path / "x.lamp")


class TestWriting:
    @pytest.fixture(autouse=True)
    def proven(self, content, monkeypatch):
        """Skip the export: it is the writing that is tested here."""
        monkeypatch.setattr("lamplighter.saving.bundle.proven_graph", lambda _: (b"", PROOF))

    def fail_while_writing(self, monkeypatch, failure):
        original, calls = zipfile.ZipFile.writestr, []

        def writestr(self, *arguments):
            calls.append(1)
            if len(calls) == 2:
                raise failure
            original(self, *arguments)

        monkeypatch.setattr(zipfile.ZipFile, "writestr", writestr)

    @pytest.mark.parametrize(
        ("failure", "raised"),
        [
            (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), OutputError),
            (KeyboardInterrupt(), KeyboardInterrupt),
        ],
    )
    def test_a_failure_keeps_the_old_bundle(
        self, classifier, path, content, monkeypatch, failure, raised
    ):
        self.fail_while_writing(monkeypatch, failure)
        with pytest.raises(raised) as caught:
            save(classifier, path)
        assert [file.read_bytes() for file in path.parent.iterdir()] == [content]
        if raised is OutputError:
            assert "copy.lamp cannot be written: No space left" in str(caught.value)

    def test_a_missing_folder_or_a_folder_is_named(self, classifier, tmp_path):
        with pytest.raises(OutputError, match="no folder"):
            save(classifier, tmp_path / "missing" / "x.lamp")
        (tmp_path / "missed").mkdir()
        with pytest.raises(OutputError, match=r"make it first, or did you mean '.*missed'\?"):
            save(classifier, tmp_path / "misses" / "x.lamp")
        with pytest.raises(OutputError, match="must be a file"):
            save(classifier, tmp_path)

    @pytest.mark.parametrize("name", ["d.pt", "d.PTH", "d.onnx", "d.h5", "d.pkl", "d.safetensors"])
    def test_the_name_of_another_kind_of_model_is_refused(self, classifier, tmp_path, name):
        with pytest.raises(OutputError, match=r"a bundle, .* name it d\.lamp .* export writes"):
            save(classifier, tmp_path / name)
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize("name", ["digits", "digits.v2", "digits.zip", ".lamp"])
    def test_any_other_name_is_free(self, classifier, tmp_path, name):
        assert load(save(classifier, tmp_path / name)).class_names == classifier.class_names

    def test_a_file_is_replaced(self, classifier, path, content):
        assert save(classifier, str(path)) == path
        assert path.read_bytes() != content


def test_loading_and_predicting_need_next_to_nothing(path):
    """Neither torch nor what takes long to import: an import of it would fail."""
    code = f"""
import numpy as np
from lamplighter.inference.predictor import predict_pixels
from lamplighter.saving.bundle import load
from lamplighter.errors import MissingPackageError
classifier = load({str(path)!r})
print(predict_pixels(classifier, np.zeros((2, 1, 12, 13), dtype=np.uint8)).labels)
try:
    classifier.to_torch()
except MissingPackageError as error:
    print(error)
"""
    heavy = ("torch", "onnx", "onnxscript", "safetensors", "matplotlib", "sklearn", "scipy")
    assert install_command() in run_without(*heavy, code=code)


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float8_e4m3fn])
def test_weights_of_types_that_numpy_does_not_have_are_loaded(path, kind):
    """This version writes none, but another may have, or may yet."""
    with zipfile.ZipFile(path) as bundle:
        parts = {entry: bundle.read(entry) for entry in bundle.namelist()}
    state = {
        key: value.to(kind) if value.is_floating_point() else value
        for key, value in safetensors.torch.load(parts["weights.safetensors"]).items()
    }
    parts["weights.safetensors"] = safetensors.torch.save(state)
    values = json.loads(parts["description.json"])
    del values["sha256"]["description"]
    values["sha256"]["weights"] = sha256(parts["weights.safetensors"])
    values["sha256"]["description"] = sha256(_canonical(values))
    parts["description.json"] = json.dumps(values).encode()
    with zipfile.ZipFile(path, "w") as bundle:
        for entry, content in parts.items():
            bundle.writestr(entry, content)

    arrays = load(path).weight_arrays()
    assert arrays.keys() == state.keys()
    for key, value in state.items():
        expected = value.float() if value.is_floating_point() else value
        np.testing.assert_array_equal(arrays[key], expected.numpy(), err_msg=key)
    network = load(path).to_torch().state_dict()
    assert all(torch.equal(network[key], value.to(network[key])) for key, value in state.items())


def test_a_missing_package_is_named(path, classifier, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "safetensors", None)
    with pytest.raises(MissingPackageError, match=re.escape(install_command())):
        load(path).to_torch()
