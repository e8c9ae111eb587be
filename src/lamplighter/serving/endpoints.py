"""The endpoints: what each of them takes and answers."""

from __future__ import annotations

import base64
import io
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image
from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse, Response

from lamplighter.errors import ImageError, SimilarIndexError
from lamplighter.files.naming import as_given
from lamplighter.images.decoding import UNNAMED
from lamplighter.inference.documents import PredictionDocument, rounded
from lamplighter.serving import metrics, occlusion, openapi, page, protocol
from lamplighter.serving.bodies import Upload, uploaded
from lamplighter.serving.engines import Engine, described
from lamplighter.serving.queries import Parameters
from lamplighter.serving.refusals import Refusal, status_of
from lamplighter.version import __version__

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from starlette.requests import Request

    from lamplighter.features.index.index import Hit
    from lamplighter.inference.predictor import Computed, Predictions
    from lamplighter.serving.service import Service

_TOP, _K = 3, 12  # as `predict` and `similar` have them
_LARGE = 2**16  # bytes of JSON that are not parsed between two other answers
_PREDICT = ("model", "top", "always_answer", "as_is")


def service_of(request: Request) -> Service:
    """Return the service that a request came to."""
    service: Service = request.app.state.service
    return service


async def predict(request: Request) -> Response:
    """Classify the images of a request, as `lamplighter predict --json` does."""
    service, upload = await _asked(request)
    asked = Parameters.of(request, _PREDICT, upload.fields)
    engine = service.engines.chosen(asked.text("model"))
    top = asked.whole("top", _TOP)
    as_is, always_answer = asked.flag("as_is"), asked.flag("always_answer")
    prepares = [engine.prepare(image, as_is=as_is) for _, image in upload.images]
    results = _named(upload, await service.compute(request, engine, prepares))
    answers = engine.predictions(results, always_answer=always_answer).results(top)
    document = PredictionDocument()
    for (name, _), answer in zip(upload.images, answers, strict=True):
        document.add(name, answer)
    return _answer(document.to_dict(), results)


async def embed(request: Request) -> Response:
    """Return the feature vector of each image."""
    service, upload = await _asked(request)
    asked = Parameters.of(request, ("model",), upload.fields)
    engine = _with_features(service.engines.chosen(asked.text("model")))
    prepares = [engine.prepare(image) for _, image in upload.images]
    computed = await service.compute(request, engine, prepares, keep_features=True)
    results = _named(upload, computed)
    rows = [
        {"path": name, "vector": one.features[0].tolist()}
        for (name, _), one in zip(upload.images, results, strict=True)
        if not isinstance(one, ImageError) and one.features is not None
    ]
    document = {"dimension": engine.num_features, "embeddings": rows}
    return _answer({**document, "errors": _errors(upload, results)}, results)


async def similar(request: Request) -> Response:
    """Return the images of the index that are most similar to each image."""
    service = service_of(request)
    index = service.index
    if index is None:
        raise Refusal(404, "this service has no index of similar images; start it with --index.")
    service, upload = await _asked(request)
    asked = Parameters.of(request, ("k", "label", "split"), upload.fields)
    k = asked.whole("k", _K, most=1000)
    where = {key: value for key in ("label", "split") if (value := asked.text(key)) is not None}
    prepares = [index.engine.prepare(image, scaled=index.scaled) for _, image in upload.images]
    computed = await service.compute(request, index.engine, prepares, keep_features=True)
    results = _named(upload, computed)
    usable = [
        (name, one)
        for (name, _), one in zip(upload.images, results, strict=True)
        if not isinstance(one, ImageError)
    ]
    try:
        found = await index.search([one for _, one in usable], k, where)
    except SimilarIndexError as error:
        raise Refusal(400, str(error)) from error
    rows = [
        {"path": name, "hits": [_hit(hit) for hit in hits]}
        for (name, _), hits in zip(usable, found, strict=True)
    ]
    return _answer({"images": rows, "errors": _errors(upload, results)}, results)


async def explain(request: Request) -> Response:
    """Say which parts of one image the answer rests on, by covering them one after another."""
    service = service_of(request)
    if not service.settings.explain:
        raise Refusal(
            404,
            "this service does not explain, which costs the time of some 100 images; start it with "
            "--explain.",
        )
    service, upload = await _asked(request)
    asked = Parameters.of(request, ("model", "class", "as_is"), upload.fields)
    if len(upload.images) != 1:
        raise Refusal(400, f"one image is explained at a time, received {len(upload.images)}.")
    engine = service.engines.chosen(asked.text("model"))
    name, content = upload.images[0]
    prepare = engine.prepare(content, as_is=asked.flag("as_is"))
    try:
        image = await run_in_threadpool(prepare)
    except ImageError as error:
        service.metrics.refused.labels(error.fault).inc()
        raise Refusal(status_of(error), _said(error, name), reason=error.fault) from error
    target = asked.text("class")
    if target is not None and target not in engine.classifier.class_names:
        raise Refusal(404, f"{engine.name} has no class {target[:200]!r}.")
    covers = occlusion.Covers.of(*engine.shape[1:])
    hidden = occlusion.covered(image, engine.classifier.preprocessing, covers)
    results = await service.compute(request, engine, [lambda: image, *hidden])
    computed = [one for one in results if not isinstance(one, ImageError)]
    document = _explanation(engine, engine.predictions(computed), covers, target)
    return JSONResponse({"path": name, **document, "seen": _picture(image, engine)})


async def models(request: Request) -> Response:
    """Describe the models."""
    engines = service_of(request).engines.current
    return JSONResponse({"models": [described(engine) for engine in engines.values()]})


async def server_metadata(_: Request) -> Response:
    """Say what this is, in the words of the Open Inference Protocol."""
    return JSONResponse(
        {"name": "lamplighter", "version": __version__, "extensions": ["binary_tensor_data"]}
    )


async def live(_: Request) -> Response:
    """Answer, which says that the process is alive."""
    return JSONResponse({"live": True})


async def ready(request: Request) -> Response:
    """Say whether requests should be sent here: not while the service ends."""
    is_ready = not service_of(request).draining
    return JSONResponse({"ready": is_ready}, status_code=200 if is_ready else 503)


async def model_metadata(request: Request) -> Response:
    """Describe a model, in the words of the Open Inference Protocol."""
    return JSONResponse(protocol.metadata(_model(request)))


async def model_ready(request: Request) -> Response:
    """Say whether a model answers."""
    engine = _model(request)
    is_ready = not service_of(request).draining
    return JSONResponse(
        {"name": engine.name, "ready": is_ready}, status_code=200 if is_ready else 503
    )


async def infer(request: Request) -> Response:
    """Answer tensors with tensors, in the words of the Open Inference Protocol."""
    service, engine = service_of(request), _model(request)
    if service.batcher.is_full:
        raise service.batcher.busy()
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    length = request.headers.get(protocol.HEADER_LENGTH)
    if kind not in ("application/json", "", "application/octet-stream"):
        raise Refusal(415, f"JSON was expected, received {kind[:100]!r}.", reason="content-type")
    body = await service.bodies.read(request)
    most = service.settings.max_queue

    def parsed() -> protocol.InferRequest:
        return protocol.parse(body, length, engine, most=most)

    asked = await run_in_threadpool(parsed) if len(body) > _LARGE else parsed()
    keep_features = protocol.wants_features(asked)
    prepares = [_prepare(engine, one) for one in asked.pixels]
    results = await service.compute(request, engine, prepares, keep_features=keep_features)
    computed: list[Computed] = []
    for number, one in enumerate(results):
        if isinstance(one, ImageError):
            raise Refusal(status_of(one), _said(one, f"image {number}"), reason=one.fault)
        computed.append(one)
    features = None
    if keep_features:
        features = np.concatenate([one.features for one in computed if one.features is not None])
    content, head = protocol.answer(asked, engine, engine.predictions(computed), features)
    if head is None:
        return Response(content, media_type="application/json")
    headers = {protocol.HEADER_LENGTH: str(head)}
    return Response(content, media_type="application/octet-stream", headers=headers)


async def counts(request: Request) -> Response:
    """Return what was counted, for Prometheus."""
    content = service_of(request).metrics.exposition()
    return Response(content, headers={"Content-Type": metrics.CONTENT_TYPE})


async def openapi_document(request: Request) -> Response:
    """Describe the endpoints."""
    settings = service_of(request).settings
    return JSONResponse(
        openapi.document(
            index=settings.index is not None,
            explain=settings.explain,
            token=settings.token is not None,
        )
    )


async def try_page(request: Request) -> Response:
    """Return the page to try the service, or a part of it."""
    part = page.part(request.scope["path"])
    return Response(part.content, media_type=part.media_type, headers=page.HEADERS)


async def _asked(request: Request) -> tuple[Service, Upload]:
    """Return the service, and the images of a request; a full queue is told before they come."""
    service = service_of(request)
    if service.batcher.is_full:
        raise service.batcher.busy()
    most = service.settings.max_queue
    return service, await uploaded(request, service.bodies, most=most)


def _model(request: Request) -> Engine:
    """Return the model in the address of a request."""
    engine = service_of(request).engines.chosen(request.path_params["model"])
    version = request.path_params.get("version", engine.version)
    if version != engine.version:
        raise Refusal(
            404, f"{engine.name} has the version {engine.version}, received {version[:100]!r}."
        )
    return engine


def _with_features(engine: Engine) -> Engine:
    if engine.num_features is None:
        raise Refusal(400, f"the network of {engine.name} gives no features; choose another model.")
    return engine


def _prepare(engine: Engine, image: Any) -> Any:
    """Return what makes the network's input of one image of a tensor."""
    if isinstance(image, bytes):
        return engine.prepare(image)
    if image.dtype == np.uint8:
        return lambda: engine.classifier.preprocessing.normalise(image[np.newaxis])[0]
    return lambda: image


def _named(upload: Upload, results: Sequence[Computed | ImageError]) -> list[Computed | ImageError]:
    """Return the results, their errors with the names that the request has for the images."""
    return [
        ImageError(_said(one, name), fault=one.fault) if isinstance(one, ImageError) else one
        for (name, _), one in zip(upload.images, results, strict=True)
    ]


def _said(error: ImageError, name: str) -> str:
    """Return what an error says, of the image that is called `name`."""
    text = str(error)
    if name == "-" or not text.startswith(UNNAMED):
        return text
    return (name if name.isprintable() else repr(name)) + text.removeprefix(UNNAMED)


def _errors(upload: Upload, results: Sequence[Computed | ImageError]) -> list[dict[str, str]]:
    return [
        {"path": name, "error": str(one)}
        for (name, _), one in zip(upload.images, results, strict=True)
        if isinstance(one, ImageError)
    ]


def _answer(document: dict[str, Any], results: Sequence[Computed | ImageError]) -> Response:
    """Return an answer; where no image could be used, with the status that says why."""
    errors = [one for one in results if isinstance(one, ImageError)]
    if len(errors) < len(results):
        return JSONResponse(document)
    statuses = {status_of(error) for error in errors}
    status = statuses.pop() if len(statuses) == 1 else 422
    return JSONResponse({"error": str(errors[0]), **document}, status_code=status)


def _hit(hit: Hit) -> dict[str, Any]:
    return {
        "file": as_given(hit.file),
        "path": hit.path,
        "label": hit.label or None,
        "split": hit.split or None,
        "similarity": rounded(hit.similarity),
        "vanished": not hit.file.exists(),
    }


def _explanation(
    engine: Engine, predictions: Predictions, covers: occlusion.Covers, target: str | None
) -> dict[str, Any]:
    """Return how far the score of a class falls; of the first image nothing is covered."""
    names = engine.classifier.class_names
    number = int(predictions.indices[0]) if target is None else names.index(target)
    scores = predictions.logits[:, number]
    document = PredictionDocument()
    document.add("", predictions.results(_TOP)[0])
    (said,) = document.to_dict()["predictions"]
    del said["path"]
    return {
        **said,
        "class": names[number],
        "probability": rounded(float(predictions.probabilities[0, number])),
        "method": "occlusion",
        "window": list(covers.window),
        **_cells(occlusion.heat(scores[1:], float(scores[0]), covers), covers),
    }


def _cells(falls: NDArray[np.float32], covers: occlusion.Covers) -> dict[str, Any]:
    """Return the heat in the middle of each cell of a grid, and where its cells begin."""
    step, (height, width) = covers.step, falls.shape
    rows, columns = range(0, height, step), range(0, width, step)
    middles = [
        [min(start + step // 2, size - 1) for start in starts]
        for starts, size in ((rows, height), (columns, width))
    ]
    return {
        "rows": list(rows),
        "columns": list(columns),
        "size": [height, width],
        "heat": [[round(float(value), 4) for value in row] for row in falls[np.ix_(*middles)]],
    }


def _picture(image: NDArray[np.float32], engine: Engine) -> str:
    """Return what the network sees as an address of the data itself (PNG)."""
    wanted = engine.classifier.preprocessing
    mean = np.array(wanted.mean, dtype=np.float32).reshape(-1, 1, 1)
    std = np.array(wanted.std, dtype=np.float32).reshape(-1, 1, 1)
    pixels = ((image * std + mean) * 255).round().clip(0, 255).astype(np.uint8)
    picture = Image.fromarray(pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0))
    file = io.BytesIO()
    picture.save(file, format="png")
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"
