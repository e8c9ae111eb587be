"""`similar`: an image's nearest neighbours in an index."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lamplighter.errors import BundleError, ModelError, SimilarIndexError
from lamplighter.features.extraction import fingerprint
from lamplighter.features.index.index import Index
from lamplighter.features.index.update import found_at, place_of
from lamplighter.images.preprocessing import Preprocessing
from lamplighter.inference.runtime import runtime
from lamplighter.models.classifier import check_classifier
from lamplighter.saving.bundle import load
from lamplighter.saving.onnx_backbone import is_graph_alone, is_onnx, onnx_backbone
from lamplighter.saving.pretrained import is_pretrained, pretrained
from lamplighter.saving.quantized import at_precision

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lamplighter.features.index.index import Hit
    from lamplighter.models.classifier import Classifier


def similar(
    index: Index | str | Path,
    images: Sequence[str | Path],
    k: int = 12,
    *,
    classifier: Classifier | None = None,
    where: Mapping[str, str] | None = None,
) -> list[list[Hit]]:
    """Return for each image the `k` most similar ones of an index, the most similar first.

    Args:
        index: what `Index.open` returned, or its path.
        images: files of images; they need not be in the index.
        k: how many for each, at least 1.
        classifier: the one that the index was made with; by default the index knows which.
        where: choose among images with this "label", "split" or both.

    Raises:
        SimilarIndexError: the index cannot be used, is of another network, or `where` is none.
        ImageError: an image cannot be read.
    """
    if not isinstance(index, Index):
        with Index.open(index) as opened:
            return similar(opened, images, k, classifier=classifier, where=where)
    if isinstance(images, str | Path):
        raise SimilarIndexError("similar takes a list of images, received one; write [image].")
    network = classifier_of(index) if classifier is None else classifier
    check_classifier(network, "similar")
    # Whether large files were decoded whole, the fingerprint tells.
    made = {fingerprint(network, scaled=scaled): scaled for scaled in (True, False)}
    if index.network not in made:
        named = source_name(index)
        raise SimilarIndexError(
            f"{index.path} was made with the network {index.network[:12]}"
            f"{f' ({named})' if named else ''}, received {next(iter(made))[:12]}; embed the "
            "folder again with this network into another index, or use the one it was made with."
        )
    preprocessing, compute = network.preprocessing, runtime(network)
    scaled = made[index.network]
    vectors = [np.empty((0, index.dimension), dtype=np.float32)]
    for image in images:
        pixels = preprocessing.pixels(preprocessing.open(Path(image), scaled=scaled))
        inputs = preprocessing.normalise(pixels[np.newaxis])  # (1, C, H, W)
        vectors.append(compute.with_features(inputs)[1])
    return index.search(np.concatenate(vectors), k, where=where)


def source_of(
    name: str | Path, classifier: Classifier, index: Path, *, precision: str = "fp32"
) -> dict[str, Any]:
    """Return what `Index.create` is to note, so that the network can be made again.

    Args:
        name: of a pretrained network, or the path of a bundle or an ONNX file.
        classifier: what it gave.
        index: the path of the index.
        precision: what `at_precision` was given.
    """
    check_classifier(classifier, "source_of")
    if is_pretrained(name):
        preprocessing = classifier.preprocessing
        size = [preprocessing.height, preprocessing.width]
        made: dict[str, Any] = {"pretrained": str(name), "size": size, "fit": preprocessing.fit}
    elif is_graph_alone(classifier) and is_onnx(name):
        place = place_of(Path(name), index)
        made = {"onnx": place, "preprocessing": classifier.preprocessing.to_dict()}
    else:
        made = {"bundle": place_of(Path(name), index)}
    return {**made, "precision": precision}


def source_name(index: Index) -> str:
    """Return what the network of the index is called: a name, the path of a bundle, or ""."""
    source = index.source
    if "pretrained" in source:
        return str(source["pretrained"])
    for kind in ("bundle", "onnx"):
        if kind in source:
            return str(found_at(source[kind], index.path))
    return ""


def classifier_of(index: Index) -> Classifier:
    """Return the classifier that an index was made with.

    A pretrained network is only named in an index, and fetched if it is not at hand; a bundle is
    looked for beside the index and where it was.

    Raises:
        SimilarIndexError: the index does not say, or it is not to be had.
    """
    source, name = index.source, source_name(index)
    try:
        if isinstance(source.get("pretrained"), str) and is_pretrained(name):
            made = _pretrained(name, source)
        elif isinstance(source.get("bundle"), dict):
            made = load(name)
        elif isinstance(source.get("onnx"), dict):
            made = _from_onnx(name, source)
        else:
            raise SimilarIndexError(
                f"{index.path} does not say which network it was made with; give classifier=."
            )
        return at_precision(made, source.get("precision", "fp32"))
    except (BundleError, ModelError) as error:
        raise SimilarIndexError(
            f"the network of {index.path} cannot be had: {error} Or embed the folder again."
        ) from error


def _from_onnx(name: str, source: dict[str, Any]) -> Classifier:
    """Return the network in an ONNX file, for images prepared as was noted."""
    wanted = Preprocessing.from_dict(source["preprocessing"])
    return onnx_backbone(
        name,
        size=(wanted.height, wanted.width),
        mean=wanted.mean,
        std=wanted.std,
        fit=wanted.fit,
    )


def _pretrained(name: str, source: dict[str, Any]) -> Classifier:
    """Return the network with the fit and, if it is not its own, the size that were noted."""
    made = pretrained(name, fit=source.get("fit"))
    own = [made.preprocessing.height, made.preprocessing.width]
    size = source.get("size", own)
    return made if size == own else pretrained(name, size=tuple(size), fit=source.get("fit"))
