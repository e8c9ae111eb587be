import contextlib

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import AttributeProto, TensorProto, helper, numpy_helper

from lamplighter.errors import BundleError, ShapeError
from lamplighter.inference.graph_check import check_graph
from lamplighter.inference.runtime import OnnxRuntime


def external(location, name="b", length=12):
    tensor = TensorProto(name=name, data_type=TensorProto.FLOAT, dims=[length // 4])
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (("location", location), ("offset", "0"), ("length", str(length))):
        entry = tensor.external_data.add()
        entry.key, entry.value = key, value
    return tensor


def attribute(**fields):
    return AttributeProto(name="a", **fields)


def with_attribute(model, an_attribute):
    model.graph.node[1].attribute.append(an_attribute)
    return model


def test_an_ordinary_graph_is_allowed(graph):
    check_graph(graph)


@pytest.mark.parametrize("location", ["secret.bin", "../secret.bin", "*/_ORT_MEM_ADDR_/*", "/abs"])
def test_a_graph_cannot_read_a_file(make_graph, weight, location, tmp_path, monkeypatch):
    (tmp_path / "secret.bin").write_bytes(np.arange(3, dtype=np.float32).tobytes())
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path if location == "secret.bin" else tmp_path / "here")
    location = str(tmp_path / "secret.bin") if location == "/abs" else location
    model = make_graph(initializers=[numpy_helper.from_array(weight, "w"), external(location)])
    with pytest.raises(BundleError, match="kept in another file"):
        OnnxRuntime(model.SerializeToString())


def test_every_way_that_onnx_knows_to_a_tensor_is_looked_at(make_graph):
    """The descriptors of the onnx package are the oracle: follow each field to TensorProto."""
    tensor = external("secret.bin")
    sparse = onnx.SparseTensorProto(values=tensor)
    sparse_indices = onnx.SparseTensorProto(indices=tensor)
    inner = onnx.GraphProto(initializer=[tensor])
    ways = [
        attribute(t=tensor),
        attribute(tensors=[TensorProto(), tensor]),
        attribute(sparse_tensor=sparse),
        attribute(sparse_tensors=[sparse_indices]),
        attribute(g=inner),
        attribute(graphs=[onnx.GraphProto(), inner]),
        attribute(g=onnx.GraphProto(sparse_initializer=[sparse])),
        attribute(g=onnx.GraphProto(node=[onnx.NodeProto(attribute=[attribute(t=tensor)])])),
    ]
    for way in ways:
        with pytest.raises(BundleError, match="another file"):
            check_graph(with_attribute(make_graph(), way).SerializeToString())

    tried = {field.name for way in ways for field, _ in way.ListFields()} - {"name"}
    leading = {
        field.name
        for field in onnx.AttributeProto.DESCRIPTOR.fields
        if field.message_type is not None and leads_to_tensor(field.message_type, frozenset())
    }
    assert tried == leading


def leads_to_tensor(message, seen):
    if message.name == "TensorProto":
        return True
    if message.full_name in seen:
        return False
    return any(
        leads_to_tensor(field.message_type, seen | {message.full_name})
        for field in message.fields
        if field.message_type is not None
    )


def test_data_location_or_external_entries_alone_are_enough(make_graph):
    for tensor in (external("x"), external("x")):
        model = make_graph(initializers=[tensor])
        model.graph.initializer[0].ClearField("data_location")
        with pytest.raises(BundleError):
            check_graph(model.SerializeToString())
    model = make_graph()
    model.graph.initializer[0].data_location = TensorProto.EXTERNAL
    with pytest.raises(BundleError):
        check_graph(model.SerializeToString())


def test_operators_of_others_are_refused(make_graph):
    node = helper.make_node("EPContext", ["flat"], ["other"], domain="com.microsoft")
    with pytest.raises(BundleError, match=r"com\.microsoft"):
        check_graph(make_graph(nodes=[node]).SerializeToString())


def test_functions_and_training_are_refused(make_graph):
    model = make_graph()
    model.functions.add().name = "f"
    with pytest.raises(BundleError, match="functions"):
        check_graph(model.SerializeToString())
    model = make_graph()
    model.training_info.add()
    with pytest.raises(BundleError, match="training"):
        check_graph(model.SerializeToString())


def test_a_graph_in_the_other_format_of_onnx_runtime_is_refused():
    with pytest.raises(BundleError, match="not an ONNX model"):
        check_graph(b"\x18\0\0\0ORTM" + bytes(100))


def test_endless_nesting_is_refused():
    message = b""
    for number in [6, 5, 1] * 200:  # a graph in an attribute of a node of a graph, and so on
        message = bytes([number << 3 | 2]) + varint(len(message)) + message
    with pytest.raises(BundleError, match="nested"):
        check_graph(b"\x3a" + varint(len(message)) + message)


def varint(value):
    low, rest = value & 0x7F, value >> 7
    return bytes([low | 0x80]) + varint(rest) if rest else bytes([low])


@settings(deadline=None, max_examples=150)
@given(data=st.data())
def test_a_damaged_graph_is_a_bundle_error_or_a_graph(graph, data):
    if data.draw(st.booleans()):
        damaged = graph[: data.draw(st.integers(0, len(graph) - 1))]
    else:
        damaged = bytearray(graph)
        for _ in range(data.draw(st.integers(1, 3))):
            damaged[data.draw(st.integers(0, len(graph) - 1))] = data.draw(st.integers(0, 255))
        damaged = bytes(damaged)
    try:
        runtime = OnnxRuntime(damaged)
        runtime(np.zeros((2, 1, 4, 6), dtype=np.float32))
    except (BundleError, ShapeError) as error:  # ShapeError: the flip was in the declared shape
        message = str(error)
    else:
        message = ""
    assert "\n" not in message


@settings(deadline=None)
@given(content=st.binary(max_size=200))
def test_any_bytes_are_refused_or_pass(content):
    with contextlib.suppress(BundleError):
        check_graph(content)
