"""The state of a trial: taken whole, or not at all."""

from __future__ import annotations

import contextlib
import copy
from typing import TYPE_CHECKING, Any

import torch

from lamplighter.errors import LamplighterError, ResumeError
from lamplighter.training.diagnostics import first_reason

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from lamplighter.training.view import TrialView


def state_of(view: TrialView, callbacks: Sequence[Any]) -> dict[str, Any]:
    """Return weights, optimizer state, history and random state; tensors are not copied."""
    assert view.network is not None
    return {
        "model": view.network.state_dict(),
        "optimizer": view.optimizer.state_dict() if view.optimizer is not None else None,
        "history": [dict(entry) for entry in view.history],
        "step": view.step,
        "callbacks": [
            callback.state_dict() if hasattr(callback, "state_dict") else {}
            for callback in callbacks
        ],
        "random_state": torch.get_rng_state(),
    }


def take_state(
    view: TrialView, callbacks: Sequence[Any], state: Mapping[str, Any], *, resume: bool
) -> None:
    """Take back what `state_of` returned, or with `resume` False the weights of it alone.

    Raises:
        ResumeError: it does not fit; nothing has changed then.
    """
    with as_before(view, callbacks):
        try:
            _take(view, callbacks, state, resume=resume)
        except LamplighterError:
            raise
        except (RuntimeError, ValueError, KeyError, TypeError) as error:
            raise ResumeError(
                f"the state does not fit this trial: {first_reason(error)}. "
                "Make the trial as it was made when the state was saved."
            ) from error


@contextlib.contextmanager
def as_before(view: TrialView, callbacks: Sequence[Any]) -> Iterator[None]:
    """Leave a trial as it was where a state turns out not to fit it."""
    before = copy.deepcopy(state_of(view, callbacks))
    try:
        yield
    except ResumeError:
        _take(view, callbacks, before, resume=True)
        raise


def _take(
    view: TrialView, callbacks: Sequence[Any], state: Mapping[str, Any], *, resume: bool
) -> None:
    assert view.network is not None
    whole = "model" in state and "history" in state
    view.network.load_state_dict(state["model"] if whole else _weights(state))
    if not whole or not resume:
        return
    states = state["callbacks"]
    if len(states) != len(callbacks):
        raise ValueError(f"it is of {len(states)} callbacks, the trial has {len(callbacks)}")
    if view.optimizer is not None and state["optimizer"] is not None:
        view.optimizer.load_state_dict(state["optimizer"])
    for callback, kept in zip(callbacks, states, strict=True):
        if kept:
            callback.load_state_dict(kept)
    view.history[:] = [dict(entry) for entry in state["history"]]
    view.step = state["step"]
    torch.set_rng_state(state["random_state"])


def _weights(state: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the weights of the network in `state`, which may be a whole checkpoint."""
    if "lamplighter" not in state:
        return state
    prefix = "network."
    return {
        name.removeprefix(prefix): value
        for name, value in state["state_dict"].items()
        if name.startswith(prefix)
    }
