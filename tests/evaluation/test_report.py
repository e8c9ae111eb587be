import json

import numpy as np
import pytest
import sklearn.metrics

from lamplighter.datasets.image_data import ImageData, Split
from lamplighter.errors import (
    ClassCountError,
    DatasetError,
    ModelError,
    ShapeError,
    UnknownSplitError,
)
from lamplighter.evaluation.intervals import wilson
from lamplighter.evaluation.report import evaluate
from lamplighter.images.preprocessing import Preprocessing

BOATS = ("gondola", "topa", "vaporetto")


def test_scores_are_those_of_the_answers(reader, written):
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 3, 100)
    said = np.where(generator.random(100) < 0.8, labels, generator.integers(0, 3, 100))
    data = written(BOATS, labels, said)
    report = evaluate(reader(BOATS), data)

    assert (report.data, report.split, report.count) == ("coded", "test", 100)
    assert report.fingerprint == data.fingerprint("test")
    assert report.class_names == BOATS
    np.testing.assert_array_equal(report.labels, labels)
    np.testing.assert_array_equal(report.predicted, said)
    np.testing.assert_array_equal(report.confusion, sklearn.metrics.confusion_matrix(labels, said))
    assert report.accuracy == wilson(int(np.sum(labels == said)), 100)
    expected = sklearn.metrics.f1_score(labels, said, average="macro")
    assert report.macro_f1.value == pytest.approx(expected)
    assert report.top5 is None
    assert report.unknown_classes == report.missing_classes == ()


def test_classes_are_matched_by_name_whatever_their_order(reader, written):
    # Outputs are in the order of the classifier, labels in that of the data.
    data = written(("vaporetto", "gondola", "topa"), [0, 1, 2, 2], [2, 0, 1, 0])
    report = evaluate(reader(BOATS), data)
    assert report.class_names == BOATS
    np.testing.assert_array_equal(report.labels, [2, 0, 1, 1])
    assert report.accuracy.value == 0.75
    assert report.confusions() == [("topa", "gondola", 1)]


def test_a_class_that_the_classifier_does_not_know_is_always_wrong(reader, written):
    names = ("barge", "gondola", "raft", "topa")  # no image of a raft
    report = evaluate(reader(BOATS), written(names, [0, 0, 1, 3], [0, 1, 0, 1]))
    assert report.unknown_classes == ("barge",)
    assert report.missing_classes == ("vaporetto",)
    assert report.class_names == (*BOATS, "barge")
    np.testing.assert_array_equal(report.labels, [3, 3, 0, 1])
    assert report.accuracy.value == 0.5
    # F1 of gondola, topa and barge; vaporetto has no image.
    assert report.macro_f1.value == pytest.approx((2 / 3 + 2 / 3 + 0) / 3)
    assert "unknown to the classifier, always wrong: barge" in str(report)
    assert "without an image, not in macro-F1: vaporetto" in str(report)


def test_top_5_counts_unknown_classes_as_wrong(reader, written):
    digits = [str(digit) for digit in range(8)]
    # All other scores are equal, so that the first classes are the next guesses.
    data = written([*digits, "none"], [7, 3, 6, 8], [7, 7, 0, 0])
    report = evaluate(reader(digits), data)
    assert report.top5 == wilson(2, 4)
    assert "top 5     50.00 %" in str(report)


def test_progress_is_told(reader, written):
    seen = []
    evaluate(reader(BOATS), written(BOATS, [0] * 600, [0] * 600), progress=seen.append)
    assert seen[-1] == 600
    assert seen == sorted(seen)


def test_plain_json_and_back(reader, written):
    report = evaluate(reader(BOATS), written(BOATS, [0, 0, 1], [0, 1, 1]))
    values = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    assert values["accuracy"]["value"] == pytest.approx(2 / 3)
    assert values["confusion"] == [[1, 1, 0], [0, 1, 0], [0, 0, 0]]
    assert values["classes"][2] == {
        "name": "vaporetto",
        "precision": None,
        "recall": None,
        "f1": None,
        "support": 0,
    }
    assert values["missing_classes"] == ["vaporetto"]
    assert values["fingerprint"] == report.fingerprint
    assert "confusion" not in report.summary()


def test_reads_well(reader, written):
    report = evaluate(reader(BOATS), written(BOATS, [0, 0, 1], [0, 1, 1]))
    assert str(report) == (
        "coded, test: 3 images, 3 classes\n"
        "accuracy  66.67 % (95 % interval 20.77 to 93.85)\n"
        f"macro-F1  {report.macro_f1}\n"
        "without an image, not in macro-F1: vaporetto"
    )
    assert report.table() == (
        "class      images  right    recall    95 % interval  precision       F1\n"
        "gondola         2      1   50.00 %    9.45 to 90.55   100.00 %  66.67 %\n"
        "topa            1      1  100.00 %  20.65 to 100.00    50.00 %  66.67 %\n"
        "vaporetto       0      0         -                -          -        -"
    )
    assert report.confusion_table() == (
        "true \\ predicted  1  2  3\n1 gondola         1  1  .\n2 topa            .  1  .\n"
        "3 vaporetto       .  .  ."
    )
    assert repr(report) == f"Report(coded, test, 3 images, {report.accuracy})"


def test_short_names_head_the_columns(reader, written):
    report = evaluate(reader("ab"), written("ab", [0, 1], [0, 0]))
    assert (
        report.confusion_table()
        == "true \\ predicted  a  b\na                 1  .\nb                 1  0"
    )


def test_images_of_another_size(reader):
    preprocessing = Preprocessing(height=5, width=4, channels=3)
    split = Split(np.zeros((2, 3, 5, 4), np.uint8), np.zeros(2, np.int64))
    data = ImageData({"test": split}, BOATS, preprocessing=preprocessing, name="photos")
    with pytest.raises(ShapeError, match=r"3 x 12 pixels and 1 channels.*5 x 4 pixels and 3"):
        evaluate(reader(BOATS), data)


def test_nothing_to_evaluate_on(reader, written):
    with pytest.raises(DatasetError, match="'test' of coded has no image"):
        evaluate(reader(BOATS), written(BOATS, [], []))
    with pytest.raises(UnknownSplitError, match="'val'"):
        evaluate(reader(BOATS), written(BOATS, [0], [0]), "val")


def test_no_name_in_common(reader, written):
    with pytest.raises(ClassCountError, match="gondola, topa, vaporetto, the split has cat"):
        evaluate(reader(BOATS), written(["cat", "dog"], [0, 0], [0, 1]))


def test_a_classifier_that_answers_nan(reader, written):
    classifier = reader(BOATS)
    classifier.network.forward = lambda images: images[:, 0, 0, :3] * float("nan")
    with pytest.raises(ModelError, match="NaN"):
        evaluate(classifier, written(BOATS, [0], [0]))
