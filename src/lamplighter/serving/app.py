"""The application: which endpoint answers what, and the gate that all requests pass."""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import ipaddress
import json
import logging
import re
import secrets
import time
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from lamplighter.errors import LamplighterError
from lamplighter.serving import endpoints, page
from lamplighter.serving.engines import quiet
from lamplighter.serving.logs import log
from lamplighter.serving.refusals import Refusal

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from lamplighter.serving.service import Service

_HEALTH = ("/v2/health/live", "/v2/health/ready")
# What needs no token: it says nothing of the models, and browsers and probes bring none.
_OPEN = (*_HEALTH, *page.PATHS, "/openapi.json")
# What is refused before anything else where the queue is full.
_COSTLY = ("/predict", "/embed", "/similar", "/explain")
_SHED_SECONDS = 1.0  # between two lines in the log about such requests
_TOO_SLOW = 408  # the status of a request of which nothing more may come
_DISCARD_SECONDS = 5.0
_REQUEST_ID = re.compile(r"[\w.-]{1,64}", re.ASCII)
_ROUTES = (
    ("POST", "/predict", endpoints.predict),
    ("POST", "/embed", endpoints.embed),
    ("POST", "/similar", endpoints.similar),
    ("POST", "/explain", endpoints.explain),
    ("GET", "/models", endpoints.models),
    ("GET", "/v2", endpoints.server_metadata),
    ("GET", "/v2/health/live", endpoints.live),
    ("GET", "/v2/health/ready", endpoints.ready),
    ("GET", "/v2/models/{model}", endpoints.model_metadata),
    ("GET", "/v2/models/{model}/ready", endpoints.model_ready),
    ("POST", "/v2/models/{model}/infer", endpoints.infer),
    ("GET", "/v2/models/{model}/versions/{version}", endpoints.model_metadata),
    ("GET", "/v2/models/{model}/versions/{version}/ready", endpoints.model_ready),
    ("POST", "/v2/models/{model}/versions/{version}/infer", endpoints.infer),
    ("GET", "/metrics", endpoints.counts),
    ("GET", "/openapi.json", endpoints.openapi_document),
    *(("GET", path, endpoints.try_page) for path in page.PATHS),
)


def make_app(service: Service) -> ASGIApp:
    """Return the application of a service."""
    app = Starlette(
        routes=[Route(path, endpoint, methods=[method]) for method, path, endpoint in _ROUTES],
        exception_handlers={Refusal: _refused, HTTPException: _not_found, Exception: _failed},
        lifespan=service.running,
    )
    app.router.redirect_slashes = False
    app.state.service = service
    gated: ASGIApp = Gate(app, service)
    if service.settings.cors:
        gated = CORSMiddleware(
            gated,
            allow_origins=service.settings.cors,
            allow_methods=["GET", "POST"],
            allow_headers=["Authorization", "Content-Type", "X-Request-ID"],
            expose_headers=["X-Request-ID", "Retry-After"],
        )
    return gated


class Gate:
    """What is done for each request: who may ask, a number for it, a line in the log, counts.

    Args:
        app: what answers.
        service: whose settings and counts are used.
    """

    def __init__(self, app: ASGIApp, service: Service) -> None:
        self._app = app
        self._service = service
        token = service.settings.token
        self._token = None if token is None else f"Bearer {token}".encode()
        self._shed_count, self._shed_logged = 0, 0.0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        passage = _Passage(scope, receive, send, self._service)
        if scope["path"] in _COSTLY and self._service.batcher.is_full:
            await self._shed(scope, passage)
            return
        request = Request(scope)
        try:
            self._check(request)
            await self._app(scope, passage.receive, passage.send)
        except Refusal as refusal:
            response = _response(refusal)
            await response(scope, passage.receive, passage.send)
            scope["lamplighter.refusal"] = refusal
        except Exception as error:  # already answered by the app's handler
            log(logging.ERROR, "request failed", id=passage.id, error=quiet(error))
            if not passage.status:
                raise
        finally:
            self._service.bodies.release(request)
            self._count(scope, passage)

    async def _shed(self, scope: Scope, passage: _Passage) -> None:
        """Refuse a request for which there is no place, with as little work as can be.

        Where ten times as many come as can be answered, most of the work would be refusing.
        """
        refusal = self._service.batcher.busy()
        body = json.dumps({"error": refusal.message}).encode()
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", b"%d" % len(body)),
            (b"retry-after", refusal.headers["Retry-After"].encode()),
        ]
        start = {"type": "http.response.start", "status": refusal.status, "headers": headers}
        await passage.send(start)
        await passage.send({"type": "http.response.body", "body": body})
        self._service.metrics.requests.labels(scope["path"], str(refusal.status)).inc()
        self._service.metrics.refused.labels(refusal.reason).inc()
        self._shed_count += 1
        if time.monotonic() - self._shed_logged >= _SHED_SECONDS:
            log(logging.WARNING, "overloaded", refused=self._shed_count)
            self._shed_count, self._shed_logged = 0, time.monotonic()

    def _check(self, request: Request) -> None:
        """Refuse who may not ask.

        Raises:
            Refusal: the host is not one of this service's (421), or the token is missing (401).
        """
        self._check_host(request.headers.get("host", ""))
        if self._token is None or request.scope["path"] in _OPEN:
            return
        given = request.headers.get("authorization", "").encode("latin-1")
        if not hmac.compare_digest(given, self._token):
            refusal = Refusal(
                401,
                "a token was expected; send the header Authorization: Bearer TOKEN.",
                reason="token",
            )
            refusal.headers["WWW-Authenticate"] = "Bearer"
            raise refusal

    def _check_host(self, host: str) -> None:
        """Refuse names of others, by which a page of theirs could reach a service on this machine.

        A token keeps them out as well, and a service for others is called by many names.
        """
        settings = self._service.settings
        if self._token is not None or not settings.is_local:
            return
        name = host.rpartition(":")[0] if not host.endswith("]") and ":" in host else host
        if name.lower() in ("localhost", "", *(known.lower() for known in settings.allowed_hosts)):
            return
        try:
            ipaddress.ip_address(name.strip("[]"))
        except ValueError:
            raise Refusal(
                421,
                f"this service answers to addresses and localhost, received {host[:100]!r}; start "
                "it with --allow-host NAME to have it answer to a name.",
                reason="host",
            ) from None

    def _count(self, scope: Scope, passage: _Passage) -> None:
        refusal: Refusal | None = scope.get("lamplighter.refusal")
        route = scope.get("route")
        endpoint = route.path if isinstance(route, Route) else "other"
        seconds = time.monotonic() - passage.started
        status = passage.status or (refusal.status if refusal is not None else 0)
        metrics = self._service.metrics
        metrics.requests.labels(endpoint, str(status)).inc()
        metrics.request_seconds.labels(endpoint).observe(seconds)
        if refusal is not None and refusal.reason:
            metrics.refused.labels(refusal.reason).inc()
        if endpoint in _HEALTH and status == 200:
            return
        fields: dict[str, Any] = {
            "id": passage.id,
            "method": scope["method"],
            "path": scope["path"],
            "status": status,
            "ms": round(seconds * 1000, 1),
            "complete": passage.complete,
        }
        if refusal is not None:
            fields["refused"] = refusal.message
        log(logging.INFO, "request", **fields)


class _Passage:
    """One request on its way: its number, when it came, and how it was answered."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, service: Service) -> None:
        headers = dict(scope["headers"])
        given = headers.get(b"x-request-id", b"").decode("latin-1")
        self.id = given if _REQUEST_ID.fullmatch(given) else secrets.token_hex(8)
        self.started = time.monotonic()
        self.status = 0
        self.complete = False
        self._receive, self._send, self._service = receive, send, service
        self._ends = headers.get(b"connection", b"").lower() == b"close"
        # Whether nothing more of a body comes, or only when it is asked for.
        self._is_whole = b"expect" in headers or not (
            b"content-length" in headers or b"transfer-encoding" in headers
        )

    async def receive(self) -> Message:
        """Return the next part of the request."""
        message = await self._receive()
        if not message.get("more_body", False):
            self._is_whole = True
        return message

    async def send(self, message: Message) -> None:
        """Send a part of the answer, with what all answers have."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            if (self._ends or self._service.draining) and self.status != _TOO_SLOW:
                await self._discard()
            headers = message.setdefault("headers", [])
            headers.append((b"x-request-id", self.id.encode()))
            headers.append((b"x-content-type-options", b"nosniff"))
            if self._service.draining and (b"connection", b"close") not in headers:
                headers.append((b"connection", b"close"))
        elif not message.get("more_body", False):
            self.complete = True
        await self._send(message)

    async def _discard(self) -> None:
        """Read what is left of a body, where the connection ends with the answer.

        A connection that is closed while more comes is reset, and the answer is lost: most clients
        read none before they have sent all.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_DISCARD_SECONDS):
                while not self._is_whole:
                    await self.receive()


def _response(refusal: Refusal) -> JSONResponse:
    return JSONResponse(
        {"error": refusal.message}, status_code=refusal.status, headers=refusal.headers
    )


async def _refused(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, Refusal)
    request.scope["lamplighter.refusal"] = error
    return _response(error)


async def _not_found(request: Request, error: Exception) -> JSONResponse:
    """Answer what no endpoint takes: another path, or another method."""
    assert isinstance(error, HTTPException)
    asked = request.scope["path"]  # of the URL, a strange Host would be part
    path = json.dumps(asked[:200])
    if error.status_code == 405:
        methods = ", ".join(sorted({m for m, p, _ in _ROUTES if _fits(p, asked)}))
        message = f"{path} takes {methods}, received {request.method[:20]}."
    else:
        message = f"there is nothing at {path}; GET /openapi.json says what there is."
    return JSONResponse({"error": message}, status_code=error.status_code, headers=error.headers)


def _fits(pattern: str, path: str) -> bool:
    return re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", pattern), path) is not None


async def _failed(_: Request, error: Exception) -> JSONResponse:
    """Answer what went wrong within; the log says more of what nobody expected."""
    known = isinstance(error, LamplighterError)
    message = str(error) if known else "an internal error, which the log of the service tells."
    return JSONResponse({"error": message}, status_code=500)
