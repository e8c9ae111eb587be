"""Generated notebooks: valid, without what is hidden, fresh; the page that lists them."""

from __future__ import annotations

import builtins
import json
import re
import sys

import nbformat
import pytest

from lamplighter.errors import LabError
from lamplighter.teaching import making
from lamplighter.teaching.catalogue import read_catalogue
from lamplighter.teaching.making import make, stale
from lamplighter.teaching.notebooks import as_text, execute, hidden_lines, make_notebook
from lamplighter.teaching.page import course_page


def _edit(catalogue, old, new):
    path = catalogue.source_file(catalogue.labs[0])
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


@pytest.mark.parametrize("version", ["learner", "solved", "nbgrader"])
def test_notebooks_are_valid_and_the_same_each_time(sample, version):
    text = as_text(make_notebook(sample, sample.labs[0], version))
    notebook = nbformat.reads(text, as_version=4)
    nbformat.validate(notebook)
    assert text == as_text(make_notebook(sample, sample.labs[0], version))
    assert len({cell["id"] for cell in notebook.cells}) == len(notebook.cells)


def test_the_learner_sees_no_solution_and_no_hidden_test(sample):
    lab = sample.labs[0]
    text = as_text(make_notebook(sample, lab, "learner"))
    hidden = hidden_lines(sample.source(lab))
    assert "return size + 2 * padding - kernel + 1" in hidden
    assert "The kernel must lie wholly inside the image." in hidden
    assert 'seen = learner("total")' in hidden
    shown = [line for line in hidden if len(line) > 1 and json.dumps(line)[1:-1] in text]
    assert shown == ["import numpy as np"]  # which the notebook's own first cell has too
    assert text.count("raise NotImplementedError") == 3


def test_the_first_cells_say_what_is_needed(sample):
    title, words, setup = make_notebook(sample, sample.labs[0], "learner").cells[:3]
    assert title.source.startswith("# 0.1 Sizes")
    place = "https://colab.research.google.com/github/example/labs/blob/main/labs/0_1_sizes.ipynb"
    assert place in words.source
    assert (
        '%pip install --quiet "lamplighter[train] @ git+https://github.com/example/labs@main"'
        in setup.source
    )


def _with_address(catalogue, repository, install):
    """Return the catalogue after the teacher has set another address in labs.toml."""
    path = catalogue.folder / "labs.toml"
    lines = path.read_text().split("\n")
    lines[0], lines[2] = f'repository = "{repository}"', f'install = "{install}"'
    path.write_text("\n".join(lines))
    return read_catalogue(catalogue.folder)


def test_without_an_address_nothing_is_fetched(labs_copy):
    catalogue = _with_address(labs_copy, "", "lamplighter[train] @ git+{repository}@{branch}")
    assert catalogue.install == ""
    _, words, setup = make_notebook(catalogue, catalogue.labs[0], "learner").cells[:3]
    assert words.source.startswith("About 5 minutes.")
    with pytest.raises(ImportError, match=r"not installed here\. Ask your teacher"):
        exec(setup.source, {"__builtins__": {**vars(builtins), "__import__": _nothing_found}})
    exec(setup.source)  # here it is installed
    texts = [as_text(make_notebook(catalogue, catalogue.labs[0], "learner"))]
    texts.append(course_page(catalogue))
    assert not any(re.search(r"https?:|[Cc]olab|git\+", text) for text in texts)
    assert "pip install '.[train,labs]'" in texts[1]
    assert "| [preview](solutions/0_1_sizes.ipynb) | [download](0_1_sizes.ipynb) |" in texts[1]


def _nothing_found(name, *arguments):
    raise ImportError(f"No module named {name!r}")


def test_a_wheel_of_ones_own_has_no_links_to_colab(labs_copy):
    wheel = "lamplighter[train] @ https://example.org/lamplighter-0.1.0-py3-none-any.whl"
    catalogue = _with_address(labs_copy, "", wheel)
    _, words, setup = make_notebook(catalogue, catalogue.labs[0], "learner").cells[:3]
    assert f'%pip install --quiet "{wheel}"' in setup.source
    assert "Colab" not in words.source


@pytest.mark.parametrize("install", ["lamplighter", "lamplighter[train]", "lamplighter==0.1.0"])
def test_a_name_without_an_address_is_refused(labs_copy, install):
    with pytest.raises(LabError, match="must be a name with its address"):
        _with_address(labs_copy, "https://github.com/example/labs", install)


def test_another_address_runs_no_lab_anew(labs_copy, monkeypatch):
    make(labs_copy)
    monkeypatch.setattr(making, "execute", lambda notebook, folder: pytest.fail("it was run"))
    catalogue = _with_address(labs_copy, "", "lamplighter @ git+{repository}")
    assert [path.name for path in make(catalogue)] == [
        "0_1_sizes.ipynb", "README.md", "0_1_sizes.ipynb"
    ]  # fmt: skip
    assert stale(catalogue) == []
    assert "Ask your teacher" in catalogue.solution(catalogue.labs[0]).read_text()


def test_nbgrader_finds_its_metadata(sample):
    cells = make_notebook(sample, sample.labs[0], "nbgrader").cells
    about = [cell.metadata.nbgrader for cell in cells if "nbgrader" in cell.metadata]
    for entry in about:
        assert entry.schema_version == 3
        assert set(entry) - {"points"} == {
            "schema_version", "grade_id", "solution", "grade", "locked", "task", "cell_type"
        }  # fmt: skip
        assert re.fullmatch(r"[\w-]+", entry.grade_id)
        assert entry.grade == ("points" in entry)
    assert len({entry.grade_id for entry in about}) == len(about)
    assert sum(entry.points for entry in about if entry.grade) == 6
    assert [(e.solution, e.grade, e.locked) for e in about[:2]] == [
        (True, False, False), (False, True, True)
    ]  # fmt: skip


def test_nbgraders_notebook_runs_its_hidden_tests_by_itself(sample, tmp_path):
    notebook = make_notebook(sample, sample.labs[0], "nbgrader")
    execute(notebook, tmp_path, seconds=60)
    (cell,) = [cell for cell in notebook.cells if 'learner("total")' in cell.source]
    cell.source = cell.source.replace("- 14", "- 15")
    with pytest.raises(LabError, match="expected the sum"):
        execute(notebook, tmp_path, seconds=60)


def test_nbgraders_hidden_tests_leave_the_notebooks_names_alone(sample, tmp_path):
    notebook = make_notebook(sample, sample.labs[0], "nbgrader")
    names = nbformat.v4.new_code_cell("assert size == 7 and seen == 8, (size, seen)")
    notebook.cells.insert(1, nbformat.v4.new_code_cell("size, seen = 7, 8"))
    notebook.cells.append(names)
    execute(notebook, tmp_path, seconds=60)


def test_hidden_tests_that_nbgrader_cannot_have_are_refused(labs_copy):
    _edit(labs_copy, 'seen = learner("total")', "seen = learner('''total''')")
    make_notebook(labs_copy, labs_copy.labs[0], "learner")
    with pytest.raises(LabError, match=r"0\.1-c: hidden tests stand between"):
        make_notebook(labs_copy, labs_copy.labs[0], "nbgrader")


def test_making_writes_all_once_and_notices_what_is_stale(labs_copy):
    lab = labs_copy.labs[0]
    assert len(stale(labs_copy)) == 3
    written = make(labs_copy)
    assert sorted(path.name for path in written) == ["0_1_sizes.ipynb"] * 2 + ["README.md"]
    assert stale(labs_copy) == []
    assert make(labs_copy) == []
    solved = nbformat.read(labs_copy.solution(lab), as_version=4)
    outputs = [output.text for cell in solved.cells for output in cell.get("outputs", ())]
    assert outputs == ["24\n", "made a ramp\n"]
    _edit(labs_copy, "- kernel + 1\n    ###", "+ 1 - kernel\n    ###")  # in the solution alone
    names = [path.parent.name + "/" + path.name for path in stale(labs_copy)]
    assert "solutions/0_1_sizes.ipynb" in names
    labs_copy.solution(lab).write_text("{}")
    (labs_copy.folder / "README.md").unlink()
    assert len(stale(labs_copy)) == 3


def test_solved_notebooks_are_compared_cell_by_cell(labs_copy):
    make(labs_copy)
    path = labs_copy.solution(labs_copy.labs[0])
    text = path.read_text()
    for old, new in [
        ("side = 28", "side = 29"),
        ("You need nothing", "You need all"),
        ('"points": 2.0', '"points": 3.0'),
        ('"execution_count": 1', '"execution_count": null'),
    ]:
        assert old in text
        path.write_text(text.replace(old, new, 1))
        assert stale(labs_copy) == [path], new
    path.write_text(text)
    assert stale(labs_copy) == []


def test_solved_notebooks_are_run_again_only_for_their_code(labs_copy, monkeypatch):
    def run(notebook, folder):
        raise LabError("it was run")

    make(labs_copy)
    path = labs_copy.solution(labs_copy.labs[0])
    monkeypatch.setattr(making, "execute", run)
    _edit(labs_copy, "You need nothing", "You need a pencil")  # as prose
    _edit(labs_copy, "seen - 14", "14 - seen")  # in a hidden test, which it does not have
    assert path in make(labs_copy)
    assert stale(labs_copy) == []
    cells = nbformat.read(path, as_version=4).cells
    assert "You need a pencil" in cells[0].source
    assert [o.text for cell in cells for o in cell.get("outputs", ())] == ["24\n", "made a ramp\n"]
    _edit(labs_copy, "side = 28", "side = 29")
    with pytest.raises(LabError, match="it was run"):
        make(labs_copy)


def test_a_solved_notebook_that_fails_or_warns_is_not_written(labs_copy):
    _edit(labs_copy, "side = 28", "import warnings\nside = 28\nwarnings.warn('old', stacklevel=1)")
    with pytest.raises(LabError, match="warning in its outputs"):
        make(labs_copy)
    _edit(labs_copy, "warnings.warn('old', stacklevel=1)", "nothing_of_that_name")
    with pytest.raises(LabError, match="NameError"):
        make(labs_copy)
    assert not labs_copy.solution(labs_copy.labs[0]).exists()


def test_the_command_of_make_labs(labs_copy, monkeypatch, capsys, tmp_path):
    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["making", "--labs", str(labs_copy.folder), *arguments])
        return making.main(), capsys.readouterr().err

    code, said = run("--check")
    assert (code, said.count("stale: run make labs")) == (1, 3)
    code, said = run("--nbgrader", str(tmp_path / "course"))
    assert (code, "0_1_sizes.ipynb" in said) == (0, True)
    code, said = run("--nbgrader", str(tmp_path / "course"))
    assert (code, "already exists" in said) == (1, True)


def test_the_page_lists_each_lab_in_three_ways(sample):
    page = course_page(sample)
    (row,) = [line for line in page.split("\n") if line.startswith("| **0.1**")]
    assert "[open in Colab](https://colab.research.google.com/" in row
    assert "[preview](solutions/0_1_sizes.ipynb)" in row
    assert "[download](https://github.com/example/labs/raw/main/labs/0_1_sizes.ipynb)" in row
