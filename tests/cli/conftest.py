"""One small bundle for the session, and two ways to run a command: in this process or its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from lamplighter.cli import main
from lamplighter.datasets.image_data import ImageData

if TYPE_CHECKING:
    from collections.abc import Callable

PATCHED = Path(__file__).parent / "patched.py"
DIGITS = sorted((Path(__file__).parents[2] / "src/lamplighter/datasets/digit_files").iterdir())


@dataclass
class Outcome:
    code: int
    out: str
    err: str

    @property
    def line(self) -> str:
        """What went to stderr, if it is one line and no traceback."""
        assert self.err.endswith("\n")
        assert self.err.count("\n") == 1, self.err
        assert "internal error" not in self.err
        return self.err.rstrip("\n")


@pytest.fixture
def run(monkeypatch, capsys, tiny_digits) -> Callable[..., Outcome]:
    """Run `lamplighter ...` in this process, on a cut of MNIST."""
    monkeypatch.setattr(ImageData, "mnist", lambda: tiny_digits)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.delenv("LAMPLIGHTER_TRACEBACK", raising=False)

    def call(*arguments: object) -> Outcome:
        capsys.readouterr()
        monkeypatch.setattr(sys, "argv", ["lamplighter", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            main()
        written = capsys.readouterr()
        return Outcome(int(end.value.code or 0), written.out, written.err)

    return call


def environment(**more: str) -> dict[str, str]:
    """80 columns; as many threads as this process has, since their number changes the rounding."""
    return {**os.environ, "COLUMNS": "80", **more}


@pytest.fixture
def start(cache_home) -> Callable[..., subprocess.Popen[str]]:
    """Begin `lamplighter ...` in a process of its own, on a cut of MNIST."""

    def call(*arguments: object, **options: object) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, str(PATCHED), *map(str, arguments)],
            encoding="utf-8",
            stdout=options.pop("stdout", subprocess.PIPE),
            stderr=subprocess.PIPE,
            env=environment(**options.pop("env", {})),
            **options,
        )

    return call


@pytest.fixture
def process(start) -> Callable[..., Outcome]:
    """Run `lamplighter ...` in a process of its own, on a cut of MNIST."""

    def call(*arguments: object, **options: object) -> Outcome:
        with start(*arguments, **options) as running:
            out, err = running.communicate(timeout=120)
        return Outcome(running.returncode, out or "", err)

    return call


@pytest.fixture(scope="session")
def trained(tiny_digits, tmp_path_factory) -> Path:
    """A bundle of a network that has seen little; do not change it."""
    from lamplighter.saving.bundle import save
    from lamplighter.training.recipes import train

    classifier = train(tiny_digits, epochs=4, verbose=0)
    return save(classifier, tmp_path_factory.mktemp("trained") / "small.lamp")


@pytest.fixture(scope="session")
def trusted(trained, tiny_digits, tmp_path_factory) -> Path:
    """The same bundle, calibrated on the test images, and able to say "unknown"."""
    from lamplighter.evaluation.reliability import add_trust
    from lamplighter.saving.bundle import load, save

    classifier = load(trained)
    add_trust(classifier, tiny_digits, split="test", coverage=0.9)
    return save(classifier, tmp_path_factory.mktemp("trusted") / "trusted.lamp")


@pytest.fixture
def bundle(trained, tmp_path) -> Path:
    """A fresh copy of the bundle."""
    return Path(shutil.copy(trained, tmp_path / "small.lamp"))


@pytest.fixture(scope="session")
def backbone(tmp_path_factory) -> Path:
    """A bundle of timm's smallest test network, with random weights; do not change it."""
    import torch

    from lamplighter.images.preprocessing import Preprocessing
    from lamplighter.models.classifier import Architecture, Classifier, build_network
    from lamplighter.saving.bundle import save

    wanted = Preprocessing(height=32, width=32)
    architecture = Architecture("pretrained", {"backbone": "test_efficientnet"})
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = build_network(architecture, wanted, 3).eval()
    classifier = Classifier(network, wanted, ("a", "b", "c"), architecture=architecture)
    return save(classifier, tmp_path_factory.mktemp("backbone") / "tiny.lamp")


@pytest.fixture
def photos(tmp_path) -> Path:
    """A folder of pictures in three colours: of each 6 to learn from, 3 to validate, 3 to test."""
    rng = np.random.default_rng(0)
    folder = tmp_path / "photos"
    for split, count in (("train", 6), ("val", 3), ("test", 3)):
        for channel, colour in enumerate(("red", "green", "blue")):
            place = folder / split / colour
            place.mkdir(parents=True)
            for number in range(count):
                pixels = rng.integers(0, 120, (40, 48, 3), dtype=np.uint8)
                pixels[..., channel] += 130
                Image.fromarray(pixels).save(place / f"{number}.png")
    return folder
