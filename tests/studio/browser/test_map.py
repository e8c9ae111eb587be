"""The map of the photos, drawn by WebGL and without it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.studio.pictures import photos

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Page

pytestmark = [pytest.mark.browser, pytest.mark.slow]

WEBGL = ("--use-angle=swiftshader", "--enable-unsafe-swiftshader")
NO_WEBGL = ("--disable-gpu", "--disable-3d-apis")


@pytest.fixture(params=[("WebGL", WEBGL), ("canvas", NO_WEBGL)], ids=["webgl", "canvas"])
def drawn(request, start_studio, open_page, launch, tmp_path: Path):
    """A page with the map of 30 photos, drawn in the way that is asked for."""
    by, arguments = request.param
    browser = launch(*arguments)
    server = start_studio(photos(tmp_path / "photos", each=10))
    page = open_page(server.address, browser=browser)
    page.goto(f"{page.url.split('#')[0]}#/map?method=pca")
    page.get_by_role("button", name="Draw the map").click()
    page.locator(f"iframe[data-drawn-by={by}]").wait_for()
    page.wait_for_timeout(1000)  # the library tells nobody when its first picture is there
    yield page
    browser.close()


def _lasso_all(page: Page, *, of: float = 1.0) -> None:
    """Draw a line round the left part of the map."""
    box = page.locator("iframe").bounding_box()
    assert box
    left, top = box["x"] + 3, box["y"] + 3
    right, bottom = box["x"] + of * box["width"] - 3, box["y"] + box["height"] - 3
    page.mouse.move(left, top)
    page.mouse.down()
    for x, y in ((right, top), (right, bottom), (left, bottom), (left, top + 4)):
        page.mouse.move(x, y, steps=12)
    page.mouse.up()


def test_the_lasso_selects_and_keys_label(drawn: Page) -> None:
    _lasso_all(drawn)
    drawn.get_by_role("heading", name="30 selected").wait_for()
    assert drawn.locator(".selected figure").count() == 30
    drawn.keyboard.press("r")  # the focus is in the frame
    drawn.get_by_role("button", name="red 30").wait_for()
    drawn.get_by_role("button", name="Undo").first.click()
    drawn.get_by_role("button", name="red 10").wait_for()
    drawn.get_by_role("button", name="Show in the gallery").click()
    drawn.get_by_text("30 selected").wait_for()
    drawn.get_by_role("button", name="30 chosen on the map").wait_for()
    assert drawn.locator(".cell.selected").count() > 0


def test_what_the_gallery_selects_is_selected_on_the_map(drawn: Page) -> None:
    base = drawn.url.split("#")[0]
    drawn.goto(f"{base}#/gallery?class=blue")
    drawn.locator(".cell").first.click()
    drawn.keyboard.press("Control+a")
    drawn.goto(f"{base}#/map")
    drawn.get_by_role("heading", name="10 selected").wait_for()
    drawn.get_by_text("The map as a table").click()
    row = drawn.get_by_role("row", name="blue")
    assert row.get_by_role("cell").all_inner_texts()[:2] == ["10", "10"]
    drawn.get_by_role("button", name="Select all green").click()
    assert drawn.get_by_role("row", name="green").get_by_role("cell").nth(1).inner_text() == "10"
    assert row.get_by_role("cell").nth(1).inner_text() == "0"


def test_a_point_shows_its_picture_and_keys_go_from_one_to_the_next(drawn: Page) -> None:
    frame = drawn.frame_locator("iframe").locator("canvas")
    frame.focus()
    drawn.keyboard.press("ArrowRight")
    first = drawn.locator(".hover-card .path").inner_text()
    drawn.keyboard.press("ArrowLeft")
    drawn.wait_for_function(
        "before => document.querySelector('.hover-card .path')?.innerText !== before", arg=first
    )
    drawn.keyboard.press(" ")
    drawn.get_by_role("heading", name="1 selected").wait_for()
    drawn.keyboard.press("Enter")
    drawn.get_by_role("dialog").wait_for()
    drawn.keyboard.press("Escape")
    drawn.keyboard.press("Escape")


def test_a_name_of_the_legend_is_picked_out(drawn: Page) -> None:
    drawn.get_by_role("button", name="blue 10").click()
    assert drawn.url.endswith("show=blue")
    assert drawn.get_by_role("button", name="blue 10").get_attribute("aria-pressed") == "true"
    colours = drawn.locator(".legend .swatch").evaluate_all(
        "all => all.map((one) => getComputedStyle(one).backgroundColor)"
    )
    grey = "rgb(196, 196, 196)"
    assert [colour == grey for colour in colours] == [False, True, True]
    drawn.get_by_role("button", name="Show all").click()
    assert "show" not in drawn.url
