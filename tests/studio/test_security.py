"""Who may talk to the studio, and what its page may do."""

from __future__ import annotations

import re

import pytest
from starlette.testclient import TestClient

from lamplighter.studio.app import PAGES
from tests.studio.conftest import PORT, TOKEN
from tests.studio.pictures import photos


@pytest.fixture
def client(ask, tmp_path) -> TestClient:
    return ask(photos(tmp_path / "photos", each=1))


@pytest.fixture
def stranger(client) -> TestClient:
    """Another browser, which has not been given the address."""
    return TestClient(client.app, base_url=f"http://127.0.0.1:{PORT}", follow_redirects=False)


@pytest.mark.parametrize("path", ["/", "/api/files", "/api/thumbnail?path=x", "/pages/studio.css"])
def test_nothing_is_shown_without_the_secret(stranger, path):
    answer = stranger.get(path)
    assert answer.status_code == 401
    assert "the address with the token" in answer.text


@pytest.mark.parametrize("token", ["", "wrong", TOKEN[:-1], TOKEN + "x", "ü"])
def test_a_wrong_secret_is_told(stranger, token):
    answer = stranger.get("/", params={"token": token})
    assert answer.status_code == 401
    assert "is not that of the studio that runs here" in answer.text
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize("cookie", ["", "wrong", f"{TOKEN}x", "a=b; =; ;;", "\\x00"])
def test_a_wrong_cookie_is_told(stranger, cookie):
    answer = stranger.get("/api/state", headers={"cookie": f"lamplighter-{PORT}={cookie}"})
    assert answer.status_code == 401


def test_the_secret_becomes_a_cookie_that_scripts_and_other_sites_do_not_get(stranger):
    answer = stranger.get("/", params={"token": TOKEN})
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie


@pytest.mark.parametrize(
    "host", ["evil.example", f"evil.example:{PORT}", "127.0.0.1:1", "", "127.0.0.1.evil.example"]
)
def test_another_name_of_the_host_is_refused(client, host):
    answer = client.get("/api/state", headers={"host": host})
    assert answer.status_code == 421
    assert "a name that is not its own" in answer.text


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "LOCALHOST"])
def test_the_names_of_this_machine_are_its_own(client, host):
    assert client.get("/api/state", headers={"host": f"{host}:{PORT}"}).status_code == 200


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:1", "file://"])
def test_pages_of_other_sites_may_ask_nothing(client, origin):
    answer = client.post("/api/undo", json={}, headers={"origin": origin})
    assert answer.status_code == 403


def test_a_link_on_another_site_may_open_the_page_alone(client):
    linked = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}
    assert client.get("/", headers=linked).status_code == 200
    embedded = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors"}
    assert client.get("/api/thumbnail?path=x", headers=embedded).status_code == 403


@pytest.mark.parametrize(
    "path", ["../studio.py", "..%2fstudio.py", "%2e%2e/studio.py", "//etc/passwd"]
)
def test_no_file_beside_the_pages_is_shown(client, path):
    assert client.get(f"/pages/{path}").status_code == 404


def test_the_page_runs_its_own_scripts_alone(client):
    answer = client.get("/")
    policy = dict(
        rule.strip().split(" ", 1) for rule in answer.headers["content-security-policy"].split(";")
    )
    assert policy["default-src"] == "'none'"
    assert re.fullmatch(r"'self' 'sha256-[\w+/=]+'", policy["script-src"])
    assert policy["connect-src"] == policy["frame-src"] == "'self'"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "no-store"


def test_pages_name_no_address_outside():
    for path in PAGES.rglob("*"):
        if path.suffix in (".js", ".css", ".html") and "vendor" not in path.parts:
            text = path.read_text("utf-8")
            assert not re.search(r"https?://(?!www\.w3\.org)", text), path


def test_a_request_that_is_too_long_is_refused(client):
    answer = client.post("/api/label", content=b" " * (2**26 + 1))
    assert answer.status_code == 413
    assert "at most 67 MB" in answer.json()["error"]


def test_what_is_not_there_is_told(client):
    assert client.get("/api/nothing").status_code == 404
    assert client.get("/api/label").status_code == 405
