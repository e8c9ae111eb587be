"""A lab's source: a Python file in jupytext's percent format, read into cells.

The line that opens a cell says what it is::

    # %%                                        code that is given
    # %% exercise="5.1-a" points=2              the learner's code, with a SOLUTION region
    # %% tests="5.1-a"                          its tests, with HIDDEN TESTS regions
    # %% [markdown] question="5.1-q1" points=1  an answer in words
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from lamplighter.errors import LabError

Kind = Literal["prose", "given", "exercise", "tests", "question"]

SECONDS = 120.0  # what a cell may take in grading, unless it says otherwise
_ID = re.compile(r"[0-9A-Za-z]+(\.[0-9A-Za-z]+)*(-[0-9A-Za-z]+)+")
_KEYS = {"exercise", "tests", "question", "points", "seconds", "long", "grading"}
_MARKER = re.compile(r"^\s*(?:#+|<!--)\s*(BEGIN|END) (SOLUTION|HIDDEN TESTS)\s*(?:-->)?\s*$")


@dataclass(frozen=True)
class Cell:
    """One cell of a source.

    Attributes:
        id: of the exercise or question that it belongs to; "" for given code and prose.
        text: with its markers.
        points: of the exercise, of one tests cell, or of the question.
        seconds: what it may take in grading.
        long: takes more than a few seconds.
        skipped: not run in grading.
    """

    kind: Kind
    text: str
    id: str = ""
    points: float = 0.0
    seconds: float = SECONDS
    long: bool = False
    skipped: bool = False

    @property
    def solved(self) -> str:
        """The text without the lines of markers."""
        return "\n".join(line for line in self.text.split("\n") if not _MARKER.match(line))

    @property
    def unsolved(self) -> str:
        """The text as the learner gets it."""
        lines, region = [], ""
        for line in self.text.split("\n"):
            marker = _MARKER.match(line)
            if marker is None:
                if not region:
                    lines.append(line)
            elif marker[1] == "END":
                region = ""
            else:
                region = marker[2]
                if region == "SOLUTION":
                    lines += _placeholder(line, words=self.kind == "question")
        return "\n".join(lines).strip("\n")

    @property
    def hidden(self) -> str:
        """The lines of the hidden tests."""
        lines, inside = [], False
        for line in self.text.split("\n"):
            marker = _MARKER.match(line)
            if marker is not None:
                inside = marker[1] == "BEGIN"
            elif inside:
                lines.append(line)
        return "\n".join(lines)


@dataclass(frozen=True)
class Step:
    """A cell that is run in grading, and for an exercise what follows up to its last tests."""

    cell: Cell
    following: tuple[Cell, ...] = field(default=())

    @property
    def tests(self) -> tuple[Cell, ...]:
        """The tests of the exercise."""
        return tuple(cell for cell in self.following if cell.kind == "tests")


@dataclass(frozen=True)
class Source:
    """A lab's source."""

    path: Path
    cells: tuple[Cell, ...]

    @property
    def exercises(self) -> tuple[Cell, ...]:
        """The cells of the learner's code, in order."""
        return tuple(cell for cell in self.cells if cell.kind == "exercise")

    @property
    def questions(self) -> tuple[Cell, ...]:
        """The cells of answers in words, in order."""
        return tuple(cell for cell in self.cells if cell.kind == "question")

    @property
    def steps(self) -> tuple[Step, ...]:
        """What grading runs, in order."""
        code = [cell for cell in self.cells if cell.kind in ("given", "exercise", "tests")]
        steps: list[Step] = []
        position = 0
        while position < len(code):
            cell = code[position]
            position += 1
            end = position
            if cell.kind == "exercise":
                own = [
                    n
                    for n, other in enumerate(code)
                    if other.kind == "tests" and other.id == cell.id
                ]
                end = own[-1] + 1
            steps.append(Step(cell, tuple(code[position:end])))
            position = end
        return tuple(steps)


def _tests(cell: Cell, exercise: Cell) -> bool:
    return cell.kind == "tests" and cell.id == exercise.id


def _placeholder(marker: str, *, words: bool) -> list[str]:
    if words:
        return ["*Your answer here.*"]
    indent = marker[: len(marker) - len(marker.lstrip())]
    return [f"{indent}# your code here", f"{indent}raise NotImplementedError"]


def read_source(path: Path) -> Source:
    """Return the source at `path`, checked.

    Raises:
        LabError: it cannot be read, or breaks a rule of the format; the message names the cell.
    """
    import jupytext

    try:
        notebook = jupytext.reads(path.read_text("utf-8"), fmt="py:percent")
    except (OSError, UnicodeDecodeError) as error:
        raise LabError(f"{path} cannot be read as the source of a lab: {error}.") from error
    cells = tuple(_cell(path, number, cell) for number, cell in enumerate(notebook.cells, start=1))
    return _checked(Source(path, cells))


def _cell(path: Path, number: int, cell: Any) -> Cell:
    about = {key: value for key, value in cell.metadata.items() if key in _KEYS}
    unknown = set(cell.metadata) - _KEYS - {"lines_to_next_cell", "jupytext"}
    kinds = [key for key in ("exercise", "tests", "question") if key in about]
    place = f"{path.name}, cell {number}"
    if unknown or len(kinds) > 1:
        raise LabError(
            f"{place}: a cell is one of exercise, tests, question, with points, seconds, long "
            f"or grading; received {dict(cell.metadata)}."
        )
    if cell.cell_type != ("markdown" if "question" in about else "code") and kinds:
        raise LabError(f"{place}: questions are markdown, exercises and tests are code.")
    kind: Any = kinds[0] if kinds else ("prose" if cell.cell_type == "markdown" else "given")
    name = str(about[kinds[0]]) if kinds else ""
    if kinds and not _ID.fullmatch(name):
        raise LabError(f"{place}: an id is like 5.1-a or 5.1-q1, received {name!r}.")
    _check_markers(place, kind, cell.source)
    return Cell(
        kind,
        cell.source,
        id=name,
        points=float(about.get("points", 0)),
        seconds=float(about.get("seconds", SECONDS)),
        long=bool(about.get("long", False)),
        skipped=about.get("grading") == "skip",
    )


def _check_markers(place: str, kind: Kind, text: str) -> None:
    found = [match.groups() for line in text.split("\n") if (match := _MARKER.match(line))]
    name = {"exercise": "SOLUTION", "question": "SOLUTION", "tests": "HIDDEN TESTS"}.get(kind)
    pairs = [(word, name) for _ in range(len(found) // 2) for word in ("BEGIN", "END")]
    if found != pairs or (name and not found):
        raise LabError(
            f"{place}: {'needs' if name else 'may not have'} BEGIN and END {name or 'markers'} "
            f"in turn, received {[' '.join(pair) for pair in found]}."
        )


def _checked(source: Source) -> Source:
    """Return `source` with the points of its tests filled in, if all its ids fit together."""
    place = source.path.name
    names = [cell.id for cell in source.cells if cell.kind in ("exercise", "question")]
    double = sorted({name for name in names if names.count(name) > 1})
    if double:
        raise LabError(f"{place}: an id stands for one cell, received {double[0]} more than once.")
    cells = list(source.cells)
    for cell in source.cells:
        if cell.kind == "tests" and cell.id not in {other.id for other in source.exercises}:
            raise LabError(f"{place}: the tests of {cell.id} have no exercise.")
        if cell.kind in ("exercise", "question") and cell.points <= 0:
            raise LabError(f"{place}: {cell.id} needs points=..., more than 0.")
    for cell in source.exercises:
        _share(place, cells, cell)
    return Source(source.path, tuple(cells))


def _share(place: str, cells: list[Cell], exercise: Cell) -> None:
    """Give each tests cell of `exercise` its points."""
    start = cells.index(exercise)
    own = [n for n, cell in enumerate(cells) if _tests(cell, exercise)]
    if not own or own[0] < start:
        raise LabError(f"{place}: {exercise.id} needs a tests cell after it.")
    between = [cell.id for cell in cells[start + 1 : own[-1]] if cell.kind in ("exercise", "tests")]
    if any(name != exercise.id for name in between):
        raise LabError(f"{place}: the tests of {exercise.id} must come before the next exercise.")
    given = sum(cells[n].points for n in own)
    if given and abs(given - exercise.points) > 1e-9:
        raise LabError(
            f"{place}: the tests of {exercise.id} give {given:g} points together, "
            f"the exercise {exercise.points:g}."
        )
    if not given:
        for n in own:
            cells[n] = replace(cells[n], points=exercise.points / len(own))
