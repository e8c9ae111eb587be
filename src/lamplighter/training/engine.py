"""Running a trial on Lightning's Trainer, with its messages kept from the user."""

from __future__ import annotations

import copy
import inspect
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import pytorch_lightning as pl
from lightning_fabric.utilities.exceptions import MisconfigurationException
from pytorch_lightning.loggers import Logger

from lamplighter.datasets.batches import Batches
from lamplighter.errors import LamplighterError, ResumeError, TrainingError
from lamplighter.names import meant
from lamplighter.training.checkpoints import WholeCheckpoints
from lamplighter.training.diagnostics import first_reason
from lamplighter.training.lightning_compat import Unprofiled, interruptible, quietly
from lamplighter.training.loaders import EpochBatches, Source
from lamplighter.training.malloc import keep_freed_memory
from lamplighter.training.progress import progress, progress_bar
from lamplighter.training.rate_search import Search
from lamplighter.training.step import TrialModule

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from torch import Tensor

    from lamplighter.training.plan import Plan


def fit(
    plan: Plan,
    train: Source,
    validation: Source | None,
    *,
    extras: Sequence[Any],
    arguments: Mapping[str, Any],
    seed: int | None,
    verbose: int,
    checkpoint: Path | None,
) -> None:
    """Train until `plan.view.epochs` epochs are done in all.

    Args:
        plan: what is trained and measured.
        train: training batches.
        validation: validation batches, if any.
        extras: Lightning's own callbacks and loggers.
        arguments: of Lightning's Trainer.
        seed: of all random numbers; None leaves them alone.
        verbose: 2 shows a bar over the batches, 1 a line for each epoch, 0 nothing.
        checkpoint: a checkpoint of Lightning's to continue from.
    """
    bars, lines = progress(verbose)
    module = TrialModule(replace(plan, callbacks=[*plan.callbacks, *lines]))
    arguments = dict(arguments)
    callbacks = [extra for extra in extras if isinstance(extra, pl.Callback)]
    callbacks += arguments.pop("callbacks", None) or []
    loggers = [extra for extra in extras if isinstance(extra, Logger)]
    callbacks += bars
    with quietly():
        trainer = _trainer(
            {
                **_DEFAULTS,
                "max_epochs": plan.view.epochs,
                "callbacks": callbacks,
                "logger": loggers or False,
                "enable_progress_bar": _any(callbacks, pl.callbacks.ProgressBar),
                "enable_checkpointing": _any(callbacks, pl.callbacks.Checkpoint),
                **arguments,
                "plugins": [WholeCheckpoints(), *(arguments.get("plugins") or [])],
            }
        )
        if checkpoint is None:
            count_finished(trainer, len(plan.view.history), plan.view.step)
        loaders = [
            _loader(source, trainer, seed) if source is not None else None
            for source in (train, validation)
        ]
        if trainer.strategy.root_device.type == "cpu":
            keep_freed_memory()
        if not module.network.training:  # else leave what its owner froze in evaluation mode
            module.train()
        with interruptible():
            try:
                trainer.fit(module, loaders[0], loaders[1], ckpt_path=checkpoint, weights_only=True)
            except LamplighterError:
                raise
            except (RuntimeError, LookupError, ValueError, TypeError, AttributeError) as error:
                if checkpoint is None or module.started:
                    raise
                raise ResumeError(
                    f"{checkpoint} cannot be continued from: {first_reason(error)}. Make the trial "
                    "as it was made when it was written, or run without it to start again."
                ) from error
        if checkpoint is not None and not module.started:
            # All epochs were done already, so that Lightning left the weights in training.
            module.load_state_dict(module.finished_weights)


def evaluate(
    plan: Plan, source: Source, *, arguments: Mapping[str, Any], verbose: int
) -> dict[str, Any]:
    """Return the metrics of a trial over one pass of `source`, by name without a prefix.

    Callbacks watch training alone: else a picture of the validation would become one of the test.
    """
    module = TrialModule(replace(plan, callbacks=[], view=replace(plan.view)))
    with quietly():
        trainer = _passing_trainer(arguments, verbose)
        with interruptible():
            trainer.validate(module, _loader(_in_order(source), trainer, None), verbose=False)
    return {name.removeprefix("val_"): value for name, value in module.rows.items()}


def predict(
    plan: Plan, source: Source, *, arguments: Mapping[str, Any], verbose: int
) -> list[Tensor]:
    """Return the logits of each batch of `source`, in every process those of all."""
    module = TrialModule(plan)
    whole = _in_order(source, shared=False)
    with quietly():
        trainer = _passing_trainer({**arguments, "use_distributed_sampler": False}, verbose)
        with interruptible():
            batches = trainer.predict(module, EpochBatches(whole))
    return cast("list[Tensor]", batches)


def search_learning_rate(
    plan: Plan,
    source: Source,
    *,
    arguments: Mapping[str, Any],
    rates: tuple[float, float],
    steps: int,
    seed: int | None,
) -> list[tuple[float, float]]:
    """Return the learning rates that were tried, rising, and the smoothed loss at each.

    Args:
        plan: what is trained; its view, history and callbacks belong to the search.
        source: training batches.
        arguments: of Lightning's Trainer.
        rates: the first and the last one.
        steps: how many.
        seed: of all random numbers; None leaves them alone.
    """
    module = Search(plan, rates, steps)
    bare = {"logger": False, "enable_progress_bar": False, "max_epochs": -1, "max_steps": steps}
    with quietly():
        trainer = _trainer({**_DEFAULTS, **arguments, **bare})
        module.train()
        with interruptible():
            trainer.fit(module, _loader(source, trainer, seed))
    return module.tried


_DEFAULTS = {
    "enable_checkpointing": False,
    "enable_model_summary": False,
    "num_sanity_val_steps": 0,
    "log_every_n_steps": 1,
}


def _passing_trainer(arguments: Mapping[str, Any], verbose: int) -> pl.Trainer:
    bars = progress_bar() if verbose == 2 else []
    return _trainer(
        {
            **_DEFAULTS,
            "logger": False,
            "callbacks": bars,
            "enable_progress_bar": bool(bars),
            **{k: v for k, v in arguments.items() if k in _PASSING},
        }
    )


# What of a Trainer's arguments matters to a pass without training.
_PASSING = {
    "accelerator",
    "strategy",
    "devices",
    "num_nodes",
    "precision",
    "plugins",
    "use_distributed_sampler",
}


def _trainer(arguments: Mapping[str, Any]) -> pl.Trainer:
    try:
        return pl.Trainer(**{"profiler": Unprofiled(), **arguments})
    except (MisconfigurationException, TypeError) as error:
        reason = " ".join(str(error).split())
        known = inspect.signature(pl.Trainer).parameters
        unknown = next((name for name in arguments if name not in known), None)
        raise TrainingError(
            f"Lightning cannot train in this way: {reason}{meant(unknown, known)} Change what the "
            "trial was given in to(...) or with_trainer(...)."
        ) from error


def _in_order(source: Source, *, shared: bool = True) -> Source:
    """Return images in their own order and as they are, where these are training batches."""
    if not isinstance(source.batches, Batches):
        return source
    batches = copy.copy(source.batches)
    batches.shuffle, batches.augmentation, batches.shared = False, None, shared
    return Source(batches, source.steps)


def _any(callbacks: Sequence[pl.Callback], kind: type) -> bool:
    return any(isinstance(callback, kind) for callback in callbacks)


def _loader(source: Source, trainer: pl.Trainer, seed: int | None) -> Any:
    """Return what Lightning iterates over."""
    share = (0, 1)
    if trainer.world_size > 1 and not isinstance(source.batches, Batches):
        if source.steps is None:
            # Lightning gives each process its share, for which it needs the bare DataLoader.
            return source.batches
        share = trainer.global_rank, trainer.world_size
    return EpochBatches(source, lambda: trainer.current_epoch, seed=seed, share=share)


def count_finished(trainer: pl.Trainer, epochs: int, steps: int) -> None:
    """Let a new trainer count on from what an earlier one did."""
    progress = trainer.fit_loop.epoch_progress
    for counts in (progress.current, progress.total):
        counts = cast("Any", counts)
        counts.ready = counts.started = counts.processed = counts.completed = epochs
    optimization = trainer.fit_loop.epoch_loop.automatic_optimization.optim_progress.optimizer
    optimization.step.total.completed = steps
    trainer.fit_loop.epoch_loop._batches_that_stepped = steps  # where loggers go on
