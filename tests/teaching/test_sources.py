"""The format of a lab's source: what is read from it, and what is refused."""

from __future__ import annotations

import pytest

from lamplighter.errors import LabError
from lamplighter.teaching.sources import read_source

EXERCISE = '# %% exercise="1-a" points=2\n### BEGIN SOLUTION\nx = 1\n### END SOLUTION\n'
TESTS = '# %% tests="1-a"\n### BEGIN HIDDEN TESTS\nassert learner("x") == 1\n### END HIDDEN TESTS\n'


def _read(tmp_path, text):
    path = tmp_path / "lab.py"
    path.write_text(text)
    return read_source(path)


def test_cells_and_their_three_faces(sample):
    source = sample.source(sample.labs[0])
    kinds = [cell.kind for cell in source.cells]
    assert kinds.count("tests") == 4
    assert kinds[:2] == ["prose", "given"]
    first = source.exercises[0]
    assert (first.id, first.points, first.seconds) == ("0.1-a", 2, 2)
    assert first.solved.endswith("    return size + 2 * padding - kernel + 1")
    assert first.unsolved.endswith("    # your code here\n    raise NotImplementedError")
    tests = next(cell for cell in source.cells if cell.kind == "tests")
    assert tests.unsolved == "print(output_size(side, 5))  # what do you expect?"
    assert tests.hidden.startswith("for size, kernel")
    assert "print" not in tests.hidden
    assert source.questions[0].unsolved.endswith("*Your answer here.*")


def test_steps_keep_an_exercise_with_what_follows_up_to_its_last_tests(sample):
    steps = sample.source(sample.labs[0]).steps
    assert [step.cell.id for step in steps] == ["", "0.1-a", "0.1-b", "", "0.1-c"]
    assert [cell.kind for cell in steps[2].following] == ["given", "tests", "tests"]
    assert [cell.points for cell in steps[2].tests] == [0.5, 1.5]
    assert steps[3].cell.skipped


def test_tests_without_points_share_those_of_the_exercise(tmp_path):
    source = _read(tmp_path, EXERCISE + TESTS + TESTS)
    assert [cell.points for cell in source.cells[1:]] == [1, 1]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (EXERCISE, "1-a needs a tests cell after it"),
        (TESTS + EXERCISE, "1-a needs a tests cell after it"),
        (TESTS, "have no exercise"),
        (EXERCISE + EXERCISE + TESTS, "more than once"),
        (EXERCISE.replace(" points=2", "") + TESTS, "needs points"),
        (EXERCISE + TESTS.replace('"1-a"', '"1-a" points=1'), "give 1 points together"),
        (EXERCISE.replace("### END SOLUTION\n", "") + TESTS, "in turn"),
        (EXERCISE + TESTS.replace("HIDDEN TESTS", "SOLUTION"), "BEGIN and END HIDDEN TESTS"),
        ("# %%\n### BEGIN SOLUTION\n1\n### END SOLUTION\n", "may not have"),
        ('# %% exercize="1-a"\nx = 1\n', "a cell is one of"),
        ('# %% [markdown] exercise="1-a" points=1\n# x\n', "questions are markdown"),
        (EXERCISE.replace('"1-a"', '"a b"') + TESTS, "an id is like"),
        (
            EXERCISE + EXERCISE.replace("1-a", "1-b") + TESTS + TESTS.replace("1-a", "1-b"),
            "before the next exercise",
        ),
    ],
)
def test_a_source_that_breaks_a_rule_is_refused_by_cell_or_id(tmp_path, text, words):
    with pytest.raises(LabError, match=words):
        _read(tmp_path, text)
