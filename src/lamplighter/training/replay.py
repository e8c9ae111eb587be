"""Showing the history of a trial to callbacks again."""

from __future__ import annotations

import sys
from typing import Any

from lamplighter.errors import TrainingError
from lamplighter.training.callbacks.base import Callback
from lamplighter.training.history import COUNTS, epoch_line
from lamplighter.training.view import TrialView


def replay(
    history: list[dict[str, Any]], callbacks: list[Callback], *, verbose: int, one_batch: bool
) -> None:
    """Call the hooks of `callbacks` as the epochs of `history` did.

    Raises:
        TrainingError: one of them is no callback of Lamplighter's, such as Lightning's, which need
            a training.
    """
    for callback in callbacks:
        if not isinstance(callback, Callback):
            raise TrainingError(
                "replay shows the history to callbacks of lamplighter.callbacks and to functions "
                f"decorated with one of its hooks, received {callback!r}."
            )
    view = TrialView(epochs=len(history), validating=True)
    _call(callbacks, "on_start", view)
    for epoch, entry in enumerate(history):
        metrics = {name: value for name, value in entry.items() if name not in COUNTS}
        train_steps, validation_steps = (entry[name] or 0 for name in COUNTS)
        view.epoch, view.batches = epoch, train_steps
        view.metrics = {k: v for k, v in metrics.items() if not k.startswith("val_")}
        _call(callbacks, "on_epoch_start", view)
        for view.batch in range(1 if one_batch else train_steps):
            view.step += 1
            for hook in ("on_batch_start", "on_backward", "on_batch_end"):
                _call(callbacks, hook, view)
        if validation_steps:
            view.metrics = {k: v for k, v in metrics.items() if k.startswith("val_")}
            _call(callbacks, "on_validation_start", view)
            for view.batch in range(1 if one_batch else validation_steps):
                _call(callbacks, "on_validation_batch_end", view)
            _call(callbacks, "on_validation_end", view)
        view.metrics = metrics
        view.history.append(entry)
        _call(callbacks, "on_epoch_end", view)
        if verbose:
            sys.stderr.write(epoch_line(epoch, len(history), metrics) + "\n")
    _call(callbacks, "on_end", view)


def _call(callbacks: list[Callback], hook: str, view: TrialView) -> None:
    for callback in callbacks:
        getattr(callback, hook)(view)
