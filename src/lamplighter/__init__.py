"""Lamplighter: image classification that runs on your own computer.

Importing this package imports no torch: each name below is fetched when it is first used.
"""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING, Any

from lamplighter import errors as errors
from lamplighter.version import __version__ as __version__

if TYPE_CHECKING:
    from lamplighter import models as models
    from lamplighter.auditing.audit import audit as audit
    from lamplighter.datasets.augmentation import Compose as Compose
    from lamplighter.datasets.augmentation import RandomColour as RandomColour
    from lamplighter.datasets.augmentation import RandomFlip as RandomFlip
    from lamplighter.datasets.augmentation import RandomShift as RandomShift
    from lamplighter.datasets.augmentation import RandomWarp as RandomWarp
    from lamplighter.datasets.augmentation import photo_augmentation as photo_augmentation
    from lamplighter.datasets.files import ImageFiles as ImageFiles
    from lamplighter.datasets.folders import find_files as find_files
    from lamplighter.datasets.image_data import ImageData as ImageData
    from lamplighter.datasets.image_data import Split as Split
    from lamplighter.datasets.image_data import load_images as load_images
    from lamplighter.datasets.samples import write_sample as write_sample
    from lamplighter.datasets.splitting import assign_splits as assign_splits
    from lamplighter.evaluation.augmentation_sheet import augmentation_sheet as augmentation_sheet
    from lamplighter.evaluation.calibration import calibration_error as calibration_error
    from lamplighter.evaluation.calibration import fit_temperature as fit_temperature
    from lamplighter.evaluation.comparison import Comparison as Comparison
    from lamplighter.evaluation.comparison import compare as compare
    from lamplighter.evaluation.data_map import DataMap as DataMap
    from lamplighter.evaluation.data_map import map_of as map_of
    from lamplighter.evaluation.data_map_plot import plot_data_map as plot_data_map
    from lamplighter.evaluation.intervals import Estimate as Estimate
    from lamplighter.evaluation.intervals import McNemar as McNemar
    from lamplighter.evaluation.intervals import mcnemar as mcnemar
    from lamplighter.evaluation.intervals import wilson as wilson
    from lamplighter.evaluation.mistakes import mistakes as mistakes
    from lamplighter.evaluation.plots import plot_confusion as plot_confusion
    from lamplighter.evaluation.preprocessing_preview import fits_sheet as fits_sheet
    from lamplighter.evaluation.reliability import add_trust as add_trust
    from lamplighter.evaluation.reliability import make_trust as make_trust
    from lamplighter.evaluation.reliability import with_threshold as with_threshold
    from lamplighter.evaluation.reliability_plots import plot_coverage as plot_coverage
    from lamplighter.evaluation.reliability_plots import plot_reliability as plot_reliability
    from lamplighter.evaluation.report import Report as Report
    from lamplighter.evaluation.report import evaluate as evaluate
    from lamplighter.evaluation.report_page import report_page as report_page
    from lamplighter.evaluation.sheets import contact_sheet as contact_sheet
    from lamplighter.evaluation.sheets import mistakes_sheet as mistakes_sheet
    from lamplighter.explain import watching as watching
    from lamplighter.explain.attribution.attribution import attribute as attribute
    from lamplighter.explain.attribution.curves import deletion_curve as deletion_curve
    from lamplighter.explain.attribution.curves import insertion_curve as insertion_curve
    from lamplighter.explain.attribution.method_comparison import compare_methods as compare_methods
    from lamplighter.explain.attribution.occlusion_map import OcclusionMap as OcclusionMap
    from lamplighter.explain.attribution.occlusion_map import occlusion_map as occlusion_map
    from lamplighter.explain.attribution.plots import plot_attribution as plot_attribution
    from lamplighter.explain.attribution.plots import plot_curves as plot_curves
    from lamplighter.explain.attribution.sanity import sanity_check as sanity_check
    from lamplighter.explain.attribution.score_plots import plot_comparison as plot_comparison
    from lamplighter.explain.attribution.score_plots import plot_sanity as plot_sanity
    from lamplighter.explain.feature_maps import feature_maps as feature_maps
    from lamplighter.explain.feature_maps import plot_feature_maps as plot_feature_maps
    from lamplighter.explain.filters import filters as filters
    from lamplighter.explain.filters import plot_filters as plot_filters
    from lamplighter.explain.gallery import gallery as gallery
    from lamplighter.explain.gallery import plot_gallery as plot_gallery
    from lamplighter.explain.layers import layers as layers
    from lamplighter.explain.maximization import objectives as objectives
    from lamplighter.explain.maximization.maximization import Maximised as Maximised
    from lamplighter.explain.maximization.maximization import maximise as maximise
    from lamplighter.explain.maximization.maximization import plot_maximised as plot_maximised
    from lamplighter.features.clinic.label_errors import LabelErrors as LabelErrors
    from lamplighter.features.clinic.label_errors import Suspect as Suspect
    from lamplighter.features.clinic.label_errors import find_label_errors as find_label_errors
    from lamplighter.features.clinic.label_next import Proposal as Proposal
    from lamplighter.features.clinic.label_next import label_next as label_next
    from lamplighter.features.extraction import Features as Features
    from lamplighter.features.extraction import embed as embed
    from lamplighter.features.files import load_features as load_features
    from lamplighter.features.files import save_features as save_features
    from lamplighter.features.heads.fitting import FittedHead as FittedHead
    from lamplighter.features.heads.fitting import fit_again as fit_again
    from lamplighter.features.heads.fitting import fit_head as fit_head
    from lamplighter.features.heads.fitting import with_head as with_head
    from lamplighter.features.index.index import Index as Index
    from lamplighter.features.similar import similar as similar
    from lamplighter.features.similar import source_of as source_of
    from lamplighter.images.decoding import open_image as open_image
    from lamplighter.images.preprocessing import Preprocessing as Preprocessing
    from lamplighter.inference.predictor import Prediction as Prediction
    from lamplighter.inference.predictor import Predictions as Predictions
    from lamplighter.inference.predictor import predict as predict
    from lamplighter.models.classifier import Classifier as Classifier
    from lamplighter.models.head_weights import HeadWeights as HeadWeights
    from lamplighter.models.registry import list_models as list_models
    from lamplighter.models.registry import register as register
    from lamplighter.models.reliability import Trust as Trust
    from lamplighter.saving.bundle import describe as describe
    from lamplighter.saving.bundle import load as load
    from lamplighter.saving.bundle import save as save
    from lamplighter.saving.export import export as export
    from lamplighter.saving.model_card import model_card as model_card
    from lamplighter.saving.onnx_backbone import onnx_backbone as onnx_backbone
    from lamplighter.saving.pretrained import pretrained as pretrained
    from lamplighter.saving.quantized import at_precision as at_precision
    from lamplighter.serving.client import ask_service as ask_service
    from lamplighter.training import callbacks as callbacks
    from lamplighter.training.balancing import class_weights as class_weights
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
    from lamplighter.transfer.fine_tuning import fine_tune as fine_tune
    from lamplighter.transfer.freezing import freeze as freeze
    from lamplighter.transfer.freezing import frozen as frozen
    from lamplighter.transfer.freezing import layered_parameters as layered_parameters
    from lamplighter.transfer.freezing import stages as stages
    from lamplighter.transfer.freezing import unfreeze as unfreeze
    from lamplighter.transfer.ladder import Ladder as Ladder
    from lamplighter.transfer.ladder import climb_ladder as climb_ladder
    from lamplighter.transfer.split_network import CutNetwork as CutNetwork
    from lamplighter.transfer.split_network import cut_batches as cut_batches
    from lamplighter.webpage.page import web_page as web_page
    from lamplighter.workspace.workspace import Workspace as Workspace

# Each public name and the module that it is fetched from.
_HOMES = {
    "CHECKS": "lamplighter.training.lint",
    "Classifier": "lamplighter.models.classifier",
    "Comparison": "lamplighter.evaluation.comparison",
    "Compose": "lamplighter.datasets.augmentation",
    "CutNetwork": "lamplighter.transfer.split_network",
    "DataMap": "lamplighter.evaluation.data_map",
    "Estimate": "lamplighter.evaluation.intervals",
    "Features": "lamplighter.features.extraction",
    "FittedHead": "lamplighter.features.heads.fitting",
    "HeadWeights": "lamplighter.models.head_weights",
    "ImageData": "lamplighter.datasets.image_data",
    "ImageFiles": "lamplighter.datasets.files",
    "Index": "lamplighter.features.index.index",
    "Ladder": "lamplighter.transfer.ladder",
    "LabelErrors": "lamplighter.features.clinic.label_errors",
    "LearningRates": "lamplighter.training.learning_rate",
    "Maximised": "lamplighter.explain.maximization.maximization",
    "McNemar": "lamplighter.evaluation.intervals",
    "OcclusionMap": "lamplighter.explain.attribution.occlusion_map",
    "Prediction": "lamplighter.inference.predictor",
    "Predictions": "lamplighter.inference.predictor",
    "Preprocessing": "lamplighter.images.preprocessing",
    "Proposal": "lamplighter.features.clinic.label_next",
    "RECIPES": "lamplighter.training.recipes",
    "RandomColour": "lamplighter.datasets.augmentation",
    "RandomFlip": "lamplighter.datasets.augmentation",
    "RandomShift": "lamplighter.datasets.augmentation",
    "RandomWarp": "lamplighter.datasets.augmentation",
    "Report": "lamplighter.evaluation.report",
    "Split": "lamplighter.datasets.image_data",
    "Suspect": "lamplighter.features.clinic.label_errors",
    "TEST_DATA": "lamplighter.training.loaders",
    "TRAIN_DATA": "lamplighter.training.loaders",
    "Trial": "lamplighter.training.trial",
    "Trust": "lamplighter.models.reliability",
    "VALIDATION_DATA": "lamplighter.training.loaders",
    "Workspace": "lamplighter.workspace.workspace",
    "add_trust": "lamplighter.evaluation.reliability",
    "ask_service": "lamplighter.serving.client",
    "assign_splits": "lamplighter.datasets.splitting",
    "at_precision": "lamplighter.saving.quantized",
    "attribute": "lamplighter.explain.attribution.attribution",
    "audit": "lamplighter.auditing.audit",
    "augmentation_sheet": "lamplighter.evaluation.augmentation_sheet",
    "calibration_error": "lamplighter.evaluation.calibration",
    "class_weights": "lamplighter.training.balancing",
    "climb_ladder": "lamplighter.transfer.ladder",
    "compare": "lamplighter.evaluation.comparison",
    "compare_methods": "lamplighter.explain.attribution.method_comparison",
    "contact_sheet": "lamplighter.evaluation.sheets",
    "cut_batches": "lamplighter.transfer.split_network",
    "deletion_curve": "lamplighter.explain.attribution.curves",
    "describe": "lamplighter.saving.bundle",
    "embed": "lamplighter.features.extraction",
    "evaluate": "lamplighter.evaluation.report",
    "export": "lamplighter.saving.export",
    "feature_maps": "lamplighter.explain.feature_maps",
    "filters": "lamplighter.explain.filters",
    "find_files": "lamplighter.datasets.folders",
    "find_label_errors": "lamplighter.features.clinic.label_errors",
    "find_learning_rate": "lamplighter.training.learning_rate",
    "fine_tune": "lamplighter.transfer.fine_tuning",
    "fit_again": "lamplighter.features.heads.fitting",
    "fit_head": "lamplighter.features.heads.fitting",
    "fit_temperature": "lamplighter.evaluation.calibration",
    "fits_sheet": "lamplighter.evaluation.preprocessing_preview",
    "freeze": "lamplighter.transfer.freezing",
    "frozen": "lamplighter.transfer.freezing",
    "gallery": "lamplighter.explain.gallery",
    "insertion_curve": "lamplighter.explain.attribution.curves",
    "label_next": "lamplighter.features.clinic.label_next",
    "layered_parameters": "lamplighter.transfer.freezing",
    "layers": "lamplighter.explain.layers",
    "list_models": "lamplighter.models.registry",
    "load": "lamplighter.saving.bundle",
    "load_features": "lamplighter.features.files",
    "load_images": "lamplighter.datasets.image_data",
    "make_trust": "lamplighter.evaluation.reliability",
    "map_of": "lamplighter.evaluation.data_map",
    "maximise": "lamplighter.explain.maximization.maximization",
    "mcnemar": "lamplighter.evaluation.intervals",
    "mistakes": "lamplighter.evaluation.mistakes",
    "mistakes_sheet": "lamplighter.evaluation.sheets",
    "model_card": "lamplighter.saving.model_card",
    "occlusion_map": "lamplighter.explain.attribution.occlusion_map",
    "onnx_backbone": "lamplighter.saving.onnx_backbone",
    "open_image": "lamplighter.images.decoding",
    "photo_augmentation": "lamplighter.datasets.augmentation",
    "plot_attribution": "lamplighter.explain.attribution.plots",
    "plot_comparison": "lamplighter.explain.attribution.score_plots",
    "plot_confusion": "lamplighter.evaluation.plots",
    "plot_coverage": "lamplighter.evaluation.reliability_plots",
    "plot_curves": "lamplighter.explain.attribution.plots",
    "plot_data_map": "lamplighter.evaluation.data_map_plot",
    "plot_feature_maps": "lamplighter.explain.feature_maps",
    "plot_filters": "lamplighter.explain.filters",
    "plot_gallery": "lamplighter.explain.gallery",
    "plot_history": "lamplighter.training.history",
    "plot_learning_rates": "lamplighter.training.learning_rate",
    "plot_maximised": "lamplighter.explain.maximization.maximization",
    "plot_reliability": "lamplighter.evaluation.reliability_plots",
    "plot_sanity": "lamplighter.explain.attribution.score_plots",
    "predict": "lamplighter.inference.predictor",
    "pretrained": "lamplighter.saving.pretrained",
    "register": "lamplighter.models.registry",
    "report_page": "lamplighter.evaluation.report_page",
    "sanity_check": "lamplighter.explain.attribution.sanity",
    "save": "lamplighter.saving.bundle",
    "save_features": "lamplighter.features.files",
    "similar": "lamplighter.features.similar",
    "source_of": "lamplighter.features.similar",
    "stages": "lamplighter.transfer.freezing",
    "train": "lamplighter.training.recipes",
    "unfreeze": "lamplighter.transfer.freezing",
    "web_page": "lamplighter.webpage.page",
    "wilson": "lamplighter.evaluation.intervals",
    "with_head": "lamplighter.features.heads.fitting",
    "with_threshold": "lamplighter.evaluation.reliability",
    "write_sample": "lamplighter.datasets.samples",
}
_MODULES = {
    "callbacks": "lamplighter.training.callbacks",
    "models": "lamplighter.models",
    "objectives": "lamplighter.explain.maximization.objectives",
    "watching": "lamplighter.explain.watching",
}

__all__ = ["__version__", *sorted([*_HOMES, *_MODULES, "errors"])]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(_MODULES[name])
    if name in _HOMES:
        try:
            value = getattr(importlib.import_module(_HOMES[name]), name)
        except ModuleNotFoundError as error:
            raise errors.MissingPackageError.of(f"lamplighter.{name}", error) from error
        globals()[name] = value
        return value
    raise AttributeError(  # from name and module Python finds what may have been meant
        f"module 'lamplighter' has no attribute {name!r}", name=name, obj=sys.modules[__name__]
    )


def __dir__() -> list[str]:
    return __all__
