"""Parity: proof that an ONNX graph answers as the torch network it was exported from."""

from __future__ import annotations

import contextlib
import copy
import functools
import importlib.util
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from lamplighter.errors import BundleError, ModelError, ParityError, ShapeError
from lamplighter.inference.runtime import CheckedRuntime, OnnxRuntime, TorchRuntime
from lamplighter.saving import tracing
from lamplighter.saving.composing import composed_graph

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from numpy.typing import NDArray
    from torch import nn

    from lamplighter.images.preprocessing import Preprocessing
    from lamplighter.inference.runtime import Runtime
    from lamplighter.models.classifier import Classifier
    from lamplighter.models.head_weights import HeadWeights

    Answers = tuple[NDArray[np.floating[Any]], ...]  # logits (N, K), and features (N, D) if any

TOLERANCE = 1e-4  # of values up to 100; float32 has no more than seven digits for larger ones
_LARGE = 100.0
# A graph adds up the same numbers in another order, and may so differ by more than float32 does.
_ROUNDING = 8.0
_DECIDED = 0.01  # an image whose probabilities float32 alone moves farther proves nothing
_UNDECIDED = 0.25  # the share of such images up to which the others are a proof
_SYNTHETIC = 16
_ENOUGH = 1_500_000  # pixel values to compare on: ten photos of 224 x 224, any number of digits
_KINDS = ("logits", "features")


@dataclass(frozen=True)
class Parity:
    """How closely graph and network agree.

    Attributes:
        images: what they were compared on.
        max_difference: the largest absolute difference of two logits or features; None where
            there is no graph.
        failure: why there is no graph; None where there is one.
    """

    images: str
    max_difference: float | None
    failure: str | None = None


def proven_graph(classifier: Classifier) -> tuple[bytes, Parity]:
    """Return the ONNX graph of a classifier's network, proven to give the same answers.

    A difference up to 1e-4 is taken for none (up to 1e-6 of values above 100). Where there is a
    larger one, the network is computed in float64 too: the graph may differ from that by eight
    times as much as the network in float32 does, and that is all of its tolerance.

    A graph that was joined from that of a backbone and a new head is proven on the weights of the
    head and the features that the backbone's graph gives; the network need not be built.

    Raises:
        ParityError: a logit or feature differs by more than the tolerance, another class wins, or
            ONNX Runtime does not take the graph.
        ExportError: the network cannot be written as a graph.
        ClassCountError: the network does not give a score for each class.
        ModelError: weights or answers are NaN or infinite.
    """
    check_finite(classifier.weight_arrays())
    pixels, images = _proof_images(classifier)
    inputs = classifier.preprocessing.normalise(pixels)
    graph, backbone, head = classifier.graph, classifier.backbone_graph, classifier.joined_head
    if graph is not None and backbone is not None and head is not None:
        # Where this fails, the whole network can tell, but for integers: it is in float32.
        final = classifier.precision == "int8"
        with contextlib.nullcontext() if final else contextlib.suppress(ParityError):
            difference = _compared(classifier, graph, inputs, _by_parts(backbone, head, inputs))
            return graph, Parity(f"{images}, of the head alone", difference)
    if graph is not None and classifier.proof is not None and _no_network(classifier):
        by_graph = CheckedRuntime(OnnxRuntime(graph), classifier.class_names)
        _compared(classifier, graph, inputs, _Expected((by_graph(inputs),)))
        said = classifier.proof
        return graph, Parity(str(said.get("images", "")), said.get("max_difference"))
    network = classifier.read_network()
    by_torch = CheckedRuntime(TorchRuntime(network), classifier.class_names)
    with_features = tracing.has_features(network, classifier.preprocessing)
    values = _answers(by_torch, inputs, with_features=with_features)
    exactly = functools.partial(_in_float64, network, inputs, with_features=with_features)
    expected = _Expected(values, functools.cache(exactly))
    for known in _known_graphs(classifier, network):
        # Anything amiss here, above all weights that were trained on, shows in the export below.
        with contextlib.suppress(ParityError):
            return known, Parity(images, _compared(classifier, known, inputs, expected))
    graph = tracing.onnx_graph(network, classifier.preprocessing)
    return graph, Parity(images, _compared(classifier, graph, inputs, expected))


def _no_network(classifier: Classifier) -> bool:
    """Return whether the network that the graph is to be compared with cannot be had here."""
    if classifier.precision == "int8":  # which the network in float32 proves nothing of
        return True
    needed = ["torch"]
    if classifier.architecture is not None and classifier.architecture.name == "pretrained":
        needed.append("timm")
    absent = any(importlib.util.find_spec(package) is None for package in needed)
    return classifier.missing is not None or absent


@dataclass(frozen=True, eq=False)
class _Expected:
    """What a graph is compared with.

    Attributes:
        values: the network's answers in float32.
        exactly: computes them in float64; None where the network cannot.
    """

    values: Answers
    exactly: Callable[[], Answers | None] = lambda: None


def _known_graphs(classifier: Classifier, network: nn.Module) -> Iterator[bytes]:
    """Yield graphs that may be those of the network, and cost no export."""
    from lamplighter.models.pretrained import PretrainedNetwork

    if classifier.graph is not None and classifier.knows_weights:
        yield classifier.graph
    backbone = classifier.backbone_graph
    if backbone is not None and isinstance(network, PretrainedNetwork):
        with contextlib.suppress(BundleError, ModelError):
            yield composed_graph(backbone, network.head)


def _by_parts(backbone_graph: bytes, head: HeadWeights, inputs: NDArray[np.float32]) -> _Expected:
    """Return the features of a backbone's graph, and the logits of a head of them."""
    features = OnnxRuntime(backbone_graph).with_features(inputs)[1]

    def exactly() -> Answers:
        wide = features.astype(np.float64)
        return head.logits(wide), wide

    return _Expected((head.logits(features), features), functools.cache(exactly))


def _in_float64(
    network: nn.Module, inputs: NDArray[np.float32], *, with_features: bool
) -> Answers | None:
    """Return what `_answers` does in float64, or None where a layer takes float32 alone."""
    import torch

    from lamplighter.models.features import forward_with_features

    with contextlib.suppress(RuntimeError, TypeError), torch.inference_mode():
        wide = copy.deepcopy(network).cpu().double().eval()
        parts = [
            forward_with_features(wide, torch.from_numpy(image[np.newaxis]).double())
            for image in inputs
        ]
        logits = np.concatenate([given.numpy() for given, _ in parts])
        if not with_features:
            return (logits,)
        return logits, np.concatenate([found.numpy() for _, found in parts if found is not None])
    return None


def _answers(
    compute: Runtime, inputs: NDArray[np.float32], *, with_features: bool
) -> tuple[NDArray[np.float32], ...]:
    """Return the logits of `inputs`, and the features if they are wanted."""
    return compute.with_features(inputs) if with_features else (compute(inputs),)


def _compared(
    classifier: Classifier, graph: bytes, inputs: NDArray[np.float32], expected: _Expected
) -> float:
    """Return the largest difference between the answers of `graph` and the expected ones.

    Raises:
        ParityError: it is larger than the tolerance, another class wins, or ONNX Runtime does not
            take the graph.
    """
    largest = 0.0
    try:
        compute = CheckedRuntime(OnnxRuntime(graph), classifier.class_names)
        # The number of images must not matter: all of them, one, and a number in between.
        for count in sorted({len(inputs), 1, 3}):
            chosen = np.arange(count) % len(inputs)
            answers = _answers(compute, inputs[chosen], with_features=len(expected.values) == 2)
            largest = max(largest, _compare(answers, expected, chosen))
    except ParityError:
        raise
    except (BundleError, ModelError) as error:
        raise ParityError(f"the ONNX graph of the network cannot be used: {error}") from error
    return largest


def check_finite(weights: Mapping[str, NDArray[Any]]) -> None:
    """Refuse weights that are not numbers.

    Raises:
        ModelError: a weight is NaN or infinite.
    """
    for name, value in weights.items():
        if value.dtype.kind in "fc" and not bool(np.isfinite(value).all()):
            raise ModelError(
                f"the weights {name} hold NaN or infinite values: the training diverged; "
                "train again with a lower learning rate, or go back to an earlier checkpoint."
            )


def _compare(answers: Answers, expected: _Expected, chosen: NDArray[np.int64]) -> float:
    """Return the largest difference of answers from those expected of the images `chosen`.

    Raises:
        ParityError: it is larger than the tolerance, or another class wins.
    """
    values = tuple(part[chosen] for part in expected.values)
    for kind, ours, theirs in zip(_KINDS, answers, values, strict=False):
        if ours.shape != theirs.shape:
            raise ParityError(
                f"the ONNX graph must give the {kind} of the torch network, of shape "
                f"{theirs.shape}, received {ours.shape}."
            )
    differences = [float(np.abs(a - b).max()) for a, b in zip(answers, values, strict=True)]
    tolerances = [_tolerance(part) for part in values]
    others = int((answers[0].argmax(axis=1) != values[0].argmax(axis=1)).sum())
    fine = all(d <= t for d, t in zip(differences, tolerances, strict=True))  # NaN is not
    if fine and not others:
        return max(differences)
    exact = expected.exactly()
    if exact is not None:
        exact = tuple(part[chosen] for part in exact)
        return _compare_with_rounding(answers, values, exact)
    worst = int(np.argmax([d / t for d, t in zip(differences, tolerances, strict=True)]))
    raise _disagreement(_KINDS[worst], tolerances[worst], differences[worst], others, len(chosen))


def _compare_with_rounding(answers: Answers, values: Answers, exact: Answers) -> float:
    """Return the largest difference where float32 itself is too coarse for the usual tolerance.

    Args:
        answers: of the graph.
        values: of the network in float32.
        exact: of the network in float64.
    """
    decided = _probability_moved(values[0], exact[0]) <= _DECIDED
    if (~decided).mean() > _UNDECIDED:
        raise ParityError(
            f"the answers to {(~decided).sum()} of {len(decided)} images hang on the last digit of "
            "float32, so that no graph can be proven; scale the weights or the features down."
        )
    largest = 0.0
    for kind, ours, theirs, wide in zip(_KINDS, answers, values, exact, strict=False):
        rounding = float(np.abs(theirs - wide)[decided].max())
        tolerance = max(_tolerance(theirs), _ROUNDING * rounding)
        difference = float(np.abs(ours - wide)[decided].max())
        others = 0
        if kind == "logits":
            most = wide.max(axis=1)
            margin = most - np.take_along_axis(wide, ours.argmax(axis=1)[:, np.newaxis], 1)[:, 0]
            others = int((margin[decided] > 2 * _ROUNDING * rounding).sum())
            moved = bool((_probability_moved(ours, wide)[decided] > 2 * _DECIDED).any())
        if not difference <= tolerance or others or moved:
            raise _disagreement(kind, tolerance, difference, others, int(decided.sum()))
        largest = max(largest, difference)
    return largest


def _tolerance(values: NDArray[np.floating[Any]]) -> float:
    return TOLERANCE * max(1.0, float(np.abs(values).max()) / _LARGE)


def _probability_moved(
    one: NDArray[np.floating[Any]], other: NDArray[np.floating[Any]]
) -> NDArray[np.float64]:
    """Return how far the probability of a class differs at most, for each image, shape (N,)."""
    from lamplighter.evaluation.calibration import softmax

    moved: NDArray[np.float64] = np.abs(softmax(one) - softmax(other)).max(axis=1)
    return moved


def _disagreement(
    kind: str, tolerance: float, difference: float, others: int, count: int
) -> ParityError:
    return ParityError(
        f"the ONNX graph must give the {kind} of the torch network within {tolerance:.1g} and the "
        f"same classes, received a difference of {difference:.2g} and another class for {others} "
        f"of {count} images: does the network compute differently from call to call, or was it "
        "changed meanwhile?"
    )


def _proof_images(classifier: Classifier) -> tuple[NDArray[np.uint8], str]:
    """Return images to compare on, uint8 (M, C, H, W), and what they are."""
    samples, wanted = classifier.samples, classifier.preprocessing
    most = max(3, _ENOUGH // (wanted.channels * wanted.height * wanted.width))
    if samples is None or not len(samples):
        synthetic = synthetic_images(wanted)[:most]
        return synthetic, f"{len(synthetic)} synthetic images"
    shape = (wanted.channels, wanted.height, wanted.width)
    if samples.dtype != np.uint8 or samples.shape[1:] != shape:
        raise ShapeError(
            f"the samples of a classifier must be uint8 of shape (M, {', '.join(map(str, shape))})"
            f", received {samples.dtype} of shape {samples.shape}."
        )
    return samples[:most], f"{len(samples[:most])} images of the data"


def synthetic_images(wanted: Preprocessing) -> NDArray[np.uint8]:
    """Return gradients, blobs and noise, the same ones each time: uint8 (M, C, H, W)."""
    rng = np.random.default_rng(0)
    rows = np.linspace(0, 1, wanted.height)[:, np.newaxis]
    columns = np.linspace(0, 1, wanted.width)[np.newaxis]
    images = []
    for index in range(_SYNTHETIC):
        weights = rng.uniform(0.2, 1, size=(wanted.channels, 1, 1))
        row, column, width = rng.uniform(0.2, 0.8), rng.uniform(0.2, 0.8), rng.uniform(0.05, 0.3)
        if index % 3 == 0:  # a gradient
            image = weights * (row * rows + column * columns)
        elif index % 3 == 1:  # a blob
            distance = (rows - row) ** 2 + (columns - column) ** 2
            image = weights * np.exp(-distance / (2 * width**2))
        else:
            image = rng.uniform(size=(wanted.channels, wanted.height, wanted.width))
        images.append(np.clip(image * 255, 0, 255).astype(np.uint8))
    return np.stack(images)
