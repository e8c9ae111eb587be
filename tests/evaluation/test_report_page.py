"""The report as a page: its numbers are those of the report, whatever names are in it."""

from __future__ import annotations

import re
from html import unescape
from html.parser import HTMLParser

import numpy as np
import pytest

from lamplighter.errors import ArgumentError, DatasetError
from lamplighter.evaluation.report import evaluate
from lamplighter.evaluation.report_page import report_page
from lamplighter.models.reliability import Trust
from tests.evaluation.test_html_page import luminance

VOID = {"meta", "img", "line", "circle", "rect"}


class Tables(HTMLParser):
    """Reads the cells of all tables, and holds the page to be well-formed."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tables: list[list[list[str]]] = []
        self.images: list[str] = []
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        if tag == "img":
            self.images.append(dict(attrs)["src"] or "")
        if tag not in VOID:
            self.open.append(tag)
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("th", "td"):
            self.tables[-1][-1].append("")

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] in ("th", "td"):
            self.tables[-1][-1][-1] += data


@pytest.fixture
def measured(reader, written):
    data = written("abc", [0, 0, 1, 1, 2, 2], [0, 0, 1, 2, 2, 0], [255, 90, 80, 200, 255, 60])
    classifier = reader("abc")
    return classifier, evaluate(classifier, data), data


def test_its_numbers_are_those_of_the_report(measured):
    classifier, report, data = measured
    tables = Tables(report_page(classifier, [report], data)).tables
    scores, confusion, classes, reliability = tables
    assert scores[1] == ["accuracy", "66.7 %", "30.0 % to 90.3 %"]
    assert [row[1:] for row in confusion[1:]] == [["2", "·", "·"], ["·", "1", "1"], ["1", "·", "1"]]
    rows = {row[0]: row[1:] for row in classes[1:]}
    assert rows["a"][:3] == ["2", "2", "100.0 %"]
    assert rows["a"][4:] == ["66.7 %", "80.0 %"]
    assert sum(int(row[1]) for row in reliability[1:]) == 6


def test_mistakes_have_their_pictures(measured):
    classifier, report, data = measured
    page = report_page(classifier, [report], data)
    assert len(Tables(page).images) == 2
    assert "2 images of 6; all of them" in page
    assert len(Tables(report_page(classifier, [report], data, most_mistakes=1)).images) == 1
    assert Tables(report_page(classifier, [report])).images == []


def test_it_needs_nothing_beside_it(measured):
    classifier, report, data = measured
    page = report_page(classifier, [report], data)
    assert not re.search(r"https?://|<script|<link|url\(", page)
    assert all(source.startswith("data:image/") for source in Tables(page).images)


def test_names_are_text(reader, written):
    names = ['<img src=x onerror="alert(1)">', "b&c", "\x1b[31m\u202e"]
    data = written(names, [0, 1, 2], [1, 1, 2])
    classifier = reader(names)
    page = report_page(
        classifier, [evaluate(classifier, data)], data, title=names[0], bundle=f"{names[0]}.lamp"
    )
    Tables(page)
    assert "<img src=x" not in page
    assert "\x1b" not in page
    assert "\u202e" not in page
    assert names[0] in unescape(page)


def test_what_the_classifier_does_not_know_is_said(reader, written):
    data = written("abx", [0, 1, 2], [0, 1, 1])
    classifier = reader("abz")
    page = report_page(classifier, [evaluate(classifier, data)], data)
    assert "does not know x: each answer" in page
    assert "no image of z" in page


def test_what_is_unknown_is_in_the_scores(measured):
    classifier, report, data = measured
    report.predictions.__dict__.update(
        distances=np.array([0.1, 0.1, 0.1, 0.9, 0.1, 0.1], dtype=np.float32), threshold=0.5
    )
    classifier.trust = Trust(2.0, np.eye(3, dtype=np.float32), threshold=0.5)
    page = report_page(classifier, [report], data)
    scores = {row[0]: row[1] for row in Tables(page).tables[0]}
    assert scores['known, not called "unknown"'] == "83.3 %"
    assert scores["accuracy on these"] == "80.0 %"
    assert "farther than 0.5" in page


def test_many_classes_are_listed_by_confusion(reader, written):
    names = [f"class {number}" for number in range(60)]
    data = written(names, [*range(60), 0], [1] * 61)
    classifier = reader(names[:12])
    page = report_page(classifier, [evaluate(classifier, data)], data)
    rows = next(table for table in Tables(page).tables if table[0][1] == "taken for")
    assert rows[1] == ["class 0", "class 1", "2"]


def test_figures_can_be_read_on_every_cell():
    """The strongest colors of the matrix, on white, below dark figures."""
    for red, green, blue in ((0, 114, 178), (230, 120, 40)):
        mixed = [round(255 + (part - 255) * 0.55) for part in (red, green, blue)]
        ground = luminance("#" + "".join(f"{part:02x}" for part in mixed))
        assert (ground + 0.05) / (luminance("#1a1a1a") + 0.05) > 4.5


def test_what_it_does_not_take(measured, written):
    classifier, report, data = measured
    with pytest.raises(DatasetError, match="received none"):
        report_page(classifier, [])
    with pytest.raises(DatasetError, match="other images"):
        report_page(classifier, [report], written("abc", [0], [0]))
    with pytest.raises(ArgumentError):
        report_page(classifier, [report], data, most_mistakes=-1)
