"""An ONNX graph as plain values, for those who write it in another format."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from lamplighter.errors import ExportError
from lamplighter.inference.simplification import simplified_graph

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray


@dataclass(frozen=True)
class Step:
    """One node of a graph.

    Attributes:
        kind: the ONNX operator.
        inputs: names of values; "" where an optional one is left out.
        outputs: names of values.
        settings: the operator's attributes; text as str.
    """

    kind: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    settings: Mapping[str, Any]


@dataclass(frozen=True)
class ReadGraph:
    """A graph for one image, of which all shapes are known.

    Attributes:
        steps: in the order in which they are computed.
        constants: by name.
        shapes: of all values by name.
        inputs: names.
        outputs: names.
    """

    steps: tuple[Step, ...]
    constants: Mapping[str, NDArray[Any]]
    shapes: Mapping[str, tuple[int, ...]]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


def read_graph(graph: bytes, target: str) -> ReadGraph:
    """Return an ONNX model, simplified, for a single image.

    Args:
        graph: an ONNX model whose images are (N, ...).
        target: the format that it is read for, to be named in errors.

    Raises:
        ExportError: the shape of a value is not known before it is computed.
    """
    import onnx
    from onnx import helper, numpy_helper

    simple = simplified_graph(graph, {"N": 1})
    model = onnx.shape_inference.infer_shapes(onnx.load_model_from_string(simple))
    constants = {one.name: numpy_helper.to_array(one) for one in model.graph.initializer}
    shapes = {name: tuple(value.shape) for name, value in constants.items()}
    for port in (*model.graph.input, *model.graph.output, *model.graph.value_info):
        sizes = port.type.tensor_type.shape.dim
        shapes[port.name] = tuple(1 if size.dim_param == "N" else size.dim_value for size in sizes)
    steps = []
    for node in model.graph.node:
        settings = {one.name: _plain(helper.get_attribute_value(one)) for one in node.attribute}
        steps.append(Step(node.op_type, tuple(node.input), tuple(node.output), settings))
        for name in node.output:
            if name and (name not in shapes or 0 in shapes[name]):
                raise ExportError(
                    f"the network cannot be written as {target}: the shape of what {node.op_type} "
                    "gives is not known before it is computed; use the format onnx."
                )
    return ReadGraph(
        tuple(steps),
        constants,
        shapes,
        tuple(port.name for port in model.graph.input),
        tuple(port.name for port in model.graph.output),
    )


def _plain(value: Any) -> Any:
    return value.decode() if isinstance(value, bytes) else value


def padding_of(step: Step, size: tuple[int, int], kernel: tuple[int, int]) -> list[int]:
    """Return the pixels that a convolution or pooling pads: top, left, bottom, right.

    Args:
        step: the node.
        size: height and width of its input.
        kernel: height and width of its window, before dilation.
    """
    settings = step.settings
    kind = settings.get("auto_pad", "NOTSET")
    if kind in ("NOTSET", "VALID"):
        return list(settings.get("pads", [0, 0, 0, 0])) if kind == "NOTSET" else [0, 0, 0, 0]
    strides, dilations = (settings.get(name, [1, 1]) for name in ("strides", "dilations"))
    before, after = [], []
    for axis in (0, 1):
        reach = (kernel[axis] - 1) * dilations[axis] + 1
        steps = -(-size[axis] // strides[axis])
        total = max(0, (steps - 1) * strides[axis] + reach - size[axis])
        less = total // 2
        before.append(less if kind == "SAME_UPPER" else total - less)
        after.append(total - before[-1])
    return before + after


def refused(step: Step, target: str, reason: str = "") -> ExportError:
    """Return the error of an operator that is not written."""
    what = f"the operator {step.kind}" + (f" with {reason}" if reason else "")
    return ExportError(
        f"the network cannot be written as {target}: {what} is not translated; use the format onnx."
    )


def constant_of(graph: ReadGraph, step: Step, place: int, target: str) -> NDArray[Any]:
    """Return the constant that an operator is given as its input number `place`.

    Raises:
        ExportError: that input is no constant.
    """
    name = step.inputs[place] if place < len(step.inputs) else ""
    if name not in graph.constants:
        raise refused(step, target, f"an input {place} that is computed")
    return np.asarray(graph.constants[name])
