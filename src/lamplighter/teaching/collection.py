"""The table of a class: every notebook in a folder, graded one after the other.

What was graded is kept beside the notebooks, by the content of notebook and lab, so that a run that
was stopped goes on where it was, and a notebook that was handed in anew is graded anew.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lamplighter.errors import LabError, MissingNotebookError
from lamplighter.files.writing import written_whole
from lamplighter.names import no_such_path
from lamplighter.teaching.grading import grade
from lamplighter.teaching.notebooks import source_hash
from lamplighter.teaching.sandbox import MEMORY
from lamplighter.teaching.submissions import file_hash, read_submission
from lamplighter.version import __version__

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lamplighter.teaching.catalogue import Catalogue

CACHE = ".lamplighter-labs"
TABLE = "points.csv"
_FIRST = ("name", "lab", "file")
_LAST = ("total", "of", "answered in words", "pending points", "problems")
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


@dataclass(frozen=True)
class Row:
    """One notebook of the class.

    Attributes:
        name: of the learner: the folder, or the file's name where it lies in no folder.
        result: `Grade.to_json`, or None where the notebook cannot be graded.
        problem: why not.
        cached: graded in an earlier run.
    """

    name: str
    file: str
    result: dict[str, Any] | None
    problem: str = ""
    cached: bool = False


def find_notebooks(folder: Path) -> list[Path]:
    """Return the notebooks in `folder` and its sub-folders, sorted.

    Raises:
        LabError: it is no folder, or there is none in it.
    """
    if not folder.exists():
        raise MissingNotebookError(no_such_path("folder", folder))
    if not folder.is_dir():
        raise LabError(f"{folder} must be a folder of notebooks that were handed in.")
    found = [
        path
        for path in sorted(folder.rglob("*.ipynb"))
        if not any(part.startswith(".") for part in path.relative_to(folder).parts)
    ]
    if not found:
        raise LabError(f"{folder} has no notebooks (.ipynb) in it or its sub-folders.")
    return found


def gather(
    folder: Path,
    catalogue: Catalogue,
    *,
    memory: int = MEMORY,
    progress: Callable[[Row, int, int], None] | None = None,
) -> list[Row]:
    """Grade every notebook in `folder`.

    Args:
        folder: NAME.ipynb or NAME/LAB.ipynb, or deeper.
        catalogue: the labs.
        memory: bytes that each may hold.
        progress: told each row, how many are done, and of how many.

    Raises:
        LabError: there are no notebooks, or the labs do not run here.
    """
    paths = find_notebooks(folder)
    rows = []
    for number, path in enumerate(paths, start=1):
        rows.append(_row(folder, path, catalogue, memory))
        if progress is not None:
            progress(rows[-1], number, len(paths))
    return rows


def _row(folder: Path, path: Path, catalogue: Catalogue, memory: int) -> Row:
    inner = path.relative_to(folder)
    name, file = (inner.parts[0] if len(inner.parts) > 1 else inner.stem), inner.as_posix()
    try:
        submission = read_submission(path, catalogue)
        key = _key(path, source_hash(catalogue, submission.lab), memory)
        kept = _kept(folder, key)
        if kept is not None:
            return Row(name, file, kept, cached=True)
        result = grade(submission, memory=memory).to_json()
    except LabError as error:
        return Row(name, file, None, str(error))
    except Exception as error:  # one notebook, whatever is in it, costs nobody else a row
        return Row(name, file, None, f"cannot be graded: {type(error).__name__}: {error}")
    _keep(folder, key, result)
    return Row(name, file, result)


def _key(path: Path, source: str, memory: int) -> str:
    """Return what a result depends on: the notebook, what lies beside it, the lab, how it ran."""
    beside = [
        f"{other.name} {other.stat().st_size} {other.stat().st_mtime_ns}"
        for other in sorted(path.parent.iterdir())
        if other.is_file()
        and other.suffix != ".ipynb"
        and not other.name.startswith(".")
        and other.name != TABLE  # which each run writes anew
    ]
    whole = [file_hash(path), source, beside, memory, __version__]
    return hashlib.sha256(json.dumps(whole).encode()).hexdigest()


def _kept(folder: Path, key: str) -> dict[str, Any] | None:
    try:
        result = json.loads((folder / CACHE / f"{key}.json").read_text("utf-8"))
    except (OSError, ValueError):
        return None
    return result if isinstance(result, dict) and "exercises" in result else None


def _keep(folder: Path, key: str, result: dict[str, Any]) -> None:
    cache = folder / CACHE
    cache.mkdir(exist_ok=True)
    with written_whole(cache / f"{key}.json") as file:
        file.write(json.dumps(result).encode())


def write_table(rows: Sequence[Row], out: Path, folder: Path) -> None:
    """Write the table to `out`, and keep in `folder` what was written.

    Raises:
        OutputError: it cannot be written.
    """
    content = table(rows).encode("utf-8-sig")  # the mark tells spreadsheets the encoding
    mark = _mark(folder, content)
    mark.parent.mkdir(exist_ok=True)
    mark.touch()
    with written_whole(out) as file:
        file.write(content)


def is_own_table(out: Path, folder: Path) -> bool:
    """Whether the file is a table that an earlier run wrote, and nobody has changed since."""
    try:
        return out.is_file() and _mark(folder, out.read_bytes()).is_file()
    except OSError:
        return False


def _mark(folder: Path, content: bytes) -> Path:
    return folder / CACHE / f"{hashlib.sha256(content).hexdigest()}.table"


def table(rows: Sequence[Row]) -> str:
    """Return the rows as CSV, safe to open in a spreadsheet.

    A column for each exercise of any lab; a question that waits for a person is named.
    """
    names: dict[str, None] = {}
    for row in rows:
        for exercise in (row.result or {}).get("exercises", ()):
            names.setdefault(exercise["id"])
    ordered = sorted(names)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*_FIRST, *ordered, *_LAST])
    for row in rows:
        writer.writerow([_safe(value) for value in _values(row, ordered)])
    return text.getvalue()


def _values(row: Row, names: list[str]) -> list[object]:
    result = row.result
    if result is None:
        return [row.name, "", row.file, *[""] * len(names), "", "", "", "", row.problem]
    points = {exercise["id"]: exercise["points"] for exercise in result["exercises"]}
    words = [question["id"] for question in result["questions"] if question["text"]]
    problems = [
        f"{exercise['id']}: {problem}"
        for exercise in result["exercises"]
        for problem in exercise["problems"]
    ]
    return [
        row.name,
        result["lab"],
        row.file,
        *[points.get(name, "") for name in names],
        result["points"],
        result["most"],
        " ".join(words),
        result["pending"],
        "; ".join([*result["notes"], *problems]),
    ]


def _safe(value: object) -> object:
    """Return a cell that no spreadsheet takes for a formula, and that can be encoded."""
    if isinstance(value, float):
        return f"{value:g}"
    if not isinstance(value, str):
        return value
    # A file's name need not be UTF-8, nor what a kernel says.
    text = " ".join(value.encode("utf-8", "backslashreplace").decode().split())
    return f"'{text}" if text.startswith(_FORMULA) or value.startswith(_FORMULA) else text
