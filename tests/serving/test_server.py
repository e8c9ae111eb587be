"""`lamplighter serve` as a process: how it starts, how it ends, what it imports."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from lamplighter.cli import main
from lamplighter.serving import logs

from . import bundles
from .load import Clients

TORCHLESS = Path(__file__).parents[1] / "torchless"


def get(address, path):
    with urllib.request.urlopen(address + path, timeout=20) as answer:
        return answer.read()


@pytest.fixture
def failed(monkeypatch, capsys):
    """Return the one line of a service that does not start, in this process."""
    monkeypatch.setattr(logs, "configure", lambda: None)

    def call(*arguments):
        command = ["lamplighter", "serve", *map(str, arguments)]
        monkeypatch.setattr(sys, "argv", command)
        with pytest.raises(SystemExit) as end:
            main()
        written = capsys.readouterr()
        assert end.value.code in (1, 2)
        assert written.out == ""
        (line,) = written.err.splitlines()
        return line

    return call


def test_a_service_without_torch(process, bundle):
    (image,) = bundles.pictures(1)
    path = os.pathsep.join([str(TORCHLESS), os.environ.get("PYTHONPATH", "")])
    service = process(bundle, "--port", 0, "--explain", PYTHONPATH=path)
    assert service.line == f"serving {bundle} at {service.address} (Ctrl-C ends it)\n"
    assert service.address.startswith("http://127.0.0.1:")
    for address in ("/predict", "/embed", "/explain"):
        request = urllib.request.Request(service.address + address, image)
        request.add_header("Content-Type", "image/png")
        with urllib.request.urlopen(request, timeout=20) as answer:
            assert answer.status == 200
            json.load(answer)
    assert b"lamplighter_batch_images_count" in get(service.address, "/metrics")
    assert service.end() == 0
    assert [event["path"] for event in service.events("request")] == [
        "/predict", "/embed", "/explain", "/metrics"
    ]  # fmt: skip
    assert all(
        {"time", "level", "event", "id", "method", "status", "ms"} <= set(event)
        for event in service.events("request")
    )


def test_all_that_was_accepted_is_answered_at_the_end(process, bundle):
    (image,) = bundles.pictures(1)
    service = process(bundle, "--port", 0)
    clients = Clients(service.port, image, 12)
    time.sleep(0.5)
    assert service.end() == 0
    asked = clients.stop()
    assert len(asked.answered) > 20
    assert set(asked.answered.values()) == {200}
    logged = {event["id"]: event for event in service.events("request")}
    # What the service has seen of, the client has the answer to; what it lost was not seen.
    assert set(logged) == set(asked.answered)
    assert asked.refused
    assert all(event["complete"] for event in logged.values())


def test_a_request_on_its_way_is_answered_and_then_the_connection_ends(process, bundle):
    (image,) = bundles.pictures(1)
    service = process(bundle, "--port", 0)
    connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=20)
    connection.putrequest("POST", "/predict")
    connection.putheader("Content-Type", "image/png")
    connection.putheader("Content-Length", str(len(image)))
    connection.endheaders()
    connection.send(image[:10])
    time.sleep(0.3)
    service.running.send_signal(signal.SIGTERM)
    time.sleep(1.5)
    connection.send(image[10:])
    answer = connection.getresponse()
    assert answer.status == 200
    assert answer.headers["Connection"] == "close"
    assert json.loads(answer.read())["predictions"]
    connection.close()
    assert service.wait() == 0


@pytest.mark.slow
def test_several_processes_share_a_port(process, bundle):
    (image,) = bundles.pictures(1)
    service = process(bundle, "--port", 0, "--workers", 2)
    clients = Clients(service.port, image, 8)
    time.sleep(1)
    counts = get(service.address, "/metrics").decode()
    assert service.end() == 0
    asked = clients.stop()
    assert set(asked.answered.values()) == {200}
    assert len({event["process"] for event in service.events("request")}) == 2
    assert {event["id"] for event in service.events("request")} >= set(asked.answered)
    line = next(line for line in counts.splitlines() if line.startswith("lamplighter_images_total"))
    assert float(line.split()[-1]) > 0


@pytest.mark.slow
def test_processes_end_with_the_first_one_and_are_replaced_when_they_end(process, bundle):
    service = process(bundle, "--port", 0, "--workers", 2)
    port = service.port
    get(service.address, "/models")
    end = time.monotonic() + 30
    while not service.events("request"):
        assert time.monotonic() < end
        time.sleep(0.1)
    os.kill(service.events("request")[0]["process"], signal.SIGKILL)
    while not service.events("process ended"):
        assert time.monotonic() < end
        time.sleep(0.1)
    get(service.address, "/v2/health/ready")
    service.end(signal.SIGKILL)
    again = process(bundle, "--port", port)
    assert again.port == port
    assert again.end() == 0


def test_a_port_in_use(failed, bundle):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        line = failed(bundle, "--port", port)
    assert line.startswith(f"lamplighter: 127.0.0.1, port {port} is in use by another program;")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["missing.lamp"], "missing.lamp cannot be loaded: there is no such file"),
        (["{bundle}", "{bundle}"], "each model needs a name of its own"),
        (["{bundle}", "--host", "no.such.host.invalid"], "no address 'no.such.host.invalid'"),
        (["{bundle}", "--max-queue", "0"], "max_queue must be at least 1"),
        (["{bundle}", "--index", "missing.index"], "missing.index"),
        (["{bundle}", "--token-file", "missing.txt"], "--token-file must be a file that holds"),
    ],
)
def test_what_cannot_be_served(failed, bundle, arguments, message):
    arguments = [argument.format(bundle=bundle) for argument in arguments]
    assert message in failed(*arguments, "--port", "0")


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_a_broken_bundle_is_told_by_several_processes_as_by_one(failed, bundle, tmp_path, workers):
    broken = tmp_path / "broken.lamp"
    broken.write_bytes(bundle.read_bytes()[:-100])
    line = failed(broken, "--port", 0, "--workers", workers)
    assert f"{broken} cannot be loaded" in line
