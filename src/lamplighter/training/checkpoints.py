"""How checkpoints are written."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import torch
from pytorch_lightning.plugins.io import TorchCheckpointIO

from lamplighter.saving.writing import written_whole

if TYPE_CHECKING:
    from lightning_fabric.utilities.types import _PATH


class WholeCheckpoints(TorchCheckpointIO):
    """Write a checkpoint beside its place and rename it, so that the old one is never damaged.

    Lightning writes to the system's folder for temporary files, from where a rename is a copy if
    that is another disk.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: _PATH, storage_options: Any = None
    ) -> None:
        """Write `checkpoint` to `path`.

        Raises:
            OutputError: the file cannot be written.
        """
        content = io.BytesIO()
        torch.save(checkpoint, content)  # in memory, since torch words a full disk as its own fault
        with written_whole(str(path)) as file:
            file.write(content.getbuffer())
