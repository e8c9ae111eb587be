from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time

import numpy as np
import pytest

from lamplighter.inference.predictor import predict
from lamplighter.saving.bundle import load
from lamplighter.studio import training as following
from lamplighter.studio.api import training as asking
from lamplighter.studio.held_out import read_answers
from lamplighter.studio.runs import all_runs, new_run_folder, runs_folder
from lamplighter.studio.worker import describe_files

from .trainings import METHODS, SETTINGS, ended, kinds, opened_on, own_home, photos


@pytest.fixture(autouse=True)
def home(tmp_path_factory, monkeypatch):
    own_home(tmp_path_factory.mktemp("home"), monkeypatch)


@pytest.fixture
def photos_to_learn(tmp_path):
    return photos(tmp_path / "colors")


@pytest.fixture
def opened(photos_to_learn):
    """A studio on these photos, and a page that asks it."""
    with opened_on(photos_to_learn) as both:
        yield both


@pytest.fixture
def pretend(monkeypatch):
    """Let another program do the training: `pretend(source)`; it knows `request` and `tell`."""

    def patch(source):
        program = """
            import json, os, signal, sys, time
            request = json.loads(sys.stdin.buffer.readline())
            def tell(kind, **values):
                print(json.dumps({"kind": kind, "at": 0.5, **values}), flush=True)
        """
        code = textwrap.dedent(program) + textwrap.dedent(source)
        monkeypatch.setattr(following, "_COMMAND", (sys.executable, "-c", code))

    return patch


def start(client, **changed):
    return client.post("/api/training/start", json={**SETTINGS, **changed})


def test_a_training_becomes_a_run_with_what_it_answered(opened, photos_to_learn):
    studio, client = opened
    gone, relabelled = "blue/blue-00.png", "red/red-00.png"
    client.post("/api/aside", json={"paths": [gone], "reason": "a test"})
    client.post("/api/label", json={"paths": [relabelled], "class": "green"})
    client.post("/api/label", json={"paths": ["red/red-01.png"], "class": None})
    began = start(client, name="  My  colors ").json()
    assert (began["kind"], began["state"]) == ("training", "running")
    told = ended(client)
    assert (told["job"]["state"], told["job"]["error"]) == ("done", "")
    rungs = [event["rung"] for event in told["training"]["events"] if event["kind"] == "rung"]
    assert [rung["name"] for rung in rungs] == METHODS
    assert all("low" in rung["validation"]["accuracy"] for rung in rungs)
    assert told["training"]["data"]["images"] == 40
    assert told["training"]["step"]["name"] == "saving"

    (run,) = client.get("/api/runs").json()["runs"]
    assert run["id"] == told["job"]["result"]["run"]
    assert (run["stopped"], run["kind"]) == (False, "photos")
    assert run["settings"]["methods"] == METHODS
    assert sum(run["counts"].values()) == 40
    (found,) = all_runs(studio.project.source)
    answers = read_answers(found.folder)
    assert list(answers) == ["val", "test"]
    for split, part in answers.items():
        assert len(part.paths) == run["counts"][split] == run["scores"][split]["count"]
        truth = [part.report.class_names[label] for label in part.report.labels]
        folders = ["green" if path == relabelled else path.partition("/")[0] for path in part.paths]
        assert truth == folders
        assert gone not in part.paths
    # The bundle answers to the test images as was written down.
    test = answers["test"]
    said = predict(load(found.bundle), [photos_to_learn / path for path in test.paths])
    np.testing.assert_allclose(said.logits, test.report.predictions.logits, atol=1e-3)
    assert said.labels == test.report.predictions.labels


def test_what_happened_is_told_to_a_page_that_is_opened_later(opened, pretend):
    _, client = opened
    pretend("""
        tell("step", name="embedding", began=0.1, done=3, total=9)
        tell("begun", rung="linear", refit=False)
        tell("step", name="reading", began=0.1, done=0, total=0)
        sys.stdin.buffer.readline()
        tell("stopped")
    """)
    assert client.get("/api/training").json() == {"training": None, "job": None}
    start(client)
    wait_for(client, lambda told: told["step"] and told["step"]["name"] == "reading")
    told = client.get("/api/training").json()["training"]
    assert [event["kind"] for event in told["events"]] == ["begun"]
    assert told["settings"]["methods"] == METHODS
    assert abs(told["now"] - told["made"]) < 20
    client.post("/api/stop", json={"kind": "training"})
    assert kinds(ended(client)) == ["begun", "stopping", "stopped"]


def wait_for(client, met, seconds=20):
    end = time.monotonic() + seconds
    while not met(client.get("/api/training").json()["training"]):
        assert time.monotonic() < end
        time.sleep(0.02)


def test_the_studio_answers_and_works_while_it_trains(opened, pretend):
    studio, client = opened
    pretend('tell("begun", rung="linear", refit=False); sys.stdin.buffer.readline()')
    start(client)
    other = studio.jobs.start("audit", lambda job: "done meanwhile")
    end = time.monotonic() + 10
    while other.state != "done":
        assert time.monotonic() < end
        time.sleep(0.01)
    refused = start(client)
    assert refused.status_code == 400
    assert "another training is running" in refused.json()["error"]


def test_the_first_stop_asks_and_the_second_one_kills(opened, pretend):
    studio, client = opened
    pretend('tell("begun", rung="full", refit=False)\nwhile True: time.sleep(1)')
    start(client)
    wait_for(client, lambda told: told["events"])
    client.post("/api/stop", json={"kind": "training"})
    time.sleep(0.3)
    assert client.get("/api/training").json()["job"]["state"] == "running"
    client.post("/api/stop", json={"kind": "training"})
    told = ended(client, seconds=10)
    assert told["job"]["state"] == "stopped"
    assert kinds(told) == ["begun", "stopping"]
    assert not any(runs_folder(studio.project.source).iterdir())  # nothing half done is left
    assert client.get("/api/runs").json() == {"runs": []}


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ('tell("failed", error="there is no val split.")', "there is no val split."),
        ('sys.exit("torch is angry")', "the training ended unexpectedly: torch is angry"),
        ("os.kill(os.getpid(), signal.SIGKILL)", "ended from outside (SIGKILL), as the system"),
        ("os._exit(7)", "the training ended unexpectedly: exit status 7"),
        ('print("no JSON", flush=True)', "unexpected: "),
    ],
)
def test_a_training_that_fails_is_a_message(opened, pretend, source, message, caplog):
    studio, client = opened
    pretend(source)
    start(client)
    told = ended(client)
    assert told["job"]["state"] == "failed"
    assert message in told["job"]["error"]
    assert "\n" not in told["job"]["error"]
    assert not any(runs_folder(studio.project.source).iterdir())
    pretend('tell("stopped")')
    assert start(client).status_code == 200  # and the next one can begin
    ended(client)


def request_of(folder, run):
    from lamplighter.datasets.folders import find_files

    asked = {"name": "A", "made": 1.0, "kind": "photos", "data": {}, "folder": str(run)}
    settings = {**SETTINGS, "methods": ["linear", "slow"]}
    return {**asked, "settings": settings, "files": describe_files(find_files(folder))}


SLOW = """
import signal, time
signal.signal(signal.SIGINT, signal.SIG_IGN)  # as where the shell started it in the background
from lamplighter import register
from lamplighter.studio.worker import main
register("slow", lambda *_: time.sleep(60), kind="strategy")
main()
"""


@pytest.fixture
def slow_worker(photos_to_learn, tmp_path):
    """A worker that is in a method that takes a minute, after one that is done."""
    run = tmp_path / "run"
    run.mkdir()
    with subprocess.Popen(
        [sys.executable, "-c", SLOW], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        process.stdin.write(json.dumps(request_of(photos_to_learn, run)).encode() + b"\n")
        process.stdin.flush()
        for line in process.stdout:
            event = json.loads(line)
            assert event["kind"] not in ("failed", "stopped", "done"), event
            if event["kind"] == "begun" and event["rung"] == "slow":
                break
        yield process, run
        process.kill()


@pytest.mark.parametrize("by", ["line", pytest.param("signal", marks=pytest.mark.slow)])
def test_a_training_that_is_stopped_keeps_what_it_has_learned(slow_worker, by):
    process, run = slow_worker
    time.sleep(0.2)
    if by == "line":
        process.stdin.write(b"stop\n")
        process.stdin.flush()
    else:
        process.send_signal(signal.SIGINT)
    events = [json.loads(line) for line in process.stdout]
    assert events[-1]["kind"] == "done"
    assert process.wait(10) == 0
    notes = json.loads((run / "run.json").read_text())
    assert [rung["name"] for rung in notes["ladder"]["rungs"]] == ["linear"]
    assert notes["stopped"] is (by == "line")
    assert load(run / "classifier.lamp").class_names == ("blue", "green", "red")


@pytest.mark.slow
def test_a_studio_that_dies_takes_the_training_along(slow_worker):
    process, run = slow_worker
    process.stdin.close()
    assert process.wait(5) == 3
    assert list(run.iterdir()) == []


def test_runs_are_renamed_and_deleted(opened, pretend):
    studio, client = opened
    pretend(MADE)
    start(client)
    start_again = ended(client)["job"]["result"]["run"]
    run = client.get("/api/runs").json()["runs"][0]
    assert (run["id"], run["name"]) == (start_again, "Training 1")
    renamed = client.post("/api/runs/rename", json={"run": run["id"], "name": " Best  one "})
    assert renamed.json()["name"] == "Best one"
    for name in ("", "x" * 101):
        refused = client.post("/api/runs/rename", json={"run": run["id"], "name": name})
        assert (refused.status_code, "1 to 100" in refused.json()["error"]) == (400, True)
    for wrong in ("../digits", "no-such-run"):
        refused = client.post("/api/runs/delete", json={"run": wrong})
        assert (refused.status_code, "there is no run" in refused.json()["error"]) == (400, True)
    assert client.post("/api/runs/delete", json={"run": run["id"]}).status_code == 200
    assert client.get("/api/runs").json() == {"runs": []}
    assert not any(runs_folder(studio.project.source).iterdir())


MADE = """
    estimate = {"value": 0.5, "low": 0.1, "high": 0.9, "confidence": 0.95}
    report = {"split": "val", "count": 2, "accuracy": estimate, "macro_f1": estimate}
    rung = {"name": "linear", "validation": report}
    notes = {name: request[name] for name in ("name", "made", "kind", "settings", "data")}
    notes["ladder"] = {"chosen": "linear", "rungs": [rung], "tests": []}
    notes |= {"seconds": 1, "stopped": False, "threshold": None, "counts": {"val": 2}}
    with open(request["folder"] + "/run.json", "w") as file:
        json.dump(notes, file)
    tell("done")
"""


def test_what_was_left_unfinished_long_ago_is_removed(tmp_path):
    old, young = new_run_folder(tmp_path), new_run_folder(tmp_path)
    finished = new_run_folder(tmp_path)
    (old / "classifier.lamp").write_bytes(b"half")
    (finished / "run.json").write_text("{}")
    for folder in (old, finished):
        os.utime(folder, (1, 1))
    new = new_run_folder(tmp_path)
    assert set(runs_folder(tmp_path).iterdir()) == {young, finished, new}


def test_runs_that_cannot_be_kept_are_a_message(opened):
    studio, client = opened
    place = runs_folder(studio.project.source)
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text("a file is in the way")
    refused = start(client)
    assert refused.status_code == 400
    assert "a folder for a training cannot be made in" in refused.json()["error"]


def test_a_new_training_gets_a_name_of_its_own(opened, pretend):
    _, client = opened
    pretend(MADE)
    for _ in range(2):
        start(client)
        ended(client)
    assert [run["name"] for run in client.get("/api/runs").json()["runs"]] == [
        "Training 2",
        "Training 1",
    ]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"methods": []}, "choose one method or more"),
        ({"methods": ["liner"]}, "linear"),
        ({"backbone": "resnet"}, "efficientnet-lite0"),
        ({"minutes": 0}, "minutes must be 0.01 to 1,440"),
        ({"precision": "fp16"}, "int8"),
    ],
)
def test_settings_that_cannot_be_are_refused(opened, changed, message):
    _, client = opened
    refused = start(client, **changed)
    assert refused.status_code == 400
    assert message in refused.json()["error"]


def test_one_class_is_too_few(opened):
    _, client = opened
    client.post("/api/classes", json={"do": "merge", "names": ["blue", "green"], "into": "red"})
    refused = start(client)
    assert refused.status_code == 400
    assert "two classes or more" in refused.json()["error"]


def test_what_needs_torch_says_so(opened, monkeypatch):
    _, client = opened
    monkeypatch.setattr(asking, "_has_torch", lambda: False)
    told = client.get("/api/training/choices").json()
    here = {method["name"]: method["here"] for method in told["methods"]}
    assert {name for name, there in here.items() if not there} == {"head", "blocks", "full"}
    assert "[train]" in told["install"]
    refused = client.post("/api/training/digits", json={"recipe": "quick", "epochs": 1})
    assert refused.status_code == 400
    assert "needs torch, which is not installed; pip install" in refused.json()["error"]


def test_the_recipes_of_digits_are_those_of_the_library():
    from lamplighter.training.recipes import RECIPES
    from lamplighter.transfer.strategies import NEED_TORCH

    assert {name: epochs for name, (_, epochs) in asking._RECIPES.items()} == {
        name: recipe.epochs for name, recipe in RECIPES.items() if name != "photos"
    }
    assert asking._NEED_TORCH == NEED_TORCH


@pytest.mark.slow
def test_digits_are_learned_with_no_folder_open(tmp_path):
    with opened_on() as (_, page):
        page.post("/api/training/digits", json={"recipe": "quick", "epochs": 1})
        told = ended(page, seconds=200)
        assert told["job"]["state"] == "done", told["job"]
        batches = [one for one in told["training"]["events"] if one["kind"] == "batch"]
        (epoch,) = (one for one in told["training"]["events"] if one["kind"] == "epoch")
        assert len(batches) > 5
        assert batches[-1]["of"] == epoch["step"] == 430  # 55,000 in batches of 128
        assert batches[-1]["values"]["loss"] < batches[0]["values"]["loss"]
        assert epoch["values"]["val_acc"] > 0.97
        results = page.get("/api/results").json()
        assert results["report"]["count"] == 10_000
        assert results["report"]["accuracy"]["value"] > 0.97
        assert results["unknown"] is None
        number = results["mistakes"][0]["path"]
        digit = page.get("/api/results/digit", params={"split": "test", "number": number})
        assert digit.content.startswith(b"\x89PNG")
