"""The page in the browser beside `predict`: answers, pixels and time, image by image.

    python benchmarks/web_page.py BUNDLE FOLDER [--most 200]

Each image of FOLDER is classified by the page that `lamplighter page` makes of BUNDLE, opened from
the disk in Chromium without a connection, and by `predict`, one at a time.
"""

from __future__ import annotations

import argparse
import base64
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from playwright.sync_api import sync_playwright

from lamplighter import find_files, load, predict, web_page
from measuring import median, record, table

CLASSIFY = """
async (text) => {
  const bytes = Uint8Array.from(atob(text), (one) => one.charCodeAt(0));
  const start = performance.now();
  try {
    const { guesses, isKnown, seen } = await lamplighter.classify(new Blob([bytes]));
    const milliseconds = performance.now() - start;
    return { guesses, isKnown, milliseconds, seen: Array.from(seen.data) };
  } catch (error) {
    return { problem: error.kind ?? String(error) };
  }
}"""


def answers_of_page(path: Path, files: list[Path]) -> tuple[list[dict[str, Any]], float]:
    """Return what the page says of each file, and the seconds until it was ready."""
    with sync_playwright() as playwright:
        program = shutil.which("chromium") or shutil.which("google-chrome")
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        page = browser.new_context(offline=True).new_page()
        start = time.perf_counter()
        page.goto(path.as_uri())
        page.locator("#status", has_text="Ready.").wait_for(timeout=60_000)
        seconds = time.perf_counter() - start
        texts = (base64.b64encode(file.read_bytes()).decode() for file in files)
        found = [page.evaluate(CLASSIFY, text) for text in texts]
        browser.close()
    return found, seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundle", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--most", type=int, default=200, help="images, spread over the folder")
    given = parser.parse_args()
    every = list(find_files(given.folder).files)
    files = [Path(one) for one in every[:: max(1, len(every) // given.most)]]
    classifier = load(given.bundle)
    with tempfile.TemporaryDirectory() as folder:
        path = web_page(classifier, Path(folder) / "page.html")
        size = path.stat().st_size / 1e6
        found, seconds = answers_of_page(path, files)
    taken, differences, same, equal, usable = [], [], 0, 0, 0
    for file, theirs in zip(files, found, strict=True):
        start = time.perf_counter()
        [ours] = predict(classifier, [file])
        taken.append(1000 * (time.perf_counter() - start))
        if ours.error is not None or "problem" in theirs:
            same += (ours.error is None) == ("problem" not in theirs)
            continue
        usable += 1
        shares = {one["name"]: one["probability"] for one in theirs["guesses"]}
        differences.append(max(abs(shares[name] - share) for name, share in ours.guesses))
        first = theirs["guesses"][0]["name"] == ours.guesses[0][0]
        same += first and theirs["isKnown"] is ours.known
        seen = classifier.preprocessing.pixels(classifier.preprocessing.open(file))
        equal += np.array_equal(seen.transpose(1, 2, 0).ravel(), theirs["seen"])
    milliseconds = [one["milliseconds"] for one in found if "problem" not in one]
    rows = [
        ("images", len(files)),
        ("same answer, unknown and errors included", same),
        ("pixels that the network sees are equal", f"{equal} of {usable}"),
        ("largest difference of a probability", f"{max(differences):.1e}"),
        ("page: median for an image, ms", f"{median(milliseconds):.0f}"),
        ("`predict` of one image: median, ms", f"{median(taken):.0f}"),
        ("page: until it is ready, s", f"{seconds:.1f}"),
        ("page: size, MB", f"{size:.1f}"),
    ]
    title = f"The page in the browser: {given.bundle.stem}, images of {given.folder.name}"
    record("web_page.py", title, table(("measure", given.bundle.stem), rows))


if __name__ == "__main__":
    main()
