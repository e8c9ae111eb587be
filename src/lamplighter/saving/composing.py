"""ONNX graphs composed of an exported backbone and a new head."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lamplighter.errors import ModelError
from lamplighter.inference.graph_check import check_graph
from lamplighter.models.head_weights import KINDS, HeadWeights, of_module
from lamplighter.saving.head_graphs import OLDEST, written_graph
from lamplighter.saving.tracing import head_graph

if TYPE_CHECKING:
    from onnx import ModelProto, ValueInfoProto
    from torch import nn

_HEAD = "head/"  # before the names of all that comes from the new head


def composed_graph(backbone_graph: bytes, head: HeadWeights | nn.Module) -> bytes:
    """Return an ONNX model: the features of `backbone_graph`, then `head`.

    The old head and its weights are left out. It takes a hundredth of the time of an export.

    Args:
        backbone_graph: an ONNX model, images (N, C, H, W) to "logits" and "features" (N, D).
        head: features (N, D) to logits (N, K); one of torch that is not linear, nearest neighbours
            or support vectors is exported.

    Raises:
        ModelError: the two cannot be joined.
        BundleError: the graph is damaged.
    """
    import onnx
    from onnx import compose
    from onnx.utils import Extractor

    check_graph(backbone_graph)  # it can be read, and is all there
    model = onnx.load_model_from_string(backbone_graph)
    features = [port for port in model.graph.output if port.name == "features"]
    if not features:
        raise ModelError("a head can be joined only to a graph that gives features.")
    new = _head_model(head, features[0], model)
    logits = new.graph.output[0]
    try:
        images = model.graph.input[0].name
        backbone = Extractor(model).extract_model([images], ["features"])
        prefixed = compose.add_prefix(new, _HEAD, rename_inputs=False, rename_outputs=False)
        joined = compose.merge_models(backbone, prefixed, io_map=[("features", "features")])
    except (ValueError, onnx.checker.ValidationError) as error:  # of two versions of ONNX
        raise ModelError(f"the head cannot be joined to the graph: {error}") from error
    del joined.graph.output[:], joined.graph.value_info[:]
    joined.graph.name = model.graph.name  # this and the versions would grow each time
    versions = {version.domain: version for version in new.opset_import}
    del joined.opset_import[:]
    joined.opset_import.extend(versions.values())
    joined.graph.output.extend([logits, *features])
    content: bytes = joined.SerializeToString()
    return content


def _head_model(
    head: HeadWeights | nn.Module, features: ValueInfoProto, model: ModelProto
) -> ModelProto:
    """Return an ONNX model of `head`, "features" (N, D) to "logits" (N, K), to go with `model`."""
    import onnx

    learned = head if isinstance(head, HeadWeights) else of_module(head)
    if learned is not None and learned.kind in KINDS:
        version = next((one.version for one in model.opset_import if not one.domain), 0)
        if version < OLDEST:
            raise ModelError(
                f"a head can be joined to a graph of ONNX's operators {OLDEST} or later, received "
                f"{version}; export it with opset_version={OLDEST} or more."
            )
        return written_graph(learned, features, model)
    module = head.to_torch() if isinstance(head, HeadWeights) else head
    width = features.type.tensor_type.shape.dim[1].dim_value
    return onnx.load_model_from_string(head_graph(module, width))
