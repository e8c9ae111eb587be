"""The Open Inference Protocol with a client that others wrote, unchanged: tritonclient."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from lamplighter.inference.predictor import predict_pixels
from lamplighter.saving.bundle import load

from . import bundles

ASKS = Path(__file__).with_name("triton_asks.py")


@pytest.fixture(scope="session")
def triton_python(tmp_path_factory):
    """A Python that has tritonclient[http]; LAMPLIGHTER_TRITON_PYTHON names one that is there."""
    known = os.environ.get("LAMPLIGHTER_TRITON_PYTHON")
    if known:
        return known
    folder = tmp_path_factory.mktemp("triton")
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    python = folder / "bin" / "python"
    install = [python, "-m", "pip", "install", "--quiet", "tritonclient[http]"]
    subprocess.run(install, check=True)
    return python


@pytest.mark.slow
@pytest.mark.network
def test_tritonclient(triton_python, listening_service, doubting):
    address = listening_service(doubting).removeprefix("http://")
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    ended = subprocess.run(
        [triton_python, ASKS, address, "doubting"],
        capture_output=True,
        encoding="utf-8",
        env=environment,
        timeout=120,
    )
    assert ended.returncode == 0, ended.stderr
    said = json.loads(ended.stdout)
    assert said["ready"] == [True, True, True]
    assert said["known"]["inputs"][0]["shape"] == [-1, 3, bundles.SIDE, bundles.SIDE]
    pixels = np.random.default_rng(0).integers(0, 256, (5, 3, 8, 8), dtype=np.uint8)
    wanted = predict_pixels(load(doubting), pixels)
    assert len(said["answers"]) == 4
    for answer in said["answers"].values():
        np.testing.assert_allclose(answer["probabilities"], wanted.probabilities, atol=1e-6)
        assert answer["labels"] == wanted.labels
        assert answer["id"] == "five"
    assert "shape must be" in said["refusals"][0]
    assert "datatype must be FP32" in said["refusals"][1]
