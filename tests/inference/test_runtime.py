import os
import subprocess
import sys
import threading

import numpy as np
import pytest
import torch
from onnx import helper
from torch import nn

from lamplighter.errors import BundleError, ClassCountError, ModelError, ShapeError
from lamplighter.inference import runtime as runtime_module
from lamplighter.inference.runtime import OnnxRuntime, TorchRuntime, evaluating, runtime
from lamplighter.models.classifier import Classifier

from .conftest import linear_graph


def images(count, shape=(1, 4, 6)):
    return np.random.default_rng(count).normal(size=(count, *shape)).astype(np.float32)


class TestOnnxRuntime:
    @pytest.mark.parametrize("count", [1, 2, 7, 8, 9, 64, 65, 300])
    def test_gives_what_numpy_gives_in_order(self, graph, weight, bias, count):
        inputs = images(count)
        expected = inputs.reshape(count, -1) @ weight + bias
        logits = OnnxRuntime(graph)(inputs)
        assert logits.dtype == np.float32
        np.testing.assert_allclose(logits, expected, rtol=1e-5, atol=1e-5)

    def test_no_images_give_no_scores(self, graph):
        assert OnnxRuntime(graph)(images(0)).shape == (0, 3)

    def test_starts_no_thread_for_few_images(self, graph, monkeypatch):
        def refuse(*_):
            raise AssertionError("a thread pool for few images")

        monkeypatch.setattr(runtime_module, "ThreadPoolExecutor", refuse)
        assert OnnxRuntime(graph)(images(7)).shape == (7, 3)

    def test_uses_as_many_threads_as_cores(self, graph, monkeypatch):
        monkeypatch.setattr(runtime_module, "usable_cores", lambda: 3)
        compute = OnnxRuntime(graph)
        barrier, run = threading.Barrier(3, timeout=10), compute._run

        def meet(outputs, inputs):
            barrier.wait()  # passes only if three are here at a time
            return run(outputs, inputs)

        monkeypatch.setattr(compute, "_run", meet)
        assert compute(images(9)).shape == (9, 3)

    @pytest.mark.parametrize("shape", [(3, 4, 6), (1, 5, 6), (1, 4, 7)])
    def test_another_shape_is_named(self, graph, shape):
        with pytest.raises(ShapeError, match=r"\(N, 1, 4, 6\), received float32"):
            OnnxRuntime(graph)(images(2, shape))

    def test_other_ranks_and_types_are_refused(self, graph):
        with pytest.raises(ShapeError):
            OnnxRuntime(graph)(images(2)[0])
        with pytest.raises(ShapeError, match="float64"):
            OnnxRuntime(graph)(images(2).astype(np.float64))

    @pytest.mark.parametrize("content", [b"", b"not a graph", bytes(50)])
    def test_damage_is_a_bundle_error(self, content):
        with pytest.raises(BundleError):
            OnnxRuntime(content)

    def test_a_graph_of_another_form_is_refused(self, make_graph):
        model = make_graph()
        model.graph.output.append(helper.make_tensor_value_info("flat", 1, ["N", 24]))
        with pytest.raises(BundleError, match=r"one float32 input \(N, C, H, W\)"):
            OnnxRuntime(model.SerializeToString())

    def test_refusing_prints_nothing(self, capfd):
        with pytest.raises(BundleError):
            OnnxRuntime(b"\x08\x09")
        assert capfd.readouterr() == ("", "")


@pytest.fixture(scope="module")
def features_graph(weight, bias):
    """A graph whose features are the flattened images."""
    model = linear_graph(weight, bias)
    model.graph.node[0].output[0] = model.graph.node[1].input[0] = "features"
    port = helper.make_tensor_value_info("features", 1, ["N", 24])
    model.graph.output.append(port)
    return model


class TestFeatures:
    @pytest.mark.parametrize("count", [0, 1, 9, 130])
    def test_of_a_graph_come_beside_the_logits(self, features_graph, weight, bias, count):
        compute = OnnxRuntime(features_graph.SerializeToString())
        logits, features = compute.with_features(images(count))
        expected = images(count).reshape(count, 24)
        np.testing.assert_array_equal(features, expected)
        np.testing.assert_allclose(logits, expected @ weight + bias, rtol=1e-5, atol=1e-5)
        np.testing.assert_array_equal(compute(images(count)), logits)
        assert compute.num_features == 24

    def test_are_found_by_their_name_in_any_order(self, features_graph):
        swapped = type(features_graph)()
        swapped.CopyFrom(features_graph)
        swapped.graph.output.reverse()
        compute = OnnxRuntime(swapped.SerializeToString())
        assert compute(images(2)).shape == (2, 3)
        assert [part.shape for part in compute.with_features(images(2))] == [(2, 3), (2, 24)]

    def test_are_refused_where_there_are_none(self, graph):
        compute = OnnxRuntime(graph)
        assert compute.num_features is None
        with pytest.raises(ModelError, match="this network has none"):
            compute.with_features(images(2))
        assert TorchRuntime(nn.Flatten()).num_features is None
        assert not TorchRuntime(nn.Flatten()).gives_features(images(2))
        with pytest.raises(ModelError, match="this network has none"):
            TorchRuntime(nn.Flatten()).with_features(images(2))

    def test_of_a_torch_network_are_what_its_last_layer_is_given(self):
        network = Fickle().train()
        compute = TorchRuntime(network, batch_size=4)
        logits, features = compute.with_features(images(10))
        np.testing.assert_allclose(features, images(10).reshape(10, 24), atol=1e-4)
        np.testing.assert_array_equal(logits, compute(images(10)))
        assert compute.num_features == 24
        assert network.training
        assert not network.fc._forward_pre_hooks

    def test_that_are_no_numbers_are_refused(self, features_graph, preprocessing):
        content = features_graph.SerializeToString()
        classifier = Classifier.from_graph(content, Fickle, preprocessing, ["a", "b", "c"])
        assert runtime(classifier).num_features == 24
        with pytest.raises(ModelError, match="answers NaN instead of a feature"):
            runtime(classifier).with_features(images(2) * np.float32("nan"))


@pytest.mark.parametrize(
    ("size", "count", "chunks"),
    [
        ((1, 28, 28), 200, {64, 200 - 3 * 64}),
        ((3, 224, 224), 9, {4, 1}),
        ((3, 900, 900), 3, {1}),
        ((3, 224, 224), 2, {1}),  # two large images are worth two threads
        ((1, 28, 28), 7, {7}),
    ],
)
def test_large_images_are_run_in_small_chunks(monkeypatch, size, count, chunks):
    """More than about 2 MB of input at a time leave the caches."""
    monkeypatch.setattr(runtime_module, "usable_cores", lambda: 2)
    length = int(np.prod(size))
    weight = np.zeros((length, 3), dtype=np.float32)
    model = linear_graph(weight, np.zeros(3, dtype=np.float32), input_shape=("N", *size))
    compute = OnnxRuntime(model.SerializeToString())
    seen, run = [], compute._run

    def watch(outputs, inputs):
        seen.append(len(inputs))
        return run(outputs, inputs)

    monkeypatch.setattr(compute, "_run", watch)
    assert compute(np.zeros((count, *size), dtype=np.float32)).shape == (count, 3)
    assert set(seen) == chunks
    assert sum(seen) == count


class Fickle(nn.Module):
    """Dropout and batch normalisation: differs between training and evaluation mode."""

    def __init__(self, fails=False):
        super().__init__()
        self.norm = nn.BatchNorm2d(1)
        self.drop = nn.Dropout(0.5)
        self.fc = nn.Linear(24, 3)
        self.fails = fails

    def forward(self, inputs):
        if self.fails:
            raise KeyError("inside")
        assert not torch.is_grad_enabled()
        return self.fc(self.drop(self.norm(inputs)).flatten(1))


class TestTorchRuntime:
    def test_evaluates_and_leaves_every_module_as_it_was(self):
        network = Fickle().train()
        network.norm.eval()  # frozen, as in a transfer
        before = {name: value.clone() for name, value in network.state_dict().items()}
        compute = TorchRuntime(network, batch_size=4)
        inputs = images(10)
        first, second = compute(inputs), compute(inputs)
        np.testing.assert_array_equal(first, second)  # no dropout
        expected = inputs.reshape(10, -1) / np.sqrt(1 + 1e-5) @ network.fc.weight.detach().numpy().T
        np.testing.assert_allclose(first, expected + network.fc.bias.detach().numpy(), atol=1e-5)
        assert (network.training, network.norm.training) == (True, False)
        assert (network.drop.training, network.fc.training) == (True, True)
        for name, value in network.state_dict().items():
            torch.testing.assert_close(value, before[name], rtol=0, atol=0)
        assert all(parameter.requires_grad for parameter in network.parameters())

    def test_restores_the_mode_when_the_network_fails(self):
        network = Fickle(fails=True).train()
        with pytest.raises(KeyError, match="inside"):
            TorchRuntime(network)(images(2))
        assert all(module.training for module in network.modules())

    def test_evaluating_restores_a_mixed_mode(self):
        network = nn.Sequential(nn.Dropout(), nn.Dropout()).train()
        network[1].eval()
        with evaluating(network):
            assert not any(module.training for module in network.modules())
        assert [module.training for module in network.modules()] == [True, True, False]

    def test_a_network_that_does_not_fit_says_so_on_one_line(self):
        with pytest.raises(ModelError, match=r"fails on images of shape \(2, 1, 5, 6\)") as caught:
            TorchRuntime(Fickle())(images(2, (1, 5, 6)))
        assert "\n" not in str(caught.value)

    def test_a_network_without_weights_works(self):
        logits = TorchRuntime(nn.Flatten())(images(2))
        np.testing.assert_array_equal(logits, images(2).reshape(2, -1))

    def test_something_else_than_a_tensor_is_refused(self):
        class Two(nn.Module):
            def forward(self, inputs):
                return inputs, inputs

        with pytest.raises(ModelError, match="received tuple"):
            TorchRuntime(Two())(images(2))


class TestRuntime:
    def test_runs_the_graph_and_keeps_the_session(self, classifier, weight, bias):
        compute = runtime(classifier)
        expected = images(2).reshape(2, -1) @ weight + bias
        np.testing.assert_allclose(compute(images(2)), expected, atol=1e-5)
        assert runtime(classifier) is compute

    def test_runs_the_network_once_it_was_asked_for(self, graph, preprocessing):
        network = Fickle().eval()
        classifier = Classifier.from_graph(graph, lambda: network, preprocessing, ["a", "b", "c"])
        before = runtime(classifier)(images(2))
        assert classifier.to_torch() is network
        after = runtime(classifier)(images(2))
        assert not np.allclose(before, after)
        np.testing.assert_array_equal(after, TorchRuntime(network)(images(2)))

    @pytest.mark.parametrize("names", [["a", "b"], ["a", "b", "c", "d"]])
    def test_class_names_and_scores_must_agree(self, graph, preprocessing, names):
        own = Classifier(Fickle(), preprocessing, names)
        loaded = Classifier.from_graph(graph, Fickle, preprocessing, names)
        for classifier in (own, loaded):
            with pytest.raises(
                ClassCountError, match=f"3 scores, but there are {len(names)} .*a, b"
            ):
                runtime(classifier)(images(2))

    @pytest.mark.parametrize(("value", "name"), [(float("nan"), "NaN"), (float("inf"), "infinity")])
    def test_answers_that_are_no_numbers_are_refused(self, preprocessing, value, name):
        network = Fickle()
        with torch.no_grad():
            network.fc.bias[1] = value
        with pytest.raises(ModelError, match=f"answers {name} .*diverged"):
            runtime(Classifier(network, preprocessing, ["a", "b", "c"]))(images(2))

    def test_logits_must_have_one_row_an_image(self, preprocessing):
        classifier = Classifier(nn.Identity(), preprocessing, ["a", "b"])
        with pytest.raises(ModelError, match=r"shape \(2, 2\), received \(2, 1, 4, 6\)"):
            runtime(classifier)(images(2))


def test_importing_the_room_imports_neither_torch_nor_onnxruntime():
    code = (
        "import sys, lamplighter.inference.predictor, lamplighter.inference.runtime;"
        "assert not {'torch', 'onnxruntime', 'onnx'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


RUN = """
import numpy as np
from lamplighter.inference.runtime import head_logits
from lamplighter.models.head_weights import HeadWeights
from lamplighter.saving.head_graphs import standalone_graph
weights = {"weight": np.eye(2, dtype=np.float32), "bias": np.zeros(2, dtype=np.float32)}
print(head_logits(standalone_graph(HeadWeights("linear", weights)), weights["weight"]).tolist())
"""


def printed(code, **variables):
    """Return what a program prints whose environment says nothing of telemetry by itself."""
    kept = {key: value for key, value in os.environ.items() if key != "ORT_DISABLE_TELEMETRY"}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=kept | variables, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def test_onnx_runtime_keeps_and_sends_nothing_of_this_machine(tmp_path):
    places = {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    assert printed(RUN, **places) == "[[1.0, 0.0], [0.0, 1.0]]"
    assert list(tmp_path.iterdir()) == []


def test_who_wants_its_telemetry_is_heard():
    code = "import os, lamplighter.inference; print(os.environ['ORT_DISABLE_TELEMETRY'])"
    assert printed(code) == "1"
    assert printed(code, ORT_DISABLE_TELEMETRY="0") == "0"
