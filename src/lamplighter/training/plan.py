"""What a trial hands to its engine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lamplighter.training.callbacks.base import Callback
    from lamplighter.training.lint import Lint
    from lamplighter.training.view import TrialView


@dataclass
class Plan:
    """What a trial hands to Lightning.

    Attributes:
        view: network, optimizer, criterion and history, shared with the callbacks.
        metrics: what is measured, as the trial was given it.
        callbacks: Lamplighter's callbacks and users'.
        lint: what looks for mistakes.
        seed: of all random numbers; None leaves them alone.
    """

    view: TrialView
    metrics: list[Any]
    callbacks: list[Callback]
    lint: Lint
    seed: int | None = None

    def __deepcopy__(self, memo: dict[int, Any]) -> Plan:
        # Weight averaging copies the module for its weights; the trial is still this one.
        return self
