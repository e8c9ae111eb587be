"""Page detection: leaves out desk, frame and shadow around a sheet with a digit."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lamplighter.errors import ImageError
from lamplighter.images.digits.connected_components import (
    Blob,
    blobs,
    components,
    convexity,
    edge,
    filled,
    grown,
    holds_square,
    is_straight,
    rectangularity,
    shrunk,
)
from lamplighter.images.digits.foreground import OR_TURN_OFF, WEAK, View, look

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray
    from PIL import Image

    Mask = NDArray[np.bool_]

_DEEPEST = 3  # surroundings in surroundings: a desk, a sheet on it, a box on that
_LEAST_PART = 50  # pixels in which a digit is looked for
_LONG, _COVERING = 0.12, 0.25  # least length and most area of a digit, of the part it stands in
_BROAD = 0.33  # side of a square that no stroke holds, as a share of the digit's long side
_LARGE = (0.1, 0.5)  # area of a sheet or a shadow, of the picture: of more it is the ground
_ENCLOSED = 0.4  # long side of what no zero has inside, as a share of the zero's
_LEAST_HOLE = 5  # long side, in pixels, of what can be told to be a stroke
_CORNERED = 0.94  # area of a sheet, of the rectangle about it; thick digits covered up to 0.89
_THIN = (0.2, 0.3)  # area of a stroke, of the square of its length: without and with corners
_COMPACT = 0.75  # area of the hole of a digit, of its convex hull


def find_part(image: Image.Image) -> tuple[Mask, View]:
    """Return the part of `image` whose ground the digit stands on, (H, W), and the view of it.

    A digit stands free of the edge of its ground. So what is joined to the edge (a desk, a
    shadow) is left out, and of what surrounds (a sheet, a frame) the inside is taken, as long as
    a digit stands free in what remains.

    Raises:
        ImageError: nothing stands out from the background.
    """
    part = np.ones((image.height, image.width), dtype=np.bool_)
    view = look(image, part)
    for _ in range(_DEEPEST):
        for inner in _narrower(view, part):
            inner_view = _free(image, inner, view)
            if inner_view is not None:
                part, view = inner, inner_view
                break
        else:
            break
    return part, view


def _narrower(view: View, part: Mask) -> Iterator[Mask]:
    """Yield what `part` (H, W) leaves without its outer patch, the longest, and what that holds."""
    outer = max(view.blobs, key=lambda blob: blob.box.long_side)
    joined = _joined(view, part)
    # At the edge of a sheet or a box anything is a remnant of it; at that of the picture a small
    # patch may be a piece of the digit.
    if outer.label in joined or (any(joined) and not part.all()):
        yield part & ~grown(np.isin(view.labels, list(joined - {0})))
    inside = filled(grown(view.labels == outer.label)) & part
    if _encloses(inside, outer, view) or (
        is_straight(inside) and _holds_digit(inside, outer, view)
    ):
        yield shrunk(inside)  # so that a frame is joined to its edge


def _encloses(inside: Mask, outer: Blob, view: View) -> bool:
    """Return whether a patch lies `inside` the `outer` one that is too large for a speck."""
    least = _ENCLOSED * outer.box.long_side
    enclosed = _present(view.labels[inside]) - {outer.label}
    return any(blob.box.long_side >= least for blob in view.blobs if blob.label in enclosed)


def _holds_digit(inside: Mask, outer: Blob, view: View) -> bool:
    """Return whether `inside` the `outer` patch there may be a digit, not mere holes."""
    holes = inside & (view.labels != outer.label)
    return bool(_present(view.labels[holes]) - {0}) or holds_writing(inside, holes)


def holds_writing(inside: Mask, holes: Mask) -> bool:
    """Return whether one of the `holes` in what is `inside` a patch, (H, W), is a stroke.

    A stroke is bent, or long and thin. The holes of a digit are neither: those of an 8, a 0 or
    a 6 are compact. With the corners of a sheet about it, a stroke may be as thick as a marker's.
    """
    labels = components(holes)
    thin = _THIN[rectangularity(inside) > _CORNERED]
    for blob in blobs(labels, holes.astype(np.float32)):
        box = blob.box
        part = labels[box.top : box.bottom, box.left : box.right] == blob.label
        is_thin = blob.ink < thin * box.long_side**2
        if box.long_side >= _LEAST_HOLE and (is_thin or convexity(part) < _COMPACT):
            return True
    return False


def _free(image: Image.Image, part: Mask, around: View) -> View | None:
    """Return the view of `part` (H, W) if a digit stands free in it, as clear as in `around`."""
    if part.sum() < _LEAST_PART:
        return None
    try:
        view = look(image, part)
    except ImageError:
        return None
    rows, columns = np.nonzero(part)
    least = _LONG * max(np.ptp(rows), np.ptp(columns))
    joined = _joined(view, part)
    free = any(
        blob.box.long_side >= least
        and blob.label not in joined
        and (view.labels == blob.label).sum() < _COVERING * part.sum()  # not the hole of a zero
        for blob in view.blobs
    )
    return view if free and view.peak > WEAK * around.peak else None


def _joined(view: View, part: Mask) -> set[int]:
    """Return the labels of the patches joined to the edge of `part` (H, W), 0 for none."""
    return _present(view.labels[edge(part)])


def _present(labels: NDArray[np.int32]) -> set[int]:
    """Return each of the `labels` once; `np.unique` would import masked arrays for it."""
    return set(np.flatnonzero(np.bincount(labels)).tolist())


def check_strokes(ink: Mask) -> None:
    """Refuse `ink` (H, W), found in a whole picture, that is a sheet or a shadow.

    Raises:
        ImageError: it is large, too broad for strokes, and straight or in a corner.
    """
    rows, columns = np.nonzero(ink)
    side = round(_BROAD * max(np.ptp(rows) + 1, np.ptp(columns) + 1))
    large = _LARGE[0] < ink.mean() < _LARGE[1]
    in_corner = ink[[0, 0, -1, -1], [0, -1, 0, -1]].any()
    if large and holds_square(ink, side) and (in_corner or is_straight(filled(ink))):
        raise ImageError(
            "no digit was found in the image: what stands out is a broad patch, such as a sheet "
            "or a shadow; take the picture in even light with nothing but paper around the digit, "
            f"{OR_TURN_OFF}"
        )
