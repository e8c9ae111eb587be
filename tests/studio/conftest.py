"""A studio without a browser: what its page asks, and what it is answered."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import pytest
from starlette.testclient import TestClient

from lamplighter.studio import places
from lamplighter.studio.app import make_app
from lamplighter.studio.studio import Studio

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

PORT, TOKEN = 8642, "a-secret-of-the-tests"


@pytest.fixture
def home(tmp_path_factory, monkeypatch) -> Path:
    """A home folder of this test's own, with a folder for pictures."""
    folder = tmp_path_factory.mktemp("home")
    for name in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(name, str(folder))
    monkeypatch.setenv("XDG_DATA_HOME", str(folder / ".local/share"))
    for name in ("Pictures", "Documents"):  # wherever this system and its user have them
        monkeypatch.setattr(
            places.platformdirs, f"user_{name.lower()}_path", lambda name=name: folder / name
        )
    (folder / "Pictures").mkdir()
    return folder


@pytest.fixture
def ask(home) -> Iterator[Callable[..., TestClient]]:
    """Start a studio on a folder, or on none: `ask(folder)` returns a client that knows the secret.

    What goes wrong within the server is raised, unless `told=True`, which lets it be answered.
    """
    with contextlib.ExitStack() as stack:

        def start(folder: Path | None = None, *, told: bool = False) -> TestClient:
            app = make_app(Studio(folder), token=TOKEN, port=PORT)
            base = f"http://127.0.0.1:{PORT}"
            client = TestClient(app, base_url=base, raise_server_exceptions=not told)
            stack.enter_context(client)
            assert client.get(f"/?token={TOKEN}").status_code == 200
            return client

        yield start
