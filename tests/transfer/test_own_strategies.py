"""Strategies of a user's own are rungs like any other."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import RidgeClassifier

import lamplighter
from lamplighter.errors import ArgumentError, TrainingError, UnknownModelError
from lamplighter.inference.runtime import runtime
from lamplighter.models import registry
from lamplighter.models.head_weights import HeadWeights
from lamplighter.transfer.ladder import climb_ladder


@pytest.fixture(autouse=True)
def own_registry(monkeypatch):
    monkeypatch.setitem(registry._registered, "strategy", {})


def ridge(vectors, labels, num_classes):
    model = RidgeClassifier().fit(vectors, labels)
    weights = {"weight": model.coef_, "bias": model.intercept_}
    return HeadWeights("linear", {name: v.astype(np.float32) for name, v in weights.items()})


def test_it_is_climbed_refitted_and_saved(shapes, tiny, tmp_path):
    lamplighter.register("ridge", ridge, kind="strategy", summary="least squares of the classes")
    ladder = climb_ladder(shapes, backbone=tiny, rungs=("ridge", "knn"), seed=1)
    assert [rung.name for rung in ladder.rungs] == ["knn", "ridge"]  # its own first
    rung = ladder.rungs[1]
    assert rung.summary == "least squares of the classes"
    assert rung.fitted.kind == "linear"

    alone = climb_ladder(shapes, backbone=tiny, rungs="ridge", seed=1)
    assert alone.chosen.name == "ridge"
    assert alone.refitted == sum(alone.files.splits.count(split) for split in ("train", "val"))
    assert "ridge (least squares of the classes) is the most accurate" in alone.recommendation()
    loaded = lamplighter.load(lamplighter.save(alone.classifier, tmp_path / "own.lamp"))
    assert loaded.record.recipe["rung"] == "ridge"

    # An oracle: scikit-learn itself, on the same features.
    both = alone.files.take([i for i, s in enumerate(alone.files.splits) if s != "test"])
    learned = lamplighter.embed(tiny, both)
    model = RidgeClassifier().fit(learned.vectors, learned.files.labels)
    asked = lamplighter.embed(tiny, alone.files.split("test"))
    inputs = [loaded.preprocessing(lamplighter.open_image(file)) for file in asked.files.files]
    answers = runtime(loaded)(np.stack(inputs)).argmax(1)
    assert (answers == model.predict(asked.vectors)).mean() > 0.95


@pytest.mark.parametrize(
    ("strategy", "message"),
    [
        (lambda vectors, labels, num_classes: 1 / 0, "'bad' failed: ZeroDivisionError: division"),
        (lambda vectors, labels, num_classes: None, "must return HeadWeights, received a NoneType"),
        (
            lambda vectors, labels, num_classes: HeadWeights(
                "linear", {"weight": np.zeros((2, 5)), "bias": np.zeros(2)}
            ),
            r"features and 3 classes, received one for 5 and 2\.",
        ),
    ],
)
def test_one_that_fails_is_told_in_one_line(shapes, tiny, strategy, message):
    lamplighter.register("bad", strategy, kind="strategy")
    with pytest.raises(TrainingError, match=message) as caught:
        climb_ladder(shapes, backbone=tiny, rungs="bad")
    assert "\n" not in str(caught.value)
    ladder = climb_ladder(shapes, backbone=tiny, rungs=("knn", "bad"))  # the others are not lost
    assert "bad" in ladder.left_out


def test_names_are_taken_once():
    with pytest.raises(ArgumentError, match="the strategy 'linear' is there already"):
        lamplighter.register("linear", ridge, kind="strategy")
    with pytest.raises(ArgumentError, match=r"called as builder\(vectors, labels, num_classes\)"):
        lamplighter.register("few", lambda vectors: None, kind="strategy")


def test_an_unknown_one_gets_a_near_name(shapes, tiny):
    lamplighter.register("ridge", ridge, kind="strategy")
    with pytest.raises(TrainingError, match="no rung 'rigde'; did you mean 'ridge'"):
        climb_ladder(shapes, backbone=tiny, rungs="rigde")
    with pytest.raises(UnknownModelError, match="no strategy 'rigde'"):
        registry.find("rigde", kind="strategy")
