import json

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score
from torch import nn

from lamplighter.datasets.image_data import ImageData, Split
from lamplighter.errors import (
    ClassCountError,
    DatasetError,
    ModelError,
    ShapeError,
    UnknownSplitError,
)
from lamplighter.evaluation.calibration import calibration_error, fit_temperature, softmax
from lamplighter.evaluation.open_set import choose_threshold, distances
from lamplighter.evaluation.reliability import add_trust, make_trust, with_threshold
from lamplighter.evaluation.report import Report, evaluate
from lamplighter.images.preprocessing import Preprocessing
from lamplighter.inference.predictor import Predictions, predict_pixels
from lamplighter.models.classifier import Classifier
from lamplighter.models.reliability import Trust

PREPROCESSING = Preprocessing(height=1, width=4, channels=1, mean=(0.5,), std=(0.25,))
NAMES = ("a", "b", "c")


def network(hidden=6):
    """Features (N, hidden) and logits that are too sure, always the same."""
    torch.manual_seed(0)
    built = nn.Sequential(nn.Flatten(), nn.Linear(4, hidden), nn.ReLU(), nn.Linear(hidden, 3))
    with torch.no_grad():
        built[3].weight.mul_(20)
    return built


def split_of(count, labels, seed, low=0, high=256):
    images = np.random.default_rng(seed).integers(low, high, (count, 1, 1, 4), dtype=np.uint8)
    return Split(images, np.asarray(labels, dtype=np.int64))


@pytest.fixture
def classifier():
    return Classifier(network(), PREPROCESSING, NAMES)


@pytest.fixture
def data(classifier):
    """Labels as the classifier answers with a temperature of 5; some of "d", which it never saw."""
    train = split_of(300, np.arange(300) % 3, 0, 100, 200)
    draft = split_of(400, np.zeros(400), 1, 80, 220)
    logits = predict_pixels(classifier, draft.images).logits
    shares = softmax(logits, 5).cumsum(axis=1)
    labels = (shares < np.random.default_rng(2).random((400, 1))).sum(axis=1)
    unseen = split_of(40, np.full(40, 3), 3, 0, 40)
    val = Split(
        np.concatenate([draft.images, unseen.images]), np.concatenate([labels, unseen.labels])
    )
    splits = {"train": train, "val": val}
    return ImageData(splits, (*NAMES, "d"), preprocessing=PREPROCESSING, name="toys")


def features_of(classifier, images):
    """The features by the plain network, without the runtime."""
    with torch.inference_mode():
        inputs = torch.from_numpy(PREPROCESSING.normalise(images))
        return classifier.network[:3](inputs).numpy()


class TestAddTrust:
    def test_measures_temperature_and_threshold(self, classifier, data):
        trust = add_trust(classifier, data, coverage=0.9)
        assert classifier.trust is trust
        val = data["val"]
        logits = classifier.network(torch.from_numpy(PREPROCESSING.normalise(val.images)))
        logits = logits.detach().numpy()
        assert trust.temperature == pytest.approx(fit_temperature(logits, val.labels), rel=1e-4)
        assert trust.temperature == pytest.approx(5, rel=0.2)

        train, features = (features_of(classifier, data[name].images) for name in ("train", "val"))
        apart = distances(features, train)
        assert trust.reference.shape == (300, 6)
        np.testing.assert_allclose(np.linalg.norm(trust.reference, axis=1), 1, atol=1e-3)
        np.testing.assert_allclose(trust.distances(features), apart, atol=1e-3)  # float16
        known = val.labels < 3
        assert trust.threshold == pytest.approx(choose_threshold(apart[known], 0.9), abs=1e-3)
        kept = (trust.distances(features)[known] <= trust.threshold).mean()
        assert 0.9 <= kept < 0.91

    def test_reports_what_it_measured(self, classifier, data):
        measured = add_trust(classifier, data).measured
        assert json.loads(json.dumps(measured, allow_nan=False)) == measured
        assert (measured["count"], measured["unknown_count"]) == (440, 40)
        known = data["val"].take(np.arange(400))
        predictions = predict_pixels(classifier, data["val"].images)
        before = calibration_error(softmax(predictions.logits[:400]), known.labels)
        calibration, unknown = measured["calibration"], measured["unknown"]
        assert calibration["before"]["error"] == before.to_dict()
        assert calibration["after"]["error"]["high"] < before.low
        assert calibration["after_by"] == "cross-fitting, 5 folds"
        assert calibration["note"] is None
        assert unknown["chosen_coverage"] == 0.95
        assert unknown["coverage"]["value"] == predictions.known[:400].mean()
        right = predictions.indices == data["val"].labels
        assert unknown["accuracy_on_known"]["value"] == right[predictions.known].mean()
        unseen = unknown["unseen_classes"]
        assert unseen["count"] == 40
        assert unseen["called_unknown"]["value"] == (~predictions.known[400:]).mean() > 0.3
        truth = np.repeat([0, 1], [400, 40])
        assert unseen["auroc"]["value"] == pytest.approx(
            roc_auc_score(truth, predictions.distances)
        )

    def test_the_error_after_is_that_of_temperatures_fitted_to_others(self, classifier):
        # With two images, each has the temperature of the other: one right, one wrong.
        logits = np.array([[4.0, 0, 0], [0, 4, 0], [0, 0, 2]], dtype=np.float32)
        trust = make_trust(classifier, val_logits=logits[:2], val_labels=np.array([0, 0]))
        calibration = trust.measured["calibration"]
        assert calibration["after_by"] == "cross-fitting, 2 folds"
        # Without the wrong one the temperature stays 1, without the right one it is 20.
        sure = [softmax(logits[:1], 20).max(), softmax(logits[1:2], 1).max()]
        expected = (abs(sure[0] - 1) + sure[1]) / 2
        assert calibration["rejected"]["error"]["value"] == pytest.approx(expected)
        # It would do harm: the temperature stays 1, and the error what it was.
        assert calibration["rejected"]["temperature"] != 1 == trust.temperature
        assert calibration["after"] == calibration["before"]
        assert "stays 1" in calibration["note"]

    def test_predictions_use_it(self, classifier, data):
        before = predict_pixels(classifier, data["val"].images)
        trust = add_trust(classifier, data)
        after = predict_pixels(classifier, data["val"].images)
        np.testing.assert_array_equal(before.logits, after.logits)
        np.testing.assert_allclose(
            after.probabilities, softmax(before.logits, trust.temperature), atol=1e-5
        )
        assert before.known.all()
        expected = [
            NAMES[index] if known else "unknown"
            for index, known in zip(before.indices, after.known, strict=True)
        ]
        assert after.labels == expected
        assert 0.5 < after.known.mean() < 1

    def test_the_report_says_what_is_answered(self, classifier, data):
        plain = evaluate(classifier, data, "val")
        assert "\nknown " not in str(plain)
        assert plain.to_dict()["answered"] is None
        add_trust(classifier, data)
        report = evaluate(classifier, data, "val")
        assert report.accuracy == plain.accuracy  # of the classes, whether known or not
        known = report.predictions.known
        assert 0.5 < known.mean() < 1
        assert report.answered.accuracy.value == report.right[known].mean()
        assert f"known     {report.answered}" in str(report).splitlines()
        assert report.to_dict()["answered"] == report.answered.to_dict()

    def test_of_many_training_images_a_sample_is_kept(self, classifier, data):
        labels = np.repeat([0, 1, 2], [2990, 8, 2])
        train = split_of(3000, labels, 5)
        many = ImageData(
            {"train": train, "val": data["val"]}, data.class_names, preprocessing=PREPROCESSING
        )
        done = []
        trust = add_trust(classifier, many, neighbours=2, progress=done.append)
        assert trust.reference.shape == (2000, 6)
        assert trust.neighbours == 2
        assert done == sorted(done)
        assert done[-1] == 440 + 2000
        rare = features_of(classifier, train.images[-2:])
        assert distances(rare, trust.reference).max() < 1e-5

    def test_a_network_without_features_has_a_temperature_alone(self, data):
        flat = nn.Sequential(nn.Flatten(), nn.Linear(4, 3)).requires_grad_(False)
        plain = Classifier(nn.Sequential(nn.Flatten(), Twice(flat[1])), PREPROCESSING, NAMES)
        trust = add_trust(plain, data)
        assert trust.reference is None
        assert trust.threshold is None
        assert trust.measured["unknown"] is None
        assert predict_pixels(plain, data["val"].images).known.all()

    def test_without_a_train_split_what_is_missing_is_said(self, classifier, data, caplog):
        only = ImageData({"val": data["val"]}, data.class_names, preprocessing=PREPROCESSING)
        assert add_trust(classifier, only).reference is None
        assert "no split 'train', so no image can be called unknown" in caplog.text

    def test_without_a_train_split_a_reference_that_is_there_stays(self, classifier, data, caplog):
        whole = add_trust(classifier, data)
        only = ImageData({"val": data["val"]}, data.class_names, preprocessing=PREPROCESSING)
        again = add_trust(classifier, only)
        # Vectors of length 1 in float16 are made 1 long and rounded once more.
        np.testing.assert_allclose(again.reference, whole.reference, atol=2e-4)
        assert again.threshold == pytest.approx(whole.threshold, abs=1e-3)
        assert again.temperature == whole.temperature
        assert caplog.text == ""

    def test_the_temperature_does_not_hang_on_the_seed(self, classifier, data):
        found = {add_trust(classifier, data, seed=seed).temperature for seed in range(6)}
        assert len(found) == 1

    def test_a_split_that_was_learned_from_is_refused(self, classifier, data):
        classifier.record.recipe = {"refitted": {"splits": ["train", "val"], "images": 9}}
        with pytest.raises(DatasetError, match="has learned from the split 'val' too"):
            add_trust(classifier, data)

    def test_classes_are_matched_by_name(self, classifier, data):
        trust = add_trust(classifier, data)
        order = np.array([2, 0, 1, 3])  # of the same names
        renamed = ImageData(
            {name: Split(s.images, order[s.labels]) for name, s in data.splits.items()},
            [data.class_names[place] for place in np.argsort(order)],
            preprocessing=PREPROCESSING,
        )
        again = add_trust(classifier, renamed)
        assert (again.temperature, again.threshold) == (trust.temperature, trust.threshold)
        assert again.measured == trust.measured

    def test_wrong_data_is_refused(self, classifier, data):
        with pytest.raises(DatasetError, match="not trained on, received the split 'train'"):
            add_trust(classifier, data, split="train")
        with pytest.raises(UnknownSplitError):
            add_trust(classifier, data, split="test")
        nothing = {"train": data["train"], "val": data["val"].take(np.arange(0))}
        empty = ImageData(nothing, data.class_names, preprocessing=PREPROCESSING)
        with pytest.raises(DatasetError, match="no image to measure on"):
            add_trust(classifier, empty)
        with pytest.raises(DatasetError, match="coverage above 0"):
            add_trust(classifier, data, coverage=95)
        with pytest.raises(DatasetError, match="one neighbour or more"):
            add_trust(classifier, data, neighbours=0)
        others = ImageData(data.splits, "wxyz", preprocessing=PREPROCESSING)
        with pytest.raises(ClassCountError):
            add_trust(classifier, others)
        wide = Preprocessing(height=1, width=5, channels=1, mean=(0.5,), std=(0.5,))
        split = Split(np.zeros((2, 1, 1, 5), np.uint8), np.zeros(2, np.int64))
        with pytest.raises(ShapeError):
            add_trust(classifier, ImageData({"val": split}, NAMES, preprocessing=wide))
        assert classifier.trust is None


class Twice(nn.Module):
    """Calls its layer twice, so that there is no one vector of features."""

    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def forward(self, images):
        return self.layer(images) + self.layer(-images)


class TestMakeTrust:
    logits = np.eye(3, dtype=np.float32)[[0, 1, 2, 0]] * 3

    def test_where_every_answer_is_right_the_temperature_stays_1(self, classifier):
        trust = make_trust(classifier, val_logits=self.logits, val_labels=np.array([0, 1, 2, 0]))
        assert trust.temperature == 1
        assert "every answer is right" in trust.measured["calibration"]["note"]

    def test_a_bound_is_told(self, classifier):
        trust = make_trust(classifier, val_logits=self.logits, val_labels=np.array([1, 2, 0, 1]))
        assert trust.temperature == 20
        assert "at the bound of 20" in trust.measured["calibration"]["note"]

    def test_without_images_of_known_classes_nothing_is_measured(self, classifier):
        trust = make_trust(
            classifier,
            val_logits=self.logits,
            val_labels=np.full(4, -1),
            val_features=self.logits,
            train_features=self.logits,
        )
        assert (trust.temperature, trust.reference) == (1, None)
        assert trust.measured["calibration"] is None
        assert trust.measured["unknown_count"] == 4

    def test_few_images_of_unknown_classes_have_no_area(self, classifier):
        trust = make_trust(
            classifier,
            val_logits=self.logits,
            val_labels=np.array([0, 1, 2, 9]),
            val_features=np.eye(4, dtype=np.float32),
            train_features=np.eye(4, dtype=np.float32)[:3],
            train_labels=np.array([0, 1, 2]),
            neighbours=8,
        )
        assert trust.neighbours == 3  # there are no more
        unseen = trust.measured["unknown"]["unseen_classes"]
        assert (unseen["count"], unseen["auroc"]) == (1, None)

    @pytest.mark.parametrize(
        "change",
        [
            {"val_labels": np.zeros(3, np.int64)},
            {"val_logits": logits[:, :2]},
            {"val_logits": logits[:0], "val_labels": np.zeros(0, np.int64)},
            {"val_features": logits[:3]},
            {"train_labels": np.zeros(3, np.int64)},
            {"train_labels": np.full(4, -1)},
        ],
    )
    def test_arrays_that_do_not_fit_are_refused(self, classifier, change):
        arguments = {
            "val_logits": self.logits,
            "val_labels": np.array([0, 1, 2, 1]),
            "val_features": self.logits,
            "train_features": self.logits,
            "train_labels": np.array([0, 1, 2, 1]),
        }
        make_trust(classifier, **arguments)
        with pytest.raises(DatasetError, match="received"):
            make_trust(classifier, **(arguments | change))


def far_and_near(distances):
    """Ten images of a, b and the unseen d, of which those that are far away are answered wrong."""
    labels = np.array([0, 0, 0, 0, 1, 1, 1, 1, 3, 3])
    logits = np.zeros((10, 3), dtype=np.float32)
    logits[np.arange(10), [0, 0, 0, 1, 1, 1, 1, 0, 2, 2]] = 2
    return Report(
        "toys",
        "val",
        "",
        (*NAMES, "d"),
        labels,
        Predictions(logits, NAMES, (), 1.5, distances, 0.5),
    )


def test_another_threshold_is_measured_on_held_out_images():
    distances = np.array([1, 2, 3, 8, 1, 2, 3, 9, 4, 12], dtype=np.float32) / 10
    trust = Trust(1.5, np.eye(3, 4, dtype=np.float32), 1, 0.5, {"calibration": None, "source": "x"})
    changed = with_threshold(trust, 0.3, far_and_near(distances))
    assert (changed.threshold, changed.temperature, changed.measured["source"]) == (0.3, 1.5, "x")
    assert trust.threshold == 0.5
    unknown = changed.measured["unknown"]
    assert unknown["coverage"]["value"] == 6 / 8  # of known classes
    assert unknown["accuracy_on_known"]["value"] == 1.0
    assert unknown["accuracy"]["value"] == 6 / 10
    assert unknown["unseen_classes"]["called_unknown"]["value"] == 1.0
    json.dumps(changed.measured)


def test_a_threshold_that_cannot_be_is_refused():
    distances = np.full(10, 0.2, dtype=np.float32)
    trust = Trust(1.0, np.eye(3, 4, dtype=np.float32), 1, 0.5)
    with pytest.raises(DatasetError, match="every image would be unknown; the nearest"):
        with_threshold(trust, 0.1, far_and_near(distances))
    with pytest.raises(ModelError, match=r"must be in 0\.\.2"):
        with_threshold(trust, 3.0, far_and_near(distances))
    with pytest.raises(DatasetError, match="with their distances"):
        with_threshold(trust, 0.3, far_and_near(None))
    with pytest.raises(ModelError, match="it calls nothing unknown"):
        with_threshold(Trust(1.0), 0.3, far_and_near(distances))
