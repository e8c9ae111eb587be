"""The gallery as a person uses it: with the mouse, with keys, and in two windows."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from lamplighter.workspace.workspace import Workspace
from tests.studio.pictures import COLORS, photos, picture

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Locator, Page

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def cells(page: Page) -> Locator:
    return page.get_by_role("option", name=re.compile("png"))


def cell(page: Page, name: str) -> Locator:
    return page.get_by_role("option", name=re.compile(re.escape(name)))


def selected(page: Page) -> list[str]:
    """The names of the files that are selected."""
    chosen = page.locator(".cell[aria-selected=true]").all()
    told = [one.get_attribute("aria-label") for one in chosen]
    return [text.split(",")[0].split("/")[-1].removesuffix(".png") for text in told]


def expect_classes(page: Page, **classes: str) -> None:
    for name, class_name in classes.items():
        shown = cell(page, f"{name.replace('_', '-')}.png").locator(".caption")
        expect(shown).to_have_text(class_name)


@pytest.fixture
def folder(tmp_path) -> Path:
    return photos(tmp_path / "photos", each=4)


@pytest.fixture
def page(studio_page, folder) -> Page:
    page, _ = studio_page(folder)
    expect(cells(page)).to_have_count(12)
    return page


def test_shows_all_images_with_their_pictures(page):
    expect(page.get_by_text("12 images", exact=True)).to_be_visible()
    for image in cells(page).locator("img").all():
        expect(image).to_have_js_property("naturalWidth", 96)
    expect(page).to_have_title("Gallery · photos")


def test_selects_with_the_mouse(page):
    cell(page, "blue-01").click()
    assert selected(page) == ["blue-01"]
    cell(page, "green-00").click(modifiers=["Shift"])
    assert selected(page) == ["blue-01", "blue-02", "blue-03", "green-00"]
    cell(page, "blue-02").click(modifiers=["Control"])
    assert selected(page) == ["blue-01", "blue-03", "green-00"]
    first, last = cell(page, "blue-00").bounding_box(), cell(page, "blue-02").bounding_box()
    page.mouse.move(first["x"] - 4, first["y"] - 3)
    page.mouse.down()
    page.mouse.move(last["x"] + 10, last["y"] + 20, steps=4)
    page.mouse.up()
    assert selected(page) == ["blue-00", "blue-01", "blue-02"]
    expect(page.get_by_text("3 selected")).to_be_visible()
    cell(page, "red-00").click()
    assert selected(page) == ["red-00"]


def test_selects_with_keys(page):
    page.get_by_role("listbox").focus()
    page.keyboard.press("ArrowRight")
    assert selected(page) == ["blue-00"]
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Shift+ArrowRight")
    assert selected(page) == ["blue-01", "blue-02"]
    page.keyboard.press("Control+ArrowRight")
    page.keyboard.press("Control+ArrowRight")
    page.keyboard.press(" ")
    assert selected(page) == ["blue-01", "blue-02", "green-00"]
    page.keyboard.press("End")
    assert selected(page) == ["red-03"]
    page.keyboard.press("Control+a")
    assert len(selected(page)) == 12
    page.keyboard.press("Escape")
    assert selected(page) == []


def test_labels_with_keys_and_undoes(page, folder):
    cell(page, "blue-00").click()
    cell(page, "blue-01").click(modifiers=["Shift"])
    page.keyboard.press("3")
    expect_classes(page, blue_00="red", blue_01="red", blue_02="blue")
    cell(page, "blue-02").click()
    page.keyboard.press("g")
    expect_classes(page, blue_02="green")
    page.keyboard.press("0")
    expect_classes(page, blue_02="no label")
    with Workspace.open(folder) as seen:
        assert [step.action.sentence for step in seen.steps()] == [
            "label 2 files red",
            "label blue/blue-02.png green",
            "take the label of blue/blue-02.png away",
        ]
    for _ in range(3):
        with page.expect_response("**/api/undo"):
            page.keyboard.press("Control+z")
    expect_classes(page, blue_00="blue", blue_01="blue", blue_02="blue")
    with page.expect_response("**/api/redo"):
        page.keyboard.press("Control+Shift+z")
    expect_classes(page, blue_00="red")


def test_undoes_from_the_message(page):
    cell(page, "blue-00").click()
    page.get_by_role("button", name="red", exact=True).click()
    page.get_by_role("status").get_by_role("button", name="Undo").click()
    expect_classes(page, blue_00="blue")


def test_sets_aside_and_takes_back(page):
    cell(page, "red-00").click()
    page.keyboard.press("Delete")
    expect(cell(page, "red-00")).to_have_accessible_name(
        "red/red-00.png, red, set aside: set aside in the studio"
    )
    page.get_by_label("Set aside", exact=True).select_option("yes")
    expect(cells(page)).to_have_count(1)
    cell(page, "red-00").click()
    page.get_by_role("button", name="Take back").click()
    expect(page.get_by_text("No image passes this filter")).to_be_visible()
    page.get_by_text("Show all 12").click()
    expect(cells(page)).to_have_count(12)


def test_filters_are_in_the_address(page):
    page.get_by_label("Class", exact=True).select_option("green")
    expect(cells(page)).to_have_count(4)
    page.get_by_label("Text in the name").fill("-02")
    expect(cells(page)).to_have_count(1)
    assert page.url.endswith("#/gallery?class=green&text=-02")
    page.reload()
    expect(cells(page)).to_have_count(1)
    expect(page.get_by_text("1 of 12 images")).to_be_visible()


def test_where_nothing_is_shown_nothing_is_labelled(page, folder):
    cell(page, "blue-00").click()
    page.get_by_label("Text in the name").fill("nothing like this")
    expect(page.get_by_text("No image passes this filter")).to_be_visible()
    page.get_by_label("Text in the name").blur()
    page.keyboard.press("2")
    page.get_by_text("Show all 12").click()
    expect(cells(page)).to_have_count(12)
    assert selected(page) == []
    with Workspace.open(folder) as seen:
        assert seen.steps() == []


def test_what_is_filtered_out_is_selected_no_more(page):
    page.get_by_label("Class", exact=True).select_option("green")
    expect(cells(page)).to_have_count(4)
    cell(page, "green-00").click()
    for left in (3, 2):
        page.keyboard.press("1")
        expect(cells(page)).to_have_count(left)
        # The next one takes its place, so that labelling goes on with the same key.
        assert selected(page) == [f"green-0{4 - left}"]
    page.get_by_label("Class", exact=True).select_option("")
    expect_classes(page, green_00="blue", green_01="blue", green_02="green")


def test_sorts(page, folder):
    def order():
        return [one.get_attribute("aria-label").split(",")[0] for one in cells(page).all()]

    by_folder = order()
    page.get_by_label("Order").select_option("reversed")
    expect(cells(page).first).to_have_accessible_name(re.compile("red-03"))
    assert order() == by_folder[::-1]
    page.get_by_label("Order").select_option("shuffled")
    expect(cells(page).first).not_to_have_accessible_name(re.compile("red-03"))
    assert sorted(order()) == by_folder
    assert order() not in (by_folder, by_folder[::-1])
    os.utime(folder / "green" / "green-02.png", (2e9, 2e9))
    page.get_by_label("Order").select_option("newest")
    expect(cells(page).first).to_have_accessible_name(re.compile("green-02"))


def test_history_is_shown_and_gone_back_to(page):
    for name in ("blue-00", "blue-01", "blue-02"):
        cell(page, name).click()
        with page.expect_response("**/api/label"):
            page.keyboard.press("3")
    page.get_by_role("button", name="History").click()
    history = page.get_by_role("dialog", name="History")
    expect(history.get_by_role("listitem")).to_have_count(3)
    history.get_by_role("button", name="Undo this and 1 later").click()
    expect(history.get_by_role("button", name="Redo", exact=True)).to_be_visible()
    page.keyboard.press("Escape")
    expect_classes(page, blue_00="red", blue_01="blue", blue_02="blue")


def test_large_view_goes_on_and_labels(page):
    cell(page, "blue-00").dblclick()
    large = page.get_by_role("dialog")
    expect(large).to_have_accessible_name("blue/blue-00.png")
    page.keyboard.press("ArrowRight")
    expect(large).to_have_accessible_name("blue/blue-01.png")
    page.keyboard.press("2")
    expect(large.locator("figcaption strong")).to_have_text("green")
    page.keyboard.press("Escape")
    expect_classes(page, blue_01="green")
    assert selected(page) == ["blue-01"]


def test_large_view_works_off_a_filter(page):
    page.get_by_label("Class", exact=True).select_option("green")
    cell(page, "green-00").dblclick()
    large = page.get_by_role("dialog")
    for number in range(3):
        expect(large).to_have_accessible_name(f"green/green-0{number}.png")
        page.keyboard.press("1")
    expect(large).to_have_accessible_name("green/green-03.png")
    page.keyboard.press("Escape")
    expect(cells(page)).to_have_count(1)


def test_large_view_stays_with_its_image_when_the_folder_changes(page, folder):
    cell(page, "green-01").dblclick()
    large = page.get_by_role("dialog")
    picture(folder / "blue" / "a-new-one.png", COLORS["blue"], 7)
    expect(large).to_contain_text("7 of 13")
    expect(large).to_have_accessible_name("green/green-01.png")


def test_classes_are_added_renamed_and_merged(page, folder):
    page.get_by_role("button", name="Classes…").click()
    editor = page.get_by_role("dialog", name="Classes")
    editor.get_by_label("New class").fill("yellow")
    editor.get_by_role("button", name="Add").click()
    expect(editor.get_by_label("Name of yellow")).to_be_visible()
    editor.get_by_label("Name of blue").fill("navy")
    editor.get_by_label("Name of blue").press("Enter")
    expect(editor.get_by_label("Name of navy")).to_be_visible()
    editor.get_by_label("Merge red into").select_option("yellow")
    expect(editor.get_by_label("Name of red")).to_have_count(0)
    with Workspace.open(folder) as seen:
        assert seen.classes() == ["green", "navy", "yellow"]


def test_a_class_that_cannot_be_is_told(page, troubles):
    troubles.expect("status of 400")
    page.get_by_role("button", name="Classes…").click()
    editor = page.get_by_role("dialog", name="Classes")
    editor.get_by_label("New class").fill("a/b")
    editor.get_by_role("button", name="Add").click()
    expect(page.get_by_role("alert")).to_contain_text("received a/b, with a slash")


def test_notes_and_files_that_are_left_out(studio_page, folder):
    (folder / "red" / "letter.txt").write_text("Dear")
    page, _ = studio_page(folder)
    page.get_by_role("button", name="Notes").click()
    notes = page.get_by_role("dialog", name="Notes on photos")
    expect(notes).to_contain_text("red/letter.txt")
    expect(notes).to_contain_text("12 images, 3 classes, 0 images without a label, 0 set aside")


def test_keys_are_told(page):
    page.get_by_role("listbox").focus()
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keys")).to_contain_text("label what is selected")


def test_a_window_sees_what_another_and_a_command_do(page, open_page, folder):
    other = open_page_of(page, open_page)
    cell(other, "blue-00").click()
    other.keyboard.press("3")
    expect_classes(page, blue_00="red")
    with Workspace.open(folder) as command:
        command.label("blue/blue-01.png", "green")
    for window in (page, other):
        expect_classes(window, blue_01="green")


def open_page_of(page: Page, open_page) -> Page:
    """Another tab of the same browser."""
    other = page.context.new_page()
    other.goto(page.url)
    return other


def test_a_folder_that_changes_while_it_is_open(page, folder, troubles):
    troubles.expect("status of 400")
    cell(page, "red-03").click()
    page.keyboard.press("1")
    expect_classes(page, red_03="blue")
    cell(page, "red-01").click()
    page.wait_for_timeout(1500)  # by then the file is read, so that it is known elsewhere
    picture(folder / "red" / "red-04.png", COLORS["red"], 4)
    (folder / "blue" / "blue-00.png").unlink()
    (folder / "red" / "red-03.png").rename(folder / "green" / "moved.png")
    expect(cell(page, "red-04")).to_be_visible()
    expect(cell(page, "blue-00")).to_have_count(0)
    expect_classes(page, moved="blue")  # the label goes along
    assert selected(page) == ["red-01"]
    expect(page.get_by_text("12 images", exact=False)).to_be_visible()


def test_all_images_vanish_and_come_back(page, folder, tmp_path, troubles):
    troubles.expect("status of 400")
    cell(page, "blue-00").click()
    page.keyboard.press("2")
    expect_classes(page, blue_00="green")
    away = [path.rename(tmp_path / path.name) for path in sorted(folder.iterdir()) if path.is_dir()]
    expect(page.get_by_text("There is no image in this folder yet.")).to_be_visible()
    for path in away:
        path.rename(folder / path.name)
    expect(cells(page)).to_have_count(12)
    expect_classes(page, blue_00="green")


def test_a_file_that_cannot_be_read(studio_page, folder, troubles):
    troubles.expect("status of 400")
    (folder / "red" / "red-00.png").write_bytes(b"no picture")
    page, _ = studio_page(folder)
    expect(cell(page, "red-00").get_by_text("cannot be read")).to_be_visible()
    cell(page, "red-00").dblclick()
    expect(page.get_by_role("dialog").get_by_role("alert")).to_contain_text("red-00.png")


def test_a_file_that_cannot_be_read_is_labelled_as_any_other(studio_page, folder, troubles):
    troubles.expect("status of 400")
    (folder / "red" / "red-00.png").write_bytes(b"no picture")
    page, _ = studio_page(folder)
    cell(page, "red-00").click()
    page.keyboard.press("1")
    expect(cell(page, "red-00")).to_have_accessible_name("red/red-00.png, blue")


def test_files_with_odd_names_are_shown(studio_page, folder):
    picture(folder / "red" / "50% #1?.png", COLORS["red"], 1)
    content = (folder / "red" / "red-00.png").read_bytes()
    with open(os.fsencode(folder / "red") + b"/caf\xe9.png", "wb") as file:  # noqa: PTH123
        file.write(content)  # a name that is not UTF-8
    page, _ = studio_page(f"{folder}/")
    expect(cells(page)).to_have_count(14)
    for image in cells(page).locator("img").all():
        expect(image).to_have_js_property("naturalWidth", 96)


def test_a_label_moves_nothing_and_the_last_image_is_reached(studio_page, tmp_path):
    page, _ = studio_page(photos(tmp_path / "many", each=100))
    page.get_by_role("listbox").focus()
    page.keyboard.press("End")
    assert selected(page) == ["red-99"]
    expect(cell(page, "red-99")).to_be_in_viewport()
    page.mouse.move(600, 400)
    page.mouse.wheel(0, -400)
    page.wait_for_timeout(300)
    before = page.locator(".grid").evaluate("grid => grid.scrollTop")
    page.keyboard.press("1")
    page.get_by_role("status").get_by_text("label red/red-99.png blue").wait_for()
    assert page.locator(".grid").evaluate("grid => grid.scrollTop") == before > 0


def test_the_end_is_quiet_while_pictures_are_asked_for(start_studio, open_page, tmp_path, troubles):
    troubles.expect("ERR_")
    server = start_studio(photos(tmp_path / "many", each=500))
    page = open_page(server.address)
    expect(cells(page).first).to_be_visible()
    page.locator(".grid").evaluate(
        """grid => {
          let frames = 0;
          const scroll = () => {
            grid.scrollTop += 60;
            if (++frames < 120) requestAnimationFrame(scroll);
          };
          scroll();
        }"""
    )
    page.wait_for_timeout(1000)
    assert server.end() == ("Ctrl-C ends it; every step is kept.\n", "")


def test_what_is_typed_into_a_filter_labels_nothing(page, folder):
    cell(page, "blue-00").click()
    page.get_by_label("Text in the name").press_sequentially("red-0123")
    page.keyboard.press("Backspace")
    expect(page.get_by_text("No image passes this filter")).to_be_visible()
    with Workspace.open(folder) as seen:
        assert seen.steps() == []


def test_a_touch_selects_and_opens_large(studio_page, folder):
    page, _ = studio_page(folder, viewport={"width": 360, "height": 740}, has_touch=True)
    cell(page, "blue-00").tap()
    cell(page, "blue-01").tap()
    assert selected(page) == ["blue-00", "blue-01"]
    page.get_by_role("button", name="Large").tap()
    expect(page.get_by_role("dialog")).to_have_accessible_name("blue/blue-00.png")
    assert page.evaluate("document.documentElement.scrollWidth") == 360
