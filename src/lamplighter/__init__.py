"""Lamplighter: image classification for people, on the machine they have.

Importing this package imports no torch: each name below is fetched when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from lamplighter import errors as errors

if TYPE_CHECKING:
    from lamplighter import models as models
    from lamplighter.data.augmentation import RandomShift as RandomShift
    from lamplighter.data.augmentation import RandomWarp as RandomWarp
    from lamplighter.data.image_data import ImageData as ImageData
    from lamplighter.data.image_data import Split as Split
    from lamplighter.data.images import open_image as open_image
    from lamplighter.data.preprocessing import Preprocessing as Preprocessing
    from lamplighter.evaluation.comparison import Comparison as Comparison
    from lamplighter.evaluation.comparison import compare as compare
    from lamplighter.evaluation.intervals import Estimate as Estimate
    from lamplighter.evaluation.intervals import McNemar as McNemar
    from lamplighter.evaluation.intervals import mcnemar as mcnemar
    from lamplighter.evaluation.intervals import wilson as wilson
    from lamplighter.evaluation.mistakes import mistakes as mistakes
    from lamplighter.evaluation.plots import plot_confusion as plot_confusion
    from lamplighter.evaluation.report import Report as Report
    from lamplighter.evaluation.report import evaluate as evaluate
    from lamplighter.evaluation.sheets import contact_sheet as contact_sheet
    from lamplighter.evaluation.sheets import mistakes_sheet as mistakes_sheet
    from lamplighter.inference.predictor import Predictions as Predictions
    from lamplighter.inference.predictor import predict as predict
    from lamplighter.models.classifier import Classifier as Classifier
    from lamplighter.models.registry import list_models as list_models
    from lamplighter.saving.bundle import describe as describe
    from lamplighter.saving.bundle import load as load
    from lamplighter.saving.bundle import save as save
    from lamplighter.saving.export import export as export
    from lamplighter.training import callbacks as callbacks
    from lamplighter.training.history import plot_history as plot_history
    from lamplighter.training.learning_rate import LearningRates as LearningRates
    from lamplighter.training.learning_rate import find_learning_rate as find_learning_rate
    from lamplighter.training.learning_rate import plot_learning_rates as plot_learning_rates
    from lamplighter.training.lint import CHECKS as CHECKS
    from lamplighter.training.loaders import TEST_DATA as TEST_DATA
    from lamplighter.training.loaders import TRAIN_DATA as TRAIN_DATA
    from lamplighter.training.loaders import VALIDATION_DATA as VALIDATION_DATA
    from lamplighter.training.recipes import RECIPES as RECIPES
    from lamplighter.training.recipes import train as train
    from lamplighter.training.trial import Trial as Trial

__version__ = "0.1.0"

# Each public name and the module that it is fetched from.
_HOMES = {
    "CHECKS": "lamplighter.training.lint",
    "Classifier": "lamplighter.models.classifier",
    "Comparison": "lamplighter.evaluation.comparison",
    "Estimate": "lamplighter.evaluation.intervals",
    "ImageData": "lamplighter.data.image_data",
    "LearningRates": "lamplighter.training.learning_rate",
    "McNemar": "lamplighter.evaluation.intervals",
    "Predictions": "lamplighter.inference.predictor",
    "Preprocessing": "lamplighter.data.preprocessing",
    "RECIPES": "lamplighter.training.recipes",
    "RandomShift": "lamplighter.data.augmentation",
    "RandomWarp": "lamplighter.data.augmentation",
    "Report": "lamplighter.evaluation.report",
    "Split": "lamplighter.data.image_data",
    "TEST_DATA": "lamplighter.training.loaders",
    "TRAIN_DATA": "lamplighter.training.loaders",
    "Trial": "lamplighter.training.trial",
    "VALIDATION_DATA": "lamplighter.training.loaders",
    "compare": "lamplighter.evaluation.comparison",
    "contact_sheet": "lamplighter.evaluation.sheets",
    "describe": "lamplighter.saving.bundle",
    "evaluate": "lamplighter.evaluation.report",
    "export": "lamplighter.saving.export",
    "find_learning_rate": "lamplighter.training.learning_rate",
    "list_models": "lamplighter.models.registry",
    "load": "lamplighter.saving.bundle",
    "mcnemar": "lamplighter.evaluation.intervals",
    "mistakes": "lamplighter.evaluation.mistakes",
    "mistakes_sheet": "lamplighter.evaluation.sheets",
    "open_image": "lamplighter.data.images",
    "plot_confusion": "lamplighter.evaluation.plots",
    "plot_history": "lamplighter.training.history",
    "plot_learning_rates": "lamplighter.training.learning_rate",
    "predict": "lamplighter.inference.predictor",
    "save": "lamplighter.saving.bundle",
    "train": "lamplighter.training.recipes",
    "wilson": "lamplighter.evaluation.intervals",
}
_MODULES = {
    "callbacks": "lamplighter.training.callbacks",
    "models": "lamplighter.models",
}

__all__ = ["__version__", *sorted([*_HOMES, *_MODULES, "errors"])]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(_MODULES[name])
    if name in _HOMES:
        try:
            value = getattr(importlib.import_module(_HOMES[name]), name)
        except ModuleNotFoundError as error:
            raise errors.MissingPackageError(
                f"lamplighter.{name} needs {error.name}, which is not installed; "
                "pip install 'lamplighter[train]'."
            ) from error
        globals()[name] = value
        return value
    raise AttributeError(f"module 'lamplighter' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
