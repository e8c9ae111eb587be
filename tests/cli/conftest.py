"""One small bundle for the session, and two ways to run a command: in this process or its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lamplighter.cli import main
from lamplighter.data.image_data import ImageData

if TYPE_CHECKING:
    from collections.abc import Callable

PATCHED = Path(__file__).parent / "patched.py"
DIGITS = sorted((Path(__file__).parents[2] / "examples" / "digits").iterdir())


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
        assert "should not have happened" not in self.err
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


@pytest.fixture
def bundle(trained, tmp_path) -> Path:
    """A fresh copy of the bundle."""
    return Path(shutil.copy(trained, tmp_path / "small.lamp"))
