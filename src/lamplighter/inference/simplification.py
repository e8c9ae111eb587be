"""ONNX graphs made simpler: what is constant computed, batch normalization merged."""

from __future__ import annotations

import tempfile
from pathlib import Path

from lamplighter.errors import BundleError
from lamplighter.text import first_line

_FATAL = 4  # ONNX Runtime's log level; whatever is less is raised, so it need not be printed too


def simplified_graph(graph: bytes, dimensions: dict[str, int]) -> bytes:
    """Return an ONNX model that computes the same with fewer, standard operators.

    Args:
        graph: an ONNX model of this program's own making.
        dimensions: sizes that are fixed from now on, by name, such as {"N": 1}.

    Raises:
        BundleError: ONNX Runtime does not take the graph.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = _FATAL
    # Beyond this level ONNX Runtime writes operators of its own.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    for name, size in dimensions.items():
        options.add_free_dimension_override_by_name(name, size)
    with tempfile.TemporaryDirectory() as folder:
        small = Path(folder) / "small.onnx"
        options.optimized_model_filepath = str(small)
        try:
            onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
            return small.read_bytes()
        except Exception as error:  # its exceptions have no other base in common
            raise BundleError(
                f"ONNX Runtime cannot simplify the graph: {first_line(error)}."
            ) from error
