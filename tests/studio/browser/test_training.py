"""Train, look at the results, and open exactly the images of a cell."""

from __future__ import annotations

import re

import pytest

from ..trainings import photos

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def train(page, address, *methods):
    """Go to the view, leave these methods chosen, and start."""
    page.goto(f"{address.split('?')[0]}#/train")
    page.get_by_role("checkbox").first.wait_for()
    for box in page.get_by_role("checkbox").all():
        name = box.locator("xpath=..").locator("strong").inner_text()
        box.set_checked(name in methods)
    page.get_by_role("button", name="Train", exact=True).click()


@pytest.fixture
def trained(studio_page, tmp_path):
    page, address = studio_page(photos(tmp_path / "colors"))
    train(page, address, "knn", "linear")
    page.get_by_text("There is a classifier").wait_for(timeout=60_000)
    return page, address


def test_the_table_fills_and_a_cell_opens_exactly_its_images(trained):
    page, _ = trained
    rows = page.get_by_role("region", name="Methods compared").get_by_role("row")
    assert [row.inner_text().split()[0] for row in rows.all()[1:]] == ["knn", "linear"]
    assert page.get_by_label("Name of Training 1").input_value() == "Training 1"

    page.get_by_role("link", name="see its results").click()
    matrix = page.get_by_role("region", name="Confusion matrix")
    matrix.wait_for()
    cells = matrix.get_by_role("link").all()
    counts = [int(cell.inner_text()) for cell in cells]
    total = page.get_by_text(re.compile(r"on \d+ test images")).inner_text()
    assert sum(counts) == int(re.search(r"on (\d+) test images", total).group(1))
    for number, count in enumerate(counts):
        name = cells[number].get_attribute("aria-label")
        truth, answer = re.fullmatch(rf"{count} of (\w+) answered as (\w+)", name).groups()
        matrix.get_by_role("link", name=name).click()
        page.get_by_text(re.compile(rf"^{count} of 42 images")).wait_for()
        shown = page.get_by_role("listbox").get_by_role("option").all()
        assert len(shown) == count
        assert all(one.get_attribute("title").startswith(f"{truth}/") for one in shown)
        told = page.evaluate("fetch('/api/results/answers').then((answer) => answer.json())")
        expected = {
            path
            for path, split, said in zip(
                told["paths"], told["splits"], told["answers"], strict=True
            )
            if told["split_names"][split] == "test"
            and path.startswith(f"{truth}/")
            and told["class_names"][said] == answer
        }
        assert {one.get_attribute("title").split(",")[0] for one in shown} == expected
        page.go_back()
        matrix.wait_for()


def test_the_slider_moves_coverage_and_its_images(trained):
    page, address = trained
    page.goto(f"{address.split('?')[0]}#/results?split=val")
    slider = page.get_by_role("slider")
    before = page.locator(".numbers-list").inner_text()
    slider.focus()
    for _ in range(30):
        page.keyboard.press("ArrowLeft")
    assert page.locator(".numbers-list").inner_text() != before
    share = float(slider.get_attribute("aria-valuetext").split(": ")[1].split(" %")[0]) / 100
    images = int(re.search(r"on (\d+) validation", page.locator(".results").inner_text()).group(1))
    page.get_by_role("link", name="Show the unknown images").click()
    unknown = round(images * (1 - share))
    page.get_by_text(re.compile(rf"^{unknown} of 42 images")).wait_for()
    page.go_back()
    page.get_by_role("button", name="Save into the classifier").wait_for()


def test_a_page_that_is_opened_later_shows_how_the_training_stands(studio_page, tmp_path):
    page, address = studio_page(photos(tmp_path / "colors", each=30))
    train(page, address, "linear", "full")
    page.get_by_role("button", name="Stop", exact=True).wait_for()
    context = page.context
    page.close()
    later = context.new_page()
    later.goto(f"{address.split('?')[0]}#/train")
    later.get_by_text("full: learning").first.wait_for(timeout=60_000)
    assert "linear" in later.get_by_role("region", name="Methods compared").inner_text()
    later.get_by_role("button", name="Stop", exact=True).click()
    later.get_by_text("There is a classifier").wait_for(timeout=60_000)
    assert "stopped early" in later.locator(".live").inner_text()


def test_a_training_is_deleted_only_when_asked_twice(trained):
    page, _ = trained
    page.get_by_role("button", name="Delete Training 1").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("button", name="Keep it").click()
    assert page.get_by_label("Name of Training 1").count() == 1
    page.get_by_role("button", name="Delete Training 1").click()
    dialog.get_by_role("button", name="Delete").click()
    page.get_by_text("None yet").wait_for()
