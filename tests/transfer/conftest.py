"""Small pictures in three classes, and a backbone that is quick because it is tiny."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from lamplighter.images.preprocessing import Preprocessing
from lamplighter.models.classifier import Architecture, Classifier, build_network

SIZE = 32
CLASSES = ("disc", "ring", "square")


def draw(kind: str, number: int) -> Image.Image:
    """Return a shape of some size, place and colour, on some context."""
    rng = np.random.default_rng([CLASSES.index(kind), number])
    dark, light = (tuple(int(v) for v in rng.integers(*span, 3)) for span in ((0, 90), (160, 256)))
    image = Image.new("RGB", (48, 40), dark)
    x, y = (int(v) for v in rng.integers(4, 14, 2))
    size = int(rng.integers(16, 24))
    box = (x, y, x + size, y + size)
    pen = ImageDraw.Draw(image)
    if kind == "square":
        pen.rectangle(box, fill=light)
    elif kind == "disc":
        pen.ellipse(box, fill=light)
    else:
        pen.ellipse(box, outline=light, width=3)
    return image


@pytest.fixture
def shapes(tmp_path, monkeypatch) -> Path:
    """A folder of 16 training, 8 validation and 8 test pictures of each class."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = tmp_path / "shapes"
    number = 0
    for split, count in (("train", 16), ("valid", 8), ("test", 8)):
        for kind in CLASSES:
            place = folder / split / kind
            place.mkdir(parents=True)
            for _ in range(count):
                number += 1
                draw(kind, number).save(place / f"{number:03d}.png")
    return folder


@pytest.fixture(scope="session")
def tiny() -> Classifier:
    """A backbone of timm's test networks with random weights."""
    wanted = Preprocessing(height=SIZE, width=SIZE)
    architecture = Architecture("pretrained", {"backbone": "test_efficientnet"})
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = build_network(architecture, wanted, 3).eval()
    return Classifier(network, wanted, ("a", "b", "c"), architecture=architecture)
