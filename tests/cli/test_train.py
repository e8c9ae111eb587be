"""train as a user meets it: stopped, killed, resumed, on a full disk, and never losing a bundle."""

from __future__ import annotations

import csv
import json
import os
import resource
import signal
import sys
import time
import zipfile
from typing import TYPE_CHECKING

import pytest

from lamplighter.installation import install_command
from lamplighter.saving.bundle import describe, load

if TYPE_CHECKING:
    from pathlib import Path

EPOCHS = 24  # enough that a training can be stopped in its midst
QUICK = ("--recipe", "lab", "--epochs", 1)


def weights(bundle: Path) -> bytes:
    with zipfile.ZipFile(bundle) as archive:
        return archive.read("weights.safetensors")


def wait_for(found) -> None:
    for _ in range(3000):
        if found():
            return
        time.sleep(0.02)
    raise AssertionError("nothing came in a minute")


def epochs_in(folder: Path) -> int:
    """How many epochs the history has, where a checkpoint is as well."""
    try:
        assert (folder / "last.ckpt").exists()
        return len((folder / "history.jsonl").read_text().splitlines())
    except (AssertionError, FileNotFoundError):
        return 0


@pytest.fixture(scope="module")
def uninterrupted(tiny_digits, tmp_path_factory) -> Path:
    """The bundle of a training that nothing stopped."""
    from lamplighter import save, train

    classifier = train(tiny_digits, epochs=EPOCHS, verbose=0)
    return save(classifier, tmp_path_factory.mktemp("whole") / "whole.lamp")


def test_results_on_stdout_and_progress_on_stderr(run, tmp_path):
    out = tmp_path / "a.lamp"
    outcome = run("train", "mnist", "--epochs", 2, "--seed", 3, "--validation", 0.25, "--out", out)
    assert outcome.code == 0
    trained, score, wrote = outcome.out.splitlines()
    assert trained.startswith("quick-cnn trained on 384 images in ")
    assert score.startswith("test accuracy ")
    assert score.endswith(" on 256 images")
    assert wrote == (
        f"wrote {out} ({out.stat().st_size / 1e6:.1f} MB); history in {tmp_path / 'a.training'}"
    )
    begun, *epochs, following = outcome.err.splitlines()
    assert begun.startswith("training quick-cnn on 384 images of mnist, 2 epochs")
    assert [line.split(":")[0].split("  ")[0][:9] for line in epochs] == ["epoch 1/2", "epoch 2/2"]
    assert following.startswith(f"next: lamplighter evaluate {out} mnist")
    assert describe(out)["record"]["recipe"]["seed"] == 3


def test_what_is_suggested_can_be_pasted(run, tmp_path):
    out = tmp_path / "my digits.lamp"
    assert run("train", "mnist", "--epochs", 1, "--out", out).err.endswith(
        f"next: lamplighter evaluate '{out}' mnist, or lamplighter predict '{out}' IMAGE\n"
    )


def test_the_folder_beside_the_bundle(run, tmp_path):
    out = tmp_path / "a.lamp"
    assert run("train", "mnist", *QUICK, "--validation", 0.25, "--out", out).code == 0
    folder = tmp_path / "a.training"
    assert sorted(path.name for path in folder.iterdir()) == [
        "history.csv",
        "history.jsonl",
        "settings.json",
    ]
    (entry,) = [json.loads(line) for line in (folder / "history.jsonl").read_text().splitlines()]
    assert {"epoch", "loss", "acc", "val_loss", "val_acc"} <= entry.keys()
    with (folder / "history.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert row.keys() == entry.keys()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.lamp", "a.training"]


def test_what_is_there_stays(run, tmp_path):
    out = tmp_path / "a.lamp"
    out.write_text("mine")
    outcome = run("train", "mnist", *QUICK, "--out", out)
    assert (outcome.code, outcome.out) == (1, "")
    assert f"{out} already exists: choose another --out" in outcome.line
    assert out.read_text() == "mine"
    assert [path.name for path in tmp_path.iterdir()] == ["a.lamp"]
    assert run("train", "mnist", *QUICK, "--out", out, "--force").code == 0
    assert describe(out)["architecture"]["name"] == "simple-cnn"


def test_an_old_history_stays(run, tmp_path):
    folder = tmp_path / "a.training"
    folder.mkdir()
    (folder / "history.csv").write_text("mine")
    (folder / "notes.txt").write_text("mine")
    arguments = ("train", "mnist", *QUICK, "--out", tmp_path / "a.lamp")
    outcome = run(*arguments)
    assert outcome.code == 1
    assert "holds the history of an earlier training" in outcome.line
    assert (folder / "history.csv").read_text() == "mine"
    assert run(*arguments, "--force").code == 0
    assert (folder / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("--out", "absent/a.lamp"), "there is no folder"),
        (("--out", "."), "must be a file"),
        (("--out", "a.pt"), "a.pt is to be a bundle, which no other program reads as .pt; name it"),
        (("--out", "a.training"), "must not end in .training"),
        (("--out", "/proc/a.lamp"), "/proc/a.training"),
        (("--device", "cuda:77"), "the device must be one of cpu"),
        (("--device", "lamp"), "received 'lamp'"),
        (("--resume",), "nothing to resume: digits.training holds no last.ckpt"),
    ],
)
def test_refused_before_anything_is_written(run, monkeypatch, tmp_path, arguments, expected):
    monkeypatch.chdir(tmp_path)
    outcome = run("train", "mnist", *arguments)
    assert (outcome.code, outcome.out) == (1, "")
    assert expected in outcome.line
    assert list(tmp_path.iterdir()) == []


def test_a_check_that_is_not_known_is_bad_use(run, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    outcome = run("train", "mnist", "--silence", "noise")
    assert (outcome.code, outcome.out) == (2, "")
    assert "there is no check to silence 'noise'; there are same-data" in outcome.line
    assert list(tmp_path.iterdir()) == []


def test_a_name_that_is_a_file_cannot_be_the_folder(run, tmp_path):
    (tmp_path / "a.training").write_text("mine")
    outcome = run("train", "mnist", "--out", tmp_path / "a.lamp", "--force")
    assert outcome.code == 1
    assert "a.training" in outcome.line
    assert (tmp_path / "a.training").read_text() == "mine"


@pytest.fixture
def stopped(run, monkeypatch, tmp_path) -> Path:
    """A training that Ctrl-C stopped in its second epoch: the bundle that it was to write."""
    from lamplighter.training import recipes

    class Stop(recipes.Trial):
        def run(self, epochs, **options):
            from lamplighter import callbacks

            @callbacks.on_epoch_start
            def stop(view):
                if view.epoch == 1:
                    raise KeyboardInterrupt

            self.callbacks.append(stop)
            return super().run(epochs, **options)

    out = tmp_path / "a.lamp"
    with monkeypatch.context() as patch:
        patch.setattr(recipes, "Trial", Stop)
        outcome = run("train", "mnist", "--epochs", 3, "--seed", 5, "--out", out)
    assert (outcome.code, outcome.out) == (1, "")
    assert outcome.err.splitlines()[-1] == (
        f"lamplighter: stopped; the last complete epoch is kept in {tmp_path / 'a.training'}: "
        "continue with --resume."
    )
    assert not out.exists()
    return out


def test_a_second_training_needs_force_or_resume(run, stopped):
    checkpoint = stopped.with_suffix(".training") / "last.ckpt"
    before = checkpoint.read_bytes()
    outcome = run("train", "mnist", "--out", stopped)
    assert outcome.code == 1
    assert "holds an interrupted training: continue it with --resume" in outcome.line
    assert checkpoint.read_bytes() == before
    outcome = run("train", "mnist", *QUICK, "--out", stopped, "--force")
    assert outcome.code == 0
    assert describe(stopped)["record"]["recipe"]["name"] == "lab"
    assert not checkpoint.exists()


def test_resume_goes_on_with_what_was_begun(run, stopped):
    outcome = run("train", "mnist", "--resume", "--out", stopped)
    assert outcome.code == 0
    assert "3 epochs, resumed" in outcome.err
    recipe = describe(stopped)["record"]["recipe"]
    assert (recipe["epochs"], recipe["seed"]) == (3, 5)
    history = stopped.with_suffix(".training") / "history.csv"
    assert len(history.read_text().splitlines()) == 1 + 3


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("--epochs", 9), "was started with epochs 3, received 9"),
        (("--seed", 6), "was started with seed 5, received 6"),
        (("--recipe", "lab"), "was started with recipe quick, received lab"),
        (("--model", "champion"), "was started with model quick-cnn, received champion"),
        (("--validation", 0.5), "was started with validation 0.0, received 0.5"),
    ],
)
def test_resume_mixes_nothing(run, stopped, arguments, expected):
    before = sorted(path.name for path in stopped.with_suffix(".training").iterdir())
    outcome = run("train", "mnist", "--resume", *arguments, "--out", stopped)
    assert (outcome.code, outcome.out) == (1, "")
    assert expected in outcome.line
    assert sorted(path.name for path in stopped.with_suffix(".training").iterdir()) == before


def test_resume_of_other_data_asks_for_the_data(run, stopped):
    outcome = run("train", "emoji", "--resume", "--out", stopped)
    assert outcome.code == 1
    assert "was started with data mnist, received emoji; give mnist for DATA, or" in outcome.line


def test_resume_takes_the_same_settings_again(run, stopped):
    same = ("--epochs", 3, "--seed", 5, "--recipe", "quick", "--model", "quick-cnn")
    assert run("train", "mnist", "--resume", *same, "--out", stopped).code == 0


@pytest.mark.parametrize("content", [None, "", "[]", "{}", '{"data": 1}'])
def test_resume_without_known_settings_is_one_line(run, stopped, content):
    settings = stopped.with_suffix(".training") / "settings.json"
    settings.unlink() if content is None else settings.write_text(content)
    outcome = run("train", "mnist", "--resume", "--out", stopped)
    assert outcome.code == 1
    assert f"{settings} is missing or damaged" in outcome.line


def test_resume_from_a_damaged_checkpoint_is_one_line(run, stopped):
    checkpoint = stopped.with_suffix(".training") / "last.ckpt"
    checkpoint.write_bytes(checkpoint.read_bytes()[:5000])
    outcome = run("train", "mnist", "--resume", "--out", stopped)
    assert outcome.code == 1
    _begun, line = outcome.err.splitlines()
    assert str(checkpoint) in line
    assert "should not" not in line
    assert checkpoint.exists()


def test_resume_never_unpickles(run, stopped, tmp_path):
    import pickle

    class Evil:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "evil"),)

    checkpoint = stopped.with_suffix(".training") / "last.ckpt"
    checkpoint.write_bytes(pickle.dumps(Evil()))
    outcome = run("train", "mnist", "--resume", "--out", stopped)
    assert outcome.code == 1
    assert not (tmp_path / "evil").exists()


def test_a_training_whose_bundle_could_not_be_saved_is_resumed(run, monkeypatch, tmp_path):
    from lamplighter.saving import bundle

    out = tmp_path / "a.lamp"

    def interrupted(classifier, path):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(bundle, "save", interrupted)
        outcome = run("train", "mnist", *QUICK, "--out", out)
    assert outcome.code == 1
    assert "continue with --resume" in outcome.err
    assert run("train", "mnist", "--resume", "--out", out).code == 0
    assert len((tmp_path / "a.training" / "history.csv").read_text().splitlines()) == 2
    assert describe(out)["record"]["recipe"]["epochs"] == 1


def test_a_graph_that_cannot_be_proven_costs_no_training(run, monkeypatch, tmp_path):
    from lamplighter.saving import tracing

    out = tmp_path / "a.lamp"
    with monkeypatch.context() as patch:
        patch.setattr(tracing, "onnx_graph", lambda *_: b"no graph")
        outcome = run("train", "mnist", *QUICK, "--out", out)
    assert outcome.code == 0, outcome.err
    assert f"lamplighter: {out} is written without its ONNX graph" in outcome.err
    assert "none, so torch answers in its place: the ONNX graph" in " ".join(
        run("info", out).out.split()
    )
    digits = tmp_path / "digits"
    assert run("data", "digits", digits).code == 0
    assert run("predict", out, digits / "digit-3.jpg").code == 0
    assert run("export", out, "--format", "bundle", "--force").code == 0
    assert load(out).graph is not None
    assert "differs from the weights by at most" in " ".join(run("info", out).out.split())


def test_a_loss_that_is_nan_is_one_line(run, monkeypatch, tmp_path):
    import dataclasses

    from lamplighter.training import recipes

    wild = dataclasses.replace(recipes.RECIPES["lab"], learning_rate=float("inf"))
    monkeypatch.setitem(recipes.RECIPES, "lab", wild)
    outcome = run("train", "mnist", *QUICK, "--out", tmp_path / "a.lamp")
    assert outcome.code == 1
    assert outcome.err.splitlines()[-1].startswith("lamplighter: ")
    assert "Traceback" not in outcome.err
    assert "should not" not in outcome.err
    assert not (tmp_path / "a.lamp").exists()


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
@pytest.mark.slow
def test_stopped_and_resumed_gives_the_same_weights(start, run, uninterrupted, tmp_path, how):
    out, folder = tmp_path / "a.lamp", tmp_path / "a.training"
    with start("train", "mnist", "--epochs", EPOCHS, "--out", out) as running:
        wait_for(lambda: epochs_in(folder) >= 2 or running.poll() is not None)
        running.send_signal(how)
        printed, said = running.communicate(timeout=60)
    assert printed == ""
    assert "Traceback" not in said
    if how == signal.SIGINT:
        assert running.returncode == 1
        assert said.splitlines()[-1].startswith("lamplighter: stopped; the last complete epoch")
        assert said.count("lamplighter: ") == 1
    assert 2 <= epochs_in(folder) < EPOCHS
    assert not out.exists()
    assert run("train", "mnist", "--resume", "--out", out).code == 0
    assert weights(out) == weights(uninterrupted)
    assert epochs_in(folder) == 0  # the checkpoint is gone
    assert len((folder / "history.jsonl").read_text().splitlines()) == EPOCHS


def full_disk(size: int):
    """Let a process write files of at most `size` bytes, as a full disk does."""
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


# The checkpoint is larger than the bundle: one limit stops the first, the other the second.
@pytest.mark.slow
def test_a_disk_that_is_full_at_the_checkpoint(process, bundle):
    before = bundle.read_bytes()
    arguments = ("train", "mnist", "--epochs", 2, "--out", bundle, "--force")
    outcome = process(*arguments, preexec_fn=full_disk(100_000))
    assert (outcome.code, outcome.out) == (1, "")
    last = outcome.err.splitlines()[-1]
    assert "File too large" in last
    assert "Traceback" not in outcome.err
    assert bundle.read_bytes() == before


def test_a_disk_that_is_full_at_the_bundle(run, monkeypatch, bundle):
    from lamplighter.saving import archive

    before = bundle.read_bytes()

    def full(*arguments, **options):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(archive.zipfile.ZipFile, "writestr", full)
        outcome = run("train", "mnist", *QUICK, "--out", bundle, "--force")
    assert (outcome.code, outcome.out) == (1, "")
    last = outcome.err.splitlines()[-1]
    assert f"{bundle} cannot be written: No space left on device" in last
    assert last.endswith("continue with --resume.")
    assert bundle.read_bytes() == before
    assert list(bundle.parent.glob(".*")) == []
    assert run("train", "mnist", "--resume", "--out", bundle, "--force").code == 0
    assert bundle.read_bytes() != before


def test_where_to_go_on_is_named_as_it_is(run, monkeypatch, tmp_path):
    from lamplighter.errors import OutputError
    from lamplighter.saving import bundle

    def full(*_):
        raise OutputError("the disk is full; make room.")

    monkeypatch.setattr(bundle, "save", full)
    outcome = run("train", "mnist", *QUICK, "--out", tmp_path / "My Digits.lamp")
    assert outcome.code == 1
    assert outcome.err.splitlines()[-1] == (
        "lamplighter: the disk is full; make room; the last complete epoch is kept in "
        f"{tmp_path / 'My Digits.training'}: continue with --resume."
    )


def test_sigterm_is_no_success(run, monkeypatch, tmp_path):
    def terminated(*arguments, **options):
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(5)

    handler = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr("lamplighter.evaluation.report.evaluate", terminated)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # as Lightning does
    try:
        outcome = run("train", "mnist", *QUICK, "--out", tmp_path / "a.lamp")
    finally:
        signal.signal(signal.SIGTERM, handler)
    assert (outcome.code, outcome.out) == (1, "")
    assert outcome.err.endswith("continue with --resume.\n")


def test_without_torch_the_remedy_is_named(run, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.delitem(sys.modules, "lamplighter.training.recipes", raising=False)
    outcome = run("train", "mnist", "--out", tmp_path / "a.lamp")
    assert (outcome.code, outcome.out) == (1, "")
    assert install_command() in outcome.line
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("seed", ["-1", "99999999999999999999"])
def test_a_seed_out_of_range_is_bad_use(run, tmp_path, seed):
    outcome = run("train", "mnist", "--out", tmp_path / "d.lamp", "--seed", seed)
    assert outcome.code == 2
    assert seed in outcome.err
    assert list(tmp_path.iterdir()) == []
