"""What a learner has written, out of the notebook that he or she hands in."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lamplighter.errors import LabError, MissingNotebookError
from lamplighter.names import no_such_path

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lamplighter.teaching.catalogue import Catalogue, Lab
    from lamplighter.teaching.sources import Cell, Source

FORMAT = 1  # of what `notebooks.py` writes into a notebook's metadata
_LARGEST = 200 * 1024**2  # bytes


@dataclass(frozen=True)
class Submission:
    """A learner's notebook.

    Attributes:
        answers: the learner's text of each exercise and question that is answered, by id.
        missing: exercises and questions that have no cell in the notebook.
        notes: what the learner or the teacher should know.
    """

    path: Path
    lab: Lab
    source: Source
    answers: Mapping[str, str]
    missing: tuple[str, ...]
    notes: tuple[str, ...]


def file_hash(path: Path) -> str:
    """Return SHA-256 of the file's content.

    Raises:
        LabError: it cannot be read, or is too large for a notebook.
    """
    return hashlib.sha256(_bytes(path)).hexdigest()


def read_submission(path: Path, catalogue: Catalogue) -> Submission:
    """Return what is in the notebook at `path`; nothing of it is run.

    Raises:
        LabError: it is no notebook of a lab that is known here.
    """
    notebook = _notebook(path)
    about = _part(notebook.get("metadata")).get("lamplighter")
    if not isinstance(about, dict) or "lab" not in about:
        raise LabError(
            f"{path} is not a notebook of the labs; begin with one that `lamplighter labs DIR` "
            "writes."
        )
    if not isinstance(about.get("format"), int) or about["format"] > FORMAT:
        raise LabError(
            f"{path} was made by a later version of Lamplighter (format {about.get('format')}, "
            f"known {FORMAT}); install that version."
        )
    lab = catalogue.lab(str(about["lab"]))
    source = catalogue.source(lab)
    cells, own = _cells(notebook["cells"])
    answers, missing, notes = {}, [], []
    for cell in (*source.exercises, *source.questions):
        found = cells.get(cell.id, [])
        answered = [text for text in found if is_answer(text, cell)]
        if not found:
            missing.append(cell.id)
            notes.append(f"the cell of {cell.id} is missing")
        if len(found) > 1:
            notes.append(f"{cell.id} has {len(found)} cells; the first that is answered counts")
        if answered:
            answers[cell.id] = answered[0]
    if own:
        notes.append(f"{own} more cells with code are not run; an answer stands in its own cell")
    return Submission(path, lab, source, answers, tuple(missing), tuple(notes))


def is_answer(text: str, cell: Cell) -> bool:
    """Whether `text` is more than what the learner was given."""
    return _squeezed(text) not in ("", _squeezed(cell.unsolved))


def _squeezed(text: str) -> str:
    return "\n".join(line.rstrip() for line in text.split("\n") if line.strip())


def _cells(cells: list[Any]) -> tuple[dict[str, list[str]], int]:
    """Return the texts of exercises and questions by id, and how many cells with code are new."""
    texts: dict[str, list[str]] = {}
    own = 0
    for cell in cells:
        about = _part(_part(_part(cell).get("metadata")).get("lamplighter"))
        name = about.get("exercise") or about.get("question")
        text = _text(_part(cell).get("source"))
        if name:
            texts.setdefault(str(name), []).append(text)
        elif not about and _part(cell).get("cell_type") == "code" and text.strip():
            own += 1
    return texts, own


def _notebook(path: Path) -> dict[str, Any]:
    try:
        notebook = json.loads(_bytes(path).decode("utf-8-sig"))
    except (ValueError, RecursionError):
        raise LabError(f"{path} is not a notebook; hand in the .ipynb file.") from None
    version = notebook.get("nbformat") if isinstance(notebook, dict) else None
    if not isinstance(version, int):
        raise LabError(f"{path} is not a notebook; hand in the .ipynb file.")
    if version != 4:
        raise LabError(
            f"{path} has version {version} of the notebook format, and 4 can be read; save it "
            "with a current Jupyter."
        )
    if not isinstance(notebook.get("cells"), list):
        raise LabError(f"{path} is not a notebook: it has no cells; hand in the .ipynb file.")
    return dict(notebook)


def _bytes(path: Path) -> bytes:
    try:
        if path.exists() and not path.is_file():  # reading a pipe or a device may not end
            raise LabError(f"{path} must be a notebook file, received a folder or device.")
        if path.is_file() and path.stat().st_size > _LARGEST:
            raise LabError(f"{path} is larger than {_LARGEST // 2**20} MB; clear its outputs.")
        return path.read_bytes()
    except FileNotFoundError:
        raise MissingNotebookError(no_such_path("notebook", path)) from None
    except OSError as error:
        raise LabError(f"{path} cannot be read: {error.strerror or error}.") from error


def _part(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(value: Any) -> str:
    if isinstance(value, list):
        return "".join(part for part in value if isinstance(part, str))
    return value if isinstance(value, str) else ""
