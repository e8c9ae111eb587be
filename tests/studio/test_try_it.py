"""Answers to what a page brings: the same as the library's, bounded, and clear where it fails."""

from __future__ import annotations

import base64
import io
import time

import numpy as np
import pytest
from PIL import Image

from lamplighter.explain.attribution.occlusion_map import occlusion_map
from lamplighter.explain.attribution.overlay import overlay
from lamplighter.inference.predictor import predict
from lamplighter.saving.bundle import load
from lamplighter.studio.api import try_it
from tests.studio.pictures import COLORS, photos, picture
from tests.studio.trained import bundle, train


@pytest.fixture
def folder(home, tmp_path):
    """A folder with a training."""
    train(tmp_path / "colors")
    return tmp_path / "colors"


@pytest.fixture
def red(tmp_path) -> bytes:
    return picture(tmp_path / "red.png", COLORS["red"], 30).read_bytes()


def image_of(url: str) -> np.ndarray:
    """Return the pixels of a picture that stands in an address."""
    head, _, data = url.partition(",")
    assert head == "data:image/png;base64"
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(data))))


def until_done(client, kind: str) -> dict[str, object]:
    """Wait for the end of a job."""
    for _ in range(300):
        (job,) = [one for one in client.get("/api/state").json()["jobs"] if one["kind"] == kind]
        if job["state"] not in ("waiting", "running"):
            return job
        time.sleep(0.05)
    raise AssertionError(f"{kind} does not end")


def test_what_can_be_tried(ask, folder):
    client = ask(folder)
    choices = client.get("/api/try/choices").json()
    assert [run["name"] for run in choices["runs"]] == ["Training 1"]
    assert choices["bundles"] == []
    about = client.get("/api/try/about").json()
    assert about["class_names"] == ["blue", "green", "red"]
    assert (about["width"], about["height"], about["digit"]) == (224, 224, False)
    assert [method["name"] for method in about["methods"]] == ["occlusion", "grad-cam"]


def test_an_answer_is_that_of_the_library(ask, folder, red, tmp_path):
    answer = ask(folder).post("/api/try/answer", content=red).json()
    (tmp_path / "its.lamp").write_bytes(bundle())
    classifier = load(tmp_path / "its.lamp")
    (expected,) = predict(classifier, [red])
    assert answer["label"] == expected.label
    assert answer["known"] == expected.known
    assert dict(answer["guesses"]) == pytest.approx(dict(expected.guesses), abs=1e-6)
    assert answer["guesses"][0][0] == "red"
    seen = classifier.preprocessing.seen(classifier.preprocessing.open(red))
    np.testing.assert_array_equal(image_of(answer["seen"]), np.asarray(seen))


def test_why_by_occlusion(ask, folder, red, tmp_path):
    made = ask(folder).post("/api/try/explain?target=red", content=red).json()
    (tmp_path / "its.lamp").write_bytes(bundle())
    expected = occlusion_map(load(tmp_path / "its.lamp"), red, target="red")
    np.testing.assert_allclose(
        image_of(made["overlay"]).astype(int), overlay(expected.values).astype(int), atol=2
    )
    assert made["target"] == "red"


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("target=yellow", "yellow"),
        ("target=red&method=magic", "occlusion or grad-cam"),
        ("", "'target' must be"),
    ],
)
def test_what_cannot_be_explained(ask, folder, red, query, words):
    answer = ask(folder).post(f"/api/try/explain?{query}", content=red)
    assert answer.status_code == 400
    assert words in answer.json()["error"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "holiday.jpg is empty (0 bytes)"),
        (b"no image", "holiday.jpg must be an image such as PNG or JPEG"),
        (b"\xff\xd8\xff\xe0" + b"\0" * 50, "holiday.jpg must be"),
    ],
)
def test_what_is_no_image(ask, folder, content, words):
    answer = ask(folder).post("/api/try/answer?name=holiday.jpg", content=content)
    assert answer.status_code == 400
    assert answer.json()["error"].startswith(words)
    assert "\n" not in answer.json()["error"]


def test_a_bundle_is_brought(ask, red):
    client = ask()
    assert client.get("/api/try/choices").json() == {"runs": [], "bundles": []}
    brought = client.post("/api/try/bundle?name=my colors.lamp", content=bundle()).json()
    assert brought["name"] == "my colors.lamp"
    chosen = {"bundle": brought["bundle"]}
    assert client.get("/api/try/about", params=chosen).json()["class_names"][2] == "red"
    answer = client.post("/api/try/answer", params=chosen, content=red).json()
    assert answer["guesses"][0][0] == "red"
    assert client.get("/api/try/choices").json()["bundles"] == [
        {"bundle": brought["bundle"], "name": "my colors.lamp"}
    ]


@pytest.mark.parametrize("content", [b"", b"no bundle", bundle()[:5000]])
def test_what_is_no_bundle_is_said_with_its_name(ask, content):
    client = ask()
    answer = client.post("/api/try/bundle?name=broken.lamp", content=content)
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert "broken.lamp" in error
    assert "lamplighter-studio-" not in error
    assert client.get("/api/try/choices").json()["bundles"] == []


def test_without_a_classifier(ask, tmp_path, home, red):
    client = ask(photos(tmp_path / "photos"))
    for answer in (
        client.get("/api/try/about"),
        client.post("/api/try/answer", content=red),
        client.get("/api/try/about?run=20200101-000000"),
        client.get("/api/try/about?run=../../etc"),
    ):
        assert answer.status_code == 400
        assert "train one" in answer.json()["error"]
    gone = client.get("/api/try/about?bundle=abc").json()["error"]
    assert "bring the file again" in gone


def test_uploads_are_bounded(ask, folder, monkeypatch):
    client = ask(folder)
    large = {"content-length": str(2**31)}
    assert client.post("/api/try/answer", content=b"", headers=large).status_code == 413
    assert client.post("/api/try/bundle", content=b"", headers=large).status_code == 413
    monkeypatch.setattr(try_it, "_MOST_BUNDLE", 10)
    assert client.post("/api/try/bundle", content=iter([b"x" * 8] * 4)).status_code == 413


def test_the_most_similar_training_images(ask, folder, red):
    client = ask(folder)
    first = client.post("/api/try/similar", content=red).json()
    assert first["job"]["kind"] == "similar"
    assert until_done(client, "similar")["state"] == "done"
    images = client.post("/api/try/similar", content=red).json()["images"]
    assert len(images) == 8
    assert all(one["path"].startswith("red/") for one in images)
    assert images[0]["similarity"] >= images[-1]["similarity"] > 0.5
    client.post("/api/aside", json={"paths": [images[0]["path"]], "reason": "not this one"})
    again = client.post("/api/try/similar", content=red).json()["images"]
    assert images[0]["path"] not in [one["path"] for one in again]


def test_grad_cam_needs_torch_and_says_so(ask, folder, monkeypatch):
    client = ask(folder)
    assert client.get("/api/try/about").json()["methods"][1]["why_not"] == ""
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    why = client.get("/api/try/about").json()["methods"][1]["why_not"]
    assert "needs torch" in why
    assert "pip install" in why
