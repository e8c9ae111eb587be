"""Classifiers at reduced precision (int8), for features in less time."""

from __future__ import annotations

import contextlib
import copy
import hashlib
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import platformdirs
from PIL import Image

from lamplighter.errors import BundleError, DataError, OutputError
from lamplighter.files.writing import written_whole
from lamplighter.inference.quantization import int8_graph
from lamplighter.inference.runtime import runtime
from lamplighter.models.classifier import Classifier, Precision, check_classifier
from lamplighter.names import wrong_choice
from lamplighter.saving.parity import proven_graph
from lamplighter.saving.tracing import needs_training_packages

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lamplighter.images.preprocessing import Preprocessing

_CALIBRATION = 64  # images


def at_precision(classifier: Classifier, precision: Precision) -> Classifier:
    """Return `classifier` as it is ("fp32") or with its convolutions in 8-bit integers ("int8").

    The ranges of values are taken from pictures that come with Lamplighter, so that the same
    network always gives the same integers whatever it is used on. The graph is kept in the
    user's cache folder.

    Raises:
        DataError: there is no such precision.
        MissingPackageError: int8 needs packages that are not installed.
    """
    check_classifier(classifier, "at_precision")
    if precision == "fp32":
        return classifier
    if precision != "int8":
        raise DataError(wrong_choice("precision", precision, ("fp32", "int8")))
    graph = classifier.graph
    if graph is None:
        with needs_training_packages("int8"):
            graph = proven_graph(classifier)[0]
    reduced = _kept(graph, classifier)
    if reduced is None:
        calibration = classifier.preprocessing.normalise(
            calibration_images(classifier.preprocessing)
        )
        reduced = _like(classifier, int8_graph(graph, calibration))
        _keep(graph, reduced)
    return reduced


def calibration_images(preprocessing: Preprocessing) -> NDArray[np.uint8]:
    """Return pictures that show a network what values occur, the same ones each time.

    Args:
        preprocessing: of the network.

    Returns:
        Pixels, uint8, shape (64, C, H, W).
    """
    from lamplighter.datasets.image_data import ImageData

    images = ImageData.emoji()["train"].images  # (N, 3, 64, 64)
    rng = np.random.default_rng(0)
    chosen = []
    for _ in range(_CALIBRATION):
        # Four pictures side by side have the detail of a photo, which one enlarged has not.
        a, b, c, d = images[rng.choice(len(images), 4, replace=False)]
        tiled = np.block([[a, b], [c, d]])  # (3, 128, 128)
        light = rng.uniform(0.3, 1.0, size=(3, 1, 1))
        image = Image.fromarray((tiled * light).astype(np.uint8).transpose(1, 2, 0))
        chosen.append(_plain(preprocessing).pixels(image))
    return np.stack(chosen)


def _plain(preprocessing: Preprocessing) -> Preprocessing:
    """Return `preprocessing` without the search for a digit, which these pictures do not have."""
    return replace(preprocessing, find_digit=False)


def _like(classifier: Classifier, graph: bytes) -> Classifier:
    reduced = Classifier.from_graph(
        graph,
        lambda: copy.deepcopy(classifier.read_network()),
        classifier.preprocessing,
        classifier.class_names,
        state=classifier.weight_arrays,
        architecture=classifier.architecture,
        record=classifier.record,
    )
    reduced.precision, reduced.missing = "int8", classifier.missing
    return reduced


def _place(graph: bytes) -> Path:
    name = f"{hashlib.sha256(graph).hexdigest()[:32]}.onnx"
    return Path(platformdirs.user_cache_dir("lamplighter")) / "int8" / name


def _kept(graph: bytes, classifier: Classifier) -> Classifier | None:
    """Return what an earlier call kept, unless it is damaged."""
    try:
        content = _place(graph).read_bytes()
        checksum, content = content[:32], content[32:]
        if hashlib.sha256(content).digest() != checksum:
            return None
        reduced = _like(classifier, content)
        runtime(reduced)
        return reduced
    except (OSError, BundleError):
        return None


def _keep(graph: bytes, reduced: Classifier) -> None:
    """Keep an integer graph behind its checksum; where that fails it costs only time."""
    assert reduced.graph is not None
    place = _place(graph)
    with contextlib.suppress(OSError, OutputError):
        place.parent.mkdir(parents=True, exist_ok=True)
        with written_whole(place) as file:
            file.write(hashlib.sha256(reduced.graph).digest() + reduced.graph)
