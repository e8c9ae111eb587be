"""transfer as a user meets it: the table, the bundle, what is stopped, and what is refused."""

from __future__ import annotations

import json

import numpy as np
import pytest

from lamplighter.saving.bundle import load
from lamplighter.training.callbacks import on_epoch_end
from lamplighter.training.trial import Trial
from tests.transfer.stopping import stopped_in_refit


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def climb(run, backbone, photos, tmp_path):
    """Run transfer on the photos, to colours.lamp."""

    def call(*arguments, rungs="linear"):
        fixed = ["--backbone", backbone, "--rungs", rungs, "--out", tmp_path / "colours.lamp"]
        return run("transfer", photos, *fixed, *arguments)

    return call


@pytest.fixture
def stopped(monkeypatch):
    """Let Ctrl-C come in the fourth epoch of fine-tuning, and take that back when called."""
    original = Trial.run

    def run(trial, epochs, **options):
        @on_epoch_end
        def stop(view):
            if view.epochs < 20 and view.epoch == 3:  # not in the head, which learns for long
                raise KeyboardInterrupt

        trial.callbacks.append(stop)
        return original(trial, epochs, **options)

    monkeypatch.setattr(Trial, "run", run)
    return lambda: monkeypatch.setattr(Trial, "run", original)


def test_rungs_are_compared_and_the_best_is_written(climb, run, photos, tmp_path):
    outcome = climb(rungs="knn, linear")
    assert outcome.code == 0
    text = outcome.out
    for part in ("macro-F1", "95 % interval", "photos, test: 9 images", "calibration", "unknown"):
        assert part in text
    assert [line.split()[0] for line in text.splitlines()[3:5]] == ["knn", "linear"]
    assert max(map(len, text.splitlines())) <= 100
    assert "audit: " not in outcome.out
    bundle = tmp_path / "colours.lamp"
    assert load(bundle).class_names == ("blue", "green", "red")
    answer = run("predict", bundle, photos / "test" / "red" / "0.png", "--always-answer")
    assert " red " in answer.out
    document = json.loads(run("evaluate", bundle, photos, "--json").out)
    assert document["accuracy"]["value"] > 0.6  # chance is a third
    splits = tmp_path / "colours.transfer" / "splits.csv"
    assert json.loads(run("evaluate", bundle, splits, "--json").out)["count"] == document["count"]
    assert [path.name for path in (tmp_path / "colours.transfer").iterdir()] == ["splits.csv"]


def test_a_bundle_says_what_it_has_learned_from(climb, run, photos, tmp_path):
    outcome = climb()
    assert "refitted on train + validation (27 images)" in " ".join(outcome.out.split())
    assert "held-out images of known classes" in " ".join(outcome.out.split())
    bundle = tmp_path / "colours.lamp"
    told = " ".join(run("info", bundle).out.split())
    assert "refitted on train + validation (27 images)" in told
    assert "before the refit on train + validation" in told
    assert "both measured by cross-validation" in told
    for split, note in (("val", True), ("test", False)):
        evaluated = run("evaluate", bundle, photos, "--split", split)
        assert ("the classifier was trained on" in evaluated.err) == note
    climb("--force", "--no-refit")
    assert "refitted" not in run("info", bundle).out
    assert "learned from" not in run("evaluate", bundle, photos, "--split", "val").err


def test_json_is_one_document(climb):
    outcome = climb("--json", rungs="knn,svm")
    document = json.loads(outcome.out)
    assert [rung["name"] for rung in document["rungs"]] == ["knn", "svm"]
    assert document["chosen"] in ("knn", "svm")
    assert document["tests"][0]["split"] == "test"
    assert document["trust"]["calibration"]["before"]["error"]["low"] >= 0


def test_a_bundle_that_is_there_is_not_replaced(climb, tmp_path):
    mine = tmp_path / "colours.lamp"
    mine.write_text("mine")
    outcome = climb()
    assert (outcome.code, outcome.out) == (1, "")
    assert "already exists" in outcome.line
    assert mine.read_text() == "mine"
    assert climb("--force").code == 0
    assert load(mine).num_classes == 3


@pytest.mark.parametrize("rungs", ["", "linear,tree", "linear,"])
def test_rungs_of_no_name_are_refused(climb, rungs):
    outcome = climb(rungs=rungs)
    assert outcome.code == 2
    assert "; there are knn, svm, linear, head, blocks, full." in " ".join(outcome.err.split())


def test_files_set_aside_and_unseen_classes_are_named(climb, photos):
    (photos / "train" / "red" / "empty.png").touch()
    (photos / "train" / "green").rename(photos / "train" / "teal")
    for arguments in ((), ("--no-audit",)):
        outcome = climb("--force", *arguments)
        assert outcome.code == 0
        assert "set aside train/red/empty.png: is empty (0 bytes)" in outcome.err
        assert "green" in outcome.err
        assert "with green, which only validation has" in outcome.err
    kept = climb("--force", "--no-refit")
    assert "always wrong: green" in kept.out


def test_ctrl_c_keeps_what_is_done_and_what_was_begun(climb, tmp_path, stopped):
    outcome = climb(rungs="linear,blocks")
    assert outcome.code == 0
    assert "interrupted in blocks" in outcome.err
    assert "blocks was left out" in " ".join(outcome.out.split())
    assert load(tmp_path / "colours.lamp").num_classes == 3
    assert (tmp_path / "colours.transfer" / "blocks" / "last.ckpt").is_file()
    assert "--resume" in outcome.err

    stopped()
    again = climb("--resume", "--force", rungs="linear,blocks")
    assert again.code == 0
    assert "epoch 1/" not in again.err
    assert "epoch 5/" in again.err
    assert [path.name for path in (tmp_path / "colours.transfer").iterdir()] == ["splits.csv"]


@pytest.mark.slow
def test_ctrl_c_while_learning_again_keeps_the_first_fit(climb, tmp_path):
    with stopped_in_refit(KeyboardInterrupt):
        outcome = climb(rungs="blocks")
    assert outcome.code == 0
    assert "not refitted on train + validation: it was interrupted" in " ".join(outcome.out.split())
    assert "to continue it, give --resume and --force" in outcome.err
    folder = tmp_path / "colours.transfer"
    assert {path.name for path in folder.iterdir()} == {"blocks", "blocks-refit", "splits.csv"}
    again = climb("--resume", "--force", rungs="blocks")
    assert again.code == 0
    assert "epoch 1/" not in again.err
    assert "refitted on train + validation (27 images)" in " ".join(again.out.split())
    assert [path.name for path in folder.iterdir()] == ["splits.csv"]


def test_what_was_stopped_is_not_begun_anew_unasked(climb, tmp_path, stopped):
    outcome = climb(rungs="blocks")
    assert outcome.code == 1
    assert "continue with --resume" in outcome.err
    checkpoint = tmp_path / "colours.transfer" / "blocks" / "last.ckpt"
    before = checkpoint.read_bytes()
    stopped()
    refused = climb(rungs="blocks")
    assert refused.code == 1
    assert "--resume" in refused.line
    assert checkpoint.read_bytes() == before
    other = climb("--resume", "--seed", 3, rungs="blocks")
    assert other.code == 1
    assert "started with another seed" in other.err
    assert checkpoint.read_bytes() == before
    assert climb("--resume", rungs="blocks").code == 0


def test_a_rung_that_fails_loses_no_other(climb, tmp_path, monkeypatch):
    from lamplighter.errors import OutputError
    from lamplighter.transfer import strategies

    def full(*_):
        raise OutputError("the disk is full; make room.")

    monkeypatch.setattr(strategies, "begin", full)
    outcome = climb(rungs="linear,blocks")
    assert outcome.code == 0
    assert "blocks was left out: the disk is full; make room." in " ".join(outcome.out.split())
    assert load(tmp_path / "colours.lamp").num_classes == 3
    alone = climb("--force", rungs="blocks")
    assert alone.code == 1
    assert alone.err.splitlines()[-1] == "lamplighter: the disk is full; make room."


def test_what_is_kept_where_the_bundle_cannot_be_written(climb, monkeypatch):
    from lamplighter.errors import OutputError
    from lamplighter.saving import bundle

    def full(*_):
        raise OutputError("the disk is full; make room.")

    monkeypatch.setattr(bundle, "save", full)
    outcome = climb()
    assert outcome.code == 1
    assert outcome.err.splitlines()[-1] == (
        "lamplighter: the disk is full; make room; the feature vectors computed so far are kept, "
        "and nothing else."
    )


def test_an_image_that_vanishes_under_way_is_named(climb, photos, monkeypatch):
    from lamplighter.transfer import ladder

    original, victim = ladder.embed, photos / "val" / "red" / "0.png"

    def embedded(*arguments, **options):
        features = original(*arguments, **options)
        victim.unlink()
        return features

    monkeypatch.setattr(ladder, "embed", embedded)
    outcome = climb(rungs="linear,blocks")
    assert outcome.code == 0
    assert "blocks: left out, val/red/0.png was readable when it was embedded" in outcome.err


def test_a_group_that_fits_nothing_is_said(climb):
    assert "note: groups by scene([0-9]+): 0" in climb("--group", "scene([0-9]+)").err


def test_one_class_is_refused_in_one_line(run, backbone, photos, tmp_path):
    outcome = run(
        "transfer", photos / "train" / "red", "--backbone", backbone, "--out", tmp_path / "x.lamp"
    )
    assert outcome.code == 1
    assert "Traceback" not in outcome.err
    assert not (tmp_path / "x.lamp").exists()


def test_the_same_seed_gives_the_same_bundle(climb, tmp_path):
    climb(rungs="knn,linear")
    first = load(tmp_path / "colours.lamp")
    climb("--force", rungs="knn,linear")
    second = load(tmp_path / "colours.lamp")
    assert first.record.recipe == second.record.recipe
    assert first.trust.temperature == second.trust.temperature
    np.testing.assert_array_equal(first.trust.reference, second.trust.reference)
