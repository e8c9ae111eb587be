from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from lamplighter.auditing import audit as auditing
from lamplighter.auditing import thumbnails
from lamplighter.auditing.audit import Audit, audit
from lamplighter.datasets.files import SetAside
from lamplighter.datasets.folders import find_files
from tests.datasets.pictures import files_of, picture, saved

if TYPE_CHECKING:
    from collections.abc import Callable

    from lamplighter.auditing.findings import Finding


def kinds(found: Audit) -> list[str]:
    return [finding.kind for finding in found.findings]


def the(found: Audit, kind: str) -> Finding:
    """The one finding of a kind, whose sentence is one line that ends."""
    (finding,) = found.of(kind)
    assert finding.sentence.endswith(".")
    assert "\n" not in finding.sentence
    return finding


def filled(root: Path, *paths: str) -> None:
    """Save a picture of its own at each path."""
    for number, path in enumerate(paths):
        saved(root, path, picture(number))


def test_a_clean_set_has_no_findings(tmp_path: Path) -> None:
    both = ("train", "test")
    paths = {f"{c}/{split}{n}.png": split for c in "ab" for split in both for n in "12"}
    filled(tmp_path, *paths)
    found = audit(files_of(tmp_path, paths))
    assert found.findings == ()
    assert found.usable.paths == tuple(paths)
    assert found.counts.tolist() == [[2, 2], [2, 2]]
    assert str(found).split("\n") == [
        "pictures: 8 usable images, 2 classes, 4 train, 4 test",
        "nothing found",
    ]


def test_each_bad_file_is_named_and_set_aside(tmp_path: Path) -> None:
    good = ["a/0.png", "b/1.png", "a/2.png", "b/3.png"]
    filled(tmp_path, *good)
    (tmp_path / "a/empty.jpg").touch()
    (tmp_path / "a/text.png").write_text("hello")
    (tmp_path / "a/cut.png").write_bytes((tmp_path / "a/0.png").read_bytes()[:700])
    (tmp_path / "a/bomb.ppm").write_bytes(b"P6 30000 30000 255 ")
    os.mkfifo(tmp_path / "a/pipe.png")
    (tmp_path / "a/loop.png").symlink_to("loop.png")
    bad = {
        "empty": ["a/empty.jpg"],
        "not-an-image": ["a/text.png"],
        "damaged": ["a/cut.png"],
        "too-large": ["a/bomb.ppm"],
        "unreadable": ["a/pipe.png", "a/loop.png", "a/vanished.png", "a/" + "n" * 300 + ".png"],
    }
    files = files_of(tmp_path, [*good, *(path for paths in bad.values() for path in paths)])
    before = sorted(path.name for path in (tmp_path / "a").iterdir())
    found = audit(files)
    assert kinds(found) == list(bad)
    for kind, paths in bad.items():
        finding = the(found, kind)
        assert finding.severity == "error"
        assert set(finding.files) == set(paths) == set(finding.details["reasons"])
    assert found.usable.paths == tuple(good)
    reasons = {left_out.path: left_out.reason for left_out in found.usable.set_aside}
    assert set(reasons) == set(files.paths) - set(good)
    assert all(reason.endswith(".") for reason in reasons.values())
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == before


def test_bad_files_are_told_in_the_order_of_the_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def backwards(function: Callable[[int], None], count: int) -> None:
        for index in reversed(range(count)):
            function(index)

    paths = [f"{name}/{number}.png" for name in "ab" for number in range(20)]
    for path in paths:
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text("")
    monkeypatch.setattr(auditing, "each_file", backwards)
    found = audit(files_of(tmp_path, paths))
    assert the(found, "empty").files == tuple(paths)
    assert tuple(left_out.path for left_out in found.usable.set_aside) == tuple(paths)


def test_a_file_without_permission(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    filled(tmp_path, "a/0.png", "b/1.png")
    opened = Path.open

    def refused(path: Path, *arguments: object, **options: object) -> object:
        if path.name == "0.png":  # chmod means nothing to root
            raise PermissionError(13, "Permission denied")
        return opened(path, *arguments, **options)

    monkeypatch.setattr(Path, "open", refused)
    finding = the(audit(files_of(tmp_path, ["a/0.png", "b/1.png"])), "unreadable")
    assert finding.files == ("a/0.png",)
    assert "may not be read" in finding.details["reasons"]["a/0.png"]


def test_an_image_too_large_for_the_memory_is_set_aside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled(tmp_path, "a/0.png", "b/1.png")
    Image.new("RGB", (300, 200), "white").save(tmp_path / "a/2.png")
    flatten = thumbnails.flatten_alpha

    def exhausted(image: Image.Image) -> Image.Image:
        if image.getpixel((0, 0)) == (255, 255, 255):
            raise MemoryError
        return flatten(image)

    monkeypatch.setattr(thumbnails, "flatten_alpha", exhausted)
    finding = the(audit(files_of(tmp_path, ["a/0.png", "b/1.png", "a/2.png"])), "too-large")
    assert finding.files == ("a/2.png",)
    assert "needs more memory than there is" in finding.details["reasons"]["a/2.png"]


def test_what_was_set_aside_before_is_told(tmp_path: Path) -> None:
    filled(tmp_path, "a/0.png", "b/1.png")
    (tmp_path / "a/notes.txt").write_text("x")
    finding = the(audit(find_files(tmp_path)), "set-aside")
    assert finding.files == ("a/notes.txt",)
    assert "not an image" in finding.details["reasons"]["a/notes.txt"]


def test_no_usable_image(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a/0.png").touch()
    found = audit(files_of(tmp_path, ["a/0.png"]))
    assert kinds(found) == ["empty", "one-class", "no-images"]
    assert len(found.usable) == 0
    assert found.usable.set_aside == (SetAside("a/0.png", found.usable.set_aside[0].reason),)
    assert kinds(audit(files_of(tmp_path, []))) == []


def test_blank_and_near_blank(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).normal(0, 2, (120, 160))
    images = {
        "a/white.jpg": Image.new("RGB", (160, 120), "white"),
        "a/clear.png": Image.new("RGBA", (160, 120), (0, 50, 0, 0)),
        "b/fog.png": Image.fromarray((130 + noise).astype(np.uint8)),
        "b/dim.png": picture(3).point(lambda value: value // 2),
    }
    for path, image in images.items():
        saved(tmp_path, path, image)
    found = audit(files_of(tmp_path, list(images)))
    assert kinds(found) == ["blank", "near-blank"]
    assert the(found, "blank").files == ("a/white.jpg", "a/clear.png")
    assert the(found, "near-blank").files == ("b/fog.png",)
    assert len(found.usable) == 4


def test_odd_sizes(tmp_path: Path) -> None:
    sizes = [(300, 200)] * 6 + [(200, 300), (160, 120)]
    odd = {"big": (1500, 1000), "square-ish": (1000, 300), "tiny": (300, 15)}
    paths = [f"{'ab'[n % 2]}/{n}.png" for n in range(len(sizes))] + [
        f"a/{name}.png" for name in odd
    ]
    for number, (path, size) in enumerate(zip(paths, [*sizes, *odd.values()], strict=True)):
        saved(tmp_path, path, picture(number, size))
    found = audit(files_of(tmp_path, paths))
    assert kinds(found) == ["tiny", "odd-sizes"]
    assert the(found, "tiny").files == ("a/tiny.png",)
    assert the(found, "odd-sizes").details["sizes"] == {
        "a/big.png": [1500, 1000],
        "a/square-ish.png": [1000, 300],
    }


def test_a_photo_on_its_side_among_panoramas_is_odd(tmp_path: Path) -> None:
    paths = ["a/0.png", "b/1.png", "a/2.png", "b/3.png"]
    for number, path in enumerate(paths):
        size = (80, 240) if number == 3 else (240, 80)
        saved(tmp_path, path, picture(number, size))
    assert the(audit(files_of(tmp_path, paths)), "odd-sizes").files == ("b/3.png",)


def test_copies_within_a_split(tmp_path: Path) -> None:
    filled(tmp_path, "a/0.png", "b/1.png", "a/2.png", "b/3.png")
    shutil.copy(tmp_path / "a/0.png", tmp_path / "a/same content.png")
    saved(tmp_path, "a/same pixels.bmp", picture(0))
    saved(tmp_path, "b/near.jpg", picture(1), quality=60)
    found = audit(find_files(tmp_path))
    assert kinds(found) == ["exact-duplicates", "near-duplicates"]
    exact, near = the(found, "exact-duplicates"), the(found, "near-duplicates")
    assert exact.groups == (("a/0.png", "a/same content.png", "a/same pixels.bmp"),)
    assert near.groups == (("b/1.png", "b/near.jpg"),)
    assert (exact.severity, near.severity) == ("warning", "note")
    groups = dict(zip(found.usable.paths, found.grouped.groups, strict=True))
    assert groups["a/0.png"] == groups["a/same content.png"] == groups["a/same pixels.bmp"] != ""
    assert groups["b/1.png"] == groups["b/near.jpg"] not in ("", groups["a/0.png"])
    assert groups["a/2.png"] == groups["b/3.png"] == ""


def test_groups_that_were_given_are_joined_by_copies(tmp_path: Path) -> None:
    paths = ["a/0.png", "a/1.png", "b/2.png", "b/3.png", "b/4.png"]
    filled(tmp_path, *paths)
    saved(tmp_path, "b/2.png", picture(1))
    files = files_of(tmp_path, paths, groups=["x", "x", "y", "y", "z"])
    groups = audit(files).grouped.groups
    assert len(set(groups[:4])) == 1
    assert groups[4] == "z"


def test_leakage_names_both_splits_and_counts_what_is_judged(tmp_path: Path) -> None:
    paths = {
        "a/0.png": "train", "b/1.png": "train", "a/2.png": "val", "b/3.png": "val",
        "a/4.png": "test", "b/5.png": "test", "a/copy0.jpg": "test", "a/again0.png": "test",
        "b/copy3.png": "test",
    }  # fmt: skip
    filled(tmp_path, *paths)
    saved(tmp_path, "a/copy0.jpg", picture(0), quality=50)
    shutil.copy(tmp_path / "a/0.png", tmp_path / "a/again0.png")
    saved(tmp_path, "b/copy3.png", picture(3).resize((144, 108)))
    found = audit(files_of(tmp_path, paths))
    leaks = {tuple(leak.details["splits"]): leak for leak in found.of("leakage")}
    assert set(leaks) == {("train", "test"), ("val", "test")}
    train, val = leaks["train", "test"], leaks["val", "test"]
    assert train.sentence.startswith("2 of 5 test images are copies or near-copies of images in tr")
    assert val.sentence.startswith("1 of 5 test images is a copy or near-copy of images in val")
    assert (train.details["concerned"], train.details["of"]) == (2, 5)
    assert set(train.groups[0]) == {"a/0.png", "a/copy0.jpg", "a/again0.png"}
    assert {paths[path] for path in train.groups[0][:2]} == {"train", "test"}
    assert val.groups == (("b/3.png", "b/copy3.png"),)
    # Two forms of 0 within test; training has one image of a class.
    assert set(kinds(found)) == {"leakage", "near-duplicates", "one-image"}


def test_a_file_that_will_be_trained_on_leaks_into_test(tmp_path: Path) -> None:
    paths = {"a/0.png": "", "b/1.png": "", "a/2.png": "test", "b/3.png": "test"}
    filled(tmp_path, *paths)
    shutil.copy(tmp_path / "a/0.png", tmp_path / "a/2.png")
    leak = the(audit(files_of(tmp_path, paths)), "leakage")
    assert leak.details == {"splits": ["no split", "test"], "concerned": 1, "of": 2}


def test_one_picture_with_two_labels(tmp_path: Path) -> None:
    filled(tmp_path, "a/0.png", "b/1.png", "a/2.png", "b/3.png")
    saved(tmp_path, "b/0.jpg", picture(0), quality=70)
    shutil.copy(tmp_path / "a/2.png", tmp_path / "a/2 again.png")
    finding = the(audit(find_files(tmp_path)), "conflicting-labels")
    assert finding.groups == (("a/0.png", "b/0.jpg"),)


def test_groups_in_several_splits(tmp_path: Path) -> None:
    paths = {"a/0.png": "train", "b/1.png": "train", "a/2.png": "test", "b/3.png": "test"}
    filled(tmp_path, *paths)
    found = audit(files_of(tmp_path, paths, groups=["x", "y", "x", ""]))
    assert the(found, "group-leakage").groups == (("a/0.png", "a/2.png"),)


def test_classes(tmp_path: Path) -> None:
    counts = {
        "a": (20, 1, 2),
        "b": (2, 1, 1),
        "single": (1, 0, 1),
        "late": (0, 1, 0),
        "void": (0,) * 3,
    }
    paths: dict[str, str] = {}
    for name, numbers in counts.items():
        for split, count in zip(("train", "val", "test"), numbers, strict=True):
            paths |= {f"{name}/{split}{n}.png": split for n in range(count)}
    paths["loose.png"] = "train"
    filled(tmp_path, *paths)
    found = audit(files_of(tmp_path, paths, class_names=list(counts)))
    assert found.counts.tolist() == [list(numbers) for numbers in counts.values()]
    named = {finding.kind: finding.details.get("classes") for finding in found.findings}
    assert named == {
        "no-images": ["void"],
        "never-trained": ["late"],
        "one-image": ["single"],
        "imbalance": None,
        "missing-from-split": ["single"],
        "unlabelled": None,
    }
    assert the(found, "imbalance").details == {"ratio": 20, "largest": "a", "smallest": "single"}
    assert the(found, "imbalance").severity == "warning"
    assert the(found, "missing-from-split").details["split"] == "val"
    assert the(found, "unlabelled").files == ("loose.png",)
    assert found.balance()[0] == ["class", "train", "val", "test"]
    assert found.balance()[-1] == ["all", "23", "3", "4"]
    assert list(found.to_dict()["classes"]["a"].values()) == [20, 1, 2]


def test_a_split_without_labels_lacks_no_class(tmp_path: Path) -> None:
    paths = {"a/1.png": "train", "a/2.png": "train", "b/1.png": "train", "b/2.png": "train"}
    paths |= {"loose.png": "test"}
    filled(tmp_path, *paths)
    found = audit(files_of(tmp_path, paths, class_names=["a", "b"]))
    assert found.of("missing-from-split") == ()
    assert the(found, "unlabelled").files == ("loose.png",)


@pytest.mark.parametrize(
    ("names", "alike"),
    [
        (["Boat", "boat ", "ship"], [["Boat", "boat "]]),
        (["caf\u00e9", "cafe\u0301"], [["caf\u00e9", "cafe\u0301"]]),
        (["gold fish", "goldfish"], [["gold fish", "goldfish"]]),
        (["STRASSE", "stra\u00dfe"], [["STRASSE", "stra\u00dfe"]]),
        (["a\u200bb", "ab"], [["a\u200bb", "ab"]]),
        (["cafe", "caf\u00e9", "boat", "boats"], []),
    ],
)  # fmt: skip
def test_names_that_look_alike(tmp_path: Path, names: list[str], alike: list[list[str]]) -> None:
    paths = [f"{name}/{number}.png" for number, name in enumerate(names)]
    filled(tmp_path, *paths)
    found = audit(files_of(tmp_path, paths, class_names=names))
    assert [f.details["classes"] for f in found.of("similar-names")] == ([alike] if alike else [])


def test_the_document_is_plain_json_and_the_order_is_by_severity(tmp_path: Path) -> None:
    filled(tmp_path, "a/0.png", "b/1.png", "b/2.png", "b/3.png")
    (tmp_path / "a/x.png").touch()
    found = audit(find_files(tmp_path))
    document = json.loads(json.dumps(found.to_dict()))
    assert document == found.to_dict()
    assert (document["files"], document["usable"]) == (5, 4)
    assert [f["severity"] for f in document["findings"]] == ["error", "warning", "note"]


def test_a_second_audit_decodes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    filled(tmp_path, "a/0.png", "b/1.png", "a/2.png", "b/3.png")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    decoded: list[str] = []
    look_at = auditing.look_at
    monkeypatch.setattr(
        auditing, "look_at", lambda path, key: decoded.append(path.name) or look_at(path, key)
    )
    files = files_of(tmp_path, ["a/0.png", "b/1.png", "a/2.png", "b/3.png"])
    told: list[tuple[int, int]] = []
    first = audit(files, progress=lambda done, of: told.append((done, of)))
    assert (sorted(decoded), told[-1]) == (["0.png", "1.png", "2.png", "3.png"], (4, 4))
    decoded.clear()
    (tmp_path / "a/0.png").rename(tmp_path / "a/renamed.png")
    saved(tmp_path, "b/1.png", picture(99))
    second = audit(files_of(tmp_path, ["a/renamed.png", "b/1.png", "a/2.png", "b/3.png"]))
    assert decoded == ["1.png"]
    assert str(second) == str(first)
    decoded.clear()
    audit(files, cache=False)
    assert len(decoded) == 3  # one has another name


def test_a_file_that_changes_under_way_is_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled(tmp_path, "a/0.png", "b/1.png")
    old = (tmp_path / "a/0.png").read_bytes()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    look_at = auditing.look_at

    def late(path: Path, key: str) -> object:
        if path.name == "0.png":
            Image.new("RGB", (9, 9)).save(path)
        return look_at(path, key)

    with monkeypatch.context() as patch:
        patch.setattr(auditing, "look_at", late)
        audit(files_of(tmp_path, ["a/0.png", "b/1.png"]))
    (tmp_path / "a/0.png").write_bytes(old)
    found = audit(files_of(tmp_path, ["a/0.png", "b/1.png"]))
    assert found.looks[0].width == 160


def test_more_files_than_one_visit_to_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(auditing, "_BATCH", 3)
    paths = [f"{'ab'[n % 2]}/{n}.png" for n in range(8)]
    filled(tmp_path, *paths)
    told: list[tuple[int, int]] = []
    found = audit(files_of(tmp_path, paths), progress=lambda *now: told.append(now))
    assert told == [(3, 8), (6, 8), (8, 8)]
    assert found.findings == ()
    assert len(found.looks) == 8


def test_boats(boats: Path) -> None:
    found = audit(find_files(boats))
    assert len(found.usable) == len(found.files) == 1103
    assert not found.of("leakage")
    assert the(found, "never-trained").details["classes"] == ["MotoscafoACTV"]
    (group,) = the(found, "near-duplicates").groups  # two frames within a second
    assert [path.rpartition("/")[2][:15] for path in group] == ["20130305_075734"] * 2
