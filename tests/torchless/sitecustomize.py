"""Hides torch, and what needs it, from a Python that has this folder in its PYTHONPATH."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = str(Path(__file__).resolve().parents[2])

sys.path.insert(0, ROOT)  # before another package of that name
from tests.absent_packages import hide  # noqa: E402

sys.path.remove(ROOT)
hide("torch", "torchvision", "timm", "pytorch_lightning", "captum", "torchmetrics")
