"""Work that takes longer than an answer: one piece at a time, seen and stopped from the page."""

from __future__ import annotations

import itertools
import logging
import queue
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from lamplighter.errors import LamplighterError, WorkspaceError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from lamplighter.datasets.files import Progress
    from lamplighter.studio.events import Events

_STOPPED_WITHIN = 30.0  # seconds: all jobs do, of a folder that is closed
_OFTEN = 0.1  # seconds between two events about the progress of one job
_CLOSING = 2.0  # seconds that what runs has to end when the studio does
_CLOSING_APART = 10.0  # that another process has: it may keep what it has learned
_logger = logging.getLogger("lamplighter.studio")

State = Literal["waiting", "running", "done", "stopped", "failed"]


class StoppedError(Exception):
    """The person at the page has stopped the job."""


@dataclass(eq=False)
class Job:
    """A piece of work.

    Attributes:
        id: its number.
        kind: what it does, such as "audit"; of each kind one is waiting or running at most.
        state: how it stands.
        step: what it does right now, such as "embedding".
        done: how much of the step is done.
        total: of how much; 0 where nobody knows.
        error: why it failed, on one line; "" where it has not.
        result: what it gives to the page, of plain JSON types, once it is done.
        ended: set when it is done, stopped or failed.
        apart: whether another process does it, whatever is open here.
    """

    id: int
    kind: str
    work: Callable[[Job], Any]
    events: Events
    state: State = "waiting"
    step: str = ""
    done: int = 0
    total: int = 0
    error: str = ""
    result: Any = None
    ended: threading.Event = field(default_factory=threading.Event)
    apart: bool = False
    _stop: threading.Event = field(default_factory=threading.Event)
    _told: float = 0.0
    _on_stop: Callable[[], None] | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return how it stands as plain JSON types."""
        names = ("id", "kind", "state", "step", "done", "total", "error", "result")
        return {name: getattr(self, name) for name in names}

    def check(self) -> None:
        """Raise StoppedError if the job is to stop."""
        if self._stop.is_set():
            raise StoppedError

    @contextmanager
    def progress(self, step: str) -> Iterator[Progress]:
        """Give what is told (done, of how many) of a step; it ends the job where it is stopped."""
        self.step, self.done, self.total = step, 0, 0
        self._tell(always=True)
        yield self._advance
        self.check()

    def say(self, kind: str, **data: Any) -> None:
        """Tell the pages something of this job, as the event `kind`."""
        self.events.publish(kind, {"job": self.id, **data})

    def stop(self) -> None:
        """Ask it to stop; it does at its next step."""
        self._stop.set()
        if self._on_stop is not None:
            self._on_stop()

    def on_stop(self, action: Callable[[], None]) -> None:
        """Have `action` done, too, when the job is to stop; at once where it is already."""
        self._on_stop = action
        if self._stop.is_set():
            action()

    def _advance(self, done: int, total: int | None = None) -> None:
        self.check()
        self.done, self.total = done, total or 0
        self._tell(always=done == total)

    def _tell(self, *, always: bool) -> None:
        now = time.monotonic()
        if always or now - self._told >= _OFTEN:
            self._told = now
            self.events.publish("job", self.to_dict())

    def run(self) -> None:
        """Do the work; whatever happens ends as a state."""
        try:
            self.check()
            self.state = "running"
            self._tell(always=True)
            self.result = self.work(self)
            self.state = "done"
        except StoppedError:
            self.state = "stopped"
        except LamplighterError as error:
            self.state, self.error = "failed", str(error)
        except MemoryError:
            self.state, self.error = "failed", "there is not enough memory; close other programs."
        except Exception as error:  # a bug: the studio goes on, and its terminal says where
            _logger.exception("the job %r failed", self.kind)
            self.state, self.error = "failed", f"unexpected: {type(error).__name__}: {error}"
        self.ended.set()
        self._tell(always=True)


class Jobs:
    """Runs jobs in a thread of their own, one after the other, or apart where they ask for it."""

    def __init__(self, events: Events) -> None:
        self._events = events
        self._numbers = itertools.count(1)
        self._waiting: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._known: dict[str, Job] = {}
        self._turn = threading.Lock()
        self._apart: list[threading.Thread] = []
        self._thread = threading.Thread(target=self._run, name="studio-jobs", daemon=True)
        self._thread.start()

    def start(self, kind: str, work: Callable[[Job], Any], *, apart: bool = False) -> Job:
        """Have `work` done; where a job of that kind waits or runs, return that one.

        Args:
            kind: what it does.
            work: does it, and returns what the page is to have of it.
            apart: begin at once, beside the others: what it does is done by another process.
        """
        with self._turn:
            known = self._known.get(kind)
            if known is not None and known.state in ("waiting", "running"):
                return known
            job = Job(next(self._numbers), kind, work, self._events, apart=apart)
            self._known[kind] = job
        self._events.publish("job", job.to_dict())
        if apart:
            thread = threading.Thread(target=job.run, name=f"studio-{kind}", daemon=True)
            self._apart = [other for other in self._apart if other.is_alive()] + [thread]
            thread.start()
        else:
            self._waiting.put(job)
        return job

    def latest(self) -> list[Job]:
        """Return the last job of each kind."""
        with self._turn:
            return list(self._known.values())

    def find(self, kind: str) -> Job | None:
        """Return the last job of a kind; None where there was none."""
        with self._turn:
            return self._known.get(kind)

    def stop_all(self) -> None:
        """Stop all jobs of the folder that is open, and wait until they have.

        Those that another process does go on: they are done with the folder.

        Raises:
            WorkspaceError: one of them does not stop.
        """
        jobs = [job for job in self.latest() if not job.apart]
        for job in jobs:
            job.stop()
        for job in jobs:
            if not job.ended.wait(_STOPPED_WITHIN):
                raise WorkspaceError(
                    f"the work that goes on ({job.kind}) does not stop; wait for it, and try again."
                )

    def close(self) -> None:
        """Stop all jobs, and wait for the one that runs."""
        for job in self.latest():
            job.stop()
        self._waiting.put(None)
        end = time.monotonic() + _CLOSING_APART
        self._thread.join(timeout=_CLOSING)
        for thread in self._apart:
            thread.join(timeout=max(0.0, end - time.monotonic()))

    def have_ended(self) -> bool:
        """Return whether no job runs any more; a library may compute on though it is stopped."""
        return not any(thread.is_alive() for thread in (self._thread, *self._apart))

    def _run(self) -> None:
        while (job := self._waiting.get()) is not None:
            job.run()
