"""Networks, and the classifier that carries one.

The networks and the blocks that they are built from are fetched when they are first used, since
they need torch.
"""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING, Any

from lamplighter.errors import MissingPackageError

if TYPE_CHECKING:
    from lamplighter.models.branching import Branches as Branches
    from lamplighter.models.branching import InceptionBlock as InceptionBlock
    from lamplighter.models.branching import InceptionCNN as InceptionCNN
    from lamplighter.models.branching import ResidualBlock as ResidualBlock
    from lamplighter.models.branching import ResidualCNN as ResidualCNN
    from lamplighter.models.cnn import BetterCNN as BetterCNN
    from lamplighter.models.cnn import BranchCNN as BranchCNN
    from lamplighter.models.cnn import ChampionCNN as ChampionCNN
    from lamplighter.models.cnn import QuickCNN as QuickCNN
    from lamplighter.models.cnn import SimpleCNN as SimpleCNN

_MEMBERS = {
    "branching": ("Branches", "InceptionBlock", "InceptionCNN", "ResidualBlock", "ResidualCNN"),
    "cnn": ("BetterCNN", "BranchCNN", "ChampionCNN", "QuickCNN", "SimpleCNN"),
}
_HOMES = {name: module for module, names in _MEMBERS.items() for name in names}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(
            f"module {__name__!r} has no attribute {name!r}", name=name, obj=sys.modules[__name__]
        )
    try:
        return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    except ModuleNotFoundError as error:
        raise MissingPackageError.of(f"{__name__}.{name}", error) from error


def __dir__() -> list[str]:
    return __all__
