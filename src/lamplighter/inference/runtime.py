"""`Runtime`: logits and features by ONNX Runtime or torch.

The only module that knows ONNX Runtime.
"""

from __future__ import annotations

import contextlib
import functools
import weakref
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Protocol

import numpy as np

from lamplighter.errors import BundleError, ClassCountError, ModelError, ShapeError
from lamplighter.inference.graph_check import check_graph
from lamplighter.inference.torch_runtime import TorchRuntime as TorchRuntime
from lamplighter.inference.torch_runtime import device_of as device_of
from lamplighter.inference.torch_runtime import evaluating as evaluating
from lamplighter.inference.torch_runtime import no_features, shape_text
from lamplighter.machine import usable_cores
from lamplighter.text import first_line

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

    from numpy.typing import NDArray

    from lamplighter.models.classifier import Classifier

_CHUNK = 64  # images that one run is given at most: more gains nothing
_CHUNK_BYTES = 2_500_000  # of input in one run: more leaves the caches, and halves the speed
_FEW = 8  # fewer small images than these are not worth a thread
_LARGE = 100_000  # bytes of an image of which two are worth a thread
_LOGITS, _FEATURES = "logits", "features"  # outputs of a graph
_WIDEN = "make its last layer as wide as there are classes"
_FATAL = 4  # ONNX Runtime's log level; whatever is less is raised, so it need not be printed too


class Runtime(Protocol):
    """Computes logits (N, K), float32, of preprocessed images (N, C, H, W), float32."""

    @property
    def num_features(self) -> int | None:
        """D, or None where the network has no features to give."""

    def __call__(self, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the logits of `inputs`."""

    def with_features(
        self, inputs: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return the logits and the features (N, D) of `inputs`."""


class OnnxRuntime:
    """Runs an ONNX graph on the CPU.

    One session, each run on one thread, as many runs at a time as there are cores: for small
    networks and many images this leaves no core idle and none spinning.

    Args:
        graph: an ONNX model with one input (N, C, H, W) and one output (N, K), both float32, or
            with two outputs "logits" (N, K) and "features" (N, D).
        threads: how many runs at a time; by default as many as there are cores.

    Attributes:
        num_features: D, or None where the graph has no features.

    Raises:
        BundleError: the graph is damaged, or is not of this form, or reaches outside itself.
    """

    def __init__(self, graph: bytes, *, threads: int | None = None) -> None:
        import onnxruntime

        self._threads = threads or usable_cores()

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
            names = [port.name for port in outputs]
        except Exception as error:  # its exceptions have no other base in common
            raise BundleError(
                f"ONNX Runtime cannot load the graph: {first_line(error)}; "
                "save the classifier again."
            ) from error
        if not _is_classifier(ports, names):
            raise BundleError(
                "the graph must map one float32 input (N, C, H, W) to one float32 output (N, K), "
                'or to two, "logits" and "features", '
                f"received {ports}; save the classifier again."
            )
        self._shape: tuple[int | str | None, ...] = tuple(inputs[0].shape)
        self._outputs = names if len(names) == 1 else [_LOGITS, _FEATURES]
        self.num_features: int | None = None
        if len(names) == 2:
            width = outputs[names.index(_FEATURES)].shape[1]
            self.num_features = width if isinstance(width, int) else None

    def __call__(self, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the logits (N, K) of preprocessed `inputs` (N, C, H, W).

        Raises:
            ShapeError: the graph does not take images of this shape.
            BundleError: the graph fails.
        """
        return self._compute(inputs, self._outputs[:1])[0]

    def with_features(
        self, inputs: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return logits (N, K) and features (N, D) of preprocessed `inputs` (N, C, H, W).

        Raises:
            ShapeError: the graph does not take images of this shape.
            ModelError: the graph has no features.
            BundleError: the graph fails.
        """
        if self.num_features is None:
            raise no_features()
        logits, features = self._compute(inputs, self._outputs)
        return logits, features

    def _compute(
        self, inputs: NDArray[np.float32], outputs: list[str]
    ) -> list[NDArray[np.float32]]:
        """Return each of `outputs` for all of `inputs`."""
        self._check(inputs)
        count, workers = len(inputs), self._threads
        size = inputs.nbytes // max(count, 1)  # bytes of one image
        chunk = max(1, min(_CHUNK, _CHUNK_BYTES // max(size, 1)))
        if count >= _FEW or size >= _LARGE:
            chunk = max(1, min(chunk, -(-count // workers)))
        chunks = [inputs[start : start + chunk] for start in range(0, max(count, 1), chunk)]
        run = functools.partial(self._run, outputs)
        if len(chunks) == 1 or workers == 1:
            parts = [run(part) for part in chunks]
        else:
            with ThreadPoolExecutor(min(workers, len(chunks))) as pool:
                parts = list(pool.map(run, chunks))
        return [np.concatenate(part) for part in zip(*parts, strict=True)]

    def _run(self, outputs: list[str], inputs: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        try:
            results: list[NDArray[np.float32]] = self._session.run(outputs, {self._input: inputs})
        except Exception as error:  # its exceptions have no other base in common
            raise BundleError(
                f"ONNX Runtime cannot run the graph: {first_line(error)}; "
                "save the classifier again."
            ) from error
        return results

    def _check(self, inputs: NDArray[np.float32]) -> None:
        fits = inputs.ndim == 4 and all(
            size == expected
            for size, expected in zip(inputs.shape, self._shape, strict=True)
            if isinstance(expected, int)
        )
        if inputs.dtype != np.float32 or not fits:
            raise ShapeError(
                f"the graph takes float32 images of shape {shape_text(self._shape)}, received "
                f"{inputs.dtype} of shape {shape_text(inputs.shape)}; "
                "preprocess them as the classifier says."
            )


def head_logits(graph: bytes, features: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return what the ONNX model of a head, "features" to "logits", gives, shape (N, K).

    Args:
        graph: an ONNX model of this program's own making.
        features: shape (N, D).

    Raises:
        BundleError: ONNX Runtime does not take the graph.
    """
    logits: NDArray[np.float32] = GraphRuntime(graph)({"features": features})["logits"]
    return logits


class GraphRuntime:
    """Runs an ONNX model of this program's own making, of any inputs and outputs, on one thread.

    Args:
        graph: the model.

    Raises:
        BundleError: ONNX Runtime does not take the graph.
    """

    def __init__(self, graph: bytes) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.log_severity_level = _FATAL
        try:
            self._session = onnxruntime.InferenceSession(
                graph, options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # its exceptions have no other base in common
            raise BundleError(
                f"ONNX Runtime cannot load the graph: {first_line(error)}."
            ) from error
        self._outputs = [port.name for port in self._session.get_outputs()]

    def __call__(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Return all outputs by name.

        Raises:
            BundleError: the graph fails.
        """
        given = {name: np.ascontiguousarray(value) for name, value in inputs.items()}
        try:
            values = self._session.run(self._outputs, given)
        except Exception as error:  # its exceptions have no other base in common
            raise BundleError(f"ONNX Runtime cannot run the graph: {first_line(error)}.") from error
        return dict(zip(self._outputs, values, strict=True))


class CheckedRuntime:
    """Another runtime whose answers are checked: one finite score for each class.

    Args:
        inner: what computes the logits.
        class_names: K names.
        source: the bundle that it comes from, if that is to be named in errors.
    """

    def __init__(
        self, inner: Runtime, class_names: tuple[str, ...], source: str | None = None
    ) -> None:
        self.inner = inner
        self.class_names = class_names
        self.source = source

    def __call__(self, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the logits (N, K) of preprocessed `inputs` (N, C, H, W).

        Raises:
            ShapeError: the network does not take images of this shape.
            ClassCountError: the network does not give K scores.
            ModelError: a score is NaN or infinite.
        """
        with _naming(self.source):
            return self._checked(self.inner(inputs), inputs)

    def with_features(
        self, inputs: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return logits (N, K) and features (N, D) of preprocessed `inputs` (N, C, H, W).

        Raises:
            ShapeError: the network does not take images of this shape.
            ClassCountError: the network does not give K scores.
            ModelError: a score or a feature is NaN or infinite, or there are no features.
        """
        with _naming(self.source):
            logits, features = self.inner.with_features(inputs)
            _check_finite(features, "feature", self.source)
            return self._checked(logits, inputs), features

    @property
    def num_features(self) -> int | None:
        """D, or None where the network has no features to give."""
        return self.inner.num_features

    def _checked(
        self, logits: NDArray[np.float32], inputs: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        if logits.ndim != 2 or len(logits) != len(inputs):
            raise ModelError(
                f"the network must return logits of shape ({len(inputs)}, "
                f"{len(self.class_names)}), received {shape_text(logits.shape)}."
            )
        if logits.shape[1] != len(self.class_names):
            mend = "save the classifier again" if self.source else _WIDEN
            raise ClassCountError(
                f"the network gives {logits.shape[1]} scores, but there are "
                f"{len(self.class_names)} class names: {', '.join(self.class_names)}; {mend}."
            )
        _check_finite(logits, "score", self.source)
        return logits


def _check_finite(values: NDArray[np.float32], kind: str, source: str | None) -> None:
    if not np.isfinite(values).all():
        worst = "NaN" if np.isnan(values).any() else "infinity"
        raise ModelError(
            f"the network{f' of {source}' if source else ''} answers {worst} instead of a {kind}; "
            "its weights are damaged or the training diverged: train again with a lower learning "
            "rate, or use an older bundle."
        )


@contextlib.contextmanager
def _naming(source: str | None) -> Iterator[None]:
    """Raise errors that lie in a bundle with its name."""
    try:
        yield
    except (BundleError, ClassCountError) as error:
        if source is None:
            raise
        raise type(error)(f"{source} cannot be used: {error}") from error


_runtimes: weakref.WeakKeyDictionary[Classifier, tuple[bytes, CheckedRuntime]]
_runtimes = weakref.WeakKeyDictionary()  # a session is made once for a classifier
_threads: weakref.WeakKeyDictionary[Classifier, int] = weakref.WeakKeyDictionary()


def limit_threads(classifier: Classifier, threads: int) -> None:
    """Have each call for answers of `classifier` use so many threads: for callers with their own.

    Args:
        classifier: which has not answered yet.
        threads: at least 1.
    """
    _threads[classifier] = threads


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
        source = classifier.source
        with _naming(source):
            inner = OnnxRuntime(graph, threads=_threads.get(classifier))
        known = graph, CheckedRuntime(inner, classifier.class_names, source)
        _runtimes[classifier] = known
    return known[1]


def _is_classifier(ports: list[tuple[str, int]], outputs: list[str]) -> bool:
    """Return whether a graph maps images to logits, and maybe to features too."""
    if ports[:1] != [("tensor(float)", 4)] or ports[1:] != [("tensor(float)", 2)] * len(outputs):
        return False
    return len(outputs) == 1 or sorted(outputs) == [_FEATURES, _LOGITS]
