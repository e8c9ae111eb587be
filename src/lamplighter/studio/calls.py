"""From a request to a call and back: JSON in, JSON out, an error as one sentence."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import parse_qsl

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from lamplighter.errors import DataError, LamplighterError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.requests import Request

    from lamplighter.studio.studio import Studio

_MOST_JSON = 2**26  # bytes of a request: 100,000 long paths, several times
Value = TypeVar("Value")
_logger = logging.getLogger("lamplighter.studio")


class RequestError(DataError):
    """A request that the page would not send."""


class Fields:
    """What a request asks with: the fields of its JSON, or those of its address."""

    def __init__(self, values: dict[str, Any]) -> None:
        self._values = values

    def text(self, name: str, default: str | None = None) -> str:
        """Return a text; without `default` it has to be there."""
        return self._of(name, default, str)

    def optional_text(self, name: str) -> str | None:
        """Return a text, or None where it is null or not there."""
        value = self._values.get(name)
        return None if value is None else self._checked(name, value, str)

    def integer(self, name: str, default: int | None = None) -> int:
        """Return an integer; digits in an address are one."""
        value = self._values.get(name, default)
        if isinstance(value, str) and value.removeprefix("-").isdecimal():
            value = int(value)
        return self._checked(name, value, int)

    def number(self, name: str, default: float | None = None) -> float:
        """Return a number that is finite."""
        value = self._values.get(name, default)
        if isinstance(value, str):
            try:
                value = float(value)
            except ValueError:
                value = None
        value = float(value) if isinstance(value, int) and not isinstance(value, bool) else value
        result = self._checked(name, value, float)
        if not abs(result) < float("inf"):
            raise RequestError(f"{name!r} must be a finite number, received {result}.")
        return result

    def flag(self, name: str, default: bool = False) -> bool:
        """Return whether something is wanted."""
        return self._of(name, default, bool)

    def texts(self, name: str) -> list[str]:
        """Return a list of texts."""
        values: list[Any] = self._of(name, None, list)
        return [self._checked(name, value, str) for value in values]

    def _of(self, name: str, default: Any, kind: type[Value]) -> Value:
        return self._checked(name, self._values.get(name, default), kind)

    def _checked(self, name: str, value: Any, kind: type[Value]) -> Value:
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            received = "none" if value is None else type(value).__name__
            raise RequestError(f"{name!r} must be of type {kind.__name__}, received {received}.")
        return value


def call(function: Callable[[Studio, Fields], Any]) -> Callable[[Request], Awaitable[Response]]:
    """Return an endpoint that answers with what `function` returns, in a thread.

    It is given the studio, and the fields of the request. What is no Response becomes JSON.
    """

    async def endpoint(request: Request) -> Response:
        values = in_address(request)
        if request.method == "POST":
            values |= await read_json(request)
        studio: Studio = request.app.state.studio
        result = await run_in_threadpool(function, studio, Fields(values))
        return result if isinstance(result, Response) else AsciiJSONResponse(result)

    return endpoint


def call_with_body(
    function: Callable[[Studio, Fields, bytes], Any], most: int
) -> Callable[[Request], Awaitable[Response]]:
    """Return an endpoint as `call` does, whose function is given the body of the request, too.

    Args:
        function: is given the studio, the fields of the address, and the body.
        most: bytes that a body may have.
    """

    async def endpoint(request: Request) -> Response:
        body = await read_body(request, most)
        fields = Fields(in_address(request))
        result = await run_in_threadpool(function, request.app.state.studio, fields, body)
        return result if isinstance(result, Response) else AsciiJSONResponse(result)

    return endpoint


def in_address(request: Request) -> dict[str, Any]:
    """Return the fields in the address of a request, with names of files as Python has them.

    A name that is not UTF-8 comes as the bytes that it has.
    """
    query = request.url.query
    return dict(parse_qsl(query, keep_blank_values=True, errors="surrogateescape"))


class AsciiJSONResponse(JSONResponse):
    """JSON of ASCII alone, which takes any name of a file: not all of them are UTF-8."""

    def render(self, content: Any) -> bytes:
        """Return the JSON."""
        return json.dumps(content, allow_nan=False, separators=(",", ":")).encode("ascii")


async def read_json(request: Request) -> dict[str, Any]:
    """Return the JSON object of a request; {} where its body is empty.

    Raises:
        RequestError: it is no JSON object.
        HTTPException: 413, where it is too long.
    """
    body = await read_body(request, _MOST_JSON)
    try:
        values = json.loads(body or b"{}")
    except (ValueError, RecursionError) as error:
        raise RequestError(f"a request must be JSON ({error}).") from error
    if not isinstance(values, dict):
        raise RequestError(f"a request must be a JSON object, received {type(values).__name__}.")
    return values


async def read_body(request: Request, most: int) -> bytes:
    """Return the body of a request of at most `most` bytes.

    Raises:
        HTTPException: 413, where it is longer.
    """
    length = request.headers.get("content-length", "0")
    if length.isdecimal() and int(length) > most:
        raise too_large(most)
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > most:
            raise too_large(most)
        parts.append(part)
    return b"".join(parts)


def too_large(most: int) -> HTTPException:
    """Return the error of a request that is longer than `most` bytes."""
    return HTTPException(413, f"at most {most / 1e6:,.0f} MB can be taken at once.")


async def tell_error(request: Request, error: Exception) -> Response:
    """Answer a request that failed with its reason, on one line."""
    if isinstance(error, HTTPException):
        return AsciiJSONResponse({"error": error.detail}, error.status_code)
    if isinstance(error, LamplighterError):
        return AsciiJSONResponse({"error": str(error)}, 400)
    _logger.error("%s %s failed", request.method, request.url.path, exc_info=error)
    return AsciiJSONResponse({"error": f"unexpected: {type(error).__name__}: {error}"}, 500)
