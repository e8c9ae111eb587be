"""Addresses on the web, and connections to them: http and https alone."""

from __future__ import annotations

import urllib.error
import urllib.request
from typing import Any
from urllib.parse import urlsplit

from lamplighter.errors import DownloadError


def check_address(url: str) -> None:
    """Refuse an address that is not http or https.

    Raises:
        DownloadError: the message says what is wrong with it.
    """
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        good = False
    if not good or not url.isprintable() or not url.isascii() or " " in url:
        raise DownloadError(
            f"the address must be that of a file on the web, https://..., received {url!r}."
        )


def host(url: str) -> str:
    """Return the machine that `url` names, without a password."""
    return urlsplit(url).netloc.rpartition("@")[2]


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows to http and https alone, and never from https to http."""

    def redirect_request(
        self, req: urllib.request.Request, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        downgraded = req.type == "https" and urlsplit(newurl).scheme != "https"
        if downgraded or urlsplit(newurl).scheme not in ("http", "https"):
            raise urllib.error.HTTPError(req.full_url, code, f"leads to {newurl}", headers, fp)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def opener() -> urllib.request.OpenerDirector:
    """Return what opens http and https; urllib's own would open files and ftp as well."""
    director = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler,
        urllib.request.HTTPHandler,
        urllib.request.HTTPSHandler,
        urllib.request.HTTPDefaultErrorHandler,
        urllib.request.HTTPErrorProcessor,
        _Redirects,
    ):
        director.add_handler(handler())
    return director


def validator(headers: Any) -> str:
    """Return what names this version of the file; a weak ETag does not."""
    etag = str(headers.get("ETag", ""))
    return etag if etag.startswith('"') else str(headers.get("Last-Modified", ""))
