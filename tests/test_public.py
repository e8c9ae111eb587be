"""What `import lamplighter` offers, and what it costs."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from typing import TYPE_CHECKING

import pytest
from torch import nn

import lamplighter
from lamplighter.errors import MissingPackageError

if TYPE_CHECKING:
    from types import ModuleType

PUBLIC = [
    "CHECKS",
    "Classifier",
    "Comparison",
    "Compose",
    "CutNetwork",
    "DataMap",
    "Estimate",
    "Features",
    "FittedHead",
    "HeadWeights",
    "ImageData",
    "ImageFiles",
    "Index",
    "LabelErrors",
    "Ladder",
    "LearningRates",
    "Maximised",
    "McNemar",
    "OcclusionMap",
    "Prediction",
    "Predictions",
    "Preprocessing",
    "Proposal",
    "RECIPES",
    "RandomColour",
    "RandomFlip",
    "RandomShift",
    "RandomWarp",
    "Report",
    "Split",
    "Suspect",
    "TEST_DATA",
    "TRAIN_DATA",
    "Trial",
    "Trust",
    "VALIDATION_DATA",
    "Workspace",
    "__version__",
    "add_trust",
    "ask_service",
    "assign_splits",
    "at_precision",
    "attribute",
    "audit",
    "augmentation_sheet",
    "calibration_error",
    "callbacks",
    "class_weights",
    "climb_ladder",
    "compare",
    "compare_methods",
    "contact_sheet",
    "cut_batches",
    "deletion_curve",
    "describe",
    "embed",
    "errors",
    "evaluate",
    "export",
    "feature_maps",
    "filters",
    "find_files",
    "find_label_errors",
    "find_learning_rate",
    "fine_tune",
    "fit_again",
    "fit_head",
    "fit_temperature",
    "fits_sheet",
    "freeze",
    "frozen",
    "gallery",
    "insertion_curve",
    "label_next",
    "layered_parameters",
    "layers",
    "list_models",
    "load",
    "load_features",
    "load_images",
    "make_trust",
    "map_of",
    "maximise",
    "mcnemar",
    "mistakes",
    "mistakes_sheet",
    "model_card",
    "models",
    "objectives",
    "occlusion_map",
    "onnx_backbone",
    "open_image",
    "photo_augmentation",
    "plot_attribution",
    "plot_comparison",
    "plot_confusion",
    "plot_coverage",
    "plot_curves",
    "plot_data_map",
    "plot_feature_maps",
    "plot_filters",
    "plot_gallery",
    "plot_history",
    "plot_learning_rates",
    "plot_maximised",
    "plot_reliability",
    "plot_sanity",
    "predict",
    "pretrained",
    "register",
    "report_page",
    "sanity_check",
    "save",
    "save_features",
    "similar",
    "source_of",
    "stages",
    "train",
    "unfreeze",
    "watching",
    "web_page",
    "wilson",
    "with_head",
    "with_threshold",
    "write_sample",
]


def run(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def test_the_public_names() -> None:
    assert sorted(lamplighter.__all__) == sorted(PUBLIC)
    assert sorted(dir(lamplighter)) == sorted(PUBLIC)
    for name in PUBLIC:
        assert getattr(lamplighter, name) is not None
    with pytest.raises(AttributeError, match="'lamplighter' has no attribute 'trail'"):
        getattr(lamplighter, "trail")  # noqa: B009


def test_networks_and_their_blocks_are_in_models() -> None:
    assert sorted(dir(lamplighter.models)) == sorted(lamplighter.models.__all__)
    for name in lamplighter.models.__all__:
        assert issubclass(getattr(lamplighter.models, name), nn.Module)
    with pytest.raises(AttributeError, match="has no attribute 'Simple'"):
        getattr(lamplighter.models, "Simple")  # noqa: B009


@pytest.mark.parametrize(
    ("package", "name", "home"),
    [
        (lamplighter.callbacks, "EMA", "lamplighter.training.callbacks.engine"),
        (lamplighter.models, "SimpleCNN", "lamplighter.models.cnn"),
    ],
)
def test_what_is_not_installed_is_named(
    package: ModuleType, name: str, home: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, home, raising=False)
    for missing in ("torch", "pytorch_lightning.callbacks"):
        monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(MissingPackageError, match=rf"{package.__name__}.{name} needs .*train"):
        getattr(package, name)


def test_every_public_name_says_what_it_is() -> None:
    for name in PUBLIC:
        value = getattr(lamplighter, name)
        if callable(value):
            assert (value.__doc__ or "").strip(), name


def test_what_is_imported_when() -> None:
    done = run("""
        import sys

        def imported(*names):
            return [name for name in names if name in sys.modules]

        heavy = ("torch", "torchvision", "pytorch_lightning", "matplotlib", "sklearn", "scipy")
        import lamplighter
        from lamplighter import ImageData, Preprocessing, errors, list_models, load, predict, save
        list_models()
        data = ImageData.mnist()
        data.fingerprint("test")
        Preprocessing(height=28, width=28, channels=1, mean=(0.5,), std=(0.5,))
        try:
            load("absent.lamp")
        except errors.LamplighterError:
            pass
        assert not imported(*heavy, "onnx"), imported(*heavy, "onnx")

        from lamplighter import Trial, Classifier
        assert imported(*heavy) == ["torch"], imported(*heavy)
    """)
    assert (done.returncode, done.stderr, done.stdout) == (0, "", "")


def test_a_finding_is_one_line_and_all_else_is_silent() -> None:
    done = run("""
        import torch
        from torch import nn
        from lamplighter import Trial

        network = nn.Sequential(nn.Flatten(), nn.Linear(9, 3))
        optimizer = torch.optim.Adam(network.parameters())
        images, labels = torch.rand(40, 1, 3, 3), torch.arange(40) % 3
        trial = Trial(network, optimizer, nn.CrossEntropyLoss(), metrics=["acc"], verbose=0)
        trial.with_train_data(images, labels, 8, shuffle=False)
        trial.with_val_data(images + 1, labels, 8).run(2)
        trial.evaluate()
        trial.predict(data_key="val")
    """)
    assert (done.returncode, done.stdout) == (0, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("[unshuffled] the training batches come in the same order")


def test_no_room_takes_the_place_of_a_public_name():
    code = (
        "import importlib, pkgutil, types, lamplighter\n"
        "for room in pkgutil.iter_modules(lamplighter.__path__):\n"
        "    if room.ispkg: importlib.import_module(f'lamplighter.{room.name}')\n"
        "values = {name: getattr(lamplighter, name) for name in lamplighter.__all__}\n"
        "print(*(name for name, v in values.items() if isinstance(v, types.ModuleType)))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["callbacks", "errors", "models", "objectives", "watching"]
