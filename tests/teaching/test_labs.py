"""Every lab: its source, its notebooks, and each answer in `answers` against the grader.

`answers/<exercise>/wrong-1.py` is the whole text of a learner's cell. Its first line is
`# feedback: words that its feedback holds`; a second one `# points: 1` says what it still earns.
`right-1.py` earns all points.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING

import nbformat
import pytest

from lamplighter.errors import LabError
from lamplighter.teaching.catalogue import read_catalogue
from lamplighter.teaching.examiner import Examiner
from lamplighter.teaching.grading import check
from lamplighter.teaching.making import stale
from lamplighter.teaching.marking import Marking
from lamplighter.teaching.notebooks import execute, hidden_lines, make_notebook
from lamplighter.teaching.sandbox import Sandbox

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from lamplighter.teaching.sources import Step

ANSWERS = Path(__file__).parent / "answers"
CATALOGUE = read_catalogue()
LABS = [pytest.param(lab, id=lab.file) for lab in CATALOGUE.present]
_LINES = 25
_MEMORY = 2 * 1024**2  # kB
_SECONDS = 720


@pytest.mark.parametrize("lab", LABS)
def test_the_learners_notebook_gives_nothing_away(lab):
    notebook = make_notebook(CATALOGUE, lab, "learner")
    shown = "\n".join(cell.source for cell in notebook.cells)
    lines = {line.strip() for line in shown.split("\n")}
    telling = [line for line in hidden_lines(CATALOGUE.source(lab)) if len(line) > 12]
    # A line that the learner is shown elsewhere too, such as an import, gives nothing away.
    given = {
        line.strip()
        for cell in CATALOGUE.source(lab).cells
        if cell.kind in ("given", "prose", "exercise")
        for line in cell.unsolved.split("\n")
    }
    assert [line for line in telling if line in lines and line not in given] == []
    assert "BEGIN" not in shown
    assert all(not cell.get("outputs") for cell in notebook.cells)


def test_what_one_lab_saves_the_next_can_load():
    import torch
    from torch import nn

    keys = []
    for name in ("5.1", "5.2"):
        cells = CATALOGUE.source(CATALOGUE.lab(name)).cells
        code = next(c.solved for c in cells if "class BetterCNN(nn.Module)" in c.solved)
        names = {"torch": torch, "nn": nn, "F": nn.functional, "__name__": "lab"}
        exec(compile(code, name, "exec"), names)
        keys.append({k: v.shape for k, v in names["BetterCNN"]().state_dict().items()})
    assert keys[0] == keys[1]


@pytest.mark.parametrize("lab", LABS)
def test_no_cell_is_too_long_to_take_in(lab):
    for version in ("learner", "solved"):
        for cell in make_notebook(CATALOGUE, lab, version).cells:
            assert len(cell.source.split("\n")) <= _LINES, cell.source


@pytest.mark.parametrize("lab", LABS)
def test_every_exercise_has_answers_to_try(lab):
    missing = []
    for cell in CATALOGUE.source(lab).exercises:
        names = [path.name for path in sorted((ANSWERS / cell.id).glob("*.py"))]
        wrong = [name for name in names if name.startswith("wrong-")]
        if len(wrong) < 2 or len(wrong) == len(names):
            missing.append(cell.id)
    assert missing == []


def test_every_answer_belongs_to_an_exercise():
    known = {cell.id for lab in CATALOGUE.present for cell in CATALOGUE.source(lab).exercises}
    assert {path.name for path in ANSWERS.glob("*")} <= known


@pytest.mark.skipif(not LABS, reason="there are no labs yet")
def test_what_is_generated_is_fresh():
    assert [path.name for path in stale(CATALOGUE)] == []


# What comes before takes seconds in these labs, half a minute in the others.
@pytest.mark.parametrize("lab", [param for param in LABS if param.id[:3] in ("5_2", "5_3")])
def test_answers_before_the_first_long_cell(lab):
    steps = takewhile(lambda step: not _is_long(step), CATALOGUE.source(lab).steps)
    assert list(_try_all(steps)) == []


@pytest.mark.slow
@pytest.mark.parametrize("lab", LABS)
def test_all_answers(lab):
    assert list(_try_all(CATALOGUE.source(lab).steps)) == []


# nbgrader's version is the solved one with the hidden tests in it: one run shows both. What the
# hidden tests take is no part of a solved notebook's time.
_EXECUTE = """
import json, resource, sys, tempfile, time
from pathlib import Path
import nbformat
from lamplighter.teaching.catalogue import read_catalogue
from lamplighter.teaching.notebooks import execute, make_notebook
catalogue = read_catalogue()
notebook = make_notebook(catalogue, catalogue.lab(sys.argv[1]), "nbgrader")
clock = "__import__('time').monotonic()"
for cell in notebook.cells:
    if "### BEGIN HIDDEN TESTS" in cell.source:
        cell.source = f"_began = {clock}\\n{cell.source}\\n_hidden += {clock} - _began"
notebook.cells.insert(0, nbformat.v4.new_code_cell(f"_hidden = 0.0\\n{sys.argv[2]}"))
notebook.cells.append(nbformat.v4.new_code_cell("print(_hidden)"))
start = time.monotonic()
with tempfile.TemporaryDirectory() as folder:
    execute(notebook, Path(folder))
peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
hidden = float(notebook.cells[-1].outputs[0].text)
print(json.dumps({"peak": peak, "seconds": time.monotonic() - start - hidden, "hidden": hidden}))
"""
_REFUSE = """
import sys

def refuse(event, arguments):
    connects = event == "socket.connect" and isinstance(arguments[1], tuple)
    if connects or event == "socket.getaddrinfo":
        raise OSError(f"expected a notebook that works offline, saw {event} {arguments[-1]}")

sys.addaudithook(refuse)
"""
_OFFLINE = f"exec({_REFUSE!r}, {{}})"  # leaves no names in the notebook


def test_a_notebook_that_needs_the_network_is_noticed(tmp_path):
    asks = 'import urllib.request\nurllib.request.urlopen("http://127.0.0.1:9")'
    cells = [nbformat.v4.new_code_cell(text) for text in (_OFFLINE, asks)]
    with pytest.raises(LabError, match="expected a notebook that works offline"):
        execute(nbformat.v4.new_notebook(cells=cells), tmp_path, seconds=60)


@pytest.mark.slow
@pytest.mark.skipif(not LABS, reason="there are no labs yet")
def test_whole_notebooks_run_offline_in_time_and_memory():
    seconds = {}
    for lab in CATALOGUE.present:
        done = subprocess.run(
            [sys.executable, "-c", _EXECUTE, lab.id, _OFFLINE],
            capture_output=True,
            encoding="utf-8",
        )
        assert done.returncode == 0, (lab.id, done.stderr[-3000:])
        measured = json.loads(done.stdout.splitlines()[-1])
        assert measured["peak"] <= _MEMORY, (lab.id, measured)
        seconds[lab.id] = measured["seconds"]
    assert sum(seconds.values()) <= _SECONDS, seconds


@pytest.mark.parametrize("lab", LABS)
def test_a_notebook_that_nobody_has_worked_on_is_graded_with_nothing(lab):
    grade = check(CATALOGUE.notebook(lab), catalogue=CATALOGUE)
    assert {exercise.result for exercise in grade.exercises} == {"not answered"}
    assert (grade.points, grade.pending, grade.notes) == (0, 0, ())
    source = CATALOGUE.source(lab)
    assert grade.most == sum(cell.points for cell in source.exercises)
    assert len(grade.questions) == len(source.questions)


@pytest.mark.slow
@pytest.mark.parametrize("lab", LABS)
def test_a_solved_notebook_is_graded_with_all_points(lab):
    grade = check(CATALOGUE.solution(lab), catalogue=CATALOGUE)
    assert [one for one in grade.exercises if one.result != "right" or one.problems] == []
    assert grade.points == grade.most
    assert grade.pending == sum(cell.points for cell in CATALOGUE.source(lab).questions)


def _is_long(step: Step) -> bool:
    return any(cell.long and not cell.skipped for cell in (step.cell, *step.following))


def _try_all(steps: Iterable[Step]) -> Iterator[str]:
    """Try all answers of each exercise, then go on with the solution; give what is amiss."""
    steps = list(steps)
    while steps and steps[-1].cell.kind != "exercise":
        steps.pop()
    if not steps:
        return
    with Sandbox() as sandbox, Examiner() as examiner:
        marking = Marking(sandbox, examiner)
        for step in steps:
            if step.cell.kind == "exercise":
                yield from _try(marking, step)
                marking.go_on(step)
            else:
                marking.given(step)


def _try(marking: Marking, step: Step) -> Iterator[str]:
    cell = step.cell
    answers = {"solution": cell.solved, "unsolved": cell.unsolved}
    files = sorted((ANSWERS / cell.id).glob("*.py"))
    answers |= {path.stem: path.read_text("utf-8") for path in files}
    for name, text in answers.items():
        grade, sound = marking.attempt(step, text)
        if not sound:
            marking.sandbox.stop()
        if name == "solution" or name.startswith("right"):
            expected, words = cell.points, ""
        else:
            expected, words = _expected(text)
        told = " | ".join(grade.feedback)
        if abs(grade.points - expected) > 1e-9 or words.lower() not in told.lower():
            yield (
                f"{cell.id} {name}: expected {expected:g} points and {words!r} in the feedback, "
                f"saw {grade.points:g} and {told!r} {grade.problems or ''}"
            )


def _expected(text: str) -> tuple[float, str]:
    """Return the points and the words of feedback that a wrong answer is to get."""
    points = re.search(r"^# points: ([\d.]+)$", text, re.MULTILINE)
    words = re.search(r"^# feedback: (.+)$", text, re.MULTILINE)
    return float(points[1]) if points else 0.0, words[1].strip() if words else ""


def test_this_harness_notices_what_is_amiss(sample, tmp_path, monkeypatch):
    monkeypatch.setattr(sys.modules[__name__], "ANSWERS", tmp_path)
    answers = {
        "wrong-1": "# feedback: expected the sum\ntotal = 0.0",
        "wrong-2": "# feedback: other words\ntotal = 0.0",
        "wrong-3": "# feedback:\ntotal = 14.0",
        "right-1": "total = ramp.mean() * 28",
        "right-2": "total = ramp.mean()",
    }
    (tmp_path / "0.1-c").mkdir()
    for name, text in answers.items():
        (tmp_path / "0.1-c" / f"{name}.py").write_text(text)
    amiss = list(_try_all(sample.source(sample.labs[0]).steps))
    assert [line.split(":")[0] for line in amiss] == [
        "0.1-c right-2", "0.1-c wrong-2", "0.1-c wrong-3"
    ]  # fmt: skip
