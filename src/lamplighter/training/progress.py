"""Progress of a trial: a bar in a terminal or notebook, nothing where output is piped.

Lightning's own bars count epochs from 0, show running values as if they were those of the epoch,
do not fit into 80 columns, and need ipywidgets in a notebook.
"""

from __future__ import annotations

import math
import sys
import time
from typing import TYPE_CHECKING, Any

from pytorch_lightning.callbacks import ProgressBar
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Column

from lamplighter.training.callbacks.base import Callback
from lamplighter.training.history import epoch_line, values_line
from lamplighter.training.notebook import Place, in_notebook

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytorch_lightning as pl

    from lamplighter.training.view import TrialView

# Seconds between two updates: to draw costs more than a training step of a small network.
_TERMINAL_INTERVAL = 0.2
_NOTEBOOK_INTERVAL = 0.5


class EpochLines(Callback):
    """One line for each epoch, with the values of its entry in the history.

    Args:
        write: takes the line; by default it goes to stderr.
    """

    def __init__(self, write: Callable[[str], None] | None = None) -> None:
        self.write = write or _to_stderr

    def on_epoch_end(self, view: TrialView) -> None:
        """Write the line."""
        self.write(epoch_line(view.epoch, view.epochs, view.metrics))


class Bar(ProgressBar):
    """Where a trial is, drawn now and then: a subclass says how.

    Args:
        interval: seconds between two updates.
    """

    def __init__(self, interval: float) -> None:
        super().__init__()
        self._interval = interval
        self._enabled = True
        self._drawn = 0.0

    def enable(self) -> None:
        """Draw from now on."""
        self._enabled = True

    def disable(self) -> None:
        """Draw nothing, as in all processes but the first."""
        self._enabled = False

    def begin(self, what: str, total: int | None) -> None:
        """Begin a pass over `total` batches; None where their number is not known."""
        raise NotImplementedError

    def draw(self, done: int, values: str) -> None:
        """Show how many batches are done, and running values."""
        raise NotImplementedError

    def write(self, line: str) -> None:
        """Show a line that stays."""
        raise NotImplementedError

    def close(self) -> None:
        """Take the bar away; the lines stay."""
        raise NotImplementedError

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Begin a bar over the training batches."""
        what = f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}"
        self._begin(what, trainer.num_training_batches)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Advance it."""
        if self._is_due():
            self.draw(batch_idx + 1, values_line(pl_module.running()))

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Begin a bar over the validation or test batches."""
        self._begin(
            "validating" if trainer.state.fn == "fit" else "evaluating",
            sum(trainer.num_val_batches),
        )

    def on_validation_batch_end(
        self, trainer: pl.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int, *_: Any
    ) -> None:
        """Advance it."""
        if self._is_due():
            self.draw(batch_idx + 1, "")

    def on_predict_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Begin a bar over the batches to predict."""
        self._begin("predicting", sum(trainer.num_predict_batches))

    def on_predict_batch_end(
        self, trainer: pl.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int, *_: Any
    ) -> None:
        """Advance it."""
        if self._is_due():
            self.draw(batch_idx + 1, "")

    def on_exception(self, *_: Any) -> None:
        """Leave the terminal as it was."""
        self.close()

    def teardown(self, *_: Any, **__: Any) -> None:
        """Leave the terminal as it was."""
        self.close()

    def _begin(self, what: str, total: float) -> None:
        if self._enabled:
            self._drawn = time.monotonic()
            self.begin(what, int(total) if math.isfinite(total) else None)

    def _is_due(self) -> bool:
        now = time.monotonic()
        if not self._enabled or now - self._drawn < self._interval:
            return False
        self._drawn = now
        return True


class TerminalBar(Bar):
    """A bar of rich on stderr, with the running metrics beside it; a line for each epoch stays."""

    def __init__(self) -> None:
        super().__init__(_TERMINAL_INTERVAL)
        self._console = Console(stderr=True, highlight=False)
        self._progress: Progress | None = None

    def begin(self, what: str, total: int | None) -> None:
        """Begin a pass over `total` batches; None where their number is not known."""
        if self._progress is None:
            self._progress = Progress(
                TextColumn("{task.description}"),
                BarColumn(20),
                MofNCompleteColumn(),
                TimeElapsedColumn(),
                TextColumn(
                    "{task.fields[values]}", table_column=Column(no_wrap=True, overflow="ellipsis")
                ),
                console=self._console,
                auto_refresh=False,
                transient=True,
                # What callbacks print goes above the bar, but never from a pipe to the terminal.
                redirect_stdout=sys.stdout.isatty(),
            )
            self._progress.start()
        for task in self._progress.task_ids:
            self._progress.remove_task(task)
        self._progress.add_task(what, total=total, values="")
        self._progress.refresh()

    def draw(self, done: int, values: str) -> None:
        """Show how many batches are done, and running values."""
        if self._progress is not None:
            task = self._progress.task_ids[-1]
            self._progress.update(task, completed=done, values=values, refresh=True)

    def write(self, line: str) -> None:
        """Show a line that stays."""
        self._console.print(line, markup=False, soft_wrap=True)

    def close(self) -> None:
        """Take the bar away; the lines stay."""
        if self._progress is not None:
            self._progress.stop()
            self._progress = None


class NotebookBar(Bar):
    """The lines of the epochs, and under them how far the present one is, as plain text."""

    def __init__(self) -> None:
        super().__init__(_NOTEBOOK_INTERVAL)
        self._place = Place()
        self._lines: list[str] = []
        self._what = ""
        self._total: int | None = None

    def begin(self, what: str, total: int | None) -> None:
        """Begin a pass over `total` batches; a short one is never shown."""
        self._what, self._total = what, total

    def draw(self, done: int, values: str) -> None:
        """Show how many batches are done, and running values."""
        of = f"/{self._total}" if self._total is not None else ""
        current = f"{self._what}: batch {done}{of}" + (f", {values}" if values else "")
        self._place.show_text("\n".join([*self._lines, current]))

    def write(self, line: str) -> None:
        """Show a line that stays."""
        self._lines.append(line)
        self._place.show_text("\n".join(self._lines))

    def close(self) -> None:
        """Take the bar away; the lines stay."""
        if self._place.used and self._lines:
            self._place.show_text("\n".join(self._lines))
        elif self._place.used:
            self._place.empty()


def progress_bar() -> list[Bar]:
    """Return a bar that fits where stderr goes: none where it is piped."""
    if in_notebook():
        return [NotebookBar()]
    return [TerminalBar()] if sys.stderr.isatty() else []


def progress(verbose: int) -> tuple[list[Bar], list[EpochLines]]:
    """Return what shows a training, for Lightning and for the trial.

    Args:
        verbose: 2 shows a bar over the batches, 1 a line for each epoch, 0 nothing.
    """
    bars = progress_bar() if verbose == 2 else []
    if bars:
        return bars, [EpochLines(bar.write) for bar in bars]
    return [], [EpochLines()] if verbose == 1 else []


def _to_stderr(line: str) -> None:
    sys.stderr.write(line + "\n")
