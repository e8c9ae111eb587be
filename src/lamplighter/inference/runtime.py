"""What computes the scores: ONNX Runtime for a graph, torch for a network.

The only module that knows ONNX Runtime.
"""

from __future__ import annotations

import contextlib
import os
import weakref
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Protocol

import numpy as np

from lamplighter.errors import (
    BundleError,
    ClassCountError,
    ModelError,
    ShapeError,
)
from lamplighter.inference.graph_check import check_graph

if TYPE_CHECKING:
    from collections.abc import Iterator

    import torch
    from numpy.typing import NDArray
    from torch import nn

    from lamplighter.models.classifier import Classifier

_CHUNK = 64  # images that one run is given: more gains nothing and leaves the caches
_FEW = 8  # fewer images than these are not worth a thread
_FATAL = 4  # ONNX Runtime's log level; whatever is less is raised, so it need not be printed too


class Runtime(Protocol):
    """Computes logits (N, K), float32, of preprocessed images (N, C, H, W), float32."""

    def __call__(self, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the logits of `inputs`."""


class OnnxRuntime:
    """Runs an ONNX graph on the CPU.

    One session, each run on one thread, as many runs at a time as there are cores: for small
    networks and many images this leaves no core idle and none spinning.

    Args:
        graph: an ONNX model with one input (N, C, H, W) and one output (N, K), both float32.

    Raises:
        BundleError: the graph is damaged, or is not of this form, or reaches outside itself.
    """

    def __init__(self, graph: bytes) -> None:
        import onnxruntime

        check_graph(graph)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.add_session_config_entry("session.load_model_format", "ONNX")
        options.log_severity_level = _FATAL
        try:
            self._session = onnxruntime.InferenceSession(
                graph, options, providers=["CPUExecutionProvider"]
            )
            inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
            # Read here, since a damaged graph may name them in bytes that are no text.
            ports = [(port.type, len(port.shape or ())) for port in (*inputs, *outputs)]
            self._input: str = inputs[0].name if inputs else ""
        except Exception as error:  # its exceptions have no other base in common
            raise BundleError(
                f"ONNX Runtime cannot load the graph: {_first_line(error)}; "
                "save the classifier again."
            ) from error
        if len(inputs) != 1 or ports != [("tensor(float)", 4), ("tensor(float)", 2)]:
            raise BundleError(
                "the graph must map one float32 input (N, C, H, W) to one float32 output (N, K), "
                f"received {ports}; save the classifier again."
            )
        self._shape: tuple[int | str | None, ...] = tuple(inputs[0].shape)

    def __call__(self, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the logits (N, K) of preprocessed `inputs` (N, C, H, W).

        Raises:
            ShapeError: the graph does not take images of this shape.
            BundleError: the graph fails.
        """
        self._check(inputs)
        count, workers = len(inputs), usable_cores()
        chunk = _CHUNK if count < _FEW else min(_CHUNK, -(-count // workers))
        chunks = [inputs[start : start + chunk] for start in range(0, max(count, 1), chunk)]
        if len(chunks) == 1 or workers == 1:
            return np.concatenate([self._run(part) for part in chunks])
        with ThreadPoolExecutor(min(workers, len(chunks))) as pool:
            return np.concatenate(list(pool.map(self._run, chunks)))

    def _run(self, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
        try:
            logits: NDArray[np.float32] = self._session.run(None, {self._input: inputs})[0]
        except Exception as error:  # its exceptions have no other base in common
            raise BundleError(
                f"ONNX Runtime cannot run the graph: {_first_line(error)}; "
                "save the classifier again."
            ) from error
        return logits

    def _check(self, inputs: NDArray[np.float32]) -> None:
        fits = inputs.ndim == 4 and all(
            size == expected
            for size, expected in zip(inputs.shape, self._shape, strict=True)
            if isinstance(expected, int)
        )
        if inputs.dtype != np.float32 or not fits:
            raise ShapeError(
                f"the graph takes float32 images of shape {_shape_text(self._shape)}, received "
                f"{inputs.dtype} of shape {_shape_text(inputs.shape)}; "
                "preprocess them as the classifier says."
            )


class TorchRuntime:
    """Runs a torch network in evaluation mode, where it is, and leaves it as it was.

    Args:
        network: maps images (N, C, H, W) to logits (N, K).
        batch_size: images in one forward pass.
    """

    def __init__(self, network: nn.Module, *, batch_size: int = 250) -> None:
        self.network = network
        self.batch_size = batch_size

    def __call__(self, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the logits (N, K) of preprocessed `inputs` (N, C, H, W).

        Raises:
            ModelError: the network fails on them.
        """
        import torch

        device = device_of(self.network)
        images = torch.from_numpy(np.ascontiguousarray(inputs))
        with evaluating(self.network), torch.inference_mode():
            batches = [
                self._forward(batch.to(device)) for batch in torch.split(images, self.batch_size)
            ]
        return np.concatenate(batches)

    def _forward(self, images: torch.Tensor) -> NDArray[np.float32]:
        import torch

        try:
            logits = self.network(images)
        except RuntimeError as error:  # what torch raises, above all where shapes do not fit
            raise ModelError(
                f"the network fails on images of shape {_shape_text(images.shape)}: "
                f"{_first_line(error)}; do its layers fit the preprocessing?"
            ) from error
        if not isinstance(logits, torch.Tensor):
            raise ModelError(
                "the network must return one tensor of logits (N, K), "
                f"received {type(logits).__name__}."
            )
        scores: NDArray[np.float32] = logits.float().cpu().numpy()
        return scores


class CheckedRuntime:
    """Another runtime whose answers are checked: one finite score for each class.

    Args:
        inner: what computes the logits.
        class_names: K names.
    """

    def __init__(self, inner: Runtime, class_names: tuple[str, ...]) -> None:
        self.inner = inner
        self.class_names = class_names

    def __call__(self, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the logits (N, K) of preprocessed `inputs` (N, C, H, W).

        Raises:
            ShapeError: the network does not take images of this shape.
            ClassCountError: the network does not give K scores.
            ModelError: a score is NaN or infinite.
        """
        logits = self.inner(inputs)
        if logits.ndim != 2 or len(logits) != len(inputs):
            raise ModelError(
                f"the network must return logits of shape ({len(inputs)}, "
                f"{len(self.class_names)}), received {_shape_text(logits.shape)}."
            )
        if logits.shape[1] != len(self.class_names):
            raise ClassCountError(
                f"the network gives {logits.shape[1]} scores, but there are "
                f"{len(self.class_names)} class names: {', '.join(self.class_names)}; "
                "make its last layer as wide as there are classes."
            )
        if not np.isfinite(logits).all():
            worst = "NaN" if np.isnan(logits).any() else "infinity"
            raise ModelError(
                f"the network answers {worst} instead of a score; its weights are damaged or the "
                "training diverged: train again with a lower learning rate, or use an older bundle."
            )
        return logits


_runtimes: weakref.WeakKeyDictionary[Classifier, tuple[bytes, CheckedRuntime]]
_runtimes = weakref.WeakKeyDictionary()  # a session is made once for a classifier


def runtime(classifier: Classifier) -> Runtime:
    """Return what computes the logits of `classifier`: its graph if it has one, else torch.

    Raises:
        BundleError: the graph is damaged.
    """
    graph = classifier.graph
    if graph is None:
        return CheckedRuntime(TorchRuntime(classifier.network), classifier.class_names)
    known = _runtimes.get(classifier)
    if known is None or known[0] is not graph:
        known = graph, CheckedRuntime(OnnxRuntime(graph), classifier.class_names)
        _runtimes[classifier] = known
    return known[1]


@contextlib.contextmanager
def evaluating(network: nn.Module) -> Iterator[None]:
    """Put `network` into evaluation mode, and each of its modules back afterwards."""
    modes = {module: module.training for module in network.modules()}
    network.eval()
    try:
        yield
    finally:
        for module, training in modes.items():
            module.training = training


def device_of(network: nn.Module) -> torch.device:
    """Return the device of the network's first parameter or buffer; the CPU if it has none."""
    import torch

    for tensor in (*network.parameters(), *network.buffers()):
        return tensor.device
    return torch.device("cpu")


def usable_cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _shape_text(shape: tuple[int | str | None, ...]) -> str:
    return f"({', '.join(str(size) for size in shape)})"


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
