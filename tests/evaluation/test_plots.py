import io
import itertools
import re
import subprocess
import sys

import numpy as np
import pytest

from lamplighter.errors import MissingPackageError
from lamplighter.evaluation.plots import draw_confusion, new_figure, plot_confusion
from lamplighter.evaluation.report import Report
from lamplighter.inference.predictor import Predictions
from lamplighter.installation import install_command


def report_of(confusion: np.ndarray, names: list[str]) -> Report:
    true, predicted = np.nonzero(confusion)
    counts = confusion[true, predicted]
    logits = np.eye(len(names), dtype=np.float32)[np.repeat(predicted, counts)]
    labels = np.repeat(true, counts).astype(np.int64)
    return Report("data", "test", "", tuple(names), labels, Predictions(logits, tuple(names)))


def overlap(texts, renderer) -> bool:
    boxes = [text.get_window_extent(renderer) for text in texts if text.get_text()]
    return any(one.overlaps(other) for one, other in itertools.pairwise(boxes))


def test_counts_stand_in_their_cells():
    figure = plot_confusion(report_of(np.array([[1960, 3], [0, 20]]), ["cat", "dog"]))
    axes = figure.axes[0]
    cells = {text.get_position(): text.get_text() for text in axes.texts}
    assert cells == {(0, 0): "1,960", (1, 0): "3", (1, 1): "20"}
    assert [label.get_text() for label in axes.get_yticklabels()] == ["cat", "dog"]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("predicted", "true")


def test_a_single_mistake_among_thousands_is_seen():
    confusion = np.diag([5000, 5000, 5000])
    confusion[0, 1] = 1
    confusion[1, 2] = 9
    right, wrong = plot_confusion(report_of(confusion, list("abc"))).axes[0].images
    colours = wrong.cmap(wrong.norm(wrong.get_array()))  # (3, 3, RGBA)
    white = np.ones(3)
    assert np.abs(colours[0, 1, :3] - white).max() > 0.3
    assert np.abs(colours[1, 2, :3] - colours[0, 1, :3]).max() > 0.3
    assert colours[2, 0, 3] == 0  # no mistake, no colour
    assert right.get_array()[0, 0] == pytest.approx(5000 / 5001)


@pytest.mark.parametrize("classes", [10, 20, 100])
def test_names_do_not_run_into_one_another(classes):
    generator = np.random.default_rng(0)
    confusion = np.diag(generator.integers(5, 2000, classes))
    confusion[generator.integers(0, classes, 40), generator.integers(0, classes, 40)] += 1
    figure = plot_confusion(report_of(confusion, [f"class number {n}" for n in range(classes)]))
    figure.canvas.draw()
    renderer, axes = figure.canvas.get_renderer(), figure.axes[0]
    assert len(axes.get_xticklabels()) == classes
    assert not overlap(axes.get_xticklabels(), renderer)
    assert not overlap(axes.get_yticklabels(), renderer)
    assert bool(axes.texts) == (classes <= 20)
    cell = axes.get_window_extent(renderer).width / classes
    assert all(text.get_window_extent(renderer).width < cell for text in axes.texts)


def test_a_thousand_classes_name_some():
    figure = plot_confusion(report_of(np.eye(300, dtype=int), [str(n) for n in range(300)]))
    assert len(figure.axes[0].get_xticklabels()) == 100


def test_no_mistakes_and_a_class_without_images(tmp_path):
    figure = plot_confusion(report_of(np.diag([5, 0, 7]), list("abc")))
    assert len(figure.axes) == 2  # the matrix and one scale: there are no mistakes to scale
    picture = io.BytesIO()
    figure.savefig(picture)
    assert picture.getvalue().startswith(b"\x89PNG")


def test_a_matrix_without_a_report_has_a_title_of_its_own():
    figure = draw_confusion(np.array([[3, 1], [0, 2]]), ["a", "b"], title="epoch 3")
    assert figure.axes[0].get_title() == "epoch 3"
    assert len(figure.axes[0].texts) == 3


def test_a_figure_has_its_size_and_no_axes():
    figure = new_figure(4.0, 3.0)
    assert tuple(figure.get_size_inches()) == (4.0, 3.0)
    assert figure.axes == []
    assert type(figure.canvas).__name__ == "FigureCanvasAgg"


def test_pyplot_with_its_windows_and_global_state_is_not_imported():
    code = (
        "import sys, numpy as np\n"
        "from lamplighter.evaluation.plots import draw_confusion\n"
        "draw_confusion(np.eye(2, dtype=int), 'ab').canvas.draw()\n"
        "print('matplotlib.pyplot' in sys.modules, 'torch' in sys.modules)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (result.stdout.strip(), result.stderr) == ("False False", "")


def test_without_matplotlib(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(MissingPackageError, match=re.escape(install_command("plots"))):
        plot_confusion(report_of(np.eye(2, dtype=int), list("ab")))


def test_a_diagonal_zero_of_a_class_with_images_is_written() -> None:
    confusion = np.array([[0, 3, 0], [0, 2, 0], [0, 0, 0]])
    (axes, *_) = draw_confusion(confusion, ["a", "b", "c"]).axes
    cells = {text.get_position(): text.get_text() for text in axes.texts}
    assert cells == {(0, 0): "0", (1, 0): "3", (1, 1): "2"}
