"""embed as a user meets it: vectors, an index, bad files, and what is refused."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

from lamplighter.datasets.folders import find_files
from lamplighter.features.extraction import embed
from lamplighter.features.files import load_features
from lamplighter.saving.bundle import load


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def test_vectors_names_and_labels_are_written(run, backbone, photos, tmp_path):
    out = tmp_path / "features.npz"
    outcome = run("embed", photos, "--backbone", backbone, "--out", out)
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out.startswith("36 images, ")
    assert f"wrote {out}" in outcome.out
    written, files = load_features(out), find_files(photos)
    expected = embed(load(backbone), files, cache=False)
    np.testing.assert_allclose(written.vectors, expected.vectors, atol=1e-5)
    assert written.files.paths == files.paths
    assert written.files.splits == files.splits
    assert written.files.labels.tolist() == files.labels.tolist()


def test_one_json_document(run, backbone, photos, tmp_path):
    (photos / "train" / "red" / "empty.png").touch()
    out, index = tmp_path / "features.npz", tmp_path / "photos.index"
    places = ("--out", out, "--index", index)
    outcome = run("embed", photos, "--backbone", backbone, *places, "--json")
    document = json.loads(outcome.out)
    assert document["images"] == 36
    assert document["dimension"] == load_features(out).vectors.shape[1]
    assert document["set_aside"][0]["path"] == "train/red/empty.png"
    assert (document["out"], document["index"]) == (str(out), {"path": str(index)})
    again = json.loads(run("embed", photos, "--backbone", backbone, *places[2:], "--json").out)
    assert again["cached"] == 36
    assert again["index"] == {"path": str(index), "added": 0, "replaced": 0, "relabelled": 0,
                              "removed": 0, "unchanged": 36}  # fmt: skip


def test_a_second_run_knows_what_has_not_changed(run, backbone, photos):
    assert "from the cache" not in run("embed", photos, "--backbone", backbone).out
    assert "36 from the cache" in run("embed", photos, "--backbone", backbone).out
    anew = run("embed", photos, "--backbone", backbone, "--no-cache")
    assert "from the cache" not in anew.out


def test_bad_files_are_named_once_and_left_out(run, backbone, photos):
    (photos / "train" / "red" / "empty.png").touch()
    (photos / "train" / "red" / "text.png").write_text("no image")
    outcome = run("embed", photos, "--backbone", backbone)
    assert outcome.code == 0
    assert outcome.out.startswith("36 images, ")
    lines = outcome.err.splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("set aside train/red/empty.png: is empty (0 bytes)")
    assert lines[1].startswith("set aside train/red/text.png: must be an image")


def test_what_is_there_is_not_replaced(run, backbone, photos, tmp_path):
    out = tmp_path / "mine.npz"
    out.write_text("mine")
    outcome = run("embed", photos, "--backbone", backbone, "--out", out)
    assert (outcome.code, outcome.out) == (1, "")
    assert "already exists" in outcome.line
    assert out.read_text() == "mine"
    assert run("embed", photos, "--backbone", backbone, "--out", out, "--force").code == 0
    assert len(load_features(out)) == 36


def test_an_index_is_made_asked_and_brought_up_to_date(run, backbone, photos, tmp_path):
    index = tmp_path / "photos.index"
    assert f"wrote {index}" in run("embed", photos, "--backbone", backbone, "--index", index).out
    asked = photos / "train" / "blue" / "0.png"
    document = json.loads(run("similar", index, asked, "-k", 3, "--json").out)
    assert document["hits"][0]["path"] == "train/blue/0.png"
    assert document["hits"][0]["similarity"] == pytest.approx(1.0, abs=1e-3)
    asked.unlink()
    (photos / "train" / "red" / "1.png").rename(photos / "train" / "red" / "moved.png")
    told = run("embed", photos, "--backbone", backbone, "--index", index).out
    assert "1 added" in told
    assert "2 removed" in told
    assert "34 unchanged" in told


def test_an_index_of_another_network_is_refused_and_kept(run, backbone, photos, tmp_path, trained):
    index = tmp_path / "photos.index"
    run("embed", photos, "--backbone", backbone, "--index", index)
    before = index.read_bytes()
    outcome = run("embed", photos, "--backbone", trained, "--index", index)
    assert outcome.code == 1
    assert "made with another network" in outcome.line
    assert index.read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--fit", "crop"], "has its own preprocessing"),
        (["--out", "nowhere/f.npz"], "there is no folder"),
        (
            ["--out", "f.csv"],
            "to hold numpy's arrays, which nothing reads as .csv; name it",
        ),
    ],
)
def test_bad_wishes_are_refused(run, backbone, photos, arguments, message):
    outcome = run("embed", photos, "--backbone", backbone, *arguments)
    assert outcome.code == 1
    assert message in outcome.line


def test_a_folder_without_images_is_said(run, backbone, tmp_path):
    (tmp_path / "empty").mkdir()
    outcome = run("embed", tmp_path / "empty", "--backbone", backbone)
    assert outcome.code == 1
    assert "must hold images" in outcome.line


def test_a_zip_stands_for_its_folder(run, backbone, photos, tmp_path):
    archive = shutil.make_archive(str(tmp_path / "Holiday"), "zip", photos.parent, photos.name)
    index = tmp_path / "holiday.index"
    outcome = run("embed", archive, "--backbone", backbone, "--index", index)
    assert outcome.code == 0
    notes = outcome.err.splitlines()
    assert notes[0].startswith("note: understood: Holiday.zip is unpacked in ")
    assert notes[1:] == [f"note: understood: the splits lie in {photos.name}."]
    assert "36 images, " in outcome.out
    grown = photos / "train" / "red" / "new.png"
    shutil.copy(next(photos.rglob("*.png")), grown)
    shutil.make_archive(str(tmp_path / "Holiday"), "zip", photos.parent, photos.name)
    again = run("embed", archive, "--backbone", backbone, "--index", index)
    assert again.code == 0
    assert "1 added, 0 replaced, 0 with another label, 0 removed, 36 unchanged" in again.out
    hits = run("similar", index, grown, "-k", "2", "--json")  # it is a copy of another one
    assert f"{archive}/{photos.name}/train/red/new.png" in hits.out
