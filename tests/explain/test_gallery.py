from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from lamplighter.datasets.image_data import ImageData
from lamplighter.errors import DataError, DatasetError, ShapeError, UnknownSplitError
from lamplighter.evaluation.mistakes import mistakes
from lamplighter.evaluation.report import evaluate
from lamplighter.explain.attribution.attribution import attribute
from lamplighter.explain.gallery import Entry, gallery, nearest, plot_gallery
from lamplighter.inference.predictor import logits_and_features
from lamplighter.models.classifier import Classifier

if TYPE_CHECKING:
    from lamplighter.evaluation.report import Report


@pytest.fixture(scope="module")
def few(mnist: ImageData) -> ImageData:
    splits = {name: mnist[name].take(np.arange(count)) for name, count in TAKEN.items()}
    return ImageData(splits, mnist.class_names, preprocessing=mnist.preprocessing, name="few")


TAKEN = {"train": 300, "test": 100}


@pytest.fixture(scope="module")
def beginner(few: ImageData) -> Classifier:
    """A network that has learned nothing, and makes many mistakes."""
    torch.manual_seed(1)
    return Classifier.new("simple-cnn", few)


@pytest.fixture(scope="module")
def report(beginner: Classifier, few: ImageData) -> Report:
    return evaluate(beginner, few)


def test_neighbours_are_those_of_a_loop() -> None:
    generator = np.random.default_rng(0)
    vectors = generator.normal(size=(7, 5)).astype(np.float32)
    known = generator.normal(size=(40, 5)).astype(np.float32)
    found = nearest(vectors, known, 4)
    for vector, neighbours in zip(vectors, found, strict=True):
        cosines = [
            float(vector @ other / np.linalg.norm(vector) / np.linalg.norm(other))
            for other in known
        ]
        expected = sorted(range(40), key=lambda index: -cosines[index])[:4]
        assert [index for index, _ in neighbours] == expected
        assert [value for _, value in neighbours] == pytest.approx(
            [cosines[index] for index in expected], abs=1e-5
        )


def test_an_image_is_not_its_own_neighbour() -> None:
    known = np.random.default_rng(0).normal(size=(6, 3)).astype(np.float32)
    found = nearest(known[[2, 4]], known, 10, excluded=[2, 4])
    assert [len(one) for one in found] == [5, 5]
    assert 2 not in [index for index, _ in found[0]]
    assert 4 not in [index for index, _ in found[1]]


def test_entries_are_the_worst_mistakes(
    beginner: Classifier, report: Report, few: ImageData
) -> None:
    told: list[tuple[int, int]] = []
    entries = gallery(
        beginner,
        report,
        few,
        4,
        neighbours=2,
        method="saliency",
        progress=lambda done, total: told.append((done, total)),
    )
    worst = mistakes(report, few, 4)
    assert told == [(300, 300)]
    assert [entry.mistake.index for entry in entries] == [mistake.index for mistake in worst]
    _, own = logits_and_features(beginner, few["test"].images)
    _, known = logits_and_features(beginner, few["train"].images)
    for entry, mistake in zip(entries, worst, strict=True):
        # The map is about what was said, not about what is true.
        (expected,) = attribute(beginner, mistake.image, "saliency", target=mistake.predicted).maps
        np.testing.assert_allclose(entry.map, expected, rtol=1e-4, atol=1e-6)
        assert entry.method.name == "saliency"
        assert len(entry.neighbours) == 2
        vector = own[mistake.index]
        cosines = known @ vector / np.linalg.norm(known, axis=1) / np.linalg.norm(vector)
        first = entry.neighbours[0]
        assert first.similarity == pytest.approx(cosines.max(), abs=1e-5)
        np.testing.assert_array_equal(first.image, few["train"].images[first.index])
        assert first.label == few.class_names[few["train"].labels[first.index]]


def test_features_may_be_given(beginner: Classifier, report: Report, few: ImageData) -> None:
    _, known = logits_and_features(beginner, few["train"].images)
    given, made = (
        gallery(beginner, report, few, 2, method="saliency", features=features)
        for features in (known, None)
    )
    assert [[n.index for n in e.neighbours] for e in given] == [
        [n.index for n in e.neighbours] for e in made
    ]
    with pytest.raises(ShapeError, match="each of the 300 training"):
        gallery(beginner, report, few, features=known[:10])


def test_on_training_images_others_are_found(beginner: Classifier, few: ImageData) -> None:
    entries = gallery(beginner, evaluate(beginner, few, "train"), few, 3, method="saliency")
    for entry in entries:
        assert entry.mistake.index not in [neighbour.index for neighbour in entry.neighbours]


def test_without_mistakes_there_is_none(beginner: Classifier, few: ImageData) -> None:
    said = evaluate(beginner, few).predicted
    right = few["test"].take(np.flatnonzero(said == few["test"].labels))
    data = ImageData(
        {"train": few["train"], "test": right},
        few.class_names,
        preprocessing=few.preprocessing,
        name="right",
    )
    assert gallery(beginner, evaluate(beginner, data), data) == []
    with pytest.raises(DataError, match="received none"):
        plot_gallery([])


@pytest.mark.parametrize("options", [{"count": 0}, {"neighbours": 0}])
def test_numbers_must_be_positive(
    options: Any, beginner: Classifier, report: Report, few: ImageData
) -> None:
    with pytest.raises(DatasetError, match="or more"):
        gallery(beginner, report, few, **options)


def test_training_images_are_needed(beginner: Classifier, report: Report, few: ImageData) -> None:
    alone = ImageData(
        {"test": few["test"]}, few.class_names, preprocessing=few.preprocessing, name="alone"
    )
    with pytest.raises(UnknownSplitError, match="no split 'train'"):
        gallery(beginner, report, alone)


def test_an_empty_map_says_so_and_its_note_is_kept(
    beginner: Classifier, report: Report, few: ImageData
) -> None:
    mute = copy.deepcopy(beginner)
    with torch.no_grad():  # the last layer speaks against all classes
        last = list(mute.network.modules())[-1]
        assert isinstance(last, torch.nn.Linear)
        last.weight.copy_(-last.weight.abs())
    entries = gallery(mute, evaluate(mute, few), few, 2)
    empty = [not entry.map.any() for entry in entries]
    assert any(empty)
    assert all("nothing in layer" in note for entry in entries for note in entry.notes)
    assert [len(entry.notes) for entry in entries] == [1, 1]
    written = [cell.texts for cell in plot_gallery(entries).axes[1:10:5]]
    assert [bool(texts) for texts in written] == empty
    assert {text.get_text().replace("\n", " ") for texts in written for text in texts} == {
        "nothing speaks for it"
    }
    assert gallery(beginner, report, few, 1, method="saliency")[0].notes == ()


def test_the_figure_has_a_row_for_each(
    beginner: Classifier, report: Report, few: ImageData
) -> None:
    entries = gallery(beginner, report, few, 3, method="saliency")
    shorter = Entry(entries[2].mistake, entries[2].map, entries[2].method, ())
    figure = plot_gallery([*entries[:2], shorter])
    figure.draw_without_rendering()
    assert len(figure.axes) == 15 + 1  # and the colour bar
    assert sum(cell.get_visible() for cell in figure.axes[:15]) == 12
    mistake = entries[0].mistake
    assert f"is {mistake.true}\nsaid {mistake.predicted}\n" in figure.axes[0].get_title()
    assert f"train\n{entries[0].neighbours[0].label}" in figure.axes[2].get_title()
    np.testing.assert_array_equal(figure.axes[0].images[0].get_array()[..., 0], mistake.image[0])
