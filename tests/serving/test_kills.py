"""Signals under load, again and again; LAMPLIGHTER_KILLS says how many (100 before a release)."""

from __future__ import annotations

import os
import random
import signal
import time

import pytest

from . import bundles
from .load import Clients

KILLS = int(os.environ.get("LAMPLIGHTER_KILLS", "6"))


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_after_term_nothing_is_lost_and_after_kill_the_next_start_is_clean(
    process, bundle, tmp_path, workers
):
    (image,) = bundles.pictures(1)
    chance = random.Random(workers)
    service = process(bundle, "--port", 0, "--workers", workers, TMPDIR=str(tmp_path))
    port = service.port
    for number in range(KILLS):
        clients = Clients(port, image, 16)
        time.sleep(chance.uniform(0.05, 0.6))
        sig = (signal.SIGTERM, signal.SIGKILL)[number % 2]
        code = service.end(sig)
        asked = clients.stop()
        seen = {event["id"] for event in service.events("request")}
        if sig == signal.SIGTERM:
            assert code == 0
            assert set(asked.answered.values()) <= {200}
            assert seen == set(asked.answered), f"{number}: {seen ^ set(asked.answered)}"
        else:
            assert code == -signal.SIGKILL
        started = time.monotonic()
        service = process(bundle, "--port", port, "--workers", workers, TMPDIR=str(tmp_path))
        assert service.port == port, f"{number}: {service.log}"
        assert time.monotonic() - started < 30
    assert service.end() == 0
    assert list(tmp_path.glob("lamplighter-serve-*")) == []
