"""`ask_service`: what a service says of images, in one call."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit

from lamplighter.errors import DataError, ImageError, ServiceError
from lamplighter.files.naming import clean_name
from lamplighter.inference.predictor import Prediction

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_AT_ONCE = 16  # images of one request
_MOST_BYTES = 24 * 2**20  # of one request; less than services take
_BUSY = 503


def ask_service(
    url: str,
    images: Iterable[str | Path | bytes],
    *,
    top: int = 3,
    model: str | None = None,
    always_answer: bool = False,
    token: str | None = None,
    timeout: float = 60.0,
) -> list[Prediction]:
    """Return what a service says of `images`: what `lamplighter.predict` would, of the same bundle.

    While the service has no place for more images, it is asked again when it says.

    Args:
        url: of the service, such as "http://127.0.0.1:8000".
        images: paths of image files, or the bytes of such files.
        top: how many classes for each image, at least 1.
        model: its name, where the service has several.
        always_answer: call nothing unknown.
        token: where the service asks for one.
        timeout: seconds after which an answer is not waited for any more.

    Returns:
        One result for each image, in their order; `error` says why one cannot be used.

    Raises:
        ServiceError: the service cannot be reached or refuses the request.
        DataError: `images` is one image, or `url` is no address.
        ImageError: a file cannot be read.

    Example:
        >>> ask_service("http://127.0.0.1:8000", ["cat.jpg"])[0].label  # doctest: +SKIP
        'cat'
    """
    if isinstance(images, str | Path | bytes):
        raise DataError("ask_service takes a list of images, received one; write [image].")
    if urlsplit(url).scheme not in ("http", "https"):
        raise DataError(f"url must begin with http:// or https://, received {url!r}.")
    query = {"top": str(top), "always_answer": str(always_answer).lower()}
    if model is not None:
        query["model"] = model
    address = f"{url.rstrip('/')}/predict?{urlencode(query)}"
    found: list[Prediction] = []
    for part in _parts([_read(image) for image in images]):
        document = _asked(address, part, token, timeout)
        found += _predictions([name for name, _ in part], document)
    return found


def _read(image: str | Path | bytes) -> tuple[str, bytes]:
    if isinstance(image, bytes):
        return "", image
    try:
        return str(image), Path(image).read_bytes()
    except OSError as error:
        raise ImageError(
            f"{image} cannot be read ({error.strerror or error}); check its name."
        ) from error


def _parts(images: Sequence[tuple[str, bytes]]) -> list[list[tuple[str, bytes]]]:
    """Return the images in parts, each for one request."""
    parts: list[list[tuple[str, bytes]]] = []
    size = 0
    for name, content in images:
        if not parts or len(parts[-1]) == _AT_ONCE or size + len(content) > _MOST_BYTES:
            parts.append([])
            size = 0
        parts[-1].append((name, content))
        size += len(content)
    return parts


def _asked(
    address: str, images: Sequence[tuple[str, bytes]], token: str | None, timeout: float
) -> dict[str, Any]:
    """Return the document of an answer, also of one that says that no image can be used."""
    boundary = uuid.uuid4().hex
    headers = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    request = urllib.request.Request(address, _form(images, boundary), headers)
    end = time.monotonic() + timeout
    while True:
        left = max(0.1, end - time.monotonic())
        try:
            with urllib.request.urlopen(request, timeout=left) as answer:
                return _document(answer.read())
        except urllib.error.HTTPError as error:
            document = _document(error.read())
            if "predictions" in document:
                return document
            wait = float(error.headers.get("Retry-After", "1"))
            if error.code != _BUSY or time.monotonic() + wait > end:
                told = document.get("error", error.reason)
                raise ServiceError(f"the service at {address} refuses: {told}") from error
            time.sleep(wait)
        except (OSError, TimeoutError) as error:  # URLError is an OSError
            reason = getattr(error, "reason", error)
            raise ServiceError(
                f"the service at {address} cannot be reached ({reason}); is it running?"
            ) from error


def _form(images: Sequence[tuple[str, bytes]], boundary: str) -> bytes:
    """Return images as the body of a form; their names are their numbers, which need no quoting."""
    parts = []
    for number, (_, content) in enumerate(images):
        head = (
            f'--{boundary}\r\nContent-Disposition: form-data; name="image"; '
            f'filename="{number}"\r\nContent-Type: application/octet-stream\r\n\r\n'
        )
        parts += [head.encode(), content, b"\r\n"]
    return b"".join([*parts, f"--{boundary}--\r\n".encode()])


def _document(content: bytes) -> dict[str, Any]:
    try:
        document = json.loads(content)
    except ValueError:
        document = None
    if not isinstance(document, dict):
        raise ServiceError(f"a service of Lamplighter answers JSON, received {content[:60]!r}.")
    return document


def _predictions(names: Sequence[str], document: dict[str, Any]) -> list[Prediction]:
    """Return the results of one answer, in the order of the images."""
    found: dict[str, Prediction] = {}
    for row in document["predictions"]:
        found[row["path"]] = Prediction(
            source=clean_name(names[int(row["path"])]),
            label=row["label"],
            known=row["known"],
            distance=row["distance"],
            guesses=tuple((guess["label"], guess["probability"]) for guess in row["top"]),
        )
    for row in document["errors"]:
        name = names[int(row["path"])]
        told = row["error"].removeprefix(f"{row['path']} ")
        error = ImageError(f"{name or 'the image given as bytes'} {told}")
        found[row["path"]] = Prediction(source=name, error=error)
    return [found[str(number)] for number in range(len(names))]
