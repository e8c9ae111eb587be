from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from . import two_processes


@pytest.mark.slow
def test_two_processes_give_what_one_gives(tmp_path: Path) -> None:
    script, alone, shared = two_processes.__file__, tmp_path / "1.json", tmp_path / "2.json"
    two_processes.main(str(alone), 1)
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "torch.distributed.run", "--standalone"),
            *("--nproc-per-node", "2", script, str(shared), "2"),
        ],
        env=os.environ | {"OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"},
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        errors = process.communicate(timeout=100)[1]
    finally:
        process.terminate()  # which, unlike a kill, it passes on to the two
    assert process.returncode == 0, errors
    one, two = (json.loads(file.read_text()) for file in (alone, shared))
    assert two["watched"] == one["watched"] == 3
    for values in ("weights", "steps", "predicted"):
        assert two[values].keys() == one[values].keys()
        for name, numbers in one[values].items():
            torch.testing.assert_close(
                torch.tensor(two[values][name]), torch.tensor(numbers), rtol=1e-5, atol=1e-6
            )
    for ours, theirs in zip(
        [*one["history"], one["results"]], [*two["history"], two["results"]], strict=True
    ):
        assert ours == pytest.approx(theirs, rel=1e-5)
