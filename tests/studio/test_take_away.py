"""What can be taken home: whole files with proper names, and words that make the same."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys

import pytest

from lamplighter.datasets.folders import find_files
from lamplighter.inference.runtime import OnnxRuntime
from lamplighter.saving.bundle import load
from tests.studio.pictures import photos
from tests.studio.test_try_it import until_done
from tests.studio.trained import bundle, train


@pytest.fixture
def folder(home, tmp_path):
    train(tmp_path / "colors")
    return tmp_path / "colors"


@pytest.fixture
def client(ask, folder):
    return ask(folder)


def make_report(client) -> None:
    client.post("/api/take-away/report", json={})
    assert until_done(client, "report")["state"] == "done"


def test_the_bundle_is_whole(client, tmp_path):
    answer = client.get("/api/take-away/download?what=bundle")
    assert 'filename="colors.lamp"' in answer.headers["content-disposition"]
    assert answer.content == bundle()


def test_the_graph_can_be_run(client):
    answer = client.get("/api/take-away/download?what=onnx")
    assert 'filename="colors.onnx"' in answer.headers["content-disposition"]
    assert OnnxRuntime(answer.content).num_features == 1280


def test_the_report_is_made_and_then_taken(client, folder):
    early = client.get("/api/take-away/download?what=report")
    assert early.status_code == 400
    assert "make it first" in early.json()["error"]
    assert client.get("/api/take-away/offers").json()["report"] is False
    make_report(client)
    assert client.get("/api/take-away/offers").json()["report"] is True
    page = client.get("/api/take-away/download?what=report")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "<h1>colors: what the classifier is worth</h1>" in page.text
    assert "<h2>Measured on test</h2>" in page.text
    assert "<h2>Measured on val</h2>" not in page.text
    assert re.search(
        r"<dt>Images</dt><dd>test \d+, train \d+, val \d+</dd>|train \d+, val", page.text
    )


def test_the_labels_are_read_back(client, folder, tmp_path):
    client.post("/api/label", json={"paths": ["red/red-00.png"], "class": "blue"})
    answer = client.get("/api/take-away/download?what=labels")
    (tmp_path / "labels.csv").write_bytes(answer.content)
    files = find_files(tmp_path / "labels.csv")
    labels = {
        path.name: files.class_names[label]
        for path, label in zip(files.files, files.labels, strict=True)
    }
    assert len(labels) == 36
    assert labels["red-00.png"] == "blue"


@pytest.mark.parametrize("what", ["bundle", "onnx", "report", "labels"])
def test_saving_replaces_nothing(client, tmp_path, what):
    if what == "report":
        make_report(client)
    place = {"what": what, "folder": str(tmp_path), "name": "mine"}
    path = client.post("/api/take-away/save", json=place).json()["path"]
    content = (tmp_path / path).read_bytes()
    assert content
    again = client.post("/api/take-away/save", json=place)
    assert again.status_code == 400
    assert "there already" in again.json()["error"]
    assert (tmp_path / path).read_bytes() == content


@pytest.mark.parametrize(
    ("folder_", "name", "words"),
    [
        ("", "a", "whole path of a folder"),
        ("photos", "a", "whole path of a folder"),
        ("/nowhere/at/all", "a", "there is no folder"),
        ("{tmp}", "../a", "without slashes"),
        ("{tmp}", " ", "without slashes"),
        ("{tmp}", ".hidden", "without slashes"),
        ("{tmp}", "a" * 200, "at most 100"),
    ],
)
def test_places_that_do_not_do(client, tmp_path, folder_, name, words):
    place = {"what": "bundle", "folder": folder_.format(tmp=tmp_path), "name": name}
    answer = client.post("/api/take-away/save", json=place)
    assert answer.status_code == 400
    assert words in answer.json()["error"]
    assert "\n" not in answer.json()["error"]


def test_a_name_in_another_script(ask, home, tmp_path):
    train(tmp_path / "лодки и 船")
    header = ask(tmp_path / "лодки и 船").get("/api/take-away/download?what=labels").headers
    assert "filename*=UTF-8''%D0%BB" in header["content-disposition"]
    header["content-disposition"].encode("ascii")


def test_without_a_training_there_are_the_labels(ask, home, tmp_path):
    client = ask(photos(tmp_path / "photos"))
    offers = client.get("/api/take-away/offers").json()
    assert [offer["what"] for offer in offers["offers"]] == ["labels"]
    answer = client.get("/api/take-away/download?what=bundle")
    assert "train one" in answer.json()["error"]
    assert client.get("/api/take-away/download?what=all").status_code == 400


def test_without_a_folder_there_is_nothing(ask):
    offers = ask().get("/api/take-away/offers").json()
    assert (offers["runs"], offers["offers"]) == ([], [])


def test_damage_is_not_handed_on(client, folder, home):
    (file,) = home.rglob("classifier.lamp")
    file.write_bytes(bundle()[:-100])
    for what in ("bundle", "onnx"):
        answer = client.get(f"/api/take-away/download?what={what}")
        assert answer.status_code == 400
        assert "classifier.lamp" in answer.json()["error"]


def test_answers_that_are_gone_are_told(client, home):
    (file,) = home.rglob("answers.json")
    file.unlink()
    (report,) = [
        one
        for one in client.get("/api/take-away/offers").json()["offers"]
        if one["what"] == "report"
    ]
    assert "train again" in report["why_not"]
    client.post("/api/take-away/report", json={})
    assert until_done(client, "report")["state"] == "failed"


@pytest.mark.slow
def test_the_words_beside_do_the_same(client, tmp_path, home):
    """Each command and each piece of Python that is shown, run as it stands."""
    made = {}
    for way in ("terminal", "python"):
        work = tmp_path / way
        work.mkdir()
        photos(work, each=1)
        (work / "red" / "red-00.png").rename(work / "photo.jpg")
        for offer in client.get("/api/take-away/offers").json()["offers"]:
            if way == "python":
                commands = [[sys.executable, "-c", offer["python"]]]
            else:
                commands = [
                    [sys.executable, "-m", *words] if words[0] == "lamplighter" else words
                    for words in map(shlex.split, offer["terminal"].splitlines())
                ]
            for command in commands:
                subprocess.run(command, cwd=work, check=True, capture_output=True)
            made.setdefault(offer["what"], []).append(work / offer["file"])
    assert all(path.is_file() for paths in made.values() for path in paths)
    assert load(made["bundle"][1]).class_names == ("blue", "green", "red")
    one, other = (path.read_text() for path in made["report"])
    assert "right for" in one.lower()
    assert one.count("<table") == other.count("<table")
    assert len({path.read_bytes() for path in made["onnx"]}) == 1
