"""Answers to images that come from the page."""

from __future__ import annotations

import base64
import io
import time
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
from PIL import Image
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request  # noqa: TC002 - Starlette looks at what is annotated
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from lamplighter.errors import ImageError, LamplighterError, OutputError
from lamplighter.explain.attribution.occlusion_map import occlusion_map
from lamplighter.explain.attribution.overlay import overlay, place_in_words
from lamplighter.inference.predictor import predict_pixels
from lamplighter.inference.runtime import runtime
from lamplighter.installation import install_command
from lamplighter.models.reliability import unit_length
from lamplighter.saving.tracing import needs_training_packages
from lamplighter.studio.calls import Fields, RequestError, call, call_with_body, too_large
from lamplighter.studio.classifiers import classifier_of, classifiers, known_runs
from lamplighter.studio.features import backbone, features_of, known_features

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from lamplighter.models.classifier import Classifier
    from lamplighter.studio.jobs import Job
    from lamplighter.studio.studio import Studio

_MOST_IMAGE = 2**26  # bytes of an image
_MOST_BUNDLE = 2**30  # bytes of a bundle
_MOST_GUESSES = 24  # classes up to which all probabilities are told
_FEW_GUESSES = 8  # classes that are told where there are more
_SIMILAR = 8  # images
_UNNAMED = "the image given as bytes"


def choices(studio: Studio, fields: Fields) -> dict[str, Any]:
    """Return the classifiers that can be tried."""
    return {
        "runs": [
            {"run": run.id, "name": run.name, "made": run.notes.get("made")}
            for run in known_runs(studio)
        ],
        "bundles": [{"bundle": one.key, "name": one.name} for one in classifiers(studio).brought()],
    }


def about(studio: Studio, fields: Fields) -> dict[str, Any]:
    """Return what a classifier is."""
    classifier = classifier_of(studio, fields)
    wanted, trust = classifier.preprocessing, classifier.trust
    has_torch = bool(studio.state()["torch"])
    alone = classifier.architecture is None and classifier.graph is not None
    why = "" if has_torch else f"it needs torch: {install_command('train')}."
    if has_torch and alone:
        why = "this bundle has a graph alone, and no network to follow gradients in."
    return {
        "class_names": classifier.class_names,
        "sees": wanted.describe(),
        "width": wanted.width,
        "height": wanted.height,
        "digit": wanted.find_digit,
        "unknown": trust is not None and trust.threshold is not None,
        "methods": [
            {"name": "occlusion", "title": "Occlusion", "why_not": ""},
            {"name": "grad-cam", "title": "Grad-CAM", "why_not": why},
        ],
    }


async def bring(request: Request) -> Response:
    """Take a bundle, which is written to disk as it comes."""
    studio: Studio = request.app.state.studio
    fields = Fields(dict(request.query_params))
    name, known = fields.text("name", "the file"), classifiers(studio)
    file = known.new_file()
    try:
        await _receive(request, file)
        one = await run_in_threadpool(known.bring, file, name)
    except BaseException:
        file.unlink(missing_ok=True)
        raise
    return JSONResponse({"bundle": one.key, "name": one.name})


async def _receive(request: Request, file: Path) -> None:
    length = request.headers.get("content-length", "0")
    if length.isdecimal() and int(length) > _MOST_BUNDLE:
        raise too_large(_MOST_BUNDLE)
    size = 0
    try:
        with file.open("xb") as written:
            async for part in request.stream():
                size += len(part)
                if size > _MOST_BUNDLE:
                    raise too_large(_MOST_BUNDLE)
                written.write(part)
    except OSError as error:
        raise OutputError(
            f"the bundle cannot be kept in {file.parent}: {error.strerror or error}; free some "
            "space."
        ) from error


def answer(studio: Studio, fields: Fields, image: bytes) -> dict[str, Any]:
    """Return what a classifier says of an image, and what it sees of it."""
    classifier = classifier_of(studio, fields)
    start = time.perf_counter()
    pixels = _pixels(classifier, fields, image)
    (one,) = predict_pixels(classifier, pixels[np.newaxis])
    trust, count = classifier.trust, classifier.num_classes
    return {
        "label": one.label,
        "known": one.known,
        "distance": one.distance,
        "threshold": None if trust is None else trust.threshold,
        "guesses": one.guesses[: count if count <= _MOST_GUESSES else _FEW_GUESSES],
        "seen": _data_url(_picture(pixels)),
        "seconds": time.perf_counter() - start,
    }


def explain(studio: Studio, fields: Fields, image: bytes) -> dict[str, Any]:
    """Return which parts of an image an answer rests on, as a picture to lay over it."""
    classifier = classifier_of(studio, fields)
    target, method = fields.text("target"), fields.text("method", "occlusion")
    start = time.perf_counter()
    pixels = _pixels(classifier, fields, image)
    if method == "occlusion":
        values = occlusion_map(classifier, pixels, target=target).values
        meaning = f"covering it lowers the score for “{target}”"
    elif method == "grad-cam":
        values, meaning = _grad_cam(classifier, pixels, target), f"it speaks for “{target}”"
    else:
        raise RequestError(f"'method' must be occlusion or grad-cam, received {method!r}.")
    return {
        "target": target,
        "method": method,
        "meaning": meaning,
        "place": place_in_words(values),
        "signed": bool((values < 0).any()),
        "empty": not bool(values.any()),
        "overlay": _data_url(Image.fromarray(overlay(values))),
        "seen": _data_url(_picture(pixels)),
        "seconds": time.perf_counter() - start,
    }


def _grad_cam(
    classifier: Classifier, pixels: NDArray[np.uint8], target: str
) -> NDArray[np.float32]:
    with needs_training_packages("Grad-CAM"):
        from lamplighter.explain.attribution.attribution import attribute
    found: NDArray[np.float32] = attribute(classifier, pixels, "grad-cam", target=target).maps[0]
    return found


def similar(studio: Studio, fields: Fields, image: bytes) -> dict[str, Any]:
    """Return the images of the folder that are most like one that was brought.

    Where their features are not known yet, a job computes them, and the page asks again after it.
    """
    scan, features = studio.project.table().scan, known_features(studio)
    if features is None:
        return {"job": studio.jobs.start("similar", _compute_features(studio)).to_dict()}
    rows = [row for row, split in enumerate(features.files.splits) if not split.startswith("test")]
    if not rows:
        return {"images": []}
    network = backbone(studio)
    pixels = _pixels(network, fields, image)
    _, vector = runtime(network).with_features(network.preprocessing.normalise(pixels[np.newaxis]))
    cosines = unit_length(features.vectors[rows]) @ unit_length(vector)[0]
    best = np.argsort(-cosines, kind="stable")[:_SIMILAR]
    paths = features.files.paths
    return {
        "images": [
            {"path": paths[rows[place]], "similarity": float(cosines[place])} for place in best
        ],
        "scan": scan,
    }


def _compute_features(studio: Studio) -> Callable[[Job], None]:
    def work(job: Job) -> None:
        features_of(studio, job)

    return work


def _pixels(classifier: Classifier, fields: Fields, image: bytes) -> NDArray[np.uint8]:
    """Return what a classifier sees of an image, uint8, shape (C, H, W)."""
    wanted = classifier.preprocessing
    try:
        return wanted.pixels(wanted.open(image))
    except ImageError as error:
        _name(error, shown_name=fields.text("name", "the image"))


def _name(error: LamplighterError, *, shown_name: str) -> NoReturn:
    raise ImageError(str(error).replace(_UNNAMED, shown_name)) from error


def _picture(pixels: NDArray[np.uint8]) -> Image.Image:
    return Image.fromarray(pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0))


def _data_url(image: Image.Image) -> str:
    encoded = io.BytesIO()
    image.save(encoded, format="PNG", compress_level=1)
    return "data:image/png;base64," + base64.b64encode(encoded.getvalue()).decode("ascii")


routes = [
    Route("/api/try/choices", call(choices)),
    Route("/api/try/about", call(about)),
    Route("/api/try/bundle", bring, methods=["POST"]),
    Route("/api/try/answer", call_with_body(answer, _MOST_IMAGE), methods=["POST"]),
    Route("/api/try/explain", call_with_body(explain, _MOST_IMAGE), methods=["POST"]),
    Route("/api/try/similar", call_with_body(similar, _MOST_IMAGE), methods=["POST"]),
]
