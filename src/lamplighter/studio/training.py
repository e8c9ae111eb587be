"""One training at a time, in a process of its own that is followed, stopped and outlived."""

from __future__ import annotations

import contextlib
import json
import logging
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from lamplighter.errors import DatasetError, TrainingError
from lamplighter.studio.jobs import StoppedError
from lamplighter.studio.runs import NOTES, all_runs, new_run_folder
from lamplighter.studio.worker import describe_files

if TYPE_CHECKING:
    from pathlib import Path

    from lamplighter.datasets.files import ImageFiles
    from lamplighter.studio.events import Events
    from lamplighter.studio.jobs import Job
    from lamplighter.studio.studio import Studio

KIND = "training"  # of its job
# -P: nothing that lies in the folder of the terminal is taken for a module.
_COMMAND = (sys.executable, "-P", "-m", "lamplighter.studio.worker")
_MOST_LINE = 300  # characters of an error that a process left on stderr
_logger = logging.getLogger("lamplighter.studio")


class Training:
    """A training, as far as it is; what has happened is kept for pages that are opened later.

    Attributes:
        request: what was asked for.
        events: what has happened, of plain JSON types, apart from steps.
        step: the last step that was told, {"kind", "at", "name", "began", "done", "total"}; once it
            has ended, its name is "".
        stops: how often it was asked to stop.

    Args:
        request: what is asked for.
        pages: tells the pages what happens.
    """

    def __init__(self, request: dict[str, Any], pages: Events) -> None:
        self.request = request
        self._pages = pages
        self.events: list[dict[str, Any]] = []
        self.step: dict[str, Any] | None = None
        self.stops = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._turn = threading.Lock()

    def to_dict(self) -> dict[str, Any]:
        """Return all that a page needs, as plain JSON types."""
        names = ("name", "kind", "made", "settings", "data")
        with self._turn:
            return {
                **{name: self.request[name] for name in names},
                "now": time.time(),
                "step": self.step,
                "events": list(self.events),
            }

    def run(self, job: Job) -> dict[str, Any]:
        """Follow the process until it ends; return the id of the run that it made.

        Raises:
            StoppedError: it was stopped before there was a classifier.
            TrainingError: it failed; the message says why.
        """
        folder: Path = self.request["folder"]
        with tempfile.TemporaryFile() as log:
            try:
                code = self._follow(job, log)
            finally:
                if not (folder / NOTES).exists():
                    shutil.rmtree(folder, ignore_errors=True)
                self._pages.publish("runs", {})
            if (folder / NOTES).exists():
                return {"run": folder.name}
            failed = [event for event in self.events if event["kind"] == "failed"]
            if failed:
                raise TrainingError(failed[-1]["error"])
            if self.stops or any(event["kind"] == "stopped" for event in self.events):
                raise StoppedError
            raise TrainingError(_crash(code, log))

    def stop(self) -> None:
        """End it: the first time with what it has, the second time at once."""
        with self._turn:
            process = self._process
            self.stops += process is not None
        if process is None:
            return
        self._note({"kind": "stopping", "at": time.time() - self.request["made"]})
        if self.stops > 1:
            process.kill()
        else:
            _send(process, b"stop\n")

    def _follow(self, job: Job, log: IO[bytes]) -> int:
        process = subprocess.Popen(
            _COMMAND,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            # Ctrl-C in the terminal is for the studio, which then ends this.
            start_new_session=True,
        )
        with self._turn:
            self._process = process
        request = {**self.request, "folder": str(self.request["folder"])}
        try:
            _send(process, json.dumps(request).encode() + b"\n")
            job.on_stop(self.stop)
            assert process.stdout is not None
            for line in process.stdout:
                self._note(json.loads(line))
            return process.wait()
        finally:
            with self._turn:
                self._process = None
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                with contextlib.suppress(OSError):
                    pipe.close()  # type: ignore[union-attr]  # both are pipes

    def _note(self, event: dict[str, Any]) -> None:
        """Keep what has happened, and tell the pages."""
        with self._turn:
            number = len(self.events)
            if event["kind"] == "step":
                self.step = event
            else:
                self.events.append(event)
        self._pages.publish(KIND, {"number": number, "event": event})


def start_photos(studio: Studio, settings: dict[str, Any]) -> Job:
    """Train on the labels that hold now in the folder that is open.

    Raises:
        WorkspaceError: no folder is open.
        DatasetError: there are fewer than two classes.
        OutputError: there is no place for a run.
    """
    project = studio.project
    files = _labelled(project.table().usable())
    data = {
        "name": files.name,
        "images": len(files),
        "class_names": files.classes_present(),
    }
    return _start(studio, project.source, "photos", settings, data, files)


def start_digits(studio: Studio, settings: dict[str, Any]) -> Job:
    """Train a network on the embedded digits from scratch.

    Raises:
        OutputError: there is no place for a run.
    """
    return _start(studio, None, "digits", settings, {"name": "MNIST", "images": 60_000})


def _start(
    studio: Studio,
    source: Path | None,
    kind: str,
    settings: dict[str, Any],
    data: dict[str, Any],
    files: ImageFiles | None = None,
) -> Job:
    before = studio.jobs.find(KIND)
    if before is not None and before.state in ("waiting", "running"):
        raise _busy()
    request: dict[str, Any] = {
        "kind": kind,
        "name": settings.pop("name") or _new_name(source, kind),
        "made": time.time(),
        "settings": settings,
        "data": data,
        "folder": new_run_folder(source),
    }
    if files is not None:
        request["files"] = describe_files(files)
    training = Training(request, studio.events)
    job = studio.jobs.start(KIND, training.run, apart=True)
    if job.work != training.run:  # another page was quicker
        request["folder"].rmdir()
        raise _busy()
    studio.training = training
    studio.events.publish(KIND, {"number": -1})  # all of it is to be read anew
    return job


def _busy() -> TrainingError:
    return TrainingError("another training is running; wait for it, or stop it.")


def _send(process: subprocess.Popen[bytes], line: bytes) -> None:
    assert process.stdin is not None
    with contextlib.suppress(OSError, ValueError):  # it has ended, which its output tells
        process.stdin.write(line)
        process.stdin.flush()


def _labelled(files: ImageFiles) -> ImageFiles:
    """Return the files that have a label.

    Raises:
        DatasetError: they are of fewer than two classes.
    """
    rows = np.flatnonzero(files.labels >= 0)
    if len(np.unique(files.labels[rows])) < 2:
        raise DatasetError(
            f"training needs images of two classes or more, and {files.name} has "
            f"{len(np.unique(files.labels[rows]))}; label some in the gallery."
        )
    return files if len(rows) == len(files) else files.take(rows)


def _new_name(source: Path | None, kind: str) -> str:
    """Return a name that no run of the same source has."""
    word = "Digits" if kind == "digits" else "Training"
    taken = {run.name for run in all_runs(source)}
    return next(f"{word} {n}" for n in range(1, len(taken) + 2) if f"{word} {n}" not in taken)


def _crash(code: int, log: IO[bytes]) -> str:
    """Return why a process has ended without a word, on one line."""
    log.seek(0)
    text = log.read().decode(errors="replace").strip()
    _logger.error("a training ended unexpectedly (%s):\n%s", code, text)
    if code < 0:
        name = signal.Signals(-code).name
        return (
            f"the training was ended from outside ({name}), as the system does when memory runs "
            "out; close other programs, or leave the slower methods out."
        )
    last = text.splitlines()[-1][-_MOST_LINE:] if text else f"exit status {code}"
    return f"the training ended unexpectedly: {last}"
