"""Callbacks that are Lightning's own, under the names of a trial."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pytorch_lightning.callbacks import EarlyStopping as LightningEarlyStopping
from pytorch_lightning.callbacks import ModelCheckpoint, WeightAveraging
from torch.optim.swa_utils import get_ema_multi_avg_fn

from lamplighter.arguments import check_further, checked
from lamplighter.errors import LamplighterError, OutputError, TrainingError
from lamplighter.names import meant
from lamplighter.training.callbacks.base import check_monitor, is_measured, make_folder

if TYPE_CHECKING:
    import pytorch_lightning as pl

    Direction = Literal["min", "max"]


class EarlyStopping(LightningEarlyStopping):
    """Stop when a metric has not improved for some epochs.

    Args:
        monitor: a name in the history, such as "val_loss".
        patience: how many epochs without improvement are borne.
        mode: whether smaller ("min") or larger ("max") is better; by default "min" for losses
            and errors, "max" for all else.
        min_delta: what counts as an improvement.

    Raises:
        TrainingError: there is no such mode, or the patience is negative.
    """

    @checked
    def __init__(
        self,
        monitor: str = "val_loss",
        *,
        patience: int = 3,
        mode: Direction | None = None,
        min_delta: float = 0.0,
    ) -> None:
        _check_mode(mode)
        if patience < 0:
            raise TrainingError(f"the patience must be at least 0 epochs, received {patience}.")
        super().__init__(
            monitor,
            patience=patience,
            mode=mode or better(monitor),
            min_delta=min_delta,
            # The epoch's entry of the history is complete at its end, after the validation.
            check_on_train_epoch_end=True,
        )

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Look at the metric.

        Raises:
            TrainingError: the history does not have it.
        """
        if is_measured(self.monitor, trainer):
            check_monitor(self.monitor, trainer.callback_metrics)
            super().on_train_epoch_end(trainer, pl_module)


class Checkpoint(ModelCheckpoint):
    """Keep `last.ckpt` at the end of each epoch, and the best epochs by a metric.

    `Trial.run(epochs, checkpoint=folder / "last.ckpt")` continues from it. The best epoch is in
    `best.ckpt`; where several are kept, in `best-EPOCH.ckpt`, counted from 0. To answer with its
    weights: `trial.load_state_dict(torch.load(folder / "best.ckpt", weights_only=True))`.

    Args:
        folder: where; made if need be.
        monitor: a name in the history, such as "val_acc"; None keeps the last epoch alone.
        mode: whether smaller ("min") or larger ("max") is better; by default "min" for losses
            and errors, "max" for all else.
        keep: how many of the best are kept.

    Raises:
        TrainingError: there is no such mode, or none is to be kept.
    """

    @checked
    def __init__(
        self,
        folder: str | Path,
        *,
        monitor: str | None = None,
        mode: Direction | None = None,
        keep: int = 1,
    ) -> None:
        _check_mode(mode)
        if keep < 1:
            raise TrainingError(f"a checkpoint must keep 1 epoch or more, received {keep}.")
        super().__init__(
            dirpath=Path(folder).absolute(),
            filename="best" if keep == 1 else "best-{epoch}",
            monitor=monitor,
            mode=mode or better(monitor or ""),
            save_top_k=keep if monitor else 0,
            save_on_train_epoch_end=True,
            auto_insert_metric_name=False,
            enable_version_counter=False,
        )

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Make the folder.

        Raises:
            OutputError: it cannot be made.
        """
        make_folder(Path(str(self.dirpath)))
        super().on_train_start(trainer, pl_module)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write the checkpoints; Lightning writes each to a temporary file and renames it.

        Lightning's own `save_last` writes the last epoch only if it is also one of the best.

        Raises:
            TrainingError: the history does not have the metric.
            OutputError: the folder cannot be written to.
        """
        measured = is_measured(self.monitor, trainer)
        if measured:
            check_monitor(self.monitor, trainer.callback_metrics)
        self.last_model_path = str(Path(str(self.dirpath)) / "last.ckpt")
        try:
            if measured:
                super().on_train_epoch_end(trainer, pl_module)
            trainer.save_checkpoint(self.last_model_path)
        except LamplighterError:
            raise
        except OSError as error:
            raise OutputError(
                f"the checkpoint cannot be written to {self.dirpath}: {error.strerror or error}; "
                "make room or choose another folder."
            ) from error


class EMA(WeightAveraging):
    """Train as ever, but answer with an exponential moving average of the weights.

    Averages from the first step on would remember the random beginning, so that the decay grows
    to its value: min(decay, (1 + t) / (10 + t)) at the update t (as in TensorFlow's
    ExponentialMovingAverage). The statistics of BatchNorm are averaged as well.

    Args:
        decay: weight of the old average, 0..1.
        every: steps between two updates.
        arguments: what else Lightning's WeightAveraging takes, such as `device`.

    Raises:
        ArgumentError: WeightAveraging takes no such argument.
        TrainingError: a value is out of range.
    """

    @checked
    def __init__(self, decay: float = 0.999, *, every: int = 1, **arguments: Any) -> None:
        if not 0 <= decay <= 1 or every < 1:
            raise TrainingError(
                "EMA takes a decay in 0..1 and an update every 1 step or more, "
                f"received {decay} and {every}."
            )
        check_further(EMA, arguments, WeightAveraging, filled=("use_buffers", "kwargs"))
        super().__init__(multi_avg_fn=_warming(decay), use_buffers=True, **arguments)
        self.every = every

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Begin an average; another trial may have used this callback before."""
        super().setup(trainer, pl_module, stage)
        self._latest_update_step = 0

    def should_update(self, step_idx: int | None = None, epoch_idx: int | None = None) -> bool:
        """Return whether to update after this step."""
        return step_idx is not None and (step_idx + 1) % self.every == 0

    def on_validation_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Validate with the average, once there is one."""
        self._swapped = self._has_average()
        if self._swapped:
            super().on_validation_epoch_start(trainer, pl_module)

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Go on with the weights themselves."""
        if self._swapped:
            super().on_validation_epoch_end(trainer, pl_module)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Leave the network with the average; without one it keeps its weights."""
        if self._has_average():
            super().on_train_end(trainer, pl_module)

    def _has_average(self) -> bool:
        # Before the first update Lightning's average is the network as it was at the beginning.
        return self._average_model is not None and bool(self._average_model.n_averaged > 0)


def _check_mode(mode: str | None) -> None:
    if mode not in ("min", "max", None):
        raise TrainingError(
            "the mode must be 'min' or 'max', by whether smaller or larger values are better, "
            f"received {mode!r}{meant(mode, ('min', 'max')) or '.'}"
        )


def better(monitor: str) -> Direction:
    """Return whether smaller or larger values of a metric are better, by its name."""
    return "min" if any(word in monitor.lower() for word in _SMALLER_IS_BETTER) else "max"


_SMALLER_IS_BETTER = ("loss", "error", "mse", "mae")


def _warming(decay: float) -> Any:
    def update(averages: Any, currents: Any, updates: Any) -> None:
        if not averages[0].is_floating_point():  # counts, such as BatchNorm's of batches
            for average, current in zip(averages, currents, strict=True):
                average.copy_(current)
            return
        done = int(updates)
        blend = get_ema_multi_avg_fn(min(decay, (1 + done) / (10 + done)))  # type: ignore[no-untyped-call]
        blend(averages, currents, updates)

    return update
