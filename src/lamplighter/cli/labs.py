"""`lamplighter labs`: write the notebooks of the labs, check one, collect those of a class."""

from __future__ import annotations

import importlib.util
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from lamplighter.cli import options
from lamplighter.cli.options import AsJson
from lamplighter.cli.outputs import check_new
from lamplighter.cli.terminal import bar, printable, quoted, wrapped
from lamplighter.errors import LabError, MissingPackageError, OutputError
from lamplighter.installation import install_command

if TYPE_CHECKING:
    from lamplighter.teaching.collection import Row
    from lamplighter.teaching.grading import Grade

_NEEDED = ("jupytext", "nbclient", "nbformat", "ipykernel", "torch")
_GIGABYTE = 1024**3


class LabsGroup(TyperGroup):
    """The commands of the labs, of which `write` may be left out: `labs DIR` is enough."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put `write` before a folder that stands alone."""
        words = [word for word in args if not word.startswith("-")]
        if len(words) == 1 and words[0] not in self.commands:
            args = ["write", *args]
        return super().parse_args(ctx, args)


Memory = Annotated[float, typer.Option(min=1.0, metavar="GB", help="Memory limit of a notebook.")]


def write(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The folder to write them to.")],
    as_json: AsJson = False,
) -> None:
    """Write the notebooks of the labs to a folder. `labs DIR` does the same.

    No existing file is overwritten.
    """
    _copy(folder, as_json=as_json)


def check(
    notebook: Annotated[Path, typer.Argument(metavar="NOTEBOOK", help="The notebook, .ipynb.")],
    memory: Memory = 4.0,
    as_json: AsJson = False,
) -> None:
    """Grade one notebook: points for each exercise, what was expected and what was seen.

    Grading runs the code of the notebook: on a copy, without network access, with a time limit for
    each cell. Only Linux can confine this code; on other systems, grade only notebooks that you
    would run yourself.
    """
    _check(notebook, int(memory * _GIGABYTE), as_json=as_json)


def collect(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="A folder with one folder per learner.")
    ],
    memory: Memory = 4.0,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="The table to write. Default: DIR/points.csv."),
    ] = None,
    force: Annotated[bool, options.force("Overwrite the table if it exists.")] = False,
    as_json: AsJson = False,
) -> None:
    """Grade the notebooks of a class, and write a table of points.

    Run again after an interruption, it grades only notebooks that are new or have changed. Grading
    runs the code of the notebooks; `lamplighter labs check --help` says how it is confined.
    """
    _collect(folder, int(memory * _GIGABYTE), out, as_json=as_json, force=force)


def _need_packages() -> None:
    missing = [name for name in _NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise MissingPackageError(
            f"grading needs {', '.join(missing)}; {install_command('train,labs')}."
        )


def _copy(folder: Path, *, as_json: bool) -> None:
    """Write the learner's notebooks to a folder, beside whatever else is in it."""
    from lamplighter.files.writing import written_whole
    from lamplighter.teaching.catalogue import read_catalogue

    catalogue = read_catalogue()
    found = [catalogue.notebook(lab) for lab in catalogue.present]
    found = [path for path in found if path.is_file()]
    if not found:
        raise LabError("this installation of Lamplighter has no notebooks; run make labs first.")
    there = [path.name for path in found if (folder / path.name).exists()]
    if there:
        raise OutputError(
            f"{folder / there[0]} already exists, and may hold your work; choose another folder."
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"{folder} cannot be created: {error.strerror or error}; choose another folder."
        ) from error
    for path in found:
        with written_whole(folder / path.name) as file:
            file.write(path.read_bytes())
    if as_json:
        names = [path.name for path in found]
        typer.echo(json.dumps({"folder": str(folder), "notebooks": names}, indent=2))
        return
    typer.echo(printable(f"wrote {len(found)} notebooks to {folder}"))
    if importlib.util.find_spec("jupyterlab") or importlib.util.find_spec("notebook"):
        start = "jupyter lab" if importlib.util.find_spec("jupyterlab") else "jupyter notebook"
        _say(f"next: {start} {quoted(folder / found[0].name)}")
    else:
        _say(
            f"next: pip install jupyterlab, then jupyter lab {quoted(folder / found[0].name)}; "
            "VS Code opens it as well"
        )
    _say(f"then: lamplighter labs check {quoted(folder / found[0].name)}")


def _check(path: Path, memory: int, *, as_json: bool) -> None:
    from lamplighter.teaching.catalogue import read_catalogue

    _need_packages()
    from lamplighter.teaching.grading import grade
    from lamplighter.teaching.submissions import read_submission

    submission = read_submission(path, read_catalogue())
    with bar("grading", "steps") as progress:
        result = grade(submission, memory=memory, progress=progress)
    if as_json:
        typer.echo(json.dumps({"notebook": str(path), **result.to_json()}, indent=2))
        return
    for line in _report(result):
        typer.echo(line)


def _report(grade: Grade) -> list[str]:
    lines = [f"{grade.lab} {grade.title}: {grade.points:g} of {grade.most:g} points"]
    names = [exercise.id for exercise in grade.exercises]
    names += [question.id for question in grade.questions]
    width = max(map(len, names), default=0)
    indent = " " * (width + 4)
    for exercise in grade.exercises:
        lines.append(
            f"  {exercise.id:<{width}}  {exercise.points:g} of {exercise.most:g}  {exercise.result}"
        )
        told = [*exercise.feedback, *(f"note: {problem}" for problem in exercise.problems)]
        lines += [wrapped(indent + printable(text), width + 6) for text in told]
    for question in grade.questions:
        state = "to be marked by a person" if question.text else "not answered"
        lines.append(f"  {question.id:<{width}}  - of {question.most:g}  {state}")
    lines += [wrapped(f"note: {printable(note)}", 6) for note in grade.notes]
    return lines


def _collect(folder: Path, memory: int, out: Path | None, *, as_json: bool, force: bool) -> None:
    _need_packages()
    from lamplighter.teaching.catalogue import read_catalogue
    from lamplighter.teaching.collection import (
        TABLE,
        find_notebooks,
        gather,
        is_own_table,
        write_table,
    )

    out = out or folder / TABLE
    find_notebooks(folder)
    if not os.access(folder, os.W_OK):
        raise OutputError(
            f"{folder} must be writable, since the results are kept there; change "
            "its permissions, or copy the notebooks to another folder."
        )
    check_new(out, "--out", force=force or is_own_table(out, folder))
    rows = gather(folder, read_catalogue(), memory=memory, progress=_tell)
    check_new(out, "--out", force=force or is_own_table(out, folder))  # that was a long time
    write_table(rows, out, folder)
    if as_json:
        typer.echo(json.dumps({"table": str(out), "rows": [_plain(row) for row in rows]}, indent=2))
        return
    bad = sum(row.result is None for row in rows)
    typer.echo(printable(f"wrote {out}: {len(rows)} notebooks, {bad} that cannot be graded"))


def _plain(row: Row) -> dict[str, Any]:
    return {"name": row.name, "file": row.file, "problem": row.problem, "result": row.result}


def _tell(row: Row, done: int, total: int) -> None:
    result = row.result
    said = row.problem if result is None else f"{result['points']:g} of {result['most']:g} points"
    before = " (graded before)" if row.cached else ""
    _say(f"{done}/{total} {row.file}: {said}{before}")


def _say(line: str) -> None:
    sys.stderr.write(printable(line) + "\n")
    sys.stderr.flush()
