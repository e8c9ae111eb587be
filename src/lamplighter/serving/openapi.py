"""The OpenAPI document of a service."""

from __future__ import annotations

from typing import Any

from lamplighter.version import __version__

_IMAGE = {"type": "string", "format": "binary"}
_BODY = {
    "required": True,
    "content": {
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "properties": {"image": {"type": "array", "items": _IMAGE}},
            }
        },
        "image/*": {"schema": _IMAGE},
        "application/octet-stream": {"schema": _IMAGE},
    },
}
_ERROR: dict[str, Any] = {
    "type": "object",
    "required": ["error"],
    "properties": {"error": {"type": "string", "description": "what is the matter; one line"}},
}
_REFUSALS = {
    "400": "The request cannot be understood.",
    "413": "It is too large, or has too many images.",
    "415": "It is of another type, or is no image.",
    "422": "No image in it can be used.",
    "503": "Too many images wait already; Retry-After says when to try again.",
    "504": "The answer was not ready before the deadline.",
}
_TEXT = {"type": "string"}
_NUMBER = {"type": "number"}
_MAYBE_NUMBER = {"type": ["number", "null"]}
_ERRORS = {
    "type": "array",
    "items": {"type": "object", "properties": {"path": _TEXT, "error": _TEXT}},
}
_GUESSES = {
    "type": "array",
    "items": {"type": "object", "properties": {"label": _TEXT, "probability": _NUMBER}},
}
_PREDICTION = {
    "path": _TEXT,
    "label": {"type": "string", "description": 'the most probable class, or "unknown"'},
    "known": {
        "type": ["boolean", "null"],
        "description": "whether it is like the training images; null where that was not measured",
    },
    "distance": _MAYBE_NUMBER,
    "top": _GUESSES,
}


def document(*, index: bool, explain: bool, token: bool) -> dict[str, Any]:
    """Return the document of a service.

    Args:
        index: whether it has an index of similar images.
        explain: whether it explains.
        token: whether it asks for a token.
    """
    paths: dict[str, Any] = {
        "/predict": _post("Classify images.", _predicted(), _PREDICT_PARAMETERS),
        "/embed": _post("Return the feature vector of each image.", _embedded(), [_MODEL]),
        "/models": _get("Describe the models."),
        "/metrics": _get("What was counted, for Prometheus."),
        **_protocol(),
    }
    if index:
        parameters = [
            _query("k", "Number of images to find.", {"type": "integer", "default": 12}),
            _query("label", "Search only images with this label.", _TEXT),
            _query("split", "Search only images of this split.", _TEXT),
        ]
        paths["/similar"] = _post("Find the most similar images.", _found(), parameters)
    if explain:
        parameters = [_MODEL, _query("class", "The class; by default the answer.", _TEXT), _AS_IS]
        paths["/explain"] = _post("Show what an answer rests on.", _explained(), parameters)
    made: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {"title": "Lamplighter", "version": __version__},
        "paths": paths,
    }
    if token:
        made["components"] = {"securitySchemes": {"token": {"type": "http", "scheme": "bearer"}}}
        made["security"] = [{"token": []}]
    return made


def _query(name: str, description: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "in": "query", "description": description, "schema": schema}


def _in_path(name: str) -> dict[str, Any]:
    return {"name": name, "in": "path", "required": True, "schema": _TEXT}


_FLAG = {"type": "boolean", "default": False}
_MODEL = _query("model", "The model; needed where the service has several.", _TEXT)
_AS_IS = _query("as_is", "Use the whole image, without searching for a digit in it.", _FLAG)
_PREDICT_PARAMETERS = [
    _MODEL,
    _query("top", "Number of classes for each image.", {"type": "integer", "default": 3}),
    _query("always_answer", "Call nothing unknown.", _FLAG),
    _AS_IS,
]


def _object(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties}


def _predicted() -> dict[str, Any]:
    prediction = {"type": "array", "items": _object(**_PREDICTION)}
    return _object(predictions=prediction, errors=_ERRORS, summary={"type": "object"})


def _embedded() -> dict[str, Any]:
    row = _object(path=_TEXT, vector={"type": "array", "items": _NUMBER})
    return _object(
        dimension={"type": "integer"}, embeddings={"type": "array", "items": row}, errors=_ERRORS
    )


def _found() -> dict[str, Any]:
    hit = _object(
        file=_TEXT,
        path=_TEXT,
        label={"type": ["string", "null"]},
        split={"type": ["string", "null"]},
        similarity=_NUMBER,
        vanished={"type": "boolean"},
    )
    row = _object(path=_TEXT, hits={"type": "array", "items": hit})
    return _object(images={"type": "array", "items": row}, errors=_ERRORS)


def _explained() -> dict[str, Any]:
    numbers = {"type": "array", "items": {"type": "integer"}}
    grid = {"type": "array", "items": {"type": "array", "items": _NUMBER}}
    return _object(
        **_PREDICTION,
        **{"class": _TEXT},
        probability=_NUMBER,
        method=_TEXT,
        window=numbers,
        rows=numbers,
        columns=numbers,
        size=numbers,
        heat={**grid, "description": "how far the score falls where a cell is covered"},
        seen={"type": "string", "description": "what the network sees, as a data: address"},
    )


def _json(schema: dict[str, Any]) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}


def _post(summary: str, answer: dict[str, Any], parameters: list[dict[str, Any]]) -> dict[str, Any]:
    refusals = {
        status: {"description": text, "content": _json(_ERROR)}
        for status, text in _REFUSALS.items()
    }
    return {
        "post": {
            "summary": summary,
            "parameters": parameters,
            "requestBody": _BODY,
            "responses": {
                "200": {"description": "The answer.", "content": _json(answer)},
                **refusals,
            },
        }
    }


def _get(summary: str, parameters: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    return {
        "get": {
            "summary": summary,
            "parameters": parameters or [],
            "responses": {"200": {"description": "The answer."}},
        }
    }


def _protocol() -> dict[str, Any]:
    """Return the endpoints of the Open Inference Protocol, version 2."""
    model = [_in_path("model")]
    tensor = _object(
        name=_TEXT,
        shape={"type": "array", "items": {"type": "integer"}},
        datatype={"type": "string", "enum": ["FP32", "UINT8", "BYTES"]},
        data={"type": "array"},
    )
    asked = _object(id=_TEXT, inputs={"type": "array", "items": tensor}, outputs={"type": "array"})
    infer = _post("Answer tensors with tensors.", {"type": "object"}, model)
    infer["post"]["requestBody"] = {"required": True, "content": _json(asked)}
    return {
        "/v2": _get("What this is."),
        "/v2/health/live": _get("Whether the process is alive."),
        "/v2/health/ready": _get("Whether requests should be sent here."),
        "/v2/models/{model}": _get("Describe a model.", model),
        "/v2/models/{model}/ready": _get("Whether a model answers.", model),
        "/v2/models/{model}/infer": infer,
    }
