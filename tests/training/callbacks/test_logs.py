from __future__ import annotations

import csv
import importlib
import json
import math
import warnings
from typing import TYPE_CHECKING, Any

import pytest

from lamplighter.errors import MissingPackageError, OutputError
from lamplighter.training.callbacks import Checkpoint, Log, on_epoch_start, tensorboard
from lamplighter.training.view import TrialView

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from lamplighter.training.trial import Trial

Rows = list[dict[str, Any]]


def _lines(folder: Path) -> Rows:
    text = (folder / "history.jsonl").read_text(encoding="utf-8")
    return [json.loads(line, parse_constant=pytest.fail) for line in text.splitlines()]


def _table(folder: Path) -> Rows:
    with (folder / "history.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return [{k: json.loads(v) if v else None for k, v in row.items()} for row in rows]


def _numbered(history: Rows) -> Rows:
    return [{"epoch": number, **row} for number, row in enumerate(history, start=1)]


def test_both_files_hold_the_history_and_grow(
    make_trial: Callable[..., Trial], tmp_path: Path
) -> None:
    folder = tmp_path / "a" / "b"
    lengths: list[int] = []
    look = on_epoch_start(lambda view: lengths.append(len(_lines(folder)) if view.epoch else 0))
    trial = make_trial(Log(folder), look)
    trial.run(2)
    trial.run(1)
    assert lengths == [0, 1, 2]
    assert _lines(folder) == _table(folder) == _numbered(trial.history)
    assert sorted(file.name for file in folder.iterdir()) == ["history.csv", "history.jsonl"]


def test_files_are_whole_after_resume(make_trial: Callable[..., Trial], tmp_path: Path) -> None:
    make_trial(Checkpoint(tmp_path), Log(tmp_path)).run(2)
    for name in ("history.csv", "history.jsonl"):
        (tmp_path / name).unlink()
    again = make_trial(Checkpoint(tmp_path), Log(tmp_path))
    again.run(3, checkpoint=tmp_path / "last.ckpt")
    assert len(_lines(tmp_path)) == 3
    assert _lines(tmp_path) == _table(tmp_path) == _numbered(again.history)


def test_odd_values_and_columns_that_come_later(tmp_path: Path) -> None:
    history: Rows = [
        {"loss": math.nan, "lr": [0.1, 0.01], "validation_steps": None},
        {"loss": 0.5, "lr": [0.1, math.inf], "val_größe": 1e-9},
    ]
    Log(tmp_path).on_epoch_end(TrialView(epochs=2, history=history))
    assert _lines(tmp_path) == [
        {"epoch": 1, "loss": None, "lr": [0.1, 0.01], "validation_steps": None},
        {"epoch": 2, "loss": 0.5, "lr": [0.1, None], "val_größe": 1e-9},
    ]
    with (tmp_path / "history.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["epoch", "loss", "lr", "validation_steps", "val_größe"]
    assert rows[0]["loss"] == "nan"
    assert rows[0]["val_größe"] == ""
    assert float(rows[1]["val_größe"]) == 1e-9


def test_failure_while_writing_leaves_the_old_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = Log(tmp_path)
    log.on_epoch_end(TrialView(epochs=2, history=[{"loss": 1.0}]))
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}

    def full(_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OutputError, match="No space left"):
        log.on_epoch_end(TrialView(epochs=2, history=[{"loss": 1.0}, {"loss": 0.5}]))
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before


def test_folder_that_cannot_be_made_is_said_before_training(
    make_trial: Callable[..., Trial], tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("in the way")
    trial = make_trial(Log(tmp_path / "file"))
    with pytest.raises(OutputError, match="choose another folder"):
        trial.run(1)
    assert trial.history == []


def test_tensorboard_holds_the_scalars(make_trial: Callable[..., Trial], tmp_path: Path) -> None:
    trial = make_trial(tensorboard(tmp_path))
    trial.run(3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of tensorboard's own imports
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

        events = EventAccumulator(str(tmp_path))
        events.Reload()
    for name in ("loss", "acc", "val_loss", "val_acc"):
        values = [event.value for event in events.Scalars(name)]
        assert values == pytest.approx([row[name] for row in trial.history])


def test_tensorboard_that_is_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = "lightning_fabric.loggers.tensorboard"
    module = importlib.import_module(name)
    monkeypatch.setattr(module, "_TENSORBOARD_AVAILABLE", False)
    monkeypatch.setattr(module, "_TENSORBOARDX_AVAILABLE", False)
    with pytest.raises(MissingPackageError, match="pip install tensorboard"):
        tensorboard(tmp_path)
