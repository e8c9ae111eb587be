from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest

from lamplighter.errors import ArgumentError
from lamplighter.evaluation.data_map import DataMap
from lamplighter.evaluation.data_map_plot import COLOURS, plot_data_map, spread


def _map(classes: int = 3, count: int = 120, **changes: Any) -> DataMap:
    generator = np.random.default_rng(0)
    labels = np.arange(count) % classes
    values: dict[str, Any] = {
        "data": "rows",
        "split": "test",
        "method": "pca",
        "points": generator.normal(size=(count, 2)) + labels[:, None],
        "indices": np.arange(count),
        "labels": labels,
        "predicted": np.where(np.arange(count) % 10 == 0, (labels + 1) % classes, labels),
        "class_names": tuple(f"class {number}" for number in range(classes)),
        "images": generator.integers(0, 255, (count, 1, 8, 8)).astype(np.uint8),
        "explained": (0.6, 0.2),
    }
    return DataMap(**(values | changes))


def _legend(figure: Any) -> list[str]:
    return [text.get_text() for text in figure.legends[0].get_texts()]


def test_points_are_drawn_by_class_and_mistakes_in_rings() -> None:
    made = _map()
    figure = plot_data_map(made)
    (axes,) = figure.axes
    *classes, rings = axes.collections
    for label, drawn in enumerate(classes):
        np.testing.assert_array_equal(drawn.get_offsets(), made.points[made.labels == label])
    np.testing.assert_array_equal(rings.get_offsets(), made.points[::10])
    assert _legend(figure) == ["class 0", "class 1", "class 2", "mistake (12)"]
    assert "60 % of the variance" in axes.get_xlabel()
    assert "20 % of the variance" in axes.get_ylabel()
    assert "120 images, 12 of them wrong" in axes.get_title()


def test_up_to_60_classes_have_a_style_of_their_own() -> None:
    figure = plot_data_map(_map(60, 600))
    styles = {
        (tuple(drawn.get_facecolor()[0]), drawn.get_paths()[0].vertices.tobytes())
        for drawn in figure.axes[0].collections[:-1]
    }
    assert len(styles) == 60
    assert len(COLOURS) == len(set(COLOURS)) >= 12
    colours = [tuple(drawn.get_facecolor()[0]) for drawn in figure.axes[0].collections[:17]]
    assert len(set(colours)) == 12  # of 17 classes, as emoji have, 5 colours come twice


def test_of_more_classes_the_rarest_are_grey_together() -> None:
    labels = np.concatenate([np.repeat(np.arange(72), 2), np.repeat(np.arange(10, 69), 2)])
    count = len(labels)
    made = _map(72, count, labels=labels, predicted=labels)
    figure = plot_data_map(made)
    names = _legend(figure)
    assert names[:-2] == [f"class {number}" for number in range(10, 69)]
    assert names[-2:] == ["13 other classes", "mistake (0)"]


@pytest.mark.parametrize("classes", [3, 24, 28])
def test_no_text_lies_on_another_or_outside(classes: int) -> None:
    names = tuple(f"{'a rather long name of a class ' * 2}{number}" for number in range(classes))
    figure = plot_data_map(_map(classes, 280, class_names=names))
    figure.draw_without_rendering()
    renderer = figure.canvas.get_renderer()
    legend, (axes,) = figure.legends[0], figure.axes
    boxes = [text.get_window_extent(renderer) for text in legend.get_texts()]
    boxes += [axes.title.get_window_extent(renderer), axes.get_window_extent(renderer)]
    boxes += [axes.xaxis.label.get_window_extent(renderer)]
    whole = figure.bbox
    for number, box in enumerate(boxes):
        assert not any(box.overlaps(other) for other in boxes[number + 1 :])
        assert whole.x0 <= box.x0
        assert whole.x1 >= box.x1
        assert whole.y0 <= box.y0
        assert whole.y1 >= box.y1


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 20, 60)])
def test_thumbnails_lie_at_their_points_and_not_on_one_another(shape: tuple[int, ...]) -> None:
    images = np.random.default_rng(0).integers(0, 255, (120, *shape)).astype(np.uint8)
    made = _map(images=images)
    figure = plot_data_map(made, thumbnails=30)
    figure.draw_without_rendering()
    axes = figure.axes[0]
    assert 5 < len(axes.images) <= 30
    left, right, bottom, top = np.array([picture.get_extent() for picture in axes.images]).T
    for a in range(len(left)):
        for b in range(a):
            apart = (
                left[a] > right[b] or right[a] < left[b] or bottom[a] > top[b] or top[a] < bottom[b]
            )
            assert apart
    (low_x, high_x), (low_y, high_y) = axes.get_xlim(), axes.get_ylim()
    assert low_x <= left.min() < right.max() <= high_x
    assert low_y <= bottom.min() < top.max() <= high_y
    for picture, x, y in zip(axes.images, (left + right) / 2, (bottom + top) / 2, strict=True):
        point = int(np.linalg.norm(made.points - (x, y), axis=1).argmin())
        np.testing.assert_allclose(made.points[point], (x, y), atol=1e-6)
        image = images[point]
        np.testing.assert_array_equal(
            picture.get_array(), image[0] if len(image) == 1 else image.transpose(1, 2, 0)
        )
    pixels = (right - left)[0] / (top - bottom)[0]
    box = axes.get_window_extent()
    pixels *= (box.width / (high_x - low_x)) / (box.height / (high_y - low_y))
    assert pixels == pytest.approx(shape[2] / shape[1], rel=0.01)


@pytest.mark.parametrize("stretched", [(1, 1), (1.25, 1), (1, 8), (0, 1)])
@pytest.mark.parametrize("explained", [(0.6, 0.2), None])
@pytest.mark.parametrize("shape", [(1, 8, 8), (1, 20, 60)])
def test_thumbnails_at_the_edges_are_whole(
    stretched: tuple[float, float], explained: tuple[float, float] | None, shape: tuple[int, ...]
) -> None:
    images = np.zeros((120, *shape), np.uint8)
    for seed in range(2):
        points = np.random.default_rng(seed).uniform(size=(120, 2)) * stretched
        made = _map(points=points, images=images, explained=explained, perplexity=7.5)
        figure = plot_data_map(made, thumbnails=30)
        figure.draw_without_rendering()
        axes = figure.axes[0]
        inside = axes.get_window_extent()
        assert len(axes.images) > 3
        for picture in axes.images:
            box = picture.get_window_extent()
            assert inside.x0 < box.x0 < box.x1 < inside.x1
            assert inside.y0 < box.y0 < box.y1 < inside.y1
            size = max(box.width, box.height) / figure.dpi
            assert size == pytest.approx(0.46, rel=0.01)


def test_spread_takes_what_has_room() -> None:
    places = np.array([[0.0, 0.0], [0.1, 0.0], [5.0, 0.0], [5.0, 0.5], [2.0, 3.0]])
    chosen = spread(places, 10, (1.0, 1.0))
    assert len(chosen) == 3
    assert len(set(chosen.tolist()) & {0, 1}) == len(set(chosen.tolist()) & {2, 3}) == 1
    assert 4 in chosen
    assert len(spread(places, 2, (1.0, 1.0))) == 2
    assert len(spread(np.zeros((4, 2)), 4, (1.0, 1.0))) == 1


def test_names_of_classes_are_drawn_as_they_are() -> None:
    names = ("_hidden", "$x_1$ and $", "two\nlines")
    figure = plot_data_map(_map(class_names=names, data="$\\bad", explained=None, perplexity=7.5))
    figure.savefig(io.BytesIO(), format="png")
    assert [text.strip() for text in _legend(figure)][:3] == [
        "_hidden",
        "$x_1$ and $",
        "two lines",
    ]
    assert "perplexity 7.5" in figure.axes[0].get_xlabel()


def test_without_predictions_there_are_no_mistakes() -> None:
    figure = plot_data_map(_map(predicted=None), thumbnails=3)
    assert _legend(figure) == ["class 0", "class 1", "class 2"]
    assert len(figure.axes[0].collections) == 3


def test_thumbnails_cannot_be_fewer_than_none() -> None:
    with pytest.raises(ArgumentError, match="received -1"):
        plot_data_map(_map(), thumbnails=-1)
