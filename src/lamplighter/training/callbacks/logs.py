"""Callbacks that write the history of a trial to files."""

from __future__ import annotations

import csv
import io
import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lamplighter.arguments import checked
from lamplighter.errors import MissingPackageError
from lamplighter.files.writing import written_whole
from lamplighter.training.callbacks.base import Callback, make_folder

if TYPE_CHECKING:
    from lamplighter.training.view import TrialView


class Log(Callback):
    """Write `history.jsonl` and `history.csv` at the end of each epoch.

    The files always hold the whole history, also after a training was continued. In the lines
    of JSON, which has no NaN and no infinity, these are null.

    Args:
        folder: where; made if need be.
    """

    @checked
    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)

    def on_start(self, view: TrialView) -> None:
        """Make the folder.

        Raises:
            OutputError: it cannot be made.
        """
        make_folder(self.folder)

    def on_epoch_end(self, view: TrialView) -> None:
        """Write the history.

        Raises:
            OutputError: the folder cannot be written to.
        """
        make_folder(self.folder)
        rows = [{"epoch": number, **row} for number, row in enumerate(view.history, start=1)]
        lines = (json.dumps(_without_nan(row), allow_nan=False) + "\n" for row in rows)
        with written_whole(self.folder / "history.jsonl") as file:
            file.write("".join(lines).encode())
        table = io.StringIO(newline="")
        writer = csv.DictWriter(table, list(dict.fromkeys(name for row in rows for name in row)))
        writer.writeheader()
        writer.writerows(rows)
        with written_whole(self.folder / "history.csv") as file:
            file.write(table.getvalue().encode())


@checked
def tensorboard(folder: str | Path) -> Any:
    """Return Lightning's logger for TensorBoard, to be given among the callbacks.

    Raises:
        MissingPackageError: tensorboard is not installed.
    """
    from pytorch_lightning.loggers import TensorBoardLogger

    try:
        return TensorBoardLogger(str(folder), name="", version="")
    except ModuleNotFoundError as error:
        raise MissingPackageError(
            "to write for TensorBoard, the package tensorboard is needed: pip install tensorboard"
        ) from error


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_nan(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_without_nan(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
