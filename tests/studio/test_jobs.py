"""Work of the studio: one piece at a time, seen, stopped, and safe from what goes wrong."""

from __future__ import annotations

import asyncio
import logging
import threading

import pytest

from lamplighter.errors import DataError, WorkspaceError
from lamplighter.studio import jobs as module
from lamplighter.studio.events import Events
from lamplighter.studio.jobs import Jobs
from lamplighter.studio.studio import Studio
from tests.studio.pictures import photos


@pytest.fixture
def jobs():
    jobs = Jobs(Events())
    yield jobs
    jobs.close()


def ended(job):
    assert job.ended.wait(10)
    return job.state, job.error, job.result


def test_a_job_gives_its_result(jobs):
    def work(job):
        with job.progress("counting") as progress:
            progress(3, 4)
        return {"seen": [job.step, job.done, job.total]}

    assert ended(jobs.start("count", work)) == ("done", "", {"seen": ["counting", 3, 4]})


def test_of_a_kind_one_runs(jobs):
    go = threading.Event()
    first = jobs.start("wait", lambda job: go.wait(10))
    assert jobs.start("wait", lambda job: None) is first
    go.set()
    assert ended(first)[0] == "done"
    assert jobs.start("wait", lambda job: None) is not first


def test_a_job_that_is_stopped_ends_at_its_next_step(jobs):
    begun = threading.Event()

    def work(job):
        begun.set()
        while True:
            job.check()

    job = jobs.start("endless", work)
    waiting = jobs.start("later", lambda job: None)
    assert begun.wait(10)
    assert waiting.state == "waiting"
    jobs.stop_all()
    assert ended(job)[0] == ended(waiting)[0] == "stopped"


def test_what_does_not_stop_is_told(jobs, monkeypatch):
    monkeypatch.setattr(module, "_STOPPED_WITHIN", 0.05)
    begun, go = threading.Event(), threading.Event()
    job = jobs.start("deaf", lambda job: [begun.set(), go.wait(10)])
    assert begun.wait(10)
    with pytest.raises(WorkspaceError, match=r"work that goes on \(deaf\) does not stop"):
        jobs.stop_all()
    go.set()
    assert ended(job)


def test_the_end_of_the_studio_does_not_wait_for_what_does_not_stop(monkeypatch):
    monkeypatch.setattr(module, "_CLOSING", 0.05)
    jobs, begun, go = Jobs(Events()), threading.Event(), threading.Event()
    job = jobs.start("deaf", lambda job: [begun.set(), go.wait(10)])
    assert begun.wait(10)
    jobs.close()
    assert not jobs.have_ended()
    go.set()
    assert ended(job)
    jobs.close()
    assert jobs.have_ended()


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (DataError("no such photos."), "no such photos."),
        (MemoryError(), "there is not enough memory; close other programs."),
        (ZeroDivisionError("by zero"), "unexpected: ZeroDivisionError: by zero"),
    ],
)
def test_what_goes_wrong_is_told_and_others_go_on(jobs, caplog, error, told):
    caplog.set_level(logging.CRITICAL, logger="lamplighter.studio")

    def work(job):
        raise error

    assert ended(jobs.start("bad", work)) == ("failed", told, None)
    assert ended(jobs.start("good", lambda job: 5)) == ("done", "", 5)


def test_another_folder_ends_the_work_on_the_one_that_is_open(home, tmp_path):
    studio = Studio(photos(tmp_path / "a", each=1))
    kept, begun = studio.kept("found", dict), threading.Event()

    def work(job):
        begun.set()
        while True:
            job.check()

    job = studio.jobs.start("endless", work)
    assert begun.wait(10)
    studio.open(photos(tmp_path / "b", each=1))
    assert job.state == "stopped"
    assert studio.kept("found", dict) is not kept
    studio.close()


def test_work_goes_on_when_the_tab_that_began_it_is_gone(jobs):
    events = jobs._events

    async def tab():
        heard = events.listen()
        assert await anext(heard) == "retry: 1000\n\n"
        await heard.aclose()

    go = threading.Event()
    job = jobs.start("train", lambda job: [job.say("epoch", number=1), go.wait(10), 7][-1])
    asyncio.run(tab())
    assert events._listeners == {}
    go.set()
    assert ended(job) == ("done", "", 7)


def test_events_reach_all_pages_in_order_and_end(jobs):
    events = jobs._events

    async def page(count):
        heard = events.listen()
        await anext(heard)
        return [await anext(heard) for _ in range(count)]

    async def both():
        listening = [asyncio.create_task(page(2)) for _ in range(2)]
        await asyncio.sleep(0.01)
        for number in range(2):
            events.publish("count", {"number": number})
        return await asyncio.gather(*listening)

    told = [f'event: count\ndata: {{"number": {number}}}\n\n' for number in range(2)]
    assert asyncio.run(both()) == [told, told]


def test_a_page_that_comes_at_the_end_is_not_kept(jobs):
    events = jobs._events
    events.close()

    async def late():
        return [text async for text in events.listen()]

    assert asyncio.run(late()) == []


def test_a_page_that_sleeps_is_let_go(jobs):
    events = jobs._events

    async def sleeper():
        heard = events.listen()
        await anext(heard)
        for number in range(1500):
            events.publish("count", number)
        await asyncio.sleep(0.01)
        return [text async for text in heard]

    assert len(asyncio.run(sleeper())) <= 1000
