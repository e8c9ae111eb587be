"""int8 is taken where it is faster here and about as accurate, and nowhere else."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

import lamplighter
from lamplighter.errors import BundleError
from lamplighter.features import precision_choice
from lamplighter.features.precision_choice import choose_precision

if TYPE_CHECKING:
    from lamplighter.datasets.files import ImageFiles
    from lamplighter.models.classifier import Classifier


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> ImageFiles:
    folder = lamplighter.write_sample("emoji", tmp_path_factory.mktemp("photos") / "emoji")
    return lamplighter.find_files(folder)


@pytest.fixture(scope="module")
def backbone() -> Classifier:
    return lamplighter.pretrained(fit="squash")


@pytest.mark.parametrize(
    ("times", "accuracies", "precision", "reason"),
    [
        ([9.0, 4.0], [0.900, 0.895], "int8", "int8: it takes 4.0 ms an image in int8 and 9.0 ms"),
        ([9.0, 4.0], [0.900, 0.894], "fp32", "since int8 is less accurate"),
        ([9.0, 4.0], [0.800, 0.900], "int8", "with 90.0 % and 80.0 % of validation images right"),
        ([9.0, 8.9], [0.900, 0.900], "fp32", "since it takes 8.9 ms"),
    ],
)
def test_time_and_accuracy_decide(
    files: ImageFiles,
    backbone: Classifier,
    monkeypatch: pytest.MonkeyPatch,
    times: list[float],
    accuracies: list[float],
    precision: str,
    reason: str,
) -> None:
    given = iter(accuracies)
    monkeypatch.setattr(precision_choice, "_milliseconds", lambda *_: times)
    monkeypatch.setattr(precision_choice, "_accuracy", lambda *_: next(given))
    choice = choose_precision(backbone, files)
    assert choice.precision == choice.classifier.precision == precision
    assert reason in choice.reason


def test_accuracy_is_that_of_a_linear_head(files: ImageFiles, backbone: Classifier) -> None:
    few = files.take([row for split in ("train", "val") for row in files.rows_of(split)[::3]])
    features = lamplighter.embed(backbone, few)
    train, val = features.split("train"), features.split("val")
    present, labels = np.unique(train.files.labels, return_inverse=True)
    head = lamplighter.fit_head("linear", train.vectors, labels, len(present), seed=5).head
    right = present[head.logits(val.vectors).argmax(1)] == np.array(val.files.labels)
    assert precision_choice._accuracy(backbone, few, 5, None) == pytest.approx(right.mean())


def test_a_network_that_has_no_integers_stays(
    files: ImageFiles, backbone: Classifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_):
        raise BundleError("int8 needs a network of more than 3 convolutions, received 1; use fp32.")

    monkeypatch.setattr(precision_choice, "at_precision", refuse)
    choice = choose_precision(backbone, files)
    assert choice.classifier is backbone
    assert choice.reason == (
        "fp32: int8 needs a network of more than 3 convolutions, received 1; use fp32."
    )
