"""axe-core finds nothing serious on any view, in light, in dark and on a phone.

axe-core 4.14.1 (Mozilla Public License 2.0) lies in the folder axe, for this test alone.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import expect

from tests.studio.browser.test_gallery import cells
from tests.studio.pictures import photos

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [pytest.mark.browser, pytest.mark.slow]
AXE = Path(__file__).with_name("axe") / "axe.min.js"
LOOKS: dict[str, dict[str, Any]] = {
    "light": {"color_scheme": "light"},
    "dark": {"color_scheme": "dark"},
    "phone": {"viewport": {"width": 360, "height": 740}, "has_touch": True},
}
_RUN = """async () => (await axe.run()).violations
  .filter(one => ["serious", "critical"].includes(one.impact))
  .map(one => `${one.id}: ${one.nodes.map(node => node.html.slice(0, 200)).join(" | ")}`)"""


def findings(page: Page) -> list[str]:
    """What axe finds that is serious, each with where it is."""
    if not page.evaluate("'axe' in window"):
        page.add_script_tag(path=AXE)
    found: list[str] = page.evaluate(_RUN)
    return found


def fits(page: Page) -> bool:
    """Whether nothing is wider than the window."""
    return bool(page.evaluate("document.documentElement.scrollWidth <= innerWidth"))


@pytest.fixture(params=LOOKS)
def look(request) -> dict[str, Any]:
    # The page's own rules would keep axe out of it.
    return {**LOOKS[request.param], "bypass_csp": True, "reduced_motion": "reduce"}


def test_each_view(studio_page, tmp_path, look):
    page, _ = studio_page(photos(tmp_path / "photos"), **look)
    expect(cells(page)).to_have_count(12)
    views = [one.get_attribute("href") for one in page.locator("nav.views li a").all()]
    assert "#/gallery" in views
    found = {}
    for view in views:
        page.evaluate("view => { location.hash = view; }", view)
        expect(page.locator("nav.views [aria-current=page]")).to_have_attribute("href", view)
        page.wait_for_timeout(300)
        found[view] = findings(page) + ([] if fits(page) else ["wider than the window"])
    assert not any(found.values()), found


def test_the_first_page(studio_page, look):
    page, _ = studio_page(**look)
    page.get_by_role("button", name="Open this folder").wait_for()
    assert findings(page) == []
    assert fits(page)


def test_what_the_gallery_opens(studio_page, tmp_path, look):
    page, _ = studio_page(photos(tmp_path / "photos"), **look)
    cells(page).first.click()
    page.keyboard.press("2")
    page.get_by_role("status").get_by_text("label").wait_for()
    found = {"selected": findings(page)}
    for name in ("Notes", "History", "Keys", "Classes…", "Large"):
        page.get_by_role("button", name=name).click()
        page.get_by_role("dialog").wait_for()
        found[name] = findings(page) + ([] if fits(page) else ["wider than the window"])
        page.keyboard.press("Escape")
        expect(page.get_by_role("dialog")).to_have_count(0)
    assert not any(found.values()), found
