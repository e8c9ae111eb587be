"""What holds for every module of the room."""

import doctest
import importlib
import pkgutil
import subprocess
import sys

import pytest

import lamplighter.evaluation

MODULES = [
    module.name
    for module in pkgutil.iter_modules(
        lamplighter.evaluation.__path__, lamplighter.evaluation.__name__ + "."
    )
]


@pytest.mark.parametrize("name", MODULES)
def test_examples_in_docstrings_are_true(name):
    assert doctest.testmod(importlib.import_module(name)).failed == 0


def test_every_metric_has_an_example():
    tests = doctest.DocTestFinder().find(
        importlib.import_module("lamplighter.evaluation.metrics"), "metrics"
    )
    shown = {test.name.removeprefix("metrics.") for test in tests if test.examples}
    assert shown >= {
        "confusion_matrix",
        "accuracy",
        "class_scores",
        "macro_f1",
        "in_top_k",
        "top_k_accuracy",
    }


def test_nothing_heavy_is_imported():
    code = (
        f"import sys, {', '.join(MODULES)}\n"
        "heavy = {'torch', 'matplotlib', 'scipy', 'sklearn', 'onnxruntime', 'onnx'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (result.stdout.strip(), result.stderr) == ("[]", "")
