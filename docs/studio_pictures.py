"""Take the pictures of the studio: each view in light, in dark and on a phone.

    python docs/studio_pictures.py [VIEW ...]

They go to docs/images/studio. The emoji that come with the package are opened, in a folder of
their own. Chromium is needed (apt-get install chromium). Look at each picture before you commit it.
"""

from __future__ import annotations

import io
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image
from playwright.sync_api import sync_playwright

from lamplighter.datasets.emoji import emoji_files

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from playwright.sync_api import Page

PICTURES = Path(__file__).parent / "images" / "studio"
LOOKS: dict[str, dict[str, Any]] = {
    "light": {"viewport": {"width": 1100, "height": 720}},
    "dark": {"viewport": {"width": 1100, "height": 720}, "color_scheme": "dark"},
    "phone": {"viewport": {"width": 360, "height": 720}, "has_touch": True},
}
COLORS = 128  # of a picture: it becomes a quarter as large
STILL = 700  # milliseconds after which a view has drawn what it shows


def show_gallery(page: Page) -> None:
    """Select some images."""
    page.evaluate("location.hash = '#/gallery?split=train'")
    page.locator(".cell").nth(3).click()
    page.locator(".cell").nth(6).click(modifiers=["Shift"])


def show_open(page: Page) -> None:
    """Show the folders of the home folder."""
    page.get_by_role("button", name="Open this folder").wait_for()


# What is to be done in a view before its picture is taken.
PREPARED: dict[str, Callable[[Page], None]] = {"gallery": show_gallery, "open": show_open}


@contextmanager
def studio(folder: Path, home: Path) -> Iterator[str]:
    """Start a studio that knows nothing of this machine's folders, and give its address."""
    process = subprocess.Popen(
        [sys.executable, "-m", "lamplighter", "studio", folder, "--no-browser", "--port", "0"],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "HOME": str(home), "XDG_DATA_HOME": str(home / ".local" / "share")},
    )
    try:
        assert process.stdout is not None
        found = re.search(r"http://\S+", process.stdout.readline())
        assert found is not None
        yield found.group()
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(timeout=30)


def save(picture: bytes, file: Path) -> None:
    """Write a picture with few colors."""
    image = Image.open(io.BytesIO(picture)).convert("RGB")
    file.parent.mkdir(parents=True, exist_ok=True)
    image.quantize(COLORS, dither=Image.Dither.NONE).save(file, optimize=True)


def main(wanted: list[str]) -> None:
    program = shutil.which("chromium") or shutil.which("google-chrome")
    # A short path, since pictures show it.
    with tempfile.TemporaryDirectory(prefix="home-") as work, sync_playwright() as playwright:
        home = Path(work, "alex")
        for name in ("Documents", "Music", "Pictures", "Videos"):
            (home / name).mkdir(parents=True)
        emoji_files(home / "Pictures" / "emoji")
        browser = playwright.chromium.launch(
            executable_path=program,
            args=[
                "--no-sandbox",
                "--use-fake-ui-for-media-stream",
                "--use-fake-device-for-media-stream",
            ],
        )
        with studio(home / "Pictures" / "emoji", home) as address:
            for look, settings in LOOKS.items():
                page = browser.new_context(**settings, reduced_motion="reduce").new_page()
                page.goto(address)
                page.locator(".cell img").first.wait_for()
                views = [
                    link.get_attribute("href") for link in page.locator("nav.views li a").all()
                ]
                for view in (str(one).removeprefix("#/") for one in views):
                    if wanted and view not in wanted:
                        continue
                    page.evaluate("view => { location.hash = `#/${view}`; }", view)
                    page.wait_for_timeout(STILL)
                    PREPARED.get(view, lambda page: None)(page)
                    page.wait_for_timeout(STILL)
                    save(page.screenshot(), PICTURES / f"{view}-{look}.png")
                    print(PICTURES / f"{view}-{look}.png")
                page.context.close()


if __name__ == "__main__":
    main(sys.argv[1:])
