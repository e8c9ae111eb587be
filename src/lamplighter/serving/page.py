"""The page to try a service: three files of the package, which fetch nothing from elsewhere."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from importlib import resources

# Scripts, styles and connections are the service's own alone, whatever a name on the page tries.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' blob: data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}
_FILES = {
    "/": ("try.html", "text/html"),
    "/try.js": ("try.js", "text/javascript"),
    "/try.css": ("try.css", "text/css"),
}
PATHS = tuple(_FILES)


@dataclass(frozen=True)
class Part:
    """A file of the page.

    Attributes:
        content: its bytes.
        media_type: what they are.
    """

    content: bytes
    media_type: str


@functools.cache
def part(path: str) -> Part:
    """Return the file at a path of the page."""
    name, media_type = _FILES[path]
    folder = resources.files("lamplighter.serving") / "page_files"
    return Part((folder / name).read_bytes(), media_type)
