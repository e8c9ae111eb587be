"""The first page: what may be opened, looked through, brought and begun with."""

from __future__ import annotations

import errno
import io
import os
import shutil
import zipfile
from collections import namedtuple
from pathlib import Path

import pytest

from lamplighter.studio import uploads
from lamplighter.studio.places import folder_name, new_place
from tests.studio.pictures import photos, picture


def upload(client, files, name="holiday"):
    """Bring files, and return the answers to each, and the number of the upload."""
    size = sum(map(len, files.values()))
    begun = client.post("/api/uploads", json={"name": name, "size": size, "count": len(files)})
    key = begun.json()["id"]
    answers = [
        client.post("/api/uploads/file", params={"id": key, "path": path}, content=content)
        for path, content in files.items()
    ]
    return key, answers


def in_folder(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.fixture
def png(tmp_path) -> bytes:
    return picture(tmp_path / "one.png", (200, 0, 0)).read_bytes()


def test_nothing_is_open_at_first(ask):
    client = ask()
    assert client.get("/api/state").json()["folder"] is None
    answer = client.get("/api/files")
    assert (answer.status_code, answer.json()) == (
        400,
        {"error": "no folder is open; open one first."},
    )


def test_a_folder_is_opened_and_remembered(ask, tmp_path):
    folders = [photos(tmp_path / name, each=1) for name in ("a", "b")]
    client = ask()
    for folder in folders:
        assert client.post("/api/open", json={"folder": str(folder)}).json()["folder"] == str(
            folder
        )
    assert client.get("/api/places").json()["recent"] == [str(folders[1]), str(folders[0])]
    shutil.rmtree(folders[1])
    assert client.get("/api/places").json()["recent"] == [str(folders[0])]


@pytest.mark.parametrize(
    ("folder", "message"),
    [
        ("/nowhere/at/all", "there is no folder"),
        ("~nobody/photos", "there is no folder"),
        ("a\0b", "received none"),
        ("", "received none"),
    ],
)
def test_what_cannot_be_opened_leaves_the_open_folder_open(ask, tmp_path, folder, message):
    known = photos(tmp_path / "photos", each=1)
    client = ask(known)
    answer = client.post("/api/open", json={"folder": folder})
    assert answer.status_code == 400
    assert message in answer.json()["error"]
    assert client.get("/api/state").json()["folder"] == str(known)


def test_a_folder_without_images_is_opened_empty_and_seen_to_be_filled(ask, tmp_path):
    folder = tmp_path / "empty"
    (folder / "cup").mkdir(parents=True)
    (folder / "notes.txt").write_text("cups")
    client = ask(folder)
    files = client.get("/api/files").json()
    assert (files["paths"], files["class_names"]) == ([], [])
    assert [path for path, _ in files["left_out"]] == ["notes.txt"]
    picture(folder / "cup" / "1.png", (1, 2, 3))
    client.app.state.studio.project._look_at_folders()
    assert client.get("/api/files").json()["paths"] == ["cup/1.png"]


def test_folders_are_listed_by_name_from_home_on(ask, home):
    for name in ("photos/cats", "photos/dogs", ".hidden"):
        (home / name).mkdir(parents=True)
    picture(home / "photos" / "1.png", (1, 2, 3))
    (home / "photos" / "secret.txt").write_text("secret")
    client = ask()
    top = client.get("/api/folders").json()
    assert top == {"folder": str(home), "above": None, "names": ["photos", "Pictures"], "images": 0}
    below = client.get("/api/folders", params={"folder": str(home / "photos")}).json()
    assert below == {
        "folder": str(home / "photos"),
        "above": str(home),
        "names": ["cats", "dogs"],
        "images": 1,
    }


@pytest.mark.parametrize(
    "path", ["/", "/etc", "{home}/..", "{home}/photos/../../..", "{home}/out", "/\0"]
)
def test_no_folder_outside_is_listed(ask, home, path):
    (home / "photos").mkdir()
    (home / "out").symlink_to("/etc")
    answer = ask().get("/api/folders", params={"folder": path.format(home=home)})
    assert answer.status_code == 400
    assert answer.json()["error"].startswith("only folders in")


def test_a_folder_that_may_not_be_read_is_told(ask, home, monkeypatch):
    def closed(folder):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    client = ask()
    with monkeypatch.context() as patch:
        patch.setattr("lamplighter.studio.places.os.scandir", closed)
        answer = client.get("/api/folders", params={"folder": str(home)})
    assert "Permission denied; check its permissions" in answer.json()["error"]


def test_photos_are_brought_to_a_new_folder(ask, home, png):
    client = ask()
    files = {"cats/1.png": png, "dogs/1.png": png + b"x"}
    key, answers = upload(client, files)
    place = home / "Pictures" / "Lamplighter" / "holiday"
    assert [answer.status_code for answer in answers] == [200, 200]
    assert not place.exists()
    state = client.post("/api/uploads/finish", json={"id": key}).json()
    assert state["folder"] == str(place)
    assert in_folder(place) == files
    assert client.get("/api/files").json()["class_names"] == ["cats", "dogs"]


def test_nothing_is_overwritten_by_what_is_brought(ask, home, png):
    client = ask()
    for number, content in enumerate((png, png + b"x")):
        key, _ = upload(client, {"a.png": content, "A.png": content + b"y"})
        state = client.post("/api/uploads/finish", json={"id": key}).json()
        name = "holiday" if number == 0 else "holiday 2"
        assert state["folder"] == str(home / "Pictures" / "Lamplighter" / name)
        assert in_folder(Path(state["folder"])) == {"a.png": content, "A (2).png": content + b"y"}


def test_a_zip_file_that_is_brought_alone_is_opened(ask, png):
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as whole:
        whole.writestr("cats/1.png", png)
        whole.writestr("dogs/1.png", png)
    client = ask()
    key, _ = upload(client, {"photos.zip": content.getvalue()})
    state = client.post("/api/uploads/finish", json={"id": key}).json()
    assert state["folder"].endswith("holiday/photos.zip")
    assert client.get("/api/files").json()["paths"] == ["cats/1.png", "dogs/1.png"]


def test_two_uploads_of_one_name_at_once_keep_apart(ask, home, png):
    client = ask()
    keys = [upload(client, {"a.png": png + bytes([number])})[0] for number in range(2)]
    for number, key in enumerate(keys):
        state = client.post("/api/uploads/finish", json={"id": key}).json()
        assert in_folder(Path(state["folder"])) == {"a.png": png + bytes([number])}


def test_a_copy_that_cannot_be_opened_is_not_kept(ask, home):
    client = ask()
    key, _ = upload(client, {"photos.zip": b"no zip file"})
    answer = client.post("/api/uploads/finish", json={"id": key})
    assert "must be a whole zip file" in answer.json()["error"]
    assert list((home / "Pictures" / "Lamplighter").iterdir()) == []


@pytest.mark.parametrize(
    "path", ["../1.png", "a/../../1.png", "/etc/1.png", "a//1.png", ".ssh/1.png", "", "a\n.png"]
)
def test_nothing_is_brought_out_of_its_folder(ask, home, png, path):
    client = ask()
    _, (answer,) = upload(client, {path: png})
    assert answer.status_code == 400
    assert "must lie in its folder" in answer.json()["error"]


def test_names_that_other_systems_do_not_take_are_changed(ask, home, png):
    client = ask()
    key, _ = upload(client, {"a\\b:c/d?.PNG": png}, name="my / trip\n")
    client.post("/api/uploads/finish", json={"id": key})
    place = home / "Pictures" / "Lamplighter" / "my - trip"
    assert in_folder(place) == {"a-b-c/d.PNG": png}


def test_what_is_no_photo_is_not_brought(ask):
    client = ask()
    key, (answer,) = upload(client, {"letter.docx": b"Dear"})
    assert "an image or a zip file is wanted, received letter.docx" in answer.json()["error"]
    answer = client.post("/api/uploads/finish", json={"id": key})
    assert "none of these files is an image" in answer.json()["error"]


def test_what_is_cancelled_leaves_nothing(ask, home, png):
    client = ask()
    key, _ = upload(client, {"a.png": png})
    assert client.post("/api/uploads/cancel", json={"id": key}).status_code == 200
    assert list((home / "Pictures" / "Lamplighter").iterdir()) == []
    answer = client.post("/api/uploads/finish", json={"id": key})
    assert "bring them anew" in answer.json()["error"]


def test_what_is_not_complete_is_removed_at_the_end(ask, home, png):
    client = ask()
    upload(client, {"a.png": png})
    client.app.state.studio.close()
    assert list((home / "Pictures" / "Lamplighter").iterdir()) == []


@pytest.mark.parametrize(("size", "count"), [(2 * 10**10 + 1, 3), (10, 0), (10, 10**6), (-1, 2)])
def test_too_much_is_refused_before_it_is_sent(ask, home, size, count):
    asked = {"name": "much", "size": size, "count": count}
    answer = ask().post("/api/uploads", json=asked)
    assert answer.status_code == 400
    assert "can be brought" in answer.json()["error"]
    assert not (home / "Pictures" / "Lamplighter").exists()


def test_a_disk_that_is_too_small_is_told_before(ask, home, monkeypatch):
    usage = namedtuple("usage", "total used free")(10**9, 10**9, 10**6)
    monkeypatch.setattr(uploads.shutil, "disk_usage", lambda _: usage)
    answer = ask().post("/api/uploads", json={"name": "much", "size": 5, "count": 1})
    assert "the disk has 1 MB free" in answer.json()["error"]
    assert list((home / "Pictures" / "Lamplighter").iterdir()) == []


def test_a_file_that_is_too_large_is_refused_and_leaves_nothing(ask, home, monkeypatch, png):
    monkeypatch.setattr(uploads, "LARGEST_IMAGE", 1000)
    client = ask()
    _, (told, streamed) = upload(client, {"a.png": bytes(2000), "b.png": _stream(2000)})
    assert told.status_code == 413
    assert streamed.status_code == 400
    assert "at most 0 MB" in streamed.json()["error"]
    shelf = home / "Pictures" / "Lamplighter"
    assert list(shelf.rglob("*.png")) == []


class _stream:
    """Content of a length that nobody tells before."""

    def __init__(self, size):
        self._size = size

    def __len__(self):
        return 1

    def __iter__(self):
        for _ in range(self._size // 100):
            yield bytes(100)


def test_a_disk_that_is_full_is_told_and_the_rest_stays(ask, home, monkeypatch, png):
    client = ask()
    key, _ = upload(client, {"a.png": png})

    def full(self, part):
        with self._explained():
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(uploads.Incoming, "write", full)
        answer = client.post("/api/uploads/file", params={"id": key, "path": "b.png"}, content=png)
    assert "No space left on device; free some space" in answer.json()["error"]
    state = client.post("/api/uploads/finish", json={"id": key}).json()
    assert in_folder(Path(state["folder"])) == {"a.png": png}


def test_emoji_to_begin_with(ask, home):
    client = ask()
    for name in ("Emoji", "Emoji 2"):
        state = client.post("/api/emoji").json()
        assert state["folder"] == str(home / "Pictures" / "Lamplighter" / name)
    assert len(client.get("/api/files").json()["paths"]) == 950


def test_an_empty_collection_with_classes(ask, home):
    client = ask()
    state = client.post("/api/collection", json={"name": "Cups", "classes": ["cup", "no cup"]})
    assert state.json()["folder"] == str(home / "Pictures" / "Lamplighter" / "Cups")
    files = client.get("/api/files").json()
    assert (files["paths"], files["class_names"]) == ([], ["cup", "no cup"])


@pytest.mark.parametrize("classes", [["cup", "cup"], ["a/b"], ["cup", "Cup"], [""]])
def test_classes_that_cannot_be_leave_no_folder(ask, home, classes):
    answer = ask().post("/api/collection", json={"name": "Cups", "classes": classes})
    assert answer.status_code == 400
    assert "class" in answer.json()["error"]
    assert list((home / "Pictures" / "Lamplighter").iterdir()) == []


def test_new_folders_lie_among_pictures_else_documents_else_own_data(home):
    assert new_place("a") == home / "Pictures/Lamplighter/a"
    (home / "Pictures/Lamplighter").rmdir()
    (home / "Pictures").rmdir()
    (home / "Documents").mkdir()
    assert new_place("a") == home / "Documents/Lamplighter/a"
    (home / "Documents/Lamplighter").rmdir()
    (home / "Documents").rmdir()
    assert new_place("a") == home / ".local/share/lamplighter/photos/a"


@pytest.mark.parametrize(
    ("name", "folder"),
    [("..", "photos"), ("", "photos"), ("a/b", "a-b"), (".x", "x"), ("ü" * 200, "ü" * 80)],
)
def test_names_of_new_folders(name, folder):
    assert folder_name(name) == folder
