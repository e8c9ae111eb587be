from __future__ import annotations

import base64
import io
import re
from html.parser import HTMLParser
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from lamplighter.auditing.audit import audit
from lamplighter.auditing.report import audit_page, audit_table
from lamplighter.auditing.sheet import audit_sheets
from lamplighter.datasets.files import ImageFiles
from lamplighter.datasets.folders import find_files
from lamplighter.evaluation.preprocessing_preview import fits_sheet
from tests.datasets.pictures import picture

if TYPE_CHECKING:
    from pathlib import Path

    from lamplighter.auditing.audit import Audit

STEERING = '<script>alert("1")</script> & \x1b[31m船'


@pytest.fixture
def found(tmp_path: Path) -> Audit:
    """A leak, a conflict of labels, a blank, an odd size, an empty file, odd names."""
    images = {
        "train/a/one.png": picture(0),
        f"train/a/{STEERING.replace('/', '_')}.png": picture(1),
        "train/b/two.png": picture(2),
        "train/b/white.png": Image.new("RGB", (160, 120), "white"),
        "train/b/strip.png": picture(3).resize((600, 60)),
        "test/b/leak.png": picture(0).resize((144, 108)),
        "test/a/four.png": picture(4),
    }
    for path, image in images.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        image.save(tmp_path / path)
    (tmp_path / "train/a/void.png").touch()
    paths = [*images, "train/a/void.png"]
    return audit(
        ImageFiles(
            name=STEERING,
            root=tmp_path,
            paths=tuple(paths),
            labels=np.array(["ab".index(path.split("/")[1]) for path in paths], dtype=np.int64),
            class_names=("<i>a</i>", "b"),
            splits=tuple(path.split("/")[0] for path in paths),
            groups=("",) * len(paths),
        )
    )


class Page(HTMLParser):
    """What a browser would make of a page: its elements, its text, its addresses."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: set[str] = set()
        self.addresses: list[str] = []
        self.text = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.elements.add(tag)
        self.addresses += [str(value) for name, value in attributes if name in ("src", "href")]
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_is_whole_escaped_and_fetches_nothing(found: Audit) -> None:
    source = audit_page(found)
    page = Page(source)
    assert page.open == []
    assert not page.elements & {"script", "link", "iframe", "i"}
    assert all(address.startswith("data:image/jpeg;base64,") for address in page.addresses)
    assert not re.search(r"url\(|@import|https?:", source)
    assert '<script>alert("1")</script> & \\x1b[31m船' in page.text
    assert "\x1b" not in source
    assert "<i>a</i>" in page.text
    assert all(finding.sentence in page.text for finding in found.findings)
    assert "prefers-color-scheme: dark" in source
    assert source.count("--ink:") == 2  # light and dark, as on all pages
    assert "default-src 'none'; img-src data:" in source
    source.encode()


def test_the_pictures_of_the_page_are_those_of_the_files(found: Audit) -> None:
    source = audit_page(found)
    (figure,) = re.findall(r'base64,([^"]+)"><figcaption>train/b/strip.png', source)
    image = Image.open(io.BytesIO(base64.b64decode(figure)))
    assert image.size == (180, 18)
    expected = picture(3).resize((600, 60)).resize((180, 18))
    assert np.abs(np.asarray(image).astype(int) - np.asarray(expected)).mean() < 9


def test_an_undecodable_name_is_shown(found: Audit, tmp_path: Path) -> None:
    (tmp_path / "train/a/bad\udcff.png").touch()
    files = ImageFiles(
        name="x", root=tmp_path, paths=("train/a/bad\udcff.png",), class_names=("a",),
        labels=np.zeros(1, np.int64), splits=("train",), groups=("",),
    )  # fmt: skip
    assert "bad\\udcff.png" in audit_page(audit(files)).encode().decode()


def test_the_table_names_bad_files_copies_and_classes(found: Audit) -> None:
    text = audit_table(found)
    assert str(found).split("\n")[0] == text.split("\n")[0]
    assert "void.png: is empty (0 bytes)" in text
    assert "test/b/leak.png = train/a/one.png" in text or "one.png = test/b/leak.png" in text
    classes = [line.split() for line in text.split("\n")[-3:]]
    assert classes == [["<i>a</i>", "2", "1"], ["b", "3", "1"], ["all", "5", "2"]]
    assert "more, all named by --json" not in text
    short = audit_table(found, most=0)
    assert "leak.png" not in short
    assert "    and 1 more, all named by --json" in short
    assert "void.png: is empty (0 bytes)" in short


def test_the_table_names_every_bad_file(tmp_path: Path) -> None:
    names = [f"a/{number:03}.png" for number in range(130)]
    (tmp_path / "a").mkdir()
    for name in names:
        (tmp_path / name).touch()
    text = audit_table(audit(find_files(tmp_path)))
    assert all(f"    {name}: is empty (0 bytes)" in text for name in names)


def test_one_sheet_for_each_finding_that_has_pictures(found: Audit) -> None:
    sheets = audit_sheets(found)
    assert sorted(sheets) == [
        "blank.png",
        "conflicting-labels.png",
        "leakage-train-test.png",
        "odd-sizes-fits.png",
        "odd-sizes.png",
    ]
    expected = fits_sheet(picture(3).resize((600, 60)), 224, title="train/b/strip.png")
    np.testing.assert_array_equal(sheets["odd-sizes-fits.png"], expected)
    assert sheets["leakage-train-test.png"].width > sheets["blank.png"].width
    pair = np.asarray(sheets["leakage-train-test.png"]).astype(int)
    # Two cells of 224 pixels: the same picture twice.
    first, second = pair[20:160, 20:230], pair[20:160, 20 + 238 : 230 + 238]
    assert np.abs(first - second).mean() < 8
    assert first.std() > 10


def test_a_file_that_vanished_since_is_a_grey_field(found: Audit) -> None:
    (found.files.root / "train/b/white.png").unlink()
    (found.files.root / "train/b/strip.png").unlink()
    for name in ("blank.png", "odd-sizes.png", "odd-sizes-fits.png"):
        sheet = audit_sheets(found)[name]
        assert (np.asarray(sheet) == 0x8A).all(axis=2).sum() > 10_000
    assert "white.png" in audit_page(found)
