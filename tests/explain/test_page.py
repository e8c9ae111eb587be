from __future__ import annotations

import base64
import io
import re
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from lamplighter.errors import ImageError, UnknownClassError
from lamplighter.explain.attribution.attribution import METHODS, attribute
from lamplighter.explain.attribution.method_comparison import compare_methods
from lamplighter.explain.explanation import explain, scored
from lamplighter.explain.page import CAUTIONS, Shown, page
from lamplighter.images.preprocessing import Preprocessing
from lamplighter.models.classifier import Classifier
from lamplighter.models.reliability import Trust

if TYPE_CHECKING:
    from pathlib import Path

EVIL = '<script>alert("1")</script>&\'x'
EMPTY = {"meta", "img", "br", "hr", "link", "input"}
PREPROCESSING = Preprocessing(height=12, width=12, channels=3)


class Reader(HTMLParser):
    """Reads a page, and holds it to be well-formed."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words = ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in EMPTY:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [values for name, values in self.tags if name == tag]


@pytest.fixture
def classifier() -> Classifier:
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3)
    )
    return Classifier(network, PREPROCESSING, [EVIL, "cat", "dog"])


@pytest.fixture
def image(tmp_path: Path) -> Path:
    pixels = np.random.default_rng(0).integers(0, 255, (20, 30, 3)).astype(np.uint8)
    path = tmp_path / "<img src=x onerror=alert(1)> & \u202e.png"
    Image.fromarray(pixels).save(path)
    return path


def _png(value: int = 3) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (4, 4), (value,) * 3).save(file, format="png")
    return file.getvalue()


def test_the_page_is_whole_and_fetches_nothing(classifier: Classifier, image: Path) -> None:
    explanation = explain(classifier, image, list(METHODS), target=EVIL)
    pictures = {name: _png(number) for number, name in enumerate(METHODS)}
    text = page(EVIL, "what it does", [Shown(explanation, pictures)], failures=[EVIL])
    read = Reader(text)
    tags = {tag for tag, _ in read.tags}
    assert not tags & {"script", "link", "iframe", "object", "form", "base", "a"}
    assert len(read.all("img")) == 1 + len(METHODS)
    for values in read.all("img"):
        source = values["src"] or ""
        assert source.startswith("data:image/png;base64,")
        with Image.open(io.BytesIO(base64.b64decode(source.partition(",")[2]))) as picture:
            assert picture.format == "PNG"
        assert len(values["alt"] or "") > 20
        assert not {name for name in values if name.startswith("on")}
    assert "http" not in re.sub("http-equiv", "", text)
    assert "url(" not in text
    assert "@import" not in text
    policy = next(m["content"] for m in read.all("meta") if "http-equiv" in m)
    assert policy == "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    assert any(meta.get("name") == "viewport" for meta in read.all("meta"))
    assert "prefers-color-scheme: dark" in text
    assert text.count("--ink:") == 2  # light and dark, as on all pages
    assert read.all("html") == [{"lang": "en"}]


def test_names_are_shown_as_they_are_and_do_nothing(classifier: Classifier, image: Path) -> None:
    explanation = explain(classifier, image, ["saliency"], target=EVIL)
    text = page(EVIL, "", [Shown(explanation, {"saliency": _png()})], failures=[EVIL])
    assert "<script" not in text
    assert "<img src=x" not in text
    assert "\u202e" not in text  # it would turn the words around it
    read = Reader(text)
    assert read.words.count(EVIL) >= 4
    assert "<img src=x onerror=alert(1)> & \\u202e.png" in read.words
    values = {value for _, attributes in read.tags for value in attributes}
    assert values <= {
        *("lang", "charset", "name", "content", "http-equiv", "class", "src", "width", "height"),
        *("alt", "scope"),
    }


def test_each_method_has_a_meaning_and_a_caution() -> None:
    assert list(CAUTIONS) == list(METHODS)
    for name, caution in CAUTIONS.items():
        assert caution.endswith(".")
        assert METHODS[name].meaning.endswith(".")


def test_what_is_said_is_what_the_classifier_says(classifier: Classifier, image: Path) -> None:
    done: list[None] = []
    explanation = explain(
        classifier, image, ["saliency", "integrated-gradients"], progress=lambda: done.append(None)
    )
    assert len(done) == 2
    inputs = torch.from_numpy(PREPROCESSING(Image.open(image)))[None]
    with torch.no_grad():
        shares = classifier.network.eval()(inputs).softmax(1)[0]
    best = int(shares.argmax())
    assert explanation.label == explanation.target == classifier.class_names[best]
    assert explanation.top[0][1] == pytest.approx(float(shares[best]), abs=1e-6)
    values = explanation.to_dict()
    assert [row["completeness_gap"] is None for row in values["maps"]] == [True, False]
    assert [row["steps"] is None for row in values["maps"]] == [True, False]
    for reason, name in zip(explanation.reasons, ("saliency", "integrated-gradients"), strict=True):
        expected = attribute(classifier, [image], name, target=best).maps
        assert reason.attribution is not None
        np.testing.assert_allclose(reason.attribution.maps, expected, atol=1e-6)
        assert reason.seconds > 0
    html = page("c", "", [Shown(explanation, dict.fromkeys(METHODS, _png()))])
    assert f"{100 * float(shares[best]):.1f} %" in Reader(html).words
    assert f'<td class="number">{explanation.reasons[1].steps}</td>' in html


def test_scores_of_a_comparison_go_to_their_maps(classifier: Classifier, image: Path) -> None:
    names = ["grad-cam", "occlusion"]
    explanation = explain(classifier, image, names)
    comparison = compare_methods(classifier, [image], names, target=explanation.target, steps=4)
    (made,) = scored([explanation], comparison)
    areas = {score.name: float(score.deletion.areas[0]) for score in comparison.scores}
    assert {r.method.name: r.deletion for r in made.reasons} == {n: areas[n] for n in names}
    shown = Shown(made, dict.fromkeys(names, _png()))
    text = page("c", "", [shown], comparison="a < b\nsecond")
    assert "deletion, less is better" in text
    assert "a < b\nsecond" in Reader(text).words
    assert "deletion, less" not in page("c", "", [Shown(explanation, shown.pictures)])


def test_a_method_that_fails_is_noted_and_the_others_go_on(
    image: Path,
) -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(3 * 144, 2))
    flat = Classifier(network, PREPROCESSING, ["cat", "dog"])
    explanation = explain(flat, image, ["grad-cam", "saliency"])
    failed, made = explanation.reasons
    assert failed.attribution is None
    assert failed.error
    assert made.attribution is not None
    assert explanation.to_dict()["maps"][0]["error"] == failed.error
    read = Reader(page("c", "", [Shown(explanation, {"saliency": _png()})]))
    assert failed.error.replace("\n", " ") in read.words
    assert len(read.all("img")) == 2


def test_what_is_unknown_is_called_so(classifier: Classifier, image: Path) -> None:
    reference = np.array([[1, -1, 1, -1]], np.float32)
    classifier.trust = Trust(reference=reference, threshold=0.0)
    explanation = explain(classifier, image, ["saliency"])
    assert (explanation.known, explanation.label) == (False, "unknown")
    words = Reader(page("c", "", [Shown(explanation, {"saliency": _png()})])).words
    assert "unknown: unlike the training images; nearest to" in words


def test_what_cannot_be_explained(classifier: Classifier, image: Path, tmp_path: Path) -> None:
    with pytest.raises(UnknownClassError, match="bird"):
        explain(classifier, image, ["saliency"], target="bird")
    with pytest.raises(ImageError, match="absent"):
        explain(classifier, tmp_path / "absent.png", ["saliency"])
