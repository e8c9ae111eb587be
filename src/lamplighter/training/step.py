"""The only training step: a trial as Lightning runs it.

An epoch, in the order in which Lightning's Trainer calls the methods of `TrialModule`:

    on_train_epoch_start                    metrics are reset, random numbers seeded
    for batch in training data:
        loss = training_step(batch)         transforms, forward, loss, metrics
        optimizer.zero_grad()
        loss.backward()                     on_after_backward looks at the gradients
        on_before_optimizer_step            callbacks may change them
        optimizer.step()
        on_train_batch_end
    for batch in validation data:           between on_validation_epoch_start and ..._end
        validation_step(batch)              forward, loss, metrics
    on_train_epoch_end                      a row of the history; callbacks and loggers
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pytorch_lightning as pl
import torch

from lamplighter.datasets.batches import epoch_seed
from lamplighter.training.callbacks.base import (
    HOOKS,
    BatchTransform,
    CriterionTransform,
    SchedulerCallback,
    check_monitor,
    is_measured,
    overriding,
)
from lamplighter.training.checkpoints import check_epochs
from lamplighter.training.diagnostics import (
    Guard,
    check_held_out,
    detached,
    inputs_explained,
    non_finite,
    one_tensor,
)
from lamplighter.training.distributed import weighted
from lamplighter.training.lightning_compat import with_known_signature
from lamplighter.training.loaders import seed_all
from lamplighter.training.metrics import MeanMetric, Values, gather, make_metrics, scalars

if TYPE_CHECKING:
    from torch import Tensor

    from lamplighter.training.plan import Plan

# On other devices reading a loss makes them wait, so that it is read now and then.
_CHECK_EVERY = 50


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
        self.guard = Guard(plan)
        self.transforms = [c for c in plan.callbacks if isinstance(c, BatchTransform)]
        self.schedulers = [c for c in plan.callbacks if isinstance(c, SchedulerCallback)]
        self.rows: dict[str, Any] = {}
        self.started = False
        self.finished_weights: dict[str, Any] = {}

    def __setattr__(self, name: str, value: Any) -> None:
        # Lightning notes the hook it is in some forty times a step, and torch would ask each time
        # whether the name is a parameter: a tenth of a millisecond.
        if name == "_current_fx_name":
            object.__setattr__(self, name, value)
        else:
            super().__setattr__(name, value)

    def transfer_batch_to_device(
        self, batch: Any, device: torch.device, dataloader_idx: int
    ) -> Any:
        """Move a batch to the device, without a search through it where it is there already."""
        if device.type == "cpu" and isinstance(batch, tuple) and len(batch) == 2:
            images, targets = batch
            if isinstance(images, torch.Tensor) and isinstance(targets, torch.Tensor):
                return images.cpu(), targets.cpu()
        return super().transfer_batch_to_device(batch, device, dataloader_idx)

    def setup(self, stage: str) -> None:
        """Choose what runs in this process, now that it is known which one it is."""
        callbacks = self.plan.callbacks
        if not self.trainer.is_global_zero:
            callbacks = [callback for callback in callbacks if callback.everywhere]
        self._hooks = {hook: overriding(callbacks, hook) for hook in HOOKS}

    def configure_optimizers(self) -> Any:
        """Return the trial's optimizer with the schedulers that callbacks bring."""
        optimizer = self.view.optimizer
        if not self.schedulers:
            return optimizer
        assert optimizer is not None
        steps, done = self._remaining_steps(), self.view.step
        return [optimizer], [
            {
                "scheduler": callback.make_scheduler(optimizer, steps, done),
                "interval": callback.interval,
                "monitor": callback.monitor,
                "frequency": self._frequency(callback),
            }
            for callback in self.schedulers
        ]

    @with_known_signature
    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        """Return the loss of a batch; Lightning takes the gradient and steps the optimizer."""
        images, targets = self.guard.unpacked(batch, batch_idx)
        for transform in self.transforms:
            images, targets = transform.transform_batch(images, targets)
        view = self.view
        view.batch, view.images, view.targets = batch_idx, images, targets
        self._run("on_batch_start")
        with self.guard.inputs(images, batch_idx, batches=self.trainer.num_training_batches):
            logits = self.network(images)
        with self.guard.outputs(logits, targets, batch_idx, training=True):
            loss: Tensor = self._training_loss(logits, targets)
        self.guard.loss(loss)
        view.logits, view.loss = detached(logits), loss.detach()
        for metric in self._metrics:
            metric.update(view.logits, targets, view.loss)
        self._losses.append(view.loss)
        self._check_loss()
        return weighted(loss, targets, criterion=self.criterion)

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        """Measure a batch of validation or test data."""
        images, targets = self.guard.unpacked(batch, batch_idx)
        with self.guard.inputs(images, batch_idx):
            logits = self.network(images)
        with self.guard.outputs(logits, targets, batch_idx):
            loss = None if self.criterion is None else self.criterion(logits, targets)
        if self.device.type == "cpu":  # elsewhere reading a loss makes the device wait
            check_held_out(loss, images, self.view, batch_idx)
        self._held_out_batches += 1
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
        with inputs_explained(images, self.view):
            logits: Tensor = one_tensor(self.network(images))
        # numpy knows no bfloat16, which reduced precision answers with.
        return logits.float().cpu() if logits.dtype.itemsize < 4 else logits.cpu()

    def on_train_start(self) -> None:
        """Tell the callbacks that a run begins."""
        self.started = True
        self._metrics = make_metrics(self.plan.metrics, self.view)
        criterion = self.criterion
        for callback in self.plan.callbacks:
            if isinstance(callback, CriterionTransform):
                criterion = callback.training_criterion(criterion)
        # Not the loss itself: a module of torch would count as a part of this one.
        self._training_loss = criterion.__call__
        batches = self.trainer.num_training_batches
        self.view.batches = None if math.isinf(batches) else int(batches)
        self.view.epoch = self.current_epoch
        self._run("on_start")

    def on_train_epoch_start(self) -> None:
        """Begin the measurements of an epoch."""
        self.view.epoch = self.current_epoch
        self.view.metrics = {}
        self.rows = {}
        self._losses = Values()  # some optimizers ask for several a batch
        self._batches = 0
        self._held_out_batches = 0
        self.guard.begin_epoch(self.current_epoch)
        for metric in self._metrics:
            metric.reset()
        self._run("on_epoch_start")
        if self.plan.seed is not None:
            # After the callbacks, which may have drawn random numbers.
            seed_all(epoch_seed(self.plan.seed, self.current_epoch))

    def on_after_backward(self) -> None:
        """Look at the gradients of the first batches."""
        self.guard.gradients(self.view.batch, batches=self.trainer.num_training_batches)

    def on_before_optimizer_step(self, optimizer: Any) -> None:
        """Let callbacks change the gradients, which are whole and unscaled by now."""
        self._run("on_backward")

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Tell the callbacks that the weights have changed."""
        self._batches = batch_idx + 1
        self.view.step = self.global_step
        if self._hooks["on_batch_end"]:
            self.view.metrics = {f"running_{k}": value for k, value in self.running().items()}
        self._run("on_batch_end")

    def on_validation_epoch_start(self) -> None:
        """Begin the measurements on held-out data."""
        self._held_out_batches = 0
        self._held_out_metrics = make_metrics(self.plan.metrics, self.view)
        self._run("on_validation_start")

    def on_validation_epoch_end(self) -> None:
        """Gather the measurements on held-out data, as val_... while training."""
        values = gather(self._held_out_metrics, training=False)
        self.rows |= {f"val_{name}": value for name, value in values.items()}
        self.view.metrics = dict(self.rows)
        if self.trainer.state.fn == "fit":
            # For callbacks of Lightning that look now; loggers get the whole epoch at its end.
            self.log_dict(scalars(self.rows), logger=False)
        self._run("on_validation_end")

    def on_train_epoch_end(self) -> None:
        """Complete the epoch's entry of the history and hand it to callbacks and loggers."""
        self._check_loss(last=True)
        row = gather(self._metrics, training=True) | self.rows
        row["train_steps"] = self._batches
        row["validation_steps"] = self._held_out_batches or None
        self.view.history.append(row)
        self.view.metrics = row
        self.log_dict(scalars(row))
        for scheduler in self.schedulers:
            if is_measured(scheduler.monitor, self.trainer):
                check_monitor(scheduler.monitor, self.trainer.callback_metrics)
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
            "callbacks": [callback.state_dict() for callback in self._stateful()],
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take back history and random state.

        Raises:
            ResumeError: it has more epochs than there shall be in all.
        """
        kept = checkpoint["lamplighter"]
        check_epochs(len(kept["history"]), self.view.epochs)
        # With a moving average these are not the weights in training but those to answer with.
        self.finished_weights = checkpoint["state_dict"]
        self.view.history[:] = kept["history"]
        torch.set_rng_state(kept["random_state"])
        for callback, state in zip(self._stateful(), kept["callbacks"], strict=False):
            callback.load_state_dict(state)

    def running(self) -> dict[str, float]:
        """Return the means over the last batches, for a progress bar."""
        means = [metric for metric in self._metrics if isinstance(metric, MeanMetric)]
        return {metric.name: metric.running() for metric in means}

    def _stateful(self) -> list[Any]:
        """Return the callbacks that have a state of their own; Lightning keeps the schedulers'."""
        return [
            callback
            for callback in self.plan.callbacks
            if hasattr(callback, "state_dict") and not isinstance(callback, SchedulerCallback)
        ]

    def _run(self, hook: str) -> None:
        for callback in self._hooks[hook]:
            getattr(callback, hook)(self.view)

    def _frequency(self, scheduler: SchedulerCallback) -> int:
        """Return how many of its intervals pass between two steps of a scheduler."""
        every = self.trainer.check_val_every_n_epoch or 1
        watches_validation = (scheduler.monitor or "").startswith("val_")
        return every if watches_validation and scheduler.interval == "epoch" else 1

    def _remaining_steps(self) -> int | None:
        estimate = self.trainer.estimated_stepping_batches
        if not math.isfinite(estimate) or estimate < 0:
            return None
        total = int(estimate)
        epochs = self.trainer.max_epochs or 1
        return total * (epochs - self.current_epoch) // epochs

    def _check_loss(self, *, last: bool = False) -> None:
        """Stop when a loss is not a number; look whether it explodes."""
        count = len(self._losses)
        if not count or not (last or self.device.type == "cpu" or count % _CHECK_EVERY == 0):
            return
        if not math.isfinite(self._losses.read(1)[0]):
            self._stop_at_non_finite()
        if last or count % 10 == 0:
            self.plan.lint.loss(self._losses.read(10), self.global_step, self.view.learning_rate)

    def _stop_at_non_finite(self) -> None:
        raise non_finite(self._losses.read(), self.view, self.global_step + 1)
