"""What goes wrong around the studio: told in the page and in the terminal, and nothing is lost."""

from __future__ import annotations

import re
import resource
import signal
import subprocess
import sys
import time

import pytest
from playwright.sync_api import expect

from lamplighter.workspace.workspace import Workspace
from tests.studio.browser.test_gallery import cell, cells, expect_classes
from tests.studio.pictures import photos

pytestmark = [pytest.mark.browser, pytest.mark.slow]
GONE = "ERR_CONNECTION_REFUSED|ERR_EMPTY_RESPONSE|ERR_CONNECTION_RESET|ERR_INCOMPLETE_CHUNKED"


@pytest.fixture
def folder(tmp_path):
    return photos(tmp_path / "photos", each=2)


@pytest.mark.parametrize(
    ("by", "code"), [(signal.SIGINT, 0), (signal.SIGTERM, -signal.SIGTERM), (signal.SIGKILL, -9)]
)
def test_an_end_by_any_signal_loses_nothing(start_studio, open_page, folder, troubles, by, code):
    troubles.expect(GONE)
    server = start_studio(folder)
    page = open_page(server.address)
    cell(page, "blue-00").click()
    page.keyboard.press("2")
    expect_classes(page, blue_00="green")
    begun = time.monotonic()
    out, err = server.end(by)
    assert time.monotonic() - begun < 3
    assert (server.process.returncode, err) == (code, "")
    assert out == "Ctrl-C ends it; every step is kept.\n"
    expect(page.get_by_role("alert").first).to_contain_text("The studio does not answer")
    again = open_page(start_studio(folder).address)
    expect_classes(again, blue_00="green", blue_01="blue")
    again.get_by_role("button", name="Undo").click()
    expect_classes(again, blue_00="blue")


def test_a_page_goes_on_when_the_studio_comes_back_at_its_port(
    start_studio, open_page, folder, troubles
):
    troubles.expect(GONE)
    troubles.expect("401")
    server = start_studio(folder)
    page = open_page(server.address)
    expect(cells(page)).to_have_count(6)
    server.end()
    expect(page.get_by_role("alert").first).to_contain_text("The studio does not answer")
    port = server.base.rpartition(":")[2]
    again = start_studio(folder, "--port", port)
    page.goto(again.address)
    expect(cells(page)).to_have_count(6)


def test_a_second_studio_at_a_port_is_told(start_studio, folder):
    port = start_studio(folder).base.rpartition(":")[2]
    second = subprocess.run(
        [sys.executable, "-m", "lamplighter", "studio", folder, "--no-browser", "--port", port],
        capture_output=True,
        text=True,
        check=False,
    )
    assert second.returncode == 1
    assert second.stdout == ""
    assert re.fullmatch(
        f"lamplighter: the studio cannot listen at port {port}: Address already in use; another "
        "studio, or another program, runs there; leave --port out to take a free one.\n",
        second.stderr,
    )


def test_two_studios_on_one_folder_see_each_other(start_studio, open_page, folder):
    pages = [open_page(start_studio(folder).address) for _ in range(2)]
    cell(pages[0], "blue-00").click()
    pages[0].keyboard.press("3")
    for page in pages:
        expect_classes(page, blue_00="red")


def test_a_wrong_token_is_told_in_the_page(start_studio, open_page, folder, troubles):
    troubles.expect("status of 401")
    server = start_studio(folder)
    page = open_page(f"{server.base}/?token=wrong")
    expect(page.get_by_text("The token in this address is not that of the studio")).to_be_visible()
    page.goto(server.base)
    expect(page.get_by_text("This needs the address with the token")).to_be_visible()


def test_a_full_disk_is_told_and_the_step_is_not_taken(start_studio, open_page, folder, troubles):
    troubles.expect("status of 400")
    server = start_studio(folder)
    page = open_page(server.address)
    cell(page, "blue-00").click()
    page.keyboard.press("2")
    expect_classes(page, blue_00="green")
    process = server.process.pid
    free = resource.prlimit(process, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
    cell(page, "blue-01").click()
    page.keyboard.press("2")
    expect(page.get_by_role("alert")).to_contain_text("cannot be written")
    expect_classes(page, blue_00="green", blue_01="blue")
    resource.prlimit(process, resource.RLIMIT_FSIZE, free)
    page.keyboard.press("2")
    expect_classes(page, blue_00="green", blue_01="green")
    with Workspace.open(folder) as seen:
        assert len(seen.steps()) == 2


def test_a_folder_that_is_gone_is_told_and_what_was_done_is_kept(
    start_studio, open_page, folder, troubles
):
    troubles.expect("status of 400")
    page = open_page(start_studio(folder).address)
    cell(page, "blue-00").click()
    page.keyboard.press("2")
    expect_classes(page, blue_00="green")
    away = folder.rename(folder.with_name("away"))
    expect(page.get_by_role("alert").last).to_contain_text("there is no folder")
    page.keyboard.press("3")
    expect(page.get_by_role("alert").last).to_contain_text("was removed or moved while it")
    away.rename(folder)
    (folder / "blue" / "new.png").write_bytes((folder / "blue" / "blue-01.png").read_bytes())
    expect(cells(page)).to_have_count(7)
    expect_classes(page, blue_00="green")


def test_a_photo_of_two_gigabytes_is_refused_at_once(start_studio, open_page, troubles):
    troubles.expect("status of 413|Failed to load|ERR_")
    server = start_studio()
    page = open_page(server.address)
    asked = {"name": "large", "size": 2 * 10**9, "count": 1}
    begun = page.request.post(f"{server.base}/api/uploads", data=asked)
    told = page.evaluate(
        """async id => {
          const part = new Blob([new Uint8Array(2 ** 24)]);
          const body = new Blob(Array(120).fill(part));
          const path = `/api/uploads/file?${new URLSearchParams({id, path: "large.jpg"})}`;
          return (await fetch(path, {method: "POST", body})).text();
        }""",
        begun.json()["id"],
    )
    assert "at most 500 MB can be taken at once" in told
    assert memory(server.process.pid) < 300


def memory(process: int) -> float:
    """Return the most megabytes that a process has had."""
    with open(f"/proc/{process}/status") as status:  # noqa: PTH123
        return int(status.read().split("VmHWM:")[1].split()[0]) / 1024


def test_a_tab_that_dies_leaves_the_others_alone(start_studio, open_page, folder, troubles):
    server = start_studio(folder)
    page, doomed = open_page(server.address), open_page(server.address)
    expect(cells(doomed)).to_have_count(6)
    doomed.context.close()
    cell(page, "blue-00").click()
    page.keyboard.press("2")
    expect_classes(page, blue_00="green")
    assert server.end()[1] == ""
    troubles.expect(GONE)
