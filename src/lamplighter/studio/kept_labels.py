"""Labels that looked wrong, and that a person has looked at and found right.

They lie in the user's data folder, beside the trainings of the photos, so that nobody is asked a
second time. Where the label is changed later, the person is asked again.
"""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING

from lamplighter.errors import OutputError
from lamplighter.files.naming import shown
from lamplighter.files.writing import written_whole
from lamplighter.studio.runs import runs_folder

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_NAME = "kept-labels.json"


class KeptLabels:
    """The class that a person found right, by path. Safe to use from several threads.

    Args:
        source: the folder, zip file or manifest of the photos.
    """

    def __init__(self, source: Path) -> None:
        self._file = runs_folder(source) / _NAME
        self._turn = threading.Lock()
        self._labels = _read(self._file)

    def get(self, path: str) -> str | None:
        """Return the class that was found right for a file; None where nobody said so."""
        return self._labels.get(path)

    def change(self, changes: Mapping[str, str | None]) -> None:
        """Note the class that is right for files; None takes a note back.

        Raises:
            OutputError: it cannot be written; what was noted before stays.
        """
        with self._turn:
            labels = {
                path: label
                for path, label in {**self._labels, **changes}.items()
                if label is not None
            }
            try:
                self._file.parent.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise OutputError(
                    f"{shown(self._file.parent)} cannot be made: {error.strerror or error}; free "
                    "some space, or make it writable."
                ) from error
            with written_whole(self._file) as file:
                file.write(json.dumps(labels, ensure_ascii=False, indent=0).encode())
            self._labels = labels


def _read(file: Path) -> dict[str, str]:
    """Return what is in the file; a damaged one only means to be asked again."""
    try:
        known = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    if not isinstance(known, dict):
        return {}
    return {path: label for path, label in known.items() if isinstance(label, str)}
