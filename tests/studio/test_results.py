from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lamplighter.errors import DatasetError, MissingBundleError
from lamplighter.evaluation.report import Report
from lamplighter.inference.predictor import Predictions
from lamplighter.saving.bundle import load
from lamplighter.studio.held_out import HeldOut, read_answers, shared, write_answers
from lamplighter.studio.runs import new_run_folder, runs_folder, write_notes

from .trainings import SETTINGS, ended, opened_on, own_home, photos

NAMES = ("cat", "dog", "cow")  # the last one is not known to the classifier
LABELS = [0, 0, 0, 1, 1, 1, 2]
LOGITS = [[3, 0], [2, 0], [0, 1], [0, 4], [0, 2], [1, 0], [0, 1]]
APART = [0.1, 0.2, 0.6, 0.1, 0.3, 0.5, 0.9]
PATHS = tuple(f"{NAMES[label]}/{number}.png" for number, label in enumerate(LABELS))


def held_out(*, split="test", labels=LABELS, logits=LOGITS, paths=PATHS, distances=APART):
    predictions = Predictions(
        np.array(logits, dtype=np.float32),
        NAMES[:2],
        temperature=1.5,
        distances=None if distances is None else np.array(distances, dtype=np.float32),
        threshold=None if distances is None else 0.4,
    )
    report = Report("pets", split, "abc", NAMES, np.array(labels, dtype=np.int64), predictions)
    return HeldOut(paths, report)


@pytest.fixture(autouse=True)
def home(tmp_path_factory, monkeypatch):
    own_home(tmp_path_factory.mktemp("home"), monkeypatch)


@pytest.fixture
def pets(tmp_path):
    """A folder with the images of the answers."""
    for number, path in enumerate(PATHS):
        file = tmp_path / "pets" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (40 + number, 30), "gray").save(file)
    return tmp_path / "pets"


@pytest.fixture
def client(pets):
    with opened_on(pets) as (_, client):
        yield client


def made(source, *parts, name="A"):
    """Write a run with these answers, and return its id."""
    folder = new_run_folder(source)
    write_answers(folder, parts)
    reports = {part.report.split: part.report.to_dict() for part in parts}
    rung = {"name": "linear", "summary": "", "training_seconds": 1, "seconds_per_image": 0.1}
    rung["validation"] = next(iter(reports.values()))
    ladder = {"chosen": "linear", "rungs": [rung], "left_out": {}, "recommendation": "take it"}
    tests = [report for split, report in reports.items() if split.startswith("test")]
    notes = {"name": name, "made": 1.0, "kind": "photos", "settings": {}, "data": {}}
    write_notes(folder, {**notes, "ladder": {**ladder, "tests": tests}, "seconds": 1})
    return folder.name


def test_scores_are_those_of_the_answers(client, pets):
    run = made(pets, held_out(split="val"), held_out())
    told = client.get("/api/results").json()
    assert (told["run"]["id"], told["split"]) == (run, "test")  # the test split comes first
    assert told["splits"] == [{"name": "val", "count": 7}, {"name": "test", "count": 7}]
    assert told["report"]["accuracy"]["value"] == 4 / 7
    assert told["report"]["confusion"] == [[2, 1, 0], [1, 2, 0], [0, 1, 0]]
    assert [recall and recall["value"] for recall in told["recall"]] == [2 / 3, 2 / 3, 0]
    assert told["report"]["unknown_classes"] == ["cow"]
    mistakes = told["mistakes"]
    assert [one["path"] for one in mistakes] == ["cat/2.png", "dog/5.png", "cow/6.png"]
    sure = 1 / (1 + np.exp(-1 / 1.5))
    assert mistakes[0] == {
        "path": "cat/2.png",
        "truth": "cat",
        "answer": "dog",
        "confidence": pytest.approx(sure),
        "known": False,
    }
    counts = told["reliability"]["count"]
    assert sum(counts) == 7
    assert counts[int(10 * sure)] == 3
    assert client.get("/api/results", params={"split": "val"}).json()["split"] == "val"


def test_the_slider_shows_what_each_threshold_leaves(client, pets):
    made(pets, held_out())
    unknown = client.get("/api/results").json()["unknown"]
    points = {round(point["threshold"], 3): point for point in unknown["points"]}
    assert list(points) == [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.9]  # 0.4 is the one that holds
    assert unknown["points"][unknown["at"]]["threshold"] == unknown["threshold"] == 0.4
    right = np.array([True, True, False, True, True, False, False])
    for threshold, point in points.items():
        within = np.array(APART) <= threshold + 1e-6
        assert point["share"]["value"] == pytest.approx(within.mean())
        assert point["accuracy"]["value"] == pytest.approx(right[within].mean())
        assert point["accuracy"]["low"] < point["accuracy"]["value"]


def test_the_gallery_is_told_of_each_image(client, pets):
    run = made(pets, held_out(split="val", paths=PATHS[:1], labels=[0], logits=[[1, 0]],
                              distances=[0.1]), held_out())  # fmt: skip
    told = client.get("/api/results/answers", params={"run": run}).json()
    assert told["class_names"] == ["cat", "cow", "dog"]
    assert told["paths"] == [PATHS[0], *PATHS]
    assert told["splits"] == [0, 1, 1, 1, 1, 1, 1, 1]
    named = [told["class_names"][number] for number in told["answers"]]
    assert named == ["cat", "cat", "cat", "dog", "dog", "dog", "cat", "dog"]
    assert [told["class_names"][number] for number in told["truth"]][1:] == [
        path.partition("/")[0] for path in PATHS
    ]
    assert told["known"] == [1, 1, 1, 0, 1, 1, 0, 0]
    np.testing.assert_allclose(told["distances"][1:], APART, atol=1e-6)


def test_two_trainings_are_compared_on_what_both_held_out(client, pets):
    a = made(pets, held_out())
    # The second has the images in another order, without one, with one that is new, one of another
    # label, and its classes are right where A was wrong.
    order = [5, 4, 3, 2, 1, 6]
    labels = [LABELS[row] for row in order]
    paths = [PATHS[row] for row in order]
    labels[0] = 0  # dog/5 was relabelled
    logits = [[0, 1] if label else [1, 0] for label in labels]
    second = held_out(paths=(*paths, "cat/new.png"), labels=[*labels, 0], logits=[*logits, [0, 1]],
                      distances=None)  # fmt: skip
    b = made(pets, second, name="B")
    asked = {"a": a, "b": b, "split": "test"}
    told = client.get("/api/results/compare", params=asked).json()
    # Shared with one label: cat/1, cat/2, dog/3, dog/4, cow/6.
    assert (told["count"], told["relabelled"]) == (5, 1)
    test = told["test"]
    assert [test[name] for name in ("both", "only_a", "only_b", "neither")] == [3, 0, 1, 1]
    assert test["p_value"] == 1.0
    assert told["differing"] == [{"path": "cat/2.png", "truth": "cat", "a": "dog", "b": "cat"}]
    assert told["sentence"].startswith("A is right on 0 images where B is wrong, B on 1 where A")
    refused = client.get("/api/results/compare", params={**asked, "split": "val"})
    assert (refused.status_code, "'val'" in refused.json()["error"]) == (400, True)


def test_trainings_without_a_common_image_are_not_compared():
    one = {"test": held_out()}
    other = {"test": held_out(paths=tuple(f"other/{path}" for path in PATHS))}
    with pytest.raises(DatasetError, match="held out in both"):
        shared(one, other, "test")


def test_answers_come_back_as_they_were(tmp_path):
    strange = ("cat/ä\udcff.png", *PATHS[1:])
    parts = [held_out(paths=strange), held_out(split="val", distances=None)]
    write_answers(tmp_path, parts)
    found = read_answers(tmp_path)
    assert found["test"].paths == strange
    for part in parts:
        back = found[part.report.split].report
        assert back.to_dict() == part.report.to_dict()
        np.testing.assert_array_equal(back.predictions.known, part.report.predictions.known)


@pytest.mark.parametrize("content", ["", "{}3", '{"test": {}}', '{"test": 3}', "[]"])
def test_damaged_answers_are_a_message(tmp_path, content):
    (tmp_path / "answers.json").write_text(content)
    with pytest.raises(MissingBundleError, match=r"cannot be read.*train again"):
        read_answers(tmp_path)


def test_no_training_is_a_message(client):
    refused = client.get("/api/results")
    assert refused.status_code == 400
    assert refused.json()["error"] == "there is no classifier of these photos yet; train one."
    assert (
        client.get("/api/results", params={"run": "x"})
        .json()["error"]
        .startswith("there is no run")
    )


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder that was trained on once, and the data folder with its run."""
    folder = photos(tmp_path_factory.mktemp("trained") / "colors", each=10)
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        own_home(home, patch)
        with opened_on(folder) as (_, client):
            client.post("/api/training/start", json=SETTINGS)
            assert ended(client)["job"]["state"] == "done"
        return folder, runs_folder(folder)


@pytest.mark.slow
def test_a_threshold_is_saved_into_the_classifier(trained):
    folder, kept = trained
    shutil.copytree(kept, runs_folder(folder))
    with opened_on(folder) as (_, client):
        before = client.get("/api/results", params={"split": "val"}).json()
        run = before["run"]["id"]
        point = before["unknown"]["points"][1]
        assert point["threshold"] != before["unknown"]["threshold"]
        asked = {"run": run, "threshold": point["threshold"]}
        saved = client.post("/api/results/threshold", json=asked)
        assert saved.json()["threshold"] == point["threshold"]
        after = client.get("/api/results", params={"split": "val"}).json()
        assert after["unknown"]["threshold"] == point["threshold"]
        assert after["report"]["answered"]["share"] == point["share"]
        bundle = load(runs_folder(folder) / run / "classifier.lamp")
        assert bundle.trust.threshold == point["threshold"]
        measured = bundle.trust.measured["unknown"]
        assert measured["coverage"]["value"] == pytest.approx(point["share"]["value"])
        assert bundle.record.scores["test"]["answered"] is not None
        refused = client.post("/api/results/threshold", json={"run": run, "threshold": -1})
        assert refused.status_code == 400
        assert (
            load(runs_folder(folder) / run / "classifier.lamp").trust.threshold
            == (point["threshold"])
        )


def test_a_damaged_run_leaves_the_others(client, pets):
    run = made(pets, held_out())
    Path(runs_folder(pets) / "19990101-000000").mkdir()
    (runs_folder(pets) / "19990101-000000" / "run.json").write_text("{")
    assert [one["id"] for one in client.get("/api/runs").json()["runs"]] == [run]
    assert json.loads((runs_folder(pets) / run / "run.json").read_text())["name"] == "A"
