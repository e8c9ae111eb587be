"""The tree of errors, as it is drawn and as it is, and what else each of them is."""

from __future__ import annotations

import pickle
import re

import numpy as np
import pytest

import lamplighter
from lamplighter import errors
from lamplighter.arguments import checked
from lamplighter.evaluation.intervals import wilson
from lamplighter.saving.tracing import needs_training_packages

OWN = [error for error in vars(errors).values() if isinstance(error, type)]
OWN = [error for error in OWN if issubclass(error, errors.LamplighterError)]


def drawn() -> list[tuple[int, str, str]]:
    """Return depth, name and Python's own base of each error that the module's docstring draws."""
    line = r"^    ([│├└─ ]*)(\w+Error)\b(?:.*\[(\w+)\]$)?"
    lines = re.findall(line, errors.__doc__ or "", re.MULTILINE)
    return [(len(branches) // 4, name, base) for branches, name, base in lines]


def tree(error: type[Exception], depth: int = 0) -> list[tuple[int, str, str]]:
    """Return what `drawn` does of `error` and all below it, in the order they are defined."""
    others = [base.__name__ for base in error.__bases__ if base.__module__ == "builtins"]
    base = "".join(others) if depth else ""
    below = [line for child in error.__subclasses__() for line in tree(child, depth + 1)]
    return [(depth, error.__name__, base), *below]


def test_the_tree_is_drawn_as_it_is() -> None:
    own = [line for line in tree(errors.LamplighterError) if hasattr(errors, line[1])]
    assert drawn() == own


@pytest.mark.parametrize("error", OWN, ids=lambda error: error.__name__)
def test_each_shows_its_message_as_it_is_and_survives_another_process(error) -> None:
    made = error("a 'name' is missing; check it.")
    assert str(made) == "a 'name' is missing; check it."
    again = pickle.loads(pickle.dumps(made))
    assert (type(again), str(again)) == (error, str(made))


def test_an_image_error_keeps_its_fault() -> None:
    made = errors.MissingImageError("there is none", fault="empty")
    assert (made.fault, str(made), made.errno) == ("empty", "there is none", None)


def test_what_is_not_there_is_a_missing_file_to_python_as_well(tmp_path) -> None:
    absent = tmp_path / "absent"
    for act in (
        lambda: lamplighter.load(absent.with_suffix(".lamp")),
        lambda: lamplighter.open_image(absent.with_suffix(".png")),
        lambda: lamplighter.find_files(absent),
        lambda: lamplighter.find_files(absent.with_suffix(".csv")),
        lambda: lamplighter.find_files(absent.with_suffix(".zip")),
        lambda: lamplighter.load_features(absent.with_suffix(".npz")),
        lambda: lamplighter.Index.open(absent.with_suffix(".index")),
    ):
        with pytest.raises(FileNotFoundError) as caught:
            act()
        assert isinstance(caught.value, errors.LamplighterError)
        assert "cannot be written" not in str(caught.value)


def test_what_cannot_be_written_is_an_os_error_as_well(tmp_path) -> None:
    with pytest.raises(OSError, match="there is no folder") as caught:
        lamplighter.write_sample("digits", tmp_path / "absent" / "digits")
    assert isinstance(caught.value, errors.OutputError)


def test_wrong_arguments_are_value_errors_and_those_of_a_wrong_type_type_errors() -> None:
    with pytest.raises(ValueError, match="received 6 of 5") as caught:
        wilson(6, 5)
    assert type(caught.value) is errors.ArgumentError
    with pytest.raises(TypeError, match="has no argument 'hight'") as wrong:
        checked(lambda *, height: height)(hight=3)
    assert isinstance(wrong.value, errors.ArgumentError)


def test_a_name_that_is_not_there_is_a_key_error_whose_message_has_no_quotes_around(
    tiny_digits,
) -> None:
    with pytest.raises(KeyError) as caught:
        tiny_digits["tset"]
    assert str(caught.value).startswith("tiny-digits has no split")
    with pytest.raises(KeyError):
        lamplighter.Classifier.new("beter-cnn", tiny_digits)


def test_data_that_does_not_fit_is_a_value_error_as_in_scikit_learn() -> None:
    with pytest.raises(ValueError, match="labels"):
        lamplighter.fit_head("linear", np.zeros((4, 3)), [0, 1], 2)


def test_a_missing_package_is_an_import_error_that_names_it() -> None:
    with pytest.raises(ImportError) as caught, needs_training_packages("saving"):
        raise ModuleNotFoundError("No module named 'onnx'", name="onnx")
    assert isinstance(caught.value, errors.MissingPackageError)
    assert caught.value.name == "onnx"
    with pytest.raises(errors.MissingPackageError) as again, needs_training_packages("more"):
        raise caught.value
    assert again.value is caught.value  # and is not told twice
