"""From a learner's notebook to points and feedback.

The learner's cells run in a confined kernel (`sandbox.py`), the hidden tests of the source in
another process (`examiner.py`), which sees of the learner's work only the values that it asks
for. So nothing that an answer changes in its own process, prints or raises makes points: it must
give the right values. Not defended against: an answer that finds out what it is asked, and works
that out by another way than the exercise wants; and, where Linux does not hold the limits
(`linux.py`), code that goes around Python's audit hooks.
"""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from lamplighter.teaching.catalogue import Catalogue, read_catalogue
from lamplighter.teaching.cleanup import remove_stale
from lamplighter.teaching.examiner import Examiner
from lamplighter.teaching.marking import ExerciseGrade, Marking
from lamplighter.teaching.sandbox import MEMORY, Sandbox
from lamplighter.teaching.submissions import Submission, read_submission

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from lamplighter.teaching.sources import Step

    Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class WrittenAnswer:
    """An answer in words, for a person to mark; `text` is empty where there is none."""

    id: str
    most: float
    text: str


@dataclass(frozen=True)
class Grade:
    """What came of a notebook.

    Attributes:
        notes: what was odd about the notebook.
        seconds: that grading took.
    """

    lab: str
    title: str
    exercises: tuple[ExerciseGrade, ...]
    questions: tuple[WrittenAnswer, ...]
    notes: tuple[str, ...]
    seconds: float

    @property
    def points(self) -> float:
        """Earned by code."""
        return sum(exercise.points for exercise in self.exercises)

    @property
    def most(self) -> float:
        """That code can earn."""
        return sum(exercise.most for exercise in self.exercises)

    @property
    def pending(self) -> float:
        """Points that a person still has to give or not, for answers in words."""
        return sum(question.most for question in self.questions if question.text)

    def to_json(self) -> dict[str, Any]:
        """The whole as plain data."""
        totals = {"points": self.points, "most": self.most, "pending": self.pending}
        whole = {**asdict(self), **totals, "seconds": round(self.seconds, 1)}
        plain: dict[str, Any] = json.loads(json.dumps(whole))  # lists for tuples
        return plain


def check(
    path: Path,
    *,
    catalogue: Catalogue | None = None,
    memory: int = MEMORY,
    progress: Progress | None = None,
) -> Grade:
    """Grade the notebook at `path`; the file is only read.

    Args:
        path: an .ipynb file.
        catalogue: the labs; those of this installation without it.
        memory: bytes that the learner's kernel may hold.
        progress: told (steps done, of how many).

    Raises:
        LabError: it is no notebook of a lab, or the labs do not run here.
    """
    return grade(
        read_submission(path, catalogue or read_catalogue()), memory=memory, progress=progress
    )


def grade(
    submission: Submission, *, memory: int = MEMORY, progress: Progress | None = None
) -> Grade:
    """Grade a notebook that was read."""
    start = time.monotonic()
    steps = submission.source.steps
    last = max(
        (n for n, step in enumerate(steps, start=1) if step.cell.id in submission.answers),
        default=0,
    )
    marked, notes = _mark(submission, steps[:last], memory, progress) if last else ({}, [])
    exercises = tuple(
        marked.get(cell.id)
        or ExerciseGrade(
            cell.id,
            "missing" if cell.id in submission.missing else "not answered",
            0.0,
            cell.points,
        )
        for cell in submission.source.exercises
    )
    questions = tuple(
        WrittenAnswer(cell.id, cell.points, submission.answers.get(cell.id, ""))
        for cell in submission.source.questions
    )
    lab = submission.lab
    notes = [*submission.notes, *notes]
    return Grade(lab.id, lab.title, exercises, questions, tuple(notes), time.monotonic() - start)


def _mark(
    submission: Submission, steps: tuple[Step, ...], memory: int, progress: Progress | None
) -> tuple[dict[str, ExerciseGrade], list[str]]:
    """Return the grades by exercise, and notes."""
    remove_stale()
    marked = {}
    folder = submission.path.resolve().parent
    with Sandbox(folder, memory=memory) as sandbox, Examiner() as examiner:
        marking = Marking(sandbox, examiner)
        for number, step in enumerate(steps, start=1):
            if step.cell.kind == "exercise":
                name = step.cell.id
                grade = marking.exercise(step, submission.answers.get(name))
                if grade.result != "not answered":
                    marked[name] = grade
            else:
                marking.given(step)
            if progress is not None:
                progress(number, len(steps))
    return marked, marking.notes
