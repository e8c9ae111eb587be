from __future__ import annotations

import copy
import math
import random
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from torch import nn

from lamplighter.errors import TrainingError
from lamplighter.training.callbacks import (
    EMA,
    Checkpoint,
    LabelSmoothing,
    LiveCurves,
    Log,
    MixUp,
    OneCycle,
    Scheduler,
    on_epoch_end,
)
from lamplighter.training.learning_rate import (
    LearningRates,
    _steepest,
    find_learning_rate,
    plot_learning_rates,
)
from lamplighter.training.trial import Trial
from tests.training.conftest import images_and_labels, small_network

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def _same(first: Any, second: Any) -> bool:
    if isinstance(first, torch.Tensor):
        return torch.equal(first, second)
    if isinstance(first, dict):
        return first.keys() == second.keys() and all(_same(first[k], second[k]) for k in first)
    if isinstance(first, (list, tuple)):
        return len(first) == len(second) and all(map(_same, first, second))
    return bool(first == second)


@pytest.mark.parametrize("trained", [False, True])
def test_trial_is_left_as_it_was(
    make_trial: Callable[..., Trial],
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    trained: bool,
) -> None:
    monkeypatch.chdir(tmp_path)
    ended: list[int] = []
    trial = make_trial(
        Scheduler(lambda optimizer: torch.optim.lr_scheduler.StepLR(optimizer, 1)),
        LabelSmoothing(0.1),
        MixUp(3),
        LiveCurves(tmp_path / "pictures"),
        Log(tmp_path / "log"),
        on_epoch_end(lambda view: ended.append(view.epoch)),
        seed=None,
    )
    if trained:
        trial.run(1)
    ended.clear()
    files = sorted(tmp_path.rglob("*"))
    trial.network[1].eval()
    before = copy.deepcopy(trial.state_dict())
    view = copy.copy(trial.plan().view)
    numbers = np.random.get_state()[1].copy(), random.getstate()  # noqa: NPY002

    find_learning_rate(trial, steps=12)

    assert _same(trial.state_dict(), before)
    assert vars(trial.plan().view) == vars(view)
    assert np.array_equal(np.random.get_state()[1], numbers[0])  # noqa: NPY002
    assert random.getstate() == numbers[1]
    assert [module.training for module in trial.network] == [True, False, True, True, True]
    assert ended == trial.findings == []
    assert sorted(tmp_path.rglob("*")) == files
    assert capfd.readouterr() == ("", "")


def test_search_does_not_change_the_training_after_it(make_trial: Callable[..., Trial]) -> None:
    trial, plain = make_trial(OneCycle(0.1)), make_trial(OneCycle(0.1))
    find_learning_rate(trial, steps=12)
    assert trial.run(2) == plain.run(2)


def test_rates_rise_geometrically_and_losses_are_those_of_a_plain_loop(
    make_trial: Callable[..., Trial],
) -> None:
    found = find_learning_rate(make_trial(), low=1e-4, high=1e-1, steps=10)
    np.testing.assert_allclose(found.rates, np.geomspace(1e-4, 1e-1, 10), rtol=1e-6)

    network = small_network()
    optimizer = torch.optim.SGD(network.parameters(), lr=0.05, momentum=0.9)
    images, labels = images_and_labels(40)
    losses: list[float] = []
    for step, rate in enumerate(np.geomspace(1e-4, 1e-1, 10)):
        optimizer.param_groups[0]["lr"] = rate
        start = 8 * (step % 5)
        loss = nn.functional.cross_entropy(
            network(images[start : start + 8]), labels[start : start + 8]
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    weights = [0.9 ** np.arange(n)[::-1] for n in range(1, 11)]
    smoothed = [np.average(losses[: len(w)], weights=w) for w in weights]
    np.testing.assert_allclose(found.losses, smoothed, rtol=1e-4)


def test_explosion_ends_the_search_early(make_trial: Callable[..., Trial]) -> None:
    found = find_learning_rate(make_trial(train=160), low=1e-4, high=1e6, steps=120)
    assert 20 < len(found.rates) < 110
    assert all(map(math.isfinite, found.losses))
    assert found.suggestion is not None
    assert 1e-4 < found.suggestion < found.rates[int(np.argmin(found.losses))]


def test_training_at_the_suggestion_beats_far_lower_and_higher(
    make_trial: Callable[..., Trial],
) -> None:
    suggestion = find_learning_rate(make_trial(train=160), high=100.0).suggestion
    assert suggestion is not None
    scores = [
        make_trial(train=160, lr=rate).run(2)[-1]["val_loss"]
        for rate in (suggestion / 300, suggestion, suggestion * 300)
    ]
    assert min(scores) == scores[1]


def test_suggestion_is_the_steepest_fall_before_the_lowest_loss() -> None:
    rates = list(np.geomspace(1e-5, 1, 51))
    places = np.log10(rates)
    falling = list(2 - 1 / (1 + np.exp(-4 * (places + 2.5))))  # steepest at 10^-2.5
    found = _steepest(rates, falling)
    assert found is not None
    assert math.log10(found) == pytest.approx(-2.5, abs=0.11)
    assert _steepest(rates, list(np.linspace(1, 2, 51))) is None


@pytest.mark.parametrize(
    "values", [{"low": 0.0}, {"low": 1.0, "high": 0.1}, {"steps": 2}, {"high": math.nan}]
)
def test_values_out_of_range(make_trial: Callable[..., Trial], values: dict[str, Any]) -> None:
    with pytest.raises(TrainingError, match="0 < low < high"):
        find_learning_rate(make_trial(), **values)


def test_trial_that_cannot_train() -> None:
    with pytest.raises(TrainingError, match="with_generators"):
        find_learning_rate(Trial(small_network(), None, nn.CrossEntropyLoss()))


def test_loss_that_is_never_finite(make_trial: Callable[..., Trial]) -> None:
    network = small_network()
    nn.init.constant_(network[4].weight, math.nan)
    with pytest.raises(TrainingError, match="finite at 0 learning rates"):
        find_learning_rate(make_trial(network=network))


def test_average_and_checkpoint_take_no_part(
    make_trial: Callable[..., Trial], tmp_path: Path
) -> None:
    find_learning_rate(make_trial(EMA(0.9), Checkpoint(tmp_path)), steps=5)
    assert list(tmp_path.iterdir()) == []


def test_figure_marks_the_suggestion(tmp_path: Path) -> None:
    found = LearningRates([1e-3, 1e-2, 1e-1, 1.0], [2.0, 1.0, 0.5, 1e6], 1e-2)
    figure = plot_learning_rates(found)
    (axes,) = figure.axes
    assert axes.get_xscale() == "log"
    assert axes.get_xlabel() == "learning rate"
    curve, mark = axes.lines
    assert list(curve.get_ydata()) == found.losses
    assert (list(mark.get_xdata()), list(mark.get_ydata())) == ([1e-2], [1.0])
    assert axes.get_ylim()[1] < 5  # the explosion does not squash the rest
    figure.savefig(tmp_path / "rates.png")
    (bare,) = plot_learning_rates(LearningRates([1.0, 2.0, 3.0], [1.0, 2.0, 3.0], None)).axes
    assert len(bare.lines) == 1
