"""The batcher alone: what is computed together, in which order, and what comes of failures."""

from __future__ import annotations

import asyncio
import threading
import time

import numpy as np
import pytest

from lamplighter.errors import ImageError
from lamplighter.inference.predictor import Computed
from lamplighter.serving.batching import Batcher
from lamplighter.serving.metrics import Metrics
from lamplighter.serving.refusals import Refusal


class Engine:
    """Gives each image its own number back, and notes what came together."""

    name = "engine"

    def __init__(self, *, seconds=0.0):
        self.batches, self.go, self.seconds = [], threading.Event(), seconds
        self.go.set()

    def compute(self, inputs, *, keep_features=False):
        assert self.go.wait(10)
        time.sleep(self.seconds)
        self.batches.append([float(one) for one in inputs.ravel()])
        return Computed(inputs.reshape(-1, 1), None, inputs.reshape(-1, 1))


def prepare(number):
    return lambda: np.full((1, 1, 1), number, dtype=np.float32)


def batcher(**settings):
    chosen = {"threads": 1, "max_batch": 4, "max_delay": 0.0, "max_queue": 100, **settings}
    return Batcher(Metrics(), **chosen)


def later(seconds=10.0):
    return time.monotonic() + seconds


def run(work):
    """Run a coroutine, and end its batcher."""
    return asyncio.run(asyncio.wait_for(work, 20))


def values(results):
    return [float(one.logits[0, 0]) for one in results]


def test_each_request_has_its_own_answers_in_their_order():
    async def work():
        engine, queue = Engine(), batcher(threads=2, max_queue=200)
        queue.start()
        jobs = [
            queue.submit(engine, [prepare(10 * i + j) for j in range(i % 7)], deadline=later())
            for i in range(1, 40)
            if i % 7
        ]
        found = [values(await job.future) for job in jobs]
        queue.stop()
        return engine, found

    engine, found = run(work())
    assert found == [[10 * i + j for j in range(i % 7)] for i in range(1, 40) if i % 7]
    assert max(map(len, engine.batches)) <= 4


def test_what_waits_is_computed_together_and_networks_are_kept_apart():
    async def work():
        first, second, queue = Engine(), Engine(), batcher()
        first.go.clear()
        queue.start()
        head = queue.submit(first, [prepare(0)], deadline=later())
        while len(queue):
            await asyncio.sleep(0.001)
        jobs = [
            queue.submit((first, second)[i % 2], [prepare(i)], deadline=later())
            for i in range(1, 9)
        ]
        first.go.set()
        for job in [head, *jobs]:
            await job.future
        queue.stop()
        return first, second

    first, second = run(work())
    assert first.batches == [[0], [2, 4, 6, 8]]
    assert second.batches == [[1, 3, 5, 7]]


def test_an_image_waits_for_others_as_long_as_it_may():
    async def work():
        engine, queue = Engine(), batcher(max_delay=5.0)
        queue.start()
        jobs = []
        for number in range(4):
            jobs.append(queue.submit(engine, [prepare(number)], deadline=later()))
            await asyncio.sleep(0.02)
        started = time.monotonic()
        for job in jobs:
            await job.future
        queue.stop()
        return engine, time.monotonic() - started

    engine, seconds = run(work())
    assert engine.batches == [[0, 1, 2, 3]]
    assert seconds < 2


def test_threads_share_what_waits():
    async def work():
        engine, queue = Engine(seconds=0.05), batcher(threads=2, max_batch=64)
        jobs = [queue.submit(engine, [prepare(i)], deadline=later()) for i in range(20)]
        queue.start()
        for job in jobs:
            await job.future
        queue.stop()
        return engine

    sizes = [len(batch) for batch in run(work()).batches]
    assert sum(sizes) == 20
    assert max(sizes) <= 10


def test_a_full_queue_is_refused_whole():
    async def work():
        engine, queue = Engine(), batcher(max_queue=3)
        queue.submit(engine, [prepare(0), prepare(1)], deadline=later())
        with pytest.raises(Refusal) as refused:
            queue.submit(engine, [prepare(2), prepare(3)], deadline=later())
        with pytest.raises(Refusal) as never:
            queue.submit(engine, [prepare(0)] * 4, deadline=later())
        assert len(queue) == 2
        queue.start()
        queue.stop()
        return refused.value, never.value

    refused, never = run(work())
    assert refused.status == 503
    assert refused.headers == {"Retry-After": "1"}
    assert never.status == 413


def test_what_is_late_or_unwanted_is_not_computed():
    async def work():
        engine, queue = Engine(), batcher()
        late = queue.submit(engine, [prepare(0)], deadline=later(-1))
        gone = queue.submit(engine, [prepare(1)], deadline=later())
        gone.gone = True
        good = queue.submit(engine, [prepare(2)], deadline=later())
        queue.start()
        assert values(await good.future) == [2]
        with pytest.raises(Refusal) as refused:
            await late.future
        queue.stop()
        return engine, refused.value.status

    engine, status = run(work())
    assert engine.batches == [[2]]
    assert status == 504


def test_a_bad_image_fails_alone_and_a_bad_network_fails_its_batch():
    def bad():
        raise ImageError("no image")

    async def work():
        engine, queue = Engine(), batcher()
        queue.start()
        results = await queue.submit(engine, [prepare(0), bad, prepare(2)], deadline=later()).future
        assert isinstance(results[1], ImageError)
        assert values([results[0], results[2]]) == [0, 2]

        def odd():
            raise ZeroDivisionError

        jobs = [queue.submit(engine, [one], deadline=later()) for one in (prepare(1), odd)]
        assert values(await jobs[0].future) == [1]
        with pytest.raises(ZeroDivisionError):
            await jobs[1].future

        def broken(*_, **__):
            raise ValueError("broken")

        engine.compute = broken
        with pytest.raises(ValueError, match="broken"):
            await queue.submit(engine, [prepare(0)], deadline=later()).future
        other = Engine()
        assert values(await queue.submit(other, [prepare(5)], deadline=later()).future) == [5]
        queue.stop()

    run(work())


def test_all_that_waits_is_answered_at_the_end():
    async def work():
        engine, queue = Engine(seconds=0.01), batcher()
        jobs = [queue.submit(engine, [prepare(i)], deadline=later()) for i in range(20)]
        queue.start()
        await asyncio.get_running_loop().run_in_executor(None, queue.stop)
        with pytest.raises(Refusal):
            queue.submit(engine, [prepare(0)], deadline=later())
        return [values(await job.future) for job in jobs]

    assert run(work()) == [[i] for i in range(20)]
