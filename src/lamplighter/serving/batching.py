"""Dynamic batching: images of many requests are computed together, a few at a time."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from lamplighter.errors import ImageError, LamplighterError
from lamplighter.serving.logs import log
from lamplighter.serving.refusals import Refusal
from lamplighter.text import counted

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from lamplighter.inference.predictor import Computed
    from lamplighter.serving.engines import Engine
    from lamplighter.serving.metrics import Metrics

    # Makes the network's input (C, H, W), float32, of an image.
    Prepare = Callable[[], NDArray[np.float32]]

# Images that a thread takes at least where so many wait: fewer cost small networks much.
_LEAST = 4


@dataclass(eq=False)
class Job:
    """The images of one request: each becomes what was computed of it, or why nothing was."""

    engine: Engine
    prepares: Sequence[Prepare]
    keep_features: bool
    deadline: float  # of time.monotonic
    future: asyncio.Future[list[Computed | ImageError]]
    results: list[Computed | ImageError | None] = field(default_factory=list)
    left: int = 0
    gone: bool = False  # nobody waits for it any more

    def __post_init__(self) -> None:
        self.results = [None] * len(self.prepares)
        self.left = len(self.prepares)


_Item = tuple[Job, int]  # one image: its request, and its place there


class Batcher:
    """Computes images on a few threads; those that wait together are computed together.

    Each thread takes what waits, in the order in which it came, and brings it from the file to the
    answer: no thread waits for another, and while all compute, the next batch gathers. Images of
    different networks are never in one batch. A request keeps the network that it came for, so
    that all its images are answered by one, also while a bundle is replaced.

    Args:
        metrics: where it counts.
        threads: how many, at least 1.
        max_batch: most images at a time.
        max_delay: seconds that an image waits for others.
        max_queue: most images that wait.
    """

    def __init__(
        self,
        metrics: Metrics,
        *,
        threads: int,
        max_batch: int,
        max_delay: float,
        max_queue: int,
    ) -> None:
        self._metrics = metrics
        self._max_batch, self._max_delay, self._max_queue = max_batch, max_delay, max_queue
        self._count = threads
        self._items: deque[_Item] = deque()
        self._came: deque[float] = deque()  # when each of them came
        self._changed = threading.Condition()
        self._stopping = False
        self._speed = 0.0  # images a second of one thread, of late
        self._threads: list[threading.Thread] = []

    def __len__(self) -> int:
        return len(self._items)

    @property
    def is_full(self) -> bool:
        """Whether not one more image is taken."""
        return len(self._items) >= self._max_queue

    def start(self) -> None:
        """Start the threads."""
        self._stopping = False
        self._threads = [
            threading.Thread(target=self._work, name=f"batch-{number}", daemon=True)
            for number in range(self._count)
        ]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End the threads, once all that waits is computed."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    def submit(
        self,
        engine: Engine,
        prepares: Sequence[Prepare],
        *,
        deadline: float,
        keep_features: bool = False,
    ) -> Job:
        """Put images into the queue; the job's future has a result for each of them.

        Args:
            engine: what computes them.
            prepares: make the network's input, called on a thread of the batcher.
            deadline: on the clock of `time.monotonic`; what is not begun then is not computed.
            keep_features: return the features as well.

        Raises:
            Refusal: they do not fit into the queue, now (503) or at any time (413).
        """
        count = len(prepares)
        if count > self._max_queue:
            raise Refusal(
                413,
                f"a request may have at most {counted(self._max_queue, 'image')}, received "
                f"{count:,}; send them in several requests.",
                reason="too-many",
            )
        future = asyncio.get_running_loop().create_future()
        job = Job(engine, prepares, keep_features, deadline, future)
        with self._changed:
            if self._stopping or len(self._items) + count > self._max_queue:
                raise self.busy()
            now = time.monotonic()
            self._items.extend((job, place) for place in range(count))
            self._came.extend([now] * count)
            self._metrics.queue.set(len(self._items))
            self._changed.notify(count)
        return job

    def busy(self) -> Refusal:
        """Return the refusal of a request for which there is no place in the queue."""
        speed = self._speed * self._count
        return Refusal(
            503,
            f"{counted(len(self._items), 'image')} wait already, and at most {self._max_queue:,} "
            "may; try again later.",
            reason="queue-full",
            retry_after=len(self._items) / speed if speed else 1,
        )

    def _work(self) -> None:
        while (batch := self._next()) is not None:
            started = time.monotonic()
            finished = self._compute(batch)
            seconds = time.monotonic() - started
            self._metrics.batch_images.observe(len(batch))
            self._metrics.batch_seconds.observe(seconds)
            speed = len(batch) / max(seconds, 1e-6)
            self._speed = 0.9 * self._speed + 0.1 * speed if self._speed else speed
            for job in finished:
                _hand_over(job, None)

    def _next(self) -> list[_Item] | None:
        """Wait for images, and take those for one batch; None when there will be none."""
        with self._changed:
            while True:
                self._drop_late()
                if self._items:
                    missing = self._max_batch - len(self._items)
                    wait = self._came[0] + self._max_delay - time.monotonic()
                    if missing > 0 and wait > 0 and not self._stopping:
                        self._changed.wait(wait)
                    elif batch := self._take():
                        return batch
                elif self._stopping:
                    return None
                else:
                    self._changed.wait()

    def _take(self) -> list[_Item]:
        """Take the first image and those of the same network that wait, a fair share of all."""
        share = max(_LEAST, -(-len(self._items) // self._count))
        most = min(self._max_batch, share)
        engine, batch = self._items[0][0].engine, list[_Item]()
        others, others_came = deque[_Item](), deque[float]()
        while self._items and len(batch) < most:
            item, came = self._items.popleft(), self._came.popleft()
            if item[0].gone:
                continue
            if item[0].engine is engine:
                batch.append(item)
            else:
                others.append(item)
                others_came.append(came)
        self._items.extendleft(reversed(others))
        self._came.extendleft(reversed(others_came))
        self._metrics.queue.set(len(self._items))
        return batch

    def _drop_late(self) -> None:
        """Take out what nobody waits for, or waits for in vain: whatever leads the queue."""
        now = time.monotonic()
        while self._items and (self._items[0][0].gone or self._items[0][0].deadline < now):
            job, _ = self._items.popleft()
            self._came.popleft()
            if not job.gone:
                job.gone = True
                _hand_over(job, late())

    def _compute(self, batch: Sequence[_Item]) -> list[Job]:
        """Compute a batch, and return the jobs that are done by it."""
        engine = batch[0][0].engine
        try:
            inputs, places = self._prepared(batch)
            if inputs:
                keep = any(job.keep_features for job, _ in places)
                computed = engine.compute(np.stack(inputs), keep_features=keep)
                for row, (job, place) in enumerate(places):
                    job.results[place] = computed.row(row)
        except Exception as error:  # of the network, or of the memory: no reason to end the thread
            for job in {job for job, _ in batch}:
                self._fail(job, error)
            return []
        finished = []
        with self._changed:  # another thread may have the other images of the same job
            for job, _ in batch:
                job.left -= 1
                if not job.left and not job.gone:
                    finished.append(job)
        return finished

    def _prepared(self, batch: Sequence[_Item]) -> tuple[list[NDArray[np.float32]], list[_Item]]:
        """Return the inputs of a batch, and which image each is of; what is bad fails alone."""
        inputs, places = [], []
        for job, place in batch:
            try:
                inputs.append(job.prepares[place]())
                places.append((job, place))
            except ImageError as error:
                job.results[place] = error
            except Exception as error:  # nobody expected it: the others are not to pay for it
                self._fail(job, error)
        return inputs, places

    def _fail(self, job: Job, error: Exception) -> None:
        """Have a whole job fail."""
        trace = None if isinstance(error, LamplighterError) else error
        log(logging.ERROR, "batch failed", trace=trace, model=job.engine.name, error=str(error))
        job.gone = True
        _hand_over(job, error)


def late() -> Refusal:
    """Return the refusal of a request that was not computed in time."""
    return Refusal(
        504,
        "the answer was not ready before the deadline; try again later, or send fewer images.",
        reason="deadline",
    )


def _hand_over(job: Job, error: Exception | None) -> None:
    """Give a job's results, or its error, to whoever waits for it in the event loop."""

    def settle() -> None:
        if job.future.done():
            return
        if error is not None:
            job.future.set_exception(error)
        else:
            job.future.set_result([result for result in job.results if result is not None])

    loop = job.future.get_loop()
    if not loop.is_closed():
        loop.call_soon_threadsafe(settle)
