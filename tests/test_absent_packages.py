"""A package that tests hide is absent in every way that a program can ask."""

from __future__ import annotations

import pytest

from tests.absent_packages import hide, run_without

CODE = """
import importlib.util, sys
from importlib import metadata
for name in ("torch", "platformdirs"):
    try:
        imported = bool(__import__(name))
    except ModuleNotFoundError as error:
        imported = error.name
    try:
        known = bool(metadata.version(name))
    except metadata.PackageNotFoundError:
        known = False
    print(imported, importlib.util.find_spec(name) is not None, known, name in sys.modules)
"""


def test_what_is_hidden_cannot_be_found():
    assert run_without("torch", code=CODE).splitlines() == [
        "torch False False False",
        "True True True True",
    ]


def test_what_is_imported_cannot_be_hidden():
    with pytest.raises(AssertionError, match=r"already imported: \['pytest'\]"):
        hide("pytest")


def test_a_program_that_fails_or_complains_is_told():
    with pytest.raises(AssertionError, match="ZeroDivisionError"):
        run_without("torch", code="1 / 0")
    with pytest.raises(AssertionError, match="careful"):
        run_without("torch", code="import sys; print('careful', file=sys.stderr)")
