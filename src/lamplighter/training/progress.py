"""Progress of a trial: a bar in a terminal or notebook, nothing where output is piped."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import RichProgressBar, TQDMProgressBar

if TYPE_CHECKING:
    from lamplighter.training.lightning_module import TrialModule

# To draw a bar costs more than a training step of a small network.
_REFRESH_EVERY = 25


class TerminalBar(RichProgressBar):
    """Lightning's rich bar with the trial's running metrics, on stderr."""

    def __init__(self) -> None:
        super().__init__(refresh_rate=_REFRESH_EVERY, leave=True, console_kwargs={"stderr": True})

    def get_metrics(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> dict[str, Any]:
        """Return what stands beside the bar."""
        return _shown(pl_module)


class NotebookBar(TQDMProgressBar):
    """Lightning's tqdm bar with the trial's running metrics."""

    def __init__(self) -> None:
        super().__init__(refresh_rate=_REFRESH_EVERY, leave=True)

    def get_metrics(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> dict[str, Any]:
        """Return what stands beside the bar."""
        return _shown(pl_module)


class EpochLines(pl.Callback):
    """One line on stderr for each epoch."""

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write the line; Lightning calls this before the epoch's entry is complete."""
        values = ", ".join(f"{name} {value}" for name, value in _shown(pl_module).items())
        sys.stderr.write(f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}: {values}\n")


def progress_bar() -> list[pl.Callback]:
    """Return a bar that fits where stderr goes: none where it is piped."""
    if "ipykernel" in sys.modules:
        return [NotebookBar()]
    return [TerminalBar()] if sys.stderr.isatty() else []


def epoch_lines() -> list[pl.Callback]:
    """Return what writes one line for each epoch."""
    return [EpochLines()]


def _shown(module: pl.LightningModule) -> dict[str, str]:
    trial_module: TrialModule = module  # type: ignore[assignment]
    values = {**trial_module.running(), **trial_module.rows}
    return {
        name: f"{value:.4f}" for name, value in values.items() if isinstance(value, (int, float))
    }
