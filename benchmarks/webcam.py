"""How many answers a second the studio's page gives to what a camera shows, end to end.

In Chromium with a camera of its own (`--use-fake-device-for-media-stream`, 20 pictures a second of
640 x 480): from the picture to the bars on the page. Beside the rate stands the processor time of
an answer, of the server and of the browser with all its processes: two cores have 2,000 ms a
second. On Linux alone, which tells the processor time of processes.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from playwright.sync_api import Page, Playwright, sync_playwright

from lamplighter import climb_ladder, save, write_sample
from measuring import median, record, table

SECONDS, ROUNDS = 5, 5
BAR = 10.0  # answers a second


def processor_seconds(process: int) -> float:
    """Return the processor seconds of a process and of all below it."""
    ticks, parents = {}, {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:  # it has ended
                continue
            ticks[int(entry.name)] = int(fields[11]) + int(fields[12])
            parents[int(entry.name)] = int(fields[1])
    total = 0
    for found in ticks:
        above = found
        while above in parents and above != process:
            above = parents[above]
        total += ticks[found] if above == process else 0
    return total / os.sysconf("SC_CLK_TCK")


def main() -> None:
    program = shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        sys.exit("this needs chromium on the PATH; install it: apt-get install chromium.")
    with tempfile.TemporaryDirectory() as name, sync_playwright() as playwright:
        folder = Path(name)
        ladder = climb_ladder(write_sample("emoji", folder / "emoji"), rungs=["linear"])
        bundle = save(ladder.classifier, folder / "emoji.lamp")
        server = subprocess.Popen(
            [sys.executable, "-m", "lamplighter", "studio", "--no-browser", "--port", "0"],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "XDG_DATA_HOME": name},
        )
        try:
            rounds = _measured(playwright, program, server, bundle)
        finally:
            server.terminate()
            server.wait()
    rates, served, browsed = (list(values) for values in zip(*rounds, strict=True))
    rows = [
        ["answers a second", f"{median(rates):.1f}", f"{min(rates):.1f} to {max(rates):.1f}", BAR],
        ["processor ms of an answer, server", f"{1000 * median(served):.0f}", "", ""],
        ["processor ms of an answer, browser", f"{1000 * median(browsed):.0f}", "", ""],
    ]
    load = os.getloadavg()[0]
    record(
        "webcam.py",
        "Answers to a camera in the studio",
        table(["", "median", "rounds", "bar"], rows)
        + '\n\nEfficientNet-Lite0 with a linear head and "unknown"; '
        + f"{ROUNDS} rounds of {SECONDS} s; headless Chromium, which draws without a graphics "
        + f"processor; load of the machine {load:.1f}.",
    )


def _measured(
    playwright: Playwright, program: str, server: subprocess.Popen[str], bundle: Path
) -> list[tuple[float, float, float]]:
    """Return what `_round` does, several times, of a page on which a camera is answered."""
    assert server.stdout is not None
    found = re.search(r"http://\S+", server.stdout.readline())
    assert found is not None
    browser = playwright.chromium.launch(
        executable_path=program,
        args=[
            "--no-sandbox",
            "--use-fake-device-for-media-stream",
            "--use-fake-ui-for-media-stream",
        ],
    )
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    page.goto(found.group())
    page.goto(found.group().split("?")[0] + "#/try")
    page.locator("input[accept='.lamp']").set_input_files(bundle)
    page.get_by_role("button", name="Webcam").click()
    page.get_by_role("button", name="Start the camera").click()
    page.locator(".bars").wait_for()
    answers = {"count": 0}
    page.on(
        "requestfinished",
        lambda request: answers.update(count=answers["count"] + ("/answer" in request.url)),
    )
    rounds = [_round(page, answers, server.pid) for _ in range(ROUNDS)]
    browser.close()
    return rounds


def _round(page: Page, answers: dict[str, int], server: int) -> tuple[float, float, float]:
    """Return answers a second, and the processor seconds of one in the server and the browser."""
    begun, count = time.perf_counter(), answers["count"]
    before = processor_seconds(server), processor_seconds(os.getpid())
    page.wait_for_timeout(1000 * SECONDS)
    made = max(1, answers["count"] - count)
    served = processor_seconds(server) - before[0]
    rest = processor_seconds(os.getpid()) - before[1] - served  # of what is below this process
    return made / (time.perf_counter() - begun), served / made, rest / made


if __name__ == "__main__":
    main()
