import itertools

import matplotlib as mpl
import numpy as np
import pytest

from lamplighter.errors import MissingPackageError
from lamplighter.explain.style import (
    DIVERGING,
    SEQUENTIAL,
    axes_grid,
    image_grid,
    new_page,
    scale_of,
)


def pictures(count: int, height: int = 28, width: int = 28) -> list[np.ndarray]:
    generator = np.random.default_rng(0)
    return [generator.normal(size=(height, width)) for _ in range(count)]


def texts(figure):
    found = [axes.title for axes in figure.axes]
    if figure._suptitle is not None:
        found.append(figure._suptitle)
    for axes in figure.axes:
        found += [axes.xaxis.label, axes.yaxis.label, *axes.texts]
        for axis, (low, high) in ((axes.xaxis, axes.get_xlim()), (axes.yaxis, axes.get_ylim())):
            ticks = zip(axis.get_ticklocs(), axis.get_ticklabels(), strict=True)
            found += [label for place, label in ticks if low <= place <= high]
    return [text for text in found if text.get_text()]


def check_layout(figure) -> None:
    """Nothing leaves the figure, no words overlap one another or a picture."""
    figure.draw_without_rendering()
    renderer = figure.canvas.get_renderer()
    boxes = [text.get_window_extent(renderer) for text in texts(figure)]
    page = figure.bbox
    for box in boxes:
        assert box.x0 >= page.x0 - 1
        assert box.x1 <= page.x1 + 1
        assert box.y0 >= page.y0 - 1
        assert box.y1 <= page.y1 + 1
    for one, other in itertools.combinations(boxes, 2):
        assert not one.overlaps(other)
    cells = [axes.get_window_extent(renderer) for axes in figure.axes]
    for cell in cells:
        for box in boxes:
            assert not box.overlaps(cell)
    for one, other in itertools.combinations(cells, 2):
        assert not one.overlaps(other)


@pytest.mark.parametrize("count", [1, 2, 7, 33])
@pytest.mark.parametrize("size", [(28, 28), (30, 100), (90, 30)])
def test_words_and_pictures_keep_apart_on_a_page(count, size):
    names = [f"a long name, number {number}\nand a second line of it" for number in range(count)]
    figure = image_grid(
        pictures(count, *size),
        titles=names,
        title="features.0: a title that needs more than the width of such a figure, and then some",
        label="how strongly each pixel moves the score",
    )
    width, height = figure.get_size_inches()
    assert width <= 7.3
    assert height <= 40
    check_layout(figure)


@pytest.mark.parametrize("shape", [(240, 800), (28, 28)])
@pytest.mark.parametrize("cmap", [SEQUENTIAL, DIVERGING])
def test_what_the_colours_are_is_written_in_full_however_flat_the_figure_is(shape, cmap):
    label = "change of score per change of pixel, share of 99th percentile"
    values = np.linspace(-1, 1, shape[0] * shape[1]).reshape(shape)
    figure = image_grid([values], titles=["one"], label=label, cmap=cmap)
    bar = figure.axes[-1]
    assert (bar.get_xlabel() or bar.get_ylabel()).replace("\n", " ") == label
    ticks = bar.get_xticks() if bar.get_xlabel() else bar.get_yticks()
    if cmap == DIVERGING:
        assert list(ticks) == [-1, -0.5, 0, 0.5, 1]
    check_layout(figure)


def test_without_words_and_scale():
    figure = image_grid(pictures(4))
    assert len(figure.axes) == 4
    assert texts(figure) == []
    check_layout(figure)


def test_pictures_are_white_with_dark_text_whatever_the_style_is():
    with mpl.rc_context({"figure.facecolor": "black", "text.color": "white"}):
        mpl.rcParams.update({"axes.labelcolor": "white", "ytick.color": "white"})
        figure = image_grid(pictures(2), titles=["a", "b"], title="t", label="l")
        figure.canvas.draw()
    assert figure.get_facecolor() == (1, 1, 1, 1)
    for text in texts(figure):
        assert mpl.colors.to_hex(text.get_color()) == "#1a1a1a", text.get_text()


def test_all_values_have_one_scale_and_small_pixels_are_squares():
    images = [np.zeros((4, 4)), np.full((4, 4), 5.0), np.full((4, 4), -2.0)]
    figure = image_grid(images, label="x")
    drawn = [axes.images[0] for axes in figure.axes[:3]]
    assert {picture.get_clim() for picture in drawn} == {(-2.0, 5.0)}
    assert {picture.get_interpolation() for picture in drawn} == {"nearest"}
    assert {picture.cmap.name for picture in drawn} == {SEQUENTIAL}
    centred = image_grid(images, cmap=DIVERGING)
    assert centred.axes[1].images[0].get_clim() == (-5.0, 5.0)


def test_colours_are_not_mixed_where_a_large_map_is_made_small():
    """Yellow beside purple is green in between, not orange."""
    checks = np.indices((500, 500)).sum(axis=0) % 2.0
    figure = image_grid([checks], limits=(0, 1))
    figure.canvas.draw()
    pixels = np.asarray(figure.canvas.buffer_rgba())[..., :3].reshape(-1, 3).astype(int)
    middle = pixels[np.abs(pixels - pixels.mean(axis=0)).sum(axis=1).argsort()]
    inside = middle[(middle.max(axis=1) - middle.min(axis=1)) > 40]  # neither paper nor frame
    assert len(inside)
    assert (inside[:, 1] >= inside[:, 0]).mean() > 0.99  # green is more than red


def test_maps_over_pictures():
    photos = [np.zeros((40, 60, 3), np.uint8)] * 2
    figure = image_grid(photos, overlays=[None, np.eye(3)], titles=["image", "map"], label="score")
    first, second, bar = figure.axes
    assert len(first.images) == 1
    below, above = second.images
    assert (above.get_alpha(), above.get_clim()) == (0.6, (0, 1))
    assert below.get_extent() == above.get_extent()
    assert bar.get_ylabel() == "score"
    check_layout(figure)


def test_the_scale_points_where_values_are_beyond_it():
    image = np.linspace(-1, 9, 100).reshape(10, 10)

    def ends(limits):
        figure = image_grid([image], label="x", limits=limits)
        return figure.axes[-1]._colorbar.extend

    assert ends((-1, 9)) == "neither"
    assert ends((0, 9)) == "min"
    assert ends((-2, 5)) == "max"
    assert ends((0, 5)) == "both"


def test_scales():
    values = [np.array([1.0, np.nan, 3.0]), np.array([-4.0])]
    assert scale_of(values) == (-4, 3)
    assert scale_of(values, centred=True) == (-4, 4)
    assert scale_of([np.zeros(3)]) == (0, 1)
    assert scale_of([np.zeros(3)], centred=True) == (-1, 1)
    assert scale_of([np.array([np.nan])]) == (0, 1)
    assert scale_of([]) == (0, 1)
    many = [np.r_[np.linspace(-1, 2, 999), 1000.0]]
    low, high = scale_of(many, share=0.99)
    assert (low, high) == (pytest.approx(-1, abs=0.05), pytest.approx(2, abs=0.05))
    low, high = scale_of(many, share=0.99, centred=True)
    assert -low == high == pytest.approx(2, abs=0.05)
    rare = [np.r_[np.zeros(1000), 5.0]]  # a quantile of 0 would leave no scale
    assert scale_of(rare, share=0.9) == (0, 5)
    assert scale_of(rare, share=0.9, centred=True) == (-5, 5)


def test_columns_can_be_chosen():
    grid = axes_grid(6, columns=2)
    left = {round(cell.get_position().x0, 6) for cell in grid.cells}
    assert len(left) == 2
    assert grid.bar is None


def test_without_matplotlib(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "matplotlib.figure", None)
    with pytest.raises(MissingPackageError, match="plots need matplotlib"):
        new_page(1, 1)
