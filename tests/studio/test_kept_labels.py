from __future__ import annotations

from pathlib import Path

import pytest

from lamplighter.errors import OutputError
from lamplighter.studio.kept_labels import KeptLabels
from lamplighter.studio.runs import runs_folder

SOURCE = Path("/photos")


def test_they_are_known_again(home) -> None:
    KeptLabels(SOURCE).change({"a.png": "cat", "b.png": "Katze ü"})
    KeptLabels(SOURCE).change({"a.png": None})
    again = KeptLabels(SOURCE)
    assert (again.get("a.png"), again.get("b.png")) == (None, "Katze ü")
    assert KeptLabels(Path("/others")).get("b.png") is None


@pytest.mark.parametrize("damaged", ["", "{", "[1]", '{"a.png": 3}'])
def test_a_damaged_file_asks_again(home, damaged) -> None:
    file = runs_folder(SOURCE) / "kept-labels.json"
    file.parent.mkdir(parents=True)
    file.write_text(damaged)
    labels = KeptLabels(SOURCE)
    assert labels.get("a.png") is None
    labels.change({"a.png": "cat"})
    assert KeptLabels(SOURCE).get("a.png") == "cat"


def test_where_they_cannot_be_written_it_is_told(home) -> None:
    runs_folder(SOURCE).parent.parent.mkdir(parents=True)
    runs_folder(SOURCE).parent.write_text("a file in the way")
    labels = KeptLabels(SOURCE)
    with pytest.raises(OutputError, match="cannot be made"):
        labels.change({"a.png": "cat"})
    assert labels.get("a.png") is None
