"""What a service refuses, and what it stays able to do meanwhile."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import pytest

from lamplighter.errors import ServiceError
from lamplighter.serving.engines import Engine
from lamplighter.serving.settings import Settings

from . import bundles

TOKEN = "0123456789abcdef"


@pytest.fixture
def image():
    return bundles.pictures(1)[0]


@contextlib.contextmanager
def held(monkeypatch):
    """Keep networks from answering, until the event that is given is set."""
    compute, go = Engine.compute, threading.Event()

    def wait(self, inputs, **options):
        assert go.wait(30)
        return compute(self, inputs, **options)

    monkeypatch.setattr(Engine, "compute", wait)
    try:
        yield go
    finally:
        go.set()


def told(response, status):
    assert response.status_code == status, response.text
    return response.json()["error"]


def test_too_large_a_body_is_refused_before_it_comes(serving, image):
    client = serving(max_body=1000)
    assert "at most 1,000 bytes, received 5,000" in told(
        client.post("/predict", content=bytes(5000)), 413
    )
    chunks = (bytes(600) for _ in range(5))
    assert "at most 1,000 bytes, received more" in told(
        client.post("/predict", content=chunks), 413
    )
    assert client.post("/predict", content=image[:0] + image).status_code in (200, 413)


def test_too_many_images(serving, image):
    client = serving(max_queue=3)
    files = [("image", (str(number), image)) for number in range(4)]
    assert "Maximum number of files is 3" in told(client.post("/predict", files=files), 413)
    assert client.post("/predict", files=files[:3]).status_code == 200


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        ("application/x-www-form-urlencoded", b"image"),
        ("application/json", b"{}"),
        ("text/plain", b"x"),
        ("audio/wav", b"x"),
        ("x" * 5000, b"x"),
    ],
)
def test_other_types_are_refused(serving, kind, content):
    response = serving().post("/predict", content=content, headers={"Content-Type": kind})
    message = told(response, 415)
    assert "multipart/form-data" in message
    assert len(message) < 400


@pytest.mark.parametrize(
    ("kind", "content", "message"),
    [
        ("multipart/form-data", b"x", "Missing boundary"),
        ("multipart/form-data; boundary=B", b"nothing of the kind", "the form"),
        ("multipart/form-data; boundary=B", b"--B\r\nContent-Disposition: form-data", "the form"),
        ("multipart/form-data; boundary=B", b"--B\r\nX: y\r\n\r\nz\r\n--B--\r\n", '"name"'),
        ("multipart/form-data; boundary=B", b"--B--\r\n", "no file"),
        ("image/jpeg", b"", "received no bytes"),
    ],
)
def test_forms_that_cannot_be_read(serving, kind, content, message):
    response = serving().post("/predict", content=content, headers={"Content-Type": kind})
    assert message in told(response, 400)


def test_a_field_for_a_file_says_what_is_missing(serving):
    response = serving().post("/predict", files={"image": (None, "photo.jpg")})
    assert "an @ stands before its name" in told(response, 400)


def test_a_full_queue_is_told_at_once_and_all_that_was_taken_is_answered(
    serving, image, monkeypatch
):
    client = serving(max_queue=4, max_batch=1)
    with held(monkeypatch) as go, ThreadPoolExecutor(20) as pool:
        started = time.monotonic()
        asked = [pool.submit(client.post, "/predict", content=image) for _ in range(20)]
        while sum(one.done() for one in asked) < 20 - 4 - 2:
            assert time.monotonic() - started < 20
            time.sleep(0.01)
        refused = [one.result() for one in asked if one.done()]
        assert time.monotonic() - started < 5
        go.set()
        statuses = sorted(one.result().status_code for one in asked)
    assert {response.status_code for response in refused} == {503}
    assert all(int(response.headers["Retry-After"]) >= 1 for response in refused)
    assert all("try again later" in response.json()["error"] for response in refused)
    assert statuses.count(200) == 20 - len(refused)
    assert client.post("/predict", content=image).status_code == 200
    counts = client.get("/metrics").text
    assert f'lamplighter_images_refused_total{{reason="queue-full"}} {len(refused)}.0' in counts
    assert f'lamplighter_requests_total{{endpoint="/predict",status="503"}} {len(refused)}.0' in (
        counts
    )


def test_health_is_told_while_all_is_full(serving, image, monkeypatch):
    client = serving(max_queue=1, max_batch=1)
    with ThreadPoolExecutor(8) as pool, held(monkeypatch):
        asked = [pool.submit(client.post, "/predict", content=image) for _ in range(8)]
        while not any(one.done() for one in asked):
            time.sleep(0.01)
        assert client.get("/v2/health/live").status_code == 200
        assert client.get("/v2/models/pets").status_code == 200


def test_a_deadline_is_kept(serving, image, monkeypatch):
    client = serving(deadline=0.2, max_batch=1)
    with held(monkeypatch):
        started = time.monotonic()
        assert "before the deadline" in told(client.post("/predict", content=image), 504)
        assert time.monotonic() - started < 3
    assert client.post("/predict", content=image).status_code == 200


def test_a_network_that_fails_is_told_and_the_next_request_is_answered(serving, image, monkeypatch):
    client = serving()
    with monkeypatch.context() as patch:

        def fail(*_, **__):
            raise RuntimeError("secret")

        patch.setattr(Engine, "compute", fail)
        message = told(client.post("/predict", content=image), 500)
    assert "internal error" in message
    assert "secret" not in message
    assert client.post("/predict", content=image).status_code == 200


def test_a_token_is_asked_for(serving, image):
    client = serving(token=TOKEN, explain=True)
    for headers in ({}, {"Authorization": f"Bearer {TOKEN}x"}, {"Authorization": f"Basic {TOKEN}"}):
        for method, path in (("POST", "/predict"), ("GET", "/metrics"), ("GET", "/models")):
            response = client.request(method, path, headers=headers)
            assert "Authorization: Bearer TOKEN" in told(response, 401)
            assert response.headers["WWW-Authenticate"] == "Bearer"
    for path in ("/", "/try.js", "/try.css", "/openapi.json", "/v2/health/live"):
        assert client.get(path).status_code == 200
    headers = {"Authorization": f"Bearer {TOKEN}"}
    assert client.post("/predict", content=image, headers=headers).status_code == 200
    assert TOKEN not in repr(Settings(bundles=("a",), token=TOKEN))


def test_pages_of_others(serving, image):
    origin = {"Origin": "https://example.org"}
    alone = serving().post("/predict", content=image, headers=origin)
    assert "Access-Control-Allow-Origin" not in alone.headers
    allowed = serving(cors=("https://example.org",))
    answer = allowed.post("/predict", content=image, headers=origin)
    assert answer.headers["Access-Control-Allow-Origin"] == "https://example.org"
    other = allowed.post("/predict", content=image, headers={"Origin": "https://evil.example"})
    assert "Access-Control-Allow-Origin" not in other.headers


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8000", "localhost.evil.example"])
def test_names_of_others_are_refused(serving, image, host):
    message = told(serving().post("/predict", content=image, headers={"Host": host}), 421)
    assert "--allow-host" in message


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:80", "[::1]:8000", "shop.example:1"])
def test_names_of_its_own_are_not(serving, image, host):
    client = serving(allowed_hosts=("shop.example",))
    assert client.post("/predict", content=image, headers={"Host": host}).status_code == 200


@pytest.mark.parametrize("host", ["[", "a b", "]:x", "\xe9", "a" * 3000, "http://x/"])
def test_hosts_that_are_none(serving, host):
    client = serving(token=TOKEN)
    headers = {"Host": host.encode("latin-1"), "Authorization": f"Bearer {TOKEN}"}
    assert client.get("/nothing", headers=headers).status_code == 404
    assert client.get("/", headers=headers).status_code == 200
    assert serving().get("/", headers=headers).status_code == 421


def test_other_paths_and_methods(serving):
    client = serving()
    assert "there is nothing at" in told(client.get("/nothing"), 404)
    assert '"/predict" takes POST, received GET' in told(client.get("/predict"), 405)
    assert client.get("/predict").headers["Allow"] == "POST"


def raw(address, content, *, seconds=20.0):
    """Send bytes, and return all that comes until the other side ends the connection."""
    parts = urlsplit(address)
    received = b""
    with socket.create_connection((parts.hostname, parts.port), timeout=seconds) as connection:
        connection.sendall(content)
        with contextlib.suppress(ConnectionResetError):
            while chunk := connection.recv(65536):
                received += chunk
    return received


def test_slow_and_broken_requests(listening_service, image, monkeypatch):
    monkeypatch.setattr("lamplighter.serving.server._HEAD_SECONDS", 0.5)
    address = listening_service(body_timeout=0.5)
    head = b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\n"
    with ThreadPoolExecutor(60) as pool:
        slow = [pool.submit(raw, address, b"POST /predict HTTP/1.1\r\nHost: lo") for _ in range(50)]
        half = pool.submit(raw, address, head + b"Content-Length: 500\r\n\r\nhalf")
        silent = pool.submit(raw, address, b"")
        # Others are answered meanwhile.
        connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=10)
        for _ in range(5):
            headers = {"Content-Type": "image/png"}
            connection.request("POST", "/predict", image, headers)
            answer = connection.getresponse()
            assert answer.status == 200
            json.loads(answer.read())
        connection.close()
        assert {one.result() for one in slow} == {b""}
        assert silent.result() == b""
        first, _, body = half.result().partition(b"\r\n\r\n")
    assert first.startswith(b"HTTP/1.1 408")
    assert "came too slowly" in json.loads(body)["error"]
    assert raw(address, b"\x16\x03\x01\x02 no HTTP\r\n\r\n").startswith(b"HTTP/1.1 400")
    negative = raw(address, head + b"Content-Length: -5\r\n\r\n")
    assert negative.startswith(b"HTTP/1.1 400")


def test_what_nobody_waits_for_is_not_computed(listening_service, image, monkeypatch):
    address = listening_service(max_batch=1)
    parts = urlsplit(address)
    head = f"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(image)}\r\n\r\n"

    def count():
        connection = http.client.HTTPConnection(parts.netloc, timeout=10)
        connection.request("GET", "/metrics")
        lines = connection.getresponse().read().decode().splitlines()
        connection.close()
        values = dict(line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
        gone = 'lamplighter_images_refused_total{reason="gone"}'
        return float(values["lamplighter_batch_images_sum"]), float(values.get(gone, 0))

    with held(monkeypatch) as go:
        for _ in range(30):
            with socket.create_connection((parts.hostname, parts.port), timeout=10) as connection:
                connection.sendall(head.encode() + image)
                time.sleep(0.01)
        end = time.monotonic() + 10
        while count()[1] < 30:
            assert time.monotonic() < end
            time.sleep(0.05)
        go.set()
    assert raw(address, head.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n").encode() + image)
    assert count()[0] < 10  # those that were being computed when their clients left, and the last


def test_bodies_take_a_bounded_part_of_the_memory(listening_service, image, monkeypatch):
    monkeypatch.setattr(Settings, "most_held", 150_000)
    address = listening_service(body_timeout=2.0)
    parts = urlsplit(address)
    head = b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 200000\r\n\r\n"
    with contextlib.ExitStack() as stack:
        holders = [
            stack.enter_context(socket.create_connection((parts.hostname, parts.port), timeout=20))
            for _ in range(2)
        ]
        for holder in holders:
            holder.sendall(head + bytes(100_000))
        answer = holders[1].recv(1000)
        if not answer:
            answer = holders[0].recv(1000)
        assert answer.startswith((b"HTTP/1.1 503", b"HTTP/1.1 408"))
    # What they held is free again.
    time.sleep(0.2)
    connection = http.client.HTTPConnection(parts.netloc, timeout=10)
    connection.request("POST", "/predict", image, {"Content-Type": "image/png"})
    assert connection.getresponse().status == 200
    connection.close()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"port": 70_000}, "port must be in 0..65535"),
        ({"workers": 0}, "workers must be at least 1"),
        ({"max_queue": 0}, "max_queue must be at least 1"),
        ({"max_delay": -1}, "max_delay must be at least 0"),
        ({"max_delay": 60}, "less than the deadline"),
        ({"deadline": 0}, "less than the deadline"),
        ({"token": "short"}, "16 or more ASCII characters"),
        ({"cors": ("example.org",)}, "such as https://example.org"),
        ({"bundles": ()}, "one bundle or more"),
        ({"explain": True, "max_queue": 9}, "takes up to 200 places"),
    ],
)
def test_settings_that_cannot_be(settings, message):
    with pytest.raises(ServiceError, match=message):
        Settings(**{"bundles": ("a.lamp",), **settings})
