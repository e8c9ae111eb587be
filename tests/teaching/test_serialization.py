"""Plain data through text, and nothing else."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lamplighter.teaching.serialization import NotPlainError, decode, encode

_HASHABLE = st.none() | st.booleans() | st.integers() | st.text() | st.binary() | st.floats()
_PLAIN = st.recursive(
    _HASHABLE | st.complex_numbers(),
    lambda inner: (
        st.lists(inner)
        | st.lists(inner).map(tuple)
        | st.dictionaries(_HASHABLE, inner)
        | st.sets(_HASHABLE)
    ),
    max_leaves=10,
)


@given(_PLAIN)
def test_values_come_back_as_they_went(value):
    # repr tells types, signs of zero, and NaN, which equals nothing.
    back = decode(encode(value))
    if isinstance(value, set):
        assert {repr(part) for part in back} == {repr(part) for part in value}
    elif "set" not in repr(value) and "{" not in repr(value):
        assert repr(back) == repr(value)
    assert type(back) is type(value)


@pytest.mark.parametrize(
    "dtype", ["float32", "float64", "int64", "uint8", "bool", "complex64", "U3"]
)
def test_arrays_keep_shape_and_dtype(dtype):
    array = np.arange(6).reshape(2, 3).astype(dtype)
    back = decode(encode({"a": array}))["a"]
    assert back.dtype == array.dtype
    assert np.array_equal(back, array)


def test_tensors_and_numpy_scalars():
    tensor = torch.linspace(0, 1, 6, requires_grad=True).reshape(2, 3)
    back = decode(encode((tensor, tensor.shape, np.float32(0.5), tensor.bfloat16())))
    assert torch.equal(back[0], tensor.detach())
    assert back[1:3] == ((2, 3), 0.5)
    assert back[3].dtype == torch.float32


def test_a_class_of_ones_own_comes_as_the_plain_value_or_not_at_all():
    class Always(int):
        def __eq__(self, other):
            return True

        __hash__ = int.__hash__

    assert decode(encode(Always(7))) != 8
    for value in (object(), len, {"model": torch.nn.Linear(1, 1)}, np.array([object()])):
        with pytest.raises(NotPlainError):
            encode(value)


def test_endless_and_large_values_are_refused():
    ring: list[object] = []
    ring.append(ring)
    with pytest.raises(NotPlainError, match="contains itself"):
        encode(ring)
    with pytest.raises(NotPlainError, match="0 MB"):
        encode("x" * 2000, limit=1000)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        '{"$": "eval", "v": "1"}',
        "{}",
        "[" * 10**5,
        '{"$": "array", "v": "gASVBQA="}',
        '{"$": "float", "v": "x"}',
        "9" * 10_000,
        '{"$": "dict", "v": [[[], 1]]}',
    ],
)
def test_text_of_another_kind_is_refused(text):
    with pytest.raises(NotPlainError):
        decode(text)


def test_nan_is_written_as_valid_json():
    assert math.isnan(decode(encode(float("nan"))))
    json.loads(encode([float("inf")]), parse_constant=pytest.fail)
