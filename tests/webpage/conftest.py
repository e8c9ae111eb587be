"""A small classifier, and a browser that may connect to nothing."""

from __future__ import annotations

import base64
import shutil
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from onnx import TensorProto, helper

from lamplighter.evaluation.intervals import wilson
from lamplighter.images.preprocessing import Preprocessing
from lamplighter.models.classifier import Classifier, Record
from lamplighter.models.reliability import Trust
from lamplighter.webpage.inlining import inlined

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from playwright.sync_api import Browser, Page

# What may be in a name that others chose, and must be shown as text.
NAMES = (
    "</script><script>alert(1)</script>",
    "<!--<script>",
    "\"'&amp;<b>",
    "ключ 🔑",
    "חתול \u202e cat",
    "a" * 300,
)
EXAMPLES = sorted(Path(str(resources.files("lamplighter") / "datasets" / "digit_files")).iterdir())
_CLASSIFY = """
async (text) => {
  const bytes = Uint8Array.from(atob(text), (one) => one.charCodeAt(0));
  try {
    const { guesses, isKnown, distance } = await lamplighter.classify(new Blob([bytes]));
    return { guesses: guesses.map((one) => [one.name, one.probability]), isKnown, distance };
  } catch (error) {
    return { problem: error.kind ?? String(error) };
  }
}"""


def linear_graph(count: int, width: int, classes: int) -> bytes:
    """An ONNX graph of one layer, whose features are its inputs."""
    weight = np.random.default_rng(0).normal(size=(width, classes)).astype(np.float32)
    nodes = [
        helper.make_node("Flatten", ["images"], ["features"]),
        helper.make_node("MatMul", ["features", "weight"], ["logits"]),
    ]
    initial = helper.make_tensor("weight", TensorProto.FLOAT, weight.shape, weight.ravel())
    side = round((width / count) ** 0.5)
    graph = helper.make_graph(
        nodes,
        "linear",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, ["N", count, side, side])],
        [
            helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", classes]),
            helper.make_tensor_value_info("features", TensorProto.FLOAT, ["N", width]),
        ],
        [initial],
    )
    opset = [helper.make_opsetid("", 18)]
    return helper.make_model(graph, opset_imports=opset, ir_version=9).SerializeToString()


def small_classifier(names: tuple[str, ...] = NAMES, **settings: Any) -> Classifier:
    """A classifier of 8 x 8 pixels that knows what is near to its reference."""

    def build() -> Any:
        raise AssertionError("nobody asked for the torch network")

    preprocessing = Preprocessing(height=8, width=8, interpolation="bicubic", **settings)
    classifier = Classifier.from_graph(
        linear_graph(3, 192, len(names)), build, preprocessing, names
    )
    score = {"data": "photos", "count": 40, "accuracy": wilson(37, 40).to_dict()}
    classifier.record = Record(
        recipe={"name": "transfer", "rung": "linear", "balanced": True, "shrinkage": None},
        scores={"test": score, "mine": {"anything": "else"}},
    )
    vectors = np.random.default_rng(1).normal(size=(20, 192)).astype(np.float32)
    measured = {"unknown": {"coverage": wilson(19, 20).to_dict()}}
    classifier.trust = Trust(1.5, vectors, 2, 0.85, measured)
    return classifier


@pytest.fixture
def classifier() -> Classifier:
    return small_classifier()


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Debian's Chromium, or the browser of the machine, with a camera that shows a test picture."""
    from playwright.sync_api import sync_playwright

    programs = ("chromium", "chromium-browser", "google-chrome")
    program = next(filter(None, map(shutil.which, programs)), None)
    assert program is not None, "these tests need a browser: apt-get install chromium"
    arguments = ["--no-sandbox", "--use-fake-device-for-media-stream"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=arguments)
        yield browser
        browser.close()


class Opened:
    """A page from the disk, and what it asked for.

    Attributes:
        page: in the browser.
        requests: addresses that are no part of the page itself.
        errors: what its scripts raised or the browser refused.
    """

    def __init__(self, page: Page, path: Path) -> None:
        self.page, self.path = page, path
        self.requests: list[str] = []
        self.errors: list[str] = []
        page.on("request", lambda request: self.requests.append(request.url))
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", self._noted)
        page.goto(path.as_uri())
        page.locator("#status", has_text="Ready.").wait_for(timeout=60_000)

    def _noted(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.errors.append(message.text)

    @property
    def foreign_requests(self) -> list[str]:
        """Requests beyond the file itself and pictures that it holds."""
        own = (self.path.as_uri(), "blob:")
        return [url for url in self.requests if not url.startswith(own)]

    def classify(self, content: bytes) -> dict[str, Any]:
        """What the page answers to a file, or its problem."""
        found: dict[str, Any] = self.page.evaluate(_CLASSIFY, base64.b64encode(content).decode())
        return found


@pytest.fixture
def opened(browser: Browser) -> Iterator[Callable[..., Opened]]:
    """Open a page from the disk, with no connection."""
    contexts = []

    def open_page(path: Path, **settings: Any) -> Opened:
        context = browser.new_context(offline=True, **settings)
        contexts.append(context)
        return Opened(context.new_page(), path)

    yield open_page
    for context in contexts:
        context.close()


_PROBE = """
import { roundHalfEven, quantile, pairwiseSum, solve, principalDirection } from "./numbers.js";
import { openImage } from "./decoding.js";
import { decodeSize, normalized, seenBy } from "./preprocessing.js";
import { resized, resizedPlane } from "./resample.js";
const bytesOf = (text) => Uint8Array.from(atob(text), (one) => one.charCodeAt(0));
const plain = (picture) => ({ ...picture, data: Array.from(picture.data) });
globalThis.probe = {
  roundHalfEven, quantile, pairwiseSum, solve, principalDirection,
  decode: async (bytes, size) => plain(await openImage(bytesOf(bytes), () => size)),
  see: async (bytes, settings) => {
    const picture = await openImage(bytesOf(bytes), (size) => decodeSize(settings, size));
    const seen = seenBy(settings, picture);
    return { ...plain(seen), input: Array.from(normalized(settings, seen)) };
  },
  resizePlane: (data, size, width, height, filter) => plain(resizedPlane(
    { width: size[0], height: size[1], data: Float32Array.from(data) }, width, height, filter)),
};
"""


_CALL = """
([name, given]) => Promise.resolve(probe[name](...given)).catch((error) => {
  return { problem: error.kind ?? String(error) };
})"""


@pytest.fixture(scope="session")
def probe(
    browser: Browser, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[..., Any]]:
    """Call a function of the page's modules, in the browser."""
    folder = resources.files("lamplighter.webpage") / "browser"

    def read(name: str) -> str:
        return _PROBE if name == "probe.js" else (folder / name).read_text("utf-8")

    path = tmp_path_factory.mktemp("probe") / "probe.html"
    path.write_text(f'<!DOCTYPE html><script type="module">{inlined("probe.js", read)}</script>')
    page = browser.new_page()
    page.goto(path.as_uri())

    def call(name: str, *arguments: Any) -> Any:
        return page.evaluate(_CALL, [name, list(arguments)])

    yield call
    page.close()
