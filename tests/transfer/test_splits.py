"""The files of a ladder before it is climbed."""

from __future__ import annotations

import pytest

from lamplighter.datasets.recordings import frame_name
from lamplighter.errors import DatasetError
from lamplighter.transfer.splits import Quiet, prepared
from tests.datasets.pictures import picture, saved


def record(folder, takes):
    for place, name in enumerate(("cup", "glass")):
        for take in range(takes):
            recording = f"recording-20260102-03040{take}-{place:02x}{take:02x}"
            for number in (1, 2, 3):
                saved(folder, f"{name}/{frame_name(recording, number)}", picture(9 * place + take))
    return folder


def test_a_single_recording_of_each_class_leaves_nothing_to_validate_on(tmp_path):
    with pytest.raises(DatasetError, match="too few recordings or other groups"):
        prepared(record(tmp_path / "mugs", 1), Quiet(), seed=0, audit=False)


def test_five_recordings_of_each_class_are_in_all_splits(tmp_path):
    files, _ = prepared(record(tmp_path / "mugs", 5), Quiet(), seed=0, audit=False)
    found = set(zip(files.splits, files.labels.tolist(), strict=True))
    assert found == {(split, label) for split in ("train", "val", "test") for label in (0, 1)}
