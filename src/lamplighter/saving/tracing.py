"""What a network computes, as a graph that no longer needs its class: traced by torch."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from typing import TYPE_CHECKING

from lamplighter.errors import LamplighterError, MissingPackageError, ModelError
from lamplighter.inference.runtime import device_of, evaluating

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import nn
    from torch.export import ExportedProgram

    from lamplighter.data.preprocessing import Preprocessing

_NOISY = ("torch", "onnxscript", "onnx_ir")  # loggers that tell of the steps of an export


def onnx_graph(network: nn.Module, preprocessing: Preprocessing) -> bytes:
    """Return `network` in evaluation mode as an ONNX model, in memory and complete in itself.

    Its input is "images", float32 (N, C, H, W) with N free, its output "logits" (N, K). It tells
    nothing of the machine that it was made on.

    Raises:
        ModelError: the network cannot be exported.
    """
    import onnx  # noqa: F401 (named if it is missing, before any work)
    import onnxscript  # noqa: F401
    import torch

    with _exporting(network, "ONNX"):
        program = torch.onnx.export(
            _traced(network, preprocessing),
            dynamo=True,
            input_names=["images"],
            output_names=["logits"],
            external_data=False,
            verbose=False,
        )
        assert program is not None  # as it is with dynamo=True
        model = program.model_proto
    graph = model.graph
    for port in (*graph.input, *graph.output):
        port.type.tensor_type.shape.dim[0].dim_param = "N"
    for part in (*graph.input, *graph.output, *graph.node, *graph.initializer):
        del part.metadata_props[:]  # source lines with their paths
    del graph.value_info[:]
    content: bytes = model.SerializeToString()
    return content


def torch_program(network: nn.Module, preprocessing: Preprocessing) -> bytes:
    """Return `network` in evaluation mode as `torch.export.save` writes it, with N free.

    Raises:
        ModelError: the network cannot be exported.
    """
    import torch

    content = io.BytesIO()
    with _exporting(network, "torch.export"):
        program = _traced(network, preprocessing)
        for node in program.graph.nodes:
            node.meta.pop("stack_trace", None)  # source lines with their paths
        torch.export.save(program, content)
    return content.getvalue()


def _traced(network: nn.Module, preprocessing: Preprocessing) -> ExportedProgram:
    """Return what `network` computes, for any number of images."""
    import torch

    size = (preprocessing.channels, preprocessing.height, preprocessing.width)
    example = torch.zeros((2, *size), device=device_of(network))  # 1 would be taken as fixed
    return torch.export.export(
        network, (example,), dynamic_shapes=({0: torch.export.Dim("batch")},), strict=False
    )


@contextlib.contextmanager
def _exporting(network: nn.Module, name: str) -> Iterator[None]:
    """Keep the exporters quiet and the network unchanged, and put their errors into words."""
    import torch

    loggers = [logging.getLogger(logger) for logger in _NOISY]
    levels = [logger.level for logger in loggers]
    try:
        with evaluating(network), torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for logger in loggers:
                logger.setLevel(logging.CRITICAL)
            yield
    except (LamplighterError, ImportError):
        raise
    except Exception as error:  # whatever the network's own code and the exporters raise
        reason = (str(error).strip().splitlines() or [""])[0][:200]
        raise ModelError(
            f"the network cannot be exported to {name}: {type(error).__name__}: {reason}; its "
            "forward must be made of tensor operations that hold for any number of images."
        ) from error
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


@contextlib.contextmanager
def needs_training_packages(task: str) -> Iterator[None]:
    """Turn a package that is missing into advice on what to install."""
    try:
        yield
    except ImportError as error:
        package = error.name or "a package"
        raise MissingPackageError(
            f"{task} needs {package}, which is not installed; pip install 'lamplighter[train]'."
        ) from error
