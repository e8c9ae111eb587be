"""The page in a browser, from the disk and without a connection."""

from __future__ import annotations

import base64
import socket
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from lamplighter.datasets.emoji import load_emoji
from lamplighter.evaluation.reliability import add_trust
from lamplighter.inference.predictor import logits_and_features, predict
from lamplighter.models.reliability import Trust, unit_length
from lamplighter.saving.bundle import load, save
from lamplighter.saving.pretrained import pretrained
from lamplighter.training.recipes import train
from lamplighter.webpage.page import web_page

from ..images.digits.test_centering import EXAMPLES, VARIANTS, seven
from .conftest import NAMES, Opened, small_classifier
from .test_preparing_in_the_browser import PNGS, photo, saved

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from lamplighter.datasets.image_data import ImageData
    from lamplighter.models.classifier import Classifier

pytestmark = [pytest.mark.browser, pytest.mark.slow]

CLEAR = 0.02  # a margin between the first two classes above which the first is the same


@pytest.fixture(scope="module")
def digits(tiny_digits: ImageData, tmp_path_factory: pytest.TempPathFactory) -> Classifier:
    """A classifier of digits that has seen little and can say "unknown"."""
    classifier = train(tiny_digits, epochs=4, verbose=0)
    add_trust(classifier, tiny_digits, split="test", coverage=0.9)
    return load(save(classifier, tmp_path_factory.mktemp("digits") / "digits.lamp"))


@pytest.fixture(scope="module")
def photos() -> Classifier:
    """EfficientNet-Lite0 with a reference of 200 emoji, of which every second one is unknown."""
    classifier = pretrained("efficientnet-lite0")
    images = [Image.fromarray(emoji) for emoji in load_emoji()[:200]]
    seen = np.stack([classifier.preprocessing.pixels(image) for image in images])
    features = logits_and_features(classifier, seen)[1]
    reference = unit_length(features).astype(np.float16).astype(np.float32)  # as in a bundle
    classifier.trust = Trust(1.4, reference, 3, 0.35)
    return classifier


def check_answers(classifier: Classifier, page: Opened, files: list[bytes]) -> None:
    """Compare what the page and `predict` say of each file."""
    for content, ours in zip(files, predict(classifier, files), strict=True):
        theirs = page.classify(content)
        if ours.error is not None:
            assert "problem" in theirs
            continue
        assert "problem" not in theirs, theirs
        expected, found = dict(ours.guesses), dict(theirs["guesses"])
        assert max(abs(expected[name] - found[name]) for name in expected) < 1e-4
        if ours.guesses[0][1] - ours.guesses[1][1] > CLEAR:
            assert theirs["guesses"][0][0] == ours.guesses[0][0]
        assert theirs["isKnown"] is ours.known
        assert theirs["distance"] == pytest.approx(ours.distance, abs=1e-5)
    assert page.foreign_requests == []
    assert page.errors == []


def test_photos_have_the_answers_of_predict(photos, opened, tmp_path):
    path = web_page(photos, tmp_path / "photos.html")
    assert path.stat().st_size < 20e6
    emoji = [saved(Image.fromarray(one), "PNG") for one in load_emoji("twemoji")[::13]]
    files = [*emoji, *PNGS.values()]
    rng = np.random.default_rng(1)
    for number in range(40):
        exif = Image.Exif()
        exif[0x0112] = 1 + number % 8
        size = (int(side) for side in rng.integers(1, 700, 2))
        kind = ("JPEG", "WEBP", "JPEG", "PNG")[number % 4]
        files.append(saved(photo(*size), kind, exif=exif))
    files += [saved(photo(3000, 2000), "JPEG"), saved(photo(40, 30).convert("CMYK"), "JPEG")]
    files += [saved(photo(1, 1), "PNG"), b"", b"no image", files[-2][:300]]
    page = opened(path)
    check_answers(photos, page, files)
    known = [page.classify(content)["isKnown"] for content in emoji[:20]]
    assert 0 < sum(known) < len(known)


def test_digits_have_the_answers_of_predict(digits, mnist, opened, tmp_path):
    path = web_page(digits, tmp_path / "digits.html")
    assert path.stat().st_size < 6e6
    files = [example.read_bytes() for example in EXAMPLES]
    files += [saved(variant(seven()), "PNG") for variant in VARIANTS.values()]
    for number, image in enumerate(mnist["test"].images[100:180, 0]):
        side = (28, 56, 100, 280)[number % 4]
        drawn = Image.fromarray(255 - image if number % 3 else image)
        files.append(saved(drawn.resize((side, side), Image.Resampling.BICUBIC), "PNG"))
    files.append(saved(Image.new("L", (50, 50), 255), "PNG"))
    check_answers(digits, opened(path), files)


def test_a_photo_is_answered_at_once(photos, opened, tmp_path):
    page = opened(web_page(photos, tmp_path / "photos.html"))
    content = saved(photo(1200, 800), "JPEG", quality=85)
    milliseconds = page.page.evaluate(
        """async (text) => {
          const file = new Blob([Uint8Array.from(text)]), taken = [];
          for (let time = 0; time < 5; time++) {
            const start = performance.now();
            await lamplighter.classify(file);
            taken.push(performance.now() - start);
          }
          return Math.min(...taken);
        }""",
        list(content),
    )
    assert milliseconds < 150


# Four ways to send something to an address.
_CONNECT = """
(address) => {
  const ways = [
    () => fetch(`http://${address}/a`, { mode: "no-cors" }),
    () => (new Image().src = `http://${address}/b`),
    () => new WebSocket(`ws://${address}/c`),
    () => navigator.sendBeacon(`http://${address}/d`),
  ];
  for (const way of ways) {
    try {
      Promise.resolve(way()).catch(() => {});
    } catch {
      // It is refused.
    }
  }
}"""


@pytest.fixture
def small(opened: Callable[..., Opened], tmp_path: Path) -> Opened:
    """A page of a small classifier, whose class names try to be something else."""
    return opened(web_page(small_classifier(), tmp_path / "small.html", name="<i>Ключ</i> \u202e"))


def as_file(name: str, content: bytes, kind: str = "image/png") -> dict[str, Any]:
    return {"name": name, "mimeType": kind, "buffer": content}


def test_names_are_shown_as_text_and_nothing_runs(small):
    page = small.page
    page.on("dialog", lambda dialog: pytest.fail(f"a script of a name ran: {dialog.message}"))
    name = "<img src=x onerror=alert(1)>.png"
    page.set_input_files("#files", [as_file(name, saved(photo(30, 20), "PNG"))])
    page.locator("#status", has_text="1 of 1").wait_for()
    assert page.locator("#answers h3").text_content() == name
    assert page.locator("#name").text_content() == "<i>Ключ</i> \u202e"
    assert page.locator("#about .classes bdi").all_text_contents()[: len(NAMES)] == list(NAMES)
    assert page.locator("#answers img").count() == 1
    assert small.errors == []
    assert small.foreign_requests == []


def test_the_browser_refuses_any_connection(browser, tmp_path):
    path = web_page(small_classifier(), tmp_path / "small.html")
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        address = f"127.0.0.1:{server.getsockname()[1]}"
        context = browser.new_context()
        page = Opened(context.new_page(), path)
        page.page.evaluate(_CONNECT, address)
        page.page.wait_for_timeout(500)
        with pytest.raises(BlockingIOError):
            server.accept()
        # What would have come, had the page no policy.
        page.page.goto("about:blank")
        page.page.evaluate(_CONNECT, address)
        page.page.wait_for_timeout(500)
        server.accept()[0].close()
        context.close()


def test_files_that_cannot_be_used_are_told_beside_the_others(small):
    page = small.page
    good, cut = saved(photo(30, 20), "PNG"), saved(photo(90, 70), "JPEG")[:1000]
    files = [as_file("good.png", good), as_file("cut.jpg", cut), as_file("empty.png", b"")]
    page.set_input_files("#files", files)
    page.locator("#status", has_text="3 of 3 pictures read, of which 2 cannot be used.").wait_for()
    cards = page.locator("#answers > li")
    assert [cards.nth(k).locator("h3").inner_text() for k in range(3)] == [
        "empty.png",
        "cut.jpg",
        "good.png",
    ]
    assert "is empty" in cards.nth(0).inner_text()
    assert "is damaged" in cards.nth(1).inner_text()
    assert "%" in cards.nth(2).inner_text()


@pytest.mark.parametrize("way", ["paste", "drop"])
def test_pictures_are_pasted_and_dropped(small, way):
    event = {
        "paste": "new ClipboardEvent('paste', {clipboardData: data, bubbles: true})",
        "drop": "new DragEvent('drop', {dataTransfer: data, bubbles: true, cancelable: true})",
    }[way]
    small.page.evaluate(
        f"""(bytes) => {{ const data = new DataTransfer();
          data.items.add(new File([Uint8Array.from(bytes)], "given.png"));
          document.body.dispatchEvent({event}); }}""",
        list(saved(photo(30, 20), "PNG")),
    )
    small.page.locator("#status", has_text="1 of 1").wait_for()
    assert small.page.locator("#answers h3").inner_text() == "given.png"


def test_what_holds_no_picture_is_told(small):
    small.page.evaluate(
        "document.dispatchEvent(new ClipboardEvent('paste', {clipboardData: new DataTransfer()}))"
    )
    small.page.locator("#status", has_text="There is no picture").wait_for()


def draw_seven(opened: Opened) -> None:
    page = opened.page
    page.locator("#canvas").scroll_into_view_if_needed()
    box = page.locator("#canvas").bounding_box()
    points = [(0.3, 0.25), (0.7, 0.25), (0.6, 0.5), (0.5, 0.8)]
    places = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in points]
    page.mouse.move(*places[0])
    page.mouse.down()
    for place in places[1:]:
        page.mouse.move(*place, steps=8)
    page.mouse.up()


def test_a_drawing_is_answered_and_cleared(digits, opened, tmp_path):
    page = opened(web_page(digits, tmp_path / "digits.html"))
    draw_seven(page)
    page.page.locator("#drawn .bars").wait_for()
    drawn = page.page.locator("#canvas").evaluate("(canvas) => canvas.toDataURL()")
    [ours] = predict(digits, [base64.b64decode(drawn.split(",")[1])])
    shown = page.page.locator("#drawn .bars th").first.inner_text()
    assert shown == ours.guesses[0][0]
    page.page.locator("#clear").click()
    assert page.page.locator("#drawn").inner_text() == ""


def test_the_whole_picture_is_used_where_that_is_asked_for(digits, opened, tmp_path):
    page = opened(web_page(digits, tmp_path / "digits.html")).page
    files = [as_file("blank.png", saved(Image.new("L", (50, 50), 255), "PNG"))]
    page.set_input_files("#files", files)
    page.locator("#answers", has_text="No digit was found").wait_for()
    page.locator("#as-is").check()
    page.set_input_files("#files", files)
    page.locator("#answers > li .bars").wait_for()


def test_what_the_camera_sees_is_answered(opened, tmp_path):
    path = web_page(small_classifier(), tmp_path / "small.html")
    page = opened(path, permissions=["camera"]).page
    page.locator("#camera").click()
    page.locator("#viewed .bars").wait_for(timeout=20_000)
    assert page.locator("#camera").get_attribute("aria-pressed") == "true"
    page.locator("#camera").click()
    assert page.locator("#video").is_hidden()


def test_a_camera_that_may_not_be_used_is_told(small):
    small.page.locator("#camera").click()
    small.page.locator("#status", has_text="The camera may not be used").wait_for()


def test_it_is_used_with_the_keyboard_and_has_names_for_all(small):
    page = small.page
    order = []
    for _ in range(4):
        page.keyboard.press("Tab")
        order.append(page.evaluate("document.activeElement.id || document.activeElement.tagName"))
    assert order == ["choose", "camera", "SUMMARY", "DIV"]
    with page.expect_file_chooser():
        page.locator("#choose").focus()
        page.keyboard.press("Enter")
    assert page.locator("button:visible").evaluate_all("(all) => all.every((one) => one.innerText)")
    assert page.locator("main").count() == page.locator("h1").count() == 1
    assert page.locator("canvas").first.get_attribute("aria-label")


# The color of all words, that of their ground, and the words.
_COLORS = """
() => {
  const wanted = "p, h1, h2, h3, td, th, dt, dd, button, summary, figcaption";
  const shown = (one) => one.offsetParent && one.innerText.trim();
  const groundOf = (one) => {
    const color = getComputedStyle(one).backgroundColor;
    return color === "rgba(0, 0, 0, 0)" ? groundOf(one.parentElement) : color;
  };
  return [...document.querySelectorAll(wanted)].filter(shown)
    .map((one) => [getComputedStyle(one).color, groundOf(one), one.innerText]);
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_words_stand_out_from_their_ground(small, scheme):
    """At least 4.5 to 1 (WCAG 2.2, 1.4.3)."""
    page = small.page
    page.emulate_media(color_scheme=scheme)
    page.set_input_files("#files", [as_file("a.png", saved(photo(30, 20), "PNG"))])
    page.locator("#answers .bars").wait_for()
    pairs = page.evaluate(_COLORS)
    assert len(pairs) > 20
    assert [pair for pair in pairs if contrast(pair[0], pair[1]) < 4.5] == []


def contrast(one: str, other: str) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def luminance(color: str) -> float:
    parts = color[color.index("(") + 1 : -1].split(",")[:3]
    shares = np.array([float(part) for part in parts]) / 255
    linear = np.where(shares <= 0.04045, shares / 12.92, ((shares + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def test_nothing_runs_over_the_edge_of_a_small_screen(opened, tmp_path):
    path = web_page(small_classifier(), tmp_path / "small.html")
    page = opened(path, viewport={"width": 360, "height": 640}).page
    page.set_input_files("#files", [as_file(f"{'x' * 200}.png", saved(photo(900, 20), "PNG"))])
    page.locator("#answers .bars").wait_for()
    page.evaluate("for (const one of document.querySelectorAll('details')) one.open = true")
    assert page.evaluate("document.documentElement.scrollWidth") == 360


def test_the_words_are_those_of_the_table(opened, tmp_path):
    words = {"lang": "de", "dir": "ltr", "choose": "Bilder wählen", "ready": "Ready."}
    page = opened(web_page(small_classifier(), tmp_path / "small.html", texts=words)).page
    assert page.locator("#choose").inner_text() == "Bilder wählen"
    assert page.evaluate("document.documentElement.lang") == "de"


def test_ten_thousand_classes_are_answered(opened, tmp_path):
    names = tuple(f"class {number}" for number in range(10_000))
    page = opened(web_page(small_classifier(names), tmp_path / "many.html"))
    found = page.classify(saved(photo(30, 20), "PNG"))
    assert len(found["guesses"]) == 10_000
    assert page.errors == []
