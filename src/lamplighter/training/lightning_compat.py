"""Lightning's remarks, warnings, profiler and signal handlers, kept from the user."""

from __future__ import annotations

import contextlib
import inspect
import logging
import os
import signal
import warnings
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from lightning_fabric.utilities.warnings import PossibleUserWarning
from pytorch_lightning.profilers import PassThroughProfiler

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Function = TypeVar("Function", bound="Callable[..., Any]")

# Warnings that no user can or need act upon: torch's on how Lightning uses it, and Lightning's
# where a trial that is resumed writes no checkpoints itself.
_NOISE = (
    r"`isinstance\(treespec, LeafSpec\)` is deprecated",
    "Detected pickle protocol",
    "The dirpath has changed",
    r"Checkpoint directory .* exists and is not empty",
    r"Be aware that when using `ckpt_path`[^\[]*\[\"Checkpoint{[^\"]*\"\]",
)


class Unprofiled(PassThroughProfiler):
    """Measures nothing, as Lightning's own default, without a generator for each of its hooks."""

    def profile(self, action_name: str) -> Any:
        """Return a context in which nothing happens."""
        return _NOTHING


_NOTHING = contextlib.nullcontext()


def with_known_signature(function: Function) -> Function:
    """Note the arguments of a step, which Lightning has Python put together anew at each one."""
    function.__signature__ = inspect.signature(function)  # type: ignore[attr-defined]
    return function


@contextlib.contextmanager
def quietly() -> Iterator[None]:
    """Keep Lightning's remarks on hardware, worker processes and its other products off screen."""
    _stop_looking_for_drivers()
    loggers = [logging.getLogger(name) for name in ("pytorch_lightning", "lightning_fabric")]
    loggers += [logging.getLogger(f"{logger.name}.utilities.rank_zero") for logger in loggers]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            # What Lightning guesses that might be done better, such as more worker processes.
            warnings.simplefilter("ignore", PossibleUserWarning)
            for message in _NOISE:
                warnings.filterwarnings("ignore", message)
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _stop_looking_for_drivers() -> None:
    """Let Adam ask whether there is a GPU without a search of the disk, where there is none.

    Lightning has torch ask NVIDIA's driver instead of CUDA, so that processes can still be forked.
    Adam asks at every step, and each time the driver that is missing is looked for anew.
    """
    if not torch.cuda.is_available():
        os.environ.pop("PYTORCH_NVML_BASED_CUDA_CHECK", None)


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
