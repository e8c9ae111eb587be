"""Networks of other software as backbones: an ONNX file that gives one vector for each image."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from lamplighter.errors import BundleError, LamplighterError, ModelError, NetworkMissingError
from lamplighter.images.preprocessing import Preprocessing
from lamplighter.inference.graph_check import check_graph
from lamplighter.inference.runtime import OnnxRuntime
from lamplighter.models.classifier import Classifier, Record
from lamplighter.text import first_line

if TYPE_CHECKING:
    from collections.abc import Sequence

    from onnx import ModelProto, ValueInfoProto

    from lamplighter.images.preprocessing import Fit

MOST_BYTES = 2**31  # what one protocol buffer may hold
_IR_VERSION = 10
_FLOAT = 1  # in ONNX's numbers of types
_TRIED = 3  # images at once, to see that their number is free
_GRAPH = "ONNX graph"  # what a bundle says of the class of such a network, with the file's name
_CLOSE = 1e-3  # of values of about 1


def onnx_backbone(
    path: str | Path,
    *,
    size: int | tuple[int, int],
    mean: Sequence[float],
    std: Sequence[float],
    fit: Fit = "squash",
) -> Classifier:
    """Return a classifier whose features are what the network in an ONNX file gives.

    Its "classes" are the numbers of the features: it is for embedding and transfer, not for
    answers. The file is checked as a bundle's graph is: it must be all there, use standard
    operators alone, and nothing in it is run but these.

    Args:
        path: an ONNX model with one float32 input (N, C, H, W) of 1 or 3 channels and one float32
            output, (N, D) or (N, D, 1, 1); of several outputs the one called "features".
        size: (height, width) of the images in pixels, or one number for both.
        mean: what is subtracted from each channel of images in 0..1, one number for each channel.
        std: what each channel is then divided by.
        fit: what happens to an image of another aspect ratio: "crop", "squash" or "letterbox".

    Raises:
        ModelError: the file is none, or not of this form; the message says how to mend it.
        DataError: the preprocessing is out of range.
    """
    import onnx

    path = Path(path)
    height, width = (size, size) if isinstance(size, int) else size
    preprocessing = Preprocessing(
        height=height,
        width=width,
        channels=len(mean),
        mean=tuple(map(float, mean)),
        std=tuple(map(float, std)),
        fit=fit,
        interpolation="bicubic",
    )
    content = _read(path)
    try:
        check_graph(content)
        model = onnx.load_model_from_string(content)
    except BundleError as error:
        _refuse(path, str(error).partition("; save")[0].rstrip("."))
    except Exception as error:  # protobuf's errors have no base that onnx names
        _refuse(path, f"it is not an ONNX model ({first_line(error)})")
    graph, num_features = _as_features(path, model, preprocessing)
    _check_runs(path, graph, preprocessing)
    classifier = Classifier.from_graph(
        graph,
        lambda: _no_network(path.name),
        preprocessing,
        [f"feature {number}" for number in range(num_features)],
        state=dict,
        record=Record(recipe={"weights": path.name}),
    )
    classifier.missing = {"name": None, "class": f"{_GRAPH} {path.name}"}
    classifier.source = str(path)
    classifier.proof = {"images": "none: it has no other form", "max_difference": 0.0}
    return classifier


def is_onnx(name: str | Path) -> bool:
    """Return whether `name` is that of an ONNX file."""
    return Path(name).suffix.lower() == ".onnx"


def is_graph_alone(classifier: Classifier) -> bool:
    """Return whether the network of a classifier is an ONNX file's, with no other form."""
    missing = classifier.missing or {}
    return str(missing.get("class", "")).startswith(f"{_GRAPH} ")


def _read(path: Path) -> bytes:
    try:
        if path.stat().st_size > MOST_BYTES:
            _refuse(path, "it is larger than 2 GB, which no single ONNX file can be")
        return path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror or error}.") from error


def _as_features(path: Path, model: ModelProto, preprocessing: Preprocessing) -> tuple[bytes, int]:
    """Return the model with outputs "logits" and "features", both its vector, and its length."""
    from onnx import TensorProto, helper, shape_inference

    # Writers take the newest version of the format, which the runtime may not read; what is new in
    # it is types that a network in float32 does not have.
    model.ir_version = min(model.ir_version, _IR_VERSION)
    graph = model.graph
    constants = {tensor.name for tensor in graph.initializer}
    inputs = [port for port in graph.input if port.name not in constants]
    images = _only(path, inputs, "input")
    wanted = [port for port in graph.output if port.name == "features"]
    answer = wanted[0] if wanted else _only(path, graph.output, "output")
    for port, kind in ((images, "input"), (answer, "output")):
        if port.type.tensor_type.elem_type != _FLOAT:
            _refuse(path, f"its {kind} {port.name!r} is not float32; convert the model to float32")
    _fix_size(path, images, preprocessing)
    del graph.value_info[:], graph.output[:]
    for port in (images, answer):
        port.type.tensor_type.shape.dim[0].dim_param = "N"
    graph.output.append(helper.make_empty_tensor_value_info(answer.name))
    try:
        inferred = shape_inference.infer_shapes(model, data_prop=True)
    except Exception as error:  # its errors have no other base in common
        _refuse(path, f"its shapes do not fit images of this size ({first_line(error)})")
    shape = _shape(inferred.graph.output[0]) or _shape(answer)
    if len(shape) == 4 and shape[2:] == [1, 1]:
        graph.node.append(helper.make_node("Flatten", [answer.name], ["lamplighter/flat"], axis=1))
        name = "lamplighter/flat"
    elif len(shape) == 2:
        name = answer.name
    else:
        _refuse(
            path,
            f"its output must be one vector (N, D) for each image, received {_text(shape)}; end it "
            "with global average pooling",
        )
    length = shape[1]
    if not isinstance(length, int) or length < 2:
        _refuse(path, f"it does not say how long its vectors are, received {_text(shape)}")
    del graph.output[:]
    for output in ("logits", "features"):
        if output != name:
            graph.node.append(helper.make_node("Identity", [name], [output]))
        graph.output.append(helper.make_tensor_value_info(output, TensorProto.FLOAT, ["N", length]))
    return model.SerializeToString(), length


def _only(path: Path, ports: Sequence[ValueInfoProto], kind: str) -> ValueInfoProto:
    if len(ports) == 1:
        return ports[0]
    names = ", ".join(port.name for port in ports) or "none"
    reason = (
        f"it must have one {kind}, received {len(ports)}: {names}; keep the one that matters with "
        "onnx.utils.extract_model"
    )
    return _refuse(path, reason + ("" if kind == "input" else ", or call it 'features'"))


def _fix_size(path: Path, images: ValueInfoProto, preprocessing: Preprocessing) -> None:
    """Give the input the size of the images where it leaves that open."""
    wanted = [None, preprocessing.channels, preprocessing.height, preprocessing.width]
    dims = images.type.tensor_type.shape.dim
    shape = _shape(images)
    fits = len(shape) == 4 and all(
        not isinstance(given, int) or given == size
        for given, size in zip(shape[1:], wanted[1:], strict=True)
    )
    if not fits:
        _refuse(
            path,
            f"its input takes images of shape {_text(shape)}, but size, mean and std are for "
            f"(N, {', '.join(map(str, wanted[1:]))}); give those that it was made for",
        )
    for dim, size in zip(dims[1:], wanted[1:], strict=True):
        dim.dim_value = size


def _check_runs(path: Path, graph: bytes, preprocessing: Preprocessing) -> None:
    """Refuse a graph that ONNX Runtime does not take, or that takes a fixed number of images."""
    shape = (_TRIED, preprocessing.channels, preprocessing.height, preprocessing.width)
    pixels = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    inputs = preprocessing.normalise(pixels)
    hint = ""
    try:
        compute = OnnxRuntime(graph)
        alone = np.concatenate([compute.with_features(image[None])[1] for image in inputs])
        hint = ": it must take any number of images, so export it with a free N"
        together = compute.with_features(inputs)[1]
    except LamplighterError as error:
        _refuse(path, str(error).partition("; save")[0].rstrip(".") + hint)
    scale = max(1.0, float(np.abs(alone).max(initial=0)))
    if np.isfinite(alone).all() and not np.abs(together - alone).max() <= _CLOSE * scale:
        _refuse(path, "an image's features change with those beside it; export it for inference")


def _shape(port: ValueInfoProto) -> list[int | str]:
    return [
        dim.dim_value if dim.HasField("dim_value") else dim.dim_param or "?"
        for dim in port.type.tensor_type.shape.dim
    ]


def _text(shape: Sequence[Any]) -> str:
    return f"({', '.join(map(str, shape))})"


def _refuse(path: Path, reason: str) -> NoReturn:
    raise ModelError(f"{path} cannot be a backbone: {reason}.")


def _no_network(name: str) -> NoReturn:
    raise NetworkMissingError(
        f"there is no torch network of {name}, which is an ONNX graph; blocks and full need one: "
        "use a backbone by name, such as efficientnet-lite0."
    )
