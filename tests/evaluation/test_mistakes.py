import numpy as np
import pytest

from lamplighter.errors import ArgumentError, DatasetError
from lamplighter.evaluation.mistakes import mistakes
from lamplighter.evaluation.report import evaluate

LABELS, OUTPUTS = [0, 1, 1, 2, 0], [0, 0, 2, 1, 2]
STRENGTHS = [255, 40, 120, 90, 60]


def test_the_surest_mistakes_come_first(reader, written):
    data = written("abc", LABELS, OUTPUTS, STRENGTHS)
    report = evaluate(reader("abc"), data)
    worst = mistakes(report, data)
    assert [mistake.index for mistake in worst] == [2, 3, 4, 1]
    assert [(mistake.true, mistake.predicted) for mistake in worst] == [
        ("b", "c"),
        ("c", "b"),
        ("a", "c"),
        ("b", "a"),
    ]
    score = np.exp(20 * 120 / 255)
    assert worst[0].probability == pytest.approx(score / (score + 2), rel=1e-5)
    np.testing.assert_array_equal(worst[0].image, data["test"].images[2])
    assert [mistake.index for mistake in mistakes(report, data, 2)] == [2, 3]


def test_an_unknown_class_is_named(reader, written):
    data = written("axb", [0, 1], [0, 1])  # output 1 is b
    (mistake,) = mistakes(evaluate(reader("ab"), data), data)
    assert (mistake.true, mistake.predicted) == ("x", "b")


def test_no_mistakes(reader, written):
    data = written("abc", [0, 1], [0, 1])
    assert mistakes(evaluate(reader("abc"), data), data) == []


def test_other_data_than_was_evaluated(reader, written):
    report = evaluate(reader("abc"), written("abc", LABELS, OUTPUTS))
    with pytest.raises(DatasetError, match="give the data that was evaluated"):
        mistakes(report, written("abc", LABELS, LABELS))


def test_a_negative_count(reader, written):
    data = written("abc", LABELS, OUTPUTS)
    report = evaluate(reader("abc"), data)
    with pytest.raises(ArgumentError, match="0 or more, received -1"):
        mistakes(report, data, -1)
    assert mistakes(report, data, 0) == []
