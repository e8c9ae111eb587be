"""What every benchmark needs: the machine it ran on, medians, and a place for its results."""

from __future__ import annotations

import os
import platform
import statistics
import time
from datetime import date
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

RESULTS = Path(__file__).with_name("RESULTS.md")
_PACKAGES = ("torch", "torchvision", "pytorch-lightning", "torchbearer", "onnxruntime", "numpy")


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """Return the wall seconds and the processor seconds that `work` took."""
    wall, processor = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - processor


def median(values: Sequence[float]) -> float:
    """Return the median."""
    return statistics.median(values)


def machine() -> str:
    """Return processor, cores, system and versions in one line."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [line for line in cpuinfo.read_text().splitlines() if line.startswith("model name")]
        model = names[0].split(":", 1)[1].strip() if names else model
    versions = []
    for package in _PACKAGES:
        try:
            versions.append(f"{package} {metadata.version(package)}")
        except metadata.PackageNotFoundError:
            continue
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return (
        f"{model}, {cores} cores, {platform.system()}, Python {platform.python_version()}, "
        f"{', '.join(versions)}"
    )


def table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Return a Markdown table."""
    lines = ["| " + " | ".join(str(cell) for cell in row) + " |" for row in (header, *rows)]
    return "\n".join([lines[0], "|" + " --- |" * len(header), *lines[1:]])


def record(script: str, title: str, text: str) -> None:
    """Print `text` and put it into RESULTS.md, in place of what `script` wrote there before."""
    begin, end = f"<!-- {script} -->", f"<!-- end of {script} -->"
    section = (
        f"{begin}\n## {title}\n\n{text}\n\n"
        f"`python benchmarks/{script}`, {date.today().isoformat()}, {machine()}\n{end}"
    )
    print(section)
    old = RESULTS.read_text() if RESULTS.exists() else "# Results\n"
    if begin in old:
        head, rest = old.split(begin, 1)
        new = head + section + rest.split(end, 1)[1]
    else:
        new = f"{old.rstrip()}\n\n{section}\n"
    RESULTS.write_text(new)
