"""Preprocessing as ONNX nodes: what Pillow does to an image, to the last bit.

ONNX has an operator of its own, `Resize`. Its `antialias` means other things to other programs, and
it knows no box, which cropping needs. So the image is multiplied by the weights that Pillow gives
each pixel: matrices that the graph makes for the size of the image it is given. They are whole
numbers, as in Pillow, and their products are exact in float64.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from lamplighter.errors import ExportError
from lamplighter.saving.nodes import Nodes

if TYPE_CHECKING:
    from lamplighter.images.preprocessing import Preprocessing

_SUPPORT = {"bilinear": 1.0, "bicubic": 2.0}  # pixels that a filter reaches, on each side
# Rows and columns of the result that are computed at a time. Most weights of a row are 0: of the
# image no more is read than what a block of rows needs.
_BLOCK = 56
_ONE = float(2**22)  # what Pillow takes for 1 in its weights: PRECISION_BITS in Resample.c
_GREY = np.array([19595.0, 38470.0, 7471.0]) / 2**16  # of red, green and blue: Convert.c
_FLOAT32, _INT64, _FLOAT64 = 1, 7, 11  # ONNX's numbers of the types


@dataclass(frozen=True)
class _Side:
    """Where the pixels of one side of the result come from; all names of float64 scalars.

    Attributes:
        length: pixels of the image.
        start: where the part that is scaled begins, in pixels.
        scale: pixels of the image for one of the result.
        first: which pixel of the scaled image is the first of the result; less than 0 for bars.
        scaled: pixels of the scaled image.
    """

    length: str
    start: str
    scale: str
    first: str
    scaled: str


@dataclass(frozen=True)
class _Block:
    """Some pixels of one side of the result; all names.

    Attributes:
        begin: the first pixel of the image that they are made of, int64, shape (1,).
        end: the one after the last.
        weights: how much each counts, times 2 ** 22, shape (b, m).
    """

    begin: str
    end: str
    weights: str


@dataclass(frozen=True)
class _Pass:
    """The scaling of one axis, 2 or 3 of (N, C, H, W), block by block."""

    axis: int
    blocks: list[_Block]


def write_preprocessing(node: Nodes, wanted: Preprocessing, images: str) -> str:
    """Write the nodes of `wanted` and return the name of the network's input (N, C, H, W).

    Args:
        node: what they are written to.
        wanted: the preprocessing; one that finds a digit cannot be written.
        images: the name of uint8 images (N, h, w, 3) of any one size.

    Raises:
        ExportError: a digit is to be found first.
    """
    if wanted.find_digit:
        raise ExportError(
            "the preprocessing finds a digit in the image first, which is not written in ONNX; "
            "export for images that have the form of MNIST already (as_is, --as-is), or without "
            "the preprocessing."
        )
    shape = node("Shape", images)
    height, width = (
        node("Cast", node("Gather", shape, np.int64(axis)), to=_FLOAT64) for axis in (1, 2)
    )
    rows, columns = _sides(node, wanted, height, width)
    planes = node("Transpose", images, perm=[0, 3, 1, 2])  # (N, 3, h, w)
    support = _SUPPORT[wanted.interpolation]
    down = _Pass(2, _blocks(node, rows, wanted.height, support))
    across = _Pass(3, _blocks(node, columns, wanted.width, support))
    seen = _in_order(node, planes, down, across, _is_tall(node, rows, columns))  # (N, 3, H, W)
    if wanted.channels == 1:
        weighed = node("Mul", seen, _GREY.reshape(3, 1, 1))
        grey = node("ReduceSum", weighed, np.array([1]), keepdims=1)
        seen = node("Floor", node("Add", grey, np.float64(0.5)))  # (N, 1, H, W)
    return write_normalisation(node, wanted, node("Cast", seen, to=_FLOAT32))


def write_normalisation(node: Nodes, wanted: Preprocessing, pixels: str) -> str:
    """Write what `Preprocessing.normalise` does to float32 `pixels` (N, C, H, W), 0..255."""
    mean = np.array(wanted.mean, dtype=np.float32).reshape(-1, 1, 1)
    std = np.array(wanted.std, dtype=np.float32).reshape(-1, 1, 1)
    return node("Div", node("Sub", node("Div", pixels, np.float32(255)), mean), std)


def _sides(node: Nodes, wanted: Preprocessing, height: str, width: str) -> tuple[_Side, _Side]:
    """Return where the rows and the columns of the result come from."""
    zero = np.float64(0)
    size = np.float64(wanted.height), np.float64(wanted.width)
    if wanted.fit == "crop" and wanted.crop_pct == 1:
        return _box(node, wanted, height, width)
    if wanted.fit == "squash":
        scaled = [node("Identity", side) for side in size]
        first = [node("Identity", zero)] * 2
    elif wanted.fit == "letterbox":
        ratios = [
            node("Div", side, length) for side, length in zip(size, (height, width), strict=True)
        ]
        ratio = node("Min", *ratios)
        scaled = [
            node("Max", node("Round", node("Mul", length, ratio)), np.float64(1))
            for length in (height, width)
        ]
        bars = [
            _half(node, node("Sub", side, part)) for side, part in zip(size, scaled, strict=True)
        ]
        first = [node("Neg", node("Round", bar)) for bar in bars]
    else:
        scaled = _scaled_to_crop(node, wanted, height, width)
        first = [
            node("Round", _half(node, node("Sub", whole, side)))
            for whole, side in zip(scaled, size, strict=True)
        ]
    start = node("Identity", zero)
    lengths = (height, width)
    rows, columns = (
        _Side(lengths[i], start, node("Div", lengths[i], scaled[i]), first[i], scaled[i])
        for i in (0, 1)
    )
    return rows, columns


def _half(node: Nodes, length: str) -> str:
    return node("Mul", length, np.float64(0.5))


def _scaled_to_crop(node: Nodes, wanted: Preprocessing, height: str, width: str) -> list[str]:
    """Return height and width of the whole image scaled, as `Preprocessing` rounds them."""
    down, across = (math.floor(side / wanted.crop_pct) for side in (wanted.height, wanted.width))
    if across == down:
        shorter = node("Min", height, width)
        return [
            node("Floor", node("Div", node("Mul", length, np.float64(across)), shorter))
            for length in (height, width)
        ]
    ratio = node(
        "Min", node("Div", width, np.float64(across)), node("Div", height, np.float64(down))
    )
    return [node("Round", node("Div", length, ratio)) for length in (height, width)]


def _box(node: Nodes, wanted: Preprocessing, height: str, width: str) -> tuple[_Side, _Side]:
    """Return the sides of the largest box of the wanted ratio: Pillow's `ImageOps.fit`."""
    wanted_ratio = np.float64(wanted.width / wanted.height)
    ratio = node("Div", width, height)
    is_wide = node("Greater", ratio, wanted_ratio)
    is_tall = node("Less", ratio, wanted_ratio)
    kept_width = node("Where", is_wide, node("Mul", height, wanted_ratio), width)
    kept_height = node("Where", is_tall, node("Div", width, wanted_ratio), height)
    found = []
    for length, kept, side in (
        (height, kept_height, wanted.height),
        (width, kept_width, wanted.width),
    ):
        start = _half(node, node("Sub", length, kept))
        # Pillow hands the box over in float32.
        low, high = (node("Cast", edge, to=_FLOAT32) for edge in (start, node("Add", start, kept)))
        extent = node("Cast", node("Sub", high, low), to=_FLOAT64)
        found.append(
            _Side(
                length,
                node("Cast", low, to=_FLOAT64),
                node("Div", extent, np.float64(side)),
                node("Identity", np.float64(0)),
                node("Identity", np.float64(side)),
            )
        )
    return found[0], found[1]


def _blocks(node: Nodes, side: _Side, count: int, support: float) -> list[_Block]:
    """Return what `count` pixels of one side of the result are made of.

    As `precompute_coeffs` and `normalize_coeffs_8bpc` of Pillow: weights in 22 bits.
    """
    stretch = node("Max", side.scale, np.float64(1))  # a filter is widened to scale down
    reach = node("Mul", stretch, np.float64(support))
    blocks = []
    for low in range(0, count, _BLOCK):
        places = np.arange(low, min(low + _BLOCK, count), dtype=np.float64)
        pixels = node("Add", places, side.first)  # which of the scaled image, (b,)
        middles = node("Mul", node("Add", pixels, np.float64(0.5)), side.scale)
        centres = node("Add", node("Reshape", middles, np.array([-1, 1])), side.start)  # (b, 1)
        ends = [
            node("Floor", node("Add", node(turn, centres, reach), np.float64(0.5)))
            for turn in ("Sub", "Add")
        ]
        window = _window(node, ends, side.length)
        weights = _weights(node, window, centres, ends, stretch, support)  # (b, m)
        inside = node(
            "And",
            node("GreaterOrEqual", pixels, np.float64(0)),
            node("Less", pixels, side.scaled),
        )
        column = node("Reshape", inside, np.array([-1, 1]))
        kept = node("Where", column, weights, np.float64(0))  # bars are black
        begin, end = (
            node("Reshape", node("Cast", edge, to=_INT64), np.array([1])) for edge in window
        )
        blocks.append(_Block(begin, end, kept))
    return blocks


def _window(node: Nodes, ends: list[str], length: str) -> tuple[str, str]:
    """Return the first pixel that a block needs, and the one after the last: at least one."""
    least = node("ReduceMin", ends[0], keepdims=0)
    most = node("ReduceMax", ends[1], keepdims=0)
    last = node("Sub", length, np.float64(1))
    begin = node("Min", node("Max", least, np.float64(0)), last)
    end = node("Max", node("Min", most, length), node("Add", begin, np.float64(1)))
    return begin, end


def _weights(
    node: Nodes,
    window: tuple[str, str],
    centres: str,
    ends: list[str],
    stretch: str,
    support: float,
) -> str:
    """Return how much each pixel (m) of a window counts for each of the result (b), shape (b, m).

    Whole numbers, of which each row adds up to 2 ** 22.
    """
    pixels = node("Range", *window, np.float64(1))  # (m,)
    distances = node("Abs", node("Add", node("Sub", pixels, centres), np.float64(0.5)))  # (b, m)
    scaled = node("Mul", distances, node("Div", np.float64(1), stretch))
    values = _bicubic(node, scaled) if support > 1 else _bilinear(node, scaled)
    near = node("And", node("GreaterOrEqual", pixels, ends[0]), node("Less", pixels, ends[1]))
    values = node("Where", near, values, np.float64(0))
    shares = node("Div", values, node("ReduceSum", values, np.array([1]), keepdims=1))
    wide = node("Mul", shares, np.float64(_ONE))
    rounded = node("Floor", node("Add", node("Abs", wide), np.float64(0.5)))
    return node("Mul", rounded, node("Sign", wide))


def _bilinear(node: Nodes, x: str) -> str:
    """Return 1 - x, and 0 from x = 1 on."""
    return node("Max", node("Sub", np.float64(1), x), np.float64(0))


def _bicubic(node: Nodes, x: str) -> str:
    """Return Keys' cubic convolution (1981) with a = -0.5, as Pillow has it."""

    def polynomial(*factors: float) -> str:
        value = node("Mul", x, np.float64(factors[0]))
        for factor in factors[1:-1]:
            value = node("Mul", node("Add", value, np.float64(factor)), x)
        return node("Add", value, np.float64(factors[-1]))

    near = polynomial(1.5, -2.5, 0, 1)
    far = node("Mul", polynomial(1, -5, 8, -4), np.float64(-0.5))
    beyond = node("Where", node("Less", x, np.float64(2)), far, np.float64(0))
    return node("Where", node("Less", x, np.float64(1)), near, beyond)


def _is_tall(node: Nodes, rows: _Side, columns: _Side) -> str | None:
    """Return whether rows are summed before columns, a name of one bool; None for never.

    Rounding in between makes this show in the last bit. Pillow did columns first until it learned
    to do what is cheaper: see `ImagingResampleInner`.
    """
    if not pillow_chooses_order():
        return None
    fewer_rows = node("Sub", rows.length, rows.scaled)
    fewer_columns = node("Sub", columns.length, columns.scaled)
    twice = node("Mul", fewer_columns, np.float64(2))
    return node(
        "And", node("Greater", fewer_rows, np.float64(0)), node("Greater", fewer_rows, twice)
    )


def pillow_chooses_order() -> bool:
    """Return whether this Pillow scales the rows of a tall image before its columns."""
    noise = np.random.default_rng(0).integers(0, 256, (64, 9), dtype=np.uint8)
    tall = Image.fromarray(noise)
    bicubic = Image.Resampling.BICUBIC
    columns_first = tall.resize((8, 64), bicubic).resize((8, 8), bicubic)
    return tall.resize((8, 8), bicubic).tobytes() != columns_first.tobytes()


def _in_order(node: Nodes, planes: str, down: _Pass, across: _Pass, is_tall: str | None) -> str:
    """Return `planes` (N, C, h, w) scaled along both axes, whole float64 numbers in 0..255."""
    from onnx import helper

    if is_tall is None:
        return _scaled(node, _scaled(node, planes, across), down)
    branches = []
    for name, first, second in (("rows", down, across), ("columns", across, down)):
        own = Nodes(f"{node.prefix}{name}_first/")
        own(
            "Identity", _scaled(own, _scaled(own, planes, first), second), output=f"{own.prefix}end"
        )
        end = helper.make_tensor_value_info(f"{own.prefix}end", _FLOAT64, None)
        branches.append(helper.make_graph(own.nodes, f"{name}_first", [], [end], own.tensors))
    return node("If", is_tall, then_branch=branches[0], else_branch=branches[1])


def _scaled(node: Nodes, planes: str, one: _Pass) -> str:
    """Return `planes` with one axis scaled: sums of weighed pixels, rounded, in 0..255."""
    parts = []
    for block in one.blocks:
        part = node("Slice", planes, block.begin, block.end, np.array([one.axis]))
        exact = node("Cast", part, to=_FLOAT64)
        if one.axis == 2:
            sums = node("MatMul", block.weights, exact)  # (b, m) times (N, C, m, w)
        else:
            sums = node("MatMul", exact, node("Transpose", block.weights, perm=[1, 0]))
        halved = node("Add", sums, np.float64(_ONE / 2))
        whole = node("Floor", node("Mul", halved, np.float64(1 / _ONE)))
        parts.append(node("Clip", whole, np.float64(0), np.float64(255)))
    return parts[0] if len(parts) == 1 else node("Concat", *parts, axis=one.axis)
