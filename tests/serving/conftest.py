"""A service on tiny networks: in this process, on a port of it, or in a process of its own."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading

import pytest
from starlette.testclient import TestClient

from lamplighter.serving.app import make_app
from lamplighter.serving.server import address_of, listening, run
from lamplighter.serving.service import Service
from lamplighter.serving.settings import Settings

from . import bundles


@pytest.fixture
def bundle(tmp_path):
    """A bundle of three classes; replace it as you like."""
    return bundles.write(tmp_path / "pets.lamp", bundles.classifier())


@pytest.fixture
def doubting(tmp_path):
    """A bundle that calls about half of all pictures unknown."""
    return bundles.write(tmp_path / "doubting.lamp", bundles.classifier(1, threshold=0.3))


@pytest.fixture
def serving(bundle):
    """Return a client of a service in this process, with settings of one's own."""
    with contextlib.ExitStack() as stack:

        def make(*paths, **settings):
            chosen = Settings(bundles=paths or (bundle,), **settings)
            app = make_app(Service(chosen))
            client = TestClient(app, base_url="http://localhost", raise_server_exceptions=False)
            return stack.enter_context(client)

        yield make


@pytest.fixture
def listening_service(bundle):
    """Return the address of a service that listens on a port of this process."""
    with contextlib.ExitStack() as stack:

        def make(*paths, **settings):
            chosen = Settings(bundles=paths or (bundle,), port=0, **settings)
            bound = stack.enter_context(listening(chosen))
            end, begun = threading.Event(), threading.Event()
            thread = threading.Thread(
                target=run, args=(chosen, bound), kwargs={"started": begun.set, "until": end}
            )
            thread.start()
            stack.callback(thread.join)
            stack.callback(end.set)
            assert begun.wait(30)
            return address_of(bound)

        yield make


class Process:
    """`lamplighter serve` in a process of its own."""

    def __init__(self, *arguments, **environment):
        self.running = subprocess.Popen(
            [sys.executable, "-m", "lamplighter", "serve", *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            env={**os.environ, **environment},
        )
        self.line = self.running.stdout.readline()
        self.address = self.line.partition(" at ")[2].partition(" ")[0]
        self.log = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def port(self):
        return int(self.address.rpartition(":")[2])

    def end(self, sig=signal.SIGTERM, timeout=30):
        """Send a signal, and return the exit status."""
        self.running.send_signal(sig)
        return self.wait(timeout)

    def wait(self, timeout=30):
        code = self.running.wait(timeout)
        self._reader.join(10)
        return code

    def events(self, name):
        """Return what the log says of one kind of event."""
        return [event for event in self.log if event["event"] == name]

    def _read(self):
        for line in self.running.stderr:
            self.log.append(json.loads(line) if line.startswith("{") else {"event": line})


@pytest.fixture
def process():
    """Start `lamplighter serve` in processes of their own, which end with the test."""
    started = []

    def start(*arguments, **environment):
        started.append(Process(*arguments, **environment))
        return started[-1]

    yield start
    for one in started:
        if one.running.poll() is None:
            one.running.kill()
        one.running.wait()
        one.running.stdout.close()
        one._reader.join(10)
        one.running.stderr.close()
