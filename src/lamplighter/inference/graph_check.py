"""Checks of an ONNX graph before it is run, without the onnx package.

An ONNX file is a protocol buffer. Two of its features reach outside the file: a tensor may name
another file (or an address in memory) that its values are read from, and a node may ask for an
operator of somebody else's library. A graph from a stranger must do neither. ONNX Runtime refuses
the first in a model without a path of its own, but through checks made for other ends; here the
rule is stated and held.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lamplighter.errors import BundleError

if TYPE_CHECKING:
    from collections.abc import Iterator

# The messages that can lead to a tensor: field number -> message, after onnx.proto.
_MESSAGES: dict[str, dict[int, str]] = {
    "model": {7: "graph"},
    "graph": {1: "node", 5: "tensor", 15: "sparse tensor"},
    "node": {5: "attribute"},
    "attribute": {
        5: "tensor",
        6: "graph",
        10: "tensor",
        11: "graph",
        22: "sparse tensor",
        23: "sparse tensor",
    },
    "sparse tensor": {1: "tensor", 2: "tensor"},
    "tensor": {},
}
_REFUSED = {
    ("model", 20): "a training step",
    ("model", 25): "functions of its own",
    ("tensor", 13): "a tensor that is kept in another file",
}
_NODE_DOMAIN = 7
_DATA_LOCATION = 14
_STANDARD_DOMAINS = (b"", b"ai.onnx")
_MAX_DEPTH = 100  # as protocol buffers have it
_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5
_ORT_FORMAT = b"ORTM"  # bytes 4 to 8 of a graph in ONNX Runtime's own format


def check_graph(graph: bytes) -> None:
    """Refuse an ONNX model that is damaged or that reaches outside itself.

    Args:
        graph: a serialised ModelProto.

    Raises:
        BundleError: the bytes are not a model, a tensor lies outside, or an operator is not
            one of the standard.
    """
    if not graph or graph[4:8] == _ORT_FORMAT:
        raise BundleError("the graph is not an ONNX model; save the classifier again.")
    _check(memoryview(graph), "model", 0)


def _check(message: memoryview, kind: str, depth: int) -> None:
    if depth > _MAX_DEPTH:
        raise BundleError("the ONNX graph is nested too deeply; save the classifier again.")
    children = _MESSAGES[kind]
    for number, value in _fields(message):
        refused = _REFUSED.get((kind, number))
        if refused or (kind == "tensor" and number == _DATA_LOCATION and value != 0):
            raise BundleError(
                f"the ONNX graph must hold all of itself, received one with "
                f"{refused or _REFUSED['tensor', 13]}; such a graph is not safe to run."
            )
        if isinstance(value, int):
            continue
        if kind == "node" and number == _NODE_DOMAIN and value not in _STANDARD_DOMAINS:
            raise BundleError(
                "the ONNX graph must use standard operators alone, received one of "
                f"{bytes(value[:50]).decode(errors='replace')!r}; such a graph is not safe to run."
            )
        if number in children:
            _check(value, children[number], depth + 1)


def _fields(message: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Yield the number and value of each field; a message or string is given as its bytes."""
    position, end = 0, len(message)
    while position < end:
        tag, position = _varint(message, position)
        number, wire_type = tag >> 3, tag & 7
        if wire_type == _VARINT:
            value, position = _varint(message, position)
            yield number, value
            continue
        if wire_type == _LENGTH:
            length, position = _varint(message, position)
        elif wire_type in (_FIXED32, _FIXED64):
            length = 4 if wire_type == _FIXED32 else 8
        else:
            raise _damaged()
        if number == 0 or length > end - position:
            raise _damaged()
        yield number, message[position : position + length]
        position += length


def _varint(message: memoryview, position: int) -> tuple[int, int]:
    """Return the number at `position`, seven bits a byte, and where it ends."""
    value = 0
    for index, byte in enumerate(message[position : position + 10]):
        value |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            return value & 0xFFFF_FFFF_FFFF_FFFF, position + index + 1
    raise _damaged()


def _damaged() -> BundleError:
    return BundleError("the ONNX graph is damaged; save the classifier again.")
