"""Climbs that are stopped on the way."""

from __future__ import annotations

import contextlib

import pytest

from lamplighter.training.callbacks import on_epoch_end
from lamplighter.training.trial import Trial


@contextlib.contextmanager
def stopped_in_refit(error):
    """Let the second training of a climb, in which a rung learns again, stop in its epoch 3."""
    original, begun = Trial.run, []

    def run(trial, epochs, **options):
        begun.append(trial)

        @on_epoch_end
        def stop(view):
            if len(begun) == 2 and view.epoch == 3:
                raise error

        trial.callbacks.append(stop)
        return original(trial, epochs, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Trial, "run", run)
        yield
