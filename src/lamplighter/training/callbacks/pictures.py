"""Callbacks that draw while a network learns: PNG files, and pictures in a notebook."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from lamplighter.arguments import checked
from lamplighter.errors import TrainingError
from lamplighter.evaluation.intervals import wilson
from lamplighter.evaluation.metrics import confusion_matrix
from lamplighter.evaluation.plots import draw_confusion
from lamplighter.evaluation.sheets import contact_sheet
from lamplighter.files.writing import written_whole
from lamplighter.training.callbacks.base import Callback, make_folder
from lamplighter.training.criteria import is_of_ones_own
from lamplighter.training.history import plot_history
from lamplighter.training.ignore_index import are_indices, ignored_index
from lamplighter.training.notebook import Place, in_notebook

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from lamplighter.training.view import TrialView


class Drawing(Callback):
    """A callback that draws pictures.

    Args:
        folder: where they are written; None draws in a notebook alone.
        every: epochs between two pictures.

    Raises:
        TrainingError: `every` is not positive.
    """

    @checked
    def __init__(self, folder: str | Path | None = None, *, every: int = 1) -> None:
        if every < 1:
            raise TrainingError(f"a picture can be drawn every 1 epoch or more, received {every}.")
        self.folder = Path(folder) if folder is not None else None
        self.every = every
        self._place = Place()

    def on_start(self, view: TrialView) -> None:
        """Make the folder; in a notebook, the pictures of a run take one place.

        Raises:
            OutputError: the folder cannot be made.
        """
        self._place = Place()
        if self.folder is not None:
            make_folder(self.folder)

    def is_due(self, view: TrialView) -> bool:
        """Return whether this epoch gets a picture that somebody can see."""
        return self.is_seen and (view.epoch + 1) % self.every == 0

    @property
    def is_seen(self) -> bool:
        """Whether there is a place where somebody sees the pictures."""
        return self.folder is not None or in_notebook()

    def show(self, picture: Any, name: str) -> None:
        """Write a figure or image as `name`, and show it where this is a notebook.

        Raises:
            OutputError: it cannot be written.
        """
        file = io.BytesIO()
        save = picture.savefig if hasattr(picture, "savefig") else picture.save
        save(file, format="png")
        if self.folder is not None:
            make_folder(self.folder)
            with written_whole(self.folder / name) as target:
                target.write(file.getvalue())
        if in_notebook():
            self._place.show_png(file.getvalue())


class LiveCurves(Drawing):
    """Draw loss and other metrics against epochs, anew at the end of each: `curves.png`.

    Args:
        folder: where it is written; None draws in a notebook alone.
        every: epochs between two pictures.
    """

    needs_metrics = True

    def on_epoch_end(self, view: TrialView) -> None:
        """Draw the history."""
        if self.is_due(view):
            self.show(plot_history(view.history), "curves.png")


class DrawingAnswers(Drawing):
    """A callback that draws answers to validation data.

    Args:
        folder: where pictures are written; None draws in a notebook alone.
        every: epochs between two pictures.
    """

    _looked = False

    def on_start(self, view: TrialView) -> None:
        """Make the folder.

        Raises:
            TrainingError: there is no validation data.
            OutputError: the folder cannot be made.
        """
        if not view.validating:
            raise TrainingError(
                f"{type(self).__name__} draws answers to validation data, of which there is none; "
                "give some, such as data.hold_out(0.1) or with_val_generator(...), or leave it out."
            )
        super().on_start(view)
        self._looked = False

    def on_backward(self, view: TrialView) -> None:
        """Look at the targets of the first batch, rather than at those of the first validation.

        Raises:
            TrainingError: the targets do not say of which class the images are.
        """
        if not self._looked and isinstance(view.logits, torch.Tensor):
            self.check_answers(view)
        self._looked = True

    def check_answers(self, view: TrialView) -> None:
        """Look whether the answers to a batch can be drawn.

        Raises:
            TrainingError: the targets do not say of which class the images are.
        """
        if not is_of_ones_own(view.criterion):  # which may take others in training, as of a teacher
            _true_classes(view)


class ConfusionMatrix(DrawingAnswers):
    """Draw the confusion matrix of the validation data every few epochs.

    Images whose label the loss ignores are left out.

    Args:
        folder: where `confusion-EPOCH.png` is written; None draws in a notebook alone.
        every: epochs between two pictures.
        class_names: names of the classes; by default the classifier's, or numbers.
    """

    @checked
    def __init__(
        self,
        folder: str | Path | None = None,
        *,
        every: int = 1,
        class_names: list[str] | None = None,
    ) -> None:
        super().__init__(folder, every=every)
        self.class_names = class_names

    def check_answers(self, view: TrialView) -> None:
        """Look whether the answers to a batch can be drawn.

        Raises:
            TrainingError: the targets do not say of which class the images are, or the names of
                the classes are not as many as the outputs.
        """
        super().check_answers(view)
        assert view.logits is not None
        if self.class_names is not None and len(self.class_names) != view.logits.shape[1]:
            raise TrainingError(
                f"ConfusionMatrix needs a name for each of the {view.logits.shape[1]} outputs, "
                f"received {len(self.class_names)} class_names."
            )

    def on_validation_start(self, view: TrialView) -> None:
        """Begin to gather answers."""
        self._answers: list[tuple[Tensor, Tensor]] = []

    def on_validation_batch_end(self, view: TrialView) -> None:
        """Gather the answers to a batch.

        Raises:
            TrainingError: the targets do not say of which class the images are.
        """
        if self.is_due(view) and view.logits is not None:
            true = _true_classes(view)
            known = true >= 0
            self._answers.append((true[known].cpu(), view.logits.argmax(dim=1)[known].cpu()))
            self._classes = view.logits.shape[1]

    def on_validation_end(self, view: TrialView) -> None:
        """Draw the matrix."""
        if not any(len(true) for true, _ in self._answers):
            return
        targets, answers = (
            np.concatenate([part.numpy() for part in parts])
            for parts in zip(*self._answers, strict=True)
        )
        names = self.class_names or _class_names(view, self._classes)
        matrix = confusion_matrix(targets, answers, self._classes)
        accuracy = wilson(int(np.trace(matrix)), int(matrix.sum()))
        title = f"validation, epoch {view.epoch + 1}: accuracy {accuracy}"
        self.show(draw_confusion(matrix, names, title=title), f"confusion-{view.epoch + 1}.png")


class SamplePredictions(DrawingAnswers):
    """Draw the first validation images with what the network says of them, every few epochs.

    Args:
        folder: where `samples-EPOCH.png` is written; None draws in a notebook alone.
        every: epochs between two pictures.
        count: how many images.
    """

    @checked
    def __init__(
        self, folder: str | Path | None = None, *, every: int = 1, count: int = 25
    ) -> None:
        super().__init__(folder, every=every)
        self.count = count

    def on_validation_start(self, view: TrialView) -> None:
        """Begin to gather images."""
        self._images: list[Tensor] = []
        self._captions: list[str] = []

    def on_validation_batch_end(self, view: TrialView) -> None:
        """Gather images and what is said of them, until there are enough.

        Raises:
            TrainingError: the targets do not say of which class the images are.
        """
        room = self.count - len(self._captions)
        if not self.is_due(view) or room < 1 or view.images is None:
            return
        assert view.logits is not None
        true_classes = _true_classes(view)[:room].tolist()
        self._images.append(view.images[:room].float().cpu())
        probabilities = view.logits[:room].float().softmax(dim=1).max(dim=1)
        names = _class_names(view, view.logits.shape[1])
        self._captions += [
            f"said {names[said]}, {int(100 * share)} %\n" + _truth(said, true, names)
            for said, share, true in zip(
                probabilities.indices.tolist(),
                probabilities.values.tolist(),
                true_classes,
                strict=True,
            )
        ]

    def on_validation_end(self, view: TrialView) -> None:
        """Draw them."""
        if self._captions:
            pixels = _pixels(view, np.concatenate([batch.numpy() for batch in self._images]))
            self.show(contact_sheet(pixels, self._captions), f"samples-{view.epoch + 1}.png")


def _pixels(view: TrialView, images: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return inputs (N, C, H, W) as the pixels that they were made from, uint8.

    Without a classifier it is not known how they were normalised: what is not within 0..1 is
    stretched to it. Other channels than grey or RGB become their mean.
    """
    if view.classifier is not None:
        preprocessing = view.classifier.preprocessing
        mean, std = (
            np.array(values, dtype=np.float32).reshape(-1, 1, 1)
            for values in (preprocessing.mean, preprocessing.std)
        )
        images = images * std + mean
    elif images.min() < 0 or images.max() > 1:
        images = (images - images.min()) / max(float(np.ptp(images)), 1e-6)
    if images.shape[1] not in (1, 3):
        images = images.mean(axis=1, keepdims=True)
    return (images * 255).round().clip(0, 255).astype(np.uint8)


def _true_classes(view: TrialView) -> Tensor:
    """Return the class of each image of a batch (B,); -1 where the loss ignores its label.

    Raises:
        TrainingError: the targets are neither class indices nor probabilities of the classes.
    """
    targets, logits = view.targets, view.logits
    assert targets is not None
    assert logits is not None
    if logits.ndim == 2 and logits.shape[1] > 1:
        if are_indices(targets):
            return targets.long().masked_fill(targets == ignored_index(view.criterion), -1)
        sums = targets.float().sum(dim=-1)
        if targets.shape == logits.shape and torch.allclose(sums, torch.ones_like(sums), atol=1e-3):
            return targets.argmax(dim=1)
    raise TrainingError(
        "pictures of answers need outputs (B, K) and class indices (B,) or probabilities of the "
        f"classes (B, K) as targets, received outputs of shape {tuple(logits.shape)} and targets "
        f"of {str(targets.dtype).removeprefix('torch.')} and shape {tuple(targets.shape)}; leave "
        "ConfusionMatrix and SamplePredictions out of the callbacks."
    )


def _truth(said: int, true: int, names: list[str]) -> str:
    if true < 0:
        return "no true class"
    return "right" if said == true else f"is {names[true]}"


def _class_names(view: TrialView, num_classes: int) -> list[str]:
    if view.classifier is not None:
        return list(view.classifier.class_names)
    return [str(index) for index in range(num_classes)]
