"""Core ML packages, written operator by operator from an ONNX graph.

coremltools no longer reads ONNX. It writes programs of its own language, MIL, which has an
operator for each that classifiers are made of.
"""

from __future__ import annotations

import logging
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from lamplighter.errors import ExportError, LamplighterError, MissingPackageError
from lamplighter.saving.answering_graph import (
    DISTANCE,
    KNOWN,
    PIXELS,
    PROBABILITIES,
    pixels_graph,
)
from lamplighter.saving.graph_reading import (
    ReadGraph,
    Step,
    constant_of,
    padding_of,
    read_graph,
    refused,
)
from lamplighter.text import first_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from lamplighter.models.classifier import Classifier

_TARGET = "Core ML"
LABEL = "label"


def write_coreml(classifier: Classifier, network: bytes, folder: Path) -> None:
    """Write a Core ML package to `folder`, which must not be there and ends in .mlpackage.

    Input: "pixels", an image of the network's own size, RGB or grey. Outputs: "label", the most
    probable class; "probabilities", by class name, calibrated; and, of a classifier that can say
    "unknown", "distance", to be compared with the metadata's "unknown_above". It computes in
    float32, on iOS 15, macOS 12 and later.

    Raises:
        ExportError: an operator of the network is not translated.
        MissingPackageError: coremltools is not installed.
    """
    with quiet_coremltools() as ct:
        graph = read_graph(pixels_graph(classifier, network), _TARGET)
        try:
            program = _Translation(ct, graph).program
            model = ct.convert(
                program,
                source="milinternal",
                convert_to="mlprogram",
                inputs=[_image(ct, classifier)],
                classifier_config=ct.ClassifierConfig(
                    list(classifier.class_names),
                    predicted_feature_name=LABEL,
                    predicted_probabilities_output=PROBABILITIES,
                ),
                compute_precision=ct.precision.FLOAT32,
                minimum_deployment_target=ct.target.iOS15,
                skip_model_load=True,
            )
        except LamplighterError:
            raise
        except (ValueError, TypeError, RuntimeError, NotImplementedError) as error:
            raise ExportError(
                f"the network cannot be written as {_TARGET}: {first_line(error)}; use the format "
                "onnx."
            ) from error
        model.short_description = f"Image classifier of {classifier.num_classes} classes"
        model.user_defined_metadata["preprocessing"] = classifier.preprocessing.describe()
        trust = classifier.trust
        if trust is not None and trust.threshold is not None:
            model.user_defined_metadata["unknown_above"] = repr(float(trust.threshold))
        model.save(str(folder))


@contextmanager
def quiet_coremltools() -> Iterator[Any]:
    """Give coremltools, which tells of its steps, of other versions of torch and of bars.

    Raises:
        MissingPackageError: it is not installed.
    """
    root = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                import coremltools
                from coremltools.converters.mil.mil.passes import pass_pipeline
                from tqdm import tqdm
            except ImportError as error:
                raise MissingPackageError(
                    "Core ML needs coremltools, which is not installed; pip install coremltools.",
                    name=error.name,
                ) from error
            del pass_pipeline
            bars = tqdm.__init__
            with _without_bars(bars):
                yield coremltools
    finally:
        logging.disable(root)


@contextmanager
def _without_bars(made: Callable[..., None]) -> Iterator[None]:
    """Keep tqdm from drawing, which coremltools has no option for."""
    from functools import partialmethod

    from tqdm import tqdm

    tqdm.__init__ = partialmethod(made, disable=True)
    try:
        yield
    finally:
        tqdm.__init__ = made


def _image(ct: Any, classifier: Classifier) -> Any:
    wanted = classifier.preprocessing
    layout = ct.colorlayout.GRAYSCALE if wanted.channels == 1 else ct.colorlayout.RGB
    shape = (1, wanted.channels, wanted.height, wanted.width)
    return ct.ImageType(name=PIXELS, shape=shape, color_layout=layout)


class _Translation:
    """A graph as a MIL program.

    Args:
        ct: coremltools.
        graph: what is translated.

    Attributes:
        program: the result.

    Raises:
        ExportError: an operator is not translated.
    """

    def __init__(self, ct: Any, graph: ReadGraph) -> None:
        from coremltools.converters.mil import Builder
        from coremltools.converters.mil.mil import Function, Program

        self.mb = Builder
        self.graph = graph
        # The steps behind these give what a Core ML model cannot give: true or false.
        self.values: dict[str, Any] = {}
        given = {name: Builder.TensorSpec(graph.shapes[name]) for name in graph.inputs}
        self.program = Program()
        with Function(
            {name: Builder.placeholder(spec.sym_shape) for name, spec in given.items()},
            opset_version=ct.target.iOS15,
        ) as function:
            self.values.update({name: function.inputs[name] for name in graph.inputs})
            for step in graph.steps:
                if step.outputs[0] != KNOWN:
                    self._translate(step)
            names = [name for name in graph.outputs if name in (PROBABILITIES, DISTANCE)]
            function.set_outputs([self.mb.identity(x=self(n), name=n) for n in names])
            self.program.add_function("main", function)

    def _translate(self, step: Step) -> None:
        write = _OPERATORS.get(step.kind)
        if write is None:
            raise refused(step, _TARGET)
        made = write(self, step)
        results = made if isinstance(made, (tuple, list)) else [made]
        for name, value in zip(step.outputs, results, strict=False):
            self.values[name] = value

    def __call__(self, name: str) -> Any:
        """Return a value of the graph; a constant is made where it is first needed."""
        if name not in self.values:
            return self.constant(self.graph.constants[name])
        return self.values[name]

    def constant(self, array: NDArray[Any]) -> Any:
        """Return a constant as Core ML knows it: float32 or int32."""
        if array.dtype == np.int64:
            array = array.clip(-(2**31), 2**31 - 1).astype(np.int32)
        return self.mb.const(val=np.asarray(array))

    def fixed(self, step: Step, place: int) -> NDArray[Any]:
        """Return the constant that a step is given as input number `place`."""
        return constant_of(self.graph, step, place, _TARGET)

    def has(self, step: Step, place: int) -> bool:
        """Return whether a step is given an optional input."""
        return len(step.inputs) > place and bool(step.inputs[place])

    def shape(self, step: Step) -> tuple[int, ...]:
        """Return the shape of what a step gives."""
        return self.graph.shapes[step.outputs[0]]


def _unary(name: str, **settings: Any) -> Callable[[_Translation, Step], Any]:
    def write(t: _Translation, step: Step) -> Any:
        return getattr(t.mb, name)(x=t(step.inputs[0]), **settings)

    return write


def _binary(name: str) -> Callable[[_Translation, Step], Any]:
    def write(t: _Translation, step: Step) -> Any:
        return getattr(t.mb, name)(x=t(step.inputs[0]), y=t(step.inputs[1]))

    return write


def _conv(t: _Translation, step: Step) -> Any:
    weights, settings = t.fixed(step, 1), step.settings
    if weights.ndim != 4:
        raise refused(step, _TARGET, f"{weights.ndim - 2} dimensions")
    bias = {"bias": t.fixed(step, 2)} if t.has(step, 2) else {}
    return t.mb.conv(
        x=t(step.inputs[0]),
        weight=weights,
        strides=settings.get("strides", [1, 1]),
        dilations=settings.get("dilations", [1, 1]),
        groups=settings.get("group", 1),
        pad_type="custom",
        pad=_pads(t, step, weights.shape[2:]),
        **bias,
    )


def _pads(t: _Translation, step: Step, kernel: Any) -> list[int]:
    """Return padding as MIL has it: top, bottom, left, right."""
    height, width = t.graph.shapes[step.inputs[0]][2:]
    top, left, bottom, right = padding_of(step, (height, width), (kernel[0], kernel[1]))
    return [top, bottom, left, right]


def _pool(t: _Translation, step: Step) -> Any:
    kernel, settings = step.settings["kernel_shape"], step.settings
    if settings.get("ceil_mode") or any(d != 1 for d in settings.get("dilations", [1])):
        raise refused(step, _TARGET, "ceil_mode or dilations")
    common = {
        "x": t(step.inputs[0]),
        "kernel_sizes": kernel,
        "strides": settings.get("strides", [1, 1]),
        "pad_type": "custom",
        "pad": _pads(t, step, kernel),
    }
    if step.kind == "MaxPool":
        return t.mb.max_pool(**common)
    leaves_out = not settings.get("count_include_pad", 0)
    return t.mb.avg_pool(exclude_padding_from_average=leaves_out, **common)


def _reduction(name: str) -> Callable[[_Translation, Step], Any]:
    def write(t: _Translation, step: Step) -> Any:
        if t.has(step, 1):
            axes = [int(axis) for axis in t.fixed(step, 1)]
        else:
            axes = list(step.settings.get("axes", range(len(t.graph.shapes[step.inputs[0]]))))
        keeps = bool(step.settings.get("keepdims", 1))
        return getattr(t.mb, name)(x=t(step.inputs[0]), axes=axes, keep_dims=keeps)

    return write


def _global_mean(t: _Translation, step: Step) -> Any:
    return t.mb.reduce_mean(x=t(step.inputs[0]), axes=[2, 3], keep_dims=True)


def _reshape(t: _Translation, step: Step) -> Any:
    return t.mb.reshape(x=t(step.inputs[0]), shape=list(t.shape(step)))


def _gemm(t: _Translation, step: Step) -> Any:
    settings = step.settings
    if settings.get("transA") or settings.get("alpha", 1) != 1 or settings.get("beta", 1) != 1:
        raise refused(step, _TARGET, "transA, alpha or beta")
    weights = t.fixed(step, 1)
    rows = np.ascontiguousarray(weights if settings.get("transB") else weights.T)  # (O, I)
    bias = {}
    if t.has(step, 2):
        bias["bias"] = np.broadcast_to(t.fixed(step, 2).reshape(-1), (len(rows),)).copy()
    return t.mb.linear(x=t(step.inputs[0]), weight=rows, **bias)


def _clip(t: _Translation, step: Step) -> Any:
    low = float(t.fixed(step, 1).reshape(())) if t.has(step, 1) else float("-inf")
    high = float(t.fixed(step, 2).reshape(())) if t.has(step, 2) else float("inf")
    value = t(step.inputs[0])
    if (low, high) == (0, 6):
        return t.mb.relu6(x=value)
    return t.mb.minimum(x=t.mb.maximum(x=value, y=np.float32(low)), y=np.float32(high))


def _hard_sigmoid(t: _Translation, step: Step) -> Any:
    slope, offset = step.settings.get("alpha", 0.2), step.settings.get("beta", 0.5)
    return t.mb.sigmoid_hard(x=t(step.inputs[0]), alpha=slope, beta=offset)


def _hard_swish(t: _Translation, step: Step) -> Any:
    value = t(step.inputs[0])
    return t.mb.mul(x=value, y=t.mb.sigmoid_hard(x=value, alpha=1 / 6, beta=0.5))


def _gelu(t: _Translation, step: Step) -> Any:
    tanh = step.settings.get("approximate", "none") == "tanh"
    return t.mb.gelu(x=t(step.inputs[0]), mode="TANH_APPROXIMATION" if tanh else "EXACT")


def _softmax(t: _Translation, step: Step) -> Any:
    return t.mb.softmax(x=t(step.inputs[0]), axis=step.settings.get("axis", -1))


def _batch_norm(t: _Translation, step: Step) -> Any:
    scale, bias, mean, variance = (t.fixed(step, place) for place in (1, 2, 3, 4))
    return t.mb.batch_norm(
        x=t(step.inputs[0]),
        mean=mean,
        variance=variance,
        gamma=scale,
        beta=bias,
        epsilon=step.settings.get("epsilon", 1e-5),
    )


def _layer_norm(t: _Translation, step: Step) -> Any:
    last = len(t.shape(step)) - 1
    if step.settings.get("axis", -1) % (last + 1) != last:
        raise refused(step, _TARGET, "an axis that is not the last")
    bias = {"beta": t.fixed(step, 2)} if t.has(step, 2) else {}
    return t.mb.layer_norm(
        x=t(step.inputs[0]),
        axes=[last],
        gamma=t.fixed(step, 1),
        epsilon=step.settings.get("epsilon", 1e-5),
        **bias,
    )


def _concat(t: _Translation, step: Step) -> Any:
    return t.mb.concat(values=[t(name) for name in step.inputs], axis=step.settings["axis"])


def _gather(t: _Translation, step: Step) -> Any:
    axis = step.settings.get("axis", 0)
    return t.mb.gather(x=t(step.inputs[0]), indices=t(step.inputs[1]), axis=axis)


def _slice(t: _Translation, step: Step) -> Any:
    shape = t.graph.shapes[step.inputs[0]]
    if t.has(step, 4) and (t.fixed(step, 4) != 1).any():
        raise refused(step, _TARGET, "a step")
    begin, size = [0] * len(shape), list(shape)
    parts = zip(*(t.fixed(step, place) for place in (1, 2, 3)), strict=True)
    for start, end, axis in parts:
        first, last, _ = slice(int(start), int(end)).indices(shape[axis])
        begin[axis], size[axis] = first, last - first
    return t.mb.slice_by_size(x=t(step.inputs[0]), begin=begin, size=size)


def _top_k(t: _Translation, step: Step) -> Any:
    if not step.settings.get("largest", 1):
        raise refused(step, _TARGET, "the smallest first")
    count = int(t.fixed(step, 1).reshape(()))
    return t.mb.topk(x=t(step.inputs[0]), k=count, axis=step.settings.get("axis", -1))


def _cast(t: _Translation, step: Step) -> Any:
    kinds = {1: "fp32", 6: "int32", 7: "int32", 9: "bool"}
    if step.settings["to"] not in kinds:
        raise refused(step, _TARGET, "this type")
    return t.mb.cast(x=t(step.inputs[0]), dtype=kinds[step.settings["to"]])


def _transpose(t: _Translation, step: Step) -> Any:
    return t.mb.transpose(x=t(step.inputs[0]), perm=step.settings["perm"])


_OPERATORS: dict[str, Callable[[_Translation, Step], Any]] = {
    "Add": _binary("add"),
    "AveragePool": _pool,
    "BatchNormalization": _batch_norm,
    "Cast": _cast,
    "Clip": _clip,
    "Concat": _concat,
    "Conv": _conv,
    "Div": _binary("real_div"),
    "Dropout": _unary("identity"),
    "Exp": _unary("exp"),
    "Flatten": _reshape,
    "Gather": _gather,
    "Gelu": _gelu,
    "Gemm": _gemm,
    "GlobalAveragePool": _global_mean,
    "GreaterOrEqual": _binary("greater_equal"),
    "HardSigmoid": _hard_sigmoid,
    "HardSwish": _hard_swish,
    "Identity": _unary("identity"),
    "LayerNormalization": _layer_norm,
    "Log": _unary("log", epsilon=0.0),
    "MatMul": _binary("matmul"),
    "Max": _binary("maximum"),
    "MaxPool": _pool,
    "Min": _binary("minimum"),
    "Mul": _binary("mul"),
    "ReduceMean": _reduction("reduce_mean"),
    "ReduceSum": _reduction("reduce_sum"),
    "Relu": _unary("relu"),
    "Reshape": _reshape,
    "Sigmoid": _unary("sigmoid"),
    "Slice": _slice,
    "Softmax": _softmax,
    "Sqrt": _unary("sqrt"),
    "Squeeze": _reshape,
    "Sub": _binary("sub"),
    "Tanh": _unary("tanh"),
    "TopK": _top_k,
    "Transpose": _transpose,
    "Unsqueeze": _reshape,
}
