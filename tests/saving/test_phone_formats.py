"""LiteRT and Core ML: what can be tested without their packages, and with them."""

from __future__ import annotations

import sys
import zipfile

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper
from torch import nn

from lamplighter import predict
from lamplighter.errors import ExportError, MissingPackageError, OutputError, ParityError
from lamplighter.files.writing import package_written_whole
from lamplighter.images.preprocessing import Preprocessing
from lamplighter.models.classifier import Classifier
from lamplighter.saving.answering_graph import pixels_graph
from lamplighter.saving.export import export, write_export
from lamplighter.saving.graph_reading import Step, padding_of, read_graph
from lamplighter.saving.parity import proven_graph

from .conftest import pictures

NAMES = ("cat", "dög", "eel\nline")
FORMATS = {"litert": ("ai_edge_litert", ".tflite"), "coreml": ("coremltools", ".mlpackage")}


@pytest.mark.parametrize("format", FORMATS)
class TestWithoutThePackages:
    def test_what_is_missing_is_named(self, classifier, tmp_path, monkeypatch, format):  # noqa: A002
        package, suffix = FORMATS[format]
        monkeypatch.setitem(sys.modules, package, None)
        named = package.replace("_", "-")
        with pytest.raises(MissingPackageError, match=f"needs {named}, .* pip install {named}"):
            export(classifier, tmp_path / f"a{suffix}", format)
        assert not list(tmp_path.iterdir())

    def test_other_endings_are_refused(self, classifier, tmp_path, format):  # noqa: A002
        with pytest.raises(OutputError, match=rf"name it a\{FORMATS[format][1]}"):
            export(classifier, tmp_path / "a.onnx", format)


class TestPackage:
    def test_it_appears_whole(self, tmp_path):
        target = tmp_path / "a.mlpackage"
        for text in ("one", "two"):
            with package_written_whole(target) as made:
                made.mkdir()
                (made / "Manifest.json").write_text(text)
            assert (target / "Manifest.json").read_text() == text
            assert [file.name for file in tmp_path.iterdir()] == ["a.mlpackage"]

    def test_a_failure_leaves_what_was_there(self, tmp_path):
        target = tmp_path / "a.mlpackage"
        target.mkdir()
        (target / "Manifest.json").write_text("mine")

        def fail():
            with package_written_whole(target) as made:
                made.mkdir()
                raise ParityError("no")

        with pytest.raises(ParityError):
            fail()
        assert (target / "Manifest.json").read_text() == "mine"
        assert [file.name for file in tmp_path.iterdir()] == ["a.mlpackage"]

    def test_a_package_that_is_missing_in_the_end_leaves_what_was_there(self, tmp_path):
        target = tmp_path / "a.mlpackage"
        target.mkdir()
        (target / "Manifest.json").write_text("mine")

        def make_nothing():
            with package_written_whole(target):
                pass

        with pytest.raises(OutputError, match="cannot be written"):
            make_nothing()
        assert (target / "Manifest.json").read_text() == "mine"
        assert [file.name for file in tmp_path.iterdir()] == ["a.mlpackage"]

    @pytest.mark.parametrize("kind", ["folder", "file"])
    def test_what_is_no_package_is_never_replaced(self, classifier, tmp_path, kind):
        target = tmp_path / "a.mlpackage"
        target.mkdir() if kind == "folder" else target.write_text("mine")
        with pytest.raises(OutputError, match="is no Core ML package"):
            export(classifier, target, "coreml")
        assert target.exists()

    def test_a_missing_folder_is_named(self, classifier, tmp_path):
        with pytest.raises(OutputError, match=r"there is no folder .*absent; make it first"):
            export(classifier, tmp_path / "absent" / "a.mlpackage", "coreml")


@pytest.mark.parametrize("kind", ["SAME_UPPER", "SAME_LOWER", "VALID"])
@pytest.mark.parametrize(("size", "kernel", "stride"), [(7, 3, 2), (8, 3, 2), (9, 2, 1), (5, 4, 3)])
def test_padding_is_what_onnx_runtime_pads(kind, size, kernel, stride):
    settings = {"auto_pad": kind, "strides": [stride, stride]}
    pads = padding_of(Step("Conv", (), (), settings), (size, size), (kernel, kernel))
    ports = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in "xy"]
    weights = np.arange(kernel * kernel, dtype=np.float32).reshape(1, 1, kernel, kernel)
    image = np.arange(size * size, dtype=np.float32).reshape(1, 1, size, size)
    answers = []
    for attributes in (settings, {"pads": pads, "strides": [stride, stride]}):
        node = helper.make_node("Conv", ["x", "w"], ["y"], **attributes)
        constant = onnx.numpy_helper.from_array(weights, "w")
        graph = helper.make_graph([node], "conv", ports[:1], ports[1:], [constant])
        answers.append(onnx.reference.ReferenceEvaluator(helper.make_model(graph)).run(
            None, {"x": image}
        )[0])  # fmt: skip
    np.testing.assert_array_equal(*answers)


def test_a_graph_is_read_for_one_image_and_all_shapes_are_known(classifier):
    graph = read_graph(pixels_graph(classifier, proven_graph(classifier)[0]), "a format")
    assert (graph.inputs, graph.outputs) == (("pixels",), ("probabilities",))
    assert graph.shapes["pixels"] == (1, 1, 12, 13)
    assert graph.shapes["probabilities"] == (1, 3)
    kinds = [step.kind for step in graph.steps]
    assert "BatchNormalization" not in kinds
    assert kinds[-1] == "Softmax"


class Mixed(nn.Module):
    """Layers of many kinds, with paddings that the formats write in different ways."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, stride=2, padding=1), nn.Hardswish())
        self.pools = nn.ModuleList(
            [nn.MaxPool2d(3, 1, padding=1), nn.AvgPool2d(3, 1, padding=1), nn.MaxPool2d(2, 1)]
        )
        self.deep = nn.Conv2d(16, 16, 3, padding=(2, 0), groups=16, dilation=2)
        self.grouped = nn.Conv2d(16, 16, 1, groups=4)
        self.normal = nn.BatchNorm2d(16)
        self.gate = nn.Sequential(nn.Conv2d(16, 16, 1), nn.Hardsigmoid())
        self.last = nn.LayerNorm(16)
        self.fc = nn.Linear(16, 3)

    def forward(self, images):
        x = self.stem(images)
        x = torch.cat([self.pools[0](x), nn.functional.silu(self.pools[1](x))], 1)
        x = self.normal(nn.functional.gelu(self.grouped(self.deep(x)), approximate="tanh"))
        x = self.pools[2](x)
        x = x * self.gate(x.mean((2, 3), keepdim=True)) - 0.5
        tokens = self.last(x.flatten(2).transpose(1, 2))  # (N, H * W, 16)
        scores = torch.softmax(tokens @ tokens.transpose(1, 2), dim=-1)
        return 8 * self.fc(torch.tanh((scores @ tokens)[:, 1:]).mean(1))


@pytest.fixture(scope="module")
def mixed():
    torch.manual_seed(5)
    network = Mixed()
    for _ in range(2):
        network(torch.randn(4, 3, 30, 26))
    preprocessing = Preprocessing(height=30, width=26, fit="letterbox")
    return Classifier(network.eval(), preprocessing, NAMES)


@pytest.mark.converters
@pytest.mark.parametrize("format", FORMATS)
class TestWithThePackages:
    @pytest.mark.parametrize("which", ["mixed", "photos"])
    def test_it_answers_as_predict(self, request, tmp_path, format, which):  # noqa: A002
        classifier = request.getfixturevalue(which)
        path = tmp_path / f"a{FORMATS[format][1]}"
        written = write_export(classifier, path, format, images=pictures())
        assert written.proof.max_difference < 1e-5
        assert [file.name for file in tmp_path.iterdir()] == [path.name]

    @pytest.mark.parametrize(
        "name", ["simple-cnn", "branch-cnn", "residual-cnn", "inception-cnn", "champion"]
    )
    def test_networks_of_the_labs(self, tmp_path, format, name):  # noqa: A002
        wanted = Preprocessing(height=28, width=28)
        torch.manual_seed(0)
        classifier = Classifier.new(name, preprocessing=wanted, class_names=NAMES)
        written = write_export(classifier, tmp_path / f"a{FORMATS[format][1]}", format)
        assert written.proof.max_difference < 1e-5

    def test_what_is_not_translated_is_named(self, tmp_path, format):  # noqa: A002
        class Odd(nn.Module):
            def __init__(self):
                super().__init__()
                self.fc = nn.Linear(3, 3)

            def forward(self, images):
                return self.fc(torch.erf(torch.cumsum(images, 1).mean((2, 3))))

        classifier = Classifier(Odd(), Preprocessing(height=8, width=8), NAMES)
        with pytest.raises(ExportError, match=r"the operator \w+ is not translated"):
            export(classifier, tmp_path / f"a{FORMATS[format][1]}", format)
        assert not list(tmp_path.iterdir())

    def test_a_model_that_answers_otherwise_is_not_written(
        self,
        mixed,
        tmp_path,
        monkeypatch,
        format,  # noqa: A002
    ):
        module = sys.modules[f"lamplighter.saving.{format}"]

        def wrong(classifier, network):
            other = Classifier(
                mixed.network, Preprocessing(height=30, width=26, mean=(0.0,) * 3), NAMES
            )
            return pixels_graph(other, network)

        monkeypatch.setattr(module, "pixels_graph", wrong)
        with pytest.raises(ParityError, match="must answer as predict"):
            export(mixed, tmp_path / f"a{FORMATS[format][1]}", format)
        assert not list(tmp_path.iterdir())


@pytest.mark.converters
def test_litert_models_hold_their_class_names(mixed, tmp_path):
    path = export(mixed, tmp_path / "a.tflite", "litert")
    with zipfile.ZipFile(path) as archive:
        assert archive.read("labels.txt").decode() == "cat\ndög\neel line\n"


@pytest.mark.converters
def test_litert_says_unknown(photos, tmp_path):
    from ai_edge_litert.interpreter import Interpreter

    path = export(photos, tmp_path / "a.tflite", "litert")
    run = Interpreter(model_path=str(path)).get_signature_runner("serving_default")
    for image in pictures()[:6]:
        pixels = photos.preprocessing.pixels(image).transpose(1, 2, 0)[np.newaxis]
        answer = run(pixels=pixels.astype(np.float32))
        expected = predict(photos, [image])
        assert answer["known"].tolist() == expected.known.tolist()
        np.testing.assert_allclose(answer["distance"], expected.distances, atol=1e-5)


@pytest.mark.converters
def test_core_ml_packages_say_what_apple_reads(photos, tmp_path):
    import coremltools

    path = export(photos, tmp_path / "a.mlpackage", "coreml")
    spec = coremltools.utils.load_spec(str(path))
    (given,) = spec.description.input
    kind = given.type.imageType
    assert (given.name, kind.height, kind.width) == ("pixels", 28, 30)
    assert spec.description.predictedFeatureName == "label"
    assert "distance" in [port.name for port in spec.description.output]
    said = dict(spec.description.metadata.userDefined)
    assert float(said["unknown_above"]) == pytest.approx(photos.trust.threshold)
