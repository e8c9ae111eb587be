from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR, OneCycleLR, ReduceLROnPlateau, StepLR

from lamplighter.errors import NonFiniteLossError, TrainingError
from lamplighter.training.callbacks import (
    Checkpoint,
    GradientClipping,
    LabelSmoothing,
    MixUp,
    OneCycle,
    Scheduler,
    on_backward,
    on_batch_start,
    on_epoch_start,
)
from tests.training.conftest import images_and_labels, small_network

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from lamplighter.training.trial import Trial
    from lamplighter.training.view import TrialView


def _recorded(rates: list[float]) -> Any:
    @on_batch_start
    def record(view: TrialView) -> None:
        rates.append(view.learning_rate)

    return record


def _plain_rates(make: Callable[[Any], Any], steps: int, lr: float = 0.05) -> list[float]:
    """The rate of each step when the scheduler steps after each, in torch alone."""
    weight = nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([weight], lr=lr, momentum=0.9)
    scheduler, rates = make(optimizer), []
    for _ in range(steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return rates


class _Interrupted(Exception):
    pass


def _until(epoch: int) -> Any:
    """Return a callback that ends training when this epoch begins."""

    @on_epoch_start
    def interrupt(view: TrialView) -> None:
        if view.epoch == epoch:
            raise _Interrupted

    return interrupt


def _by_epoch(rates: list[float], batches: int = 5) -> list[float]:
    assert all(len(set(rates[i : i + batches])) == 1 for i in range(0, len(rates), batches))
    return rates[::batches]


def halving(optimizer: Any) -> StepLR:
    return StepLR(optimizer, step_size=2, gamma=0.5)


def growing(optimizer: Any) -> LambdaLR:
    return LambdaLR(optimizer, lambda epoch: 1 / (1 + epoch))


@pytest.mark.parametrize("make", [halving, growing])
@pytest.mark.parametrize("runs", [[5], [2, 3], [1, 1, 3]])
def test_scheduler_by_epoch_equals_torch_over_runs(
    make_trial: Callable[..., Trial], make: Any, runs: list[int]
) -> None:
    rates: list[float] = []
    trial = make_trial(Scheduler(make), _recorded(rates))
    for epochs in runs:
        trial.run(epochs)
    assert _by_epoch(rates) == pytest.approx(_plain_rates(make, 5))


def test_scheduler_by_step_equals_torch(make_trial: Callable[..., Trial]) -> None:
    rates: list[float] = []
    trial = make_trial(Scheduler(halving, interval="step"), _recorded(rates))
    trial.run(1)
    trial.run(1)
    assert rates == pytest.approx(_plain_rates(halving, 10))


def test_plateau_watches_the_metric(make_trial: Callable[..., Trial]) -> None:
    def make(optimizer: Any) -> ReduceLROnPlateau:
        return ReduceLROnPlateau(optimizer, patience=0, factor=0.5, threshold=0.2)

    rates: list[float] = []
    trial = make_trial(Scheduler(make, monitor="val_loss"), _recorded(rates))
    trial.run(6)

    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.05)
    plain, expected = make(optimizer), []
    for entry in trial.history:
        expected.append(optimizer.param_groups[0]["lr"])
        plain.step(entry["val_loss"])
    assert _by_epoch(rates) == pytest.approx(expected)
    assert len(set(expected)) > 1


@pytest.mark.parametrize("interval", ["epoch", "step"])
def test_scheduler_goes_on_from_a_state(make_trial: Callable[..., Trial], interval: Any) -> None:
    rates: list[float] = []
    first = make_trial(Scheduler(halving, interval=interval), _recorded(rates))
    first.run(3)
    state = first.state_dict()
    again = make_trial(Scheduler(halving, interval=interval), _recorded(rates))
    again.load_state_dict(state)
    assert again.state_dict()["callbacks"][0] == state["callbacks"][0]
    again.run(3)
    if interval == "epoch":
        rates = _by_epoch(rates)
    assert rates == pytest.approx(_plain_rates(halving, len(rates)))


@pytest.mark.parametrize(
    "make", [lambda: Scheduler(halving), lambda: OneCycle(0.2), lambda: Scheduler(growing)]
)
def test_resume_from_a_checkpoint_goes_on_with_the_rates(
    make_trial: Callable[..., Trial], tmp_path: Path, make: Any
) -> None:
    whole: list[float] = []
    make_trial(make(), _recorded(whole)).run(4)

    parts: list[float] = []
    with pytest.raises(_Interrupted):
        make_trial(make(), _recorded(parts), Checkpoint(tmp_path), _until(2)).run(4)
    again = make_trial(make(), _recorded(parts), Checkpoint(tmp_path), _until(99))
    again.run(4, checkpoint=tmp_path / "last.ckpt")
    assert parts == pytest.approx(whole)


def test_one_cycle_equals_torch_in_each_run(make_trial: Callable[..., Trial]) -> None:
    rates: list[float] = []
    trial = make_trial(OneCycle(0.4, warm_up=0.4, div_factor=10.0), _recorded(rates))
    trial.run(2)
    trial.run(1)

    def cycle(steps: int) -> list[float]:
        return _plain_rates(
            lambda o: OneCycleLR(o, 0.4, total_steps=steps, pct_start=0.4, div_factor=10.0), steps
        )

    assert rates == pytest.approx(cycle(10) + cycle(5))
    assert max(rates) == pytest.approx(0.4, rel=0.2)
    assert rates[-1] < rates[0]


@pytest.mark.parametrize(("warm_up", "epochs"), [(0.2, 1), (0.1, 2), (0.0, 1), (1.0, 1)])
def test_one_cycle_where_torch_would_divide_by_zero(
    make_trial: Callable[..., Trial], warm_up: float, epochs: int
) -> None:
    rates: list[float] = []
    make_trial(OneCycle(0.4, warm_up=warm_up), _recorded(rates)).run(epochs)
    assert len(rates) == 5 * epochs
    assert all(0 < rate <= 0.4 + 1e-9 for rate in rates)
    assert max(rates) > 0.3


def test_one_cycle_over_for_steps(make_trial: Callable[..., Trial]) -> None:
    rates: list[float] = []
    trial = make_trial(OneCycle(0.4), _recorded(rates)).for_steps(train_steps=7)
    trial.run(2)
    expected = _plain_rates(lambda o: OneCycleLR(o, 0.4, total_steps=14, pct_start=0.3), 14)
    assert rates == pytest.approx(expected)


def test_one_cycle_continued_for_longer_takes_its_place_in_the_longer_cycle(
    make_trial: Callable[..., Trial], tmp_path: Path
) -> None:
    make_trial(OneCycle(0.4), Checkpoint(tmp_path)).run(2)
    rates: list[float] = []
    again = make_trial(OneCycle(0.4), Checkpoint(tmp_path), _recorded(rates))
    again.callbacks[1:] = [again.callbacks[1], again.callbacks[2]]
    again.run(4, checkpoint=tmp_path / "last.ckpt")
    expected = _plain_rates(lambda o: OneCycleLR(o, 0.4, total_steps=20, pct_start=0.3), 20)
    assert rates[1:] == pytest.approx(expected[11:])


@pytest.mark.parametrize("three_phase", [False, True])
def test_a_second_cycle_resumed_goes_on_where_it_was(
    make_trial: Callable[..., Trial], tmp_path: Path, three_phase: bool
) -> None:
    def cycle() -> OneCycle:
        return OneCycle(0.4, three_phase=three_phase)

    whole: list[float] = []
    uninterrupted = make_trial(cycle(), _recorded(whole))
    uninterrupted.run(2)
    uninterrupted.run(4)

    parts: list[float] = []
    first = make_trial(cycle(), _recorded(parts), Checkpoint(tmp_path), _until(4))
    first.run(2)
    with pytest.raises(_Interrupted):
        first.run(4)
    again = make_trial(cycle(), _recorded(parts), Checkpoint(tmp_path), _until(99))
    again.run(6, checkpoint=tmp_path / "last.ckpt")
    assert parts == pytest.approx(whole)


def test_a_second_cycle_continued_for_longer_takes_its_place_in_the_longer_cycle(
    make_trial: Callable[..., Trial], tmp_path: Path
) -> None:
    first = make_trial(OneCycle(0.4), Checkpoint(tmp_path))
    first.run(1)
    first.run(2)
    rates: list[float] = []
    again = make_trial(OneCycle(0.4), Checkpoint(tmp_path), _recorded(rates))
    again.run(5, checkpoint=tmp_path / "last.ckpt")
    expected = _plain_rates(lambda o: OneCycleLR(o, 0.4, total_steps=20, pct_start=0.3), 20)
    assert rates[1:] == pytest.approx(expected[11:])


def test_one_cycle_needs_to_know_the_length(make_trial: Callable[..., Trial]) -> None:
    images, labels = images_and_labels(16)
    trial = make_trial(OneCycle(0.1))
    trial.with_train_generator(batch for batch in [(images, labels)])
    with pytest.raises(TrainingError, match="for_steps"):
        trial.run(1)


def test_other_schedulers_do_not_need_it(make_trial: Callable[..., Trial]) -> None:
    images, labels = images_and_labels(16)
    trial = make_trial(Scheduler(halving))
    trial.with_train_generator(batch for batch in [(images, labels)])
    assert len(trial.run(1)) == 1


def _norm(network: nn.Module) -> float:
    grads = [weight.grad for weight in network.parameters() if weight.grad is not None]
    return math.sqrt(sum(float((grad.double() ** 2).sum()) for grad in grads))


def test_clipping_bounds_the_norm(make_trial: Callable[..., Trial]) -> None:
    norms: list[tuple[float, float]] = []
    before = on_backward(lambda view: norms.append((_norm(view.network), 0.0)))
    after = on_backward(lambda view: norms.append((norms.pop()[0], _norm(view.network))))
    make_trial(before, GradientClipping(0.3), after).run(2)
    assert len(norms) == 10
    assert any(raw > 0.31 for raw, _ in norms)
    for raw, clipped in norms:
        assert clipped == pytest.approx(min(raw, 0.3), rel=1e-4)


@pytest.mark.parametrize("bound", [{"max_norm": 0.3}, {"max_value": 0.02}])
def test_clipped_training_equals_a_plain_loop(
    make_trial: Callable[..., Trial], bound: dict[str, float]
) -> None:
    trial = make_trial(GradientClipping(**bound), val=False)
    trial.run(2)

    network = small_network()
    optimizer = torch.optim.SGD(network.parameters(), lr=0.05, momentum=0.9)
    images, labels = images_and_labels(40)
    for _, start in itertools.product(range(2), range(0, 40, 8)):
        optimizer.zero_grad()
        nn.functional.cross_entropy(
            network(images[start : start + 8]), labels[start : start + 8]
        ).backward()
        if "max_norm" in bound:
            nn.utils.clip_grad_norm_(network.parameters(), 0.3)
        else:
            nn.utils.clip_grad_value_(network.parameters(), 0.02)
        optimizer.step()
    for mine, theirs in zip(trial.network.parameters(), network.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs)


def test_what_is_no_scheduler(make_trial: Callable[..., Trial]) -> None:
    wrong: Any = StepLR(torch.optim.SGD(small_network().parameters()), 3)
    with pytest.raises(TrainingError, match=r"a function of the optimizer, .*received StepLR"):
        Scheduler(wrong)
    wrong = "batch"
    with pytest.raises(TrainingError, match="'epoch' or 'step', received interval='batch'"):
        Scheduler(lambda optimizer: StepLR(optimizer, 3), interval=wrong)
    with pytest.raises(TrainingError, match="must return a scheduler of torch, received NoneType"):
        make_trial(Scheduler(lambda optimizer: None)).run(1)


def test_a_metric_to_watch_that_is_not_there(make_trial: Callable[..., Trial]) -> None:
    watching = Scheduler(ReduceLROnPlateau, monitor="val_los")
    with pytest.raises(TrainingError, match=r"watches 'val_los'.*did you mean 'val_loss'"):
        make_trial(watching).run(1)


@pytest.mark.parametrize("given", [{}, {"monitor": "val_loss", "interval": "step"}])
def test_a_plateau_is_seen_in_a_metric_of_epochs(
    given: dict[str, Any], make_trial: Callable[..., Trial]
) -> None:
    with pytest.raises(TrainingError, match="give Scheduler monitor='val_loss' or another name"):
        make_trial(Scheduler(ReduceLROnPlateau, **given)).run(1)


@pytest.mark.parametrize("bounds", [{}, {"max_norm": 1.0, "max_value": 1.0}])
def test_clipping_takes_one_bound(bounds: dict[str, float]) -> None:
    with pytest.raises(TrainingError, match="either max_norm or max_value"):
        GradientClipping(**bounds)
    for bound in (-1.0, 0.0, math.nan):
        with pytest.raises(TrainingError, match=f"above 0, received {bound}"):
            GradientClipping(bound)
        with pytest.raises(TrainingError, match=f"above 0, received {bound}"):
            GradientClipping(max_value=bound)


class Expected:
    """Checks the loss of each training batch against torch's, and counts."""

    def __init__(self, amount: float, weight: torch.Tensor | None = None) -> None:
        self.count = 0
        self.smoothed = nn.CrossEntropyLoss(label_smoothing=amount, weight=weight)

    def callback(self) -> Any:
        @on_backward
        def check(view: TrialView) -> None:
            self.count += 1
            torch.testing.assert_close(view.loss, self.smoothed(view.logits, view.targets))

        return check


def test_smoothing_in_training_alone(make_trial: Callable[..., Trial]) -> None:
    weight = torch.tensor([1.0, 2.0, 0.5])
    criterion = nn.CrossEntropyLoss(weight=weight)
    expected = Expected(0.3, weight)
    trial = make_trial(LabelSmoothing(0.3), expected.callback(), criterion=criterion)
    trial.run(2)
    assert expected.count == 10
    images, labels = images_and_labels(16, seed=1)
    trial.network.eval()
    with torch.no_grad():
        parts = [
            float(criterion(trial.network(images[i : i + 8]), labels[i : i + 8])) for i in (0, 8)
        ]
    assert trial.history[-1]["val_loss"] == pytest.approx(sum(parts) / 2, rel=1e-5)
    assert trial.evaluate()["val_loss"] == pytest.approx(sum(parts) / 2, rel=1e-5)
    assert criterion.label_smoothing == 0


def test_smoothing_leaves_the_criterion_alone_when_training_fails(
    make_trial: Callable[..., Trial],
) -> None:
    criterion = nn.CrossEntropyLoss(label_smoothing=0.05)
    trial = make_trial(LabelSmoothing(0.3), criterion=criterion, lr=float("inf"))
    with pytest.raises(NonFiniteLossError):
        trial.run(1)
    assert criterion.label_smoothing == 0.05


def test_smoothing_needs_cross_entropy(make_trial: Callable[..., Trial]) -> None:
    with pytest.raises(TrainingError, match="received MultiMarginLoss"):
        make_trial(LabelSmoothing(), criterion=nn.MultiMarginLoss()).run(1)
    with pytest.raises(TrainingError, match=r"received 1\.5"):
        LabelSmoothing(1.5)


def test_mixed_batches_are_convex_combinations() -> None:
    images, labels = images_and_labels(8)
    torch.manual_seed(0)
    mixed, targets = MixUp(3, alpha=1.0).transform_batch(images, labels)
    assert targets.shape == (8, 3)
    torch.testing.assert_close(targets.sum(dim=1), torch.ones(8))
    # With a partner in the batch, and the same share in pixels and targets.
    one_hot = nn.functional.one_hot(labels, 3).float()
    partner = next(i for i in range(8) if not torch.equal(one_hot[i], one_hot[i - 1]))
    share = float(targets[partner, labels[partner]])
    expected = share * images[partner] + (1 - share) * images[partner - 1]
    torch.testing.assert_close(mixed[partner], expected)


def test_mixup_with_metrics_and_seed(make_trial: Callable[..., Trial]) -> None:
    histories = [make_trial(MixUp(3, alpha=1.0), seed=seed).run(2) for seed in (3, 3, 4)]
    assert histories[0] == histories[1]
    assert histories[0] != histories[2]
    assert 0 <= histories[0][-1]["acc"] <= 1
    assert math.isfinite(histories[0][-1]["loss"])


def test_mixup_changes_training_batches_alone(make_trial: Callable[..., Trial]) -> None:
    shapes: set[tuple[int, ...]] = set()
    look = on_batch_start(lambda view: shapes.add(tuple(view.targets.shape)))
    trial = make_trial(MixUp(3), LabelSmoothing(0.1), look)
    trial.run(1)
    assert shapes == {(8, 3)}
    assert trial.evaluate()["val_acc"] == pytest.approx(trial.history[-1]["val_acc"])


def test_mixup_of_labels_outside_the_classes(make_trial: Callable[..., Trial]) -> None:
    images, labels = images_and_labels(16)
    ignoring = torch.where(labels == 0, -100, labels)
    trial = make_trial(MixUp(3)).with_train_data(images, ignoring, batch_size=16)
    with pytest.raises(TrainingError, match=r"in 0\.\.2, .*received labels in -100\.\.2 .*; leave"):
        trial.run(1)
    with pytest.raises(TrainingError, match=r"received targets of shape \(16, 4\)"):
        MixUp(3).transform_batch(images, torch.rand(16, 4))


@pytest.mark.parametrize(("classes", "alpha"), [(1, 0.2), (3, 0.0), (3, math.nan)])
def test_mixup_takes_two_classes_and_a_positive_alpha(classes: int, alpha: float) -> None:
    with pytest.raises(TrainingError, match=f"received {classes} and {alpha}"):
        MixUp(classes, alpha=alpha)


def test_clipping_waits_for_the_whole_gradient(make_trial: Callable[..., Trial]) -> None:
    norms: list[float] = []
    seen = on_backward(lambda view: norms.append(_norm(view.network)))
    trial = make_trial(GradientClipping(0.3), seen, val=False)
    trial.with_trainer(accumulate_grad_batches=5).run(1)
    assert len(norms) == 1  # 5 batches, one change of the weights
    assert norms[0] <= 0.3001
