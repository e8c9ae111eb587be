"""How long the command line takes from a cold start, beside a bare Python."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from PIL import Image

from lamplighter import ImageData, save, train
from measuring import median, record, table

ROUNDS = 11
BARS = {"lamplighter --help": 0.4, "lamplighter predict, one image": 0.8}


def run(command: list[str]) -> tuple[float, float]:
    """Return the wall seconds and the processor seconds of a process."""
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": ""}  # what is compiled is kept
    wall, before = time.perf_counter(), os.times()
    subprocess.run(command, check=True, capture_output=True, env=environment)
    wall, after = time.perf_counter() - wall, os.times()
    return wall, (after[2] - before[2]) + (after[3] - before[3])


def main() -> None:
    digits = ImageData.mnist()
    with tempfile.TemporaryDirectory() as folder:
        bundle, image = Path(folder) / "digits.lamp", Path(folder) / "digit.png"
        save(train(digits, recipe="quick", epochs=1), bundle)
        Image.fromarray(digits["test"].images[0, 0]).save(image)
        lamplighter = str(Path(sys.executable).with_name("lamplighter"))
        commands = {
            "python -c pass": [sys.executable, "-c", "pass"],
            "python -c 'import torch'": [sys.executable, "-c", "import torch"],
            "lamplighter --help": [lamplighter, "--help"],
            "lamplighter predict, one image": [lamplighter, "predict", str(bundle), str(image)],
        }
        times = {name: [] for name in commands}
        for _ in range(ROUNDS):
            for name, command in commands.items():
                times[name].append(run(command))
    rows = [
        [
            name,
            f"{median([wall for wall, _ in taken]):.2f}",
            f"{median([processor for _, processor in taken]):.2f}",
            BARS.get(name, ""),
        ]
        for name, taken in times.items()
    ]
    text = table(["", "wall s", "processor s", "bar"], rows)
    record("start_up.py", "Start-up", f"{text}\n\nMedians of {ROUNDS} rounds, taken in turn.")


if __name__ == "__main__":
    main()
