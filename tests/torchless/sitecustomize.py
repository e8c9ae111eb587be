"""Hides torch and what needs it from a Python that has this folder in PYTHONPATH.

To it they are not installed, as in the base install: `importlib.util.find_spec` gives None.
"""

from __future__ import annotations

import sys
from importlib.machinery import PathFinder
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from importlib.machinery import ModuleSpec

HIDDEN = {"torch", "torchvision", "timm", "pytorch_lightning", "captum", "torchmetrics"}


class _Without(PathFinder):
    @classmethod
    def find_spec(cls, fullname: str, *args: Any, **kwargs: Any) -> ModuleSpec | None:
        if fullname.partition(".")[0] in HIDDEN:
            return None
        return super().find_spec(fullname, *args, **kwargs)


sys.meta_path[:] = [_Without if finder is PathFinder else finder for finder in sys.meta_path]
