"""Who may talk to the studio: the person at this machine, and no page of another site.

The address that the terminal shows holds a secret. It is exchanged for a cookie that no script can
read, and all requests need it. The names of the host and of the page that asks are checked, too,
since a site may let its own name lead to 127.0.0.1 (DNS rebinding).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
from http.cookies import SimpleCookie
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlencode, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

_INLINE = r"<script type=\"importmap\">(.*?)</script>"
_LOCAL = ("127.0.0.1", "localhost", "[::1]")


def new_token() -> str:
    """Return a secret of 256 bits."""
    return secrets.token_urlsafe(32)


def inline_hashes(page: str) -> str:
    """Return what a content security policy calls the import maps in a page, to allow them."""
    digests = (hashlib.sha256(found.encode()).digest() for found in re.findall(_INLINE, page, re.S))
    return " ".join(f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests)


class Guard:
    """Lets only requests through that know the secret, and tells browsers what a page may do.

    Args:
        app: what they go to.
        token: the secret.
        port: where the studio listens: browsers do not tell cookies apart by it.
        policy: the content security policy of all answers that have none of their own.
    """

    def __init__(self, app: ASGIApp, *, token: str, port: int, policy: str) -> None:
        self._app = app
        self._token = token
        self._cookie = f"lamplighter-{port}"
        self._hosts = {f"{host}:{port}" for host in _LOCAL}
        if port == 80:
            self._hosts |= {*_LOCAL}
        self._policy = policy

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or pass it on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        answer = self._refused(headers) or self._entered(scope) or self._unknown(scope, headers)
        await (answer or self._app)(scope, receive, self._sealed(send))

    def _refused(self, headers: Headers) -> PlainTextResponse | None:
        """Return the answer to a request from another site; None where it may be from ours."""
        host, origin = headers.get("host", "").lower(), headers.get("origin")
        if host not in self._hosts:
            return PlainTextResponse(
                "This studio is asked under a name that is not its own. Open the address that the "
                "terminal shows.\n",
                421,
            )
        foreign = origin is not None and urlsplit(origin.lower()).netloc not in self._hosts
        if foreign or headers.get("sec-fetch-site", "same-origin") == "cross-site":
            # A link in a mail or a chat may lead here, as long as it only opens the page.
            if not foreign and headers.get("sec-fetch-mode") == "navigate":
                return None
            return PlainTextResponse("Pages of other sites may not ask the studio.\n", 403)
        return None

    def _entered(self, scope: Scope) -> RedirectResponse | PlainTextResponse | None:
        """Return the answer to the address with the secret: a cookie, and the page."""
        query = parse_qs(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        if scope["path"] != "/" or "token" not in query:
            return None
        if not self._is_token(query.pop("token")[0]):
            return PlainTextResponse(
                "The token in this address is not that of the studio that runs here. Open the "
                "address that its terminal shows; each start has another one.\n",
                401,
            )
        rest = f"?{urlencode(query, doseq=True)}" if query else ""
        answer = RedirectResponse(f"/{rest}", 303)
        answer.set_cookie(self._cookie, self._token, httponly=True, samesite="strict", path="/")
        return answer

    def _unknown(self, scope: Scope, headers: Headers) -> PlainTextResponse | JSONResponse | None:
        """Return the answer to a request without the secret; None where it has it."""
        cookies = SimpleCookie()
        try:
            cookies.load(headers.get("cookie", ""))
        except Exception:  # http.cookies raises several kinds
            cookies.clear()
        morsel = cookies.get(self._cookie)
        if morsel is not None and self._is_token(morsel.value):
            return None
        words = (
            "This needs the address with the token, which the terminal shows where the studio was "
            "started. Open that; each start has another one."
        )
        if scope["path"].startswith("/api/"):
            return JSONResponse({"error": words}, 401)
        return PlainTextResponse(f"{words}\n", 401)

    def _is_token(self, text: str) -> bool:
        return hmac.compare_digest(text.encode(), self._token.encode())

    def _sealed(self, send: Send) -> Send:
        async def sealed(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.setdefault("content-security-policy", self._policy)
                headers.setdefault("cache-control", "no-store")
                headers["x-content-type-options"] = "nosniff"
                headers["referrer-policy"] = "no-referrer"
                headers["cross-origin-opener-policy"] = "same-origin"
                headers["cross-origin-resource-policy"] = "same-origin"
            await send(message)

        return sealed
