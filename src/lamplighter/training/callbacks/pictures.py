"""Callbacks that draw while a network learns: PNG files, and pictures in a notebook."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lamplighter.errors import OutputError
from lamplighter.evaluation.metrics import confusion_matrix
from lamplighter.evaluation.plots import draw_confusion
from lamplighter.evaluation.sheets import contact_sheet
from lamplighter.training.callbacks.base import Callback
from lamplighter.training.history import plot_history

if TYPE_CHECKING:
    from torch import Tensor

    from lamplighter.training.view import TrialView


class LiveCurves(Callback):
    """Draw loss and other metrics against epochs, anew at the end of each.

    Args:
        folder: where `curves.png` is written; None draws in a notebook alone.
    """

    def __init__(self, folder: str | Path | None = None) -> None:
        self.folder = Path(folder) if folder is not None else None

    def on_epoch_end(self, view: TrialView) -> None:
        """Draw the history."""
        _show(plot_history(view.history), self.folder, "curves.png")


class ConfusionMatrix(Callback):
    """Draw the confusion matrix of the validation data every few epochs.

    Args:
        folder: where `confusion-EPOCH.png` is written; None draws in a notebook alone.
        every: epochs between two pictures.
        class_names: names of the classes; by default the classifier's, or numbers.
    """

    def __init__(
        self,
        folder: str | Path | None = None,
        *,
        every: int = 1,
        class_names: list[str] | None = None,
    ) -> None:
        self.folder = Path(folder) if folder is not None else None
        self.every = every
        self.class_names = class_names

    def on_validation_start(self, view: TrialView) -> None:
        """Begin to gather answers."""
        self._answers: list[tuple[Tensor, Tensor]] = []

    def on_validation_batch_end(self, view: TrialView) -> None:
        """Gather the answers to a batch."""
        if (view.epoch + 1) % self.every == 0:
            assert view.logits is not None
            assert view.targets is not None
            self._answers.append((view.targets.cpu(), view.logits.cpu()))

    def on_validation_end(self, view: TrialView) -> None:
        """Draw the matrix."""
        if not self._answers:
            return
        targets = np.concatenate([targets.numpy() for targets, _ in self._answers])
        logits = np.concatenate([logits.float().numpy() for _, logits in self._answers])
        names = self.class_names or _class_names(view, logits.shape[1])
        matrix = confusion_matrix(targets, logits.argmax(axis=1), logits.shape[1])
        figure = draw_confusion(matrix, names, title=f"validation, epoch {view.epoch + 1}")
        _show(figure, self.folder, f"confusion-{view.epoch + 1}.png")


class SamplePredictions(Callback):
    """Draw a few validation images with what the network says of them, every few epochs.

    Args:
        folder: where `samples-EPOCH.png` is written; None draws in a notebook alone.
        every: epochs between two pictures.
        count: how many images; always the same ones.
    """

    def __init__(
        self, folder: str | Path | None = None, *, every: int = 1, count: int = 25
    ) -> None:
        self.folder = Path(folder) if folder is not None else None
        self.every = every
        self.count = count

    def on_validation_batch_end(self, view: TrialView) -> None:
        """Draw the images of the first batch."""
        if view.batch or (view.epoch + 1) % self.every:
            return
        assert view.images is not None
        assert view.logits is not None
        assert view.targets is not None
        images = view.images[: self.count].float().cpu()
        low, high = (
            images.amin(dim=(1, 2, 3), keepdim=True),
            images.amax(dim=(1, 2, 3), keepdim=True),
        )
        pixels = ((images - low) / (high - low).clamp(min=1e-6) * 255).byte().numpy()
        probabilities = view.logits[: self.count].float().softmax(dim=1).max(dim=1)
        names = _class_names(view, view.logits.shape[1])
        captions = [
            f"{names[said]} {share:.0%}" + ("" if said == true else f", is {names[true]}")
            for said, share, true in zip(
                probabilities.indices.tolist(),
                probabilities.values.tolist(),
                view.targets[: self.count].tolist(),
                strict=True,
            )
        ]
        _show(contact_sheet(pixels, captions), self.folder, f"samples-{view.epoch + 1}.png")


def _class_names(view: TrialView, num_classes: int) -> list[str]:
    if view.classifier is not None:
        return list(view.classifier.class_names)
    return [str(index) for index in range(num_classes)]


def _show(picture: Any, folder: Path | None, name: str) -> None:
    """Write a figure or image into `folder`, and show it where this is a notebook."""
    if folder is not None:
        save = picture.savefig if hasattr(picture, "savefig") else picture.save
        try:
            folder.mkdir(parents=True, exist_ok=True)
            save(folder / name)
        except OSError as error:
            raise OutputError(
                f"{folder / name} cannot be written: {error.strerror}; "
                "make room or choose another folder."
            ) from error
    if "ipykernel" in sys.modules:
        importlib.import_module("IPython.display").display(picture)
