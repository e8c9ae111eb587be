"""What Lightning does to its surroundings, kept from the user: remarks, warnings, signals."""

from __future__ import annotations

import contextlib
import logging
import signal
import warnings
from typing import TYPE_CHECKING

from lightning_fabric.utilities.warnings import PossibleUserWarning

if TYPE_CHECKING:
    from collections.abc import Iterator

# Warnings that no user can or need act upon: torch's on how Lightning uses it, and Lightning's
# where a trial that is resumed writes no checkpoints itself.
_NOISE = (
    r"`isinstance\(treespec, LeafSpec\)` is deprecated",
    "Detected pickle protocol",
    "The dirpath has changed",
    r"Be aware that when using `ckpt_path`[^\[]*\[\"Checkpoint{[^\"]*\"\]",
)


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
            # What Lightning guesses that might be done better, such as more worker processes.
            warnings.simplefilter("ignore", PossibleUserWarning)
            for message in _NOISE:
                warnings.filterwarnings("ignore", message)
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
