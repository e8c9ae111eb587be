"""The gallery's requests: files as a table, labels, steps, pictures."""

from __future__ import annotations

import io
import json
import os
import sys
import threading
import time
from pathlib import Path
from urllib.parse import quote_from_bytes

import pytest
from PIL import Image

from lamplighter.studio.project import Project
from lamplighter.studio.thumbnails import SIDE
from lamplighter.workspace.workspace import Workspace
from tests.studio.pictures import photos, picture


@pytest.fixture
def folder(tmp_path) -> Path:
    return photos(tmp_path / "photos", each=2)


@pytest.fixture
def client(ask, folder):
    return ask(folder)


def said(client, path, **fields):
    """What a step answers: the sentences of the steps."""
    answer = client.post(f"/api/{path}", json=fields)
    assert answer.status_code == 200, answer.text
    return [step["sentence"] for step in answer.json()["steps"]]


def label_of(client, path):
    files = client.get("/api/files").json()
    return [*files["class_names"], None][files["labels"][files["paths"].index(path)]]


def test_files_are_columns(client, folder):
    files = client.get("/api/files").json()
    assert files["paths"][:3] == ["blue/blue-00.png", "blue/blue-01.png", "green/green-00.png"]
    assert files["class_names"] == ["blue", "green", "red"]
    assert files["labels"] == [0, 0, 1, 1, 2, 2]
    assert (files["split_names"], files["splits"]) == ([""], [0] * 6)
    assert (files["aside"], files["left_out"], files["root"]) == ({}, [], str(folder))


def test_steps_are_taken_undone_and_told(client, folder):
    one = "blue/blue-00.png"
    assert said(client, "label", paths=[one], **{"class": "red"}) == [f"label {one} red"]
    assert label_of(client, one) == "red"
    assert said(client, "label", paths=[one], **{"class": "red"}) == []
    assert said(client, "aside", paths=[one], reason="blurred") == [f"set {one} aside: blurred"]
    assert client.get("/api/labels").json()["aside"] == {"0": "blurred"}
    assert said(client, "keep", paths=[one]) == [f"keep {one}"]
    assert said(client, "classes", do="add", name="navy") == ["add the class navy"]
    assert said(client, "classes", do="rename", old="blue", new="sky") == ["rename blue to sky"]
    assert said(client, "classes", do="merge", names=["sky"], into="navy") == [
        "merge sky into navy"
    ]
    assert label_of(client, "blue/blue-01.png") == "navy"
    assert len(said(client, "undo", count=5)) == 5
    assert (label_of(client, one), label_of(client, "blue/blue-01.png")) == ("red", "blue")
    assert said(client, "redo", count=2) == [f"set {one} aside: blurred", f"keep {one}"]
    done = [step["done"] for step in client.get("/api/steps").json()["steps"]]
    assert done == [True, True, True, False, False, False]
    with Workspace.open(folder) as seen:
        assert len([step for step in seen.steps() if step.done]) == 3


def test_orders(client, folder):
    os.utime(folder / "red" / "red-00.png", (2e9, 2e9))
    os.utime(folder / "blue" / "blue-01.png", (1e9, 1e9))
    for by, first, last in (("name", 0, 5), ("newest", 4, 1)):
        ranks = client.get("/api/order", params={"by": by}).json()["ranks"]
        assert sorted(ranks) == list(range(6))
        assert (ranks.index(0), ranks.index(5)) == (first, last)
    answer = client.get("/api/order", params={"by": "size"})
    assert answer.json() == {"error": "'by' must be name or newest, received 'size'."}


def test_undo_of_a_step_that_is_not_the_last_is_refused(client):
    client.post("/api/label", json={"paths": ["blue/blue-00.png"], "class": "red"})
    answer = client.post("/api/undo", json={"last": 7})
    assert answer.status_code == 400
    assert "step 7 is not the last one" in answer.json()["error"]


@pytest.mark.parametrize(
    ("path", "fields", "message"),
    [
        ("label", {"paths": ["../secret.png"], "class": "red"}, "no image ../secret.png"),
        ("label", {"paths": ["blue/blue-00.png"], "class": "rde"}, "did you mean 'red'?"),
        ("label", {"paths": "blue/blue-00.png", "class": "red"}, "must be of type list"),
        ("label", {"class": "red"}, "'paths' must be of type list, received none"),
        ("classes", {"do": "burn"}, "'do' must be add, rename or merge"),
        ("aside", {"paths": ["blue/blue-00.png"], "reason": ""}, "set aside for a reason"),
        ("undo", {}, "there is no step to undo"),
        ("undo", {"count": "many"}, "must be of type int"),
    ],
)
def test_what_cannot_be_done_is_told_on_one_line(client, path, fields, message):
    answer = client.post(f"/api/{path}", json=fields)
    assert answer.status_code == 400
    assert message in answer.json()["error"]
    assert "\n" not in answer.json()["error"]


@pytest.mark.parametrize("body", ["{", "[]", "null", '"text"', "[" * 100_000])
def test_what_is_no_request_is_told(client, body):
    answer = client.post("/api/label", content=body)
    assert answer.status_code == 400
    assert "a request must be" in answer.json()["error"]


def test_thumbnails_are_small_and_upright(client, folder):
    large = Image.new("RGB", (1200, 400), (9, 9, 200))
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter
    large.save(folder / "blue" / "large.jpg", exif=exif)
    client.app.state.studio.project.rescan()
    for kind, size in (("thumbnail", (SIDE // 3, SIDE)), ("image", (400, 1200))):
        answer = client.get(f"/api/{kind}", params={"path": "blue/large.jpg"})
        assert answer.headers["content-type"] == "image/jpeg"
        assert Image.open(io.BytesIO(answer.content)).size == size


ODD = ("a+b.png", "50%.png", "a#b?c&d=e.png", "ü \u65e5.png", "e\u0301.png", "x\ny.png", "'q\".png")


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")
def test_odd_names_of_files(ask, tmp_path):
    folder = tmp_path / "a folder + more"
    for name in ODD:
        picture(folder / "class #1" / name, (1, 2, 3))
    raw = os.fsencode(folder / "class #1") + b"/caf\xe9.png"
    with open(raw, "wb") as file:  # noqa: PTH123 - not UTF-8
        file.write((folder / "class #1" / "50%.png").read_bytes())
    client = ask(Path(f"{folder}/"))
    paths = client.get("/api/files").json()["paths"]
    assert {os.fsencode(path.rpartition("/")[2]) for path in paths} == {
        *map(os.fsencode, ODD),
        b"caf\xe9.png",
    }
    for path in paths:
        address = f"/api/thumbnail?path={quote_from_bytes(os.fsencode(path), safe='')}"
        assert client.get(address).status_code == 200
    client.post("/api/classes", json={"do": "add", "name": "new"})
    body = json.dumps({"paths": paths, "class": "new"})
    assert client.post("/api/label", content=body).status_code == 200
    assert set(client.get("/api/labels").json()["labels"]) == {1}


def test_a_thumbnail_follows_its_file(client, folder):
    ask = {"path": "blue/blue-00.png"}
    before = client.get("/api/thumbnail", params=ask).content
    picture(folder / "blue" / "blue-00.png", (250, 250, 0), 9)
    after = client.get("/api/thumbnail", params=ask).content
    assert after != before
    assert Image.open(io.BytesIO(after)).convert("RGB").getpixel((90, 70)) == pytest.approx(
        (250, 250, 0), abs=6
    )


@pytest.mark.parametrize("kind", ["thumbnail", "image"])
@pytest.mark.parametrize(
    "path", ["../photos/blue/blue-00.png", "/etc/passwd", "blue/../../secret.png", "", "blue"]
)
def test_no_file_outside_the_folder_is_shown(client, folder, kind, path):
    picture(folder.parent / "secret.png", (1, 2, 3))
    answer = client.get(f"/api/{kind}", params={"path": path})
    assert answer.status_code == 400
    assert "is not among the images of photos" in answer.json()["error"]


def test_a_file_that_has_vanished_is_told(client, folder):
    (folder / "blue" / "blue-00.png").unlink()
    answer = client.get("/api/thumbnail", params={"path": "blue/blue-00.png"})
    assert answer.status_code == 400
    assert "blue-00.png" in answer.json()["error"]
    fields = {"paths": ["blue/blue-00.png"], "class": "red"}
    answer = client.post("/api/label", json=fields)
    assert "has vanished since the folder was read; nothing is changed" in answer.json()["error"]


def test_a_folder_that_may_not_be_read_is_left_out_and_told(ask, folder, monkeypatch):
    scandir = os.scandir

    def guarded(path):
        if str(path).endswith("red"):
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", guarded)
    files = ask(folder).get("/api/files").json()
    assert len(files["paths"]) == 4
    assert files["left_out"] == [["red", "may not be read; change its permissions."]]


class Heard:
    """What pages are told, and a way to wait for it."""

    def __init__(self) -> None:
        self.told: list[tuple[str, dict]] = []
        self._more = threading.Event()

    def publish(self, kind, data):
        self.told.append((kind, data))
        self._more.set()

    def wait_for(self, kind):
        for _ in range(100):
            if found := [data for one, data in self.told if one == kind]:
                return found[-1]
            self._more.wait(0.1)
            self._more.clear()
        raise AssertionError(self.told)


@pytest.fixture
def followed(home, folder, monkeypatch):
    monkeypatch.setattr("lamplighter.studio.project._LOOK", 0.02)
    heard = Heard()
    project = Project(folder, heard)
    yield project, heard
    project.close()


def test_pages_are_told_of_what_a_command_does(followed, folder):
    project, heard = followed
    with Workspace.open(folder) as command:
        command.label("blue/blue-00.png", "red")
    assert heard.wait_for("labels")["change"] == 1
    assert project.table().files.labels[0] == 2


def test_pages_are_told_of_a_folder_that_changes(followed, folder):
    project, heard = followed
    picture(folder / "red" / "new.png", (1, 2, 3))
    assert heard.wait_for("files") == {"scan": 2, "change": 0}
    assert "red/new.png" in project.table().files.paths


def test_a_journal_that_is_begun_is_no_change_of_the_folder(followed, folder):
    project, heard = followed
    project.workspace.label(["blue/blue-00.png"], "red")
    heard.wait_for("labels")
    time.sleep(0.3)
    assert [kind for kind, _ in heard.told] == ["labels"]
    picture(folder / "new.png", (1, 2, 3))
    assert heard.wait_for("files")["scan"] == 2


def test_a_folder_that_goes_away_is_told_once_and_taken_back(followed, folder):
    project, heard = followed
    away = folder.rename(folder.with_name("away"))
    assert "there is no folder" in heard.wait_for("trouble")["error"]
    assert len(project.table().files) == 6
    away.rename(folder)
    picture(folder / "red" / "new.png", (1, 2, 3))
    heard.wait_for("files")
    assert len(project.table().files) == 7
    assert len([kind for kind, _ in heard.told if kind == "trouble"]) == 1


def test_a_folder_that_was_empty_is_looked_at_too(followed, folder):
    project, heard = followed
    (folder / "new").mkdir()
    heard.wait_for("files")
    heard.told.clear()
    picture(folder / "new" / "1.png", (1, 2, 3))
    heard.wait_for("files")
    assert "new/1.png" in project.table().files.paths
