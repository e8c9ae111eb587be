"""Recordings: names that keep the frames of one together, whatever splits the files."""

from __future__ import annotations

import pytest

from lamplighter.auditing.audit import audit
from lamplighter.datasets.folders import find_files
from lamplighter.datasets.recordings import frame_name, is_recording, new_recording, recording_of
from lamplighter.datasets.splitting import assign_splits
from tests.datasets.pictures import picture, saved


@pytest.fixture
def recorded(tmp_path):
    """Two classes of four recordings, of which each has six frames that are nearly the same."""
    folder = tmp_path / "mugs"
    for place, name in enumerate(("cup", "glass")):
        for take in range(4):
            recording = f"recording-20260102-03040{take}-{place:02x}{take:02x}"
            for number in range(1, 7):
                frame = picture(10 * place + take)
                frame.putpixel((number, 1), (255, 255, 255))
                saved(folder, f"{name}/{frame_name(recording, number)}", frame)
    return folder


def test_a_name_tells_its_recording():
    recording = new_recording()
    assert is_recording(recording)
    assert recording_of(frame_name(recording, 7)) == recording
    assert recording_of(f"{recording}_0007-2.jpg") == recording  # as a namesake is called


@pytest.mark.parametrize(
    "name", ["cat_0001.jpg", "recording-1_0001.jpg", "my recording_0001.jpg", "IMG_0001.jpg", ""]
)
def test_other_names_tell_none(name):
    assert recording_of(name) == ""
    assert not is_recording(name)


def test_frames_of_one_recording_are_one_group(recorded):
    files = find_files(recorded)
    assert len(set(files.groups)) == 8
    assert "understood: 8 recordings; images of one stay in one split." in files.notes


def test_a_pattern_that_was_given_comes_first(recorded):
    assert set(find_files(recorded, group=r"_(\d+)\.").groups) == {f"{n:04d}" for n in range(1, 7)}


def test_a_manifest_keeps_them_together_as_well(recorded):
    files = find_files(recorded)
    lines = [f"{path},{path.partition('/')[0]},mine" for path in files.paths[:1]]
    lines += [f"{path},{path.partition('/')[0]}," for path in files.paths[1:]]
    (recorded / "list.csv").write_text("\n".join(["path,label,group", *lines]))
    listed = find_files(recorded / "list.csv")
    assert listed.groups == ("mine", *files.groups[1:])
    assert "understood: 8 recordings; images of one stay in one split." in listed.notes


@pytest.mark.parametrize("seed", range(5))
def test_no_recording_stands_on_both_sides_of_a_split(recorded, seed):
    for files in (find_files(recorded), audit(find_files(recorded)).grouped):
        split = assign_splits(files, seed=seed)
        assert {"train", "val", "test"} == set(split.splits)
        homes = {}
        for path, where in zip(split.paths, split.splits, strict=True):
            homes.setdefault(recording_of(path.rpartition("/")[2]), set()).add(where)
        assert all(len(found) == 1 for found in homes.values())
        assert len(homes) == 8
