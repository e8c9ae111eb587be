"""Trying a classifier in a real browser: images, a camera that moves, digits drawn by hand."""

from __future__ import annotations

import numpy as np
import pytest

from lamplighter.datasets.image_data import ImageData
from lamplighter.saving.bundle import save
from tests.studio.browser.test_collect import UNPLUG
from tests.studio.pictures import COLORS, picture
from tests.studio.trained import bundle, train

pytestmark = [pytest.mark.browser, pytest.mark.slow]

THREE = [(.3, .25), (.45, .15), (.65, .2), (.68, .35), (.5, .48), (.68, .58), (.7, .75), (.5, .87),
         (.3, .8)]  # fmt: skip

REFUSE = """
navigator.mediaDevices.getUserMedia = async () => { throw new DOMException("", "NAME"); };
"""


@pytest.fixture
def folder(home, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_DATA_HOME", str(home / ".local/share"))
    train(tmp_path / "colors")
    return tmp_path / "colors"


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    """A bundle that reads most digits, learned in some twenty seconds."""
    from lamplighter.training.recipes import train as learn

    data = ImageData.mnist()
    splits = {
        "train": data["train"].take(np.arange(12_000)),
        "test": data["test"].take(np.arange(500)),
    }
    few = ImageData(splits, data.class_names, preprocessing=data.preprocessing, name="digits")
    classifier = learn(few, epochs=3, seed=7, verbose=0)
    return save(classifier, tmp_path_factory.mktemp("bundle") / "digits.lamp")


def at(page, address: str, view: str):
    page.goto(address.split("?")[0] + f"#/{view}")
    return page


def test_images_are_answered_and_explained(studio_page, folder, tmp_path):
    page, address = studio_page(folder)
    at(page, address, "try").get_by_text("3 classes:").wait_for()
    red = picture(tmp_path / "a red one.png", COLORS["red"], 30)
    page.get_by_label("Images to try").set_input_files([red])
    card = page.get_by_role("article", name="a red one.png")
    assert card.locator(".bars li").first.inner_text().startswith("red")
    assert card.locator(".bars li").count() == 3
    card.get_by_text("Why this answer?").click()
    card.get_by_role("button", name="Occlusion").click()
    card.get_by_text("Orange: covering it lowers the score for “red”").wait_for()
    assert card.locator(".heat-layers img").nth(1).evaluate("one => one.naturalWidth") == 224
    card.get_by_role("button", name="Most similar training images").click()
    card.locator(".similar li").nth(7).wait_for()
    assert {one.split("\n")[0] for one in card.locator(".similar li").all_inner_texts()} == {"red"}


def test_wrong_files_are_one_line_each(studio_page, folder, tmp_path, troubles):
    troubles.expect("status of 400")
    page, address = studio_page(folder)
    at(page, address, "try").get_by_text("3 classes:").wait_for()
    (tmp_path / "words.txt").write_text("words")
    (tmp_path / "words.jpg").write_text("words")
    (tmp_path / "broken.lamp").write_bytes(bundle()[:4000])
    page.get_by_label("Images to try").set_input_files(
        [tmp_path / name for name in ("words.txt", "words.jpg", "broken.lamp")]
    )
    page.get_by_text("words.txt is neither an image nor a .lamp file.").wait_for()
    page.get_by_text("words.jpg must be an image such as PNG or JPEG").wait_for()
    page.get_by_role("alert").get_by_text("broken.lamp").wait_for()


def test_a_3_is_drawn_and_read(studio_page, digits):
    page, address = studio_page()
    at(page, address, "try").get_by_text("There is no classifier to try yet.").wait_for()
    page.locator("input[accept='.lamp']").set_input_files(digits)
    page.get_by_text("10 classes:").wait_for()
    sheet = page.get_by_role("img", name="Sheet to draw on.")
    box = sheet.bounding_box()
    points = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in THREE]
    page.mouse.move(*points[0])
    page.mouse.down()
    for point in points[1:]:
        page.mouse.move(*point, steps=6)
    page.mouse.up()
    page.locator(".verdict", has_text="3").wait_for()
    assert page.locator(".seen img").evaluate("one => one.naturalWidth") == 28
    page.get_by_role("button", name="Clear").click()
    page.get_by_text("Draw a digit from 0 to 9").wait_for()


def test_a_1_is_drawn_with_the_keyboard(studio_page, digits):
    page, address = studio_page()
    at(page, address, "try").locator("input[accept='.lamp']").set_input_files(digits)
    sheet = page.get_by_role("img", name="Sheet to draw on.")
    sheet.focus()
    for _ in range(12):
        page.keyboard.press("ArrowUp")
    page.keyboard.press("Space")
    for _ in range(24):
        page.keyboard.press("ArrowDown")
    page.locator(".verdict strong", has_text="1").wait_for()


def test_a_camera_is_answered_one_picture_at_a_time(studio_page, folder):
    page, address = studio_page(folder)
    flying = {"now": 0, "most": 0, "all": 0}

    def sent(request):
        if "/api/try/answer" in request.url:
            flying["now"] += 1
            flying["all"] += 1
            flying["most"] = max(flying["most"], flying["now"])

    def ended(request):
        if "/api/try/answer" in request.url:
            flying["now"] -= 1

    page.on("request", sent)
    page.on("requestfinished", ended)
    at(page, address, "try?how=webcam").get_by_role("button", name="Start the camera").click()
    page.locator(".rate[data-rate]:not([data-rate='0.0'])").wait_for()
    page.wait_for_timeout(3000)
    assert flying["all"] > 5
    assert flying["most"] == 1
    assert page.locator(".bars li").count() == 3
    assert page.locator(".seen img").evaluate("one => one.naturalWidth") == 224
    page.get_by_role("button", name="Look closer at this picture").click()
    page.get_by_role("article").locator(".bars").wait_for()
    page.wait_for_timeout(500)
    after = flying["all"]
    page.wait_for_timeout(1000)
    assert flying["all"] == after  # the camera is let go with its view


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("NotAllowedError", "The browser may not use the camera."),
        ("NotFoundError", "No camera is found."),
        ("NotReadableError", "another program may be using it"),
    ],
)
def test_a_camera_that_does_not_start(studio_page, folder, name, words):
    page, address = studio_page(folder)
    page.add_init_script(REFUSE.replace("NAME", name))
    page.reload()
    at(page, address, "try?how=webcam").get_by_role("button", name="Start the camera").click()
    page.get_by_role("alert").get_by_text(words).wait_for()
    page.get_by_role("button", name="Start the camera").wait_for()


def test_a_camera_that_is_unplugged(studio_page, folder):
    page, address = studio_page(folder)
    at(page, address, "try?how=webcam").get_by_role("button", name="Start the camera").click()
    page.locator(".bars").wait_for()
    page.evaluate(UNPLUG)
    page.get_by_role("alert").get_by_text("The camera was unplugged").wait_for()
