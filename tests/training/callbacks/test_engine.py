from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import nn

from lamplighter.errors import OutputError, TrainingError
from lamplighter.training.callbacks import (
    EMA,
    Checkpoint,
    EarlyStopping,
    on_batch_end,
    on_epoch_end,
    on_epoch_start,
    on_validation_start,
)
from tests.training.conftest import images_and_labels, small_network

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from lamplighter.training.trial import Trial
    from lamplighter.training.view import TrialView

State = dict[str, torch.Tensor]


def _state(view_or_trial: Any) -> State:
    return {k: v.detach().clone() for k, v in view_or_trial.network.state_dict().items()}


def _averaged(states: list[State], decay: float, every: int = 1) -> State:
    """The moving average of the states after each step, by hand."""
    average: State = {}
    updates = 0
    for step, state in enumerate(states, start=1):
        if step % every:
            continue
        share = min(decay, (1 + updates) / (10 + updates))
        for name, value in state.items():
            if name not in average or not value.is_floating_point():
                average[name] = value.clone()
            else:
                average[name] = share * average[name] + (1 - share) * value
        updates += 1
    return average


def _recorded(states: list[State]) -> Any:
    return on_batch_end(lambda view: states.append(_state(view)))


def _assert_same(first: State, second: State) -> None:
    assert first.keys() == second.keys()
    for name in first:
        torch.testing.assert_close(first[name], second[name], rtol=1e-5, atol=1e-6, msg=name)


@pytest.mark.parametrize(("decay", "every"), [(0.9, 1), (0.15, 1), (0.9, 3)])
def test_ema_equals_the_average_by_hand(
    make_trial: Callable[..., Trial], decay: float, every: int
) -> None:
    states: list[State] = []
    trial = make_trial(EMA(decay, every=every), _recorded(states))
    trial.run(3)
    assert len(states) == 15
    assert states[-1]["1.num_batches_tracked"] == 15
    _assert_same(_state(trial), _averaged(states, decay, every))


def test_ema_does_not_change_the_training(make_trial: Callable[..., Trial]) -> None:
    plain: list[State] = []
    watched: list[State] = []
    make_trial(_recorded(plain)).run(3)
    make_trial(EMA(0.9), _recorded(watched)).run(3)
    for first, second in zip(plain, watched, strict=True):
        _assert_same(first, second)


def test_ema_validates_and_answers_with_the_average(make_trial: Callable[..., Trial]) -> None:
    states: list[State] = []
    inside: list[State] = []
    trial = make_trial(
        EMA(0.9), _recorded(states), on_validation_start(lambda view: inside.append(_state(view)))
    )
    trial.run(2)
    _assert_same(inside[0], _averaged(states[:5], 0.9))
    _assert_same(inside[1], _averaged(states, 0.9))
    assert trial.history[-1]["val_loss"] == pytest.approx(trial.evaluate()["val_loss"], rel=1e-5)


def test_ema_without_an_update_keeps_what_was_learned(make_trial: Callable[..., Trial]) -> None:
    states: list[State] = []
    trial = make_trial(EMA(0.9, every=100), _recorded(states))
    trial.run(1)
    _assert_same(_state(trial), states[-1])
    assert trial.history[-1]["val_loss"] == pytest.approx(trial.evaluate()["val_loss"], rel=1e-5)


def test_ema_goes_on_after_resume(make_trial: Callable[..., Trial], tmp_path: Path) -> None:
    whole: list[State] = []
    trial = make_trial(EMA(0.9), _recorded(whole))
    trial.run(4)

    class Interrupted(Exception):
        pass

    @on_epoch_start
    def interrupt(view: TrialView) -> None:
        if view.epoch == 2:
            raise Interrupted

    parts: list[State] = []
    cut = make_trial(EMA(0.9), _recorded(parts), Checkpoint(tmp_path), interrupt)
    with pytest.raises(Interrupted):
        cut.run(4)
    again = make_trial(EMA(0.9), _recorded(parts), Checkpoint(tmp_path))
    again.run(4, checkpoint=tmp_path / "last.ckpt")
    for first, second in zip(whole, parts, strict=True):
        _assert_same(first, second)
    _assert_same(_state(again), _state(trial))


def test_ema_copies_the_weights_alone(
    make_trial: Callable[..., Trial], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> None:
        pytest.fail("the optimizer was copied")

    monkeypatch.setattr(torch.optim.SGD, "__deepcopy__", refuse, raising=False)
    trial = make_trial(EMA(0.9))
    trial.run(1)
    assert len(trial.run(1)) == 2


def test_one_ema_may_serve_two_trials(make_trial: Callable[..., Trial]) -> None:
    average = EMA(0.9)
    make_trial(average).run(4)
    states: list[State] = []
    trial = make_trial(average, _recorded(states))
    trial.run(1)
    _assert_same(_state(trial), _averaged(states, 0.9))


@pytest.mark.parametrize("values", [{"decay": 1.5}, {"decay": -0.1}, {"every": 0}])
def test_ema_refuses_what_is_out_of_range(values: dict[str, Any]) -> None:
    with pytest.raises(TrainingError, match=r"decay in 0\.\.1"):
        EMA(**values)


class Scripted:
    """A metric of torchmetrics' kind whose value in validation is given for each epoch."""

    def __init__(self, values: list[float]) -> None:
        self.values = values
        self.passes: list[int] = []

    def __deepcopy__(self, memo: Any) -> Scripted:
        return self

    def to(self, device: Any) -> Scripted:
        return self

    def reset(self) -> None: ...

    def update(self, logits: Any, targets: Any) -> None: ...

    def compute(self) -> torch.Tensor:
        # Training and validation of an epoch ask in turn: validation first.
        self.passes.append(0)
        return torch.tensor(self.values[(len(self.passes) - 1) // 2])


VALUES = [0.5, 0.8, 0.7, 0.6, 0.9, 0.1]


@pytest.mark.parametrize(
    ("name", "epochs"),
    [("val_error", 3), ("val_score", 4), ("score", 4)],
)
def test_early_stopping_by_the_direction_of_the_name(
    make_trial: Callable[..., Trial], name: str, epochs: int
) -> None:
    plain = name.removeprefix("val_")
    trial = make_trial(EarlyStopping(name, patience=2), metrics=("loss", (plain, Scripted(VALUES))))
    assert len(trial.run(6)) == epochs
    assert [row[name] for row in trial.history] == pytest.approx(VALUES[:epochs])


def test_early_stopping_with_mode_and_least_difference(make_trial: Callable[..., Trial]) -> None:
    metrics = ("loss", ("score", Scripted(VALUES)))
    worse = make_trial(EarlyStopping("val_score", patience=1, mode="min"), metrics=metrics)
    assert len(worse.run(6)) == 2
    metrics = ("loss", ("score", Scripted(VALUES)))
    strict = make_trial(EarlyStopping("val_score", patience=1, min_delta=0.5), metrics=metrics)
    assert len(strict.run(6)) == 2


@pytest.mark.parametrize("callback", [EarlyStopping, None])
def test_metric_that_is_not_there(
    make_trial: Callable[..., Trial], tmp_path: Path, callback: Any
) -> None:
    watching = callback("val_auc") if callback else Checkpoint(tmp_path, monitor="val_auc")
    trial = make_trial(watching)
    with pytest.raises(TrainingError, match=r"it will have .*val_loss; did you mean 'val_acc'"):
        trial.run(1)
    assert trial.history == []


def test_modes_and_counts_that_are_none(tmp_path: Path) -> None:
    wrong: Any = "maximum"
    for make in (lambda: EarlyStopping(mode=wrong), lambda: Checkpoint(tmp_path, mode=wrong)):
        with pytest.raises(TrainingError, match=r"'min' or 'max'.*'maximum'; did you mean 'max'"):
            make()
    with pytest.raises(TrainingError, match="at least 0 epochs, received -1"):
        EarlyStopping(patience=-1)
    with pytest.raises(TrainingError, match="keep 1 epoch or more, received 0"):
        Checkpoint(tmp_path, keep=0)


@pytest.mark.parametrize(("name", "best"), [("val_score", 4), ("val_error", 5)])
def test_best_and_last_checkpoint(
    make_trial: Callable[..., Trial], tmp_path: Path, name: str, best: int
) -> None:
    states: list[State] = []
    metrics = ("loss", (name.removeprefix("val_"), Scripted(VALUES)))
    trial = make_trial(
        Checkpoint(tmp_path / "deep" / "folder", monitor=name),
        on_epoch_end(lambda view: states.append(_state(view))),
        metrics=metrics,
    )
    trial.run(6)
    folder = tmp_path / "deep" / "folder"
    assert sorted(file.name for file in folder.iterdir()) == ["best.ckpt", "last.ckpt"]
    for file, epoch in (("best.ckpt", best), ("last.ckpt", 5)):
        kept = torch.load(folder / file, weights_only=True)
        assert kept["epoch"] == epoch
        network = {key.removeprefix("network."): value for key, value in kept["state_dict"].items()}
        _assert_same(network, states[epoch])
        assert len(kept["lamplighter"]["history"]) == epoch + 1


def test_several_best_checkpoints(make_trial: Callable[..., Trial], tmp_path: Path) -> None:
    metrics = ("loss", ("score", Scripted(VALUES)))
    make_trial(Checkpoint(tmp_path, monitor="val_score", keep=2), metrics=metrics).run(6)
    names = sorted(file.name for file in tmp_path.iterdir())
    assert names == ["best-1.ckpt", "best-4.ckpt", "last.ckpt"]


def test_checkpoint_of_the_last_epoch_alone(
    make_trial: Callable[..., Trial], tmp_path: Path
) -> None:
    epochs: list[int] = []

    @on_epoch_start
    def look(view: TrialView) -> None:
        if view.epoch:
            epochs.append(torch.load(tmp_path / "last.ckpt", weights_only=True)["epoch"])

    make_trial(Checkpoint(tmp_path), look).run(3)
    assert epochs == [0, 1]
    assert [file.name for file in tmp_path.iterdir()] == ["last.ckpt"]


def test_checkpoint_restores_weights_and_history(
    make_trial: Callable[..., Trial], tmp_path: Path
) -> None:
    whole = make_trial(Checkpoint(tmp_path / "a"))
    whole.run(4)
    make_trial(Checkpoint(tmp_path / "b")).run(2)
    again = make_trial(Checkpoint(tmp_path / "b"), network=small_network(seed=9))
    again.run(4, checkpoint=tmp_path / "b" / "last.ckpt")
    _assert_same(_state(again), _state(whole))
    assert again.history == whole.history


def test_damage_while_writing_leaves_the_old_checkpoint(
    make_trial: Callable[..., Trial], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trial = make_trial(Checkpoint(tmp_path))
    trial.run(1)
    before = (tmp_path / "last.ckpt").read_bytes()

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(OutputError, match="No space left"):
        trial.run(1)
    assert (tmp_path / "last.ckpt").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["last.ckpt"]


def test_a_checkpoint_is_written_in_its_own_folder(
    make_trial: Callable[..., Trial], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Elsewhere may be another disk, from which a rename is a copy that can be cut short.
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "absent"))
    make_trial(Checkpoint(tmp_path / "kept")).run(1)
    assert (tmp_path / "kept" / "last.ckpt").is_file()


def test_checkpoint_folder_that_cannot_be_made(
    make_trial: Callable[..., Trial], tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match="choose another folder"):
        make_trial(Checkpoint(tmp_path / "file" / "folder")).run(1)


def test_network_with_labels_learns_at_all(make_trial: Callable[..., Trial]) -> None:
    """The other tests would pass on a trial that learns nothing."""
    trial = make_trial(EMA(0.8), train=160)
    trial.run(5)
    images, labels = images_and_labels(64, seed=5)
    with torch.no_grad():
        right = (trial.network.eval()(images).argmax(dim=1) == labels).double().mean()
    assert isinstance(trial.network, nn.Sequential)
    assert right > 0.6
