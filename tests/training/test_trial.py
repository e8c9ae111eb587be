from __future__ import annotations

import copy
import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from lamplighter import TEST_DATA, TRAIN_DATA, VALIDATION_DATA, Classifier, Trial
from lamplighter.errors import ResumeError, TrainingError
from lamplighter.images.preprocessing import Preprocessing
from lamplighter.training.callbacks import (
    Callback,
    Checkpoint,
    GradientClipping,
    on_batch_end,
    on_batch_start,
)

from . import toys

if TYPE_CHECKING:
    from lamplighter.training.view import TrialView


def accuracy(model: nn.Module, images: Tensor, labels: Tensor) -> float:
    model.eval()
    with torch.no_grad():
        return (model(images).argmax(1) == labels).float().mean().item()


def test_a_run_learns_and_keeps_a_history() -> None:
    trial = toys.trial().with_generators(toys.loader(160, shuffle=True), toys.loader(40, 1))
    history = trial.run(5)
    assert history is trial.history
    assert len(history) == 5
    assert set(history[0]) == {
        *("loss", "acc", "running_loss", "running_acc", "val_loss", "val_acc"),
        *("train_steps", "validation_steps"),
    }
    assert all((row["train_steps"], row["validation_steps"]) == (20, 5) for row in history)
    assert history[-1]["loss"] < history[0]["loss"]
    assert history[-1]["val_acc"] == pytest.approx(accuracy(trial.network, *toys.examples(40, 1)))
    assert trial.findings == []


def test_a_run_leaves_no_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    trial = toys.trial().with_generators(toys.loader(16, shuffle=True), toys.loader(8, 1))
    trial.run(1)
    trial.evaluate()
    assert list(tmp_path.iterdir()) == []


def test_a_validation_callback_does_not_disturb_the_counts() -> None:
    class Watcher(Callback):
        def on_validation_batch_end(self, view: TrialView) -> None:
            assert view.logits is not None

    trial = toys.trial(callbacks=[Watcher()])
    trial.with_generators(toys.loader(40, shuffle=True), toys.loader(16, 1)).run(1)
    assert trial.history[0]["train_steps"] == 5
    assert trial.history[0]["validation_steps"] == 2


@pytest.mark.parametrize(
    ("key", "prefix", "seed"),
    [
        (TRAIN_DATA, "train", 0),
        (VALIDATION_DATA, "val", 1),
        (TEST_DATA, "test", 2),
        ("test",) * 2 + (2,),
    ],
)
def test_evaluate_on_each_data(key: str, prefix: str, seed: int) -> None:
    trial = toys.trial(metrics=["loss", "accuracy"])
    trial.with_generators(toys.loader(20), toys.loader(20, 1), toys.loader(20, 2))
    results = trial.evaluate(data_key=key)
    images, labels = toys.examples(20, seed)
    assert set(results) == {f"{prefix}_loss", f"{prefix}_acc"}
    assert results[f"{prefix}_acc"] == pytest.approx(accuracy(trial.network, images, labels))
    loss = nn.functional.cross_entropy(trial.network(images), labels).item()
    assert results[f"{prefix}_loss"] == pytest.approx(loss, rel=1e-6)


def test_evaluate_takes_validation_data_unless_told_and_joins_the_history() -> None:
    trial = toys.trial().with_generators(
        toys.loader(16, shuffle=True), toys.loader(16, 1), toys.loader(16, 2)
    )
    trial.run(1)
    assert set(trial.evaluate()) == {"val_loss", "val_acc"}
    results = trial.evaluate(data_key=TEST_DATA)
    assert trial.history[-1]["test_acc"] == results["test_acc"]
    assert trial.network.training  # as it was


def test_what_is_missing_is_said() -> None:
    trial = toys.trial()
    with pytest.raises(TrainingError, match="training data"):
        trial.run()
    with pytest.raises(TrainingError, match="no data"):
        trial.evaluate()
    with pytest.raises(TrainingError, match="no data"):
        trial.predict()
    with pytest.raises(TrainingError, match=r"TEST_DATA \('test'\).*'validation'; .* 'val'\?"):
        trial.evaluate(data_key="validation")
    with pytest.raises(TrainingError, match="optimizer"):
        Trial(toys.network()).with_generators(toys.loader(8)).run()
    with pytest.raises(TrainingError, match="at least 0, received -1"):
        trial.with_generators(toys.loader(8)).run(-1)
    with pytest.raises(TrainingError, match="criterion"):
        Trial(toys.network(), metrics=["loss"]).with_val_generator(toys.loader(8)).evaluate()


def test_parts_that_are_none_are_named() -> None:
    with pytest.raises(TrainingError, match=r"received 'better-cnn'; make one"):
        Trial("better-cnn")  # type: ignore[arg-type]
    with pytest.raises(TrainingError, match=r"received <class .*SGD'>; for example torch\.optim"):
        Trial(toys.network(), torch.optim.SGD)  # type: ignore[arg-type]
    model, criterion = toys.network(), nn.CrossEntropyLoss()
    wrong: Any
    for wrong, message in (
        ((nn.Flatten,), r"<class .*Flatten'>; call it: Flatten\(\)"),
        ((model, criterion), r"CrossEntropyLoss\(\); the order is Trial\(model, optimizer, crit"),
        ((model, None, nn.CrossEntropyLoss), r"class CrossEntropyLoss; call it: CrossEntropyLoss"),
        ((model, None, "cross_entropy"), r"function of .*received 'cross_entropy'"),
    ):
        with pytest.raises(TrainingError, match=message):
            Trial(*wrong)


def test_a_trial_says_what_it_is_made_of() -> None:
    trial = toys.trial(metrics=["acc"]).with_generators(toys.loader(16))
    assert repr(trial) == (
        "Trial(network=Sequential, optimizer=Adam, criterion=CrossEntropyLoss, "
        "metrics=['acc'], epochs=0)"
    )
    trial.run(1)
    assert repr(trial).endswith("epochs=1)")
    bare = Trial(toys.network(), criterion=torch.nn.functional.cross_entropy)
    assert repr(bare) == "Trial(network=Sequential, criterion=cross_entropy, metrics=[], epochs=0)"


def test_a_callback_may_stand_alone() -> None:
    watcher = toys.Steps()
    toys.trial(callbacks=watcher).with_generators(toys.loader(16)).run(1)
    assert watcher.counts == [2]


def test_a_network_alone_can_be_evaluated_and_asked() -> None:
    trial = Trial(toys.network(), metrics=["acc"], verbose=0).with_generators(
        test_generator=toys.loader(20)
    )
    assert set(trial.evaluate(data_key=TEST_DATA)) == {"test_acc"}
    assert trial.predict().shape == (20, 3)


def test_predictions_come_in_the_order_of_the_data() -> None:
    trial = toys.trial()
    images, labels = toys.examples(21)
    with torch.no_grad():
        expected = trial.network.eval()(images)
    trial.network.train()
    pairs = DataLoader(TensorDataset(images, labels), 4)
    for predictions in (
        trial.with_test_generator(pairs).predict(),
        trial.with_test_data(images, batch_size=5).predict(),  # inputs alone
        trial.with_test_generator(list(torch.split(images, 6))).predict(),
        trial.with_val_data(images, labels, batch_size=5).predict(data_key=VALIDATION_DATA),
        trial.with_test_data(images, batch_size=7, steps=3, y=labels).predict(),
    ):
        assert predictions.shape == (21, 3)
        torch.testing.assert_close(predictions, expected)
        assert not predictions.is_inference()  # may go on into a computation with gradients
        assert predictions.device.type == "cpu"
    assert trial.network.training


def test_a_second_run_goes_on() -> None:
    def made() -> Trial:
        return toys.trial(seed=3).with_generators(toys.loader(40, shuffle=True), toys.loader(16, 1))

    long, short = made(), made()
    long.run(5)
    short.run(2)
    short.evaluate()
    assert len(short.run(3)) == 5
    assert toys.same_weights(long.network, short.network)
    assert long.history == short.history


def test_a_second_run_counts_on() -> None:
    seen: list[tuple[int, int, int]] = []

    @on_batch_end
    def note(view: TrialView) -> None:
        seen.append((view.epoch, view.epochs, view.step))

    trial = toys.trial(callbacks=[note]).with_generators(toys.loader(16, shuffle=True))
    trial.run(1)
    trial.run(2)
    assert seen == [(0, 1, 1), (0, 1, 2), (1, 3, 3), (1, 3, 4), (2, 3, 5), (2, 3, 6)]


def test_callbacks_see_running_values() -> None:
    seen: list[dict[str, float]] = []

    @on_batch_end
    def note(view: TrialView) -> None:
        seen.append(view.metrics)

    trial = toys.trial(callbacks=[note]).with_generators(toys.loader(16, shuffle=True))
    trial.run(1)
    assert [set(values) for values in seen] == [{"running_loss", "running_acc"}] * 2
    assert seen[-1]["running_loss"] == trial.history[0]["running_loss"]


@pytest.mark.parametrize("seed", [None, 3])
def test_a_second_trial_goes_on_from_the_state_of_the_first(seed: int | None) -> None:
    def made(start: int) -> Trial:
        model = toys.network(start)
        return toys.trial(model, seed=seed).with_generators(toys.loader(40, shuffle=True))

    whole, first, second = made(0), made(0), made(9)
    torch.manual_seed(1)
    whole.run(4)
    torch.manual_seed(1)
    first.run(2)
    file = io.BytesIO()
    torch.save(first.state_dict(), file)
    file.seek(0)
    torch.manual_seed(77)
    second.load_state_dict(torch.load(file, weights_only=True)).run(2)
    assert toys.same_weights(whole.network, second.network)
    assert whole.history == second.history
    assert len(first.history) == 2  # the copies are apart


def test_weights_alone_can_be_taken_back() -> None:
    first = toys.trial().with_generators(toys.loader(16, shuffle=True))
    first.run(1)
    for state in (first.network.state_dict(), first.state_dict()):
        second = toys.trial(toys.network(4)).load_state_dict(state, resume=False)
        assert toys.same_weights(first.network, second.network)
        assert second.history == []


def test_a_state_that_does_not_fit_leaves_the_trial_as_it_was() -> None:
    other = nn.Sequential(*toys.network(5), nn.Linear(3, 3))  # its first layers fit
    foreign = toys.trial(other).state_dict()
    damaged = {**toys.trial(toys.network(5)).state_dict(), "optimizer": {"state": {}}}
    for state, reason in (
        (foreign, 'Unexpected key.*"'),
        (toys.trial(toys.network(classes=5)).state_dict(), "size mismatch for"),
        (toys.trial(callbacks=[toys.Steps()]).state_dict(), "of 1 callbacks, the trial has 0"),
        (damaged, "param_groups"),
        ({"model": 1, "history": 2}, "dict-like"),
    ):
        trial = toys.trial().with_generators(toys.loader(16, shuffle=True))
        trial.run(1)
        kept = copy.deepcopy(trial.state_dict())
        with pytest.raises(ResumeError, match=f"does not fit.*{reason}") as caught:
            trial.load_state_dict(state)
        assert "\n" not in str(caught.value)
        now = trial.state_dict()
        torch.testing.assert_close(now["model"], kept["model"], atol=0, rtol=0)
        torch.testing.assert_close(now["optimizer"], kept["optimizer"], atol=0, rtol=0)
        assert now["history"] == kept["history"]


def test_replay_refuses_callbacks_that_need_a_training() -> None:
    with pytest.raises(TrainingError, match=r"received <.*Timer"):
        toys.trial().replay([pl.callbacks.Timer()])


def test_replay_to_a_callback_that_clips_gradients(capsys: pytest.CaptureFixture[str]) -> None:
    trial = toys.trial(metrics="loss").with_generators(toys.loader(16, shuffle=True))
    trial.run(2)
    trial.replay([GradientClipping(1.0)])
    assert capsys.readouterr().err.count("epoch ") == 2


def test_the_steps_of_an_optimizer_that_asks_several_times() -> None:
    model = toys.network()
    optimizer = torch.optim.LBFGS(model.parameters(), max_iter=3)
    trial = Trial(model, optimizer, nn.CrossEntropyLoss(), ["loss"], verbose=0)
    trial.with_generators(toys.loader(40, shuffle=True)).run(1)
    assert trial.history[0]["train_steps"] == 5


def test_a_second_run_with_the_best_checkpoint_says_nothing(tmp_path: Path) -> None:
    best = Checkpoint(tmp_path, monitor="val_acc")
    trial = toys.trial(callbacks=[best])
    trial.with_generators(toys.loader(40, shuffle=True), toys.loader(16, 1)).run(1)
    trial.run(1)  # warnings are errors here
    assert len(trial.history) == 2


def test_replay_shows_the_history_again(capsys: pytest.CaptureFixture[str]) -> None:
    class Watcher(Callback):
        def __init__(self) -> None:
            self.calls: list[tuple[str, int, int]] = []
            self.ends: list[dict[str, float]] = []

        def on_start(self, view: TrialView) -> None:
            self.calls.append(("start", view.epoch, view.batch))

        def on_batch_end(self, view: TrialView) -> None:
            self.calls.append(("batch", view.epoch, view.batch))

        def on_validation_end(self, view: TrialView) -> None:
            self.calls.append(("validation", view.epoch, view.step))

        def on_epoch_end(self, view: TrialView) -> None:
            self.ends.append(dict(view.metrics))
            self.calls.append(("epoch", view.epoch, len(view.history)))

        def on_end(self, view: TrialView) -> None:
            self.calls.append(("end", view.epoch, len(view.history)))

    live, again = Watcher(), Watcher()
    trial = toys.trial(callbacks=[live])
    trial.with_generators(toys.loader(16, shuffle=True), toys.loader(24, 1)).run(2)
    assert trial.replay([again], verbose=0) is trial
    assert again.calls == live.calls
    for seen, row in zip(again.ends, trial.history, strict=True):
        assert seen.items() <= row.items()
        assert {"loss", "val_acc"} <= seen.keys()
    assert capsys.readouterr().err == ""
    short = Watcher()
    trial.replay([short], one_batch=True)
    assert [call for call in short.calls if call[0] == "batch"] == [
        ("batch", 0, 0),
        ("batch", 1, 0),
    ]
    assert len(capsys.readouterr().err.splitlines()) == 2


def test_the_trainer_takes_arguments_and_lightnings_callbacks() -> None:
    class Watcher(pl.Callback):
        epochs = 0

        def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
            self.epochs += 1

    first, second = Watcher(), Watcher()
    trial = toys.trial(callbacks=[first]).with_generators(toys.loader(16, shuffle=True))
    trial.with_trainer(accumulate_grad_batches=2, callbacks=[second]).run(1)
    assert (first.epochs, second.epochs) == (1, 1)
    assert trial.state_dict()["step"] == 1  # two batches, one change of the weights


def test_devices() -> None:
    trial = toys.trial().to("cpu").with_generators(toys.loader(16, shuffle=True))
    assert len(trial.to(torch.device("cpu")).run(1)) == 1
    if not torch.cuda.is_available():
        with pytest.raises(TrainingError, match=r"^[^\n]+$"):
            toys.trial().to("cuda:0").with_generators(toys.loader(16)).run(1)


def test_any_network_of_ones_own_in_a_classifier() -> None:
    preprocessing = Preprocessing(height=6, width=6, channels=1, mean=(0.5,), std=(0.5,))
    classifier = Classifier(toys.network(), preprocessing, ["a", "b", "c"])
    trial = Trial(classifier, metrics=["acc"], verbose=0)  # Adam and cross-entropy of its own
    trial.with_generators(toys.loader(80, shuffle=True)).run(6)
    assert trial.history[-1]["acc"] > trial.history[0]["acc"]
    assert trial.network is classifier.network


def test_a_callback_may_change_batches_in_place_of_the_data() -> None:
    shapes = []

    @on_batch_start
    def note(view: TrialView) -> None:
        assert view.images is not None
        shapes.append(tuple(view.images.shape))

    toys.trial(callbacks=[note]).with_generators(toys.loader(12, shuffle=True)).run(1)
    assert shapes == [(8, 1, 6, 6), (4, 1, 6, 6)]


def test_precision_is_lightnings_and_predictions_can_go_to_numpy() -> None:
    trial = toys.trial().with_generators(toys.loader(80, shuffle=True), None, toys.loader(40, 1))
    trial.with_trainer(precision="bf16-mixed").run(2)
    predictions = trial.predict()
    assert predictions.numpy().shape == (40, toys.CLASSES)
    assert trial.evaluate(data_key=TEST_DATA)["test_acc"] > 0.5


def test_a_classifier_notes_how_it_was_trained_and_measured(tiny_digits, tmp_path) -> None:
    from lamplighter import describe, evaluate, save

    classifier = Classifier.new("quick-cnn", tiny_digits)
    trial = Trial(classifier, metrics=["acc"], seed=3, verbose=0).with_images(tiny_digits)
    trial.run(1)
    report = evaluate(classifier, tiny_digits, "test")
    record = describe(save(classifier, tmp_path / "noted.lamp"))["record"]
    assert record["recipe"]["optimizer"] == "Adam"
    assert record["recipe"]["epochs"] == 1
    assert record["scores"] == {"test": report.summary()}
    trial.run(1)  # the weights are others now
    assert classifier.record.scores == {}
    assert classifier.record.recipe["epochs"] == 2
