from __future__ import annotations

import struct
import tracemalloc

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from lamplighter.datasets.mnist import parse_idx
from lamplighter.errors import DatasetError


def write_idx(array: np.ndarray) -> bytes:
    header = bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    return header + array.tobytes()


arrays = hnp.arrays(np.uint8, hnp.array_shapes(min_dims=1, max_dims=4, min_side=0, max_side=5))


@given(arrays)
def test_reads_what_was_written(array: np.ndarray) -> None:
    result = parse_idx(write_idx(array))
    assert result.dtype == np.uint8
    np.testing.assert_array_equal(result, array)
    assert result.flags.writeable


@given(arrays.filter(lambda array: array.size > 0), st.data())
def test_any_cut_is_an_error(array: np.ndarray, data: st.DataObject) -> None:
    content = write_idx(array)
    cut = data.draw(st.integers(0, len(content) - 1))
    with pytest.raises(DatasetError):
        parse_idx(content[:cut])


@given(arrays, st.binary(min_size=1, max_size=20))
def test_anything_after_the_values_is_an_error(array: np.ndarray, extra: bytes) -> None:
    with pytest.raises(DatasetError, match="must hold"):
        parse_idx(write_idx(array) + extra)


@given(st.binary(max_size=300) | st.binary(max_size=300).map(lambda rest: b"\0\0\x08" + rest))
@example(b"\0\0\x08\x41" + struct.pack(">65I", *[1] * 65) + b"x")
@example(b"\0\0\x08\x03" + struct.pack(">3I", 0, 2**32 - 1, 2**32 - 1))
@example(b"\0\0\x08\xff" + b"\xff" * 1020)
def test_any_bytes_are_an_array_or_a_dataset_error(content: bytes) -> None:
    try:
        result = parse_idx(content)
    except DatasetError as error:
        message = str(error)
    else:
        message = ""
        assert result.size <= len(content)
    assert "\n" not in message


def test_a_header_that_promises_much_costs_no_memory() -> None:
    content = b"\0\0\x08\x03" + struct.pack(">3I", 2**31, 2**10, 2**10) + b"abc"
    tracemalloc.start()
    try:
        with pytest.raises(DatasetError, match="received 3"):
            parse_idx(content, "train-images")
        assert tracemalloc.get_traced_memory()[1] < 100_000
    finally:
        tracemalloc.stop()


def test_the_error_names_the_file_and_what_it_begins_with() -> None:
    with pytest.raises(DatasetError, match=r"digits\.idx .* received 1f 8b 08"):
        parse_idx(b"\x1f\x8b\x08\0\0\0", "digits.idx")
