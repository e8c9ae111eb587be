from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image, ImageDraw

from lamplighter.images.digits.connected_components import (
    components,
    filled,
    holds_square,
    is_straight,
    shrunk,
)


def drawn(shape: str, *points: float, width: int = 0) -> np.ndarray:
    image = Image.new("1", (120, 90))
    options = {"outline": 1, "width": width} if width else {"fill": 1}
    getattr(ImageDraw.Draw(image), shape)(points, **options)
    return np.asarray(image)


@settings(deadline=None)
@given(hnp.arrays(np.bool_, st.tuples(st.integers(1, 12), st.integers(1, 12))))
def test_components_are_those_of_a_flood(mask: np.ndarray) -> None:
    labels = components(mask)
    assert ((labels > 0) == mask).all()
    expected = np.zeros(mask.shape, int)
    for number, start in enumerate(zip(*np.nonzero(mask), strict=True), 1):
        waiting = [start] if not expected[start] else []
        while waiting:
            y, x = waiting.pop()
            inside = 0 <= y < mask.shape[0] and 0 <= x < mask.shape[1]
            if inside and mask[y, x] and not expected[y, x]:
                expected[y, x] = number
                waiting += [(y + i, x + j) for i in (-1, 0, 1) for j in (-1, 0, 1)]
    pairs = set(zip(labels[mask].tolist(), expected[mask].tolist(), strict=True))
    assert len(pairs) == len(set(labels[mask].tolist())) == len(set(expected[mask].tolist()))


def test_what_an_outline_encloses_is_filled() -> None:
    outline = drawn("ellipse", 20, 15, 80, 70, width=4)
    assert (filled(outline) == drawn("ellipse", 20, 15, 80, 70)).all()
    open_outline = outline.copy()
    open_outline[:40, 48:52] = False
    assert (filled(open_outline) == open_outline).all()


def test_a_mask_is_shrunk_from_its_edge_and_from_the_border() -> None:
    assert (shrunk(drawn("rectangle", 10, 10, 60, 50)) == drawn("rectangle", 13, 13, 57, 47)).all()
    assert (shrunk(np.ones((90, 120), bool)) == drawn("rectangle", 3, 3, 116, 86)).all()
    assert not shrunk(np.ones((5, 5), bool)).any()


@pytest.mark.parametrize(
    ("mask", "straight"),
    [
        (drawn("rectangle", 10, 20, 90, 70), True),
        (drawn("polygon", 30, 10, 100, 30, 90, 65, 20, 45), True),
        (drawn("polygon", 0, 0, 90, 0, 0, 70), True),
        (drawn("ellipse", 10, 20, 90, 70), False),
        (drawn("polygon", 10, 10, 90, 10, 10, 80), False),
        (drawn("polygon", 0, 0, 90, 0, 15, 15, 0, 70), False),
    ],
    ids=["sheet", "turned sheet", "corner cut off", "ellipse", "triangle", "bent corner"],
)
def test_sheets_and_corners_are_straight(mask: np.ndarray, *, straight: bool) -> None:
    assert is_straight(mask) == straight


def test_the_largest_square_is_that_of_the_narrow_side() -> None:
    mask = drawn("rectangle", 10, 20, 99, 49)
    assert holds_square(mask, 30)
    assert not holds_square(mask, 31)
    assert not holds_square(mask, 500)
