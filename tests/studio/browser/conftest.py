"""The studio in a real browser: a server of its own, no other address, and no error unnoticed.

    @pytest.mark.browser
    @pytest.mark.slow
    def test_gallery(studio_page, tmp_path):
        page, address = studio_page(photos(tmp_path / "photos"))
        page.get_by_role("listbox").click()

What a page writes to its console as an error, and what it throws, fails the test, unless the test
has said before that it is to come: `troubles.expect("status of 400")`.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from playwright.sync_api import Browser, ConsoleMessage, Page, Playwright, Request

CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
_SECONDS = 30  # that a server has to start, and to end


@dataclass
class Troubles:
    """What went wrong in the pages of a test."""

    found: list[str] = field(default_factory=list)
    expected: list[str] = field(default_factory=list)

    def expect(self, pattern: str) -> None:
        """Let an error pass in which the regular expression is found."""
        self.expected.append(pattern)

    def unexpected(self) -> list[str]:
        return [
            line for line in self.found if not any(re.search(one, line) for one in self.expected)
        ]


@dataclass
class Server:
    """A studio in a process of its own."""

    process: subprocess.Popen[str]
    address: str

    @property
    def base(self) -> str:
        """Its address without the secret."""
        parts = urlsplit(self.address)
        return f"{parts.scheme}://{parts.netloc}"

    def end(self, by: int = signal.SIGINT) -> tuple[str, str]:
        """End it with a signal, and return what it wrote since it told its address."""
        if self.process.poll() is None:
            self.process.send_signal(by)
        self.process.wait(timeout=_SECONDS)
        # Not communicate(), which loses what was read along with the first line.
        return self.process.stdout.read(), self.process.stderr.read()


class Opened(NamedTuple):
    """A page that shows a studio."""

    page: Page
    address: str


@pytest.fixture(scope="package")
def playwright() -> Iterator[Playwright]:
    """Playwright; ended with the tests of this folder, since it keeps an event loop running."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as started:
        yield started


@pytest.fixture(scope="package")
def launch(playwright: Playwright) -> Callable[..., Browser]:
    """Start Chromium with more arguments; it has a camera that shows moving bars."""
    program = next(filter(None, map(shutil.which, CHROMIUM)), None)

    def start(*arguments: str) -> Browser:
        if program is None:
            pytest.fail(
                "these tests need a browser, received none on the PATH; install Chromium: "
                "apt-get install chromium."
            )
        return playwright.chromium.launch(
            executable_path=program,
            args=[
                "--no-sandbox",
                # Nobody listens there: all but this machine is out of reach.
                "--proxy-server=127.0.0.1:9",
                "--use-fake-ui-for-media-stream",
                "--use-fake-device-for-media-stream",
                *arguments,
            ],
        )

    return start


@pytest.fixture(scope="package")
def browser(launch: Callable[..., Browser]) -> Iterator[Browser]:
    """One browser for all tests; each page has cookies and storage of its own."""
    started = launch()
    yield started
    started.close()


@pytest.fixture
def troubles() -> Iterator[Troubles]:
    """What goes wrong in the pages of this test; it fails of what it does not expect."""
    troubles = Troubles()
    yield troubles
    assert troubles.unexpected() == []


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home folder of this test's own, for journals, trainings and what is brought along."""
    folder = tmp_path / "home"
    folder.mkdir()
    return folder


@pytest.fixture
def start_studio(home: Path) -> Iterator[Callable[..., Server]]:
    """Start a studio: `start_studio(folder, *options, **environment)` returns its `Server`."""
    servers = []

    def start(folder: Path | str | None = None, *options: str, **environment: str) -> Server:
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "lamplighter", "studio"),
                *([] if folder is None else [str(folder)]),
                *("--no-browser", "--port", "0", *options),
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **_of_home(home), **environment},
        )
        line = process.stdout.readline() if process.stdout else ""
        found = re.search(r"http://\S+", line)
        if found is None:
            process.kill()
            pytest.fail(f"the studio did not start: {line}{process.communicate()[1]}")
        servers.append(Server(process, found.group()))
        return servers[-1]

    yield start
    for server in servers:
        try:
            server.end()
        finally:
            server.process.kill()
            server.process.stdout.close()
            server.process.stderr.close()


def _of_home(home: Path) -> dict[str, str]:
    return {
        "HOME": str(home),
        "XDG_DATA_HOME": str(home / ".local/share"),
        "XDG_CACHE_HOME": os.environ.get("XDG_CACHE_HOME", str(home / ".cache")),
        "COLUMNS": "80",
        "OMP_NUM_THREADS": "1",
    }


@pytest.fixture
def open_page(browser: Browser, troubles: Troubles) -> Iterator[Callable[..., Page]]:
    """Open an address: `open_page(address, **of_context)` returns the page.

    The keywords are those of Playwright's `new_context`, such as `color_scheme="dark"` and
    `viewport={"width": 360, "height": 740}`; `browser=` takes another one that `launch` started.
    """
    contexts = []

    def start(address: str, *, browser: Browser = browser, **of_context: Any) -> Page:
        own = urlsplit(address).netloc
        context = browser.new_context(
            **{"viewport": {"width": 1280, "height": 800}, "locale": "en-US", **of_context}
        )
        contexts.append(context)
        context.set_default_timeout(15_000)
        context.on("request", lambda request: _watch(request, own, troubles))
        context.on("console", lambda message: _note(message, troubles))
        context.on("weberror", lambda error: troubles.found.append(f"thrown: {error.error}"))
        page = context.new_page()
        page.goto(address)
        return page

    yield start
    for context in contexts:
        context.close()


def _watch(request: Request, own: str, troubles: Troubles) -> None:
    parts = urlsplit(request.url)
    if parts.netloc != own and parts.scheme not in ("blob", "data"):
        troubles.found.append(f"asked elsewhere: {request.url}")


def _note(message: ConsoleMessage, troubles: Troubles) -> None:
    if message.type == "error":
        troubles.found.append(f"console: {message.text} ({message.location.get('url', '')})")


@pytest.fixture
def studio_page(
    start_studio: Callable[..., Server], open_page: Callable[..., Page]
) -> Callable[..., Opened]:
    """Start a studio and open its page: `studio_page(folder, **of_context)` returns both."""

    def start(folder: Path | str | None = None, **of_context: Any) -> Opened:
        server = start_studio(folder)
        return Opened(open_page(server.address, **of_context), server.address)

    return start
