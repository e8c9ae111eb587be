"""From a lab's source to notebooks: the learner's, the solved one, and nbgrader's.

The cells carry nbgrader's metadata (schema 3), so that nbgrader can work with them as well.
"""

from __future__ import annotations

import hashlib
import json
import textwrap
from typing import TYPE_CHECKING, Any, Literal

from lamplighter.errors import LabError
from lamplighter.teaching.submissions import FORMAT

if TYPE_CHECKING:
    from pathlib import Path

    from lamplighter.teaching.catalogue import Catalogue, Lab
    from lamplighter.teaching.sources import Cell, Source

Version = Literal["learner", "solved", "nbgrader"]

GITHUB = "https://github.com/"  # from where Colab opens notebooks
_SCHEMA = 3  # of nbgrader's cell metadata
_SETUP = '''\
try:
    import lamplighter
except ImportError:  # on Colab, say
    %pip install --quiet "{install}"'''
_SETUP_BY_HAND = """\
try:
    import lamplighter
except ImportError as error:
    raise ImportError(
        "Lamplighter is not installed here. Ask your teacher for its folder or its wheel, and run "
        "%pip install './FOLDER[train]' or %pip install './FILE.whl[train]' in a cell above this."
    ) from error"""
# In a namespace of their own, so that what they name is not taken for the learner's.
_HIDDEN = """\
### BEGIN HIDDEN TESTS
import lamplighter.teaching.learner

exec(
    r'''
{tests}
''',
    {{"__name__": "hidden_tests", "learner": lamplighter.teaching.learner.learner}},
)
### END HIDDEN TESTS"""


def make_notebook(catalogue: Catalogue, lab: Lab, version: Version) -> Any:
    """Return a notebook of `lab`, without outputs.

    Args:
        catalogue: the labs.
        lab: one of them.
        version: `learner` without solutions and hidden tests, `solved` with solutions,
            `nbgrader` with both and their markers, as nbgrader's own sources have them.
    """
    import nbformat

    source = catalogue.source(lab)
    cells = []
    for number, cell in enumerate(source.cells):
        text = _text(cell, version)
        if text.strip():
            cells.append(_notebook_cell(lab, cell, text, number))
        if number == 0:
            cells += _opening(catalogue, lab)
    metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
        "lamplighter": {
            "lab": lab.id,
            "format": FORMAT,
            "version": version,
            "source": source_hash(catalogue, lab),
        },
    }
    notebook = nbformat.v4.new_notebook(cells=cells, metadata=metadata)
    nbformat.validate(notebook)
    return notebook


def source_hash(catalogue: Catalogue, lab: Lab) -> str:
    """Return a hash of all that the notebooks of `lab` are made from."""
    settings = [catalogue.repository, catalogue.branch, catalogue.install, lab.title, FORMAT]
    text = catalogue.source_file(lab).read_bytes() + json.dumps(settings).encode()
    return hashlib.sha256(text).hexdigest()


def as_text(notebook: Any) -> str:
    """Return a notebook as it is written to a file."""
    import nbformat

    return str(nbformat.writes(notebook)).rstrip("\n") + "\n"


def execute(notebook: Any, folder: Path, *, seconds: float = 900.0) -> Any:
    """Run all cells of `notebook` in `folder`, and return it with its outputs.

    Args:
        notebook: it is changed.
        folder: where its cells run.
        seconds: that one cell may take.

    Raises:
        LabError: a cell raises, or a warning or an error is among the outputs.
    """
    import nbclient

    client = nbclient.NotebookClient(
        notebook,
        timeout=int(seconds),
        kernel_name="python3",
        record_timing=False,
        resources={"metadata": {"path": str(folder)}},
    )
    try:
        client.execute()
    except (
        nbclient.exceptions.CellExecutionError,
        nbclient.exceptions.CellTimeoutError,
        nbclient.exceptions.DeadKernelError,
    ) as error:
        raise LabError(f"a solved notebook does not run: {error}") from error
    for cell in notebook.cells:
        for output in cell.get("outputs", ()):
            if output.get("name") == "stderr" and "warning" in output.text.lower():
                raise LabError(f"a solved notebook has a warning in its outputs: {output.text}")
    notebook.metadata.pop("widgets", None)
    notebook.metadata["language_info"] = {"name": "python"}
    return notebook


def _text(cell: Cell, version: Version) -> str:
    if version == "nbgrader":
        if cell.kind != "tests":
            return cell.text
        if "'''" in cell.hidden:
            raise LabError(
                f"{cell.id}: hidden tests stand between ''' for nbgrader, and have one of their "
                'own; write """ in its place.'
            )
        return f"{cell.unsolved}\n{_HIDDEN.format(tests=cell.hidden)}".lstrip("\n")
    if cell.kind == "tests":
        shown = cell.unsolved
        return shown or f"# {cell.id} is checked by: lamplighter labs check"
    if version == "solved":
        return cell.solved
    return cell.unsolved


def _notebook_cell(lab: Lab, cell: Cell, text: str, number: int) -> Any:
    import nbformat

    words = cell.kind in ("prose", "question")
    make = nbformat.v4.new_markdown_cell if words else nbformat.v4.new_code_cell
    made = make(text, metadata=_metadata(cell, number))
    # Ids that stay the same from one generation to the next.
    made["id"] = hashlib.sha256(f"{lab.id} {number}".encode()).hexdigest()[:8]
    return made


def _metadata(cell: Cell, number: int) -> dict[str, Any]:
    if cell.kind == "prose":
        return {}
    if cell.kind == "given":
        return {"lamplighter": {"given": True}}
    name = cell.id.replace(".", "-")
    about: dict[str, Any] = {
        "schema_version": _SCHEMA,
        "grade_id": name,
        "solution": cell.kind != "tests",
        "grade": cell.kind != "exercise",
        "locked": cell.kind == "tests",
        "task": False,
        "cell_type": "markdown" if cell.kind == "question" else "code",
    }
    if cell.kind == "tests":
        about["grade_id"] = f"{name}-tests-{number}"
    if cell.kind != "exercise":
        about["points"] = cell.points
    points = {} if cell.kind == "tests" else {"points": cell.points}
    return {"lamplighter": {cell.kind: cell.id, **points}, "nbgrader": about}


def is_setup(lab: Lab, cell: Any) -> bool:
    """Whether a cell of a notebook is that which looks for Lamplighter before all others."""
    return bool(cell["id"] == _opening_id(lab, 1))


def _opening_id(lab: Lab, number: int) -> str:
    return hashlib.sha256(f"{lab.id} opening {number}".encode()).hexdigest()[:8]


def _opening(catalogue: Catalogue, lab: Lab) -> list[Any]:
    """Return what follows the title: where else to open the notebook, and what it needs."""
    import nbformat

    colab = colab_link(catalogue, lab)
    about = f"about {lab.minutes} minutes"
    links = f"[Open in Colab]({colab}) · {about}" if colab else f"{about.capitalize()}."
    rules = textwrap.dedent(f"""\
        Cells with `# your code here` are yours to complete; run
        `lamplighter labs check {lab.file}.ipynb` to see how you did.""")
    install = catalogue.install
    setup = _SETUP.format(install=install) if install else _SETUP_BY_HAND
    cells = [
        nbformat.v4.new_markdown_cell(f"{links}\n\n{rules}"),
        nbformat.v4.new_code_cell(setup, metadata={"lamplighter": {"given": True}}),
    ]
    for number, cell in enumerate(cells):
        cell["id"] = _opening_id(lab, number)
    return cells


def colab_link(catalogue: Catalogue, lab: Lab) -> str:
    """Return the address that opens the learner's notebook in Colab, "" if it is not on GitHub."""
    if not catalogue.repository.startswith(GITHUB):
        return ""
    place = catalogue.repository.removeprefix(GITHUB)
    return (
        f"https://colab.research.google.com/github/{place}/blob/{catalogue.branch}/labs/"
        f"{lab.file}.ipynb"
    )


def hidden_lines(source: Source) -> list[str]:
    """Return the lines that a learner's notebook may not hold: solutions and hidden tests."""
    lines = []
    for cell in source.cells:
        if cell.kind == "tests":
            lines += cell.hidden.split("\n")
        elif cell.kind in ("exercise", "question"):
            kept = set(cell.unsolved.split("\n"))
            lines += [line for line in cell.solved.split("\n") if line not in kept]
    return [line.strip() for line in lines if line.strip()]
