"""The studio with 100,000 images: how soon it opens, how it scrolls, what memory it takes.

Chromium is driven by Playwright: apt-get install chromium. Frames are those that its
compositor shows, as the browser's own trace has them.
"""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from PIL import Image
from playwright.sync_api import sync_playwright

from measuring import median, record, table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, Page

MANY, CLASSES = 100_000, 20
PHOTOS, PHOTO_SIZE = 1_000, (1600, 1200)
ROUNDS = 5
SCROLLED, SPEED, FLYING = 10, 40, 4000  # seconds, and pixels a frame
OPENED_BAR, FRAMES_BAR, MEMORY_BAR, FIRST_BAR = 2.0, 30, 500, 2.0
_SHOWN = """() => [...document.querySelectorAll('.cell img')].some(one => one.naturalWidth)"""
# Scrolls, and counts of the images in sight those that have their picture.
_SCROLL = """([seconds, speed]) => new Promise(done => {
  const grid = document.querySelector('.grid'), box = grid.getBoundingClientRect();
  const begun = performance.now();
  let frames = 0, sight = 0, shown = 0;
  const look = () => {
    for (const image of grid.querySelectorAll('.cell img')) {
      const { top, bottom } = image.getBoundingClientRect();
      if (bottom < box.top || top > box.bottom) continue;
      sight++;
      shown += image.naturalWidth > 0;
    }
  };
  const frame = now => {
    grid.scrollTop += speed;
    if (++frames % 15 === 0) look();
    if (now - begun < 1000 * seconds) requestAnimationFrame(frame);
    else done(sight ? shown / sight : 0);
  };
  requestAnimationFrame(frame);
})"""


class Studio(NamedTuple):
    """A studio that runs, and what it took."""

    address: str
    process: int
    begun: float


def write_many(folder: Path) -> None:
    """Write small pictures, each another one, in a folder for each class."""
    rng = np.random.default_rng(0)
    for number in range(MANY):
        above = folder / f"class-{number % CLASSES:02d}"
        if number < CLASSES:
            above.mkdir(parents=True)
        pixels = rng.integers(0, 256, (6, 6, 3), dtype=np.uint8)
        encoded = io.BytesIO()
        Image.fromarray(pixels).resize((96, 96), Image.Resampling.BILINEAR).save(encoded, "JPEG")
        (above / f"{number:06d}.jpg").write_bytes(encoded.getvalue())


def write_photos(folder: Path) -> None:
    """Write images of two megapixels with as much in them as photos have."""
    rng = np.random.default_rng(1)
    for number in range(PHOTOS):
        above = folder / f"class-{number % 10}"
        above.mkdir(parents=True, exist_ok=True)
        coarse = rng.integers(0, 256, (48, 64, 3), dtype=np.uint8)
        photo = Image.fromarray(coarse).resize(PHOTO_SIZE, Image.Resampling.BICUBIC)
        photo.save(above / f"{number:04d}.jpg", quality=88)


@contextmanager
def studio(folder: Path) -> Iterator[Studio]:
    """Start a studio whose journal and cache are new."""
    with tempfile.TemporaryDirectory() as home:
        begun = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, "-m", "lamplighter", "studio", folder, "--no-browser", "--port", "0"],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "XDG_DATA_HOME": home, "XDG_CACHE_HOME": home},
        )
        try:
            assert process.stdout is not None
            found = re.search(r"http://\S+", process.stdout.readline())
            assert found is not None
            yield Studio(found.group(), process.pid, begun)
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(timeout=30)
            for journal in folder.glob(".lamplighter-labels*"):
                journal.unlink()


def memory(process: int) -> float:
    """Return the most megabytes of RAM that a process has had."""
    status = Path(f"/proc/{process}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def opened(browser: Browser, address: str) -> tuple[Page, float]:
    """Return a page that shows a picture, and the seconds until it did."""
    page = browser.new_context(viewport={"width": 1280, "height": 800}).new_page()
    begun = time.perf_counter()
    page.goto(address)
    while not page.evaluate(_SHOWN):
        time.sleep(0.01)
    return page, time.perf_counter() - begun


def frames(browser: Browser, page: Page, *, speed: int) -> tuple[list[float], float]:
    """Scroll; return the milliseconds between frames, and the share of images in sight shown."""
    browser.start_tracing(page=page, categories=["disabled-by-default-devtools.timeline.frame"])
    visible = page.evaluate(_SCROLL, [SCROLLED, speed])
    trace = json.loads(browser.stop_tracing())
    shown = sorted(
        event["ts"] / 1000 for event in trace["traceEvents"] if event["name"] == "DrawFrame"
    )
    return list(np.diff(shown)), visible


def scrolling(browser: Browser, page: Page) -> list[list[object]]:
    rows = []
    for words, speed in (("as a wheel does", SPEED), ("as a dragged scroll bar does", FLYING)):
        page.evaluate("document.querySelector('.grid').scrollTop = 0")
        time.sleep(1)
        gaps, shown = frames(browser, page, speed=speed)
        rows.append(
            [
                f"{words}, {60 * speed:,} pixels a second",
                f"{1000 * len(gaps) / sum(gaps):.0f}",
                f"{1000 / np.percentile(gaps, 95):.0f}",
                f"{max(gaps):.0f}",
                f"{100 * shown:.0f} %",
            ]
        )
    return rows


def many(browser: Browser, folder: Path) -> tuple[list[list[object]], list[list[object]]]:
    opening, scrolls, starts, most = [], [], [], 0.0
    for turn in range(ROUNDS):
        with studio(folder) as running:
            starts.append(time.perf_counter() - running.begun)
            page, seconds = opened(browser, running.address)
            opening.append(seconds)
            if turn == 0:
                scrolls = scrolling(browser, page)
                page.get_by_role("listbox").focus()
                page.keyboard.press("End")
                page.keyboard.press("1")
                page.get_by_role("status").get_by_text("label").wait_for()
            most = max(most, memory(running.process))
            page.context.close()
    return [
        ["the gallery's address to its first picture, s", f"{median(opening):.2f}", OPENED_BAR],
        ["the command to the address in the terminal, s", f"{median(starts):.2f}", "-"],
        ["most memory of the server, MB", f"{most:.0f}", MEMORY_BAR],
    ], scrolls


def first_picture(browser: Browser, folder: Path) -> list[object]:
    seconds = []
    for _ in range(ROUNDS):
        drop(folder)
        with studio(folder) as running:
            page, _ = opened(browser, running.address)
            seconds.append(time.perf_counter() - running.begun)
            page.context.close()
    what = f"the command to the first picture, {PHOTOS:,} photos, cold cache, s"
    return [what, f"{median(seconds):.2f}", FIRST_BAR]


def drop(folder: Path) -> None:
    """Have the system forget what it has read of the files."""
    for path in folder.rglob("*.jpg"):
        with path.open("rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def main() -> None:
    program = shutil.which("chromium") or shutil.which("google-chrome")
    with tempfile.TemporaryDirectory() as work, sync_playwright() as playwright:
        few, lots = Path(work, "photos"), Path(work, "many")
        write_photos(few)
        write_many(lots)
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        first = first_picture(browser, few)
        rows, scrolls = many(browser, lots)
        browser.close()
    header = [
        "scrolled",
        "frames a second",
        "95 % at least",
        "longest gap, ms",
        "pictures in sight",
    ]
    text = (
        f"{MANY:,} JPEG files of 96 x 96 pixels in {CLASSES} classes, and {PHOTOS:,} of "
        f"{PHOTO_SIZE[0]:,} x {PHOTO_SIZE[1]:,}; a window of 1,280 x 800 pixels without a graphics "
        f"processor; medians of {ROUNDS} starts, each with a new journal and cache. Scrolled for "
        f"{SCROLLED} s; the bar is {FRAMES_BAR} frames a second.\n\n"
        f"{table(['', 'measured', 'at most'], [first, *rows])}\n\n"
        f"{table(header, scrolls)}"
    )
    record("studio.py", "The studio", text)


if __name__ == "__main__":
    main()
