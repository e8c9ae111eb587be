"""Several processes that share one port, each with its own models: `--workers`."""

from __future__ import annotations

import logging
import multiprocessing
import multiprocessing.connection
import os
import shutil
import signal
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lamplighter.errors import LamplighterError, ServiceError
from lamplighter.serving import logs
from lamplighter.serving.logs import log
from lamplighter.serving.metrics import SHARED_FOLDER

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable
    from multiprocessing.connection import Connection
    from multiprocessing.context import SpawnProcess

    from lamplighter.serving.settings import Settings

_PAUSE = 1.0  # seconds before a process that ended by itself is started again
_BEGUN = "begun"
_COUNTS = "lamplighter-serve-"  # begins the name of a folder of counts; a process ID follows


class Workers:
    """Starts processes, starts those anew that end by themselves, and ends them all together.

    Args:
        settings: what each of them is told.
        bound: the socket that they share.
    """

    def __init__(self, settings: Settings, bound: socket.socket) -> None:
        self._settings = settings
        self._bound = bound
        self._context = multiprocessing.get_context("spawn")
        self._processes: dict[SpawnProcess, Connection] = {}
        self._ending = False

    def run(self, *, started: Callable[[], None]) -> None:
        """Run them until SIGTERM or Ctrl-C, and return when all have ended.

        Raises:
            ServiceError: one of the first cannot start; its own message says why.
        """
        before = {sig: signal.signal(sig, self._end) for sig in (signal.SIGTERM, signal.SIGINT)}
        _remove_counts_of_killed()
        counts = tempfile.mkdtemp(prefix=f"{_COUNTS}{os.getpid()}-")
        os.environ[SHARED_FOLDER] = counts
        try:
            for _ in range(self._settings.workers):
                self._start()
            self._wait_for_first()
            if not self._ending:
                started()
            self._keep()
        finally:
            self._end()
            for process in self._processes:
                process.join()
            del os.environ[SHARED_FOLDER]
            shutil.rmtree(counts, ignore_errors=True)
            for sig, handler in before.items():
                signal.signal(sig, handler)

    def _start(self) -> None:
        ours, theirs = self._context.Pipe()
        process = self._context.Process(target=_work, args=(self._settings, self._bound, theirs))
        process.start()
        theirs.close()
        self._processes[process] = ours

    def _wait_for_first(self) -> None:
        for process, ours in self._processes.items():
            said: Any = None
            while said is None and not self._ending:
                if ours.poll(0.1):
                    try:
                        said = ours.recv()
                    except EOFError:
                        said = f"a process of the service ended with {process.exitcode}."
            if said not in (None, _BEGUN):
                raise ServiceError(str(said))

    def _keep(self) -> None:
        """Start processes anew that end by themselves, until all are to end."""
        while not self._ending:
            multiprocessing.connection.wait([one.sentinel for one in self._processes], timeout=0.2)
            for process in [one for one in self._processes if not one.is_alive()]:
                if self._ending:
                    return
                self._processes.pop(process).close()
                log(logging.ERROR, "process ended", process=process.pid, code=process.exitcode)
                _forget_counts(process.pid)
                time.sleep(_PAUSE)
                self._start()

    def _end(self, *_: object) -> None:
        """Tell all to end."""
        self._ending = True
        for process in self._processes:
            if process.is_alive():
                process.terminate()


def _remove_counts_of_killed() -> None:
    """Remove the folders of services that were killed, and could not do so themselves."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_COUNTS}*-*"):
        pid = folder.name.removeprefix(_COUNTS).partition("-")[0]
        if pid.isdigit() and not _is_running(int(pid)):
            shutil.rmtree(folder, ignore_errors=True)


def _is_running(pid: int) -> bool:
    """Return whether there is such a process; True where that cannot be asked."""
    if sys.platform == "win32":  # where signal 0 would end it
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):  # of another user; a number that is no process
        return True
    return True


def _forget_counts(pid: int | None) -> None:
    from prometheus_client.multiprocess import mark_process_dead

    if pid is not None:
        mark_process_dead(pid)  # type: ignore[no-untyped-call]


def _work(settings: Settings, bound: socket.socket, pipe: Connection) -> None:
    """Answer in a process of its own, until it is told to end, or the one that started it has."""
    from lamplighter.serving.server import run

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all; the first one tells us
    logs.configure()
    orphaned = threading.Event()
    threading.Thread(target=_watch_parent, args=(orphaned,), daemon=True).start()
    try:
        run(settings, bound, started=lambda: pipe.send(_BEGUN), until=orphaned)
    except LamplighterError as error:
        pipe.send(str(error))
        sys.exit(1)


def _watch_parent(orphaned: threading.Event) -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        multiprocessing.connection.wait([parent.sentinel])
        orphaned.set()
