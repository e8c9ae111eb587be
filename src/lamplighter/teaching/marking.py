"""One lab, run cell by cell in a sandbox: each exercise tested, and put right before the next."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

from lamplighter.errors import LabError
from lamplighter.installation import install_command
from lamplighter.teaching.serialization import encode

if TYPE_CHECKING:
    from lamplighter.teaching.examiner import Examiner
    from lamplighter.teaching.sandbox import Outcome, Sandbox
    from lamplighter.teaching.sources import Cell, Step

Result = Literal["right", "partly right", "wrong", "not answered", "missing"]

_MOST_TEXTS = 20  # that are taken from what a kernel says of itself
_QUESTION_SECONDS = 10.0  # for a question about the kernel itself


@dataclass(frozen=True)
class ExerciseGrade:
    """What came of one exercise.

    Attributes:
        points: earned.
        most: that could be.
        feedback: what was expected and what was seen, of each test that failed.
        problems: what the answer did that it may not do.
    """

    id: str
    result: Result
    points: float
    most: float
    feedback: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()


@dataclass
class _Done:
    """A step that is behind: the code that was run, and the source's own."""

    chosen: list[Cell]
    own: list[Cell]


@dataclass
class Marking:
    """A lab in progress: call `given` and `exercise` for its steps, in order.

    Attributes:
        notes: what the learner or the teacher should know.
    """

    sandbox: Sandbox
    examiner: Examiner
    notes: list[str] = field(default_factory=list)
    _done: list[_Done] = field(default_factory=list)

    def given(self, step: Step) -> None:
        """Run a cell of the source.

        Raises:
            LabError: it does not run, even where nothing of the learner's ran before it.
        """
        if not step.cell.skipped:
            self.go_on(step)

    def exercise(self, step: Step, answer: str | None) -> ExerciseGrade:
        """Grade an answer (None: there is none), and see to it that the next can be graded.

        Raises:
            LabError: the source's own cells do not run.
        """
        if answer is None:
            self.go_on(step)
            return ExerciseGrade(step.cell.id, "not answered", 0.0, step.cell.points)
        grade, sound = self.attempt(step, answer)
        if grade.result == "right" and sound:
            self._done.append(_Done([replace(step.cell, text=answer), *_given(step)], _own(step)))
        else:
            self.go_on(step, fresh=not sound)
        return grade

    def attempt(self, step: Step, answer: str) -> tuple[ExerciseGrade, bool]:
        """Run and test an answer; whether the kernel is still fit for use is the second value.

        Raises:
            LabError: the source's own cells before it do not run.
        """
        if not self.sandbox.alive:
            self._recover([])
        self.sandbox.ask("before", "", _QUESTION_SECONDS)
        outcome = self.sandbox.run(answer, step.cell.seconds)
        points, feedback = 0.0, []
        if outcome.state != "done":
            feedback.append(_words(outcome, step.cell))
        else:
            points, feedback = self._test(step, answer, outcome)
        problems, sound = self._look_after(outcome)
        right = not feedback
        if sound and not right:  # names that it made something else of
            self.sandbox.ask("back", "", _QUESTION_SECONDS)
        result: Result = "right" if right else "partly right" if points else "wrong"
        most = step.cell.points
        grade = ExerciseGrade(
            step.cell.id, result, most if right else points, most, tuple(feedback), problems
        )
        return grade, sound

    def go_on(self, step: Step, *, fresh: bool = False) -> None:
        """Run the source's own code of `step`, in a fresh kernel where this one is unfit.

        Raises:
            LabError: it does not run, even where nothing of the learner's ran before it.
        """
        own = _own(step)
        if fresh or not self.sandbox.alive or self._run_all(own) is not None:
            self._recover(own)
        self._done.append(_Done(own, own))

    def _recover(self, cells: list[Cell]) -> None:
        """Run all that is behind, and `cells`, in a fresh kernel.

        Where that fails it is tried with nothing of the learner's: no answer, no file beside the
        notebook.

        Raises:
            LabError: it fails without them too.
        """
        failure: str | None = None
        for own in (False, True):
            before, failure = failure, self._again(own=own) or self._run_all(cells)
            if failure is None:
                if own:
                    self.notes.append(
                        "the files beside the notebook and the answers so far are left out, since "
                        f"the lab's own cells do not run with them: {before}"
                    )
                return
        raise LabError(
            f"the lab's own cells do not run here: {failure}; is all installed that they need? "
            f"{install_command('train,labs')}."
        )

    def _again(self, *, own: bool) -> str | None:
        """Run all that is behind once more, in a fresh kernel; return what went wrong."""
        self.sandbox.start(bare=own)
        for done in self._done:
            if own:
                done.chosen = done.own
            failure = self._run_all(done.chosen)
            if failure is not None:
                return failure
        return None

    def _run_all(self, cells: list[Cell]) -> str | None:
        for cell in cells:
            outcome = self.sandbox.run(cell.solved, cell.seconds)
            if outcome.state != "done":
                return f"{outcome.feedback} in {cell.solved.strip()[:60]!r}"
        return None

    def _test(self, step: Step, answer: str, outcome: Outcome) -> tuple[float, list[str]]:
        points, feedback = 0.0, []
        for cell in step.following:
            if cell.skipped:
                continue
            if cell.kind == "given":
                after = self.sandbox.run(cell.solved, cell.seconds)
                if after.state != "done":
                    feedback.append(
                        f"the cell after yours, with your answer: {_words(after, cell)}"
                    )
                    break
                continue

            def reply(question: str, seconds: float = cell.seconds) -> dict[str, Any]:
                return self._reply(question, seconds)

            verdict = self.examiner.run(
                cell.hidden, reply, source=answer, printed=outcome.printed, seconds=cell.seconds
            )
            if verdict.passed:
                points += cell.points
            elif verdict.feedback not in feedback:
                feedback.append(verdict.feedback)
        return points, feedback

    def _reply(self, question: str, seconds: float) -> dict[str, Any]:
        outcome = self.sandbox.ask("ask", question, seconds)
        if outcome.state == "done" and isinstance(outcome.reply, dict):
            return outcome.reply
        return {"failed": outcome.feedback}

    def _look_after(self, outcome: Outcome) -> tuple[tuple[str, ...], bool]:
        """Return what an answer did that it may not, and whether its kernel can be used on."""
        problems = [] if outcome.state in ("done", "raised") else [f"the cell {outcome.feedback}"]
        full = outcome.error == "MemoryError" or "allocate memory" in outcome.message
        if full:
            problems.append("the cell took all the memory that there is for it")
        told = self.sandbox.ask("after", "", _QUESTION_SECONDS)
        reply = told.reply if isinstance(told.reply, dict) else {}
        if told.state != "done" and not problems:
            problems.append(f"the cell {told.feedback}")
        changed, refused = (_texts(reply.get(key)) for key in ("changed", "refused"))
        if told.state == "done" and not changed:
            honest = isinstance(reply.get("changed"), list) and self._works_out_a_sum()
            changed = [] if honest else ["the checker"]
        if changed:
            problems.append(
                f"the cell changed {', '.join(changed[:5])}; later cells run without it"
            )
        problems += [f"the cell was refused {what}" for what in refused]
        return tuple(problems), self.sandbox.alive and told.state == "done" and not (
            full or changed
        )

    def _works_out_a_sum(self) -> bool:
        """Whether the kernel still runs cells, and answers what the grader can work out itself."""
        first, second = secrets.randbelow(10**9), secrets.randbelow(10**9)
        self.sandbox.run(f"_sum = {first} + {second}", _QUESTION_SECONDS)
        reply = self._reply(encode(("_sum + third", {"third": first})), _QUESTION_SECONDS)
        return reply.get("value") == encode(2 * first + second)


def _words(outcome: Outcome, cell: Cell) -> str:
    if outcome.error == "NotImplementedError":
        return "not finished: it still raises NotImplementedError"
    if outcome.state == "raised":
        return f"it raised {outcome.feedback}"
    limit = f" of {cell.seconds:g} s" if outcome.state == "too long" else ""
    return f"it {outcome.feedback}{limit}"


def _given(step: Step) -> list[Cell]:
    return [cell for cell in step.following if cell.kind == "given" and not cell.skipped]


def _own(step: Step) -> list[Cell]:
    return [step.cell, *_given(step)]


def _texts(value: object) -> list[str]:
    """Return the texts in what a kernel says, which may be anything."""
    parts = value[:_MOST_TEXTS] if isinstance(value, list) else []
    return [part[:200] for part in parts if isinstance(part, str)]
