"""The transfer ladder on a folder of photos: cold, with features known, and against training anew.

python benchmarks/transfer.py FOLDER
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from measuring import median, record, table

ROUNDS = 3
BARS = {"cold": 12.0, "warm": 4.0}
CHEAP = "knn,svm,linear"
COMMAND = str(Path(sys.executable).with_name("lamplighter"))


def run(arguments: list[str], home: str) -> tuple[str, float]:
    """Return what a command printed, and the seconds that it took."""
    start = time.perf_counter()
    done = subprocess.run(
        [COMMAND, *arguments],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "XDG_CACHE_HOME": home},
    )
    return done.stdout, time.perf_counter() - start


def climb(folder: Path, home: str, *options: str) -> tuple[dict, float]:
    """Return the ladder of a folder, and the seconds that it took."""
    bundle = str(Path(home) / "photos.lamp")
    printed, seconds = run(
        ["transfer", str(folder), "--out", bundle, "--force", "--json", *options], home
    )
    return json.loads(printed), seconds


def import_seconds() -> float:
    """Return how long this machine takes to import torch and timm, a measure of its speed."""
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", "import timm"], check=True)
    return time.perf_counter() - start


def from_nothing(folder: Path, home: str) -> tuple[dict, float]:
    """Return the test scores of BetterCNN trained from scratch, and the seconds it took."""
    bundle = str(Path(home) / "better.lamp")
    options = ["--model", "better-cnn", "--balance", "weights", "--force", "--out", bundle]
    _, seconds = run(["train", str(folder), *options], home)
    printed, _ = run(["evaluate", bundle, str(folder), "--json"], home)
    return json.loads(printed), seconds


def score(values: dict) -> str:
    """Return a score with its interval, in per cent."""
    return f"{100 * values['value']:.1f} ({100 * values['low']:.1f} to {100 * values['high']:.1f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--budget", default="20", help="minutes for fine-tuning")
    arguments = parser.parse_args()
    folder = arguments.folder.resolve()
    cold, warm, importing = [], [], []
    with tempfile.TemporaryDirectory() as root:
        for number in range(ROUNDS):
            home = str(Path(root) / str(number))
            Path(home).mkdir()
            importing.append(import_seconds())
            cold.append(climb(folder, home, "--rungs", CHEAP)[1])
            warm.append(climb(folder, home, "--rungs", CHEAP)[1])
        linear, _ = climb(folder, home, "--rungs", "linear")
        scratch, scratch_seconds = from_nothing(folder, home)
        ladder, _ = climb(folder, home, "--budget", arguments.budget)
    rows = [
        [
            rung["name"],
            score(rung["validation"]["accuracy"]),
            score(rung["validation"]["macro_f1"]),
            f"{rung['training_seconds']:.1f}",
            f"{1000 * rung['seconds_per_image']:.1f}",
        ]
        for rung in ladder["rungs"]
    ]
    test = linear["tests"][0]
    text = (
        f"`transfer --rungs {CHEAP}`, everything included: cold {median(cold):.1f} s "
        f"(bar {BARS['cold']:.0f}), with the features known {median(warm):.1f} s "
        f"(bar {BARS['warm']:.0f}); medians of {ROUNDS}. Importing torch and timm alone took "
        f"{median(importing):.1f} s.\n\n"
        + table(
            ["test split", "accuracy, %", "macro-F1, %", "s"],
            [
                [
                    "better-cnn from scratch",
                    score(scratch["accuracy"]),
                    score(scratch["macro_f1"]),
                    f"{scratch_seconds:.0f}",
                ],
                ["linear rung", score(test["accuracy"]), score(test["macro_f1"]), ""],
            ],
        )
        + "\n\nThe whole ladder, on validation:\n\n"
        + table(["rung", "accuracy, %", "macro-F1, %", "training, s", "one image, ms"], rows)
        + f"\n\nChosen: {ladder['chosen']}; on test "
        f"{score(ladder['tests'][0]['accuracy'])} % of images, macro-F1 "
        f"{score(ladder['tests'][0]['macro_f1'])} %."
    )
    record("transfer.py", "The transfer ladder", text)


if __name__ == "__main__":
    main()
