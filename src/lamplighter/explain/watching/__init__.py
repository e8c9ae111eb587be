"""Callbacks that look inside a network while it learns.

Each is fetched when it is first used, since they need torch and matplotlib.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lamplighter.explain.watching.pictures import DrawClass as DrawClass
    from lamplighter.explain.watching.pictures import DrawFeatureMaps as DrawFeatureMaps
    from lamplighter.explain.watching.pictures import DrawFilters as DrawFilters

_HOME = "lamplighter.explain.watching.pictures"

__all__ = ["DrawClass", "DrawFeatureMaps", "DrawFilters"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME), name)


def __dir__() -> list[str]:
    return __all__
