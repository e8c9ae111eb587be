"""A small lab of three exercises and a question, and notebooks of learners who worked on it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lamplighter.teaching.catalogue import read_catalogue
from lamplighter.teaching.notebooks import as_text, make_notebook

if TYPE_CHECKING:
    from collections.abc import Callable

    from lamplighter.teaching.catalogue import Catalogue

RIGHT = {
    "0.1-a": "def output_size(size, k, padding=0):\n    return 1 + size - k + 2 * padding",
    "0.1-b": "ramp = np.linspace(0, 1, side)",
    "0.1-c": "total = sum(ramp.tolist())",
}


@pytest.fixture(scope="session")
def sample() -> Catalogue:
    """The lab as it lies beside the tests; do not change it."""
    return read_catalogue(Path(__file__).parent / "sample")


@pytest.fixture
def labs_copy(tmp_path) -> Catalogue:
    """A copy of the lab to write to."""
    return read_catalogue(
        Path(shutil.copytree(Path(__file__).parent / "sample", tmp_path / "labs"))
    )


@pytest.fixture
def hand_in(sample, tmp_path) -> Callable[..., Path]:
    """Write the notebook of a learner who gave these answers, by id."""

    def write(answers: dict[str, str], path: Path | None = None) -> Path:
        notebook = make_notebook(sample, sample.labs[0], "learner")
        for cell in notebook.cells:
            about = cell.metadata.get("lamplighter", {})
            name = about.get("exercise") or about.get("question")
            if name in answers:
                cell.source = answers[name]
        path = path or tmp_path / "handed-in" / "0_1_sizes.ipynb"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(as_text(notebook), "utf-8")
        return path

    return write
