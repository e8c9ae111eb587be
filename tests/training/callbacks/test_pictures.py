from __future__ import annotations

import base64
import copy
import io
import sys
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from PIL import Image

from lamplighter.errors import OutputError, TrainingError
from lamplighter.evaluation.intervals import wilson
from lamplighter.models.classifier import Classifier
from lamplighter.training.callbacks import ConfusionMatrix, LiveCurves, SamplePredictions
from lamplighter.training.callbacks import pictures as module
from lamplighter.training.trial import Trial
from tests.training.conftest import images_and_labels

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from lamplighter.datasets.image_data import ImageData


def _sizes(folder: Path) -> dict[str, tuple[int, int]]:
    sizes: dict[str, tuple[int, int]] = {}
    for file in sorted(folder.iterdir()):
        with Image.open(file) as picture:
            sizes[file.name] = picture.size
    return sizes


def test_pictures_appear(make_trial: Callable[..., Trial], tmp_path: Path) -> None:
    make_trial(
        LiveCurves(tmp_path),
        ConfusionMatrix(tmp_path, every=2),
        SamplePredictions(tmp_path, every=2),
    ).run(4)
    sizes = _sizes(tmp_path)
    assert list(sizes) == [
        "confusion-2.png",
        "confusion-4.png",
        "curves.png",
        "samples-2.png",
        "samples-4.png",
    ]
    assert all(200 < side < 1600 for size in sizes.values() for side in size)


def test_no_state_of_pyplot_is_touched(make_trial: Callable[..., Trial], tmp_path: Path) -> None:
    before = "matplotlib.pyplot" in sys.modules
    callbacks = LiveCurves(tmp_path), ConfusionMatrix(tmp_path), SamplePredictions(tmp_path)
    make_trial(*callbacks).run(1)
    if before:
        assert sys.modules["matplotlib.pyplot"].get_fignums() == []
    else:
        assert "matplotlib.pyplot" not in sys.modules


def test_curves_need_no_validation_data_and_answers_do(
    make_trial: Callable[..., Trial], tmp_path: Path
) -> None:
    make_trial(LiveCurves(tmp_path), val=False).run(1)
    assert list(_sizes(tmp_path)) == ["curves.png"]
    for kind in (ConfusionMatrix, SamplePredictions):
        trial = make_trial(kind(tmp_path), val=False)
        with pytest.raises(TrainingError, match=rf"{kind.__name__} .*none; give some, such as"):
            trial.run(1)
        assert trial.history == []


def test_nothing_is_drawn_that_nobody_sees(
    make_trial: Callable[..., Trial], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("plot_history", "draw_confusion", "contact_sheet"):
        monkeypatch.setattr(module, name, pytest.fail)
    make_trial(LiveCurves(), ConfusionMatrix(), SamplePredictions()).run(1)


def test_matrix_counts_the_whole_validation_data(
    make_trial: Callable[..., Trial], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[tuple[Any, Any, str]] = []

    def draw(matrix: Any, names: Any, *, title: str) -> Image.Image:
        drawn.append((matrix, names, title))
        return Image.new("RGB", (1, 1))

    monkeypatch.setattr(module, "draw_confusion", draw)
    trial = make_trial(ConfusionMatrix(tmp_path, class_names=["a", "b", "c"]))
    trial.run(2)
    matrix, names, title = drawn[-1]
    assert matrix.sum() == 16
    accuracy = trial.history[-1]["val_acc"]
    assert np.trace(matrix) / 16 == pytest.approx(accuracy)
    assert title == f"validation, epoch 2: accuracy {wilson(round(16 * accuracy), 16)}"
    assert names == ["a", "b", "c"]


def _samples(
    monkeypatch: pytest.MonkeyPatch, trial: Trial
) -> tuple[np.ndarray[Any, Any], list[str]]:
    drawn: list[Any] = []

    def draw(pixels: Any, captions: list[str]) -> Image.Image:
        drawn.append((pixels, captions))
        return Image.new("RGB", (1, 1))

    monkeypatch.setattr(module, "contact_sheet", draw)
    trial.run(1)
    pixels, captions = drawn[0]
    return pixels, captions


def test_samples_are_the_pixels_of_the_data(
    tiny_digits: ImageData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    classifier = Classifier.new("simple-cnn", tiny_digits)
    trial = Trial(
        classifier, callbacks=[SamplePredictions(tmp_path, count=10)], verbose=0, seed=1
    ).with_images(tiny_digits, 64)
    validation = tiny_digits["test"].take(np.arange(32))
    inputs = torch.from_numpy(classifier.preprocessing.normalise(validation.images))
    labels = torch.from_numpy(np.array(validation.labels))
    trial.with_val_data(inputs, labels, batch_size=4)  # several batches for one sheet
    pixels, captions = _samples(monkeypatch, trial)
    np.testing.assert_array_equal(pixels, validation.images[:10])

    classifier.network.eval()
    with torch.no_grad():
        shares, said = classifier.network(inputs[:10]).softmax(dim=1).max(dim=1)
    for caption, share, answer, true in zip(captions, shares, said, labels, strict=False):
        truth = "right" if answer == true else f"is {true}"
        assert caption == f"said {answer}, {int(100 * share)} %\n{truth}"


@pytest.mark.parametrize("index", [-100, 2])
def test_ignored_labels_have_no_true_class(
    index: int,
    make_trial: Callable[..., Trial],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    matrices: list[Any] = []

    def draw(matrix: Any, names: Any, *, title: str) -> Image.Image:
        matrices.append(matrix)
        return Image.new("RGB", (1, 1))

    monkeypatch.setattr(module, "draw_confusion", draw)
    criterion = torch.nn.CrossEntropyLoss(ignore_index=index)
    trial = make_trial(SamplePredictions(tmp_path), ConfusionMatrix(tmp_path), criterion=criterion)
    images, labels = images_and_labels(16)
    labels = torch.where(labels == 2, index, labels)
    trial.with_val_data(images, labels, batch_size=4)
    _, captions = _samples(monkeypatch, trial)
    unknown = [caption.endswith("\nno true class") for caption in captions]
    assert unknown == (labels == index).tolist()
    assert matrices[0].sum(axis=1).tolist() == [*np.bincount(labels[labels != index]), 0][:3]
    assert 0 < sum(unknown) < 16

    trial.with_val_data(images, torch.full((16,), index))
    monkeypatch.setattr(module, "draw_confusion", pytest.fail)  # nothing is left to draw
    trial.run(1)


def test_targets_that_are_probabilities_count_by_their_highest(
    make_trial: Callable[..., Trial], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def captions(targets: torch.Tensor) -> list[str]:
        trial = make_trial(SamplePredictions(tmp_path)).with_val_data(images, targets)
        return _samples(monkeypatch, trial)[1]

    images, labels = images_and_labels(16)
    soft = torch.nn.functional.one_hot(labels, 3) * 0.4 + 0.2
    assert captions(soft) == captions(labels)


@pytest.mark.parametrize("drawing", [SamplePredictions, ConfusionMatrix])
def test_targets_that_are_no_classes(
    drawing: Any, make_trial: Callable[..., Trial], tmp_path: Path
) -> None:
    values = torch.rand(16, 3, generator=torch.Generator().manual_seed(0))
    trial = make_trial(drawing(tmp_path), criterion=torch.nn.MSELoss(), metrics=("loss",))
    trial.with_train_data(images_and_labels(16)[0], values)
    trial.with_val_data(images_and_labels(16)[0], values, batch_size=16)
    before = copy.deepcopy(trial.network.state_dict())
    with pytest.raises(TrainingError, match=r"received .*float32 and shape \(1, 3\); leave"):
        trial.run(1)
    assert torch.equal(trial.network[0].weight, before["0.weight"])  # told before the first step
    # What training data does not show, as where it is of another form, the validation does.
    trial.with_train_data(*images_and_labels(16)).for_train_steps(1)
    trial._view.criterion = _indices_or_values
    with pytest.raises(TrainingError, match=r"received .*float32 and shape \(16, 3\); leave"):
        trial.run(1)


def _indices_or_values(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    if targets.ndim == 1:
        return torch.nn.functional.cross_entropy(outputs, targets)
    return torch.nn.functional.mse_loss(outputs, targets)


def test_training_on_the_answers_of_a_teacher(
    make_trial: Callable[..., Trial], tmp_path: Path
) -> None:
    trial = make_trial(ConfusionMatrix(tmp_path), criterion=_indices_or_values, metrics=("loss",))
    trial.with_train_data(images_and_labels(16)[0], torch.randn(16, 3), batch_size=8)
    trial.run(1)
    assert [file.name for file in tmp_path.iterdir()] == ["confusion-1.png"]


def test_names_that_are_not_those_of_the_outputs(
    make_trial: Callable[..., Trial], tmp_path: Path
) -> None:
    trial = make_trial(ConfusionMatrix(tmp_path, class_names=["cat", "dog"]))
    with pytest.raises(TrainingError, match="a name for each of the 3 outputs, received 2"):
        trial.run(1)
    assert trial.history == []


@pytest.mark.parametrize("channels", [1, 2, 3])
@pytest.mark.parametrize("scale", [1.0, 5.0])
def test_samples_of_a_bare_network(channels: int, scale: float) -> None:
    view: Any = SimpleNamespace(classifier=None)
    images = np.linspace(0, scale, channels * 8, dtype=np.float32).reshape(2, channels, 2, 2)
    pixels = module._pixels(view, images)
    assert pixels.shape == (2, 3 if channels == 3 else 1, 2, 2)
    if channels != 2:
        np.testing.assert_array_equal(pixels, (images / scale * 255).round().astype(np.uint8))


def test_count_larger_than_the_data(
    make_trial: Callable[..., Trial], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pixels, captions = _samples(monkeypatch, make_trial(SamplePredictions(tmp_path, count=100)))
    assert len(pixels) == len(captions) == 16


def test_evaluating_draws_nothing(make_trial: Callable[..., Trial], tmp_path: Path) -> None:
    trial = make_trial(ConfusionMatrix(tmp_path), SamplePredictions(tmp_path))
    trial.run(1)
    for file in tmp_path.iterdir():
        file.unlink()
    trial.evaluate()
    assert list(tmp_path.iterdir()) == []


def test_folder_that_cannot_be_made(make_trial: Callable[..., Trial], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match="choose another folder"):
        make_trial(LiveCurves(tmp_path / "file")).run(1)


def test_every_must_be_positive() -> None:
    with pytest.raises(TrainingError, match="received 0"):
        LiveCurves(every=0)


def test_in_a_notebook_pictures_take_one_place_each(
    make_trial: Callable[..., Trial], notebook: list[tuple[str, str, dict[str, str]]]
) -> None:
    trial = make_trial(LiveCurves(), ConfusionMatrix())
    trial.run(2)
    places = [place for _, place, _ in notebook]
    assert [act for act, _, _ in notebook] == ["display", "display", "update", "update"]
    assert places[:2] == places[2:]
    assert places[0] != places[1]
    for _, _, content in notebook:
        with Image.open(io.BytesIO(base64.b64decode(content["image/png"]))) as picture:
            assert picture.format == "PNG"
    notebook.clear()
    trial.run(1)  # in another cell, its own pictures
    assert [act for act, _, _ in notebook] == ["display", "display"]
    assert not {place for _, place, _ in notebook} & set(places)
