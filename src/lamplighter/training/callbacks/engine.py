"""Callbacks that are Lightning's own, under the names of a trial."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pytorch_lightning.callbacks import EarlyStopping as LightningEarlyStopping
from pytorch_lightning.callbacks import ModelCheckpoint, WeightAveraging
from torch.optim.swa_utils import get_ema_multi_avg_fn


class EarlyStopping(LightningEarlyStopping):
    """Stop when a metric has not improved for some epochs.

    Args:
        monitor: a name in the history, such as "val_loss".
        patience: how many epochs without improvement are borne.
        mode: whether smaller ("min") or larger ("max") is better.
        min_delta: what counts as an improvement.
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        *,
        patience: int = 3,
        mode: Literal["min", "max"] = "min",
        min_delta: float = 0.0,
    ) -> None:
        super().__init__(
            monitor,
            patience=patience,
            mode=mode,
            min_delta=min_delta,
            # The epoch's entry of the history is complete at its end, after the validation.
            check_on_train_epoch_end=True,
        )


class Checkpoint(ModelCheckpoint):
    """Keep `last.ckpt` at the end of each epoch, and the best epochs by a metric.

    `Trial.run(epochs, checkpoint=folder / "last.ckpt")` continues from it.

    Args:
        folder: where; made if need be.
        monitor: a name in the history, such as "val_acc"; None keeps the last epoch alone.
        mode: whether smaller ("min") or larger ("max") is better.
        keep: how many of the best are kept.
    """

    def __init__(
        self,
        folder: str | Path,
        *,
        monitor: str | None = None,
        mode: Literal["min", "max"] = "max",
        keep: int = 1,
    ) -> None:
        super().__init__(
            dirpath=Path(folder).absolute(),
            filename="best-{epoch}" if monitor else None,
            monitor=monitor,
            mode=mode,
            save_top_k=keep if monitor else 0,
            save_last=True,
            save_on_train_epoch_end=True,
            enable_version_counter=False,
        )


class EMA(WeightAveraging):
    """Train as ever, but answer with an exponential moving average of the weights.

    Averages from the first step on would remember the random beginning, so that the decay grows
    to its value: min(decay, (1 + t) / (10 + t)) at step t (as in TensorFlow's
    ExponentialMovingAverage). The statistics of BatchNorm are averaged as well.

    Args:
        decay: weight of the old average, 0..1.
        every: steps between two updates.
    """

    def __init__(self, decay: float = 0.999, *, every: int = 1, **arguments: Any) -> None:
        super().__init__(multi_avg_fn=_warming(decay), use_buffers=True, **arguments)
        self.every = every

    def should_update(self, step_idx: int | None = None, epoch_idx: int | None = None) -> bool:
        """Return whether to update after this step."""
        return step_idx is not None and (step_idx + 1) % self.every == 0


def _warming(decay: float) -> Any:
    def update(averages: Any, currents: Any, updates: Any) -> None:
        done = int(updates)
        average = get_ema_multi_avg_fn(min(decay, (1 + done) / (10 + done)))  # type: ignore[no-untyped-call]
        average(averages, currents, updates)

    return update
