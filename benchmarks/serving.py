"""A service under load, beside `predict` in a process and beside LitServe with the same network.

    python benchmarks/serving.py FOLDER [--litserve PYTHON]

FOLDER holds photos; PYTHON is one of an environment with litserve, onnxruntime, pillow and
python-multipart. All of it on this machine: the clients take their share of the cores.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import load
from measuring import median, record, table

if TYPE_CHECKING:
    from collections.abc import Iterator

CLIENTS, SECONDS, ROUNDS = 32, 15.0, 3
IMAGES, COMPARED = 400, 500
MAX_BATCH, MAX_DELAY = 16, 0.0
OVERLOAD, OVERLOAD_SECONDS = 10, 20.0
BARS = {"throughput": 0.9, "p99": 3.0, "memory": 100.0, "difference": 1e-6}
NETWORK = "efficientnet-lite0"


class Running:
    """A service in a process of its own."""

    def __init__(self, process: subprocess.Popen[Any], port: int) -> None:
        self.process, self.port = process, port

    def memory(self) -> float:
        """Return the megabytes that the process and those that it started hold."""
        import psutil

        top = psutil.Process(self.process.pid)
        family = [top, *top.children(recursive=True)]
        return sum(one.memory_info().rss for one in family) / 2**20

    def batches(self) -> tuple[float, float]:
        """Return the number of batches so far, and the seconds that they took together."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics") as answer:
            lines = answer.read().decode().splitlines()
        values = dict(line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
        name = "lamplighter_batch_seconds"
        return float(values[f"{name}_count"]), float(values[f"{name}_sum"])


@contextmanager
def lamplighter() -> Iterator[Running]:
    """Run `lamplighter serve`."""
    command = [sys.executable, "-m", "lamplighter", "serve", NETWORK, "--port", "0"]
    options = ["--max-batch", str(MAX_BATCH), "--max-delay", str(1000 * MAX_DELAY)]
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            [*command, *options], stdout=subprocess.PIPE, stderr=log, encoding="utf-8"
        )
        assert process.stdout is not None
        line = process.stdout.readline()
        yield Running(process, int(line.partition("127.0.0.1:")[2].split()[0]))
        process.send_signal(signal.SIGTERM)
        if process.wait(60):
            raise SystemExit("the service did not end as it should")


@contextmanager
def litserve(python: str, graph: Path, workers: int, threads: int) -> Iterator[Running]:
    """Run LitServe with the same network."""
    script, port = str(Path(__file__).with_name("serving_litserve.py")), 8431
    numbers = [str(number) for number in (port, workers, threads, MAX_BATCH)]
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    process = subprocess.Popen(
        [python, script, str(graph), *numbers],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=environment,
        start_new_session=True,
    )
    try:
        end = time.monotonic() + 60
        while True:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2).read()
                break
            except OSError:
                if time.monotonic() > end or process.poll() is not None:
                    raise
                time.sleep(0.2)
        yield Running(process, port)
    finally:
        os.killpg(process.pid, signal.SIGKILL)  # it and the processes that it started
        process.wait()


def predict_rate(files: list[Path]) -> float:
    """Return how many images a second `predict` answers in a process of its own."""
    code = (
        "import json, sys, time; from lamplighter import predict, pretrained\n"
        "files = json.load(sys.stdin); made = pretrained(); predict(made, files[:32])\n"
        "start = time.perf_counter(); predict(made, files)\n"
        "print(len(files) / (time.perf_counter() - start))"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code],
        input=json.dumps([str(file) for file in files]),
        capture_output=True,
        encoding="utf-8",
        check=True,
    )
    return float(ended.stdout)


def largest_difference(port: int, files: list[Path]) -> float:
    """Return how far any probability is off that of `predict`, in requests of 1 to 9 images."""
    from lamplighter import predict, pretrained
    from lamplighter.serving.client import ask_service

    wanted = predict(pretrained(), files).results(5)
    worst, start, turn = 0.0, 0, 0
    while start < len(files):
        turn += 1
        part = files[start : start + 1 + turn * 5 % 9]
        found = ask_service(f"http://127.0.0.1:{port}", part, top=5)
        for one, other in zip(found, wanted[start:], strict=False):
            names = [[name for name, _ in answer.guesses] for answer in (one, other)]
            if names[0] != names[1]:
                return float("inf")
            pairs = zip(one.guesses, other.guesses, strict=True)
            worst = max([worst, *(abs(a - round(b, 6)) for (_, a), (_, b) in pairs)])
        start += len(part)
    return worst


def under_load(running: Running, made: list[bytes]) -> tuple[load.Outcome, float]:
    """Return what came of 32 clients, and the mean seconds of a batch meanwhile."""
    load.clients(running.port, made, count=CLIENTS, seconds=2)
    before = running.batches()
    outcome = load.clients(running.port, made, count=CLIENTS, seconds=SECONDS)
    after = running.batches()
    return outcome, (after[1] - before[1]) / max(1, after[0] - before[0])


def overloaded(running: Running, made: list[bytes], rate: float) -> list[list[object]]:
    """Return rows on ten times the load that it can bear."""
    before = load.clients(running.port, made, count=1, seconds=4)
    idle, seen, over = running.memory(), list[float](), threading.Event()

    def watch() -> None:
        while not over.wait(0.1):
            seen.append(running.memory())

    watcher = threading.Thread(target=watch)
    watcher.start()
    outcome = load.arrivals(
        running.port, made, rate=OVERLOAD * rate, seconds=OVERLOAD_SECONDS, most=800
    )
    over.set()
    watcher.join()
    after = load.clients(running.port, made, count=1, seconds=4)
    unanswered = outcome.sent - outcome.statuses[200] - outcome.statuses[503]
    return [
        ["requests offered a second", f"{outcome.sent / OVERLOAD_SECONDS:,.0f}", ""],
        ["answered a second", f"{outcome.rate:.0f}", ""],
        ["refused with 503", f"{outcome.statuses[503]:,}", ""],
        ["of these with Retry-After", f"{outcome.waited_again:,}", "all"],
        ["503: median, p99 ms", f"{1e3 * outcome.median(503):.1f}, "
         f"{1e3 * outcome.percentile(99, 503):.0f}", "at once"],
        ["neither answered nor refused", unanswered, 0],
        ["memory beyond idle, MB", f"{max(seen) - idle:.0f}", f"{BARS['memory']:.0f}"],
        ["one client before: median, p99 ms", f"{1e3 * before.median():.1f}, "
         f"{1e3 * before.percentile(99):.1f}", ""],
        ["one client after: median, p99 ms", f"{1e3 * after.median():.1f}, "
         f"{1e3 * after.percentile(99):.1f}", "as before"],
    ]  # fmt: skip


def compared(python: str, made: list[bytes]) -> list[list[object]]:
    """Return rows of LitServe, as it is fastest here: one process of two threads, or two of one."""
    from lamplighter import pretrained

    rows: list[list[object]] = []
    with tempfile.TemporaryDirectory() as folder:
        graph = Path(folder) / "network.onnx"
        graph.write_bytes(pretrained(NETWORK).graph or b"")
        for workers, threads in ((1, 2), (2, 1)):
            with litserve(python, graph, workers, threads) as running:
                load.clients(running.port, made, count=CLIENTS, seconds=3)
                found = [
                    load.clients(running.port, made, count=CLIENTS, seconds=SECONDS)
                    for _ in range(ROUNDS)
                ]
            rows.append(row(f"LitServe, {workers} workers of {threads} threads, form", found))
    return rows


def row(name: str, found: list[load.Outcome]) -> list[object]:
    """Return a row of the medians of several rounds."""
    return [
        name,
        f"{median([one.rate for one in found]):.1f}",
        f"{1e3 * median([one.median() for one in found]):.0f}",
        f"{1e3 * median([one.percentile(99) for one in found]):.0f}",
        sum(one.sent - one.statuses[200] for one in found),
    ]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--litserve", metavar="PYTHON")
    chosen = parser.parse_args()
    files = sorted(chosen.folder.rglob("*.jpg"))[: max(IMAGES, COMPARED)]
    images = [file.read_bytes() for file in files[:IMAGES]]
    raw = load.requests("/predict", images)
    form = load.requests("/predict", images, form=True)
    rates, found, forms, batch = [], [], [], []
    with lamplighter() as running:
        for _ in range(ROUNDS):
            rates.append(predict_rate(files[:IMAGES]))
            outcome, seconds = under_load(running, raw)
            found.append(outcome)
            batch.append(seconds)
            forms.append(load.clients(running.port, form, count=CLIENTS, seconds=SECONDS))
        difference = largest_difference(running.port, files[:COMPARED])
    with lamplighter() as running:
        load.clients(running.port, raw, count=CLIENTS, seconds=2)
        overload = overloaded(running, raw, median([one.rate for one in found]))
    rows = [
        ["`predict` in a process", f"{median(rates):.1f}", "", "", ""],
        row("`lamplighter serve`, image as the body", found),
        row("`lamplighter serve`, form", forms),
        *(compared(chosen.litserve, form) if chosen.litserve else []),
    ]
    ratio = median([one.rate / rate for one, rate in zip(found, rates, strict=True)])
    late = [
        (one.percentile(99) - MAX_DELAY) / seconds
        for one, seconds in zip(found, batch, strict=True)
    ]
    bars = [
        ["images a second beside `predict`", f"{ratio:.2f}", f"at least {BARS['throughput']}"],
        ["p99 in times of a batch", f"{median(late):.1f}", f"at most {BARS['p99']:g}"],
        [
            f"largest difference of a probability, {COMPARED} photos",
            f"{difference:.1e}",
            f"at most {BARS['difference']:g}",
        ],
    ]
    kilobytes = sum(map(len, images)) / len(images) / 1024
    text = "\n\n".join(
        [
            f"{NETWORK}, photos of {kilobytes:.0f} kB in the mean, "
            f"{CLIENTS} clients on this machine, medians of {ROUNDS} rounds of {SECONDS:g} s.",
            table(["", "images/s", "median ms", "p99 ms", "not answered"], rows),
            table(["", "measured", "bar"], bars),
            f"{OVERLOAD} times as many requests as it can answer, for {OVERLOAD_SECONDS:g} s:",
            table(["", "measured", "bar"], overload),
            f"Load average before: {os.getloadavg()[0]:.1f}.",
        ]
    )
    record("serving.py", "Serving", text)


if __name__ == "__main__":
    main()
