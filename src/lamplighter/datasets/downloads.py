"""Downloads over HTTP that go on where they broke off.

pooch downloads anew after an interruption, and httpx leaves ranges, changed files and retries to
its caller, which is most of what is here.
"""

from __future__ import annotations

import http.client
import json
import re
import shutil
import ssl
import time
import urllib.error
import urllib.request
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import IO, TYPE_CHECKING, Any
from urllib.parse import urlsplit

from lamplighter.errors import DownloadError, LamplighterError, OutputError
from lamplighter.files.folders import own_folder
from lamplighter.files.naming import shown

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    Tell = Callable[[int, int | None], None]  # told the bytes done, and of how many if known


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


_CHUNK = 2**18
_SPARE = 50_000_000  # bytes to leave free on the disk
_WAITS = (1.0, 3.0, 9.0)  # seconds before the connection is tried again
_AGAIN = frozenset({408, 429, 500, 502, 503, 504})  # answers that may be better later


def download(
    url: str,
    folder: Path,
    *,
    progress: Tell | None = None,
    limit: int = 8_000_000_000,
    waits: Sequence[float] = _WAITS,
    timeout: float = 30.0,
) -> Path:
    """Fetch `url` and return the file that it is in, which lies in `folder`.

    What has arrived is kept in `folder`, so that the next call goes on after it: the server is
    asked for the rest, if its file is still the same one (by ETag, date or size). A server that
    sends no parts is asked for the whole anew. The caller removes `folder`.

    Args:
        url: where the file is, http or https.
        folder: a folder for this download alone; made if it is not there.
        progress: told how many bytes are there, and of how many.
        limit: the largest file that is taken, in bytes.
        waits: how long to wait before each further attempt, in seconds; the attempts are counted
            anew whenever more has arrived than ever before.
        timeout: how long a server may be silent, in seconds.

    Raises:
        DownloadError: the address is wrong, the server cannot be reached or refuses, the file is
            too large, or the connection broke off time after time.
        OutputError: the file cannot be written, or the disk is too small for it.
    """
    check_address(url)
    try:
        own_folder(folder, keep=True)
    except OSError as error:
        raise _unwritable(folder, error) from error
    fetch = _Fetch(url, folder, progress=progress, limit=limit, timeout=timeout)
    most, attempt = fetch.state.done(fetch.file), 0
    while not fetch.state.complete:
        try:
            fetch.attempt()
        except _BrokenError as broken:
            done = fetch.state.done(fetch.file)
            attempt = 0 if done > most else attempt
            most = max(done, most)
            if attempt >= len(waits) or not (broken.transient or most):
                if not fetch.state.done(fetch.file):
                    shutil.rmtree(folder, ignore_errors=True)
                raise DownloadError(_broken_off(fetch, str(broken), most)) from broken
            time.sleep(waits[attempt])
            attempt += 1
    return fetch.file


class _BrokenError(Exception):
    """No connection, or it broke off; `transient`: it may be better in a moment."""

    def __init__(self, reason: str, *, transient: bool) -> None:
        super().__init__(reason)
        self.transient = transient


@dataclass
class _State:
    """What is known of a file that is being fetched."""

    url: str
    validator: str = ""  # what the server calls this version of the file
    size: int | None = None
    complete: bool = False

    @classmethod
    def read(cls, path: Path, url: str) -> _State:
        """Return what `path` says, or a beginning where it says nothing about `url`."""
        with suppress(OSError, ValueError, TypeError, KeyError):
            notes: Any = json.loads(path.read_text(encoding="utf-8"))
            known = isinstance(notes["size"], int | None) and isinstance(notes["validator"], str)
            if known and notes["url"] == url:
                return cls(**notes)
        return cls(url)

    def write(self, path: Path) -> None:
        """Write it down, whole."""
        beside = path.with_suffix(".new")
        try:
            beside.write_text(json.dumps(asdict(self)), encoding="utf-8")
            beside.replace(path)
        except OSError as error:
            raise _unwritable(path, error) from error

    def done(self, file: Path) -> int:
        """Return how many bytes are there."""
        try:
            return file.stat().st_size
        except OSError:
            return 0


class _Fetch:
    """One file on its way."""

    def __init__(
        self, url: str, folder: Path, *, progress: Tell | None, limit: int, timeout: float
    ) -> None:
        self.file, self._notes = folder / "content", folder / "state.json"
        self.state = _State.read(self._notes, url)
        if self.state.size is not None:
            self.state.complete = self.state.size == self._done()
        self._progress, self._limit, self._timeout = progress, limit, timeout

    def _done(self) -> int:
        return self.state.done(self.file)

    def attempt(self) -> None:
        """Fetch what is missing, over one connection."""
        if self.state == _State(self.state.url):  # nothing is known of what may be there
            self._begin_anew()
        try:
            with opener().open(self._request(), timeout=self._timeout) as response:
                self._take(response)
        except urllib.error.HTTPError as error:
            with error:
                self._refused(error)
        except urllib.error.URLError as error:
            reason = error.reason
            if isinstance(reason, ssl.SSLCertVerificationError):
                raise DownloadError(
                    f"{host(self.state.url)} shows no valid certificate "
                    f"({reason.verify_message}); check the address and this machine's clock."
                ) from error
            raise _BrokenError(_reason(reason), transient=False) from error
        except LamplighterError:
            raise
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise _BrokenError(_reason(error), transient=True) from error
        self.state.complete = True
        self.state.write(self._notes)

    def _request(self) -> urllib.request.Request:
        headers = {"User-Agent": "lamplighter", "Accept-Encoding": "identity"}
        if done := self._done():
            headers["Range"] = f"bytes={done}-"
            if self.state.validator:
                headers["If-Range"] = self.state.validator
        return urllib.request.Request(self.state.url, headers=headers)

    def _take(self, response: Any) -> None:
        """Write what `response` holds at its place in the file."""
        start, size = 0, _number(response.headers.get("Content-Length"))
        if response.status == http.HTTPStatus.PARTIAL_CONTENT:
            start, size = _content_range(response.headers.get("Content-Range", ""))
            known = self.state.size
            if start != self._done() or (known is not None and size != known):
                self._begin_anew()
                raise _BrokenError("the file has changed on the server", transient=True)
        if not start:
            self._begin_anew()
            self.state.validator = validator(response.headers)
        self.state.size = size
        self._check_room(start)
        self.state.write(self._notes)
        done = start
        with self._open() as file:
            while chunk := response.read(_CHUNK):
                self._append(file, chunk)
                done += len(chunk)
                if done > self._limit:
                    raise self._too_large(done)
                if self._progress:
                    self._progress(done, size)
        if size is not None and done != size:
            raise _BrokenError(f"it ended after {done:,} of {size:,} bytes", transient=True)

    def _refused(self, error: urllib.error.HTTPError) -> None:
        if error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and self._done():
            self._begin_anew()
            raise _BrokenError("the file has changed on the server", transient=True)
        if error.code in _AGAIN:
            raise _BrokenError(f"the server answers {error.code} {error.reason}", transient=True)
        mend = "check the address"
        if 300 <= error.code < 400:
            mend = "it leads to no file on the web; check the address"
        elif error.code in (401, 403):
            mend = "it may not be read by everybody; check the address"
        reason = " ".join(str(error.reason).split())[:200]
        raise DownloadError(f"{self.state.url} answers {error.code} {reason}: {mend}.") from error

    def _begin_anew(self) -> None:
        self.state = _State(self.state.url)
        try:
            self.file.unlink(missing_ok=True)
        except OSError as error:
            raise _unwritable(self.file, error) from error

    def _check_room(self, start: int) -> None:
        size = self.state.size or 0
        if size > self._limit:
            raise self._too_large(size)
        free = shutil.disk_usage(self.file.parent).free
        if size - start > free - _SPARE:
            raise OutputError(
                f"{shown(self.file.parent)} needs {_mb(size - start)} more, received a disk with "
                f"{_mb(free)} free; free some space, or choose another folder."
            )

    def _too_large(self, size: int) -> DownloadError:
        self._begin_anew()
        return DownloadError(
            f"{self.state.url} must give a file of at most {_mb(self._limit)}, received "
            f"{_mb(size)} or more; check the address."
        )

    def _open(self) -> IO[bytes]:
        try:
            return self.file.open("ab", buffering=0)  # so that a write fails where it is made
        except OSError as error:
            raise _unwritable(self.file, error) from error

    def _append(self, file: IO[bytes], chunk: bytes) -> None:
        rest = memoryview(chunk)
        try:
            while rest:
                rest = rest[file.write(rest) :]
        except OSError as error:
            raise _unwritable(self.file, error) from error


def _content_range(text: str) -> tuple[int, int]:
    """Return where a part begins and how large the whole is."""
    match = re.fullmatch(r"bytes (\d+)-\d+/(\d+)", text.strip())
    if match is None:
        raise _BrokenError(f"the server answers with the part {text!r}", transient=False)
    return int(match[1]), int(match[2])


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and text.isdecimal() else None


def _broken_off(fetch: _Fetch, reason: str, done: int) -> str:
    server = host(fetch.state.url)
    if not done:
        return (
            f"{server} cannot be reached ({reason}); this needs the internet: check the connection "
            "and the address, and run the same command again."
        )
    whole = f" of {_mb(fetch.state.size)}" if fetch.state.size else ""
    return (
        f"the connection to {server} broke off after {_mb(done)}{whole} ({reason}); they are kept: "
        "run the same command again to continue."
    )


def _mb(count: int) -> str:
    return f"{count / 1e6:,.1f} MB"


def _reason(error: object) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return " ".join(str(error).split()) or type(error).__name__


def _unwritable(path: Path, error: OSError) -> OutputError:
    return OutputError(
        f"{shown(path)} cannot be written: {error.strerror or error}; free some space and run "
        "the same command again, or choose a folder that you may write to."
    )
