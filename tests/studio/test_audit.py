from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from tests.studio.pictures import photos
from tests.studio.waiting import ended

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Photos with two copies, of which one has another label, and a broken file."""
    folder = photos(tmp_path / "photos", each=3)
    shutil.copy(folder / "red/red-00.png", folder / "red/red-copy.png")
    shutil.copy(folder / "blue/blue-01.png", folder / "green/stray.png")
    (folder / "red/broken.png").write_bytes(b"no image")
    return folder


def _by_kind(client) -> dict[str, dict]:
    return {one["kind"]: one for one in client.get("/api/audit").json()["findings"]}


def test_before_the_first_audit(ask, folder) -> None:
    assert ask(folder).get("/api/audit").json() == {"made": False}


def test_findings_with_rows_and_remedies(ask, folder) -> None:
    client = ask(folder)
    assert ended(client, "/api/audit")["state"] == "done"
    table, audit = client.get("/api/files").json(), client.get("/api/audit").json()
    rows = {path: row for row, path in enumerate(table["paths"])}
    assert audit["made_of"] == [table["scan"], table["change"]]
    assert "11 usable images of 12" in audit["headline"]
    found = _by_kind(client)
    broken = found["not-an-image"]
    assert broken["severity"] == "error"
    assert broken["rows"] == [rows["red/broken.png"]]
    assert broken["others"][0][0] == "red/broken.png"
    copies = found["exact-duplicates"]
    assert copies["groups"][-1] == [rows["red/red-00.png"], rows["red/red-copy.png"]]
    assert [one["words"] for one in copies["remedies"]] == ["Keep one of each, set 1 image aside"]
    assert copies["remedies"][0]["rows"] == [rows["red/red-copy.png"]]
    labels = found["conflicting-labels"]["remedies"]
    assert {one["class"] for one in labels if one["action"] == "label"} == {"blue", "green"}


def test_a_remedy_is_one_step_and_an_undo_brings_all_back(ask, folder) -> None:
    client = ask(folder)
    ended(client, "/api/audit")
    remedy = _by_kind(client)["exact-duplicates"]["remedies"][0]
    paths = client.get("/api/files").json()["paths"]
    chosen = {"paths": [paths[row] for row in remedy["rows"]], "reason": remedy["reason"]}
    done = client.post("/api/aside", json=chosen).json()
    assert len(done["steps"]) == 1
    audit = client.get("/api/audit").json()
    assert audit["made_of"][1] != done["change"]  # the page says that it is of before
    assert _by_kind(client)["exact-duplicates"]["remedies"] == []  # the last copy is never offered
    ended(client, "/api/audit")
    (group,) = _by_kind(client)["exact-duplicates"]["groups"]  # the one with different labels
    assert {paths[row] for row in group} == {"blue/blue-01.png", "green/stray.png"}
    assert "set-aside" not in _by_kind(client)  # what a person leaves out is no finding
    client.post("/api/undo")
    ended(client, "/api/audit")
    assert _by_kind(client)["exact-duplicates"]["remedies"] == [remedy]


def test_rows_stay_right_when_files_come(ask, folder) -> None:
    client = ask(folder)
    ended(client, "/api/audit")
    shutil.copy(folder / "blue/blue-02.png", folder / "blue/a-new-one.png")
    client.app.state.studio.project.rescan()
    table, audit = client.get("/api/files").json(), client.get("/api/audit").json()
    assert audit["scan"] == table["scan"] != audit["made_of"][0]
    (row,) = _by_kind(client)["not-an-image"]["rows"]
    assert table["paths"][row] == "red/broken.png"


def test_without_a_folder_it_says_to_open_one(ask) -> None:
    client = ask()
    job = ended(client, "/api/audit")
    assert (job["state"], job["error"]) == ("failed", "no folder is open; open one first.")
    assert client.get("/api/audit").status_code == 400
