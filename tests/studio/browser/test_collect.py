"""Recording with a camera that moves, into classes, by mouse and by key."""

from __future__ import annotations

import json
import re

import pytest

from lamplighter.datasets.folders import find_files
from tests.studio.pictures import photos

UNPLUG = """
document.querySelector("video").srcObject.getVideoTracks()[0].dispatchEvent(new Event("ended"))
"""
pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture
def opened(studio_page, tmp_path):
    """The view, with its camera on, and the folder."""
    folder = photos(tmp_path / "mugs", each=2)
    page, address = studio_page(folder)
    page.goto(address.split("?")[0] + "#/collect")
    page.get_by_role("button", name="Start the camera").click()
    page.get_by_role("article", name="red").locator("button.record:enabled").wait_for()
    return page, folder


def count_of(card) -> int:
    return int(re.match(r"[\d,]+", card.locator(".class-count").inner_text()).group())


def hold(page, card, milliseconds: int) -> None:
    card.locator("button.record").hover()
    page.mouse.down()
    page.wait_for_timeout(milliseconds)
    page.mouse.up()
    card.get_by_role("button", name="Hold to record").wait_for()


def test_a_button_is_held(opened):
    page, folder = opened
    card = page.get_by_role("article", name="red")
    hold(page, card, 2000)
    card.get_by_text("1 recording").wait_for()
    files = find_files(folder)
    recorded = [path for path in files.paths if "recording-" in path]
    assert 6 <= len(recorded) <= 20  # eight a second
    assert all(path.startswith("red/") for path in recorded)
    assert len({files.groups[files.paths.index(path)] for path in recorded}) == 1
    assert count_of(card) == len(recorded) + 2
    hold(page, card, 300)
    card.get_by_text("2 recordings").wait_for()


def test_a_new_class_by_keys_and_set_aside(opened):
    page, folder = opened
    page.get_by_label("New class").fill("yellow")
    page.keyboard.press("Enter")
    card = page.get_by_role("article", name="yellow")
    card.locator("button.record").focus()
    page.keyboard.down("Space")
    page.wait_for_timeout(1000)
    page.keyboard.up("Space")
    card.get_by_role("button", name=re.compile("Set the last recording aside")).wait_for()
    before = count_of(card)
    assert before >= 2
    card.get_by_role("button", name=re.compile(r"Set recording-.* aside")).first.click()
    card.get_by_text(f"{before - 1} image", exact=False).wait_for()
    card.get_by_role("button", name=re.compile("Set the last recording aside")).click()
    card.get_by_text("0 images").wait_for()
    told = page.locator(".messages p").filter(has_text=f"set {before - 1} file")
    told.get_by_role("button", name="Undo").click()
    card.get_by_text(f"{before - 1} image", exact=False).wait_for()
    assert len([path for path in find_files(folder).paths if path.startswith("yellow/")]) == before


def test_a_tap_records_one_image(opened):
    page, folder = opened
    page.get_by_role("article", name="blue").locator("button.record").click()
    page.get_by_role("article", name="blue").get_by_text("1 recording").wait_for()
    recorded = [path for path in find_files(folder).paths if "recording-" in path]
    assert 1 <= len(recorded) <= 3


def test_what_fails_ends_the_recording_in_one_line(opened, troubles):
    troubles.expect("status of 400")
    page, _ = opened
    words = "red/1.jpg cannot be written: No space left on device; free some space."
    asked = []

    def full(route):
        asked.append(route.request.url)
        route.fulfill(
            status=400, content_type="application/json", body=json.dumps({"error": words})
        )

    page.route("**/api/collect/frame*", full)
    card = page.get_by_role("article", name="red")
    card.locator("button.record").hover()
    page.mouse.down()
    card.get_by_role("alert").get_by_text(words).wait_for()
    page.wait_for_timeout(500)
    page.mouse.up()
    assert len(asked) == 1


def test_an_unplugged_camera_ends_the_recording(opened):
    page, folder = opened
    card = page.get_by_role("article", name="red")
    card.locator("button.record").hover()
    page.mouse.down()
    page.wait_for_timeout(700)
    page.evaluate(UNPLUG)
    page.get_by_role("alert").get_by_text("The camera was unplugged").wait_for()
    card.get_by_role("button", name="Hold to record").wait_for()
    page.mouse.up()
    assert [path for path in find_files(folder).paths if "recording-" in path]
