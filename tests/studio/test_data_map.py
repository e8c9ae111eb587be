from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

from lamplighter.evaluation.data_map_plot import COLOURS
from lamplighter.studio.app import PAGES
from tests.studio.pictures import photos
from tests.studio.waiting import ended

if TYPE_CHECKING:
    from pathlib import Path


def test_photos_that_look_alike_lie_near(ask, tmp_path: Path) -> None:
    client = ask(photos(tmp_path / "photos", each=5))
    assert client.get("/api/map").json() == {"made": False}
    assert ended(client, "/api/map", {"method": "pca"})["state"] == "done"
    made, table = client.get("/api/map").json(), client.get("/api/files").json()
    assert (made["method"], made["scan"], made["sample"]) == ("pca", table["scan"], None)
    assert sorted(made["rows"]) == list(range(15))
    assert 0 < sum(made["explained"]) <= 1
    points = np.array([made["x"], made["y"]]).T
    assert 0.9 < np.abs(points).max() <= 1
    labels = np.array(table["labels"])[made["rows"]]
    middles = np.stack([points[labels == k].mean(axis=0) for k in range(3)])
    nearest = np.linalg.norm(points[:, None] - middles, axis=2).argmin(axis=1)
    assert (nearest == labels).mean() > 0.9


def test_it_stays_when_files_go_and_leaves_those_aside_out(ask, tmp_path: Path) -> None:
    folder = photos(tmp_path / "photos")
    client = ask(folder)
    client.post("/api/aside", json={"paths": ["red/red-03.png"], "reason": "spoiled"})
    ended(client, "/api/map", {"method": "tsne"})
    (folder / "blue/blue-00.png").unlink()
    client.app.state.studio.project.rescan()
    made, table = client.get("/api/map").json(), client.get("/api/files").json()
    assert made["explained"] is None
    assert len(made["x"]) == len(made["y"]) == len(made["rows"]) == 10
    named = {table["paths"][row] for row in made["rows"]}
    assert named == set(table["paths"]) - {"red/red-03.png"}


def test_a_method_that_is_not_there(ask, tmp_path: Path) -> None:
    answer = ask(photos(tmp_path / "photos")).post("/api/map", json={"method": "umap"})
    assert answer.status_code == 400
    assert "must be one of pca, tsne, received 'umap'" in answer.json()["error"]


def test_too_few_photos(ask, tmp_path: Path) -> None:
    client = ask(photos(tmp_path / "photos", each=1))
    job = ended(client, "/api/map", {"method": "tsne"})
    assert job["state"] == "failed"
    assert "5 images or more, received 3" in job["error"]


def test_only_the_frame_may_make_code_and_it_may_ask_nothing(ask) -> None:
    client = ask()
    frame, page = client.get("/pages/map-frame.html"), client.get("/")
    policy = frame.headers["content-security-policy"]
    assert "'unsafe-eval'" in policy
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'self'" in policy
    assert "connect-src" not in policy
    assert "img-src" not in policy
    assert "http" not in policy
    assert "'unsafe-inline'" not in re.findall("script-src[^;]*", policy)[0]
    assert "unsafe-eval" not in page.headers["content-security-policy"]
    assert "unsafe-eval" not in client.get("/pages/js/main.js").headers["content-security-policy"]


def test_colours_are_those_of_plots() -> None:
    text = (PAGES / "js/palette.js").read_text("utf-8")
    light = re.findall(r"#[0-9a-f]{6}", text[text.index("LIGHT") : text.index("grey")])
    assert light == [*COLOURS]
    dark = re.findall(r"#[0-9a-f]{6}", text[text.index("DARK") :].partition("grey")[0])
    assert len(set(dark)) == len(light)


def test_vendored_files_have_their_licence_beside() -> None:
    for folder in (PAGES / "vendor").iterdir():
        assert (folder / "LICENSE").read_text("utf-8").strip(), folder
    parts = {file.name for file in (PAGES / "vendor/regl-scatterplot").glob("LICENSE-*")}
    bundled = "camera-2d-simple dom-2d-camera earcut flekschas-utils gl-matrix kdbush regl-line"
    assert parts == {f"LICENSE-{name}" for name in [*bundled.split(), "simplify-js"]}
