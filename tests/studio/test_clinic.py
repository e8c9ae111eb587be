from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from tests.studio.pictures import photos
from tests.studio.waiting import ended

if TYPE_CHECKING:
    from pathlib import Path

FLIPPED = "green/blue-07.png"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Photos of which one, of a blue ground, lies among the green ones."""
    folder = photos(tmp_path / "photos", each=8)
    shutil.move(folder / "blue/blue-07.png", folder / FLIPPED)
    return folder


def _suspects(client) -> dict[str, dict]:
    paths = client.get("/api/files").json()["paths"]
    return {paths[one["row"]]: one for one in client.get("/api/suspects").json()["suspects"]}


def test_a_wrong_label_is_found_with_evidence(ask, folder) -> None:
    client = ask(folder)
    assert client.get("/api/suspects").json() == {"made": False}
    assert ended(client, "/api/suspects")["state"] == "done"
    found = client.get("/api/suspects").json()
    table = client.get("/api/files").json()
    assert found["made_of"] == [table["scan"], table["change"]]
    one = _suspects(client)[FLIPPED]
    assert (one["label"], one["suggestion"], one["kept"]) == ("green", "blue", False)
    assert one["reasons"]
    neighbors = {table["paths"][other["row"]].split("/")[0] for other in one["neighbors"]}
    assert "blue" in neighbors
    client.post("/api/label", json={"paths": [FLIPPED], "class": "blue"})
    assert _suspects(client)[FLIPPED]["label"] == "green"  # what it was judged with
    ended(client, "/api/suspects")
    assert FLIPPED not in _suspects(client)


def test_a_label_that_was_found_right_is_kept_over_a_restart(ask, folder) -> None:
    client = ask(folder)
    ended(client, "/api/suspects")
    assert (
        client.post("/api/suspects/keep", json={"paths": [FLIPPED], "label": "green"}).json() == {}
    )
    assert _suspects(client)[FLIPPED]["kept"]
    again = ask(folder)
    ended(again, "/api/suspects")
    assert _suspects(again)[FLIPPED]["kept"]
    again.post("/api/suspects/keep", json={"paths": [FLIPPED], "label": None})
    assert not _suspects(again)[FLIPPED]["kept"]


def test_a_label_that_is_changed_is_asked_for_again(ask, folder) -> None:
    client = ask(folder)
    ended(client, "/api/suspects")
    client.post("/api/suspects/keep", json={"paths": [FLIPPED], "label": "green"})
    client.post("/api/label", json={"paths": [FLIPPED], "class": "red"})
    ended(client, "/api/suspects")
    one = _suspects(client)[FLIPPED]
    assert (one["label"], one["kept"]) == ("red", False)


def test_what_is_kept_must_be_a_file_of_the_folder(ask, folder) -> None:
    client = ask(folder)
    answer = client.post("/api/suspects/keep", json={"paths": ["../x.png"], "label": "green"})
    assert answer.status_code == 400
    assert "no file '../x.png'" in answer.json()["error"]


def test_what_to_label_next(ask, folder) -> None:
    (folder / "unlabelled").mkdir()
    for number in (4, 5):
        shutil.move(folder / f"red/red-0{number}.png", folder / "unlabelled")
    client = ask(folder)
    assert client.get("/api/next").json() == {"made": False}
    ended(client, "/api/next", {"count": 5})
    found = client.get("/api/next").json()["proposals"]
    paths = client.get("/api/files").json()["paths"]
    assert sorted(paths[one["row"]] for one in found) == [
        "unlabelled/red-04.png",
        "unlabelled/red-05.png",
    ]
    assert {one["suggestion"] for one in found} <= {"blue", "green", "red"}


def test_nothing_to_label_next(ask, folder) -> None:
    job = ended(ask(folder), "/api/next")
    assert job["state"] == "failed"
    assert job["error"] == "every image in use has a label; there is nothing to label next."


def test_one_class_cannot_be_judged(ask, tmp_path) -> None:
    folder = photos(tmp_path / "photos")
    shutil.rmtree(folder / "red")
    shutil.rmtree(folder / "blue")
    job = ended(ask(folder), "/api/suspects")
    assert job["state"] == "failed"
    assert "two classes or more" in job["error"]
