"""A training that was cut off ends where it would have ended."""

from __future__ import annotations

import copy
import io
import os
import pickle
import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch
from pytorch_lightning.callbacks import ModelCheckpoint
from torch import nn
from torch.optim.lr_scheduler import StepLR

from lamplighter import Trial, train
from lamplighter.datasets.image_data import ImageData
from lamplighter.errors import OutputError, ResumeError
from lamplighter.training.callbacks import (
    EMA,
    Checkpoint,
    OneCycle,
    Scheduler,
    on_batch_end,
    on_epoch_end,
    on_epoch_start,
)
from lamplighter.training.checkpoints import WholeCheckpoints

from . import toys

if TYPE_CHECKING:
    from lamplighter.training.view import TrialView

EPOCHS = 3


class Cut(Exception):
    """The power fails."""


@on_batch_end
def cut(view: TrialView) -> None:
    if (view.epoch, view.batch) == (1, 2):
        raise Cut


def steered(*more: object, start: int = 0, seed: int | None = 4) -> Trial:
    model = nn.Sequential(toys.network(start), nn.BatchNorm1d(3))
    callbacks = [OneCycle(0.05), EMA(0.9, every=3), *more]
    trial = toys.trial(model, callbacks=callbacks, seed=seed)
    return trial.with_generators(toys.loader(40, shuffle=True), toys.loader(16, 1))


@pytest.mark.parametrize("seed", [4, None])
def test_an_interrupted_trial_with_moving_average_and_cycle(
    seed: int | None, tmp_path: Path
) -> None:
    alone = steered(seed=seed)
    torch.manual_seed(1)
    alone.run(EPOCHS)
    interrupted = steered(Checkpoint(tmp_path), cut, seed=seed)
    torch.manual_seed(1)
    with pytest.raises(Cut):
        interrupted.run(EPOCHS)
    again = steered(Checkpoint(tmp_path), start=9, seed=seed)  # another process began with others
    torch.manual_seed(77)
    history = again.run(EPOCHS, checkpoint=tmp_path / "last.ckpt")
    assert toys.same_weights(alone.network, again.network)
    assert history == alone.history
    assert len(history) == EPOCHS


def test_a_finished_trial_has_its_averaged_weights_again(tmp_path: Path) -> None:
    finished = steered(Checkpoint(tmp_path))
    finished.run(EPOCHS)
    again = steered(start=9)
    assert again.run(EPOCHS, checkpoint=tmp_path / "last.ckpt") == finished.history
    assert toys.same_weights(finished.network, again.network)


@pytest.mark.parametrize("epochs", [0, 1, EPOCHS - 1])
def test_fewer_epochs_than_the_checkpoint_has_leave_the_trial_as_it_was(
    epochs: int, tmp_path: Path
) -> None:
    steered(Checkpoint(tmp_path)).run(EPOCHS)
    again = steered(start=9)
    with pytest.raises(ResumeError, match=rf"has {EPOCHS} epochs, received {epochs} .*least"):
        again.run(epochs, checkpoint=tmp_path / "last.ckpt")
    assert again.history == []
    assert toys.same_weights(again.network, steered(start=9).network)


def test_the_best_weights_are_taken_back(tmp_path: Path) -> None:
    seen = []

    @on_epoch_end
    def keep(view: TrialView) -> None:
        assert view.network is not None
        seen.append(copy.deepcopy(view.network))

    checkpoint = Checkpoint(tmp_path, monitor="loss", mode="max")  # so that it is not the last
    trial = toys.trial(callbacks=[checkpoint, keep], seed=1)
    trial.with_generators(toys.loader(40, shuffle=True)).run(3)
    best = torch.load(tmp_path / "best.ckpt", weights_only=True)
    again = toys.trial(toys.network(5)).load_state_dict(best)
    assert toys.same_weights(again.network, seen[0])
    assert not toys.same_weights(again.network, trial.network)
    assert again.history == []
    with pytest.raises(ResumeError, match="does not fit"):
        toys.trial(toys.network(classes=4)).load_state_dict(best)


def test_a_run_after_a_resumed_one_goes_on(tmp_path: Path) -> None:
    def made(start: int = 0) -> Trial:
        scheduler = Scheduler(lambda optimizer: StepLR(optimizer, 2, gamma=0.5))
        trial = toys.trial(
            toys.network(start),
            seed=2,
            metrics=["loss", "lr"],
            callbacks=[scheduler, Checkpoint(tmp_path)],
        )
        return trial.with_generators(toys.loader(40, shuffle=True))

    long = made()
    long.run(5)
    made().run(2)
    resumed = made(9)
    resumed.run(3, checkpoint=tmp_path / "last.ckpt")
    resumed.run(2)
    assert long.history == resumed.history
    assert toys.same_weights(long.network, resumed.network)


KILLED = """
    import os, signal, sys
    import numpy as np
    from lamplighter import train
    from lamplighter.datasets.image_data import ImageData
    from lamplighter.training.callbacks import on_batch_start

    mnist = ImageData.mnist()
    data = ImageData(
        {"train": mnist["train"].take(np.arange(300))},
        mnist.class_names,
        preprocessing=mnist.preprocessing,
    )

    @on_batch_start
    def kill(view):
        if (view.epoch, view.batch) == (1, 1):
            os.kill(os.getpid(), signal.SIGKILL)

    train(data, recipe="best", epochs=3, folder=sys.argv[1], callbacks=[kill], verbose=0)
"""


def test_a_killed_training_resumes_to_the_same_weights(mnist: ImageData, tmp_path: Path) -> None:
    import numpy as np

    threads = {"OMP_NUM_THREADS": str(torch.get_num_threads())}
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(KILLED), str(tmp_path)],
        env=os.environ | threads,
        timeout=120,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL
    data = ImageData(
        {"train": mnist["train"].take(np.arange(300))},
        mnist.class_names,
        preprocessing=mnist.preprocessing,
    )
    epochs = []

    @on_epoch_start
    def note(view: TrialView) -> None:
        epochs.append(view.epoch)

    resumed = train(
        data, recipe="best", epochs=3, folder=tmp_path, resume=True, callbacks=[note], verbose=0
    )
    assert epochs == [1, 2]
    alone = train(data, recipe="best", epochs=3, verbose=0)
    assert toys.same_weights(alone.network, resumed.network)
    for _ in range(2):  # there is nothing left to do
        resumed = train(data, recipe="best", epochs=3, folder=tmp_path, resume=True, verbose=0)
        assert toys.same_weights(alone.network, resumed.network)


# Checkpoints that cannot be continued from.


class Evil:
    def __reduce__(self):
        return os.mkdir, (self.path,)


def written(trial: Trial, folder: Path) -> bytes:
    trial.callbacks.append(Checkpoint(folder))
    trial.with_generators(toys.loader(16, shuffle=True)).run(1)
    return (folder / "last.ckpt").read_bytes()


def refused(file: Path, trial: Trial | None = None) -> str:
    trial = trial or toys.trial()
    trial.with_generators(toys.loader(16, shuffle=True))
    with pytest.raises(ResumeError) as caught:
        trial.run(3, checkpoint=file)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_a_damaged_checkpoint(tmp_path: Path) -> None:
    whole = written(toys.trial(), tmp_path)
    file = tmp_path / "damaged.ckpt"
    for content in (b"", b"not a checkpoint", whole[:100], whole[: len(whole) // 2], whole[:-30]):
        file.write_bytes(content)
        assert str(file) in refused(file)
    assert "there is no checkpoint" in refused(tmp_path / "absent.ckpt")


def test_a_checkpoint_of_something_else(tmp_path: Path) -> None:
    written(toys.trial(), tmp_path)
    last = tmp_path / "last.ckpt"
    refused(last, toys.trial(toys.network(classes=5)))
    refused(last, toys.trial(nn.Sequential(nn.Flatten(), nn.Linear(36, 3))))
    foreign = tmp_path / "foreign.ckpt"
    for content in (
        {"state_dict": {}},
        toys.network().state_dict(),
        [1, 2],
        7,
        {"state_dict": {}, "pytorch-lightning_version": "2.6.6"},
    ):
        torch.save(content, foreign)
        refused(foreign)
    kept = torch.load(last, weights_only=True)
    del kept["lamplighter"]
    torch.save(kept, foreign)
    assert "was not written by a trial" in refused(foreign)


def test_a_foreign_checkpoint_leaves_the_trial_as_it_was(tmp_path: Path) -> None:
    written(toys.trial(nn.Sequential(*toys.network(), nn.Linear(3, 3))), tmp_path)
    trial = toys.trial(toys.network(8))
    weights = {name: value.clone() for name, value in trial.network.state_dict().items()}
    assert "Unexpected key" in refused(tmp_path / "last.ckpt", trial)
    torch.testing.assert_close(dict(trial.network.state_dict()), weights, atol=0, rtol=0)
    assert trial.history == []


def test_a_lightning_callback_may_name_a_folder_to_be_made(tmp_path: Path) -> None:
    keeping = ModelCheckpoint(dirpath=tmp_path / "new" / "one", filename="whole")
    trial = toys.trial(callbacks=[keeping]).with_generators(toys.loader(16, shuffle=True))
    trial.run(1)
    kept = torch.load(tmp_path / "new" / "one" / "whole.ckpt", weights_only=True)["state_dict"]
    assert kept.keys() == {f"network.{name}" for name in trial.network.state_dict()}
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OutputError, match=r"whole\.ckpt cannot be written"):
        WholeCheckpoints().save_checkpoint({}, tmp_path / "file" / "below" / "whole.ckpt")


def test_nothing_is_unpickled(tmp_path: Path) -> None:
    whole = written(toys.trial(), tmp_path)
    Evil.path = str(tmp_path / "executed")  # type: ignore[attr-defined]
    file = tmp_path / "evil.ckpt"
    kept = torch.load(io.BytesIO(whole), weights_only=True)
    for bad in ({**kept, "callbacks": Evil()}, {**kept, "lamplighter": Evil()}, Evil()):
        torch.save(bad, file)
        assert "weights_only" not in refused(file)  # torch's advice to execute what is in it
        with file.open("wb") as stream:
            pickle.dump(bad, stream)
        refused(file)
    assert not Path(tmp_path / "executed").exists()
    pickle.loads(file.read_bytes())  # the proof that it would have been
    assert Path(tmp_path / "executed").exists()


def test_an_error_of_ones_own_in_a_resumed_run_stays_one(tmp_path: Path) -> None:
    written(toys.trial(), tmp_path)

    @on_batch_end
    def fail(view: TrialView) -> None:
        raise ValueError("of its own making")

    trial = toys.trial(callbacks=[fail, Checkpoint(tmp_path)])
    with pytest.raises(ValueError, match="of its own making"):
        trial.with_generators(toys.loader(16, shuffle=True)).run(
            2, checkpoint=tmp_path / "last.ckpt"
        )
