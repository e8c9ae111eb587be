"""From photos to a classifier as a person goes: emoji with wrong labels, and a webcam."""

from __future__ import annotations

import re
import signal

import pytest
from playwright.sync_api import expect

from lamplighter import Workspace, find_files, write_sample

from .test_collect import hold
from .test_training import train

pytestmark = [pytest.mark.browser, pytest.mark.slow]

GONE = "ERR_CONNECTION_REFUSED|ERR_EMPTY_RESPONSE|ERR_CONNECTION_RESET|ERR_INCOMPLETE_CHUNKED"
# Drawings of the training split whose labels are made wrong, and the wrong classes.
FLIPPED = ("flag", "face")


def flip(folder):
    """Give three flags the label of faces, as another program would; return their paths."""
    files = find_files(folder)
    right, wrong = FLIPPED
    paths = [path for path in files.paths if path.startswith(f"train/{right}/")][:3]
    with Workspace.open(folder) as workspace:
        workspace.label(paths, wrong)
    return paths


def labels_of(folder, paths):
    with Workspace.open(folder) as workspace:
        files = workspace.files()
    labels = dict(zip(files.paths, files.labels, strict=True))
    return [files.class_names[labels[path]] for path in paths]


def test_wrong_labels_are_mended_and_nothing_is_lost(start_studio, open_page, tmp_path, troubles):
    folder = write_sample("emoji", tmp_path / "emoji")
    flipped = flip(folder)
    server = start_studio(folder)
    page = open_page(server.address)
    page.goto(f"{server.base}/#/check?tab=labels")
    page.get_by_role("button", name="Look for wrong labels").click()
    page.locator(".verdict").wait_for(timeout=180_000)
    found = page.evaluate("fetch('/api/suspects').then((answer) => answer.json())")
    paths = page.evaluate("fetch('/api/files').then((answer) => answer.json())")["paths"]
    assert set(flipped) <= {paths[one["row"]] for one in found["suspects"]}
    mended = 0
    while mended < 3:
        expect(page.locator(".verdict")).to_be_visible()
        is_flipped = page.locator(".case .path").inner_text().split(" · ")[0] in flipped
        page.keyboard.press("Enter" if is_flipped else " ")
        mended += is_flipped
        page.wait_for_timeout(200)
    assert labels_of(folder, flipped) == [FLIPPED[0]] * 3

    train(page, server.address, "knn", "linear")
    page.get_by_text("There is a classifier").wait_for(timeout=180_000)
    page.get_by_role("link", name="see its results").click()
    matrix = page.get_by_role("region", name="Confusion matrix")
    cell = matrix.get_by_role("link", name=re.compile(r"^\d+ of flag answered as flag$"))
    count = int(cell.inner_text())
    cell.click()
    page.get_by_text(re.compile(rf"^{count} of 950 images")).wait_for()
    shown = page.get_by_role("listbox").get_by_role("option").all()
    assert all(one.get_attribute("title").startswith("test/flag/") for one in shown)

    page.goto(f"{server.base}/#/gallery")
    page.get_by_role("listbox").wait_for()
    with Workspace.open(folder) as workspace:
        steps = len([step for step in workspace.steps() if step.done])
    for left in range(steps - 1, -1, -1):
        page.keyboard.press("Control+z")
        page.wait_for_function(
            "(left) => fetch('/api/steps').then((answer) => answer.json())"
            ".then(({ steps }) => steps.filter((step) => step.done).length === left)",
            arg=left,
        )
    assert labels_of(folder, flipped) == [FLIPPED[0]] * 3  # the first step undone was the flip
    page.evaluate("fetch('/api/redo', { method: 'POST', body: '{}' })")
    page.wait_for_timeout(500)
    assert labels_of(folder, flipped) == [FLIPPED[1]] * 3

    troubles.expect(GONE)
    server.end(signal.SIGKILL)
    again = open_page(start_studio(folder).address)
    again.get_by_text("950 images").wait_for()
    assert labels_of(folder, flipped) == [FLIPPED[1]] * 3
    again.goto(f"{again.url.split('#')[0]}#/results")
    again.get_by_role("region", name="Confusion matrix").wait_for()


def test_a_webcam_teaches_two_classes_and_is_answered(studio_page, tmp_path):
    folder = tmp_path / "mugs"
    folder.mkdir()
    page, address = studio_page(folder)
    base = address.split("?")[0]
    page.goto(f"{base}#/collect")
    page.get_by_role("button", name="Start the camera").click()
    for name in ("left", "right"):
        page.get_by_label("New class").fill(name)
        page.keyboard.press("Enter")
        card = page.get_by_role("article", name=name)
        card.locator("button.record:enabled").wait_for()
        for number in range(5):
            hold(page, card, 700)
            card.get_by_text(f"{number + 1} recording").wait_for()
    train(page, address, "knn", "linear")
    page.get_by_text("There is a classifier").wait_for(timeout=120_000)
    page.goto(f"{base}#/try?how=webcam")
    page.get_by_role("button", name="Start the camera").click()
    page.locator(".rate[data-rate]:not([data-rate='0.0'])").wait_for(timeout=30_000)
    assert page.locator(".bars li").count() == 2
