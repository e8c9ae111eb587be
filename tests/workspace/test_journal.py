"""The journal at rest: damage, other files in its place, full disks, processes at once, kills."""

from __future__ import annotations

import random
import signal
import sqlite3
import subprocess
import sys
import textwrap
import threading
import time
from typing import TYPE_CHECKING

import pytest

from lamplighter.errors import LamplighterError, OutputError, WorkspaceError
from lamplighter.workspace import journal as journal_module
from lamplighter.workspace.location import NAME
from lamplighter.workspace.workspace import Workspace
from tests.workspace.conftest import PATHS, labels, write

if TYPE_CHECKING:
    from pathlib import Path

WRITER = """
    import sys
    from lamplighter.workspace.workspace import Workspace
    folder, name, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
    with Workspace.open(folder) as workspace:
        print("ready", flush=True)
        sys.stdin.readline()
        for number in range(count):
            workspace.add_class(f"{name} {number}")
            print(number, flush=True)
"""


def start(folder: Path, name: str, count: int) -> subprocess.Popen[str]:
    """Begin a process that adds classes to a folder, and tells of each when it is added."""
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(WRITER), str(folder), name, str(count)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def go(process: subprocess.Popen[str]) -> None:
    process.stdin.write("\n")
    process.stdin.flush()


def sound(path: Path) -> None:
    """Check with SQLite's own eyes that a journal is whole, and its state that of its steps."""
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    last = dict(
        connection.execute(
            "SELECT item, label_after FROM item_changes JOIN steps ON id = step "
            "WHERE state = 'done' ORDER BY step"
        )
    )
    now = dict(connection.execute("SELECT id, label FROM items WHERE label IS NOT NULL"))
    assert now == {item: label for item, label in last.items() if label is not None}
    connection.close()


@pytest.fixture
def begun(opened, photos) -> Path:
    """The journal of the photos, with one step."""
    with opened() as workspace:
        workspace.label("lost.jpg", "cats")
    return photos / NAME


def test_it_is_in_wal_mode_and_outlives_a_power_cut(opened, begun):
    workspace = opened()
    connection = workspace._journal._opened()

    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert connection.execute("PRAGMA synchronous").fetchone() == (2,)  # FULL


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"a text", "must be a journal of labels .* received a file of another kind; rename it"),
        (b"SQLite format 3\0" + bytes(5000), "is damaged"),
    ],
)
def test_something_else_in_its_place_is_told_and_left_alone(opened, photos, content, fault):
    (photos / NAME).write_bytes(content)

    with pytest.raises(WorkspaceError, match=fault):
        opened()
    assert (photos / NAME).read_bytes() == content


def test_an_empty_file_in_its_place_is_no_journal_yet(opened, photos):
    (photos / NAME).touch()
    workspace = opened()
    workspace.label("lost.jpg", "cats")

    assert labels(opened())["lost.jpg"] == "cats"


def test_a_folder_in_its_place_is_told(opened, photos):
    (photos / NAME).mkdir()

    with pytest.raises(WorkspaceError, match="received a folder"):
        opened()


@pytest.mark.parametrize(
    ("statement", "fault"),
    [
        ("PRAGMA application_id = 7", "another program's SQLite file"),
        ("PRAGMA user_version = 99", r"of format 99, this version .* up to 1; upgrade"),
        ("DROP TABLE events", "is damaged .*its tables are not those of a journal"),
        ("UPDATE steps SET action = '{'", "is damaged .*step 1"),
        ('UPDATE steps SET action = \'{"kind": "delete"}\'', "is damaged .*step 1"),
    ],
)
def test_a_journal_that_cannot_be_understood_is_told(opened, begun, statement, fault):
    connection = sqlite3.connect(begun)
    connection.execute(statement)
    connection.commit()
    connection.close()

    with pytest.raises(WorkspaceError, match=fault) as raised:
        opened().steps()
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("seed", range(5))
def test_damage_is_one_line_and_never_an_empty_state(opened, photos, seed):
    with opened() as workspace:
        for number in range(40):
            workspace.add_class(f"class {number}")
    content = bytearray((photos / NAME).read_bytes())
    rng = random.Random(seed)
    for _ in range(200):
        content[rng.randrange(100, len(content))] = rng.randrange(256)
    (photos / NAME).write_bytes(content)

    faults = []
    for look in (Workspace.steps, Workspace.files, Workspace.check, lambda one: one.undo(40)):
        try:
            look(opened())
        except LamplighterError as error:
            faults.append(str(error))
    assert all(fault.isprintable() for fault in faults)
    assert (photos / NAME).stat().st_size == len(content)


def test_a_journal_removed_or_replaced_while_in_use_is_told(opened, begun, photos):
    workspace = opened()
    begun.unlink()

    with pytest.raises(WorkspaceError, match="was removed or moved while it was in use"):
        workspace.label("lost.jpg", "dogs")
    with pytest.raises(WorkspaceError, match="was removed or moved while it was in use"):
        workspace.files()
    for ending in ("-wal", "-shm"):
        begun.with_name(begun.name + ending).unlink(missing_ok=True)
    with pytest.raises(WorkspaceError, match="no step to undo"):
        opened().undo()


def test_another_process_that_keeps_it_locked_is_waited_for_then_told(opened, begun, monkeypatch):
    monkeypatch.setattr(journal_module, "_PATIENCE", 0.1)
    workspace = opened()
    other = sqlite3.connect(begun, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")

    with pytest.raises(WorkspaceError, match="is being changed by another process; try again"):
        workspace.label("lost.jpg", "dogs")
    assert labels(workspace)["lost.jpg"] == "cats"  # reading goes on
    other.execute("ROLLBACK")
    other.close()
    workspace.label("lost.jpg", "dogs")
    assert labels(workspace)["lost.jpg"] == "dogs"


def test_a_full_disk_is_one_line_and_loses_nothing(opened, begun):
    workspace = opened()
    connection = workspace._journal._opened()
    pages = connection.execute("PRAGMA page_count").fetchone()[0]
    connection.execute(f"PRAGMA max_page_count = {pages + 9}")

    def fill() -> None:
        for number in range(2000):
            workspace.set_aside(PATHS, f"{number} {'long ' * 190}")

    with pytest.raises(OutputError, match=r"cannot be written .*full.* all earlier ones are kept"):
        fill()
    made = workspace.steps()
    assert workspace.files().set_aside[-1].reason.startswith(f"{len(made) - 2} ")
    connection.execute(f"PRAGMA max_page_count = {pages + 10_000}")
    assert workspace.label("cats/1.jpg", "dogs").id == len(made) + 1
    workspace.close()
    sound(begun)


LIMITED = """
    import resource, sys
    from lamplighter.errors import OutputError
    from lamplighter.workspace.workspace import Workspace
    with Workspace.open(sys.argv[1]) as workspace:
        workspace.add_class("first")
        resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))
        try:
            for number in range(10_000):
                workspace.set_aside("lost.jpg", f"{number} {'long ' * 190}")
        except OutputError as error:
            print(number, error)
"""


def test_a_limit_on_the_size_of_files_is_one_line_and_loses_nothing(opened, photos):
    outcome = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(LIMITED), str(photos)],
        capture_output=True,
        text=True,
        check=True,
    )

    made = int(outcome.stdout.split()[0])
    assert "cannot be written" in outcome.stdout
    assert outcome.stderr == ""
    assert made > 10
    workspace = opened()
    assert len(workspace.steps()) == made + 1
    assert workspace.files().set_aside[-1].reason.startswith(f"{made - 1} ")
    sound(photos / NAME)


def test_a_disk_that_fills_up_after_a_step_does_not_call_it_failed(opened, monkeypatch):
    workspace = opened()

    def full(*_):
        raise OutputError("full")

    monkeypatch.setattr(workspace._journal, "fill_contents", full)
    assert workspace.label("lost.jpg", "cats").id == 1
    assert workspace.read_contents() == 0
    monkeypatch.undo()
    assert workspace.read_contents() == 1  # tried again


def test_an_interrupt_amid_a_step_undoes_all_of_it(opened, begun, monkeypatch):
    workspace = opened()

    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(workspace._journal, "_note", stop)
    with pytest.raises(KeyboardInterrupt):
        workspace.label(PATHS, "dogs")
    monkeypatch.undo()
    assert labels(workspace)["cats/1.jpg"] == "cats"
    assert len(workspace.steps()) == 1


def test_threads_of_one_workspace(opened, photos):
    workspace = opened()
    faults = []

    def work(name: str) -> None:
        try:
            for number in range(20):
                workspace.add_class(f"{name} {number}")
                workspace.label(PATHS, f"{name} {number}")
                workspace.files()
                workspace.rescan()
        except Exception as fault:
            faults.append(fault)

    threads = [threading.Thread(target=work, args=(name,)) for name in "xyz"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert faults == []
    assert len(workspace.steps()) == 120
    sound(photos / NAME)


def test_two_processes_at_once_see_and_keep_each_others_steps(opened, photos):
    workspace = opened()
    with start(photos, "other", 20) as other:
        assert other.stdout.readline() == "ready\n"
        go(other)
        for number in range(20):
            workspace.add_class(f"mine {number}")
        assert other.wait(60) == 0
        other.stdout.read()

    expected = {f"{name} {number}" for name in ("mine", "other") for number in range(20)}
    assert set(workspace.classes()) == expected | {"cats", "dogs"}
    assert [change.id for change in workspace.changes_since(0)] == list(range(1, 41))


def write_at_once(folder: Path, *, writers: int, count: int) -> None:
    """Have processes write at once, and check that no step is lost and the order total."""
    processes = [start(folder, f"writer {number}", count) for number in range(writers)]
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    for process in processes:  # none has made the journal yet
        go(process)
    for process in processes:
        with process:
            assert process.stdout.read().split() == [str(number) for number in range(count)]
    with Workspace.open(folder) as workspace:
        steps = workspace.steps()
        assert [step.id for step in steps] == list(range(1, writers * count + 1))
        for number in range(writers):
            names = [step.action.name for step in steps]
            own = [name for name in names if name.startswith(f"writer {number} ")]
            assert own == [f"writer {number} {one}" for one in range(count)]
        assert [change.step.id for change in workspace.changes_since(0)] == [s.id for s in steps]
    sound(folder / NAME)


def test_three_writers_lose_no_step(photos):
    write_at_once(photos, writers=3, count=20)


@pytest.mark.slow
def test_eight_writers_of_a_hundred_steps_lose_none(photos):
    write_at_once(photos, writers=8, count=100)


def kill_at_random(folder: Path, *, times: int) -> None:
    """Kill a process that works, again and again; what it said was done must be there."""
    rng, told = random.Random(0), 0
    for number in range(times):
        with start(folder, f"run {number}", 100_000) as process:
            assert process.stdout.readline() == "ready\n"
            go(process)
            time.sleep(rng.uniform(0.0, 0.15))
            process.kill()
            lines = process.stdout.read().splitlines(keepends=True)
        assert process.returncode == -signal.SIGKILL
        done = [line for line in lines if line.endswith("\n")]
        with Workspace.open(folder) as workspace:
            names = [step.action.name for step in workspace.steps()]
        own = [name for name in names if name.startswith(f"run {number} ")]
        assert own == [f"run {number} {one}" for one in range(len(own))]
        assert len(done) <= len(own) <= len(done) + 1  # done, but not told yet
        told += len(done)
    assert told > times
    sound(folder / NAME)


def test_a_killed_process_loses_no_step_that_it_told_of(photos):
    kill_at_random(photos, times=4)


@pytest.mark.slow
def test_thirty_kills_lose_no_step(photos):
    kill_at_random(photos, times=30)


@pytest.mark.slow
def test_a_hundred_thousand_files(tmp_path):
    """Bounds are generous: on two idle cores each takes a third of that or less."""
    folder = tmp_path / "many"
    write(folder, *(f"class {number % 100:02}/{number}.jpg" for number in range(100_000)))
    paths = sorted(str(path.relative_to(folder)) for path in folder.rglob("*.jpg"))

    def taken(call) -> float:
        start = time.process_time()
        call()
        return time.process_time() - start

    with Workspace.open(folder) as workspace:
        workspace.label(paths, "class 00")
        assert taken(lambda: workspace.label(paths[:10_000], "class 01")) < 3.0
        assert taken(workspace.undo) < 1.0
        workspace.redo()
    opening = taken(lambda: Workspace.open(folder).close())
    assert opening < 6.0
    with Workspace.open(folder, read_later=True) as workspace:
        assert labels(workspace)[paths[9_999]] == "class 01"
        assert labels(workspace)[paths[10_000]] == "class 00"
        assert taken(workspace.files) < 3.0
