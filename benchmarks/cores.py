"""Embedding on one core and on two: images a second, and the memory that it takes.

    python benchmarks/cores.py FOLDER

FOLDER holds photos. Each side runs in processes of its own that may use so many cores, in turn.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from measuring import median, record, table

ROUNDS = 3
CORES = (1, 2)
SCRIPT = """
import json, os, sys, time
os.sched_setaffinity(0, set(sorted(os.sched_getaffinity(0))[: int(sys.argv[2])]))
from lamplighter import embed, find_files, pretrained
files, backbone = find_files(sys.argv[1]), pretrained(fit="squash")
embed(backbone, files.take(range(32)), cache=False)
def status(name):
    return int(open("/proc/self/status").read().split(name + ":")[1].split()[0]) / 1024
before = status("VmRSS")
start = time.perf_counter()
embed(backbone, files, cache=False)
seconds = time.perf_counter() - start
print(json.dumps([len(files) / seconds, status("VmHWM"), before]))
"""


def measured(folder: Path, cores: int, home: str) -> list[float]:
    """Return images a second, peak memory in MB, and what was resident before."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(folder), str(cores)],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "XDG_CACHE_HOME": home, "OMP_NUM_THREADS": str(cores)},
    )
    return json.loads(done.stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder.resolve()
    taken: dict[int, list[list[float]]] = {cores: [] for cores in CORES}
    with tempfile.TemporaryDirectory() as home:
        for _ in range(ROUNDS):
            for cores in CORES:
                taken[cores].append(measured(folder, cores, home))
    speeds = {cores: median([speed for speed, _, _ in rows]) for cores, rows in taken.items()}
    peaks = {cores: median([peak for _, peak, _ in rows]) for cores, rows in taken.items()}
    rows = [
        [
            cores,
            f"{speeds[cores]:.0f}",
            f"{speeds[cores] / speeds[1]:.2f}",
            f"{peaks[cores]:.0f} MB",
        ]
        for cores in CORES
    ]
    text = table(["cores", "images/s", "ratio", "peak memory"], rows)
    text += (
        f"\n\nMedians of {ROUNDS} processes a side, in turn. One more core took "
        f"{peaks[2] - peaks[1]:.0f} MB more."
    )
    record("cores.py", "Embedding on one core and on two", text)


if __name__ == "__main__":
    main()
