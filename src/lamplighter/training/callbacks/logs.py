"""Callbacks that write the history of a trial to files."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lamplighter.errors import MissingPackageError, OutputError
from lamplighter.training.callbacks.base import Callback

if TYPE_CHECKING:
    from lamplighter.training.view import TrialView


class Log(Callback):
    """Write `history.jsonl` and `history.csv` at the end of each epoch.

    The files always hold the whole history, also after a training was continued.

    Args:
        folder: where; made if need be.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)

    def on_epoch_end(self, view: TrialView) -> None:
        """Write the history.

        Raises:
            OutputError: the folder cannot be written to.
        """
        rows = [{"epoch": number, **row} for number, row in enumerate(view.history, start=1)]
        columns = list(dict.fromkeys(name for row in rows for name in row))
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            lines = "".join(json.dumps(row) + "\n" for row in rows)
            (self.folder / "history.jsonl").write_text(lines)
            with (self.folder / "history.csv").open("w", newline="") as file:
                writer = csv.DictWriter(file, columns)
                writer.writeheader()
                writer.writerows(rows)
        except OSError as error:
            raise OutputError(
                f"the history cannot be written to {self.folder}: {error.strerror}; "
                "make room or choose another folder."
            ) from error


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
