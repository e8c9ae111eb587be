from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest

from lamplighter.errors import BundleError, ClassCountError
from lamplighter.inference.predictor import predict_pixels
from lamplighter.saving.bundle import describe, load
from tests.saving.conftest import make_classifier, pixels
from tests.saving.test_damage import forged, parts_of, signed, zipped


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


HUGE = 10**400  # no float is as large
TRUST = {"neighbours": 1, "threshold": None, "reference": None, "measured": {}}


@pytest.mark.parametrize(
    ("key", "change"),
    [
        ("preprocessing", {"fit": "foo"}),
        ("preprocessing", {"height": 0}),
        ("preprocessing", {"mean": [HUGE]}),
        ("preprocessing", {"crop_pct": HUGE}),
        ("trust", TRUST | {"temperature": HUGE}),
    ],
)
def test_what_cannot_be_used_is_refused_with_the_name_of_the_file(
    content: bytes, tmp_path: Path, key: str, change: dict
) -> None:
    values = change if key == "trust" else preprocessing_of(content) | change
    path = forged(tmp_path / "bad.lamp", content, **{key: values})
    for read in (load, describe):
        with pytest.raises(BundleError) as caught:
            read(path)
        assert str(path) in str(caught.value)
        assert str(caught.value).lower().endswith("save the classifier again.")
        assert "\n" not in str(caught.value)


def test_a_graph_that_cannot_be_used_is_refused_with_the_name_of_the_file(
    content: bytes, tmp_path: Path
) -> None:
    narrow = forged(tmp_path / "narrow.lamp", content, class_names=["cat", "eel"])
    with pytest.raises(ClassCountError, match=r"3 scores, but .* 2 class .* save the") as caught:
        predict_pixels(load(narrow), pixels(2))
    assert str(narrow) in str(caught.value)
    parts = parts_of(content)
    values = json.loads(parts["description.json"])
    bad = zipped(tmp_path / "bad.lamp", signed(values, parts | {"network.onnx": b"no graph"}))
    with pytest.raises(BundleError, match=r"save the classifier again\.$") as caught:
        predict_pixels(load(bad), pixels(2))
    assert str(bad) in str(caught.value)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"x" * 100, b""),
        (b"", b"x" * 100),
        (b"", b"\0"),
        (b"PK\3\4" + bytes(96), b""),
        (b"", b"PK\5\6" + bytes(18)),
    ],
)
def test_bytes_outside_the_zip_are_refused(
    content: bytes, tmp_path: Path, before: bytes, after: bytes
) -> None:
    path = tmp_path / "more.lamp"
    path.write_bytes(before + content + after)
    for read in (load, describe):
        with pytest.raises(BundleError, match=r"more\.lamp cannot be loaded: "):
            read(path)


def test_a_comment_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "comment.lamp"
    path.write_bytes(content)
    with zipfile.ZipFile(path, "a") as bundle:
        bundle.comment = b"x" * 100
    with pytest.raises(BundleError, match="a zip and nothing else"):
        load(path)
