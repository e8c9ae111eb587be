"""Objectives: their values by hand, their algebra, their gradients, and what they refuse."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from lamplighter.errors import ModelError, UnknownClassError, UnknownLayerError
from lamplighter.explain.maximization.objectives import (
    Objective,
    Values,
    channel,
    checked,
    class_,
    layer,
    neuron,
)
from lamplighter.models.classifier import class_index

NAMES = ("cat", "dog", "golden retriever")


@pytest.fixture
def values() -> Values:
    generator = torch.Generator().manual_seed(0)
    return Values(
        torch.randn(4, 3, generator=generator),
        {
            "maps": torch.randn(4, 5, 6, 8, generator=generator),
            "tokens": torch.randn(4, 7, 5, generator=generator),
            "dense": torch.randn(4, 5, generator=generator),
        },
        NAMES,
        (12, 16),
    )


def test_each_term_by_hand(values: Values) -> None:
    maps = values.layers["maps"].numpy()
    logits = values.logits.numpy()
    shares = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    for objective, expected in (
        (class_("dog"), logits[:, 1]),
        (class_(1), logits[:, 1]),
        (class_("dog", score="probability"), shares[:, 1]),
        (class_("dog", score="odds"), np.log(shares[:, 1] / (1 - shares[:, 1]))),
        (channel("maps", 2), maps[:, 2].mean((1, 2))),
        (channel("dense", 2), values.layers["dense"].numpy()[:, 2]),
        (channel("tokens", 4), values.layers["tokens"].numpy()[:, :, 4].mean(1)),
        (neuron("maps", 2, 5, 0), maps[:, 2, 5, 0]),
        (neuron("maps", 2), maps[:, 2, 3, 4]),
        (neuron("dense", 2), values.layers["dense"].numpy()[:, 2]),
        (layer("maps"), (maps**2).mean((1, 2, 3))),
    ):
        np.testing.assert_allclose(
            objective(values).numpy(), expected, rtol=1e-5, err_msg=str(objective)
        )


def test_the_algebra(values: Values) -> None:
    a, b, c = class_("cat"), channel("maps", 1), layer("dense")
    one, two, three = (objective(values) for objective in (a, b, c))
    torch.testing.assert_close((a + 2 * b - c)(values), one + 2 * two - three)
    torch.testing.assert_close((-(a - b) / 4)(values), (two - one) / 4)
    torch.testing.assert_close((3 * (a + b) * 0.5)(values), 1.5 * (one + two))
    torch.testing.assert_close(sum([a, b, c])(values), one + two + three)
    assert (a + 2 * b - c).layers == ("maps", "dense")
    assert (b + 2 * b).layers == ("maps",)
    assert a.layers == ()
    assert (a - 0.5 * class_("dog") + b).classes == ("cat",)
    assert str(a + 2 * b - c) == "class cat + 2 * maps channel 1 - layer dense"
    scores = [str(class_("cat", score=score)) for score in ("logit", "odds", "probability")]
    assert scores == ["class cat", "class cat (odds)", "class cat (probability)"]
    assert str(-neuron("maps", 1, 2, 3)) == "-maps neuron 1 at 2,3"


@pytest.mark.parametrize("spoil", [lambda a: a + 1, lambda a: a * a, lambda a: a * True])
def test_what_is_no_algebra(spoil) -> None:
    with pytest.raises(TypeError, match="unsupported operand"):
        spoil(class_("cat"))


def test_the_gradient_by_finite_differences() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Tanh(), nn.Flatten(), nn.Linear(64, 3)).double()
    objective = class_("dog") + 0.5 * channel("0", 2) - 3 * neuron("0", 1, 2, 1) + layer("0")

    def value(images: torch.Tensor) -> torch.Tensor:
        maps = network[0](images)
        return objective(Values(network(images), {"0": maps}, NAMES, (6, 6)))

    images = torch.randn(2, 1, 6, 6, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(value(images).sum(), images)
    for number, row, column in ((0, 0, 0), (0, 3, 2), (1, 5, 5), (1, 2, 4)):
        step = torch.zeros_like(images)
        step[number, 0, row, column] = 1e-5
        with torch.no_grad():
            slope = (value(images + step) - value(images - step))[number] / 2e-5
        assert float(gradient[number, 0, row, column]) == pytest.approx(float(slope), rel=1e-5)


@pytest.mark.parametrize(
    ("objective", "message"),
    [
        (channel("maps", 5), r"layer 'maps' has channels 0 to 4, received 5"),
        (channel("maps", -1), r"channels 0 to 4, received -1"),
        (neuron("dense", 1, 0, 0), r"needs a layer with spatial maps, but 'dense' gives \(5\)"),
        (neuron("maps", 1, 6, 0), r"are 6 x 8: rows 0 to 5, .*received row 6, column 0"),
        (neuron("maps", 1, 0, -1), r"received row 0, column -1"),
        (layer("absent"), r"layer 'absent' gives no tensor"),
    ],
)
def test_places_that_are_not_there(values: Values, objective: Objective, message: str) -> None:
    with pytest.raises(UnknownLayerError, match=message):
        objective(values)


def test_classes_that_are_not_there() -> None:
    assert class_index(NAMES, "dog") == class_index(NAMES, 1) == 1
    with pytest.raises(UnknownClassError, match="did you mean 'golden retriever'"):
        class_index(NAMES, "Retriever")
    with pytest.raises(UnknownClassError, match="no class 'dgo'; did you mean 'dog'"):
        class_index(NAMES, "dgo")
    with pytest.raises(UnknownClassError, match="there are 'cat', 'dog', 'golden retriever'"):
        class_index(NAMES, "xylophone")
    for number in (3, -1, True):
        with pytest.raises(UnknownClassError, match="a number from 0 to 2"):
            class_index(NAMES, number)


def test_a_text_is_a_class_and_nothing_else_is_an_objective() -> None:
    assert checked("dog") == class_("dog")
    with pytest.raises(ModelError, match="one of logit, odds, probability, received 'log'"):
        class_("dog", score="log")
    for wrong in (7, None, Objective(())):
        with pytest.raises(ModelError, match="must be an objective"):
            checked(wrong)  # type: ignore[arg-type]
