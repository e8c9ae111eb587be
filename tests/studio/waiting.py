"""Jobs of a studio, awaited."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from starlette.testclient import TestClient

_SECONDS = 60.0


def ended(client: TestClient, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    """Start the job at `path`, and return how it ended."""
    job = client.post(path, json=body or {}).json()
    until = time.monotonic() + _SECONDS
    while job["state"] in ("waiting", "running"):
        assert time.monotonic() < until, job
        time.sleep(0.02)
        jobs = client.get("/api/state").json()["jobs"]
        (job,) = (one for one in jobs if one["id"] == job["id"])
    found: dict[str, Any] = job
    return found
