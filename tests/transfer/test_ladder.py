"""The transfer ladder."""

from __future__ import annotations

import contextlib
import json
import shutil
import time

import numpy as np
import pytest
from PIL import Image

from lamplighter.data.folders import find_files
from lamplighter.errors import DatasetError, ResumeError, TrainingError
from lamplighter.evaluation.report import evaluate
from lamplighter.inference.predictor import predict
from lamplighter.saving.bundle import load, save
from lamplighter.training.trial import Trial
from lamplighter.transfer import climbing, rungs, tuning
from lamplighter.transfer.climbing import climb_ladder
from lamplighter.transfer.preparing import prepared


class Noted:
    """Writes down what it is told."""

    verbose = 0

    def __init__(self):
        self.lines = []

    def say(self, line):
        self.lines.append(line)

    def progress(self, label):
        return contextlib.nullcontext()


def test_every_rung_is_measured_and_the_best_is_chosen(shapes, tiny, tmp_path):
    ladder = climb_ladder(shapes, backbone=tiny, seed=1)
    assert [rung.name for rung in ladder.rungs] == list(rungs.RUNGS)
    accuracies = [rung.report.accuracy.value for rung in ladder.rungs]
    assert ladder.chosen.report.accuracy.value == max(accuracies)
    assert all(rung.report.count == 24 and rung.seconds > 0 for rung in ladder.rungs)
    assert accuracies[rungs.RUNGS.index("linear")] > 0.5  # chance is a third
    (test,) = ladder.tests
    assert (test.split, test.count) == ("test", 24)
    *rows, note = ladder.table().splitlines()
    assert len(rows) == 1 + len(rungs.RUNGS)
    assert note.startswith("blocks and full: one image as the backbone takes")
    assert ladder.chosen.name in ladder.recommendation()
    json.dumps(ladder.to_dict())

    # The bundle answers as the report says that it does.
    save(ladder.classifier, tmp_path / "shapes.lamp")
    files = find_files(shapes).split("test")
    answers = predict(load(tmp_path / "shapes.lamp"), files.files, always_answer=True)
    truth = [files.class_names[label] for label in files.labels]
    right = np.array([said == true for said, true in zip(answers.labels, truth, strict=True)])
    assert abs(right.mean() - test.accuracy.value) <= 1 / 24  # float error may move one


def test_the_test_images_are_read_for_the_chosen_rung_alone(shapes, tiny, monkeypatch):
    read = []
    original = climbing.report_on
    monkeypatch.setattr(
        climbing, "report_on", lambda *a, **k: read.append(a[1]) or original(*a, **k)
    )
    climb_ladder(shapes, backbone=tiny, rungs=["knn", "linear"])
    assert read == ["test"]


def test_a_second_climb_knows_the_features(shapes, tiny):
    first = climb_ladder(shapes, backbone=tiny, rungs=["knn"])
    second = climb_ladder(shapes, backbone=tiny, rungs=["knn"])
    assert (first.cached, second.cached) == (0, 96)
    np.testing.assert_array_equal(first.chosen.logits, second.chosen.logits)


def test_a_folder_without_splits_is_shared_out_the_same_way_each_time(shapes, tiny, tmp_path):
    flat = tmp_path / "flat"
    for place in (shapes / "train").iterdir():
        shutil.copytree(place, flat / place.name)
    watch = Noted()
    first = climb_ladder(flat, backbone=tiny, rungs=["linear"], watch=watch)
    second = climb_ladder(flat, backbone=tiny, rungs=["linear"])
    assert first.classifier.record.data == second.classifier.record.data
    assert set(first.classifier.record.data) == {"train", "val", "test"}


def test_classes_go_by_name(shapes, tiny):
    """One class has no training image, another no validation image."""
    shutil.rmtree(shapes / "train" / "ring")
    shutil.rmtree(shapes / "valid" / "disc")
    watch = Noted()
    ladder = climb_ladder(shapes, backbone=tiny, rungs=["linear"], watch=watch)
    assert ladder.classifier.class_names == ("disc", "square")
    report = ladder.chosen.report
    assert report.unknown_classes == ("ring",)
    assert report.missing_classes == ("disc",)
    assert report.scores.recall[2] == 0
    assert any("ring" in line and "training" in line for line in watch.lines)


def test_bad_files_are_set_aside_and_named(shapes, tiny):
    victim = next((shapes / "train" / "disc").iterdir())
    victim.write_bytes(victim.read_bytes()[:40])
    (shapes / "train" / "disc" / "empty.png").touch()
    for audit in (True, False):
        watch = Noted()
        ladder = climb_ladder(shapes, backbone=tiny, rungs=["knn"], audit=audit, watch=watch)
        assert ladder.chosen.report.count == 24
        text = "\n".join(watch.lines)
        assert victim.name in text
        assert "empty.png" in text


def test_a_rung_that_does_not_fit_into_the_budget_is_left_out(shapes, tiny, monkeypatch):
    monkeypatch.setattr(tuning, "seconds_per_step", lambda *_, **__: 60.0)
    ladder = climb_ladder(shapes, backbone=tiny, rungs=["linear", "full"], budget=1)
    assert [rung.name for rung in ladder.rungs] == ["linear"]
    assert "epoch" in ladder.left_out["full"]
    assert "full was left out" in ladder.recommendation()
    with pytest.raises(TrainingError, match="no rung fits into the budget"):
        climb_ladder(shapes, backbone=tiny, rungs=["full"], budget=1)


def test_no_rung_begins_once_the_budget_is_spent(shapes, tiny, monkeypatch):
    original = climbing.climb

    def slow(name, ground):
        rung = original(name, ground)
        ground.deadline = time.monotonic()
        return rung

    monkeypatch.setattr(climbing, "climb", slow)
    ladder = climb_ladder(shapes, backbone=tiny, rungs=["knn", "svm", "linear", "head"])
    assert [rung.name for rung in ladder.rungs] == ["knn"]
    assert list(ladder.left_out) == ["svm", "linear", "head"]
    assert "spent before it could begin" in ladder.left_out["linear"]
    # Of several rungs the reason is given once.
    with pytest.raises(TrainingError, match=r"budget: the budget was spent before[^;]*; choose"):
        climb_ladder(shapes, backbone=tiny, rungs=["knn", "linear"], budget=1e-9)


def test_a_head_is_left_out_where_its_first_epochs_tell_that_it_would_take_too_long(shapes, tiny):
    ladder = climb_ladder(shapes, backbone=tiny, rungs=["knn", "head"])
    (head,) = (rung for rung in ladder.rungs if rung.name == "head")
    minutes = head.seconds / 60 / 4
    with pytest.raises(TrainingError, match=r"an epoch takes about .* for 58 epochs add about"):
        climb_ladder(shapes, backbone=tiny, rungs=["head"], budget=minutes)


def test_ctrl_c_compares_what_is_done(shapes, tiny, monkeypatch):
    original = climbing.climb

    def interrupted(name, ground):
        if name == "linear":
            raise KeyboardInterrupt
        return original(name, ground)

    monkeypatch.setattr(climbing, "climb", interrupted)
    ladder = climb_ladder(shapes, backbone=tiny, rungs=["knn", "linear", "full"])
    assert [rung.name for rung in ladder.rungs] == ["knn"]
    assert set(ladder.left_out) == {"linear", "full"}
    assert "backbone" not in ladder.table()


def test_a_tuned_rung_changes_what_it_should(shapes, tiny):
    before = {name: value.clone() for name, value in tiny.network.state_dict().items()}
    ladder = climb_ladder(shapes, backbone=tiny, rungs=["blocks"])
    after = ladder.classifier.network.state_dict()
    same = {name for name in before if "backbone" in name and before[name].equal(after[name])}
    assert any("blocks.0" in name for name in same)
    assert any("running_mean" in name for name in same)
    assert not all(name in same for name in before if "backbone" in name)
    assert all(value.equal(before[name]) for name, value in tiny.network.state_dict().items())


def test_fine_tuning_that_was_stopped_goes_on(shapes, tiny, tmp_path, monkeypatch):
    alone = climb_ladder(shapes, backbone=tiny, rungs=["blocks"], folder=tmp_path / "alone")
    original = Trial.run

    def stopped(trial, epochs, **options):
        from lamplighter.training.callbacks import on_epoch_end

        @on_epoch_end
        def stop(view):
            if view.epoch == 3:
                raise KeyboardInterrupt

        trial.callbacks.append(stop)
        return original(trial, epochs, **options)

    monkeypatch.setattr(Trial, "run", stopped)
    with pytest.raises(KeyboardInterrupt):
        climb_ladder(shapes, backbone=tiny, rungs=["blocks"], folder=tmp_path / "f")
    monkeypatch.setattr(Trial, "run", original)
    plan = json.loads((tmp_path / "f" / "blocks" / "plan.json").read_text())
    assert plan["seconds"] > 0
    plan["seconds"] += 1000
    (tmp_path / "f" / "blocks" / "plan.json").write_text(json.dumps(plan))
    resumed = climb_ladder(
        shapes, backbone=tiny, rungs=["blocks"], folder=tmp_path / "f", resume=True
    )
    np.testing.assert_allclose(resumed.chosen.logits, alone.chosen.logits, atol=1e-4)
    assert resumed.chosen.seconds > plan["seconds"] > 1000  # the part before the stop counts
    with pytest.raises(ResumeError, match="begun with another seed"):
        climb_ladder(
            shapes, backbone=tiny, rungs=["blocks"], folder=tmp_path / "f", resume=True, seed=2
        )


@pytest.mark.slow
def test_a_bundle_can_be_evaluated_on_the_folder(shapes, tiny, tmp_path):
    from lamplighter.data.loading import load_images

    ladder = climb_ladder(shapes, backbone=tiny, rungs=["svm"])
    save(ladder.classifier, tmp_path / "s.lamp")
    classifier = load(tmp_path / "s.lamp")
    report = evaluate(classifier, load_images(find_files(shapes), classifier.preprocessing))
    assert abs(report.accuracy.value - ladder.tests[0].accuracy.value) <= 1 / 24


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rungs": ["knn", "tree"]}, "no rung 'tree'; there are knn, svm"),
        ({"budget": 0.0}, "more than 0 minutes"),
    ],
)
def test_bad_wishes_are_refused(shapes, tiny, options, message):
    with pytest.raises(TrainingError, match=message):
        climb_ladder(shapes, backbone=tiny, **options)


def test_one_class_is_nothing_to_tell_apart(tmp_path, tiny):
    place = tmp_path / "one" / "cat"
    place.mkdir(parents=True)
    for number in range(4):
        Image.new("RGB", (30, 30), (number, 0, 0)).save(place / f"{number}.png")
    with pytest.raises(DatasetError, match="two classes"):
        climb_ladder(tmp_path / "one", backbone=tiny)


def test_near_copies_are_not_parted_where_only_validation_is_made(shapes, tiny, tmp_path):
    """A copy of a training image on the side that a rung is chosen by would be a leak."""
    shutil.rmtree(shapes / "valid")
    for place in (shapes / "train").iterdir():
        for picture in list(place.iterdir()):
            shutil.copy(picture, place / f"again {picture.name}")
    files, _ = prepared(shapes, Noted(), seed=0, audit=True)
    sides = {}
    for path, split in zip(files.paths, files.splits, strict=True):
        sides.setdefault(path.replace("again ", ""), set()).add(split)
    assert "val" in files.split_names
    assert all(len(found) == 1 for found in sides.values())


@pytest.mark.parametrize("audit", [True, False])
def test_scenes_in_names_are_said_once_and_not_applied(tmp_path, audit):
    for number in range(2 * 4 * 5):
        label, video, frame = "ab"[number // 20], number // 5, number % 5
        picture = np.random.default_rng(number).integers(0, 255, (20, 20, 3), dtype=np.uint8)
        (tmp_path / label).mkdir(exist_ok=True)
        Image.fromarray(picture).save(tmp_path / label / f"video{video}_{frame}.png")
    watch = Noted()
    files, _ = prepared(tmp_path, watch, seed=0, audit=audit)
    said = [line for line in watch.lines if "frames of 8 scenes" in line]
    assert len(said) == 1
    assert said[0].endswith(r"--group '^(.*\D)\d+\.'.")
    assert set(files.groups) == {""}
