"""The transfer ladder."""

from __future__ import annotations

import json
import shutil
import time

import numpy as np
import pytest
from PIL import Image
from sklearn.neighbors import KNeighborsClassifier

from lamplighter.datasets.folders import find_files
from lamplighter.datasets.image_data import load_images
from lamplighter.errors import DatasetError, ModelError, ResumeError, TrainingError
from lamplighter.evaluation.reliability import add_trust
from lamplighter.evaluation.report import evaluate
from lamplighter.features.extraction import embed
from lamplighter.inference.predictor import predict
from lamplighter.saving.bundle import load, save
from lamplighter.training.trial import Trial
from lamplighter.transfer import fine_tuning, strategies
from lamplighter.transfer import ladder as ladder_module
from lamplighter.transfer.ladder import climb_ladder
from lamplighter.transfer.refitting import _others
from lamplighter.transfer.splits import Quiet, prepared

from .stopping import stopped_in_refit


class Noted(Quiet):
    """Writes down what it is told."""

    def __init__(self):
        self.lines = []
        self.told = []

    def say(self, line):
        self.lines.append(line)

    def rung_begun(self, name, *, refit):
        self.told.append(("begun", name, refit))

    def epoch_done(self, epoch, epochs, metrics):
        self.told.append(("epoch", epoch + 1, epochs, sorted(metrics)))

    def rung_done(self, rung):
        self.told.append(("done", rung.name, rung.report.accuracy.value))


def unit(vectors):
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def test_every_rung_is_measured_and_the_best_is_chosen(shapes, tiny, tmp_path):
    ladder = climb_ladder(shapes, backbone=tiny, seed=1)
    assert [rung.name for rung in ladder.rungs] == list(strategies.RUNGS)
    accuracies = [rung.report.accuracy.value for rung in ladder.rungs]
    assert ladder.chosen.report.accuracy.value == max(accuracies)
    assert all(rung.report.count == 24 and rung.seconds > 0 for rung in ladder.rungs)
    assert accuracies[strategies.RUNGS.index("linear")] > 0.5  # chance is a third
    (test,) = ladder.tests
    assert (test.split, test.count) == ("test", 24)
    *rows, note = ladder.table().splitlines()
    assert len(rows) == 1 + len(strategies.RUNGS)
    assert note.startswith("blocks and full: the time for one image is that of the backbone")
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
    original = ladder_module.report_on
    monkeypatch.setattr(
        ladder_module, "report_on", lambda *a, **k: read.append(a[1]) or original(*a, **k)
    )
    climb_ladder(shapes, backbone=tiny, rungs=["knn", "linear"])
    assert [split for split in read if split != "val"] == ["test"]


def test_the_watch_is_told_of_each_rung_as_it_goes(shapes, tiny):
    watch = Noted()
    ladder = climb_ladder(shapes, backbone=tiny, rungs=["linear", "head"], watch=watch)
    scores = {rung.name: rung.report.accuracy.value for rung in ladder.rungs}
    assert watch.told[:3] == [
        ("begun", "linear", False),
        ("done", "linear", scores["linear"]),
        ("begun", "head", False),
    ]
    epochs = [told for told in watch.told if told[0] == "epoch"]
    assert [told[1] for told in epochs[:60]] == list(range(1, 61))
    assert all(told[2] == 60 and {"loss", "acc"} <= set(told[3]) for told in epochs)
    assert ("done", "head", scores["head"]) in watch.told
    assert ("begun", ladder.chosen.name, True) in watch.told


@pytest.mark.parametrize("refit", [True, False])
@pytest.mark.parametrize("rung", ["linear", "blocks"])
def test_validation_is_reported_as_it_was_held_out_with_its_unknown(shapes, tiny, rung, refit):
    ladder = climb_ladder(shapes, backbone=tiny, rungs=[rung], refit=refit)
    report, trust = ladder.validation, ladder.classifier.trust
    assert report.accuracy == ladder.chosen.report.accuracy
    np.testing.assert_array_equal(report.predictions.logits, ladder.chosen.logits)
    assert report.predictions.temperature == trust.temperature
    assert report.predictions.threshold == trust.threshold
    # Of an image that was learned from, the distance would be next to nothing.
    assert (report.predictions.distances > 1e-4).all()
    if not refit:  # what its trust was measured on
        share = trust.measured["unknown"]["coverage"]["value"]
        assert report.answered.share.value == pytest.approx(share)


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
    assert ladder.classifier.class_names == ("disc", "ring", "square")  # learned from validation
    assert "with ring, which only validation has" in watch.lines[-1]
    assert ladder.classifier.trust.measured["unknown_count"] >= 8  # before, ring was unknown
    assert ladder.tests[0].unknown_classes == ()
    kept = climb_ladder(shapes, backbone=tiny, rungs=["linear"], refit=False)
    assert kept.classifier.class_names == ("disc", "square")
    assert kept.tests[0].unknown_classes == ("ring",)
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
    monkeypatch.setattr(fine_tuning, "seconds_per_step", lambda *_, **__: 60.0)
    ladder = climb_ladder(shapes, backbone=tiny, rungs=["linear", "full"], budget=1)
    assert [rung.name for rung in ladder.rungs] == ["linear"]
    assert "epoch" in ladder.left_out["full"]
    assert "full was left out" in ladder.recommendation()
    with pytest.raises(TrainingError, match="no rung fits into the budget"):
        climb_ladder(shapes, backbone=tiny, rungs=["full"], budget=1)


def spend_the_budget_on_a_rung(monkeypatch):
    """Let the budget be spent once the first rung is climbed."""
    original = ladder_module.climb

    def slow(name, context):
        rung = original(name, context)
        context.deadline = time.monotonic()
        return rung

    monkeypatch.setattr(ladder_module, "climb", slow)


def test_no_rung_begins_once_the_budget_is_spent(shapes, tiny, monkeypatch):
    spend_the_budget_on_a_rung(monkeypatch)
    ladder = climb_ladder(shapes, backbone=tiny, rungs=["knn", "svm", "linear", "head"])
    assert [rung.name for rung in ladder.rungs] == ["knn"]
    assert list(ladder.left_out) == ["svm", "linear", "head"]
    assert "used up before it could start" in ladder.left_out["linear"]
    # Of several rungs the reason is given once.
    with pytest.raises(TrainingError, match=r"budget: the budget was used up before[^;]*; choose"):
        climb_ladder(shapes, backbone=tiny, rungs=["knn", "linear"], budget=1e-9)


def test_a_head_is_left_out_where_its_first_epochs_tell_that_it_would_take_too_long(shapes, tiny):
    ladder = climb_ladder(shapes, backbone=tiny, rungs=["knn", "head"])
    (head,) = (rung for rung in ladder.rungs if rung.name == "head")
    minutes = head.seconds / 60 / 4
    with pytest.raises(TrainingError, match=r"an epoch takes about .* for 58 epochs add about"):
        climb_ladder(shapes, backbone=tiny, rungs=["head"], budget=minutes)


@pytest.mark.parametrize("error", [OSError(28, "No space left"), MemoryError(), RuntimeError("x")])
def test_a_rung_that_fails_is_left_out(shapes, tiny, monkeypatch, error):
    original, watch = ladder_module.climb, Noted()

    def failing(name, context):
        if name == "svm":
            raise error
        return original(name, context)

    monkeypatch.setattr(ladder_module, "climb", failing)
    ladder = climb_ladder(shapes, backbone=tiny, rungs=["knn", "svm", "linear"], watch=watch)
    assert [rung.name for rung in ladder.rungs] == ["knn", "linear"]
    assert ladder.left_out["svm"].startswith("svm failed: ")
    assert any(line.startswith("svm: left out, svm failed: ") for line in watch.lines)


def test_what_cannot_be_measured_costs_no_classifier(shapes, tiny, monkeypatch, tmp_path):
    def failing(*_, **__):
        raise ModelError("the network answers NaN.")

    watch = Noted()
    monkeypatch.setattr(ladder_module, "make_trust", failing)
    monkeypatch.setattr(ladder_module, "report_on", failing)
    ladder = climb_ladder(shapes, backbone=tiny, rungs=["knn"], watch=watch)
    assert ladder.tests == ()
    assert ladder.classifier.trust is None
    assert ladder.validation is ladder.chosen.report
    assert watch.lines[-3:] == [
        "not calibrated, and no image will be called unknown: the network answers NaN.",
        "what is unknown among the validation images is not known: the network answers NaN.",
        "not measured on test: the network answers NaN.",
    ]
    assert load(save(ladder.classifier, tmp_path / "a.lamp")).num_classes == 3


def test_ctrl_c_compares_what_is_done(shapes, tiny, monkeypatch):
    original = ladder_module.climb

    def interrupted(name, context):
        if name == "linear":
            raise KeyboardInterrupt
        return original(name, context)

    monkeypatch.setattr(ladder_module, "climb", interrupted)
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
    with pytest.raises(ResumeError, match="started with another seed"):
        climb_ladder(
            shapes, backbone=tiny, rungs=["blocks"], folder=tmp_path / "f", resume=True, seed=2
        )


@pytest.mark.parametrize("kind", ["knn", "linear"])
def test_the_chosen_rung_learns_from_validation_images_too(shapes, tiny, kind):
    """The head is that of the pooled images, and nothing is measured on what it has seen."""
    watch = Noted()
    ladder = climb_ladder(shapes, backbone=tiny, rungs=[kind], watch=watch)
    kept = climb_ladder(shapes, backbone=tiny, rungs=[kind], refit=False)
    assert (ladder.refitted, kept.refitted) == (72, None)
    assert "refitted on train + validation (72 images)" in ladder.recommendation()
    assert "not refitted on train + validation: not requested" in kept.recommendation()
    assert ladder.chosen.report.accuracy == kept.chosen.report.accuracy
    recipe = ladder.classifier.record.recipe
    assert recipe["refitted"] == {"splits": ["train", "val"], "images": 72}
    assert "refitted" not in kept.classifier.record.recipe
    assert ladder.classifier.record.learned_splits == ("train", "val")
    assert kept.classifier.record.learned_splits == ("train",)
    assert ladder.classifier.record.scores["val"]["before_refit"] is True

    features = embed(tiny, find_files(shapes))
    names = features.files.class_names
    both = features.take([i for i, s in enumerate(features.files.splits) if s != "test"])
    test = features.split("test")
    if kind == "knn":
        chosen = recipe["parameters"]
        centre = both.vectors.mean(axis=0)
        model = KNeighborsClassifier(
            chosen["neighbours"],
            weights=(lambda d: np.exp(-(d**2) / 2 / 0.07))
            if chosen["weights"] == "distance"
            else "uniform",
        ).fit(unit(both.vectors - centre), both.files.labels)
        expected = model.predict(unit(test.vectors - centre))  # classes are even: no weights
        said = ladder.tests[0].predictions.logits.argmax(axis=1)
        assert (said == expected).mean() >= 23 / 24  # near copies of a vote may be a tie
    # 95 % of all images lie within the threshold of others, none of them at 0 from itself.
    trust = ladder.classifier.trust
    assert len(trust.reference) == 72
    assert trust.measured["count"] == 72
    nearest = np.sort(1 - unit(both.vectors) @ unit(both.vectors).T, axis=1)[:, 1]
    assert trust.threshold >= np.quantile(nearest, 0.9)
    assert ladder.classifier.class_names == names
    json.dumps(ladder.to_dict())


def test_what_has_been_measured_in_two_ways_agrees(shapes, tiny, tmp_path):
    """`add_trust` on the folder measures what `transfer` did where validation is held out."""
    ladder = climb_ladder(shapes, backbone=tiny, rungs=["linear"], refit=False, seed=4)
    save(ladder.classifier, tmp_path / "s.lamp")
    loaded = load(tmp_path / "s.lamp")
    first = loaded.trust
    again = add_trust(loaded, load_images(find_files(shapes), loaded.preprocessing))
    assert again.temperature == pytest.approx(first.temperature, abs=1e-3)
    assert again.threshold == pytest.approx(first.threshold, abs=1e-3)


def test_a_refit_that_is_stopped_loses_nothing(shapes, tiny, tmp_path, monkeypatch):
    whole = climb_ladder(shapes, backbone=tiny, rungs=["blocks"])
    assert whole.refitted == 72
    watch = Noted()
    options = {"backbone": tiny, "rungs": ["blocks"], "folder": tmp_path / "f"}
    with stopped_in_refit(KeyboardInterrupt):
        ladder = climb_ladder(shapes, **options, watch=watch)
    assert (ladder.refitted, ladder.not_refitted) == (None, "it was interrupted")
    assert (
        "blocks: not refitted on training and validation images: it was interrupted" in watch.lines
    )
    kept = predict(ladder.classifier, find_files(shapes).split("val").files, always_answer=True)
    np.testing.assert_allclose(kept.logits, ladder.chosen.logits, atol=1e-3)

    epochs = []
    original = Trial.run

    def counted(trial, *arguments, **rest):
        from lamplighter.training.callbacks import on_epoch_end

        @on_epoch_end
        def count(view):
            epochs.append(view.epoch)

        trial.callbacks.append(count)
        return original(trial, *arguments, **rest)

    monkeypatch.setattr(Trial, "run", counted)
    resumed = climb_ladder(shapes, **options, resume=True)
    assert resumed.refitted == 72
    last = ladder.chosen.details["epochs"]
    assert epochs == list(range(epochs[0], last))  # of the refit alone, the rest of it
    assert epochs[0] in (3, 4)
    np.testing.assert_allclose(
        resumed.tests[0].predictions.logits, whole.tests[0].predictions.logits, atol=1e-3
    )


def test_a_refit_that_does_not_fit_into_the_budget_is_left_out(shapes, tiny, monkeypatch):
    spend_the_budget_on_a_rung(monkeypatch)
    ladder = climb_ladder(shapes, backbone=tiny, rungs=["head"])
    assert ladder.refitted is None
    assert "of the budget are left; add about" in ladder.not_refitted
    monkeypatch.undo()
    ladder = climb_ladder(shapes, backbone=tiny, rungs=["head"])
    assert ladder.refitted == 72
    assert ladder.classifier.trust.measured["count"] == 24
    assert "before it was trained on them" in ladder.classifier.trust.measured["source"]


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("no memory"), DatasetError("none.")])
def test_a_refit_that_fails_loses_nothing(shapes, tiny, monkeypatch, error):
    def failing(*_):
        raise error

    monkeypatch.setattr(ladder_module, "refitted", failing)
    ladder = climb_ladder(shapes, backbone=tiny, rungs=["knn"])
    assert ladder.refitted is None
    assert ladder.not_refitted in (
        "it failed (there is not enough memory)",
        "it failed (no memory)",
        "none",
    )
    assert ladder.classifier.trust.measured["count"] == 24


def test_groups_of_validation_are_not_learned_from_by_what_is_asked_of_them():
    groups = ("a", "", "b", "b", "", "a")  # the last two are of validation
    assert _others(groups, np.array([0, 1])).tolist() == [2, 3, 4]
    assert _others(groups, np.array([2])).tolist() == [0, 1, 4, 5]


@pytest.mark.slow
def test_a_bundle_can_be_evaluated_on_the_folder(shapes, tiny, tmp_path):
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


def test_near_copies_are_in_one_fold_where_all_is_shared_out(shapes, tiny):
    """A copy among the images that a choice of parameters is tried on would be a leak."""
    for place in (shapes / "train").iterdir():
        for picture in list(place.iterdir()):
            shutil.copy(picture, place / f"again {picture.name}")
    before = find_files(shapes)
    files, _ = prepared(shapes, Noted(), seed=0, audit=True)
    assert dict(zip(files.paths, files.splits, strict=True)) == dict(
        zip(before.paths, before.splits, strict=True)
    )
    groups = dict(zip(files.paths, files.groups, strict=True))
    for path, group in groups.items():
        if "again " in path:
            assert group != ""
            assert group == groups[path.replace("again ", "")]
