"""The gallery as a person uses it."""

from __future__ import annotations

import pytest

from tests.studio.pictures import photos

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def test_shows_all_images(studio_page, tmp_path):
    page, _ = studio_page(photos(tmp_path / "photos"))
    page.get_by_role("option").nth(11).wait_for()
    assert page.get_by_text("12 images", exact=True).is_visible()
