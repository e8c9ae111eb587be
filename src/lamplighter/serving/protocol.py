"""Tensors of the Open Inference Protocol, version 2: JSON, and its extension for binary data."""

from __future__ import annotations

import base64
import binascii
import json
import math
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from lamplighter.serving.refusals import Refusal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from lamplighter.inference.predictor import Predictions
    from lamplighter.serving.engines import Engine

# Bytes of JSON before the binary data; the same in requests and answers.
HEADER_LENGTH = "inference-header-content-length"
INPUT = "input"
PROBABILITIES, LOGITS, LABEL, KNOWN, DISTANCE, FEATURES = [
    "probabilities",
    "logits",
    "label",
    "known",
    "distance",
    "features",
]
_NUMBERS: dict[str, np.dtype[Any]] = {"FP32": np.dtype("<f4"), "UINT8": np.dtype("u1")}
_DATATYPES = (*_NUMBERS, "BYTES")
_SIZE, _BINARY_OUTPUT, _BINARY = "binary_data_size", "binary_data_output", "binary_data"
_LENGTH = struct.Struct("<I")  # before each element of BYTES


@dataclass(frozen=True)
class InferRequest:
    """What a request asks of a model.

    Attributes:
        id: of the request, given back; None without one.
        pixels: the images: float32 as preprocessed, or uint8 before they are normalised, shape
            (N, C, H, W); or the bytes of N image files.
        outputs: the names of what is wanted, each with whether as binary data; empty for the usual.
        binary: whether outputs that are not named come as binary data.
    """

    id: str | None
    pixels: NDArray[np.float32] | NDArray[np.uint8] | tuple[bytes, ...]
    outputs: dict[str, bool]
    binary: bool


def metadata(engine: Engine) -> dict[str, Any]:
    """Return what the protocol says of a model."""
    count = engine.classifier.num_classes
    outputs = [
        _port(PROBABILITIES, "FP32", [-1, count]),
        _port(LOGITS, "FP32", [-1, count]),
        _port(LABEL, "BYTES", [-1]),
        _port(KNOWN, "BOOL", [-1]),
    ]
    if _measures(engine):
        outputs.append(_port(DISTANCE, "FP32", [-1]))
    if engine.num_features is not None:
        outputs.append(_port(FEATURES, "FP32", [-1, engine.num_features]))
    return {
        "name": engine.name,
        "versions": [engine.version],
        "platform": "lamplighter_onnx",
        "inputs": [_port(INPUT, "FP32", [-1, *engine.shape])],
        "outputs": outputs,
    }


def parse(body: bytes, header_length: str | None, engine: Engine, *, most: int) -> InferRequest:
    """Return what a body asks.

    Args:
        body: JSON; with binary data after it where there is a header length.
        header_length: bytes of the JSON, as the header says; None without one.
        engine: the model that is asked.
        most: images that a request may have.

    Raises:
        Refusal: it is not of the protocol (400), or asks for too much (413).
    """
    text, binary = _parts(body, header_length)
    asked = _object(text)
    inputs = asked.get("inputs")
    if not isinstance(inputs, list) or len(inputs) != 1 or not isinstance(inputs[0], dict):
        received = f"{len(inputs)}" if isinstance(inputs, list) else type(inputs).__name__
        raise Refusal(400, f'"inputs" must be a list of one tensor, received {received}.')
    pixels = _input(inputs[0], binary, engine, most)
    identity, parameters = asked.get("id"), asked.get("parameters", {})
    if identity is not None and (not isinstance(identity, str) or len(identity) > 1000):
        raise Refusal(400, f'"id" must be a short string, received {_said(identity)}.')
    if not isinstance(parameters, dict):
        raise Refusal(400, f'"parameters" must be an object, received {_said(parameters)}.')
    default = parameters.get(_BINARY_OUTPUT, False) is True
    return InferRequest(identity, pixels, _outputs(asked, engine, default=default), default)


def answer(
    asked: InferRequest,
    engine: Engine,
    predictions: Predictions,
    features: NDArray[np.float32] | None,
) -> tuple[bytes, int | None]:
    """Return the body of an answer, and the bytes of its JSON where binary data follows it."""
    values: dict[str, tuple[str, Any]] = {
        PROBABILITIES: ("FP32", predictions.probabilities),
        LOGITS: ("FP32", predictions.logits),
        LABEL: ("BYTES", [label or "" for label in predictions.labels]),
        KNOWN: ("BOOL", predictions.known),
        DISTANCE: ("FP32", predictions.distances),
        FEATURES: ("FP32", features),
    }
    wanted = asked.outputs or {
        port["name"]: asked.binary
        for port in metadata(engine)["outputs"]
        if port["name"] != FEATURES
    }
    outputs, blocks = [], []
    for name, as_binary in wanted.items():
        datatype, value = values[name]
        shape = [len(value)] if isinstance(value, list) else list(value.shape)
        tensor: dict[str, Any] = {"name": name, "datatype": datatype, "shape": shape}
        if as_binary:
            blocks.append(_block(value))
            tensor["parameters"] = {_SIZE: len(blocks[-1])}
        else:
            tensor["data"] = value if isinstance(value, list) else value.ravel().tolist()
        outputs.append(tensor)
    head = {"model_name": engine.name, "model_version": engine.version, "outputs": outputs}
    if asked.id is not None:
        head["id"] = asked.id
    text = json.dumps(head, separators=(",", ":"), allow_nan=False).encode()
    return b"".join([text, *blocks]), len(text) if blocks else None


def wants_features(asked: InferRequest) -> bool:
    """Return whether an answer needs the features."""
    return FEATURES in asked.outputs


def _port(name: str, datatype: str, shape: list[int]) -> dict[str, Any]:
    return {"name": name, "datatype": datatype, "shape": shape}


def _measures(engine: Engine) -> bool:
    trust = engine.classifier.trust
    return trust is not None and trust.reference is not None


def _parts(body: bytes, header_length: str | None) -> tuple[bytes, bytes]:
    """Return the JSON and the binary data of a body."""
    if header_length is None:
        return body, b""
    if not header_length.isdigit() or int(header_length) > len(body):
        raise Refusal(
            400,
            f"Inference-Header-Content-Length must be in 0..{len(body)}, the length of the body, "
            f"received {header_length[:100]!r}.",
        )
    return body[: int(header_length)], body[int(header_length) :]


def _object(text: bytes) -> dict[str, Any]:
    try:
        asked = json.loads(text)
    except (ValueError, RecursionError) as error:  # UnicodeDecodeError is a ValueError
        first = (str(error).splitlines() or ["it is nested too deeply"])[0][:200]
        raise Refusal(400, f"the body must be JSON, which it is not: {first}.") from None
    if not isinstance(asked, dict):
        raise Refusal(400, f"the body must be a JSON object, received {_said(asked)}.")
    return asked


def _outputs(asked: Mapping[str, Any], engine: Engine, *, default: bool) -> dict[str, bool]:
    """Return the outputs that are asked for, and whether each comes as binary data."""
    wanted, known = asked.get("outputs", []), [port["name"] for port in metadata(engine)["outputs"]]
    if not isinstance(wanted, list):
        raise Refusal(400, f'"outputs" must be a list, received {_said(wanted)}.')
    found: dict[str, bool] = {}
    for one in wanted:
        name = one.get("name") if isinstance(one, dict) else None
        if not isinstance(name, str) or name not in known or name in found:
            raise Refusal(
                400,
                f"an output must be one of {', '.join(known)}, named once, received {_said(name)}.",
            )
        parameters = one.get("parameters", {})
        chosen = parameters.get(_BINARY) if isinstance(parameters, dict) else None
        found[name] = chosen if isinstance(chosen, bool) else default
    return found


def _input(
    tensor: Mapping[str, Any], binary: bytes, engine: Engine, most: int
) -> NDArray[np.float32] | NDArray[np.uint8] | tuple[bytes, ...]:
    """Return the images in a tensor, checked."""
    name, datatype, shape = (tensor.get(key) for key in ("name", "datatype", "shape"))
    if name != INPUT:
        raise Refusal(400, f'the tensor must be called "{INPUT}", received {_said(name)}.')
    if datatype not in _DATATYPES:
        raise Refusal(
            400,
            "datatype must be FP32 (preprocessed images), UINT8 (pixels of the network's size) or "
            f"BYTES (image files), received {_said(datatype)}.",
        )
    shape = _checked_shape(shape, datatype, engine, most)
    count = shape[0]
    parameters = tensor.get("parameters", {})
    size = parameters.get(_SIZE) if isinstance(parameters, dict) else None
    if size is not None:
        if type(size) is not int or size != len(binary):
            raise Refusal(
                400,
                f"{_SIZE} must be the {len(binary):,} bytes that follow the JSON, received "
                f"{_said(size)}.",
            )
        return _of_binary(binary, datatype, shape, count)
    if binary:
        raise Refusal(400, f"bytes follow the JSON, but no tensor has a {_SIZE}.")
    return _of_json(tensor.get("data"), datatype, shape, count)


def _checked_shape(shape: Any, datatype: str, engine: Engine, most: int) -> list[int]:
    """Return the shape of a tensor, of which the first number is that of the images."""
    wanted = [] if datatype == "BYTES" else list(engine.shape)
    right = (
        isinstance(shape, list)
        and all(type(size) is int and size > 0 for size in shape)
        and (shape[1:] == wanted or (datatype == "BYTES" and shape[1:] == [1]))
        and len(shape) >= 1
    )
    if not right:
        raise Refusal(
            400,
            f"shape must be {['N', *wanted]} for {datatype}, received {_said(shape)}; GET "
            f"/v2/models/{engine.name} says what it takes.".replace("'N'", "N"),
        )
    if shape[0] > most:
        raise Refusal(
            413,
            f"a request may have at most {most:,} images, received {shape[0]:,}; send them in "
            "several requests.",
            reason="too-many",
        )
    return list(shape)


def _of_binary(
    binary: bytes, datatype: str, shape: Sequence[int], count: int
) -> NDArray[np.float32] | NDArray[np.uint8] | tuple[bytes, ...]:
    if datatype == "BYTES":
        return _elements(binary, count)
    kind = _NUMBERS[datatype]
    if len(binary) != math.prod(shape) * kind.itemsize:
        raise Refusal(
            400,
            f"a tensor of {datatype} and shape {list(shape)} has "
            f"{math.prod(shape) * kind.itemsize:,} bytes, received {len(binary):,}.",
        )
    return _finite(np.frombuffer(binary, dtype=kind).reshape(shape))


def _elements(binary: bytes, count: int) -> tuple[bytes, ...]:
    """Return the elements of a tensor of BYTES: each has its length before it."""
    found: list[bytes] = []
    position = 0
    while position + _LENGTH.size <= len(binary) and len(found) < count:
        (length,) = _LENGTH.unpack_from(binary, position)
        position += _LENGTH.size + length
        found.append(binary[position - length : position])
    if position != len(binary) or len(found) != count:
        raise Refusal(
            400,
            f"a tensor of BYTES must have {count} elements, each after its length in four bytes; "
            "what was received has another form.",
        )
    return tuple(found)


def _of_json(
    data: Any, datatype: str, shape: Sequence[int], count: int
) -> NDArray[np.float32] | NDArray[np.uint8] | tuple[bytes, ...]:
    if not isinstance(data, list):
        raise Refusal(400, f'"data" must be a list, received {_said(data)}.')
    if datatype == "BYTES":
        return _decoded(data, count)
    try:
        values = np.array(data)
    except (ValueError, OverflowError):  # lists of different lengths; a number of 400 digits
        values = np.array(None)
    whole = datatype == "UINT8"
    if values.dtype.kind not in ("iu" if whole else "iuf") or values.size != math.prod(shape):
        raise Refusal(
            400,
            f'"data" must hold {math.prod(shape):,} {"whole " if whole else ""}numbers, flat or '
            f"nested as the shape {list(shape)}, received {values.size:,} values of another kind "
            "or number.",
        )
    if values.ndim > 1 and list(values.shape) != list(shape):
        raise Refusal(
            400,
            f'"data" must be flat or nested as the shape {list(shape)}, received '
            f"{list(values.shape)}.",
        )
    if whole and (values.min() < 0 or values.max() > 255):
        raise Refusal(400, f"UINT8 holds 0..255, received {values.min()}..{values.max()}.")
    with np.errstate(over="ignore"):  # to infinity, which is refused
        return _finite(values.astype(_NUMBERS[datatype]).reshape(shape))


def _decoded(data: Sequence[Any], count: int) -> tuple[bytes, ...]:
    """Return the files in a list of base64 strings."""
    if len(data) != count or not all(isinstance(one, str) for one in data):
        raise Refusal(400, f'"data" of BYTES must be {count} strings, image files in base64.')
    try:
        return tuple(base64.b64decode(one, validate=True) for one in data)
    except (binascii.Error, ValueError):
        raise Refusal(
            400, '"data" of BYTES must be image files in base64, which it is not.'
        ) from None


def _finite(values: NDArray[Any]) -> NDArray[Any]:
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        raise Refusal(400, "a tensor must be finite, received NaN or infinity.")
    return values


def _block(value: Any) -> bytes:
    """Return a tensor as binary data."""
    if isinstance(value, list):
        texts = [text.encode() for text in value]
        return b"".join(_LENGTH.pack(len(text)) + text for text in texts)
    array = np.asarray(value)
    return array.astype("?" if array.dtype.kind == "b" else "<f4").tobytes()


def _said(value: Any) -> str:
    """Return a value of a request as it stands in a message."""
    text = repr(value)
    return text if len(text) <= 100 else f"{text[:100]}…"
