"""How checkpoints are written and read."""

from __future__ import annotations

import io
import pickle
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from pytorch_lightning.plugins.io import TorchCheckpointIO

from lamplighter.errors import OutputError, ResumeError
from lamplighter.files.writing import written_whole

if TYPE_CHECKING:
    from lightning_fabric.utilities.types import _PATH

# What reading a damaged or foreign file may raise.
_UNREADABLE = (
    pickle.UnpicklingError,
    RuntimeError,
    LookupError,
    ValueError,
    TypeError,
    AttributeError,
    EOFError,
    OSError,
)


class WholeCheckpoints(TorchCheckpointIO):
    """Write a checkpoint beside its place and rename it, so that the old one is never damaged.

    Lightning writes to the system's folder for temporary files, from where a rename is a copy if
    that is another disk.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: _PATH, storage_options: Any = None
    ) -> None:
        """Write `checkpoint` to `path`, whose folder is made as Lightning's callbacks expect.

        Raises:
            OutputError: the file cannot be written.
        """
        if "://" in str(path):  # elsewhere there is no renaming
            super().save_checkpoint(checkpoint, path, storage_options)
            return
        try:
            Path(path).parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(
                f"{path} cannot be written: {error.strerror or error}; choose another folder."
            ) from error
        content = io.BytesIO()
        torch.save(checkpoint, content)  # in memory, since torch words a full disk as its own fault
        with written_whole(str(path)) as file:
            file.write(content.getbuffer())

    def load_checkpoint(self, path: _PATH, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Return what a trial wrote to `path`; nothing in it is executed.

        Raises:
            ResumeError: the file is damaged, or was not written by a trial.
        """
        try:
            checkpoint: Any = super().load_checkpoint(
                path, *args, **kwargs | {"weights_only": True}
            )
        except _UNREADABLE as error:
            # Not torch's reason, which advises to execute what is in the file.
            raise ResumeError(
                f"{path} cannot be continued from: it is damaged, or no checkpoint; give another "
                "one, or run without it to start again."
            ) from error
        if not isinstance(checkpoint, dict) or "lamplighter" not in checkpoint:
            raise ResumeError(
                f"{path} cannot be continued from: it was not written by a trial; give a file "
                "that the Checkpoint callback wrote, or run without it to start again."
            )
        return checkpoint


def check_epochs(done: int, wanted: int) -> None:
    """Refuse a checkpoint of more epochs than there shall be in all.

    Raises:
        ResumeError: it is one.
    """
    if done > wanted:
        raise ResumeError(
            f"the checkpoint has {done} epochs, received {wanted} as the total number; run at "
            f"least {done}, or take its weights alone by "
            "load_state_dict(torch.load(checkpoint, weights_only=True))."
        )
