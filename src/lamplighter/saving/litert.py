"""LiteRT (TensorFlow Lite) models, written operator by operator from an ONNX graph.

The converters from ONNX to this format need TensorFlow, or fixed versions of packages that
Lamplighter needs in others. A classifier has some thirty kinds of operators: they are written here
with the schema that comes with LiteRT's runtime.

Images are (N, H, W, C) here and (N, C, H, W) in ONNX. A value of four dimensions is kept as its
operator gives it, and turned where another needs it otherwise.
"""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from lamplighter.errors import MissingPackageError, ParityError
from lamplighter.saving.answering_graph import pixels_graph
from lamplighter.saving.graph_reading import (
    ReadGraph,
    Step,
    constant_of,
    padding_of,
    read_graph,
    refused,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from lamplighter.images.preprocessing import Preprocessing
    from lamplighter.models.classifier import Classifier

_TARGET = "LiteRT"
_SIGNATURE = "serving_default"
_LABELS = "labels.txt"
_TO_NHWC, _TO_NCHW = (0, 2, 3, 1), (0, 3, 1, 2)
_LOWEST = float(np.finfo(np.float32).min)


def litert_model(classifier: Classifier, network: bytes) -> bytes:
    """Return a LiteRT model, pixels of the network's own size to probabilities.

    Input: "pixels", float32 (1, H, W, C), 0..255, RGB or grey. Outputs, as those of the signature
    "serving_default": "probabilities" (1, K), calibrated; and, of a classifier that can say
    "unknown", "known" (1,) and "distance" (1,). A zip at its end holds labels.txt, a class name a
    line, as Android's tools expect it.

    Raises:
        ExportError: an operator of the network is not translated.
        MissingPackageError: ai-edge-litert is not installed.
    """
    schema()  # named if it is missing, before any work
    graph = read_graph(pixels_graph(classifier, network), _TARGET)
    content = _Writer(graph).written()
    labels = "".join(f"{' '.join(name.splitlines())}\n" for name in classifier.class_names)
    file = io.BytesIO(content)
    file.seek(0, io.SEEK_END)
    with zipfile.ZipFile(file, "a", zipfile.ZIP_STORED) as archive:
        archive.writestr(zipfile.ZipInfo(_LABELS), labels)
    return file.getvalue()


def schema() -> Any:
    """Return the module of LiteRT's schema.

    Raises:
        MissingPackageError: ai-edge-litert is not installed.
    """
    try:
        from ai_edge_litert import schema_py_generated
    except ImportError as error:
        raise MissingPackageError(
            "LiteRT needs ai-edge-litert, which is not installed; pip install ai-edge-litert.",
            name=error.name,
        ) from error
    return schema_py_generated


class LiteRuntime:
    """Runs a LiteRT model on one thread.

    Args:
        model: as `litert_model` writes it.
        preprocessing: what is done to an image before.

    Raises:
        ParityError: LiteRT does not take the model.
    """

    def __init__(self, model: bytes, preprocessing: Preprocessing) -> None:
        from ai_edge_litert.interpreter import Interpreter, OpResolverType

        self._preprocessing = preprocessing
        try:
            self._interpreter = Interpreter(
                model_content=model,
                num_threads=1,
                # The other ones tell of themselves on stderr.
                experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
            )
            self._run = self._interpreter.get_signature_runner(_SIGNATURE)
        except (RuntimeError, ValueError) as error:
            raise ParityError(f"LiteRT does not take the exported model: {error}") from error

    def __call__(self, image: NDArray[np.uint8]) -> dict[str, NDArray[Any]]:
        """Return what the model says of an image, uint8 (1, h, w, 3)."""
        pixels = self._preprocessing.pixels(Image.fromarray(image[0]))  # (C, H, W)
        given = pixels.transpose(1, 2, 0)[np.newaxis].astype(np.float32)
        try:
            answer: dict[str, NDArray[Any]] = self._run(pixels=given)
        except (RuntimeError, ValueError) as error:
            raise ParityError(f"LiteRT cannot run the exported model: {error}") from error
        return answer


@dataclass(frozen=True)
class _Value:
    """A tensor of the model.

    Attributes:
        index: its number.
        shape: as ONNX has it.
        is_nhwc: whether the model has its channels last; of four dimensions only.
    """

    index: int
    shape: tuple[int, ...]
    is_nhwc: bool = False


class _Writer:
    """Writes a graph as a LiteRT model.

    Args:
        graph: what is written.

    Raises:
        ExportError: an operator is not translated.
    """

    def __init__(self, graph: ReadGraph) -> None:
        self.graph = graph
        self.schema = schema()
        self.model = self.schema.ModelT()
        self.model.version, self.model.description = 3, "lamplighter"
        self.model.buffers = [self.schema.BufferT()]  # the first one is for what is computed
        self.model.operatorCodes, self.codes = [], dict[int, int]()
        self.tensors: list[Any] = []
        self.operators: list[Any] = []
        self.values: dict[str, _Value] = {}
        for name in graph.inputs:
            n, c, h, w = graph.shapes[name]
            index = self.tensor((n, h, w, c), self.schema.TensorType.FLOAT32, name)
            self.values[name] = _Value(index, (n, c, h, w), is_nhwc=True)
        self.inputs = [self.values[name].index for name in graph.inputs]
        for step in graph.steps:
            write = _OPERATORS.get(step.kind)
            if write is None:
                raise refused(step, _TARGET)
            write(self, step)

    def written(self) -> bytes:
        """Return the model."""
        import flatbuffers

        outputs = [self.plain(name).index for name in self.graph.outputs]
        part = self.schema.SubGraphT()
        part.name, part.tensors, part.operators = "main", self.tensors, self.operators
        part.inputs, part.outputs = self.inputs, outputs
        signature = self.schema.SignatureDefT()
        signature.signatureKey, signature.subgraphIndex = _SIGNATURE, 0
        signature.inputs = self._named(self.graph.inputs, self.inputs)
        signature.outputs = self._named(self.graph.outputs, outputs)
        self.model.subgraphs, self.model.signatureDefs = [part], [signature]
        builder = flatbuffers.Builder(2**20)
        builder.Finish(self.model.Pack(builder), b"TFL3")
        return bytes(builder.Output())

    def _named(self, names: Sequence[str], indices: Sequence[int]) -> list[Any]:
        maps = []
        for name, index in zip(names, indices, strict=True):
            one = self.schema.TensorMapT()
            one.name, one.tensorIndex = name, index
            maps.append(one)
        return maps

    # Tensors and operators.

    def tensor(self, shape: Sequence[int], kind: int, name: str = "", buffer: int = 0) -> int:
        """Add a tensor and return its number."""
        tensor = self.schema.TensorT()
        tensor.shape, tensor.type, tensor.buffer = list(shape), kind, buffer
        tensor.name = name or f"value_{len(self.tensors)}"
        tensor.hasRank = True
        self.tensors.append(tensor)
        return len(self.tensors) - 1

    def constant(self, array: NDArray[Any]) -> int:
        """Add a constant and return the number of its tensor; whole numbers become int32."""
        if array.dtype == np.int64:
            array = array.clip(-(2**31), 2**31 - 1).astype(np.int32)
        kind = getattr(self.schema.TensorType, array.dtype.name.upper())
        buffer = self.schema.BufferT()
        buffer.data = np.frombuffer(np.ascontiguousarray(array).tobytes(), dtype=np.uint8)
        self.model.buffers.append(buffer)
        return self.tensor(array.shape, kind, buffer=len(self.model.buffers) - 1)

    def operator(
        self,
        code: str,
        inputs: Sequence[int],
        shape: Sequence[int],
        options: str | None = None,
        *,
        kind: str = "FLOAT32",
        **settings: Any,
    ) -> int:
        """Add an operator of one output and return the number of its tensor."""
        output = self.tensor(shape, getattr(self.schema.TensorType, kind))
        self.operator_into(code, inputs, [output], options, **settings)
        return output

    def operator_into(
        self,
        code: str,
        inputs: Sequence[int],
        outputs: Sequence[int],
        options: str | None = None,
        **settings: Any,
    ) -> None:
        """Add an operator that gives tensors which are there already."""
        number = getattr(self.schema.BuiltinOperator, code)
        if number not in self.codes:
            entry = self.schema.OperatorCodeT()
            entry.builtinCode, entry.deprecatedBuiltinCode = number, min(number, 127)
            entry.version = 1
            self.codes[number] = len(self.model.operatorCodes)
            self.model.operatorCodes.append(entry)
        one = self.schema.OperatorT()
        one.opcodeIndex = self.codes[number]
        one.inputs, one.outputs = list(inputs), list(outputs)
        if options is not None:
            made = getattr(self.schema, f"{options}T")()
            for name, value in settings.items():
                setattr(made, name, value)
            number = getattr(self.schema.BuiltinOptions, options, None)
            if number is None:
                one.builtinOptions2Type = getattr(self.schema.BuiltinOptions2, options)
                one.builtinOptions2 = made
            else:
                one.builtinOptionsType, one.builtinOptions = number, made
        self.operators.append(one)

    # Values of the graph.

    def value(self, name: str) -> _Value:
        """Return a value as it is; of a constant a tensor as ONNX has it."""
        if name not in self.values:
            array = np.asarray(self.graph.constants[name])
            self.values[name] = _Value(self.constant(array), array.shape)
        return self.values[name]

    def plain(self, name: str) -> _Value:
        """Return a value with its dimensions in ONNX's order."""
        value = self.value(name)
        return self._turned(value, _TO_NCHW) if value.is_nhwc else value

    def nhwc(self, name: str) -> _Value:
        """Return a value of four dimensions with its channels last."""
        value = self.value(name)
        return value if value.is_nhwc else self._turned(value, _TO_NHWC)

    def _turned(self, value: _Value, order: tuple[int, ...]) -> _Value:
        to_nhwc = order == _TO_NHWC
        before = self.tensors[value.index]
        shape = [before.shape[axis] for axis in order]
        axes = self.constant(np.array(order, dtype=np.int32))
        index = self.tensor(shape, before.type)
        self.operator_into("TRANSPOSE", [value.index, axes], [index], "TransposeOptions")
        return _Value(index, value.shape, is_nhwc=to_nhwc)

    def gives(self, step: Step, index: int, *, is_nhwc: bool = False, place: int = 0) -> None:
        """Note what a step gives."""
        name = step.outputs[place]
        self.values[name] = _Value(index, self.graph.shapes[name], is_nhwc)

    def shape_of(self, name: str, *, is_nhwc: bool) -> tuple[int, ...]:
        """Return the shape that a value has in the model."""
        shape = self.graph.shapes[name]
        return tuple(shape[axis] for axis in _TO_NHWC) if is_nhwc else shape


def _unary(code: str, options: str | None = None, **settings: Any) -> Callable[..., None]:
    def write(w: _Writer, step: Step) -> None:
        value = w.value(step.inputs[0])
        shape = w.shape_of(step.outputs[0], is_nhwc=value.is_nhwc)
        index = w.operator(code, [value.index], shape, options, **settings)
        w.gives(step, index, is_nhwc=value.is_nhwc)

    return write


def _binary(code: str, options: str | None = None, kind: str = "FLOAT32") -> Callable[..., None]:
    def write(w: _Writer, step: Step) -> None:
        indices, is_nhwc = _aligned(w, step.inputs)
        shape = w.shape_of(step.outputs[0], is_nhwc=is_nhwc)
        w.gives(step, w.operator(code, indices, shape, options, kind=kind), is_nhwc=is_nhwc)

    return write


def _aligned(w: _Writer, names: Sequence[str]) -> tuple[list[int], bool]:
    """Return tensors whose dimensions go together, and whether their channels are last."""
    computed = [w.values[name] for name in names if name not in w.graph.constants]
    is_nhwc = any(value.is_nhwc for value in computed)
    if not is_nhwc or any(len(value.shape) != 4 for value in computed):
        return [w.plain(name).index for name in names], False
    indices = []
    for name in names:
        if name in w.graph.constants:
            array = np.asarray(w.graph.constants[name])
            if array.ndim:
                array = array.reshape((1,) * (4 - array.ndim) + array.shape).transpose(_TO_NHWC)
            indices.append(w.constant(array))
        else:
            indices.append(w.nhwc(name).index)
    return indices, True


def _alias(w: _Writer, step: Step) -> None:
    w.values[step.outputs[0]] = w.value(step.inputs[0])


def _conv(w: _Writer, step: Step) -> None:
    value, settings = w.nhwc(step.inputs[0]), step.settings
    weights = constant_of(w.graph, step, 1, _TARGET)  # (O, I / groups, kh, kw)
    if weights.ndim != 4:
        raise refused(step, _TARGET, f"{weights.ndim - 2} dimensions")
    count, groups = len(weights), settings.get("group", 1)
    bias = np.zeros(count, dtype=np.float32)
    if len(step.inputs) > 2 and step.inputs[2]:
        bias = constant_of(w.graph, step, 2, _TARGET)
    index, padding = _padded(w, step, value, weights.shape[2:], 0.0)
    common = _strides(step) | {"padding": padding}
    dilations = settings.get("dilations", [1, 1])
    common |= {"dilationHFactor": dilations[0], "dilationWFactor": dilations[1]}
    shape = w.shape_of(step.outputs[0], is_nhwc=True)
    if groups == value.shape[1] > 1:
        kernel = w.constant(weights.transpose(1, 2, 3, 0))  # (1, kh, kw, O)
        common["depthMultiplier"] = count // groups
        code, options = "DEPTHWISE_CONV_2D", "DepthwiseConv2DOptions"
    else:
        kernel = w.constant(weights.transpose(0, 2, 3, 1))  # (O, kh, kw, I / groups)
        code, options = "CONV_2D", "Conv2DOptions"
    made = w.operator(code, [index, kernel, w.constant(bias)], shape, options, **common)
    w.gives(step, made, is_nhwc=True)


def _strides(step: Step) -> dict[str, Any]:
    down, across = step.settings.get("strides", [1, 1])
    return {"strideH": down, "strideW": across}


def _padded(
    w: _Writer,
    step: Step,
    value: _Value,
    kernel: Sequence[int],
    fill: float,
    *,
    explicit: bool = False,
) -> tuple[int, int]:
    """Return a tensor that is padded where LiteRT cannot, and how LiteRT pads it."""
    size, window = value.shape[2:], (kernel[0], kernel[1])
    pads = padding_of(step, (size[0], size[1]), window)
    if not any(pads):
        return value.index, w.schema.Padding.VALID
    same = Step(step.kind, (), (), {**step.settings, "auto_pad": "SAME_UPPER"})
    if not explicit and pads == padding_of(same, (size[0], size[1]), window):
        return value.index, w.schema.Padding.SAME
    top, left, bottom, right = pads
    n, c, h, width = value.shape
    shape = (n, h + top + bottom, width + left + right, c)
    amounts = w.constant(np.array([[0, 0], [top, bottom], [left, right], [0, 0]], dtype=np.int32))
    value_of_pads = w.constant(np.array(fill, dtype=np.float32))
    inputs = [value.index, amounts, value_of_pads]
    return w.operator("PADV2", inputs, shape, "PadV2Options"), w.schema.Padding.VALID


def _pool(w: _Writer, step: Step) -> None:
    value, kernel = w.nhwc(step.inputs[0]), step.settings["kernel_shape"]
    is_mean = step.kind == "AveragePool"
    if step.settings.get("ceil_mode") or any(d != 1 for d in step.settings.get("dilations", [1])):
        raise refused(step, _TARGET, "ceil_mode or dilations")
    # SAME leaves the padding out of a mean.
    counts_pads = is_mean and bool(step.settings.get("count_include_pad"))
    fill = 0.0 if is_mean else _LOWEST
    index, padding = _padded(w, step, value, kernel, fill, explicit=counts_pads)
    if is_mean and index != value.index and not counts_pads:
        raise refused(step, _TARGET, "this padding")
    size = {"filterHeight": kernel[0], "filterWidth": kernel[1], "padding": padding}
    shape = w.shape_of(step.outputs[0], is_nhwc=True)
    code = "AVERAGE_POOL_2D" if is_mean else "MAX_POOL_2D"
    made = w.operator(code, [index], shape, "Pool2DOptions", **size, **_strides(step))
    w.gives(step, made, is_nhwc=True)


def _global_mean(w: _Writer, step: Step) -> None:
    value = w.nhwc(step.inputs[0])
    _reduced(w, step, value, [1, 2], keeps=True, code="MEAN")


def _reduction(code: str) -> Callable[..., None]:
    def write(w: _Writer, step: Step) -> None:
        name, keeps = step.inputs[0], bool(step.settings.get("keepdims", 1))
        if len(step.inputs) > 1 and step.inputs[1]:
            axes = [int(axis) for axis in constant_of(w.graph, step, 1, _TARGET)]
        else:
            axes = list(step.settings.get("axes", range(len(w.graph.shapes[name]))))
        value = w.value(name)
        axes = sorted(axis % len(value.shape) for axis in axes)
        if value.is_nhwc and (keeps or axes == [2, 3]):
            axes = [_TO_NHWC.index(axis) for axis in axes]
        else:
            value = w.plain(name)
        _reduced(w, step, value, axes, keeps=keeps, code=code)

    return write


def _reduced(
    w: _Writer, step: Step, value: _Value, axes: list[int], *, keeps: bool, code: str
) -> None:
    is_nhwc = value.is_nhwc and keeps
    shape = w.shape_of(step.outputs[0], is_nhwc=is_nhwc)
    which = w.constant(np.array(axes, dtype=np.int32))
    made = w.operator(code, [value.index, which], shape, "ReducerOptions", keepDims=keeps)
    w.gives(step, made, is_nhwc=is_nhwc)


def _reshape(w: _Writer, step: Step) -> None:
    shape = w.graph.shapes[step.outputs[0]]
    value = w.value(step.inputs[0])
    if value.is_nhwc and value.shape[2:] != (1, 1):
        value = w.plain(step.inputs[0])
    target = w.constant(np.array(shape, dtype=np.int32))
    made = w.operator("RESHAPE", [value.index, target], shape, "ReshapeOptions", newShape=shape)
    w.gives(step, made)


def _transpose(w: _Writer, step: Step) -> None:
    order = tuple(step.settings["perm"])
    value = w.value(step.inputs[0])
    if value.is_nhwc and order == _TO_NHWC:
        w.gives(step, value.index)
    elif not value.is_nhwc and order == _TO_NCHW:
        w.gives(step, value.index, is_nhwc=True)
    else:
        axes = w.constant(np.array(order, dtype=np.int32))
        inputs = [w.plain(step.inputs[0]).index, axes]
        shape = w.graph.shapes[step.outputs[0]]
        w.gives(step, w.operator("TRANSPOSE", inputs, shape, "TransposeOptions"))


def _gemm(w: _Writer, step: Step) -> None:
    settings = step.settings
    if settings.get("transA") or settings.get("alpha", 1) != 1 or settings.get("beta", 1) != 1:
        raise refused(step, _TARGET, "transA, alpha or beta")
    weights = constant_of(w.graph, step, 1, _TARGET)
    rows = weights if settings.get("transB") else weights.T  # (O, I)
    inputs = [w.plain(step.inputs[0]).index, w.constant(rows)]
    if len(step.inputs) > 2 and step.inputs[2]:
        bias = constant_of(w.graph, step, 2, _TARGET)
        inputs.append(w.constant(np.broadcast_to(bias.reshape(-1), (len(rows),))))
    shape = w.graph.shapes[step.outputs[0]]
    w.gives(step, w.operator("FULLY_CONNECTED", inputs, shape, "FullyConnectedOptions"))


def _matmul(w: _Writer, step: Step) -> None:
    inputs = [w.plain(name).index for name in step.inputs]
    shape = w.graph.shapes[step.outputs[0]]
    w.gives(step, w.operator("BATCH_MATMUL", inputs, shape, "BatchMatMulOptions"))


def _clip(w: _Writer, step: Step) -> None:
    value = w.value(step.inputs[0])
    bounds: list[float | None] = [None, None]
    for place in (1, 2):
        if len(step.inputs) > place and step.inputs[place]:
            bounds[place - 1] = float(constant_of(w.graph, step, place, _TARGET).reshape(()))
    index, shape = value.index, w.shape_of(step.outputs[0], is_nhwc=value.is_nhwc)
    if bounds == [0, 6]:
        index = w.operator("RELU6", [index], shape)
    else:
        index = _bounded(w, index, shape, *bounds)
    w.gives(step, index, is_nhwc=value.is_nhwc)


def _bounded(
    w: _Writer, index: int, shape: Sequence[int], low: float | None, high: float | None
) -> int:
    for code, bound in (("MAXIMUM", low), ("MINIMUM", high)):
        if bound is not None:
            limit = w.constant(np.array(bound, dtype=np.float32))
            index = w.operator(code, [index, limit], shape, "MaximumMinimumOptions")
    return index


def _hard_sigmoid(w: _Writer, step: Step) -> None:
    value = w.value(step.inputs[0])
    shape = w.shape_of(step.outputs[0], is_nhwc=value.is_nhwc)
    slope, offset = (
        w.constant(np.array(step.settings.get(name, usual), dtype=np.float32))
        for name, usual in (("alpha", 0.2), ("beta", 0.5))
    )
    index = w.operator("MUL", [value.index, slope], shape, "MulOptions")
    index = w.operator("ADD", [index, offset], shape, "AddOptions")
    w.gives(step, _bounded(w, index, shape, 0.0, 1.0), is_nhwc=value.is_nhwc)


def _gelu(w: _Writer, step: Step) -> None:
    approximate = step.settings.get("approximate", "none") == "tanh"
    _unary("GELU", "GeluOptions", approximate=approximate)(w, step)


def _softmax(w: _Writer, step: Step) -> None:
    value = w.plain(step.inputs[0])
    if step.settings.get("axis", -1) % len(value.shape) != len(value.shape) - 1:
        raise refused(step, _TARGET, "an axis that is not the last")
    made = w.operator("SOFTMAX", [value.index], value.shape, "SoftmaxOptions", beta=1.0)
    w.gives(step, made)


def _batch_norm(w: _Writer, step: Step) -> None:
    value = w.value(step.inputs[0])
    scale, bias, mean, variance = (
        constant_of(w.graph, step, place, _TARGET).astype(np.float64) for place in (1, 2, 3, 4)
    )
    factor = scale / np.sqrt(variance + step.settings.get("epsilon", 1e-5))
    parts = [factor, bias - mean * factor]
    trailing = (1,) * (len(value.shape) - 2)
    if value.is_nhwc:
        trailing = ()
    shape = w.shape_of(step.outputs[0], is_nhwc=value.is_nhwc)
    one, other = (w.constant(part.astype(np.float32).reshape(-1, *trailing)) for part in parts)
    index = w.operator("MUL", [value.index, one], shape, "MulOptions")
    index = w.operator("ADD", [index, other], shape, "AddOptions")
    w.gives(step, index, is_nhwc=value.is_nhwc)


def _layer_norm(w: _Writer, step: Step) -> None:
    value = w.plain(step.inputs[0])
    last = len(value.shape) - 1
    if step.settings.get("axis", -1) % (last + 1) != last:
        raise refused(step, _TARGET, "an axis that is not the last")
    shape, narrow = value.shape, (*value.shape[:-1], 1)
    axis = w.constant(np.array([last], dtype=np.int32))
    epsilon = w.constant(np.array(step.settings.get("epsilon", 1e-5), dtype=np.float32))

    def mean(index: int) -> int:
        return w.operator("MEAN", [index, axis], narrow, "ReducerOptions", keepDims=True)

    centred = w.operator("SUB", [value.index, mean(value.index)], shape, "SubOptions")
    spread = mean(w.operator("SQUARE", [centred], shape))
    spread = w.operator("ADD", [spread, epsilon], narrow, "AddOptions")
    factor = w.operator("RSQRT", [spread], narrow)
    index = w.operator("MUL", [centred, factor], shape, "MulOptions")
    index = w.operator("MUL", [index, w.value(step.inputs[1]).index], shape, "MulOptions")
    if len(step.inputs) > 2 and step.inputs[2]:
        index = w.operator("ADD", [index, w.value(step.inputs[2]).index], shape, "AddOptions")
    w.gives(step, index)


def _concat(w: _Writer, step: Step) -> None:
    axis = step.settings["axis"]
    indices, is_nhwc = _aligned(w, step.inputs)
    axis %= len(w.graph.shapes[step.outputs[0]])
    if is_nhwc:
        axis = _TO_NHWC.index(axis)
    shape = w.shape_of(step.outputs[0], is_nhwc=is_nhwc)
    made = w.operator("CONCATENATION", indices, shape, "ConcatenationOptions", axis=axis)
    w.gives(step, made, is_nhwc=is_nhwc)


def _gather(w: _Writer, step: Step) -> None:
    inputs = [w.plain(name).index for name in step.inputs]
    axis = step.settings.get("axis", 0) % len(w.value(step.inputs[0]).shape)
    shape = w.graph.shapes[step.outputs[0]]
    w.gives(step, w.operator("GATHER", inputs, shape, "GatherOptions", axis=axis))


def _slice(w: _Writer, step: Step) -> None:
    value = w.plain(step.inputs[0])
    starts, ends, axes = (constant_of(w.graph, step, place, _TARGET) for place in (1, 2, 3))
    if len(step.inputs) > 4 and (constant_of(w.graph, step, 4, _TARGET) != 1).any():
        raise refused(step, _TARGET, "a step")
    begin, size = [0] * len(value.shape), list(value.shape)
    for start, end, axis in zip(starts, ends, axes, strict=True):
        first, last, _ = slice(int(start), int(end)).indices(value.shape[axis])
        begin[axis], size[axis] = first, last - first
    inputs = [value.index, *(w.constant(np.array(v, dtype=np.int32)) for v in (begin, size))]
    w.gives(step, w.operator("SLICE", inputs, w.graph.shapes[step.outputs[0]], "SliceOptions"))


def _top_k(w: _Writer, step: Step) -> None:
    value = w.plain(step.inputs[0])
    count = constant_of(w.graph, step, 1, _TARGET).astype(np.int32).reshape(())
    if step.settings.get("axis", -1) % len(value.shape) != len(value.shape) - 1:
        raise refused(step, _TARGET, "an axis that is not the last")
    if not step.settings.get("largest", 1):
        raise refused(step, _TARGET, "the smallest first")
    types = (w.schema.TensorType.FLOAT32, w.schema.TensorType.INT32)
    shape = w.graph.shapes[step.outputs[0]]
    outputs = [w.tensor(shape, kind) for kind in types]
    w.operator_into("TOPK_V2", [value.index, w.constant(count)], outputs, "TopKV2Options")
    for place, index in enumerate(outputs):
        w.gives(step, index, place=place)


def _cast(w: _Writer, step: Step) -> None:
    kinds = {1: "FLOAT32", 6: "INT32", 7: "INT32", 9: "BOOL"}
    if step.settings["to"] not in kinds:
        raise refused(step, _TARGET, "this type")
    value = w.value(step.inputs[0])
    shape = w.shape_of(step.outputs[0], is_nhwc=value.is_nhwc)
    kind = kinds[step.settings["to"]]
    index = w.operator("CAST", [value.index], shape, kind=kind)
    w.gives(step, index, is_nhwc=value.is_nhwc)


_OPERATORS: dict[str, Callable[[_Writer, Step], None]] = {
    "Add": _binary("ADD", "AddOptions"),
    "AveragePool": _pool,
    "BatchNormalization": _batch_norm,
    "Cast": _cast,
    "Clip": _clip,
    "Concat": _concat,
    "Conv": _conv,
    "Div": _binary("DIV", "DivOptions"),
    "Dropout": _alias,
    "Exp": _unary("EXP"),
    "Flatten": _reshape,
    "Gather": _gather,
    "Gelu": _gelu,
    "Gemm": _gemm,
    "GlobalAveragePool": _global_mean,
    "GreaterOrEqual": _binary("GREATER_EQUAL", kind="BOOL"),
    "HardSigmoid": _hard_sigmoid,
    "HardSwish": _unary("HARD_SWISH"),
    "Identity": _alias,
    "LayerNormalization": _layer_norm,
    "LessOrEqual": _binary("LESS_EQUAL", kind="BOOL"),
    "Log": _unary("LOG"),
    "MatMul": _matmul,
    "Max": _binary("MAXIMUM", "MaximumMinimumOptions"),
    "MaxPool": _pool,
    "Min": _binary("MINIMUM", "MaximumMinimumOptions"),
    "Mul": _binary("MUL", "MulOptions"),
    "Neg": _unary("NEG"),
    "ReduceMean": _reduction("MEAN"),
    "ReduceSum": _reduction("SUM"),
    "Relu": _unary("RELU"),
    "Reshape": _reshape,
    "Sigmoid": _unary("LOGISTIC"),
    "Slice": _slice,
    "Softmax": _softmax,
    "Sqrt": _unary("SQRT"),
    "Squeeze": _reshape,
    "Sub": _binary("SUB", "SubOptions"),
    "Tanh": _unary("TANH"),
    "TopK": _top_k,
    "Transpose": _transpose,
    "Unsqueeze": _reshape,
}
