"""Libraries that are imported in a notebook warn of nothing that a learner could mend."""

from __future__ import annotations

import subprocess
import sys

import pytest

_NOTEBOOK = """
import sys
import IPython
import ipykernel.zmqshell  # by which tqdm knows a notebook

for name in ("ipywidgets", "IPython.html.widgets", "IPython.html"):
    sys.modules[name] = None
"""
_OURS = """
import torch
from lamplighter import Classifier, Preprocessing, attribute
from lamplighter.models.pretrained import load_timm

load_timm()
wanted = Preprocessing(height=28, width=28, channels=1, mean=(0.1,), std=(0.3,))
classifier = Classifier.new("simple-cnn", preprocessing=wanted, class_names=("a", "b"))
attribute(classifier, [torch.zeros(1, 28, 28, dtype=torch.uint8).numpy()], "saliency")
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("code", "expected"), [(_OURS, False), ("import tqdm.auto", True)], ids=["ours", "tqdm"]
)
def test_no_widgets_no_warning(code: str, expected: bool) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _NOTEBOOK + code], capture_output=True, encoding="utf-8"
    )
    assert done.returncode == 0, done.stderr
    assert ("IProgress not found" in done.stderr) is expected
