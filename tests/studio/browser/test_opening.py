"""From nothing that is open to photos in the gallery."""

from __future__ import annotations

import io
import re
import zipfile
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from tests.studio.pictures import photos

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Page

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture
def page(studio_page, home) -> Page:
    (home / "Pictures").mkdir()
    page, _ = studio_page()
    expect(page.get_by_role("heading", name="Open photos")).to_be_visible()
    return page


def expect_images(page: Page, count: int) -> None:
    expect(page.get_by_role("option", name=re.compile("png"))).to_have_count(count)


def test_a_folder_is_found_by_going_through_folders(page, home):
    photos(home / "Pictures" / "trip", each=2)
    page.get_by_role("listitem").get_by_role("button", name="Pictures").click()
    page.get_by_role("listitem").get_by_role("button", name="trip").click()
    expect(page.get_by_role("list", name=re.compile("trip")).get_by_role("button")).to_have_text(
        ["blue", "green", "red"]
    )
    page.get_by_role("button", name="Open trip").click()
    expect_images(page, 6)
    page.get_by_role("link", name="Open", exact=True).click()
    expect(page.get_by_role("heading", name="Opened before")).to_be_visible()


def test_a_path_is_typed_and_a_wrong_one_told(page, tmp_path, troubles):
    troubles.expect("status of 400")
    path = page.get_by_label("Or the path of a folder")
    path.fill(str(tmp_path / "nowhere"))
    path.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("there is no folder")
    path.fill(str(photos(tmp_path / "photos", each=1)))
    path.press("Enter")
    expect_images(page, 3)


def test_a_folder_is_chosen_and_copied(page, home, tmp_path):
    source = photos(tmp_path / "trip", each=2)
    (source / "letter.txt").write_text("Dear")
    (source / ".hidden.png").write_bytes(b"x")
    page.get_by_label("Choose a folder").set_input_files(source)
    expect_images(page, 6)
    copied = home / "Pictures" / "Lamplighter" / "trip"
    for file in source.rglob("*/*.png"):
        assert (copied / file.relative_to(source)).read_bytes() == file.read_bytes()
    assert not (copied / "letter.txt").exists()
    expect(page.get_by_role("status")).to_contain_text("1 files that are no images were left out")


def test_a_zip_file_is_chosen(page, home):
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as whole:
        for file in photos(home / "some", each=1).rglob("*.png"):
            whole.write(file, file.relative_to(home / "some"))
    one = {"name": "trip.zip", "mimeType": "application/zip", "buffer": content.getvalue()}
    page.get_by_label("Choose photos or a .zip").set_input_files(one)
    expect_images(page, 3)
    assert (home / "Pictures" / "Lamplighter" / "trip" / "trip.zip").is_file()


def drop(page: Page, *paths: Path) -> None:
    """Drop files and folders as a person does from a file manager."""
    box = page.locator(".bring").bounding_box()
    data = {"items": [], "files": list(map(str, paths)), "dragOperationsMask": 1}
    at = {"x": box["x"] + 20, "y": box["y"] + 20, "data": data}
    session = page.context.new_cdp_session(page)
    for kind in ("dragEnter", "dragOver", "drop"):
        session.send("Input.dispatchDragEvent", {"type": kind, **at})


def test_a_folder_is_dropped(page, home, tmp_path):
    source = photos(tmp_path / "trip", each=2)
    drop(page, source)
    expect_images(page, 6)
    copied = home / "Pictures" / "Lamplighter" / "trip" / "red" / "red-01.png"
    assert copied.read_bytes() == (source / "red" / "red-01.png").read_bytes()


def test_photos_and_folders_are_dropped_together(page, home, tmp_path):
    source = photos(tmp_path / "trip", each=1)
    drop(page, source / "red", source / "blue", source / "green" / "green-00.png")
    expect_images(page, 3)
    copied = home / "Pictures" / "Lamplighter" / "Photos"
    names = {file.relative_to(copied).as_posix() for file in copied.rglob("*.png")}
    assert names == {"red/red-00.png", "blue/blue-00.png", "green-00.png"}


def test_what_is_no_photo_is_told_before_it_is_sent(page, home):
    letter = {"name": "letter.txt", "mimeType": "text/plain", "buffer": b"Dear"}
    page.get_by_label("Choose photos or a .zip").set_input_files(letter)
    expect(page.get_by_role("alert")).to_contain_text("received letter.txt")
    assert not (home / "Pictures" / "Lamplighter").exists()


def test_copying_is_stopped_and_leaves_nothing(page, home):
    page.route("**/api/uploads/file**", lambda route: None)  # which never ends
    one = {"name": "one.png", "mimeType": "image/png", "buffer": b"x"}
    page.get_by_label("Choose photos or a .zip").set_input_files(one)
    expect(page.get_by_text("Copying one: 0 of 1")).to_be_visible()
    with page.expect_response("**/api/uploads/cancel"):
        page.get_by_role("button", name="Stop").click()
    expect(page.get_by_text("Choose photos or a .zip")).to_be_visible()
    assert list((home / "Pictures" / "Lamplighter").iterdir()) == []


def test_emoji_to_begin_with(page):
    page.get_by_role("button", name="Start with emoji").click()
    expect(page.get_by_text("950 images", exact=True)).to_be_visible()


def test_a_collection_begins_empty(page, home: Path):
    page.get_by_label("Name of the new folder").fill("Cups")
    page.get_by_label("Classes, with commas between them").fill("cup, no cup")
    page.get_by_role("button", name="Start collecting").click()
    expect(page.get_by_role("heading", name="Collect")).to_be_visible()
    page.get_by_role("link", name="Gallery").click()
    expect(page.get_by_text("There is no image in this folder yet.")).to_be_visible()
    photos(home / "Pictures" / "Lamplighter" / "Cups", each=1)
    expect_images(page, 3)
    page.get_by_label("Class", exact=True).select_option("no cup")
    expect(page.get_by_text("No image passes this filter.")).to_be_visible()
