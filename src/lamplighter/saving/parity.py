"""The proof that an ONNX graph and the torch network that it was made from are one function."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from lamplighter.errors import BundleError, ModelError, ParityError, ShapeError
from lamplighter.inference.runtime import CheckedRuntime, OnnxRuntime, TorchRuntime
from lamplighter.saving import tracing
from lamplighter.saving.composing import composed_graph

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray
    from torch import nn

    from lamplighter.data.preprocessing import Preprocessing
    from lamplighter.inference.runtime import Runtime
    from lamplighter.models.classifier import Classifier

TOLERANCE = 1e-4  # of logits up to 100; float32 has no more than seven digits for larger ones
_LARGE = 100.0
_SYNTHETIC = 16
_ENOUGH = 1_500_000  # pixel values to compare on: ten photos of 224 x 224, any number of digits


@dataclass(frozen=True)
class Parity:
    """How closely graph and network agree.

    Attributes:
        images: what they were compared on.
        max_difference: the largest absolute difference of two logits or features.
    """

    images: str
    max_difference: float


def proven_graph(classifier: Classifier) -> tuple[bytes, Parity]:
    """Return the ONNX graph of a classifier's network, proven to give the same answers.

    A graph that was joined from that of a backbone and a new head is proven on the head in torch
    and the features that the backbone's graph gives; the network need not be built.

    Raises:
        ParityError: a logit or feature differs by more than the tolerance, or another class wins.
        ClassCountError: the network does not give a score for each class.
        ModelError: weights or answers are NaN or infinite, or the network cannot be exported.
    """
    check_finite(classifier.weights())
    wanted = classifier.preprocessing
    pixels, images = _proof_images(classifier)
    inputs = wanted.normalise(pixels)
    graph, backbone, head = classifier.graph, classifier.backbone_graph, classifier.joined_head
    if graph is not None and classifier.missing is not None:
        by_graph = CheckedRuntime(OnnxRuntime(graph), classifier.class_names)
        _compared(classifier, graph, inputs, (by_graph(inputs),))
        said = classifier.missing["parity"]
        return graph, Parity(said.get("images"), said.get("max_difference"))
    if graph is not None and backbone is not None and head is not None:
        expected = _by_parts(backbone, head, inputs)
        difference = _compared(classifier, graph, inputs, expected)
        return graph, Parity(f"{images}, of the head alone", difference)
    network = classifier.read_network()
    by_torch = CheckedRuntime(TorchRuntime(network), classifier.class_names)
    with_features = tracing.has_features(network, wanted)
    expected = _answers(by_torch, inputs, with_features=with_features)
    from lamplighter.models.pretrained import PretrainedNetwork

    if classifier.backbone_graph is not None and isinstance(network, PretrainedNetwork):
        # Anything amiss here, above all weights that were trained on, shows in the export below.
        with contextlib.suppress(ParityError, BundleError, ModelError):
            graph = composed_graph(classifier.backbone_graph, network.head)
            return graph, Parity(images, _compared(classifier, graph, inputs, expected))
    graph = tracing.onnx_graph(network, wanted)
    return graph, Parity(images, _compared(classifier, graph, inputs, expected))


def _by_parts(
    backbone_graph: bytes, head: nn.Module, inputs: NDArray[np.float32]
) -> tuple[NDArray[np.float32], ...]:
    """Return the logits and features of a backbone's graph and a torch head after it."""
    import torch

    features = OnnxRuntime(backbone_graph).with_features(inputs)[1]
    with torch.inference_mode():
        logits: NDArray[np.float32] = head(torch.from_numpy(features)).numpy()
    return logits, features


def _answers(
    compute: Runtime, inputs: NDArray[np.float32], *, with_features: bool
) -> tuple[NDArray[np.float32], ...]:
    """Return the logits of `inputs`, and the features if they are wanted."""
    return compute.with_features(inputs) if with_features else (compute(inputs),)


def _compared(
    classifier: Classifier,
    graph: bytes,
    inputs: NDArray[np.float32],
    expected: tuple[NDArray[np.float32], ...],
) -> float:
    """Return the largest difference between the answers of `graph` and the expected ones.

    Raises:
        ParityError: it is larger than the tolerance, or another class wins.
    """
    compute = CheckedRuntime(OnnxRuntime(graph), classifier.class_names)
    largest = 0.0
    # The number of images must not matter: all of them, one, and a number in between.
    for count in {len(inputs), 1, 3}:
        chosen = np.arange(count) % len(inputs)
        answers = _answers(compute, inputs[chosen], with_features=len(expected) == 2)
        for kind, ours, theirs in zip(("logits", "features"), answers, expected, strict=False):
            largest = max(largest, _compare(ours, theirs[chosen], kind=kind))
    return largest


def check_finite(weights: Mapping[str, Any]) -> None:
    """Refuse weights that are not numbers.

    Raises:
        ModelError: a weight is NaN or infinite.
    """
    import torch

    for name, value in weights.items():
        if isinstance(value, torch.Tensor) and not bool(torch.isfinite(value).all()):
            raise ModelError(
                f"the weights {name} hold NaN or infinite values: the training diverged; "
                "train again with a lower learning rate, or go back to an earlier checkpoint."
            )


def _compare(
    values: NDArray[np.float32], expected: NDArray[np.float32], *, kind: str = "logits"
) -> float:
    """Return the largest difference.

    Raises:
        ParityError: it is larger than the tolerance, or another class wins.
    """
    difference = float(np.abs(values - expected).max())
    tolerance = TOLERANCE * max(1.0, float(np.abs(expected).max()) / _LARGE)
    others = 0
    if kind == "logits":
        others = int((values.argmax(axis=1) != expected.argmax(axis=1)).sum())
    if not difference <= tolerance or others:  # of NaN as well
        raise ParityError(
            f"the ONNX graph must give the {kind} of the torch network within "
            f"{tolerance:.1g} and the same classes, received a difference of {difference:.2g} and "
            f"another class for {others} of {len(expected)} images; nothing was written: does the "
            "network compute differently from call to call, or was it changed meanwhile?"
        )
    return difference


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
