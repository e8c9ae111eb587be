"""Export of torch networks to ONNX and torch.export programs."""

from __future__ import annotations

import contextlib
import gc
import io
import logging
import warnings
from typing import TYPE_CHECKING

import numpy as np

from lamplighter.errors import ExportError, LamplighterError, MissingPackageError
from lamplighter.inference.runtime import TorchRuntime, device_of, evaluating

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from torch import Tensor, nn
    from torch.export import ExportedProgram

    from lamplighter.images.preprocessing import Preprocessing

_NOISY = ("torch", "onnxscript", "onnx_ir")  # loggers that tell of the steps of an export


def onnx_graph(network: nn.Module, preprocessing: Preprocessing) -> bytes:
    """Return `network` in evaluation mode as an ONNX model, in memory and complete in itself.

    Its input is "images", float32 (N, C, H, W) with N free, its outputs "logits" (N, K) and, where
    the network has features, "features" (N, D). It tells nothing of the machine that it was made
    on.

    Raises:
        ExportError: the network cannot be exported.
    """
    import torch

    from lamplighter.models.features import forward_with_features

    class WithFeatures(torch.nn.Module):
        """A network that gives its features too."""

        def __init__(self) -> None:
            super().__init__()
            self.network = network

        def forward(self, images: Tensor) -> tuple[Any, Tensor | None]:
            return forward_with_features(self.network, images)

    example = _example(network, preprocessing)
    if has_features(network, preprocessing):
        return _exported(WithFeatures(), example, "images", ["logits", "features"])
    return _exported(network, example, "images", ["logits"])


def head_graph(head: nn.Module, num_features: int) -> bytes:
    """Return `head` alone as an ONNX model, "features" (N, D) to "logits" (N, K), with N free.

    Raises:
        ExportError: it cannot be exported.
    """
    import torch

    example = torch.zeros((2, num_features), device=device_of(head))
    return _exported(head, example, "features", ["logits"])


def has_features(network: nn.Module, preprocessing: Preprocessing) -> bool:
    """Return whether `network` gives one vector of features for each image.

    Raises:
        ModelError: the network fails.
    """
    size = (preprocessing.channels, preprocessing.height, preprocessing.width)
    return TorchRuntime(network).gives_features(np.zeros((1, *size), dtype=np.float32))


def _exported(network: nn.Module, example: Tensor, given: str, names: list[str]) -> bytes:
    """Return `network` as an ONNX model with one input and the outputs `names`."""
    import onnx  # noqa: F401 (named if it is missing, before any work)
    import onnxscript  # noqa: F401
    import torch

    with _exporting(network, "ONNX"):
        program = torch.onnx.export(
            _traced(network, example),
            dynamo=True,
            input_names=[given],
            output_names=names,
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
        ExportError: the network cannot be exported.
    """
    import torch

    content = io.BytesIO()
    with _exporting(network, "torch.export"):
        program = _traced(network, _example(network, preprocessing))
        for node in program.graph.nodes:
            node.meta.pop("stack_trace", None)  # source lines with their paths
        torch.export.save(program, content)
    return content.getvalue()


def _example(network: nn.Module, preprocessing: Preprocessing) -> Tensor:
    """Return two images, since of one their number would be taken as fixed."""
    import torch

    size = (preprocessing.channels, preprocessing.height, preprocessing.width)
    return torch.zeros((2, *size), device=device_of(network))


def _traced(network: nn.Module, example: Tensor) -> ExportedProgram:
    """Return what `network` computes, for any number of images."""
    import torch

    return torch.export.export(
        network, (example,), dynamic_shapes=({0: torch.export.Dim("batch")},), strict=False
    )


@contextlib.contextmanager
def _exporting(network: nn.Module, name: str) -> Iterator[None]:
    """Keep the exporters quiet and the network unchanged, and put their errors into words."""
    import torch

    inplace = [module for module in network.modules() if getattr(module, "inplace", None) is True]
    loggers = [logging.getLogger(logger) for logger in _NOISY]
    levels = [logger.level for logger in loggers]
    try:
        with (
            evaluating(network),
            torch.no_grad(),
            warnings.catch_warnings(),
            contextlib.redirect_stderr(io.StringIO()),  # what it had traced, where that fails
            collection_paused(),
        ):
            warnings.simplefilter("ignore")
            for module in inplace:  # which is the same, but takes twice as long to decompose
                setattr(module, "inplace", False)  # noqa: B010 (nn.Module has no such attribute)
            for logger in loggers:
                logger.setLevel(logging.CRITICAL)
            yield
    except (LamplighterError, ImportError):
        raise
    except Exception as error:  # whatever the network's own code and the exporters raise
        reason = (str(error).strip().splitlines() or [""])[0][:200]
        raise ExportError(
            f"the network cannot be exported to {name}: {type(error).__name__}: {reason}; its "
            "forward must be made of tensor operations that hold for any number of images."
        ) from error
    finally:
        for module in inplace:
            setattr(module, "inplace", True)  # noqa: B010
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


@contextlib.contextmanager
def collection_paused() -> Iterator[None]:
    """Keep the garbage collector from looking through what is being made, again and again.

    It takes a quarter of the time of an export, or of importing torch and timm.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


@contextlib.contextmanager
def needs_training_packages(task: str) -> Iterator[None]:
    """Turn a package that is missing into advice on what to install."""
    try:
        yield
    except LamplighterError:  # which says already what is missing
        raise
    except ImportError as error:
        raise MissingPackageError.of(task, error) from error
