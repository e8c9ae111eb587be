"""Trainings of the tests: photos that are quickly learned from, and how to wait for the end."""

from __future__ import annotations

import contextlib
import time

from PIL import Image, ImageDraw
from starlette.testclient import TestClient

from lamplighter.studio.app import make_app
from lamplighter.studio.studio import Studio

COLORS = {"blue": (40, 70, 200), "green": (40, 160, 60), "red": (200, 40, 40)}
METHODS = ["knn", "linear"]
SETTINGS = {
    "methods": METHODS,
    "backbone": "efficientnet-lite0",
    "minutes": 5,
    "precision": "fp32",
}


@contextlib.contextmanager
def opened_on(folder=None):
    """Give a studio with a folder open, and what asks it as a page does."""
    studio = Studio(folder)
    app = make_app(studio, token="the-token", port=80)
    with TestClient(app, base_url="http://127.0.0.1") as client:
        client.get("/", params={"token": "the-token"})
        yield studio, client


def own_home(home, patch):
    """Keep what is written for the user away from the user."""
    patch.setenv("XDG_DATA_HOME", str(home / "data"))
    patch.setenv("XDG_CACHE_HOME", str(home / "cache"))


def photos(folder, *, each=14):
    """Write a folder for each color; the last two pictures of each have the next one's color."""
    names = list(COLORS)
    for place, name in enumerate(names):
        (folder / name).mkdir(parents=True)
        for number in range(each):
            shown = names[(place + 1) % 3] if number >= each - 2 else name
            image = Image.new("RGB", (64, 48), COLORS[shown])
            left, top = 2 + 5 * (number % 8), 2 + 9 * (number // 8) + place
            draw = ImageDraw.Draw(image)
            draw.ellipse([left, top, left + 20, top + 20], fill=(240, 240 - 9 * number, 220))
            image.save(folder / name / f"{name}-{number:02d}.png")
    return folder


def ended(client, *, seconds=60):
    """Wait for the end of the training, and return what a page is told of it."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        told = client.get("/api/training").json()
        if told["job"]["state"] not in ("waiting", "running"):
            return told
        time.sleep(0.05)
    raise AssertionError(told)


def kinds(told):
    """Return the kinds of the events, each run of equals once."""
    found = []
    for event in told["training"]["events"]:
        if not found or found[-1] != event["kind"]:
            found.append(event["kind"])
    return found
