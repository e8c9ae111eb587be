"""`lamplighter data`: the list, the emoji, the boats from a server on this machine."""

from __future__ import annotations

import json

import pytest

from lamplighter.datasets.folders import scan_folder
from tests.web_server import GOOD, Web, archive, serving


@pytest.fixture
def web(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with serving(Web(archive(GOOD))) as web:
        yield web


def test_the_list(run):
    outcome = run("data")
    assert (outcome.code, outcome.err) == (0, "")
    for words in ("mnist", "CC BY-SA 3.0", "emoji", "Apache-2.0", "CC BY 4.0", "boats", "research"):
        assert words in outcome.out
    assert max(map(len, outcome.out.splitlines())) <= 80
    assert list(json.loads(run("data", "--json").out)) == ["mnist", "emoji", "digits", "boats"]


def test_emoji(run, tmp_path):
    outcome = run("data", "emoji", tmp_path / "emoji")
    assert outcome.code == 0
    assert "train 575, val 125, test 125, test-twemoji 125 images, 17 classes" in outcome.out
    assert f"next: lamplighter train {tmp_path / 'emoji'}, or lamplighter transf" in outcome.line
    files = scan_folder(tmp_path / "emoji")
    assert (len(files), len(files.class_names), files.set_aside) == (950, 17, ())
    again = run("data", "emoji", tmp_path / "emoji")
    assert again.code == 1
    assert "must be a new or an empty folder" in again.line


def test_what_is_suggested_can_be_pasted(run, tmp_path):
    emoji, digits = tmp_path / "my emoji", tmp_path / "my digits"
    assert f"train '{emoji}', or lamplighter transfer '{emoji}'" in run("data", "emoji", emoji).line
    assert f"predict digits.lamp '{digits}'/*" in run("data", "digits", digits).line


def test_digits(run, tmp_path):
    outcome = run("data", "digits", tmp_path / "drawn")
    assert (outcome.code, outcome.err.count("\n")) == (0, 1)
    assert f"next: lamplighter predict digits.lamp {tmp_path / 'drawn' / '*'}" in outcome.line
    assert "digit-0.jpg, digit-1.png" in outcome.out
    assert len(list((tmp_path / "drawn").iterdir())) == 10
    again = run("data", "digits", tmp_path / "drawn")
    assert again.code == 1
    assert "must be a new or an empty folder" in again.line
    document = json.loads(run("data", "digits", tmp_path / "other", "--json").out)
    assert len(document["images"]) == 10


def test_boats(run, web, tmp_path):
    outcome = run("data", "boats", tmp_path / "boats", "--url", web.url, "--json")
    assert outcome.code == 0
    document = json.loads(outcome.out)
    assert document["images"] == {"train": 6, "val": 6, "test": 6}
    assert len(document["sha256"]) == 64
    checksum = document["sha256"]
    other = tmp_path / "again"
    text = run("data", "boats", other, "--url", web.url, "--sha256", checksum).out
    assert "train 6, val 6, test 6 images, 2 classes" in text
    assert checksum in text
    assert "research" in text


def test_boats_without_a_server(run, web, tmp_path):
    url = "http://127.0.0.1:9"  # the port of discard, where nobody listens
    outcome = run("data", "boats", tmp_path / "boats", "--url", url)
    assert outcome.code == 1
    assert "cannot be reached" in outcome.line
    assert outcome.line.endswith("Without the internet: lamplighter data emoji DIR.")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["cats", "x"], "there is no data set 'cats'; did you mean 'boats'? There are mnist"),
        (["mnist", "x"], "mnist comes with the package"),
        (
            ["emoji"],
            "needs a folder to write to, received none; give one: lamplighter data emoji DIR",
        ),
        (["emoji", "x", "--url", "http://a.example"], "need the data set boats"),
    ],
)
def test_bad_use(run, arguments, expected):
    outcome = run("data", *arguments)
    assert outcome.code == 2
    assert expected in outcome.line


def test_the_help(run):
    outcome = run("data", "--help")
    assert outcome.code == 0
    assert max(map(len, outcome.out.splitlines())) <= 80


def test_a_terminal_gets_a_bar_and_nothing_of_it_stays(monkeypatch, capsys):
    from lamplighter.cli import data

    monkeypatch.setattr(data.sys.stderr, "isatty", lambda: True, raising=False)
    with data._bars() as progress:
        assert progress is not None
        progress("downloading", 0, None)
        progress("downloading", 5, 10)
        progress("unpacking", 10, 10)
    assert "unpacking" in capsys.readouterr().err
