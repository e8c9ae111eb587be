"""Wrong arguments are told before the function begins; what it raises itself is left alone."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from torch import nn

from lamplighter import ImageData, Trial, find_learning_rate, train
from lamplighter.arguments import check_further, checked, checked_arguments
from lamplighter.errors import ArgumentError, LamplighterError
from lamplighter.training import callbacks

if TYPE_CHECKING:
    from collections.abc import Callable


@checked
def paint(
    colour: str,
    layers: int = 1,
    *,
    width: float | None = None,
    dry: bool = False,
    onto: str | Path = ".",
    brush: Callable[[int], int] | None = None,
    **others: Any,
) -> str:
    """Paint."""
    if colour == "none":
        raise TypeError("there is no such colour")
    return f"{colour} {layers} {width} {dry} {onto} {brush} {others}"


@checked
def wash(colour: str, water: int, *, soap: int = 0) -> str:
    return f"{colour} {water} {soap}"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: wash("red", 1, sope=2), r"^wash\(\) has .* 'sope'; did you mean 'soap'\?"),
        (lambda: wash("red", 1, ink=2), r"'ink'\. It takes colour, water, soap\.$"),
        (lambda: wash("red", 1, water=2), r"received 'water' twice, by its place and by its name"),
        (lambda: wash("red"), r"^wash\(\) needs 'water'\."),
        (lambda: wash(), r"needs 'colour' and 'water'\."),
        (lambda: wash("red", 1, 2), r"takes 2 arguments without their names, received 3; name"),
        (lambda: paint("red", "2"), r"'layers' of paint\(\) must be a whole number, received '2'"),
        (lambda: paint("red", 2.5), r"received 2\.5 of type float\.$"),
        (lambda: paint("red", float("nan")), r"whole number, received nan"),
        (lambda: paint(1), r"'colour' of paint\(\) must be a string, received 1 of type int"),
        (lambda: paint("red", width="1"), r"'width' .* must be a number or None"),
        (lambda: paint("red", dry="no"), r"'dry' .* must be True or False, received 'no'"),
        (lambda: paint("red", dry=3), r"must be True or False, received 3"),
        (lambda: paint("red", onto=3), r"must be a string or a path, received 3"),
        (lambda: paint("red", None), r"must be a whole number, received None of type NoneType"),
    ],
)  # fmt: skip
def test_wrong_arguments(call: Callable[[], Any], message: str) -> None:
    with pytest.raises(ArgumentError, match=message) as caught:
        call()
    assert isinstance(caught.value, LamplighterError)
    assert isinstance(caught.value, TypeError)  # as Python's own
    assert "\n" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_right_arguments() -> None:
    assert paint("red") == "red 1 None False . None {}"
    whole: Any
    for whole in (2, np.int64(2), 2.0, True, torch.tensor(2), np.array(2)):
        assert paint("red", whole).startswith("red ")
    assert paint("red", width=3, dry=np.bool_(1), onto=Path("x"), more=4).endswith("{'more': 4}")  # type: ignore[arg-type]
    assert paint("red", brush=3).startswith("red")  # type: ignore[arg-type] # not looked at
    assert wash("red", water=2) == "red 2 0"


def test_what_the_function_raises_is_left_alone() -> None:
    with pytest.raises(TypeError, match="no such colour") as caught:
        paint("none")
    assert not isinstance(caught.value, LamplighterError)


def test_a_checked_function_looks_like_itself() -> None:
    assert paint.__name__ == "paint"
    assert paint.__doc__ == "Paint."
    assert list(inspect.signature(paint).parameters)[:2] == ["colour", "layers"]
    assert str(inspect.signature(Trial.run)) == (
        "(self, epochs: 'int' = 1, verbose: 'int' = -1, *, checkpoint: 'str | Path | None' = None) "
        "-> 'list[dict[str, Any]]'"
    )


@checked_arguments
class Wall:
    def __init__(self, height: int) -> None:
        self.height = height

    @classmethod
    def of(cls, height: int) -> Wall:
        return cls(height)

    @staticmethod
    def double(height: int) -> int:
        return 2 * height

    @property
    def area(self) -> int:
        return self.height

    def _inner(self, height: int) -> int:
        return height


def test_methods_of_a_class() -> None:
    wrong: Any = "3"
    for call, name in ((Wall, "Wall"), (Wall.of, "of"), (Wall.double, "double")):
        with pytest.raises(ArgumentError, match=rf"'height' of {name}\(\) must be a whole number"):
            call(wrong)
    assert Wall.of(3).area == 3
    assert Wall.double(3) == 6
    assert Wall(3)._inner(wrong) == "3"


def test_arguments_that_are_passed_on() -> None:
    def inner(filled: int, speed: int) -> None:
        raise AssertionError

    check_further(Wall, ["speed"], inner, filled=["filled"])
    with pytest.raises(ArgumentError, match=r"Wall\(\) has no argument 'filled'\. It takes height"):
        check_further(Wall, ["filled"], inner, filled=["filled"])
    with pytest.raises(ArgumentError, match="did you mean 'height'"):
        check_further(Wall, ["hieght"], inner, filled=["filled"])


NETWORK = nn.Linear(2, 2)
WRONG: list[tuple[Callable[[], Any], str]] = [
    (lambda: Trial(NETWORK, metric=["acc"]), r"^Trial\(\) .*did you mean 'metrics'"),  # type: ignore[call-arg]
    (lambda: Trial(), r"^Trial\(\) needs 'model'"),  # type: ignore[call-arg]
    (lambda: Trial(NETWORK, seed="7"), "'seed' .* whole number or None"),  # type: ignore[arg-type]
    (lambda: Trial(NETWORK).run("2"), r"'epochs' of run\(\) must be a whole"),  # type: ignore[arg-type]
    (lambda: Trial(NETWORK).run(epoch=2), "did you mean 'epochs'"),  # type: ignore[call-arg]
    (lambda: Trial(NETWORK).evaluate(key="test"), "did you mean 'data_key'"),  # type: ignore[call-arg]
    (lambda: Trial(NETWORK).predict("test"), "'verbose' .* whole number"),  # type: ignore[arg-type]
    (lambda: Trial(NETWORK).with_generators(train_gen=[]), "mean 'train_generator'"),  # type: ignore[call-arg]
    (lambda: Trial(NETWORK).with_train_data(torch.ones(1)), "needs 'y'"),  # type: ignore[call-arg]
    (lambda: Trial(NETWORK).for_steps("3"), "'train_steps' .* whole"),  # type: ignore[arg-type]
    (lambda: train(None, epoch=3), r"^train\(\) .*did you mean 'epochs'"),  # type: ignore[arg-type, call-arg]
    (lambda: train(None, epochs="3"), "'epochs' .* whole number or None"),  # type: ignore[arg-type]
    (lambda: find_learning_rate(None, lo=1), "did you mean 'low'"),  # type: ignore[arg-type, call-arg]
    (lambda: ImageData.mnist(train=True), r"^mnist\(\) .* It takes none\."),  # type: ignore[call-arg]
    (lambda: ImageData.from_folder(5), "'path' .* a string or a path"),  # type: ignore[arg-type]
    (lambda: ImageData.from_folder("x", sizes=3), "did you mean 'size'"),  # type: ignore[call-arg]
    (lambda: callbacks.EarlyStopping(monitr="loss"), "did you mean 'monitor'"),  # type: ignore[call-arg]
    (lambda: callbacks.EarlyStopping(patience="3"), "'patience' .* whole"),  # type: ignore[arg-type]
    (lambda: callbacks.Checkpoint(), r"^Checkpoint\(\) needs 'folder'"),  # type: ignore[call-arg]
    (lambda: callbacks.EMA(decy=0.9), "did you mean 'decay'"),
    (lambda: callbacks.OneCycle(0.1, div_facto=3), "did you mean 'div_factor'"),
    (lambda: callbacks.OneCycle(0.1, total_steps=3), r"no argument 'total_steps'\."),
    (lambda: callbacks.Scheduler(len, intervall="step"), "mean 'interval'"),  # type: ignore[call-arg]
    (lambda: callbacks.MixUp("3"), "'num_classes' .* whole number"),  # type: ignore[arg-type]
    (lambda: callbacks.LabelSmoothing("0.1"), "'amount' .* a number"),  # type: ignore[arg-type]
    (lambda: callbacks.GradientClipping(maxnorm=1), "mean 'max_norm'"),  # type: ignore[call-arg]
    (lambda: callbacks.LiveCurves("x", evry=2), "did you mean 'every'"),  # type: ignore[call-arg]
    (lambda: callbacks.ConfusionMatrix(class_name=[]), "mean 'class_names'"),  # type: ignore[call-arg]
    (lambda: callbacks.SamplePredictions(count="3"), "'count' .* whole"),  # type: ignore[arg-type]
    (lambda: callbacks.Log(), r"^Log\(\) needs 'folder'"),  # type: ignore[call-arg]
    (lambda: callbacks.tensorboard(dir="x"), "has no argument 'dir'"),  # type: ignore[call-arg]
]


@pytest.mark.parametrize("case", range(len(WRONG)))
def test_public_functions_check_their_arguments(case: int) -> None:
    call, message = WRONG[case]
    with pytest.raises(ArgumentError, match=message):
        call()
