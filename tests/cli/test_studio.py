"""`lamplighter studio`: what the terminal shows, how it ends, and what it refuses."""

from __future__ import annotations

import contextlib
import http.client
import os
import re
import signal
import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from lamplighter.studio import server
from tests.cli.conftest import environment
from tests.studio.pictures import photos

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

ADDRESS = re.compile(r"The studio is at (http://127\.0\.0\.1:\d+/\?token=[\w-]{43})\n")


@pytest.fixture
def folder(tmp_path) -> Path:
    return photos(tmp_path / "photos", each=1)


@pytest.fixture
def studio(tmp_path) -> Iterator[Callable[..., tuple[subprocess.Popen[str], str]]]:
    """Start it in a process of its own; return that, and its address."""
    started = []

    def start(*arguments: object) -> tuple[subprocess.Popen[str], str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "lamplighter", "studio", *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment(XDG_DATA_HOME=str(tmp_path / "data")),
        )
        started.append(process)
        found = ADDRESS.fullmatch(process.stdout.readline())
        assert found, process.stderr.read()
        return process, found[1]

    yield start
    for process in started:
        process.kill()
        process.wait()
        process.stdout.close()
        process.stderr.close()


@contextlib.contextmanager
def asked(address: str, path: str, cookie: str = "") -> Iterator[http.client.HTTPResponse]:
    connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=10)
    with contextlib.closing(connection):
        connection.request("GET", path, headers={"cookie": cookie})
        with connection.getresponse() as response:
            yield response


@pytest.mark.parametrize(("by", "code"), [(signal.SIGINT, 0), (signal.SIGTERM, -signal.SIGTERM)])
def test_a_signal_ends_it_at_once_and_quietly(studio, folder, by, code):
    process, address = studio(folder, "--no-browser", "--port", "0")
    with asked(address, f"/?{urlsplit(address).query}") as entered:
        cookie = entered.headers["set-cookie"].split(";")[0]
    with asked(address, "/api/events", cookie) as listening:  # as an open page does, for ever
        assert listening.status == 200
        begun = time.monotonic()
        process.send_signal(by)
        assert process.wait(timeout=10) == code
        assert time.monotonic() - begun < 2
    assert process.stdout.read() == "Ctrl-C ends it; every step is kept.\n"
    assert process.stderr.read() == ""


def test_it_takes_the_next_port_that_is_free(monkeypatch):
    taken = [server._listen(None) for _ in range(2)]
    ports = [one.getsockname()[1] for one in taken]
    assert len(set(ports)) == 2
    monkeypatch.setattr(server, "PORT", ports[0])
    following = server._listen(None)
    assert following.getsockname()[1] not in ports
    for one in (*taken, following):
        assert one.getsockname()[0] == "127.0.0.1"
        assert one.proto == socket.IPPROTO_TCP  # by which asyncio turns Nagle's algorithm off
        one.close()


def test_a_port_that_is_taken_is_told(run, folder):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        outcome = run("studio", folder, "--port", port)
    assert outcome.code == 1
    assert outcome.line.startswith(f"lamplighter: the studio cannot listen at port {port}: ")
    assert "another studio, or another program, runs there" in outcome.line


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nowhere", "there is no folder"),
        ("letter.txt", "must be a folder of images"),
        ("table.csv", "the first line must name the columns"),
        ("broken.zip", "must be a whole zip file"),
    ],
)
def test_what_cannot_be_opened_is_told_and_nothing_listens(run, tmp_path, name, message):
    for file in ("letter.txt", "table.csv", "broken.zip"):
        (tmp_path / file).write_text("Dear")
    outcome = run("studio", tmp_path / name, "--no-browser")
    assert outcome.code == 1
    assert message in outcome.line
    assert outcome.out == ""


@pytest.mark.parametrize(("variable", "opened"), [("DISPLAY", True), ("UNRELATED", False)])
def test_a_browser_is_opened_where_there_is_a_screen(monkeypatch, variable, opened):
    monkeypatch.setattr(sys, "platform", "linux")
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(variable, ":0")
    assert server._has_screen() is opened


def test_the_help_needs_no_server(tmp_path):
    code = (
        "import sys; from lamplighter.cli import main; sys.argv = ['lamplighter', 'studio', '-h']\n"
        "try: main()\nexcept SystemExit: pass\n"
        "assert not {'starlette', 'uvicorn', 'numpy', 'PIL'} & set(sys.modules), sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, env=os.environ)
