"""Checks, before the first step, that metrics watched by callbacks will exist.

Keras, Lightning and others tell it when the first epoch is over, if at all.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from lamplighter.errors import TrainingError
from lamplighter.names import meant
from lamplighter.training.callbacks.base import Callback
from lamplighter.training.history import COUNTS
from lamplighter.training.metrics import make_metrics

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from lamplighter.training.view import TrialView

# Lightning's own that log nothing which others could watch.
_SILENT = (
    "pytorch_lightning.callbacks.early_stopping",
    "pytorch_lightning.callbacks.model_checkpoint",
    "pytorch_lightning.callbacks.weight_averaging",
    "pytorch_lightning.callbacks.progress",
    "pytorch_lightning.callbacks.timer",
    "lamplighter",
)


def check_watched(callbacks: Sequence[Any], metrics: Sequence[Any], view: TrialView) -> None:
    """Refuse callbacks that watch or draw metrics which a run will not have.

    Where a metric or a callback of one's own may bring names that nobody knows before, what
    cannot be found is left to the end of the first epoch.

    Args:
        callbacks: of the trial, Lightning's as well.
        metrics: what it measures.
        view: with optimizer and criterion, and whether there is validation data.

    Raises:
        TrainingError: there is such a callback.
    """
    needing = [type(c).__name__ for c in callbacks if getattr(c, "needs_metrics", False)]
    if needing and not metrics:
        raise TrainingError(
            f"{needing[0]} draws the metrics of a trial, of which this one has none; give some, "
            "such as metrics=['loss', 'acc']."
        )
    known = _names(metrics, view)
    if known is None or not all(map(_is_silent, callbacks)):
        return
    for callback in callbacks:
        for monitor in _watched(callback):
            if monitor not in known:
                raise TrainingError(_absent(type(callback).__name__, monitor, known, view))


def _names(metrics: Sequence[Any], view: TrialView) -> set[str] | None:
    """Return the names of the numbers that an epoch will have; None where not all are known."""
    names = set(COUNTS) if view.validating else {COUNTS[0]}
    for metric in make_metrics(metrics, view):
        training, validation = metric.names(training=True), metric.names(training=False)
        if training is None or validation is None:
            return None
        names |= training
        if view.validating:
            names |= {f"val_{name}" for name in validation}
    return names


def _is_silent(callback: Any) -> bool:
    is_logger = hasattr(callback, "log_metrics")
    known = type(callback).__module__.startswith(_SILENT)
    return known or is_logger or isinstance(callback, Callback)


def _watched(callback: Any) -> list[str]:
    """Return the metrics that a callback watches, or writes into the names of its files."""
    monitor = getattr(callback, "monitor", None)
    pattern = getattr(callback, "filename", None)  # of Lightning's checkpoints
    written = re.findall(r"\{(\w[^:}]*)", pattern) if isinstance(pattern, str) else []
    watched = [monitor, *written] if isinstance(monitor, str) else written
    return [name for name in watched if name not in ("epoch", "step")]


def _absent(callback: str, monitor: str, known: Iterable[str], view: TrialView) -> str:
    """Return why a metric will not be there, and what to do."""
    metrics = sorted(name for name in known if name not in COUNTS)
    message = f"{callback} watches {monitor!r}, which this trial will not have"
    plain = monitor.removeprefix("val_")
    if not view.validating and plain != monitor and plain in known:
        return (
            f"{message}, as there is no validation data; give some, such as data.hold_out(0.1) or "
            f"with_val_generator(...), or watch {plain!r}."
        )
    # 'acc' and 'accuracy' are one metric, under the shorter name.
    hint = meant(monitor.replace("accuracy", "acc"), metrics)
    listed = ", ".join(metrics) or "none, since no metrics are given"
    return f"{message}; it will have {listed}{hint or '.'}"
