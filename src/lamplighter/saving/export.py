"""A classifier's network in the forms that other software reads."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from lamplighter.datasets.files import ImageFiles
from lamplighter.errors import ExportError, OutputError
from lamplighter.files.writing import (
    check_package_target,
    check_target,
    is_other_model,
    package_written_whole,
    written_whole,
)
from lamplighter.inference.runtime import GraphRuntime
from lamplighter.models.classifier import check_classifier
from lamplighter.names import wrong_choice
from lamplighter.saving.answering_graph import IMAGES, image_graph
from lamplighter.saving.bundle import save
from lamplighter.saving.image_proof import (
    ImageProof,
    PrecisionLoss,
    measure_loss,
    prove,
    real_images,
)
from lamplighter.saving.parity import TOLERANCE, proven_graph
from lamplighter.saving.quantized import at_precision
from lamplighter.saving.tracing import needs_training_packages, torch_program

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from lamplighter.inference.predictor import AnyImage
    from lamplighter.models.classifier import Classifier, Precision

ExportFormat = Literal["onnx", "bundle", "state-dict", "torch-export", "litert", "coreml"]
SUFFIXES: dict[ExportFormat, str] = {
    "onnx": ".onnx",
    "bundle": ".lamp",
    "state-dict": ".pt",
    "torch-export": ".pt2",
    "litert": ".tflite",
    "coreml": ".mlpackage",
}
_ALSO = {"state-dict": (".pth", ".bin")}  # endings that are usual too


@dataclass(frozen=True)
class Exported:
    """What was written, and how it was proven.

    Attributes:
        path: the file.
        proof: how closely it answers as `predict` on real images; None where the network alone was
            compared, as `save` does.
        loss: what it loses by its precision; None where that was not changed.
    """

    path: Path
    proof: ImageProof | None = None
    loss: PrecisionLoss | None = None


def export(
    classifier: Classifier,
    path: str | Path,
    format: ExportFormat,  # noqa: A002
    *,
    preprocessing: bool = False,
    precision: Precision | None = None,
    images: ImageFiles | Iterable[AnyImage] | None = None,
) -> Path:
    """Write the network of `classifier` for other software, and return the path.

    Of "state-dict", "torch-export" and, without `preprocessing`, of "onnx", what is written is the
    network alone: preprocessing and class names stay behind, so prefer `save` where Lamplighter is
    to read it again. A file at `path` is replaced.

    With `preprocessing` an ONNX model takes images as they are, "images", uint8 (N, h, w, 3): RGB,
    upright, on a white ground, of any size. It gives "label" (N,), a class name or what stands for
    unknown; "probabilities" (N, K), calibrated; and, where the classifier can say "unknown",
    "known" (N,) and "distance" (N,). What Pillow does to an image it does to the last bit, and it
    is written only when it has answered as `predict` does on real images.

    Args:
        classifier: what to export.
        path: the file to write.
        format: "onnx", an ONNX model with input "images" (N, C, H, W) and outputs "logits" (N, K)
            and, where there are any, "features" (N, D), proven as `save` proves it; "bundle", what
            `save` writes, but only with its graph: for a bundle that was written without;
            "state-dict", weights by name, which `torch.load(path, weights_only=True)` reads;
            "torch-export", a program that `torch.export.load` reads. N is free in each. For
            telephones, of one image that has been resized already, with class names and calibrated
            probabilities: "litert", a LiteRT (TensorFlow Lite) model, proven on real images with
            LiteRT; "coreml", a Core ML package (a folder), of which what was written is read back
            and computed by ONNX Runtime, since Core ML runs on Apple's systems alone.
        preprocessing: write preprocessing, calibration and class names into the ONNX model too.
        precision: of an ONNX model: "int8" makes its convolutions compute with 8-bit integers,
            about a quarter of the size; see `at_precision`. As the classifier has it by default.
        images: real images to prove the model on and to measure on what int8 loses; with their
            labels, where they are `ImageFiles`. By default pictures that come with Lamplighter.

    Raises:
        OutputError: the format is unknown or does not go with another argument, the name is that
            of another format, or the file cannot be written.
        ExportError: the network cannot be exported.
        NetworkMissingError: "torch-export", of a bundle whose network is of a class of one's own.
        ParityError: the ONNX graph disagrees with the torch network, or the model with `predict`.
        BundleError: int8, of a network with too few convolutions.
        DataError: none of `images` can be read.
        MissingPackageError: torch, onnx, ai-edge-litert or coremltools is needed and not installed.
    """
    return write_export(
        classifier, path, format, preprocessing=preprocessing, precision=precision, images=images
    ).path


def write_export(
    classifier: Classifier,
    path: str | Path,
    format: ExportFormat,  # noqa: A002
    *,
    preprocessing: bool = False,
    precision: Precision | None = None,
    images: ImageFiles | Iterable[AnyImage] | None = None,
) -> Exported:
    """Do what `export` does, and return how what was written was proven."""
    check_classifier(classifier, "export")
    if format not in get_args(ExportFormat):
        raise OutputError(wrong_choice("the format", format, get_args(ExportFormat)))
    check_export(path, format, preprocessing=preprocessing, precision=precision)
    if format == "coreml":
        check_package_target(path)
    else:
        check_target(path)
    if images is not None and not isinstance(images, ImageFiles):
        images = list(images)
    if format == "bundle":
        return Exported(save(classifier, path, needs_graph=True))
    proof = loss = None
    if format == "coreml":
        return Exported(Path(path), _written_coreml(classifier, Path(path), images))
    with needs_training_packages("exporting"):
        if format == "onnx":
            made, loss = _at_precision(classifier, precision, images)
            content = _network_graph(made)
            if preprocessing:
                content, proof = _proven_image_graph(made, content, images)
        elif format == "litert":
            content, proof = _proven_litert(classifier, images)
        elif format == "state-dict":
            content = _state_dict(classifier.weights())
        else:
            content = torch_program(classifier.read_network(), classifier.preprocessing)
    with written_whole(path) as file:
        file.write(content)
    return Exported(Path(path), proof, loss)


def check_export(
    path: str | Path,
    format: ExportFormat,  # noqa: A002
    *,
    preprocessing: bool = False,
    precision: Precision | None = None,
) -> None:
    """Refuse what does not go together, before any work.

    Raises:
        OutputError: the format has no preprocessing or precision to choose, or the name of the file
            is that of another format.
    """
    if format != "onnx" and (preprocessing or precision is not None):
        wanted = "preprocessing inside" if preprocessing else f"the precision {precision}"
        raise OutputError(f"{wanted} is for the format onnx alone, received {format}.")
    suffix = Path(path).suffix.lower()
    fitting = (SUFFIXES[format], *_ALSO.get(format, ()))
    if (is_other_model(path) or suffix == ".lamp") and suffix not in fitting:
        raise OutputError(
            f"{path} is to be of the format {format}, and its name says {suffix}; name it "
            f"{Path(path).with_suffix(SUFFIXES[format]).name}, or choose another format."
        )


def _network_graph(classifier: Classifier) -> bytes:
    """Return the ONNX graph of a network; one from a bundle was proven when it was written."""
    proven = classifier.graph if classifier.joined_head is None else None
    return proven or proven_graph(classifier)[0]


def _at_precision(
    classifier: Classifier,
    precision: Precision | None,
    images: ImageFiles | Iterable[AnyImage] | None,
) -> tuple[Classifier, PrecisionLoss | None]:
    """Return the classifier at a precision, and what it loses by it."""
    if precision is None or precision == classifier.precision:
        return classifier, None
    if classifier.precision == "int8":
        raise ExportError(
            "the classifier learned with its backbone in int8, and its head does not go with "
            "another; leave the precision out, or make it anew in fp32."
        )
    reduced = at_precision(classifier, precision)
    reduced.trust = classifier.trust
    chosen, described = real_images(classifier, images)
    files = images if isinstance(images, ImageFiles) else None
    return reduced, measure_loss(classifier, reduced, chosen, described, files)


def _proven_image_graph(
    classifier: Classifier, network: bytes, images: ImageFiles | Iterable[AnyImage] | None
) -> tuple[bytes, ImageProof]:
    """Return a model with the preprocessing inside, which answered as `predict` on real images."""
    graph = image_graph(classifier, network)
    run = GraphRuntime(graph)
    chosen, described = real_images(classifier, images)
    proof = prove(
        classifier,
        lambda pixels: run({IMAGES: pixels}),
        chosen,
        described,
        tolerance=TOLERANCE,
    )
    return graph, proof


def _proven_litert(
    classifier: Classifier, images: ImageFiles | Iterable[AnyImage] | None
) -> tuple[bytes, ImageProof]:
    """Return a LiteRT model that answered as `predict` on real images, by LiteRT."""
    from lamplighter.saving.litert import LiteRuntime, litert_model

    model = litert_model(classifier, _network_graph(classifier))
    run = LiteRuntime(model, classifier.preprocessing)
    chosen, described = real_images(classifier, images)
    return model, prove(classifier, run, chosen, described, tolerance=TOLERANCE)


def _written_coreml(
    classifier: Classifier, path: Path, images: ImageFiles | Iterable[AnyImage] | None
) -> ImageProof:
    """Write a Core ML package that, read back, answered as `predict` on real images."""
    from lamplighter.saving.coreml import write_coreml
    from lamplighter.saving.coreml_reading import ReadCoreml

    with package_written_whole(path) as made:
        with needs_training_packages("exporting"):
            write_coreml(classifier, _network_graph(classifier), made)
        run = ReadCoreml(made, classifier.preprocessing)
        chosen, described = real_images(classifier, images)
        return prove(classifier, run, chosen, described, tolerance=TOLERANCE)


def _state_dict(weights: Mapping[str, Any]) -> bytes:
    import torch

    content = io.BytesIO()
    state = {
        name: value.cpu() if isinstance(value, torch.Tensor) else value
        for name, value in weights.items()
    }
    torch.save(state, content)
    return content.getvalue()
