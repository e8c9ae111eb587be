"""A classifier's network in the forms that other software reads."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from lamplighter.errors import OutputError
from lamplighter.files.writing import check_target, written_whole
from lamplighter.models.classifier import check_classifier
from lamplighter.names import wrong_choice
from lamplighter.saving.bundle import save
from lamplighter.saving.parity import proven_graph
from lamplighter.saving.tracing import needs_training_packages, torch_program

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lamplighter.models.classifier import Classifier

ExportFormat = Literal["onnx", "bundle", "state-dict", "torch-export"]


def export(classifier: Classifier, path: str | Path, format: ExportFormat) -> Path:  # noqa: A002
    """Write the network of `classifier` for other software, and return the path.

    But for "bundle", what is written is the network alone: preprocessing and class names stay
    behind, so prefer `save` where Lamplighter is to read it again. A file at `path` is replaced.

    Args:
        classifier: what to export.
        path: the file to write.
        format: "onnx", an ONNX model with input "images" (N, C, H, W) and outputs "logits" (N, K)
            and, where there are any, "features" (N, D), proven as `save` proves it; "bundle", what
            `save` writes, but only with its graph: for a bundle that was written without;
            "state-dict", weights by name, which `torch.load(path, weights_only=True)` reads; or
            "torch-export", a program that `torch.export.load` reads. N is free in each.

    Raises:
        OutputError: the format is unknown, or the file cannot be written.
        ExportError: the network cannot be exported.
        NetworkMissingError: "torch-export", of a bundle whose network is of a class of one's own.
        ParityError: the ONNX graph disagrees with the torch network.
        MissingPackageError: torch or onnx is not installed.
    """
    check_classifier(classifier, "export")
    if format not in get_args(ExportFormat):
        raise OutputError(wrong_choice("the format", format, get_args(ExportFormat)))
    check_target(path)
    if format == "bundle":
        return save(classifier, path, needs_graph=True)
    with needs_training_packages("exporting"):
        if format == "onnx":
            # A graph from a bundle was proven when it was written.
            proven = classifier.graph if classifier.joined_head is None else None
            content = proven or proven_graph(classifier)[0]
        elif format == "state-dict":
            content = _state_dict(classifier.weights())
        else:
            content = torch_program(classifier.read_network(), classifier.preprocessing)
    with written_whole(path) as file:
        file.write(content)
    return Path(path)


def _state_dict(weights: Mapping[str, Any]) -> bytes:
    import torch

    content = io.BytesIO()
    state = {
        name: value.cpu() if isinstance(value, torch.Tensor) else value
        for name, value in weights.items()
    }
    torch.save(state, content)
    return content.getvalue()
