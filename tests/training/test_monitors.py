"""Metrics to watch that will not be there are told before the first step, all others are let be."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import EarlyStopping as LightningEarlyStopping
from pytorch_lightning.callbacks import LearningRateMonitor, ModelCheckpoint
from pytorch_lightning.loggers import CSVLogger
from torch.optim.lr_scheduler import ReduceLROnPlateau
from torchmetrics import Metric, MetricCollection
from torchmetrics.classification import MulticlassAccuracy, MulticlassF1Score

from lamplighter.errors import TrainingError
from lamplighter.training.callbacks import (
    Callback,
    Checkpoint,
    EarlyStopping,
    LiveCurves,
    Scheduler,
)

from . import toys

if TYPE_CHECKING:
    from collections.abc import Callable

    from lamplighter import Trial
    from lamplighter.training.view import TrialView

FOLDER = Path("never-made")

WATCHING: dict[str, Callable[[str], Any]] = {
    "EarlyStopping": EarlyStopping,
    "Checkpoint": lambda name: Checkpoint(FOLDER, monitor=name),
    "Scheduler": lambda name: Scheduler(ReduceLROnPlateau, monitor=name),
    "EarlyStopping of Lightning": LightningEarlyStopping,
    "ModelCheckpoint": lambda name: ModelCheckpoint(FOLDER, monitor=name),
    "name of a file": lambda name: ModelCheckpoint(FOLDER, filename="{epoch}-{" + name + ":.2f}"),
}


class Steps(Callback):
    taken = 0

    def on_batch_start(self, view: TrialView) -> None:
        self.taken += 1


def watched_by(*callbacks: Any, validating: bool = True, **arguments: Any) -> Trial:
    trial = toys.trial(callbacks=list(callbacks), silence=["same-data"], **arguments)
    held_out = toys.loader(16, 1) if validating else None
    return trial.with_generators(toys.loader(16, shuffle=True), held_out)


@pytest.mark.parametrize("kind", WATCHING)
@pytest.mark.parametrize(
    ("name", "metrics", "validating", "message"),
    [
        ("val_los", ["loss", "acc"], True, r"have acc, loss, .*val_loss; did you mean 'val_loss'"),
        ("val_accuracy", ["loss", "acc"], True, r"did you mean 'val_acc'\?"),
        ("val_acc", ["loss"], True, r"have loss, running_loss, val_loss"),
        ("val_loss", ["loss"], False, r"no validation data; give some, .* or watch 'loss'\."),
        ("val_lr", ["lr", "loss"], True, r"have loss, lr, running_loss, val_loss"),
        ("val_loss", [], True, r"have none, since no metrics are given\."),
        ("f1_by_label", ["f1_by_label"], True, "have none"),  # a list
        ("MulticlassF1", [MulticlassF1Score(3)], True, "did you mean 'MulticlassF1Score'"),
        ("val_b", [MetricCollection({"a": MulticlassAccuracy(3)})], True, "have a, val_a"),
    ],
)
def test_what_will_not_be_there_is_refused_before_the_first_step(
    kind: str, name: str, metrics: list[Any], validating: bool, message: str
) -> None:
    steps = Steps()
    callback = WATCHING[kind](name)
    trial = watched_by(steps, callback, validating=validating, metrics=metrics)
    with pytest.raises(TrainingError, match=message) as caught:
        trial.run(1)
    shown = f"{type(callback).__name__} watches '{name}', which this trial will not have"
    assert re.match(shown, str(caught.value))
    assert steps.taken == 0
    assert trial.history == []
    assert not FOLDER.exists()


@pytest.mark.parametrize(
    ("name", "metrics"),
    [
        ("val_loss", ["loss"]),
        ("running_acc", ["accuracy"]),
        ("lr", ["lr"]),
        ("val_epoch_time", ["epoch time"]),
        ("val_macro_f1", ["macro_f1"]),
        ("train_steps", []),
        ("val_MulticlassF1Score", [MulticlassF1Score(3)]),
        ("val_mine", [("mine", MulticlassF1Score(3))]),
        ("val_of_a", [MetricCollection({"a": MulticlassAccuracy(3)}, prefix="of_")]),
    ],
)
def test_what_will_be_there_is_watched(name: str, metrics: list[Any], tmp_path: Path) -> None:
    keeping = ModelCheckpoint(tmp_path, monitor=name, filename="{epoch}-{" + name + ":.3f}")
    trial = watched_by(EarlyStopping(name), keeping, metrics=metrics)
    value = trial.run(1)[0][name]
    (kept,) = tmp_path.iterdir()
    assert kept.name == f"epoch=0-{name}={value:.3f}.ckpt"


def test_what_lightning_is_given_is_looked_at_too(tmp_path: Path) -> None:
    for given in ([LightningEarlyStopping("val_los")], LightningEarlyStopping("val_los")):
        trial = watched_by(CSVLogger(str(tmp_path))).with_trainer(callbacks=given)
        with pytest.raises(TrainingError, match="did you mean 'val_loss'"):
            trial.run(1)


def test_validation_that_is_left_out() -> None:
    trial = watched_by(EarlyStopping()).with_trainer(limit_val_batches=0)
    with pytest.raises(TrainingError, match="no validation data"):
        trial.run(1)


# Names that nobody knows before.


class Named(Metric):
    """A metric of one's own that gives two values by name."""

    def __init__(self) -> None:
        super().__init__()
        self.add_state("seen", torch.zeros(()))

    def update(self, logits: torch.Tensor, targets: torch.Tensor) -> None:
        self.seen += len(targets)

    def compute(self) -> dict[str, torch.Tensor]:
        return {"seen": self.seen, "twice": 2 * self.seen}


def test_a_metric_of_ones_own_may_bring_any_names() -> None:
    trial = watched_by(EarlyStopping("val_twice"), metrics=[Named()])
    assert trial.run(1)[0]["val_twice"] == 32
    late = watched_by(EarlyStopping("val_thrice"), metrics=[Named()])
    with pytest.raises(TrainingError, match=r"no metric 'val_thrice' .*did you mean 'val_twice'"):
        late.run(1)


def test_a_callback_of_lightning_may_bring_any_names(tmp_path: Path) -> None:
    class Logs(pl.Callback):
        def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
            trainer.callback_metrics["extra"] = torch.tensor(1.0)

    assert len(watched_by(Logs(), EarlyStopping("extra")).run(1)) == 1
    rates = LearningRateMonitor(), CSVLogger(str(tmp_path)), EarlyStopping("lr-Adam")
    assert len(watched_by(*rates).run(1)) == 1


# Validation in some epochs alone.


def test_metrics_of_every_second_epoch(tmp_path: Path) -> None:
    trial = watched_by(
        Checkpoint(tmp_path, monitor="val_acc"),
        EarlyStopping("val_loss", patience=1, mode="max"),  # a loss that falls is no improvement
        Scheduler(lambda optimizer: ReduceLROnPlateau(optimizer, patience=0), monitor="val_lr2"),
        metrics=["loss", "acc", "lr", ("lr2", Constant())],
    ).with_trainer(check_val_every_n_epoch=2)
    history = trial.run(9)
    assert [row["validation_steps"] for row in history] == [None, 2, None, 2]
    assert [row["lr"] for row in history] == pytest.approx([0.01, 0.01, 0.01, 0.01])
    assert sorted(file.name for file in tmp_path.iterdir()) == ["best.ckpt", "last.ckpt"]
    assert torch.load(tmp_path / "last.ckpt", weights_only=True)["epoch"] == 3
    trial.run(1)
    assert trial.history[-1]["lr"] == pytest.approx(0.001)  # its second look saw no change


class Constant(MulticlassAccuracy):
    def __init__(self) -> None:
        super().__init__(3)

    def compute(self) -> torch.Tensor:
        return torch.ones(())


# Curves of nothing.


def test_curves_of_no_metrics(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"LiveCurves draws the metrics .*metrics=\['loss'"):
        watched_by(LiveCurves(tmp_path), metrics=[]).run(1)
