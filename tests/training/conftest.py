"""Trials so small that an epoch takes a hundredth of a second."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import nn

from lamplighter.training.trial import Trial

if TYPE_CHECKING:
    from collections.abc import Callable

BATCH = 8


def images_and_labels(count: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Random images (N, 1, 6, 6) whose label, 0..2, is the row that was made brighter."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(3, (count,), generator=generator)
    images = torch.randn(count, 1, 6, 6, generator=generator)
    images[torch.arange(count), 0, labels] += 1.5
    return images, labels


def small_network(seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(64, 3)
    )


@pytest.fixture
def make_trial() -> Callable[..., Trial]:
    """Make a trial: 5 batches of 8 in the same order in each epoch, 2 of validation."""

    def build(
        *callbacks: Any,
        lr: float = 0.05,
        val: bool = True,
        network: nn.Module | None = None,
        criterion: Any = None,
        metrics: tuple[Any, ...] = ("loss", "acc"),
        train: int = 5 * BATCH,
        verbose: int = 0,
        seed: int | None = 3,
    ) -> Trial:
        network = network or small_network()
        optimizer = torch.optim.SGD(network.parameters(), lr=lr, momentum=0.9)
        trial = Trial(
            network,
            optimizer,
            criterion or nn.CrossEntropyLoss(),
            metrics,
            callbacks,
            verbose,
            seed=seed,
            silence=["unshuffled", "one-class"],
        )
        trial.with_train_data(*images_and_labels(train), batch_size=BATCH, shuffle=False)
        if val:
            trial.with_val_data(*images_and_labels(2 * BATCH, seed=1), batch_size=BATCH)
        return trial

    return build


@pytest.fixture
def notebook(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str, dict[str, str]]]:
    """Let it seem that this is a notebook: what is shown, as (act, place, content)."""
    shown: list[tuple[str, str, dict[str, str]]] = []

    def note(act: str) -> Any:
        def show(content: dict[str, str], *, raw: bool, display_id: str) -> None:
            assert raw
            shown.append((act, display_id, content))

        return show

    ipython: Any = ModuleType("IPython")
    ipython.get_ipython = lambda: SimpleNamespace(kernel=object())
    display: Any = ModuleType("IPython.display")
    display.display, display.update_display = note("display"), note("update")
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    monkeypatch.setitem(sys.modules, "IPython.display", display)
    return shown
