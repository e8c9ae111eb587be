"""The page as a file: what is in it, and what it may do."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest

from lamplighter.errors import BundleError, ModelError, OutputError
from lamplighter.models.classifier import Record
from lamplighter.webpage.page import web_page

from .conftest import NAMES, small_classifier


class Parsed(HTMLParser):
    """The scripts, styles and policy of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.blocks: dict[str, str] = {}
        self.scripts: list[str] = []
        self.styles: list[str] = []
        self.policy = ""
        self.addresses: list[str] = []
        self.inside: tuple[str, dict[str, str | None]] = ("", {})
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        self.inside = tag, given
        self.addresses += [given[name] for name in ("src", "href", "action") if given.get(name)]
        if given.get("http-equiv") == "Content-Security-Policy":
            self.policy = given["content"]

    def handle_data(self, data):
        tag, given = self.inside
        if tag == "style":
            self.styles.append(data)
        elif tag == "script" and given.get("id"):
            self.blocks[given["id"]] = self.blocks.get(given["id"], "") + data
        elif tag == "script":
            self.scripts.append(data)

    def handle_endtag(self, tag):
        self.inside = "", {}


@pytest.fixture
def parsed(classifier, tmp_path) -> Parsed:
    return Parsed(web_page(classifier, tmp_path / "a.html").read_text("utf-8"))


def test_the_policy_allows_its_own_scripts_and_no_connection(parsed):
    def digests(texts):
        hashed = (hashlib.sha256(text.encode()).digest() for text in texts)
        return [f"'sha256-{base64.b64encode(one).decode()}'" for one in hashed]

    rules = dict(rule.strip().split(" ", 1) for rule in parsed.policy.split(";"))
    assert rules["default-src"] == rules["connect-src"] == rules["form-action"] == "'none'"
    assert rules["script-src"].split() == [*digests(parsed.scripts), "'wasm-unsafe-eval'"]
    assert rules["style-src"].split() == digests(parsed.styles)
    assert len(parsed.scripts) == 2
    assert parsed.addresses == []


def test_names_of_others_stay_text(parsed):
    described = json.loads(parsed.blocks["classifier"])
    assert described["class_names"] == list(NAMES)
    assert set(parsed.blocks) == {"texts", "classifier", "network", "reference", "runtime"}


def test_the_network_and_the_reference_are_those_of_the_classifier(parsed, classifier):
    def unpacked(name):
        return gzip.decompress(base64.b64decode(parsed.blocks[name]))

    assert unpacked("network") == classifier.graph
    vectors = np.frombuffer(unpacked("reference"), "<f2").reshape(20, 192)
    np.testing.assert_allclose(vectors, classifier.trust.reference, atol=2e-3)
    assert unpacked("runtime").startswith(b"\0asm")


def test_the_card_says_what_is_known(parsed):
    card = json.loads(parsed.blocks["classifier"])["card"]
    assert card["recipe"] == [["name", "transfer"], ["rung", "linear"], ["balanced", "yes"]]
    assert [score["split"] for score in card["scores"]] == ["test"]
    assert card["scores"][0]["accuracy"]["value"] == 0.925
    assert card["coverage"]["value"] == 0.95
    assert card["calibration"] is None


def test_a_record_of_anything_leaves_a_card(tmp_path, classifier):
    classifier.record = Record(
        recipe={"refitted": 3, "list": list(range(20)), "rate": 0.125, "of": {"a": [1, 2]}},
        scores={"a": None, "b": [1], "c": {"count": "x"}, "d": {"count": 3, "accuracy": 0.9}},
    )
    classifier.trust = None
    page = Parsed(web_page(classifier, tmp_path / "a.html").read_text("utf-8"))
    card = json.loads(page.blocks["classifier"])["card"]
    assert card["recipe"] == [["list", "20 values"], ["rate", "0.125"], ["of", "a 1, 2"]]
    assert card["scores"] == []
    assert "reference" not in page.blocks


def test_the_page_is_the_same_each_time_and_replaces_another(tmp_path, classifier):
    first = web_page(classifier, tmp_path / "a.html").read_bytes()
    assert web_page(classifier, tmp_path / "a.html").read_bytes() == first
    assert len(first) < 5_300_000  # beside the network, of which this one has next to nothing


def test_a_name_and_words_of_ones_own(tmp_path, classifier):
    words = {"lang": "de", "dir": "ltr", "choose": "Wähle </script>"}
    path = web_page(classifier, tmp_path / "a.html", name="<Boote>", texts=words)
    page = Parsed(path.read_text("utf-8"))
    assert json.loads(page.blocks["texts"]) == words
    assert json.loads(page.blocks["classifier"])["name"] == "<Boote>"
    assert '<html lang="de">' in path.read_text("utf-8")


def test_what_cannot_be_written_is_told(tmp_path, classifier):
    with pytest.raises(OutputError, match="there is no folder"):
        web_page(classifier, tmp_path / "none" / "a.html")
    with pytest.raises(ModelError, match="web_page takes a Classifier, received a str"):
        web_page("a.lamp", tmp_path / "a.html")
    damaged = small_classifier()
    damaged._graph = b"no graph"
    with pytest.raises(BundleError):
        web_page(damaged, tmp_path / "a.html")
    assert list(tmp_path.iterdir()) == []


def test_ten_thousand_classes(tmp_path):
    names = tuple(f"class {number}" for number in range(10_000))
    path = web_page(small_classifier(names), tmp_path / "a.html")
    described = json.loads(Parsed(path.read_text("utf-8")).blocks["classifier"])
    assert len(described["class_names"]) == 10_000


def test_the_runtime_leaves_its_exports_where_the_page_looks_for_them(parsed):
    exported = re.search(r"globalThis\.ort=\{([^}]*)\};$", parsed.scripts[0])[1]
    assert {"InferenceSession", "Tensor", "env"} <= {
        pair.split(":")[0] for pair in exported.split(",")
    }
