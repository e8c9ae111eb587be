"""Plain data as text, between processes that do not trust one another.

Only values come through, never code: numbers, strings, containers of them, arrays, tensors.
"""

from __future__ import annotations

import base64
import io
import json
import sys
from typing import Any

import numpy as np

LIMIT = 32 * 1024 * 1024  # characters; what one value may take as text

_KIND = "$"
_CONTAINERS: dict[str, type[Any]] = {"tuple": tuple, "set": set, "frozenset": frozenset}


class NotPlainError(TypeError):
    """A value that is not plain data, or too large."""


def encode(value: object, limit: int = LIMIT) -> str:
    """Return `value` as JSON text of at most `limit` characters.

    Raises:
        NotPlainError: it holds something else than plain data, or is too large or too deep.
    """
    try:
        text = json.dumps(_tagged(value))
    except RecursionError:
        raise NotPlainError("containers nested too deep, or one that contains itself") from None
    if len(text) > limit:
        raise NotPlainError(f"more than {limit // 2**20} MB of data")
    return text


def decode(text: str, limit: int = LIMIT) -> Any:
    """Return the value that `encode` made `text` from.

    Raises:
        NotPlainError: `text` is not what `encode` writes.
    """
    if len(text) > limit:
        raise NotPlainError(f"more than {limit // 2**20} MB of data")
    try:
        return _untagged(json.loads(text))
    except NotPlainError:
        raise
    except Exception as error:  # text from a process that may send anything
        raise NotPlainError(f"no plain data: {type(error).__name__}") from None


def _tagged(value: Any) -> Any:
    if value is None or isinstance(value, (bool, str)):
        return value if value is None or isinstance(value, bool) else str.__str__(value)
    if isinstance(value, np.generic) and not isinstance(value, (np.void, np.object_)):
        return _tagged(value.item())
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return {_KIND: "float", "v": float.hex(value)}
    if isinstance(value, complex):
        return {_KIND: "complex", "v": [float.hex(value.real), float.hex(value.imag)]}
    if isinstance(value, (bytes, bytearray)):
        return {_KIND: "bytes", "v": base64.b64encode(value).decode()}
    if isinstance(value, list):
        return [_tagged(part) for part in value]
    for name, kind in _CONTAINERS.items():
        if isinstance(value, kind):
            return {_KIND: name, "v": [_tagged(part) for part in value]}
    if isinstance(value, dict):
        pairs = [[_tagged(key), _tagged(part)] for key, part in value.items()]
        return {_KIND: "dict", "v": pairs}
    return _tagged_array(value)


def _tagged_array(value: Any) -> dict[str, str]:
    torch = sys.modules.get("torch")
    name = "array"
    if torch is not None and isinstance(value, torch.Tensor):
        name, value = "tensor", value.detach().cpu()
        if value.dtype in (torch.bfloat16,):
            value = value.float()
        value = value.numpy()
    if not isinstance(value, np.ndarray) or value.dtype.hasobject:
        raise NotPlainError(f"an object of type {type(value).__name__}")
    buffer = io.BytesIO()
    np.save(buffer, value, allow_pickle=False)
    return {_KIND: name, "v": base64.b64encode(buffer.getvalue()).decode()}


def _untagged(value: Any) -> Any:
    if isinstance(value, list):
        return [_untagged(part) for part in value]
    if not isinstance(value, dict):
        return value
    kind, content = value[_KIND], value["v"]
    if kind == "float":
        return float.fromhex(content)
    if kind == "complex":
        return complex(*map(float.fromhex, content))
    if kind == "bytes":
        return base64.b64decode(content)
    if kind == "dict":
        return {_untagged(key): _untagged(part) for key, part in content}
    if kind in _CONTAINERS:
        return _CONTAINERS[kind](_untagged(part) for part in content)
    return _untagged_array(kind, content)


def _untagged_array(kind: str, content: str) -> Any:
    array = np.load(io.BytesIO(base64.b64decode(content)), allow_pickle=False)
    if kind == "tensor":
        import torch

        return torch.from_numpy(array)
    if kind != "array":
        raise NotPlainError(f"no plain data: {kind!r}")
    return array
