"""The only training step: a trial as Lightning runs it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytorch_lightning as pl
import torch
from torch import nn

from lamplighter.errors import NonFiniteLossError, TrainingError
from lamplighter.training.callbacks.base import (
    HOOKS,
    BatchTransform,
    Callback,
    SchedulerCallback,
    overriding,
)
from lamplighter.training.metrics import MeanMetric, Metric, make_metrics

if TYPE_CHECKING:
    from torch import Tensor

    from lamplighter.training.lint import Lint
    from lamplighter.training.view import TrialView

# On other devices reading a loss makes them wait, so that it is read now and then.
_CHECK_EVERY = 50


@dataclass
class Plan:
    """What a trial hands to Lightning.

    Attributes:
        view: network, optimizer, criterion and history, shared with the callbacks.
        metrics: what is measured, as the trial was given it.
        callbacks: Lamplighter's callbacks and users'.
        lint: what looks for mistakes.
    """

    view: TrialView
    metrics: list[Any]
    callbacks: list[Callback]
    lint: Lint

    def __deepcopy__(self, memo: dict[int, Any]) -> Plan:
        # Weight averaging copies the module for its weights; the trial is still this one.
        return self


class TrialModule(pl.LightningModule):
    """A trial's network with its one training step.

    Metrics are kept here rather than logged at each step, which would cost as much again.
    """

    def __init__(self, plan: Plan) -> None:
        super().__init__()
        assert plan.view.network is not None
        self.network = plan.view.network
        self.criterion = plan.view.criterion
        self.plan = plan
        self.view = plan.view
        self.transforms = [c for c in plan.callbacks if isinstance(c, BatchTransform)]
        self.rows: dict[str, Any] = {}
        self.started = False

    def setup(self, stage: str) -> None:
        """Choose what runs in this process, now that it is known which one it is."""
        callbacks = self.plan.callbacks
        if not self.trainer.is_global_zero:
            callbacks = [callback for callback in callbacks if callback.everywhere]
        self._hooks = {hook: overriding(callbacks, hook) for hook in HOOKS}

    def configure_optimizers(self) -> Any:
        """Return the trial's optimizer with the schedulers that callbacks bring."""
        optimizer = self.view.optimizer
        schedulers = [c for c in self.plan.callbacks if isinstance(c, SchedulerCallback)]
        if not schedulers:
            return optimizer
        steps = self._remaining_steps()
        return [optimizer], [
            {
                "scheduler": callback.make_scheduler(optimizer, steps),  # type: ignore[arg-type]
                "interval": callback.interval,
                "monitor": callback.monitor,
            }
            for callback in schedulers
        ]

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        """Return the loss of a batch; Lightning takes the gradient and steps the optimizer."""
        images, targets = unpack(batch)
        for transform in self.transforms:
            images, targets = transform.transform_batch(images, targets)
        view = self.view
        view.batch, view.images, view.targets = batch_idx, images, targets
        self._run("on_batch_start")
        if batch_idx == 0:
            self._look_before(images, targets)
        logits = self.network(images)
        if self._looking:
            self._look_at(batch_idx, logits, targets)
        loss: Tensor = self.criterion(logits, targets)
        view.logits, view.loss = logits.detach(), loss.detach()
        for metric in self._metrics:
            metric.update(view.logits, targets, view.loss)
        self._losses.append(view.loss)
        self._check_loss()
        return loss

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        """Measure a batch of validation or test data."""
        images, targets = unpack(batch)
        if batch_idx == 0:
            self.plan.lint.in_evaluation(self.network)
        logits = self.network(images)
        loss = self.criterion(logits, targets) if self.criterion is not None else None
        for metric in self._held_out_metrics:
            metric.update(logits, targets, loss)
        if self._hooks["on_validation_batch_end"]:
            view = self.view
            view.batch, view.images, view.targets = batch_idx, images, targets
            view.logits, view.loss = logits, loss
            self._run("on_validation_batch_end")

    def predict_step(self, batch: Any, batch_idx: int) -> Tensor:
        """Return the logits (B, K) of a batch of images, with or without targets."""
        images = batch[0] if isinstance(batch, (list, tuple)) else batch
        logits: Tensor = self.network(images)
        return logits.cpu()

    def on_train_start(self) -> None:
        """Tell the callbacks that a run begins."""
        self.started = True
        self._metrics = make_metrics(self.plan.metrics, self.view.optimizer)
        batches = self.trainer.num_training_batches
        self.view.batches = None if math.isinf(batches) else int(batches)
        self.view.epoch = self.current_epoch
        self._run("on_start")

    def on_train_epoch_start(self) -> None:
        """Begin the measurements of an epoch."""
        self.view.epoch = self.current_epoch
        self.view.metrics = {}
        self.rows = {}
        self._losses: list[Tensor] = []
        self._looking = self.current_epoch == 0
        for metric in self._metrics:
            metric.reset()
        self._run("on_epoch_start")

    def on_after_backward(self) -> None:
        """Look at the gradients, and let callbacks change them."""
        if self._looking:
            self.plan.lint.gradients(self.view.batch, self.network)
            self._looking = self.view.batch < 2
        self._run("on_backward")

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Tell the callbacks that the weights have changed."""
        self.view.step = self.global_step
        self._run("on_batch_end")

    def on_validation_epoch_start(self) -> None:
        """Begin the measurements on held-out data."""
        self._held_out_metrics = make_metrics(self.plan.metrics, self.view.optimizer)
        self._run("on_validation_start")

    def on_validation_epoch_end(self) -> None:
        """Gather the measurements on held-out data, as val_... while training."""
        values = gather(self._held_out_metrics, training=False)
        self.rows |= {f"val_{name}": value for name, value in values.items()}
        self.view.metrics = dict(self.rows)
        self._run("on_validation_end")

    def on_train_epoch_end(self) -> None:
        """Complete the epoch's entry of the history and hand it to callbacks and loggers."""
        self._check_loss(last=True)
        row = gather(self._metrics, training=True) | self.rows
        row["train_steps"] = self.view.batch + 1
        row["validation_steps"] = sum(self.trainer.num_val_batches) if self.rows else None
        self.view.history.append(row)
        self.view.metrics = row
        scalars = {name: float(v) for name, v in row.items() if isinstance(v, (int, float))}
        self.log_dict(scalars)
        self._run("on_epoch_end")
        stop = self.trainer.strategy.reduce_boolean_decision(self.view.stopping, all=False)
        self.trainer.should_stop = self.trainer.should_stop or stop

    def on_train_end(self) -> None:
        """Tell the callbacks that a run is over."""
        self._run("on_end")

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add to a checkpoint what Lightning does not keep: history and random state."""
        checkpoint["lamplighter"] = {
            "history": self.view.history,
            "random_state": torch.get_rng_state(),
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take back history and random state."""
        kept = checkpoint["lamplighter"]
        self.view.history[:] = kept["history"]
        torch.set_rng_state(kept["random_state"])

    def running(self) -> dict[str, float]:
        """Return the means over the last batches, for a progress bar."""
        means = [metric for metric in self._metrics if isinstance(metric, MeanMetric)]
        return {metric.name: metric.running() for metric in means}

    def _run(self, hook: str) -> None:
        for callback in self._hooks[hook]:
            getattr(callback, hook)(self.view)

    def _remaining_steps(self) -> int:
        total = int(self.trainer.estimated_stepping_batches)
        epochs = self.trainer.max_epochs or 1
        return total * (epochs - self.current_epoch) // epochs

    def _look_before(self, images: Tensor, targets: Tensor) -> None:
        self.plan.lint.before_step(
            self.network, self.criterion, images, targets, epoch=self.current_epoch
        )

    def _look_at(self, batch_idx: int, logits: Tensor, targets: Tensor) -> None:
        if isinstance(self.criterion, (nn.CrossEntropyLoss, nn.NLLLoss)):
            self.plan.lint.check_labels(targets, logits.shape[1])
            self.plan.lint.first_batches(batch_idx, self.criterion, logits, targets)

    def _check_loss(self, *, last: bool = False) -> None:
        """Stop when a loss is not a number; look whether it explodes."""
        losses = self._losses
        if not losses or not (last or self.device.type == "cpu" or len(losses) % _CHECK_EVERY == 0):
            return
        if not math.isfinite(losses[-1].item()):
            self._stop_at_non_finite()
        if last or len(losses) % 10 == 0:
            self.plan.lint.loss(losses, self.global_step, self.view.learning_rate)

    def _stop_at_non_finite(self) -> None:
        finite = [math.isfinite(loss.item()) for loss in self._losses]
        batch = finite.index(False)
        step = self.global_step - (len(finite) - 1 - batch) + 1
        if self.view.images is not None and not bool(torch.isfinite(self.view.images).all()):
            cause = "the images of this batch hold NaN or infinite values; mend the data"
        else:
            cause = f"try a learning rate below {self.view.learning_rate:g}, or gradient clipping"
        raise NonFiniteLossError(
            f"the loss became {self._losses[batch].item()} at step {step} "
            f"(epoch {self.current_epoch + 1}, batch {batch + 1}): {cause}."
        )


def gather(metrics: list[Metric], *, training: bool) -> dict[str, Any]:
    """Return the values of all metrics by name."""
    values: dict[str, Any] = {}
    for metric in metrics:
        values |= metric.compute(training=training)
    return values


def unpack(batch: Any) -> tuple[Tensor, Tensor]:
    """Return images and targets of a batch.

    Raises:
        TrainingError: the batch is not a pair.
    """
    if isinstance(batch, (list, tuple)) and len(batch) == 2:
        return batch[0], batch[1]
    raise TrainingError(
        f"a batch must be a pair of inputs and targets, received {type(batch).__name__}"
        f"{f' of {len(batch)}' if isinstance(batch, (list, tuple)) else ''}."
    )
