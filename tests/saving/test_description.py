from __future__ import annotations

import json
from pathlib import Path

import pytest

from lamplighter.errors import BundleError
from lamplighter.saving.bundle import load
from tests.saving.conftest import make_classifier
from tests.saving.test_damage import forged, parts_of


def preprocessing_of(content: bytes) -> dict:
    return json.loads(parts_of(content)["description.json"])["preprocessing"]


def test_a_bundle_of_the_first_version_is_read(content: bytes, tmp_path: Path) -> None:
    values = preprocessing_of(content)
    assert values.pop("crop_pct") == 1.0
    path = forged(tmp_path / "old.lamp", content, preprocessing=values)
    assert load(path).preprocessing == make_classifier().preprocessing


def test_a_whole_number_is_a_share_as_well(content: bytes, tmp_path: Path) -> None:
    values = preprocessing_of(content) | {"crop_pct": 1}
    path = forged(tmp_path / "whole.lamp", content, preprocessing=values)
    assert load(path).preprocessing == make_classifier().preprocessing


@pytest.mark.parametrize("crop_pct", [True, "1", None, 0, 7])
def test_a_share_out_of_range_is_refused(content: bytes, tmp_path: Path, crop_pct: object) -> None:
    values = preprocessing_of(content) | {"crop_pct": crop_pct}
    path = forged(tmp_path / "bad.lamp", content, preprocessing=values)
    with pytest.raises(BundleError, match="crop_pct"):
        load(path)
