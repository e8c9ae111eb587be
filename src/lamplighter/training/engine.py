"""Running a trial on Lightning's Trainer, with its messages kept from the user."""

from __future__ import annotations

import contextlib
import logging
import pickle
import signal
import tempfile
import warnings
from typing import TYPE_CHECKING, Any, cast

import pytorch_lightning as pl
from pytorch_lightning.loggers import Logger
from pytorch_lightning.tuner.tuning import Tuner

from lamplighter.data.batches import Batches
from lamplighter.errors import ResumeError
from lamplighter.training.lightning_module import TrialModule
from lamplighter.training.loaders import EpochBatches, Source
from lamplighter.training.progress import epoch_lines, progress_bar

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from torch import Tensor

    from lamplighter.training.lightning_module import Plan


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
    module = TrialModule(plan)
    callbacks = [extra for extra in extras if isinstance(extra, pl.Callback)]
    loggers = [extra for extra in extras if isinstance(extra, Logger)]
    callbacks += progress_bar() if verbose == 2 else epoch_lines() if verbose == 1 else []
    with quietly():
        trainer = pl.Trainer(
            **{
                **_DEFAULTS,
                "max_epochs": plan.view.epochs,
                "callbacks": callbacks,
                "logger": loggers or False,
                "enable_progress_bar": _any(callbacks, pl.callbacks.ProgressBar),
                "enable_checkpointing": _any(callbacks, pl.callbacks.Checkpoint),
                **arguments,
            }
        )
        if checkpoint is None:
            count_finished(trainer, len(plan.view.history), plan.view.step)
        loaders = [
            _loader(source, trainer, seed) if source is not None else None
            for source in (train, validation)
        ]
        module.train()
        with interruptible():
            try:
                trainer.fit(module, loaders[0], loaders[1], ckpt_path=checkpoint, weights_only=True)
            except (pickle.UnpicklingError, KeyError, RuntimeError, EOFError, OSError) as error:
                if checkpoint is None or module.started:
                    raise
                raise ResumeError(
                    f"{checkpoint} cannot be continued from: {str(error).splitlines()[0]} "
                    "Remove it to begin anew."
                ) from error


def evaluate(
    plan: Plan, source: Source, *, arguments: Mapping[str, Any], verbose: int
) -> dict[str, Any]:
    """Return the metrics of a trial over one pass of `source`, by name without a prefix."""
    module = TrialModule(plan)
    with quietly():
        trainer = _passing_trainer(arguments, verbose)
        with interruptible():
            trainer.validate(module, _loader(source, trainer, None), verbose=False)
    return {name.removeprefix("val_"): value for name, value in module.rows.items()}


def predict(
    plan: Plan, source: Source, *, arguments: Mapping[str, Any], verbose: int
) -> list[Tensor]:
    """Return the logits of each batch of `source`."""
    module = TrialModule(plan)
    with quietly():
        trainer = _passing_trainer(arguments, verbose)
        with interruptible():
            batches = trainer.predict(module, _loader(source, trainer, None))
    return cast("list[Tensor]", batches)


def search_learning_rate(
    plan: Plan,
    source: Source,
    *,
    arguments: Mapping[str, Any],
    rates: tuple[float, float],
    steps: int,
) -> Any:
    """Return what Lightning's learning-rate finder found; None where it found nothing."""
    module = TrialModule(plan)
    with quietly(), tempfile.TemporaryDirectory() as folder:
        bare = {**_DEFAULTS, "logger": False, "enable_progress_bar": False, "max_epochs": -1}
        trainer = pl.Trainer(**{**bare, **arguments, "default_root_dir": folder})
        module.train()
        with interruptible():
            return Tuner(trainer).lr_find(
                module,
                train_dataloaders=_loader(source, trainer, None),
                min_lr=rates[0],
                max_lr=rates[1],
                num_training=steps,
                update_attr=False,
            )


_DEFAULTS = {
    "enable_checkpointing": False,
    "enable_model_summary": False,
    "num_sanity_val_steps": 0,
    "log_every_n_steps": 1,
}


def _passing_trainer(arguments: Mapping[str, Any], verbose: int) -> pl.Trainer:
    bars = progress_bar() if verbose == 2 else []
    return pl.Trainer(
        **{
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


def _any(callbacks: Sequence[pl.Callback], kind: type) -> bool:
    return any(isinstance(callback, kind) for callback in callbacks)


def _loader(source: Source, trainer: pl.Trainer, seed: int | None) -> Any:
    """Return what Lightning iterates over."""
    if trainer.world_size > 1 and not isinstance(source.batches, Batches) and source.steps is None:
        # Lightning gives each process its share, which it can do for a bare DataLoader alone.
        return source.batches
    return EpochBatches(source, lambda: trainer.current_epoch, seed=seed)


def count_finished(trainer: pl.Trainer, epochs: int, steps: int) -> None:
    """Let a new trainer count on from what an earlier one did."""
    progress = trainer.fit_loop.epoch_progress
    for counts in (progress.current, progress.total):
        counts = cast("Any", counts)
        counts.ready = counts.started = counts.processed = counts.completed = epochs
    optimization = trainer.fit_loop.epoch_loop.automatic_optimization.optim_progress.optimizer
    optimization.step.total.completed = steps


@contextlib.contextmanager
def quietly() -> Iterator[None]:
    """Keep Lightning's remarks on hardware, worker processes and its other products off screen."""
    loggers = [logging.getLogger(name) for name in ("pytorch_lightning", "lightning_fabric")]
    loggers += [logging.getLogger(f"{logger.name}.utilities.rank_zero") for logger in loggers]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="pytorch_lightning|lightning_fabric")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Give Ctrl-C back as KeyboardInterrupt; Lightning makes a silent exit of it."""
    try:
        handler = signal.getsignal(signal.SIGINT)
    except ValueError:
        handler = None
    try:
        yield
    except SystemExit as exit_:
        if not isinstance(exit_.__context__, KeyboardInterrupt):
            raise
        # Lightning ignores further Ctrl-C from then on, for the whole process.
        if handler is not None:
            with contextlib.suppress(ValueError):
                signal.signal(signal.SIGINT, handler)
        raise KeyboardInterrupt from None
