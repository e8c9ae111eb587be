"""Recording into classes: what is written, where, and what is refused."""

from __future__ import annotations

import errno
import io
import os
import re
import zipfile

import pytest
from PIL import Image

from lamplighter.datasets.folders import find_files
from lamplighter.files import writing
from tests.studio.pictures import photos


def jpeg(level: int = 100) -> bytes:
    encoded = io.BytesIO()
    Image.new("RGB", (64, 48), (level, 90, 90)).save(encoded, "JPEG")
    return encoded.getvalue()


@pytest.fixture
def folder(tmp_path):
    return photos(tmp_path / "photos")


def record(client, name: str, count: int = 3, **more: str) -> list[str]:
    """Record some images into a class, and return their paths."""
    begun = client.post("/api/collect/start", json={"class": name, **more}).json()
    paths = [
        client.post(
            f"/api/collect/frame?recording={begun['recording']}&number={number}",
            content=jpeg(number),
        ).json()["path"]
        for number in range(1, count + 1)
    ]
    client.post("/api/collect/finish")
    return paths


def test_images_go_to_their_class(ask, folder):
    client = ask(folder)
    paths = record(client, "red") + record(client, "yellow", 2)
    table = client.get("/api/files").json()
    labels = {
        path: table["class_names"][label]
        for path, label in zip(table["paths"], table["labels"], strict=True)
    }
    assert [labels[path] for path in paths] == ["red"] * 3 + ["yellow"] * 2
    files = find_files(folder)
    assert set(paths) < set(files.paths)
    assert {files.groups[files.paths.index(path)] for path in paths[:3]} == {
        re.sub(r"^red/|_\d+\.jpg$", "", paths[0])
    }
    assert (folder / paths[0]).read_bytes() == jpeg(1)


def test_a_class_that_was_renamed(ask, folder):
    client = ask(folder)
    client.post("/api/classes", json={"do": "rename", "old": "red", "new": "scarlet"})
    (path,) = record(client, "scarlet", 1)
    table = client.get("/api/files").json()
    assert path.startswith("red/")
    assert table["class_names"][table["labels"][table["paths"].index(path)]] == "scarlet"


def test_what_was_recorded_is_set_aside_and_taken_back(ask, folder):
    client = ask(folder)
    paths = record(client, "red")
    client.post("/api/aside", json={"paths": paths, "reason": "set aside while collecting"})
    assert len(client.get("/api/labels").json()["aside"]) == 3
    client.post("/api/undo", json={})
    assert client.get("/api/labels").json()["aside"] == {}
    assert all((folder / path).exists() for path in paths)


def test_into_a_split(ask, tmp_path):
    for split in ("train", "test"):
        photos(tmp_path / "photos" / split)
    client = ask(tmp_path / "photos")
    assert record(client, "red", 1)[0].startswith("train/red/")
    assert record(client, "red", 1, split="test")[0].startswith("test/red/")


@pytest.mark.parametrize(
    ("name", "words"),
    [("test", "choose another name"), ("a/b", "slash"), ("", "empty"), ("RED", "case alone")],
)
def test_names_that_no_class_can_have(ask, folder, name, words):
    answer = ask(folder).post("/api/collect/start", json={"class": name})
    assert answer.status_code == 400
    assert words in answer.json()["error"]


def test_nothing_is_overwritten(ask, folder):
    client = ask(folder)
    begun = client.post("/api/collect/start", json={"class": "red"}).json()
    where = f"/api/collect/frame?recording={begun['recording']}&number=1"
    path = folder / client.post(where, content=jpeg(1)).json()["path"]
    again = client.post(where, content=jpeg(2))
    assert again.status_code == 400
    assert "there already" in again.json()["error"]
    assert path.read_bytes() == jpeg(1)


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("recording=recording-20260101-000000-0000&number=1", "begin a new one"),
        ("recording=../../../tmp/x&number=1", "begin a new one"),
        ("recording=&number=1", "begin a new one"),
        ("recording=x&number=0", "at most"),
        ("number=1", "'recording'"),
    ],
)
def test_frames_of_no_recording(ask, folder, query, words):
    before = sorted(folder.rglob("*"))
    answer = ask(folder).post(f"/api/collect/frame?{query}", content=jpeg())
    assert answer.status_code == 400
    assert words in answer.json()["error"]
    assert sorted(folder.rglob("*")) == before


def test_what_is_no_jpeg(ask, folder):
    client = ask(folder)
    begun = client.post("/api/collect/start", json={"class": "red"}).json()
    for content in (b"", b"text", jpeg()[:200]):
        answer = client.post(
            f"/api/collect/frame?recording={begun['recording']}&number=1", content=content
        )
        assert answer.status_code == 400
        assert "\n" not in answer.json()["error"]
    assert not list(folder.rglob("recording*"))


def test_a_full_disk_is_one_line(ask, folder, monkeypatch):
    client = ask(folder)
    begun = client.post("/api/collect/start", json={"class": "red"}).json()

    def full(number: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(writing.os, "fsync", full)
    answer = client.post(
        f"/api/collect/frame?recording={begun['recording']}&number=1", content=jpeg()
    )
    assert answer.status_code == 400
    assert "No space left on device; free some space" in answer.json()["error"]
    assert not list(folder.rglob("*recording*"))


def test_a_zip_file_takes_none_and_a_folder_beside_it_does(ask, tmp_path):
    archive = tmp_path / "mine.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for name in ("cats/1.jpg", "dogs/1.jpg"):
            file.writestr(name, jpeg())
    (tmp_path / "mine-collected").mkdir()
    client = ask(archive)
    about = client.get("/api/collect/about").json()
    assert not about["takes_images"]
    assert about["beside"] == str(tmp_path / "mine-collected-2")
    refused = client.post("/api/collect/start", json={"class": "cats"})
    assert "takes no images; collect into a new folder" in refused.json()["error"]


def test_without_a_folder(ask):
    answer = ask().post("/api/collect/start", json={"class": "red"})
    assert answer.json()["error"] == "no folder is open; open one first."
