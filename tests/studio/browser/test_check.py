"""The audit and the label clinic, as a person uses them."""

from __future__ import annotations

import shutil
import time
from typing import TYPE_CHECKING

import pytest

from tests.studio.pictures import photos

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Page

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def _go(page: Page, address: str) -> None:
    page.goto(f"{page.url.split('#')[0]}#/{address}")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = photos(tmp_path / "photos", each=10)
    for number in range(3):
        shutil.move(folder / f"blue/blue-0{number}.png", folder / f"green/blue-0{number}.png")
    shutil.copy(folder / "red/red-00.png", folder / "red/red-copy.png")
    return folder


def test_a_finding_is_mended_by_one_click_and_comes_back_by_undo(studio_page, folder) -> None:
    page, _ = studio_page(folder)
    _go(page, "check")
    page.get_by_role("button", name="Audit 31 photos").click()
    finding = page.get_by_role("article", name="Exact copies")
    finding.get_by_role("button", name="Keep one of each, set 1 image aside").click()
    finding.locator("figure.aside").wait_for()
    page.get_by_text("Labels or files changed since this audit.").wait_for()
    finding.get_by_role("button", name="Keep one of each").wait_for(state="detached")
    page.get_by_role("button", name="Undo").click()
    finding.get_by_role("button", name="Keep one of each, set 1 image aside").wait_for()
    finding.get_by_role("link", name="Show all 2 in the gallery").click()
    page.get_by_text("2 of 31 images").wait_for()
    assert page.locator(".cell").count() == 2
    page.reload()  # the address alone says it
    page.get_by_text("2 of 31 images").wait_for()


def test_wrong_labels_are_mended_by_keys(studio_page, folder) -> None:
    page, _ = studio_page(folder)
    _go(page, "check?tab=labels")
    page.get_by_role("button", name="Look for wrong labels").click()
    page.get_by_text("3 of 3 left").wait_for()
    assert page.locator(".verdict").inner_text() == "Labeled green, rather blue"
    assert page.locator(".near figure").count() >= 5
    page.keyboard.press("Enter")
    page.get_by_text("2 of 3 left").wait_for()
    page.keyboard.press(" ")
    page.get_by_text("1 of 3 left").wait_for()
    page.keyboard.press("r")
    page.get_by_text("All are decided.").wait_for()
    strip = page.get_by_role("list", name="Photos before and after")
    strip.get_by_text("relabeled").nth(1).wait_for()
    assert strip.get_by_text("label kept").count() == 1
    _go(page, "gallery?class=red")
    page.get_by_text("12 of 31 images").wait_for()
    _go(page, "check?tab=labels")
    page.locator(".cases").wait_for()
    for left in (1, 2, 3):
        page.keyboard.press("Control+z")
        page.get_by_text(f"{left} of 3 left").wait_for()
    _go(page, "gallery?suspect=yes")
    page.get_by_text("3 of 31 images").wait_for()


def test_keys_are_not_slowed_down_by_the_server(studio_page, folder) -> None:
    for source in sorted((folder / "red").glob("red-0*.png"))[:4]:
        shutil.copy(source, folder / "green" / f"also-{source.name}")
    page, _ = studio_page(folder)
    _go(page, "check?tab=labels")
    page.get_by_role("button", name="Look for wrong labels").click()
    cases = page.locator(".strip li").first
    cases.wait_for()
    count = int(page.locator(".cases > p").inner_text().split(" of ")[0])
    assert count >= 5
    begun = time.monotonic()
    for _ in range(count):
        page.keyboard.press("Enter")
    page.get_by_text("All are decided.").wait_for()
    each = (time.monotonic() - begun) / count
    assert each < 0.6  # 50 in a minute leave a person half a second for each
    page.get_by_text("Labels or files changed since.").wait_for()


def test_photos_without_a_label_are_labelled_by_keys(studio_page, folder) -> None:
    (folder / "unlabelled").mkdir()
    for number in (5, 6):
        shutil.move(folder / f"red/red-0{number}.png", folder / "unlabelled")
    page, _ = studio_page(folder)
    _go(page, "check?tab=next")
    page.get_by_role("button", name="Choose photos to label").click()
    page.get_by_text("2 of 2 left").wait_for()
    page.keyboard.press("r")
    page.get_by_text("1 of 2 left").wait_for()
    page.get_by_role("button", name="Set aside").click()
    page.get_by_text("Every photo in use has a label.").wait_for()
