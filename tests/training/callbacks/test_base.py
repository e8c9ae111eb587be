from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.loggers import CSVLogger

from lamplighter.errors import OutputError, TrainingError
from lamplighter.training import callbacks
from lamplighter.training.callbacks import base
from lamplighter.training.callbacks.base import HOOKS, Callback, make_folder, overriding
from tests.training import toys

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from lamplighter.training.view import TrialView


class Diary(Callback):
    """Writes down each hook with what the view says."""

    def __init__(self) -> None:
        self.lines: list[tuple[Any, ...]] = []
        self.views: dict[str, dict[str, Any]] = {}


def _entry(hook: str) -> Any:
    def write(self: Diary, view: TrialView) -> None:
        self.lines.append((hook.removeprefix("on_"), view.epoch, view.batch, view.step))
        self.views[hook] = {**vars(view), "metrics": dict(view.metrics)}

    return write


for _hook in HOOKS:
    setattr(Diary, _hook, _entry(_hook))


def test_hooks_come_in_order_with_epoch_batch_and_step(make_trial: Callable[..., Any]) -> None:
    diary = Diary()
    make_trial(diary, train=16).run(2)

    expected: list[tuple[Any, ...]] = [("start", 0, 0, 0)]
    step = 0
    for epoch in range(2):
        last = expected[-1][2]
        expected.append(("epoch_start", epoch, last, step))
        for batch in range(2):
            expected.append(("batch_start", epoch, batch, step))
            expected.append(("backward", epoch, batch, step))
            step += 1
            expected.append(("batch_end", epoch, batch, step))
        expected.append(("validation_start", epoch, 1, step))
        expected += [("validation_batch_end", epoch, batch, step) for batch in range(2)]
        expected.append(("validation_end", epoch, 1, step))
        expected.append(("epoch_end", epoch, 1, step))
    expected.append(("end", 1, 1, step))
    assert diary.lines == expected


def test_view_holds_batch_and_metrics(make_trial: Callable[..., Any]) -> None:
    diary = Diary()
    trial = make_trial(diary)
    trial.run(1)

    start = diary.views["on_start"]
    assert start["epochs"] == 1
    assert start["batches"] == 5
    assert start["network"] is trial.network
    batch = diary.views["on_backward"]
    assert batch["images"].shape == (8, 1, 6, 6)
    assert batch["targets"].shape == (8,)
    assert batch["logits"].shape == (8, 3)
    torch.testing.assert_close(
        batch["loss"], torch.nn.functional.cross_entropy(batch["logits"], batch["targets"])
    )
    assert diary.views["on_validation_end"]["metrics"].keys() == {"val_loss", "val_acc"}
    complete = diary.views["on_epoch_end"]["metrics"]
    assert complete.keys() >= {"loss", "acc", "running_loss", "running_acc", "val_loss", "val_acc"}
    assert complete == trial.history[-1]


def test_epochs_and_steps_count_on_in_a_second_run(make_trial: Callable[..., Any]) -> None:
    diary = Diary()
    trial = make_trial(diary)
    trial.run(1)
    diary.lines.clear()
    trial.run(1)
    assert diary.lines[0] == ("start", 1, 1, 5)
    assert diary.lines[-1][::3] == ("end", 10)
    assert diary.views["on_start"]["epochs"] == 2


def test_without_validation_its_hooks_are_not_called(make_trial: Callable[..., Any]) -> None:
    diary = Diary()
    make_trial(diary, val=False).run(1)
    assert not any(line[0].startswith("validation") for line in diary.lines)


def test_evaluating_calls_no_callback(make_trial: Callable[..., Any]) -> None:
    diary = Diary()
    trial = make_trial(diary)
    trial.run(1)
    diary.lines.clear()
    trial.evaluate()
    trial.with_test_data(torch.zeros(4, 1, 6, 6), batch_size=2).predict()
    assert diary.lines == []


@pytest.mark.parametrize("hook", HOOKS)
def test_decorated_function_runs_in_its_hook_and_stays_callable(hook: str) -> None:
    def note(view: Any) -> str:
        """Explain."""
        return f"seen {view}"

    decorated = getattr(callbacks, hook)(note)
    assert isinstance(decorated, Callback)
    assert decorated("it") == "seen it"
    assert getattr(decorated, hook)("it") == "seen it"
    assert decorated.__doc__ == "Explain."
    assert [name for name in HOOKS if overriding([decorated], name)] == [hook]


def test_decorated_function_steers_a_trial(make_trial: Callable[..., Any]) -> None:
    @callbacks.on_epoch_end
    def enough(view: TrialView) -> None:
        if view.epoch == 1:
            view.stop()

    trial = make_trial(enough)
    assert len(trial.run(5)) == 2
    assert len(trial.run(3)) == 5  # being asked to stop is not remembered


def test_stop_in_a_batch_ends_the_epoch_first(make_trial: Callable[..., Any]) -> None:
    diary = Diary()
    stop = callbacks.on_batch_start(lambda view: view.stop())
    assert len(make_trial(diary, stop).run(4)) == 1
    assert [line[0] for line in diary.lines].count("batch_end") == 5


def test_idle_hooks_are_left_out() -> None:
    class OfMine(Callback):
        def on_end(self, view: TrialView) -> None: ...

    class Heir(OfMine):
        pass

    idle, mine, heir = Callback(), OfMine(), Heir()
    assert overriding([idle, mine, heir], "on_end") == [mine, heir]
    assert overriding([idle, mine, heir], "on_start") == []


def test_change_of_gradients_in_on_backward_takes_effect(make_trial: Callable[..., Any]) -> None:
    @callbacks.on_backward
    def nothing_learned(view: TrialView) -> None:
        assert view.network is not None
        for weight in view.network.parameters():
            assert weight.grad is not None
            weight.grad.zero_()

    trial = make_trial(nothing_learned)
    before = [weight.detach().clone() for weight in trial.network.parameters()]
    trial.run(1)
    for old, new in zip(before, trial.network.parameters(), strict=True):
        assert torch.equal(old, new)


def test_callbacks_and_loggers_of_lightning_are_welcome(
    make_trial: Callable[..., Any], tmp_path: Path
) -> None:
    seen: list[tuple[int, float]] = []

    class Plain(pl.Callback):
        def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
            seen.append((trainer.current_epoch, float(trainer.callback_metrics["val_loss"])))

    logger = CSVLogger(str(tmp_path), name="", version="")
    trial = make_trial(Plain(), logger)
    trial.run(2)
    assert seen[0][1] == pytest.approx(trial.history[-1]["val_loss"])
    lines = (tmp_path / "metrics.csv").read_text().splitlines()
    column = lines[0].split(",").index("loss")
    logged = [float(line.split(",")[column]) for line in lines[1:]]
    assert logged == pytest.approx([row["loss"] for row in trial.history])


def test_callback_of_lightning_sees_validation_metrics_when_validation_ends(
    make_trial: Callable[..., Any],
) -> None:
    seen: list[float] = []

    class Pruner(pl.Callback):  # as those of tuners do
        def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
            seen.append(float(trainer.callback_metrics["val_loss"]))

    trial = make_trial(Pruner())
    trial.run(2)
    assert seen == pytest.approx([row["val_loss"] for row in trial.history])


def test_replay_shows_the_same_metrics(make_trial: Callable[..., Any]) -> None:
    class Ends(Callback):
        def __init__(self) -> None:
            self.rows: list[dict[str, Any]] = []

        def on_epoch_end(self, view: TrialView) -> None:
            self.rows.append({k: v for k, v in view.metrics.items() if not k.endswith("_steps")})

    live, again, diary = Ends(), Ends(), Diary()
    trial = make_trial(live)
    trial.run(2)
    trial.replay([again, diary], verbose=0)
    assert again.rows == live.rows
    assert [line[0] for line in diary.lines].count("batch_end") == 10


def test_every_public_name_is_there_and_others_are_not() -> None:
    for name in callbacks.__all__:
        assert callable(getattr(callbacks, name))
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        callbacks.Nothing  # noqa: B018


@pytest.mark.parametrize(
    ("method", "arguments"),
    [
        (base.BatchTransform().transform_batch, (None, None)),
        (base.SchedulerCallback().make_scheduler, (None, 1, 0)),
        (base.CriterionTransform().training_criterion, (None,)),
    ],
)
def test_abstract_callbacks_say_so(method: Any, arguments: tuple[Any, ...]) -> None:
    with pytest.raises(NotImplementedError):
        method(*arguments)


def test_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match="choose another folder"):
        make_folder(tmp_path / "file" / "folder")


@pytest.mark.parametrize("wrong", [print, Callback, object(), "progress"])
def test_what_is_no_callback_is_refused(make_trial: Callable[..., Any], wrong: Any) -> None:
    with pytest.raises(TrainingError, match="a callback must be one of"):
        make_trial(wrong).run(1)


class Misspelt(Callback):
    def on_end_epoch(self, view: TrialView) -> None:
        """In Torchbearer's words."""


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("on_end_epoch", "on_epoch_end"),
        ("on_start_validation", "on_validation_start"),
        ("on_epoch_begin", "on_epoch_start"),
        ("on_train_batch_end", "on_batch_end"),
        ("on_train_begin", "on_start"),
        ("on_fit_end", "on_end"),
        ("on_before_batch", "on_batch_start"),
        ("on_epoch_ends", "on_epoch_end"),
        ("onEpochEnd", "on_epoch_end"),
        ("on_checkpoint", None),
    ],
)
def test_hooks_that_would_never_be_called(name: str, hint: str | None) -> None:
    kind = type("Mine", (Callback,), {name: lambda self, view: None})
    hinted = rf"; did you mean '{hint}'\?" if hint else r"\."
    with pytest.raises(TrainingError, match=rf"never call Mine\.{name}\(\), .*hooks{hinted} There"):
        toys.trial(callbacks=[kind()])
    below = type("Below", (kind,), {"on_end": lambda self, view: None})
    with pytest.raises(TrainingError, match=rf"Below\.{name}\(\)"):
        toys.trial(callbacks=below())


def test_callbacks_that_are_added_later_are_looked_at_before_the_run() -> None:
    trial = toys.trial().with_generators(toys.loader(8))
    trial.callbacks.append(Misspelt())
    with pytest.raises(TrainingError, match="did you mean 'on_epoch_end'"):
        trial.run(1)
    assert trial.history == []


def test_methods_that_are_no_hooks_are_welcome() -> None:
    class Helped(Callback):
        on_screen = True

        def epoch_end(self) -> None: ...
        def one_more(self) -> None: ...

        def on_epoch_end(self, view: TrialView, times: int = 1) -> None: ...
        def on_end(self, *views: TrialView) -> None: ...

    toys.trial(callbacks=[Helped()])


@pytest.mark.parametrize(
    "hook", [lambda self: None, lambda self, trainer, module: None, lambda self, view, *, x: None]
)
def test_hooks_that_do_not_take_the_view(hook: Any) -> None:
    kind = type("Mine", (Callback,), {"on_epoch_end": hook})
    with pytest.raises(TrainingError, match=r"Mine\.on_epoch_end must .*: def on_epoch_end\(self"):
        toys.trial(callbacks=[kind()])


def test_a_decorated_function_that_does_not_take_the_view() -> None:
    nothing: Any = lambda: None  # noqa: E731
    with pytest.raises(TrainingError, match=r"function of on_end must .* def on_end\(view\)"):
        toys.trial(callbacks=[callbacks.on_end(nothing)])


def test_what_would_make_a_callback_of_it() -> None:
    class Like:
        def on_epoch_end(self, view: TrialView) -> None: ...

    def plain(view: TrialView) -> None: ...

    elsewhere = type("EarlyStopping", (), {"__module__": "lightning.pytorch.callbacks"})
    wrong: Any
    for wrong, remedy in (
        (callbacks.LiveCurves, r"; call it: LiveCurves\(\.\.\.\)\."),
        (Like(), r"; let it be one: class Like\(Callback\)\."),
        (plain, r"; decorate it, for example with @on_epoch_end"),
        (elsewhere(), r"; import it from pytorch_lightning, .* not from lightning\."),
        (None, r"received None\."),
    ):
        with pytest.raises(TrainingError, match=rf"a callback must be one of .*{remedy}"):
            toys.trial(callbacks=wrong)


def test_a_callback_of_ones_own_takes_its_state_through_a_checkpoint(
    make_trial: Callable[..., Any], tmp_path: Any
) -> None:
    class Counter(Callback):
        def __init__(self) -> None:
            self.epochs = 0

        def on_epoch_end(self, view: Any) -> None:
            self.epochs += 1

        def state_dict(self) -> dict[str, int]:
            return {"epochs": self.epochs}

        def load_state_dict(self, state: dict[str, int]) -> None:
            self.epochs = state["epochs"]

    make_trial(Counter(), callbacks.Checkpoint(tmp_path)).run(2)
    counter = Counter()
    make_trial(counter).run(3, checkpoint=tmp_path / "last.ckpt")
    assert counter.epochs == 3
