"""`ask_service`: the same results over HTTP as `predict` gives in the process."""

from __future__ import annotations

import dataclasses
import http.server
import threading

import pytest

from lamplighter.errors import DataError, ImageError, ServiceError
from lamplighter.inference.predictor import predict
from lamplighter.saving.bundle import load
from lamplighter.serving.client import ask_service

from . import bundles

TOKEN = "0123456789abcdef"


def test_the_same_results_as_predict(listening_service, doubting, tmp_path):
    images = bundles.pictures(40)
    named = tmp_path / "caf\u00e9 'of' \"mine\".png"
    named.write_bytes(images[0])
    given = [named, *images[1:], b"no image"]
    address = listening_service(doubting, token=TOKEN)
    found = ask_service(address, given, top=2, token=TOKEN)
    wanted = predict(load(doubting), given).results(2)
    assert len(found) == len(wanted) == 41
    for one, other in zip(found, wanted, strict=True):
        assert (one.source, one.label, one.known) == (other.source, other.label, other.known)
        assert str(one.error) == str(other.error)
        assert [label for label, _ in one.guesses] == [label for label, _ in other.guesses]
        for (_, share), (_, exact) in zip(one.guesses, other.guesses, strict=True):
            assert share == pytest.approx(exact, abs=2e-6)
    assert all(
        one.known is None
        for one in ask_service(address, images[:3], always_answer=True, token=TOKEN)
    )
    assert dataclasses.asdict(ask_service(address, [b""], token=TOKEN)[0])["label"] is None
    assert ask_service(address, [], token=TOKEN) == []


def test_refusals(listening_service):
    address = listening_service(token=TOKEN)
    with pytest.raises(ServiceError, match="a token was expected"):
        ask_service(address, bundles.pictures(1))
    with pytest.raises(ServiceError, match="no model 'x'"):
        ask_service(address, bundles.pictures(1), model="x", token=TOKEN)
    with pytest.raises(ServiceError, match=r"cannot be reached .*; is it running"):
        ask_service("http://127.0.0.1:9", [b"x"])
    with pytest.raises(DataError, match="must begin with http"):
        ask_service("127.0.0.1:8000", [b"x"])
    with pytest.raises(DataError, match="write \\[image\\]"):
        ask_service(address, "a.png")
    with pytest.raises(ServiceError, match=r"refuses: a request may have at most 33,554,432 bytes"):
        ask_service(address, [bytes(45_000_000)], token=TOKEN)
    with pytest.raises(ImageError, match=r"missing\.png cannot be read"):
        ask_service(address, ["missing.png"])


def test_it_waits_as_long_as_a_busy_service_says():
    asked = []

    class Busy(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            asked.append(self.path)
            busy = len(asked) == 1
            body = b'{"error": "busy"}' if busy else b'{"predictions": [], "errors": []}'
            if not busy:
                body = (
                    b'{"predictions": [{"path": "0", "label": "a", "known": null, "distance": null,'
                    b' "top": [{"label": "a", "probability": 1.0}]}], "errors": []}'
                )
            self.send_response(503 if busy else 200)
            self.send_header("Retry-After", "0")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Busy) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            (found,) = ask_service(f"http://127.0.0.1:{server.server_port}", [b"image"])
        finally:
            server.shutdown()
            thread.join()
    assert found.label == "a"
    assert len(asked) == 2
