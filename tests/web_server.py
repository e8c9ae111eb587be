"""A web server on this machine that behaves, or misbehaves, as a test asks, and what it serves."""

from __future__ import annotations

import contextlib
import io
import re
import threading
import zipfile
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

# A small archive like that of the boats.
GOOD = {
    f"data/{split}/{name}/{number}.jpg": f"{split}{name}{number}".encode() * 50
    for split in ("train", "valid", "test")
    for name in ("Alilaguna", "Vaporetto")
    for number in range(3)
}


def archive(files: dict[str, bytes], *more: tuple[zipfile.ZipInfo, bytes]) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_STORED) as whole:
        for name, data in files.items():
            whole.writestr(name, data)
        for entry, data in more:
            whole.writestr(entry, data)
    return content.getvalue()


@dataclass
class Web:
    """One file at every path but /moved..., which leads to `moved`."""

    content: bytes
    etag: str | None = '"one"'
    ranges: bool = True
    sized: bool = True
    status: int = 200
    moved: str = "/file.zip"
    cuts: list[int] = field(default_factory=list)  # bytes after which each answer breaks off
    asked: list[dict[str, str]] = field(default_factory=list)  # the headers of each request
    url: str = ""


@contextlib.contextmanager
def serving(web: Web) -> Iterator[Web]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.0"

        def log_message(self, *_: object) -> None:
            pass

        def do_GET(self) -> None:
            if self.path.startswith("/moved"):
                self.send_response(302)
                self.send_header("Location", web.moved)
                self.end_headers()
                return
            web.asked.append({key.lower(): value for key, value in self.headers.items()})
            if web.status != 200:
                self.send_error(web.status)
                return
            start = self._start()
            if start is not None and start >= len(web.content):
                self.send_response(416)
                self.end_headers()
                return
            self._answer(web.content[start or 0 :], start)

        def _start(self) -> int | None:
            asked = web.asked[-1]
            match = re.fullmatch(r"bytes=(\d+)-", asked.get("range", ""))
            if match is None or not web.ranges or asked.get("if-range") not in (None, web.etag):
                return None
            return int(match[1])

        def _answer(self, body: bytes, start: int | None) -> None:
            self.send_response(200 if start is None else 206)
            if web.etag:
                self.send_header("ETag", web.etag)
            if web.sized:
                self.send_header("Content-Length", str(len(body)))
            if start is not None:
                size = len(web.content)
                self.send_header("Content-Range", f"bytes {start}-{size - 1}/{size}")
            self.end_headers()
            with contextlib.suppress(OSError):
                self.wfile.write(body[: web.cuts.pop(0)] if web.cuts else body)

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        web.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield web
        finally:
            server.shutdown()
            thread.join()
