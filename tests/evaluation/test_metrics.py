import numpy as np
import pytest
import sklearn.metrics
from hypothesis import given, settings
from hypothesis import strategies as st

from lamplighter.errors import DatasetError
from lamplighter.evaluation.metrics import (
    accuracy,
    class_scores,
    confusion_matrix,
    in_top_k,
    macro_f1,
    top_k_accuracy,
)

CLASSES = 4
answers = st.lists(
    st.tuples(st.integers(0, CLASSES - 1), st.integers(0, CLASSES - 1)), min_size=1, max_size=60
).map(lambda rows: np.array(rows).T)


@given(answers=answers)
@settings(deadline=None)
def test_agrees_with_scikit_learn(answers):
    labels, predicted = answers
    everything = list(range(CLASSES))
    confusion = confusion_matrix(labels, predicted, CLASSES)
    expected = sklearn.metrics.confusion_matrix(labels, predicted, labels=everything)
    np.testing.assert_array_equal(confusion, expected)
    assert confusion.dtype == np.int64
    assert accuracy(confusion) == sklearn.metrics.accuracy_score(labels, predicted)

    scores = class_scores(confusion)
    precision, recall, f1, support = sklearn.metrics.precision_recall_fscore_support(
        labels, predicted, labels=everything, zero_division=np.nan
    )
    np.testing.assert_allclose(scores.precision, precision)
    np.testing.assert_allclose(scores.recall, recall)
    np.testing.assert_allclose(scores.f1, f1)
    np.testing.assert_array_equal(scores.support, support)
    present = np.unique(labels)
    assert macro_f1(confusion) == pytest.approx(
        sklearn.metrics.f1_score(
            labels, predicted, labels=present, average="macro", zero_division=0
        )
    )


@given(answers=answers, order=st.permutations(range(CLASSES)))
@settings(deadline=None)
def test_renumbering_the_classes_changes_no_score(answers, order):
    labels, predicted = answers
    renumbered = confusion_matrix(np.take(order, labels), np.take(order, predicted), CLASSES)
    confusion = confusion_matrix(labels, predicted, CLASSES)
    assert accuracy(renumbered) == accuracy(confusion)
    assert macro_f1(renumbered) == pytest.approx(macro_f1(confusion))


def test_a_class_without_images_is_left_out_of_the_mean_but_its_errors_count():
    confusion = confusion_matrix([0, 0, 1, 1], [0, 2, 1, 1], 3)
    assert macro_f1(confusion) == pytest.approx((2 / 3 + 1) / 2)
    assert np.isnan(class_scores(confusion).recall[2])


@given(
    count=st.integers(1, 30), classes=st.integers(3, 8), k=st.integers(1, 8), seed=st.integers(0, 9)
)
@settings(deadline=None, max_examples=50)
def test_top_k_agrees_with_scikit_learn(count, classes, k, seed):
    generator = np.random.default_rng(seed)
    scores, labels = generator.normal(size=(count, classes)), generator.integers(0, classes, count)
    hits = in_top_k(scores, labels, k)
    if k < classes:
        expected = sklearn.metrics.top_k_accuracy_score(
            labels, scores, k=k, labels=np.arange(classes)
        )
        assert top_k_accuracy(scores, labels, k) == pytest.approx(expected)
    else:
        assert hits.all()
    np.testing.assert_array_equal(in_top_k(scores, labels, 1), scores.argmax(axis=1) == labels)


def test_of_equal_scores_the_first_class_wins():
    np.testing.assert_array_equal(
        in_top_k(np.zeros((3, 3)), [0, 1, 2], 2), np.array([True, True, False])
    )


@pytest.mark.parametrize(
    ("labels", "predicted", "message"),
    [
        ([0, 1], [0], "received 2 labels and 1 predictions"),
        ([0, 3], [0, 1], r"0\.\.2, received 0\.\.3"),
        ([0, 1], [-1, 1], r"received -1\.\.1"),
        ([0.0, 1.0], [0, 1], "received float64"),
        ([[0], [1]], [0, 1], r"of shape \(2, 1\)"),
    ],
)
def test_answers_that_cannot_be_counted(labels, predicted, message):
    with pytest.raises(DatasetError, match=message):
        confusion_matrix(labels, predicted, 3)


@pytest.mark.parametrize("score", [accuracy, macro_f1, class_scores])
def test_no_score_of_nothing(score):
    with pytest.raises(DatasetError, match="one image or more"):
        score(confusion_matrix([], [], 3))
    with pytest.raises(DatasetError, match=r"received \(2, 3\)"):
        score(np.ones((2, 3), dtype=np.int64))


@pytest.mark.parametrize(
    ("scores", "labels", "k", "message"),
    [
        (np.zeros((2, 3)), [0], 1, "received 2 rows and 1 labels"),
        (np.zeros((2, 3)), [0, 3], 1, r"received 0\.\.3"),
        (np.zeros((2, 3)), [0, 1], 0, "and 0"),
        (np.zeros(3), [0, 1, 2], 1, r"the shape \(3,\)"),
        (np.full((1, 3), np.nan), [0], 1, "NaN"),
        (np.zeros((0, 3)), [], 1, "received none"),
    ],
)
def test_scores_that_cannot_be_ranked(scores, labels, k, message):
    with pytest.raises(DatasetError, match=message):
        top_k_accuracy(scores, labels, k)
