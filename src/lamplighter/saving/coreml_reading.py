"""Core ML packages read again and computed, where there is no Core ML to run them.

Core ML itself runs on Apple's systems alone. What can be shown elsewhere is that the file that was
written, read back by coremltools and computed by ONNX Runtime as MIL defines its operators, answers
as `predict` does: weights, their layout, and every setting are compared so, Core ML's own
arithmetic is not.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from lamplighter.errors import ParityError
from lamplighter.inference.runtime import GraphRuntime
from lamplighter.saving.answering_graph import DISTANCE, PIXELS, PROBABILITIES
from lamplighter.saving.coreml import quiet_coremltools
from lamplighter.saving.nodes import Nodes

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from lamplighter.images.preprocessing import Preprocessing

_OPSET, _IR_VERSION = 20, 10
_TYPES = {"fp32": 1, "int32": 6, "bool": 9}  # ONNX's numbers of MIL's types
_WEIGHTS = Path("Data", "com.apple.CoreML", "weights")


class ReadCoreml:
    """Computes what a Core ML package says, with ONNX Runtime.

    Args:
        folder: the package.
        preprocessing: what is done to an image before.

    Raises:
        ParityError: the package cannot be read, or holds an operator that is not known here.
    """

    def __init__(self, folder: Path, preprocessing: Preprocessing) -> None:
        self._preprocessing = preprocessing
        with quiet_coremltools() as ct:
            from coremltools.converters.mil.frontend.milproto.load import load

            spec = ct.utils.load_spec(str(folder))
            program = load(
                spec,
                specification_version=spec.specificationVersion,
                file_weights_dir=str(folder / _WEIGHTS),
            )
            self._run = GraphRuntime(_as_onnx(program.functions["main"]))

    def __call__(self, image: NDArray[np.uint8]) -> dict[str, NDArray[Any]]:
        """Return what the model says of an image, uint8 (1, h, w, 3)."""
        pixels = self._preprocessing.pixels(Image.fromarray(image[0]))  # (C, H, W)
        return self._run({PIXELS: pixels[np.newaxis].astype(np.float32)})


def _as_onnx(function: Any) -> bytes:
    """Return a MIL function as an ONNX model."""
    from onnx import TensorProto, helper

    node = Nodes("mil/")
    given = function.inputs[PIXELS]
    names: dict[Any, Any] = {given.name: PIXELS}
    for operation in function.operations:
        if operation.op_type in ("const", "classify"):
            continue
        read = _OPERATORS.get(operation.op_type)
        if read is None:
            raise ParityError(
                f"a Core ML package with the operator {operation.op_type} cannot be proven here; "
                "please report it, and use the format onnx."
            )
        made = read(node, _Arguments(operation, names))
        for output, name in zip(
            operation.outputs, made if isinstance(made, list) else [made], strict=True
        ):
            names[output.name] = name
    outputs = [name for name in (PROBABILITIES, DISTANCE) if name in names]
    for name in outputs:
        node("Identity", names[name], output=name)
    graph = helper.make_graph(
        node.nodes,
        "mil",
        [helper.make_tensor_value_info(PIXELS, TensorProto.FLOAT, list(given.shape))],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
        node.tensors,
    )
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=_IR_VERSION
    )
    content: bytes = model.SerializeToString()
    return content


class _Arguments:
    """What a MIL operator is given, by name."""

    def __init__(self, operation: Any, names: dict[Any, Any]) -> None:
        self._given, self._names = operation.inputs, names

    def __call__(self, name: str) -> Any:
        """Return an input for ONNX: the name of a value, or a constant."""
        return self._known(self._given[name])

    def several(self, name: str) -> list[Any]:
        """Return an input that is a list of values."""
        return [self._known(one) for one in self._given[name]]

    def fixed(self, name: str, usual: Any = None) -> Any:
        """Return the value of a constant input."""
        given = self._given.get(name)
        return usual if given is None else given.val

    def rank(self, name: str) -> int:
        """Return how many dimensions an input has."""
        return int(self._given[name].rank)

    def has(self, name: str) -> bool:
        """Return whether an optional input is given."""
        return self._given.get(name) is not None

    def _known(self, given: Any) -> Any:
        return self._names[given.name] if given.name in self._names else np.asarray(given.val)


def _numbers(values: Any) -> list[int]:
    return [int(value) for value in np.atleast_1d(values)]


def _unary(kind: str) -> Callable[[Nodes, _Arguments], Any]:
    return lambda node, given: node(kind, given("x"))


def _binary(kind: str) -> Callable[[Nodes, _Arguments], Any]:
    return lambda node, given: node(kind, given("x"), given("y"))


def _window(given: _Arguments) -> dict[str, Any]:
    """Return strides and padding; MIL has top, bottom, left, right."""
    settings: dict[str, Any] = {"strides": _numbers(given.fixed("strides", [1, 1]))}
    kind = str(given.fixed("pad_type"))
    if kind == "custom":
        top, bottom, left, right = _numbers(given.fixed("pad"))
        return settings | {"pads": [top, left, bottom, right]}
    return settings | {"auto_pad": {"valid": "VALID", "same": "SAME_UPPER"}[kind]}


def _conv(node: Nodes, given: _Arguments) -> str:
    bias = [given("bias")] if given.has("bias") else []
    return node(
        "Conv",
        given("x"),
        given("weight"),
        *bias,
        dilations=_numbers(given.fixed("dilations", [1, 1])),
        group=int(given.fixed("groups", 1)),
        **_window(given),
    )


def _pool(kind: str) -> Callable[[Nodes, _Arguments], Any]:
    def read(node: Nodes, given: _Arguments) -> str:
        settings = _window(given) | {"kernel_shape": _numbers(given.fixed("kernel_sizes"))}
        if kind == "AveragePool":
            leaves_out = bool(given.fixed("exclude_padding_from_average", False))
            settings["count_include_pad"] = int(not leaves_out)
        return node(kind, given("x"), **settings)

    return read


def _reduction(kind: str) -> Callable[[Nodes, _Arguments], Any]:
    def read(node: Nodes, given: _Arguments) -> str:
        axes = np.array(_numbers(given.fixed("axes")))
        return node(kind, given("x"), axes, keepdims=int(given.fixed("keep_dims", False)))

    return read


def _linear(node: Nodes, given: _Arguments) -> str:
    product = node("MatMul", given("x"), np.asarray(given.fixed("weight")).T)
    return node("Add", product, given("bias")) if given.has("bias") else product


def _matmul(node: Nodes, given: _Arguments) -> str:
    sides = []
    for side in ("x", "y"):
        value = given(side)
        if bool(given.fixed(f"transpose_{side}", False)):
            *order, last, other = range(given.rank(side))
            value = node("Transpose", value, perm=[*order, other, last])
        sides.append(value)
    return node("MatMul", *sides)


def _batch_norm(node: Nodes, given: _Arguments) -> str:
    names = ("gamma", "beta", "mean", "variance")
    epsilon = float(given.fixed("epsilon", 1e-5))
    inputs = [given(name) for name in names]
    return node("BatchNormalization", given("x"), *inputs, epsilon=epsilon)


def _layer_norm(node: Nodes, given: _Arguments) -> str:
    bias = [given("beta")] if given.has("beta") else []
    axis, epsilon = _numbers(given.fixed("axes"))[0], float(given.fixed("epsilon", 1e-5))
    return node("LayerNormalization", given("x"), given("gamma"), *bias, axis=axis, epsilon=epsilon)


def _top_k(node: Nodes, given: _Arguments) -> list[str]:
    count = np.array(_numbers(given.fixed("k")))
    largest = int(not bool(given.fixed("ascending", False)))
    axis = int(given.fixed("axis", -1))
    return node.several("TopK", 2, given("x"), count, axis=axis, largest=largest)


def _slice(node: Nodes, given: _Arguments) -> str:
    begin, size = np.array(given.fixed("begin")), np.array(given.fixed("size"))
    ends = (begin + size).astype(np.int64)
    return node("Slice", given("x"), begin.astype(np.int64), ends, np.arange(len(begin)))


def _gelu(node: Nodes, given: _Arguments) -> str:
    tanh = str(given.fixed("mode", "EXACT")) == "TANH_APPROXIMATION"
    return node("Gelu", given("x"), approximate="tanh" if tanh else "none")


def _reshape(node: Nodes, given: _Arguments) -> str:
    return node("Reshape", given("x"), np.array(_numbers(given.fixed("shape"))))


def _clip(node: Nodes, given: _Arguments) -> str:
    low, high = (np.float32(given.fixed(name)) for name in ("alpha", "beta"))
    return node("Clip", given("x"), low, high)


def _hard_sigmoid(node: Nodes, given: _Arguments) -> str:
    slope, offset = (float(given.fixed(name)) for name in ("alpha", "beta"))
    return node("HardSigmoid", given("x"), alpha=slope, beta=offset)


def _axis(kind: str) -> Callable[[Nodes, _Arguments], Any]:
    def read(node: Nodes, given: _Arguments) -> str:
        inputs = given.several("values") if kind == "Concat" else [given("x")]
        if kind == "Gather":
            inputs.append(given("indices"))
        return node(kind, *inputs, axis=int(given.fixed("axis", -1)))

    return read


_OPERATORS: dict[str, Callable[[Nodes, _Arguments], Any]] = {
    "add": _binary("Add"),
    "avg_pool": _pool("AveragePool"),
    "batch_norm": _batch_norm,
    "cast": lambda node, given: node("Cast", given("x"), to=_TYPES[str(given.fixed("dtype"))]),
    "clip": _clip,
    "concat": _axis("Concat"),
    "conv": _conv,
    "exp": _unary("Exp"),
    "gather": _axis("Gather"),
    "gelu": _gelu,
    "greater_equal": _binary("GreaterOrEqual"),
    "identity": _unary("Identity"),
    "layer_norm": _layer_norm,
    "linear": _linear,
    "log": _unary("Log"),
    "matmul": _matmul,
    "max_pool": _pool("MaxPool"),
    "maximum": _binary("Max"),
    "minimum": _binary("Min"),
    "mul": _binary("Mul"),
    "real_div": _binary("Div"),
    "reduce_mean": _reduction("ReduceMean"),
    "reduce_sum": _reduction("ReduceSum"),
    "relu": _unary("Relu"),
    "relu6": lambda node, given: node("Clip", given("x"), np.float32(0), np.float32(6)),
    "reshape": _reshape,
    "rsqrt": lambda node, given: node("Reciprocal", node("Sqrt", given("x"))),
    "sigmoid": _unary("Sigmoid"),
    "sigmoid_hard": _hard_sigmoid,
    "silu": lambda node, given: node("Mul", given("x"), node("Sigmoid", given("x"))),
    "slice_by_size": _slice,
    "softmax": _axis("Softmax"),
    "sqrt": _unary("Sqrt"),
    "square": lambda node, given: node("Mul", given("x"), given("x")),
    "sub": _binary("Sub"),
    "tanh": _unary("Tanh"),
    "topk": _top_k,
    "transpose": lambda node, given: node(
        "Transpose", given("x"), perm=_numbers(given.fixed("perm"))
    ),
}
