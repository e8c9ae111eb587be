"""What is taken home, as files that the browser keeps."""

from __future__ import annotations

import pytest

from lamplighter.saving.bundle import load
from tests.studio.trained import train

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture
def page(home, tmp_path, monkeypatch, studio_page):
    monkeypatch.setenv("XDG_DATA_HOME", str(home / ".local/share"))
    train(tmp_path / "colors")
    page, address = studio_page(tmp_path / "colors")
    page.goto(address.split("?")[0] + "#/take-away")
    page.get_by_role("article", name="The labels").wait_for()
    return page


def test_all_is_downloaded_under_its_name(page, tmp_path):
    page.get_by_role("button", name="Make the report").click()
    for name in ("colors.lamp", "colors.onnx", "colors.html", "colors.csv"):
        with page.expect_download() as started:
            page.get_by_role("button", name=f"Download {name}").click()
        assert started.value.suggested_filename == name
        started.value.save_as(tmp_path / "home" / name)
        assert (tmp_path / "home" / name).stat().st_size > 100
    assert load(tmp_path / "home" / "colors.lamp").class_names == ("blue", "green", "red")


def test_saving_to_a_folder_replaces_nothing(page, tmp_path, troubles):
    troubles.expect("status of 400")
    card = page.get_by_role("article", name="The labels")
    card.get_by_text("Save to a folder…").click()
    card.get_by_role("button", name="Save", exact=True).click()
    path = tmp_path / "colors.csv"
    card.get_by_text(f"Saved {path}").wait_for()
    content = path.read_bytes()
    card.get_by_role("button", name="Save", exact=True).click()
    card.get_by_role("alert").get_by_text(f"{path} is there already").wait_for()
    assert path.read_bytes() == content


def test_commands_are_copied(page):
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    card = page.get_by_role("article", name="The labels")
    card.get_by_text("In a terminal, or in Python").click()
    card.get_by_role("button", name="Copy: the command for: The labels").click()
    card.get_by_role("status").get_by_text("Copied").wait_for(state="attached")
    said = page.evaluate("navigator.clipboard.readText()")
    assert said.startswith("lamplighter labels ")
    assert said.endswith(" apply colors.csv")
