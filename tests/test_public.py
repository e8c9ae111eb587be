"""What `import lamplighter` offers, and what it costs."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest
from torch import nn

import lamplighter

PUBLIC = [
    "CHECKS",
    "Classifier",
    "Comparison",
    "Estimate",
    "ImageData",
    "LearningRates",
    "McNemar",
    "Predictions",
    "Preprocessing",
    "RECIPES",
    "RandomShift",
    "RandomWarp",
    "Report",
    "Split",
    "TEST_DATA",
    "TRAIN_DATA",
    "Trial",
    "VALIDATION_DATA",
    "__version__",
    "callbacks",
    "compare",
    "contact_sheet",
    "describe",
    "errors",
    "evaluate",
    "export",
    "find_learning_rate",
    "list_models",
    "load",
    "mcnemar",
    "mistakes",
    "mistakes_sheet",
    "models",
    "open_image",
    "plot_confusion",
    "plot_history",
    "plot_learning_rates",
    "predict",
    "save",
    "train",
    "wilson",
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
