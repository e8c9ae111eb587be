"""ONNX models that take images and answer with class names; and int8, and what it loses."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from PIL import Image

import lamplighter
from lamplighter import predict
from lamplighter.errors import DataError, ExportError, OutputError, ParityError
from lamplighter.models.classifier import Classifier
from lamplighter.saving import image_proof
from lamplighter.saving.bundle import load, save
from lamplighter.saving.export import export, write_export
from lamplighter.saving.image_proof import measure_loss, prove, real_images

from .conftest import PREPROCESSING, SEEN, pictures


@pytest.fixture(scope="module")
def bundle(photos, tmp_path_factory):
    return save(photos, tmp_path_factory.mktemp("photos") / "photos.lamp")


def ask(path, image):
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    names = [port.name for port in session.get_outputs()]
    pixels = np.asarray(image.convert("RGB"))[np.newaxis]
    return dict(zip(names, session.run(None, {"images": pixels}), strict=True))


def test_it_says_what_predict_says(bundle, tmp_path):
    classifier = load(bundle)
    path = export(classifier, tmp_path / "photos.onnx", "onnx", preprocessing=True)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    assert [(port.name, port.type) for port in session.get_inputs()] == [
        ("images", "tensor(uint8)")
    ]
    assert [port.name for port in session.get_outputs()] == [
        "label", "probabilities", "known", "distance",
    ]  # fmt: skip
    chosen = [*pictures(), Image.new("L", (31, 200), 90), Image.new("1", (3, 2))]
    expected = predict(classifier, chosen)
    assert len({*expected.labels}) > 1
    assert "unknown" in expected.labels
    for number, image in enumerate(chosen):
        answer = ask(path, image)
        assert answer["label"].tolist() == [expected.labels[number]]
        assert answer["known"].tolist() == [expected.known[number]]
        np.testing.assert_allclose(
            answer["probabilities"][0], expected.probabilities[number], atol=1e-6
        )
        np.testing.assert_allclose(answer["distance"], [expected.distances[number]], atol=1e-6)
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    said = {entry.key: entry.value for entry in model.metadata_props}
    assert json.loads(said["class_names"]) == ["cat", "dög", "| eel"]
    assert said["unknown"] == "unknown"
    assert said["preprocessing"] == SEEN.describe()


def test_without_trust_and_in_grey(classifier, tmp_path):
    bundle = load(save(classifier, tmp_path / "small.lamp"))
    path = export(bundle, tmp_path / "small.onnx", "onnx", preprocessing=True)
    image = pictures()[3]
    answer = ask(path, image)
    assert sorted(answer) == ["label", "probabilities"]
    expected = predict(bundle, [image])
    assert answer["label"].tolist() == expected.labels
    np.testing.assert_allclose(answer["probabilities"], expected.probabilities, atol=1e-6)


def test_images_of_ones_own_prove_it(bundle, tmp_path):
    folder = tmp_path / "own"
    folder.mkdir()
    for number, image in enumerate(pictures()[:3]):
        image.save(folder / f"{number}.jpg")
    (folder / "broken.jpg").write_bytes(b"\xff\xd8 no photo")
    paths = sorted(folder.iterdir())
    written = write_export(
        load(bundle), tmp_path / "a.onnx", "onnx", preprocessing=True, images=iter(paths)
    )
    assert str(written.proof).startswith("proven on 3 images that were given: the same answers")
    for images in ([], [folder / "broken.jpg"]):
        with pytest.raises(DataError, match="none"):
            export(load(bundle), tmp_path / "b.onnx", "onnx", preprocessing=True, images=images)
    assert not (tmp_path / "b.onnx").exists()


def test_a_model_that_answers_otherwise_is_not_written(bundle, tmp_path, monkeypatch):
    made = lamplighter.saving.export.image_graph

    def wrong(classifier, network):
        other = load(bundle)
        other.preprocessing = dataclasses.replace(SEEN, fit="squash")
        return made(other, network)

    monkeypatch.setattr("lamplighter.saving.export.image_graph", wrong)
    with pytest.raises(ParityError, match="must answer as predict within 1e-04"):
        export(load(bundle), tmp_path / "a.onnx", "onnx", preprocessing=True)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("change", ["label", "distance", "count", "nan"])
def test_the_proof_sees_each_part(photos, change):
    (image,) = images = pictures()[:1]
    expected = predict(photos, [image])
    answer = {
        "label": np.array(expected.labels),
        "probabilities": expected.probabilities.copy(),
        "distance": expected.distances.copy(),
    }
    assert prove(photos, lambda _: answer, images, "1 image", tolerance=1e-4).max_difference == 0
    if change == "label":
        answer["label"] = np.array(["eel"])
    elif change == "distance":
        answer["distance"] = answer["distance"] + 0.01
    elif change == "nan":
        answer["probabilities"][0, 0] = np.nan
    else:
        answer["probabilities"] = answer["probabilities"][:, :2]
    with pytest.raises(ParityError):
        prove(photos, lambda _: answer, images, "1 image", tolerance=1e-4)


def test_a_digit_is_not_found_by_a_graph_but_digits_as_they_are_are_read(mnist, tmp_path):
    classifier = Classifier.new("better-cnn", mnist)
    path = tmp_path / "digits.onnx"
    with pytest.raises(ExportError, match="finds a digit"):
        export(classifier, path, "onnx", preprocessing=True)
    assert real_images(classifier)[1] == "64 digits of MNIST"
    classifier.preprocessing = dataclasses.replace(classifier.preprocessing, find_digit=False)
    export(classifier, path, "onnx", preprocessing=True)
    digit = Image.fromarray(mnist["test"].images[0][0])
    assert ask(path, digit)["label"].tolist() == predict(classifier, [digit]).labels


@pytest.mark.parametrize(
    ("name", "format", "extra", "message"),
    [
        (
            "a.tflite",
            "onnx",
            {},
            r"and its name says \.tflite; name it a\.onnx, or",
        ),
        ("a.lamp", "onnx", {}, r"name it a\.onnx"),
        ("a.onnx", "state-dict", {}, r"name it a\.pt,"),
        ("a.pt", "state-dict", {"preprocessing": True}, "for the format onnx alone"),
        ("a.lamp", "bundle", {"precision": "int8"}, "precision int8 is for the format onnx alone"),
    ],
)
def test_what_does_not_go_together(classifier, tmp_path, name, format, extra, message):  # noqa: A002
    with pytest.raises(OutputError, match=message):
        export(classifier, tmp_path / name, format, **extra)
    assert not list(tmp_path.iterdir())


def test_none_of_it_needs_torch(bundle, tmp_path):
    root = Path(__file__).resolve().parents[2]
    path = os.pathsep.join(map(str, (root / "tests" / "torchless", root / "src")))
    script = """
import sys, lamplighter
classifier = lamplighter.load(sys.argv[1])
lamplighter.export(classifier, "a.onnx", "onnx", preprocessing=True)
print(lamplighter.model_card(sys.argv[1])[:3], "torch" in sys.modules)
"""
    done = subprocess.run(
        [sys.executable, "-c", script, str(bundle)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("--- False\n", "")
    assert (tmp_path / "a.onnx").is_file()


class TestPrecision:
    def test_int8_is_smaller_and_says_what_it_loses(self, bundle, tmp_path, own_cache):
        exact = export(load(bundle), tmp_path / "exact.onnx", "onnx")
        written = write_export(load(bundle), tmp_path / "small.onnx", "onnx", precision="int8")
        assert written.path.stat().st_size < 0.5 * exact.stat().st_size
        assert written.proof is None
        assert written.loss.accuracy is None
        assert 0.8 < written.loss.agreement.value <= 1
        assert 0 < written.loss.mean_change < 0.05
        assert "the same class as in fp32 for" in str(written.loss)

    def test_with_preprocessing_it_answers_as_the_integers_do(self, bundle, tmp_path, own_cache):
        written = write_export(
            load(bundle), tmp_path / "a.onnx", "onnx", preprocessing=True, precision="int8"
        )
        assert written.proof.max_difference < 1e-5
        assert "distance" in ask(written.path, pictures()[0])

    def test_accuracy_before_and_after_where_there_are_labels(self, photos, tmp_path):
        for number, image in enumerate(pictures()[:12]):
            place = tmp_path / "data" / ("cat", "dög", "other")[number % 3] / f"{number}.png"
            place.parent.mkdir(parents=True, exist_ok=True)
            image.save(place)
        files = lamplighter.find_files(tmp_path / "data")
        loss = measure_loss(photos, photos, files.files, "12 images", files)
        expected = predict(photos, files.files)
        true = [files.class_names[label] for label in files.labels]
        named = [photos.class_names[index] for index in expected.indices]
        right = [t == n for t, n in zip(true, named, strict=True) if t != "other"]
        assert loss.agreement.value == 1
        assert loss.accuracy[0].value == loss.accuracy[1].value == np.mean(right)
        assert loss.p_value == 1
        assert "no more than chance explains" in str(loss)

    def test_sure_answers_that_flip_are_refused(self, photos, monkeypatch):
        other = Classifier.new("champion", preprocessing=SEEN, class_names=photos.class_names)
        monkeypatch.setattr(image_proof, "_SURE", 0.0)
        with pytest.raises(ParityError, match="int8 must keep the answers that fp32 is sure of"):
            measure_loss(photos, other, pictures(), "24 pictures")

    def test_integers_do_not_become_floats(self, bundle, tmp_path, own_cache):
        reduced = lamplighter.at_precision(load(bundle), "int8")
        with pytest.raises(ExportError, match="learned with its backbone in int8"):
            export(reduced, tmp_path / "a.onnx", "onnx", precision="fp32")


def test_grey_pictures_are_the_same_as_in_colour():
    wanted = dataclasses.replace(PREPROCESSING, height=9)
    grey = Image.fromarray(np.arange(256, dtype=np.uint8).reshape(16, 16))
    np.testing.assert_array_equal(wanted(grey), wanted(grey.convert("RGB")))
