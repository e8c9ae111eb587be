"""Ready callbacks to watch and steer a trial, and the means to write others.

Each is fetched when it is first used, since some need Lightning or matplotlib.
"""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING, Any

from lamplighter.errors import MissingPackageError

if TYPE_CHECKING:
    from lamplighter.training.callbacks.base import BatchTransform as BatchTransform
    from lamplighter.training.callbacks.base import Callback as Callback
    from lamplighter.training.callbacks.base import CriterionTransform as CriterionTransform
    from lamplighter.training.callbacks.base import SchedulerCallback as SchedulerCallback
    from lamplighter.training.callbacks.base import on_backward as on_backward
    from lamplighter.training.callbacks.base import on_batch_end as on_batch_end
    from lamplighter.training.callbacks.base import on_batch_start as on_batch_start
    from lamplighter.training.callbacks.base import on_end as on_end
    from lamplighter.training.callbacks.base import on_epoch_end as on_epoch_end
    from lamplighter.training.callbacks.base import on_epoch_start as on_epoch_start
    from lamplighter.training.callbacks.base import on_start as on_start
    from lamplighter.training.callbacks.base import (
        on_validation_batch_end as on_validation_batch_end,
    )
    from lamplighter.training.callbacks.base import on_validation_end as on_validation_end
    from lamplighter.training.callbacks.base import on_validation_start as on_validation_start
    from lamplighter.training.callbacks.engine import EMA as EMA
    from lamplighter.training.callbacks.engine import Checkpoint as Checkpoint
    from lamplighter.training.callbacks.engine import EarlyStopping as EarlyStopping
    from lamplighter.training.callbacks.logs import Log as Log
    from lamplighter.training.callbacks.logs import tensorboard as tensorboard
    from lamplighter.training.callbacks.optimization import GradientClipping as GradientClipping
    from lamplighter.training.callbacks.optimization import LabelSmoothing as LabelSmoothing
    from lamplighter.training.callbacks.optimization import MixUp as MixUp
    from lamplighter.training.callbacks.optimization import OneCycle as OneCycle
    from lamplighter.training.callbacks.optimization import Scheduler as Scheduler
    from lamplighter.training.callbacks.pictures import ConfusionMatrix as ConfusionMatrix
    from lamplighter.training.callbacks.pictures import LiveCurves as LiveCurves
    from lamplighter.training.callbacks.pictures import SamplePredictions as SamplePredictions

_MEMBERS = {
    "base": (
        "BatchTransform",
        "Callback",
        "CriterionTransform",
        "SchedulerCallback",
        "on_backward",
        "on_batch_end",
        "on_batch_start",
        "on_end",
        "on_epoch_end",
        "on_epoch_start",
        "on_start",
        "on_validation_batch_end",
        "on_validation_end",
        "on_validation_start",
    ),
    "engine": ("Checkpoint", "EMA", "EarlyStopping"),
    "logs": ("Log", "tensorboard"),
    "pictures": ("ConfusionMatrix", "LiveCurves", "SamplePredictions"),
    "optimization": ("GradientClipping", "LabelSmoothing", "MixUp", "OneCycle", "Scheduler"),
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
