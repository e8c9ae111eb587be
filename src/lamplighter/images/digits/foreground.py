"""The foreground of a digit: ink that departs from a smooth background."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from lamplighter.errors import ImageError
from lamplighter.images.digits.connected_components import Blob, blobs, components, grown

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL import Image

    Floats = NDArray[np.float32]
    Mask = NDArray[np.bool_]

WEAK, STRONG = 0.25, 0.55  # ink, and ink that a stroke must have somewhere, of its peak
# How the message ends where no digit is found.
OR_TURN_OFF = (
    "or turn digit finding off (predict --as-is; in Python classifier.preprocessing = "
    "dataclasses.replace(classifier.preprocessing, find_digit=False))."
)
_LEAST_CONTRAST = 10.0  # of ink, in grey levels of 0..255
_ABOVE_NOISE = 4.5  # of ink, in standard deviations of the background
_LINE_SPAN = 0.25  # a ruled line covers all but this share of a row


class View(NamedTuple):
    """What departs from the ground of a part of an image."""

    departure: Floats
    peak: float
    labels: NDArray[np.int32]
    blobs: list[Blob]


def find_ink(view: View) -> Floats:
    """Return the ink of the digit in a view, 0..1, shape (H, W), without lines and specks."""
    departure, peak = view.departure, view.peak
    kept = _kept(view)
    full = float(np.percentile(departure[kept & (departure > STRONG * peak)], 60))
    ink: Floats = np.where(grown(kept), (departure / full).clip(0, 1), 0).astype(np.float32)
    return ink


def look(image: Image.Image, part: Mask) -> View:
    """Return what departs from the ground of `part` (H, W) of `image`, of mode L or RGB.

    Raises:
        ImageError: nothing does.
    """
    if not part.any():
        raise _no_digit()
    departure = _departure(np.atleast_3d(np.asarray(image, dtype=np.float32)), part)
    noise = float(np.quantile(np.abs(departure[part]), 0.3)) / 0.385  # of a normal distribution
    return view_of(departure, noise)


def view_of(departure: Floats, noise: float) -> View:
    """Return the view of what departs from a ground, towards the ink, by `departure` (H, W).

    Args:
        departure: in grey levels, negative away from the ink.
        noise: standard deviation of the ground, in grey levels.

    Raises:
        ImageError: nothing departs clearly.
    """
    least = max(_LEAST_CONTRAST, _ABOVE_NOISE * noise)
    candidates = departure[departure > least]
    if candidates.size < 3:
        raise _no_digit()
    peak = _peak(candidates)
    departure = _without_lines(departure, peak)
    labels = components(departure > max(least / 2 if noise < 1 else least, WEAK * peak))
    strokes = [
        blob for blob in blobs(labels, departure) if _is_stroke(blob, labels, departure, peak)
    ]
    if not strokes:
        raise _no_digit()
    return View(departure, peak, labels, strokes)


def _peak(candidates: Floats) -> float:
    """Return how far ink departs, given all that departs (N,): lines and shadows depart less."""
    for _ in range(2):
        candidates = candidates[candidates >= min(candidates.mean(), candidates.max())]
    return float(candidates.mean())


def _departure(pixels: Floats, part: Mask) -> Floats:
    """Return how far each pixel departs from the background, towards the ink, shape (H, W).

    Colours are projected on the line along which the ink departs most, so that red on green
    is found as well as black on white.
    """
    residual = (pixels - _background(pixels, part)) * part[:, :, np.newaxis]
    vectors = residual.reshape(-1, pixels.shape[2])  # (HW, C)
    length = np.linalg.norm(vectors, axis=1)
    strong = vectors[length >= 0.5 * length.max()]
    direction = np.linalg.eigh(strong.T @ strong)[1][:, -1]  # (C,), of length 1
    along = residual @ direction
    sign = 1.0 if (along**3).sum() >= 0 else -1.0
    # A grey step of one level is sqrt(C) long in C channels.
    departure: Floats = (along * (sign / np.sqrt(pixels.shape[2]))).astype(np.float32)
    return departure


def _background(pixels: Floats, part: Mask) -> Floats:
    """Return the background of `pixels`, a smooth surface in each channel, shape (H, W, C).

    A quadratic, fitted to `part` (H, W) twice, from a light and from a dark guess; the better one
    is that to which more pixels are close, those at the border counting more than the others.
    """
    height, width = pixels.shape[:2]
    step = max(1, max(height, width) // 64)
    y, x = np.meshgrid(np.linspace(-1, 1, height), np.linspace(-1, 1, width), indexing="ij")
    if part[::step, ::step].sum() < 100:  # a narrow part may lie between the samples
        step = 1
    terms = np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], axis=-1)  # (H, W, 6)
    sampled = part[::step, ::step]
    basis = terms[::step, ::step][sampled]  # (N, 6)
    values = pixels[::step, ::step][sampled].astype(np.float64)  # (N, C)
    prior = np.where(np.abs(basis[:, 1:3]).max(axis=1) > 0.86, 2.0, 1.0)

    def closeness(surface: NDArray[np.float64]) -> float:
        distance = np.linalg.norm(values - basis @ surface, axis=1)
        return float((prior / (1 + (distance / 10) ** 2)).sum())

    order = values.sum(axis=1).argsort()
    guesses = [values[order[int(share * (len(order) - 1))]] for share in (0.15, 0.85)]
    surface = max((_surface(basis, values, prior, guess) for guess in guesses), key=closeness)
    result: Floats = (terms @ surface).astype(np.float32)
    return result


def _surface(
    basis: NDArray[np.float64],
    values: NDArray[np.float64],
    prior: NDArray[np.float64],
    guess: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Return the coefficients (6, C) of a robust fit of `values` (N, C) from a constant `guess`.

    Iterated least squares, first of a plane, then of a quadratic, each pixel weighted by its
    `prior` (N,) and by how close it lies to the last fit, so that ink hardly counts.
    """
    surface = np.zeros((basis.shape[1], values.shape[1]))
    surface[0] = guess
    for count in (3, 3, 3, 6, 6, 6, 6):
        distance = np.linalg.norm(values - basis @ surface, axis=1)
        scale = max(2.5 * float(np.quantile(distance, 0.35)), 2.0)
        weighted = basis[:, :count] * (prior / (1 + (distance / scale) ** 2) ** 2)[:, np.newaxis]
        stiff = 1e-3 * weighted[:, 0].sum() * np.eye(count)  # against bends that nothing asks for
        stiff[0, 0] = 1e-9
        surface[:count] = np.linalg.solve(
            weighted.T @ basis[:, :count] + stiff, weighted.T @ values
        )
    return surface


def _without_lines(departure: Floats, peak: float) -> Floats:
    """Return `departure` (H, W) without the faint lines of ruled or squared paper.

    A row or column that departs along most of its length, yet less than ink does, is a line.
    """
    for axis in (1, 0):
        level = np.quantile(departure, _LINE_SPAN, axis=axis, keepdims=True)
        departure = departure - np.where(level < STRONG * peak, level.clip(0), 0)
    return departure.astype(np.float32)


def _kept(view: View) -> Mask:
    """Return where the digit is, shape (H, W): the largest patch and those near it."""
    height, width = view.labels.shape

    def weight(blob: Blob) -> float:
        box = blob.box
        cut = (box.left == 0) + (box.top == 0) + (box.right == width) + (box.bottom == height)
        return float(blob.ink * 0.6**cut)  # the edge of a desk or a shadow runs out of the picture

    main = max(view.blobs, key=weight)
    chosen, around = [main.label], main.box
    for blob in sorted(view.blobs, key=lambda blob: -blob.ink):
        near = around.gap(blob.box) <= 0.25 * around.long_side
        if blob is not main and near and 0.04 * main.ink <= blob.ink and weight(blob) <= main.ink:
            chosen.append(blob.label)
            around = around.joined(blob.box)
    return np.isin(view.labels, chosen)


def _is_stroke(blob: Blob, labels: NDArray[np.int32], departure: Floats, peak: float) -> bool:
    """Return whether `blob` is as dark as ink somewhere and larger than a speck of the grid."""
    box = blob.box
    part = np.s_[box.top : box.bottom, box.left : box.right]
    inside = departure[part][labels[part] == blob.label]
    return bool(inside.max() > STRONG * peak) and box.long_side >= 3


def _no_digit() -> ImageError:
    return ImageError(
        "no digit was found in the image: nothing stands out from the background; take a sharper "
        f"picture of one dark digit on light paper, {OR_TURN_OFF}"
    )
