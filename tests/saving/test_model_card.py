"""The model card: read again by the libraries that it is written for."""

from __future__ import annotations

import copy

import pytest
import yaml
from huggingface_hub import ModelCard

from lamplighter import model_card
from lamplighter.errors import ArgumentError, BundleError
from lamplighter.models.classifier import Classifier, Record
from lamplighter.models.reliability import Trust
from lamplighter.saving.bundle import load, save

from .conftest import make_classifier

ACCURACY = {"value": 0.9, "low": 0.8123, "high": 0.95, "confidence": 0.95}
SCORE = {
    "data": "my photos",
    "split": "test",
    "count": 1200,
    "accuracy": ACCURACY,
    "macro_f1": {**ACCURACY, "value": 0.85},
    "top5": None,
    "answered": None,
    "unknown_classes": [],
    "missing_classes": ["cat"],
}


@pytest.fixture(scope="module")
def written(content, tmp_path_factory):
    """Write a bundle with another record, names or trust, without a new export."""
    folder = tmp_path_factory.mktemp("cards")
    (folder / "small.lamp").write_bytes(content)

    def write(record=None, names=None, trust=None, file="card.lamp"):
        classifier = load(folder / "small.lamp")
        if record is not None:
            classifier.record = record
        if names is not None:
            classifier.class_names = names
        classifier.trust = trust
        return save(classifier, folder / file)

    return write


def metadata(text):
    return yaml.safe_load(text.split("---\n")[1])


def test_the_hub_reads_what_was_measured(written):
    path = written(Record({"epochs": 3}, {"test": "ab" * 32}, {"test": SCORE, "mine": {"acc": 1}}))
    text = model_card(path, license="Apache-2.0")
    card = ModelCard(text)
    data = card.data
    assert (data.license, data.library_name) == ("apache-2.0", "lamplighter")
    assert data.pipeline_tag == "image-classification"
    assert "onnx" in data.tags
    assert data.metrics == ["accuracy", "f1"]
    assert (data.datasets, data.base_model) == (None, None)
    accuracy, f1 = data.eval_results
    assert (accuracy.metric_type, accuracy.metric_value) == ("accuracy", 0.9)
    assert (f1.metric_type, f1.metric_value) == ("f1", 0.85)
    assert accuracy.metric_name == "Accuracy (95 % interval 0.8123 to 0.9500)"
    assert (accuracy.dataset_type, accuracy.dataset_name) == ("imagefolder", "my photos")
    assert accuracy.dataset_split == "test"
    assert "| test | 1,200 of my photos | 90.00 % (95 % interval 81.23 to 95.00) |" in card.text
    assert "- test: no image of: cat" in card.text
    assert "- epochs: 3" in card.text
    assert "ab" * 32 in card.text


def test_nothing_is_made_up(written):
    text = model_card(written(Record()))
    said = metadata(text)
    assert sorted(said) == ["library_name", "pipeline_tag", "tags"]
    for sentence in (
        "how it was trained is not known",
        "The bundle holds no score that Lamplighter measured",
        "Neither was measured: do not take the probabilities for frequencies",
        "- its license",
        "- how well it does on a test split: none was measured",
    ):
        assert sentence in text
    assert "accuracy" not in text


def test_scores_of_the_owners_own_are_left_out(written):
    scores = {"test": {"accuracy": 0.9}, "val": 3, "a": {**SCORE, "count": "many"}}
    text = model_card(written(Record({}, {}, scores)))
    assert "model-index" not in text


def test_what_was_measured_of_trust_is_told(written):
    measured = {"calibration": {"before": {"error": ACCURACY}, "after": {"error": ACCURACY}}}
    text = model_card(written(trust=Trust(1.5, measured=measured)))
    assert "a temperature of 1.5; expected calibration error 90.0 % (95 % interval" in text
    assert "no image is called unknown" in text


def test_mnist_is_named_only_where_it_is_mnist(written, mnist):
    score = {**SCORE, "data": "mnist", "fingerprint": mnist.fingerprint("test")}
    assert metadata(model_card(written(Record({}, {}, {"test": score}))))["datasets"] == [
        "ylecun/mnist"
    ]
    other = {**copy.deepcopy(score), "fingerprint": "0" * 64}
    said = metadata(model_card(written(Record({}, {}, {"test": other}))))
    assert "datasets" not in said
    assert said["model-index"][0]["results"][0]["dataset"]["type"] == "imagefolder"


def test_names_cannot_break_the_page(written):
    names = ("<script>alert(1)</script>", "a | b\n---\n# c", '"q": `x` \u202e 🐱')
    score = {**SCORE, "data": 'x"\n---\nlicense: mit', "missing_classes": [names[1]]}
    path = written(Record({"<b>": ["*"]}, {}, {"test": score}), names, file="it's <a> | x.lamp")
    text = model_card(path)
    assert "<script" not in text
    assert "license" not in metadata(text)
    assert ModelCard(text).data.eval_results[0].dataset_name == 'x"\\n---\\nlicense: mit'
    lines = text.splitlines()
    assert [line for line in lines if line.startswith("# ")] == ["# it's &lt;a&gt; \\| x"]
    assert "\u202e" not in text
    assert sum(line == "---" for line in lines) == 2
    assert "$ lamplighter predict 'it'\"'\"'s <a> | x.lamp' PHOTO.jpg" in lines


def test_many_classes_are_counted(tmp_path):
    names = [f"class {number}" for number in range(250)]
    small = make_classifier()
    classifier = Classifier.new("better-cnn", preprocessing=small.preprocessing, class_names=names)
    text = model_card(save(classifier, tmp_path / "many.lamp"))
    assert "- class 199\n- and 50 more, in `description.json`" in text


def test_what_cannot_be_told(written, tmp_path):
    with pytest.raises(ArgumentError, match="license must be a name"):
        model_card(written(), license="my own: x")
    with pytest.raises(BundleError, match="no such file"):
        model_card(tmp_path / "absent.lamp")
