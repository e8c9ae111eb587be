"""Bundles with bytes changed, removed or added: refused, or what they were."""

import io
import json
import shutil

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lamplighter.errors import BundleError
from lamplighter.saving.bundle import load

from .test_damage import parts_of


def same(path, content):
    """Load the bundle at `path`: what comes is what is in `content`, or a BundleError."""
    try:
        loaded = load(path)
    except BundleError:
        return False
    expected = json.loads(parts_of(content)["description.json"])
    assert loaded.graph == parts_of(content)["network.onnx"]
    assert list(loaded.class_names) == expected["class_names"]
    assert loaded.preprocessing.to_dict() == expected["preprocessing"]
    assert loaded.record.scores == expected["record"]["scores"]
    described = expected["trust"]
    if described is None:
        assert loaded.trust is None
    else:
        vectors = np.load(io.BytesIO(parts_of(content)["reference.npy"]), allow_pickle=False)
        np.testing.assert_array_equal(loaded.trust.reference, vectors)
        assert loaded.trust.threshold == described["threshold"]
    assert loaded._state.args[0] == parts_of(content)["weights.safetensors"]
    return True


@pytest.fixture(scope="module", params=["content", "trusted_content"])
def content(request):
    """A bundle of three entries, and one of four."""
    return request.getfixturevalue(request.param)


@pytest.fixture(scope="module")
def scratch(tmp_path_factory):
    return tmp_path_factory.mktemp("damage") / "damaged.lamp"


@settings(deadline=None, max_examples=250)
@given(data=st.data())
def test_changed_bytes_are_noticed_or_without_effect(content, scratch, data):
    damaged = bytearray(content)
    # Half of the changes fall into the zip's own structures, which are small.
    start = data.draw(st.sampled_from([0, content.index(b"PK\x01\x02")]))
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(start, len(content) - 1))] = data.draw(st.integers(0, 255))
    scratch.write_bytes(damaged)
    same(scratch, content)


@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_bytes_removed_or_inserted_are_noticed_or_without_effect(content, scratch, data):
    start = data.draw(st.integers(0, len(content)))
    end = data.draw(st.integers(start, len(content)))
    scratch.write_bytes(content[:start] + data.draw(st.binary(max_size=40)) + content[end:])
    same(scratch, content)


def test_a_bundle_that_is_cut_short_anywhere_is_refused(content, scratch):
    names = list(parts_of(content))
    edges = [content.index(name.encode()) for name in names]
    edges += [content.rindex(name.encode()) for name in names]
    edges += [content.index(b"PK\x01\x02"), content.index(b"PK\x05\x06"), len(content)]
    for edge in edges:
        for length in range(max(edge - 40, 0), min(edge + 40, len(content))):
            scratch.write_bytes(content[:length])
            assert not same(scratch, content)


def test_changes_all_over_the_zips_directory(content, scratch):
    for position in range(content.index(b"PK\x01\x02"), len(content)):
        for bit in (0, 5):
            damaged = bytearray(content)
            damaged[position] ^= 1 << bit
            scratch.write_bytes(damaged)
            same(scratch, content)


def test_a_copy_of_the_file_loads(path, tmp_path):
    shutil.copy(path, tmp_path / "other name")
    assert load(tmp_path / "other name").class_names == load(path).class_names
