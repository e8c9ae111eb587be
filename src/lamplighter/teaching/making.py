"""What `make labs` runs: `python -m lamplighter.teaching.making [--check | --nbgrader DIR]`.

Writes the learner's notebooks, the solved ones with their outputs, and the page that lists them.
A solved notebook is run again only when a cell of its code has changed.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from lamplighter.errors import LabError, LamplighterError
from lamplighter.files.writing import written_whole
from lamplighter.teaching.catalogue import read_catalogue
from lamplighter.teaching.notebooks import as_text, execute, is_setup, make_notebook
from lamplighter.teaching.page import course_page

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lamplighter.teaching.catalogue import Catalogue, Lab


def stale(catalogue: Catalogue, *, solved: bool = True) -> list[Path]:
    """Return which generated files are not what the sources would give now.

    Args:
        catalogue: the labs.
        solved: look at the solved notebooks too, at all but their outputs.
    """
    found = [path for path, text in _cheap(catalogue) if _read(path) != text]
    if solved:
        for lab in catalogue.present:
            path = catalogue.solution(lab)
            text = _with_its_outputs(catalogue, lab)
            if text is None or text != _read(path):
                found.append(path)
    return found


def make(catalogue: Catalogue, *, again: bool = False) -> list[Path]:
    """Write what is stale, and return what was written.

    Args:
        catalogue: the labs.
        again: run the solved notebooks even where their code has not changed.

    Raises:
        LabError: a source breaks a rule, or a solved notebook does not run.
        OutputError: a file cannot be written.
    """
    written = []
    for path, text in _cheap(catalogue):
        if _read(path) != text:
            _write(path, text)
            written.append(path)
    for lab in catalogue.present:
        path = catalogue.solution(lab)
        solved = None if again else _with_its_outputs(catalogue, lab)
        if solved is None:
            _say(f"running the solved notebook of {lab.id}")
            with tempfile.TemporaryDirectory() as folder:
                solved = as_text(execute(make_notebook(catalogue, lab, "solved"), Path(folder)))
        if _read(path) != solved:
            path.parent.mkdir(exist_ok=True)
            _write(path, solved)
            written.append(path)
    return written


def _cheap(catalogue: Catalogue) -> Iterator[tuple[Path, str]]:
    """Give the files that follow from the sources alone, and what is to be in them."""
    for lab in catalogue.present:
        yield catalogue.notebook(lab), as_text(make_notebook(catalogue, lab, "learner"))
    yield catalogue.folder / "README.md", course_page(catalogue)


def _with_its_outputs(catalogue: Catalogue, lab: Lab) -> str | None:
    """Return the solved notebook with the outputs in its file; None if they are of other code."""
    import nbformat

    notebook = make_notebook(catalogue, lab, "solved")
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    try:
        there = json.loads(_read(catalogue.solution(lab)) or "")["cells"]
        ran = [cell for cell in there if cell["cell_type"] == "code" and cell["execution_count"]]
        for cell, before in zip(cells, ran, strict=True):
            # Where Lamplighter is there, what would install it has no effect.
            if "".join(before["source"]) != cell.source and not is_setup(lab, cell):
                return None
            cell["outputs"] = nbformat.from_dict(before["outputs"])
            cell["execution_count"] = before["execution_count"]
    except (ValueError, KeyError, TypeError, AttributeError):  # no notebook
        return None
    return as_text(notebook)


def _read(path: Path) -> str | None:
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        return None


def _write(path: Path, text: str) -> None:
    with written_whole(path) as file:
        file.write(text.encode())


def _say(line: str) -> None:
    sys.stderr.write(line + "\n")


def _write_for_nbgrader(catalogue: Catalogue, folder: Path) -> None:
    """Write nbgrader's sources, as DIR/source/LAB/LAB.ipynb."""
    for lab in catalogue.present:
        path = folder / "source" / lab.file / f"{lab.file}.ipynb"
        if path.exists():
            raise LabError(f"{path} already exists; choose another folder.")
        path.parent.mkdir(parents=True, exist_ok=True)
        _write(path, as_text(make_notebook(catalogue, lab, "nbgrader")))
        _say(f"wrote {path}")


def main() -> int:
    """Make the labs, or with --check say what is stale; 1 where there is something."""
    parser = argparse.ArgumentParser(prog="make labs", description=__doc__)
    parser.add_argument("--check", action="store_true", help="only say what is stale")
    parser.add_argument("--again", action="store_true", help="run all solved notebooks again")
    parser.add_argument("--nbgrader", type=Path, metavar="DIR", help="write nbgrader's sources")
    parser.add_argument("--labs", type=Path, metavar="DIR", help="another folder of labs")
    options = parser.parse_args()
    try:
        catalogue = read_catalogue(options.labs)
        if options.nbgrader:
            _write_for_nbgrader(catalogue, options.nbgrader)
        elif options.check:
            found = stale(catalogue)
            for path in found:
                _say(f"{path} is stale: run make labs.")
            return 1 if found else 0
        else:
            for path in make(catalogue, again=options.again):
                _say(f"wrote {path}")
    except LamplighterError as error:
        _say(f"make labs: {error}")
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
