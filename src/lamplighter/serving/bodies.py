"""The bodies of requests: read within limits, and the images in them."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from tempfile import SpooledTemporaryFile
from typing import TYPE_CHECKING

from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect

from lamplighter.serving.refusals import Refusal

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from starlette.requests import Request

    from lamplighter.serving.settings import Settings

HELD = "lamplighter.held"  # in a request's scope: bytes of it that are in memory
_PAUSE = 10.0  # seconds without a byte after which a sender is given up
_MULTIPART = "multipart/form-data"
_RAW = ("application/octet-stream", "binary/octet-stream", "")
_LONE_NAME = "-"  # of an image that was sent without a name, as `predict` calls standard input
_FIELDS = 20  # of a form, beside its files

_HOW = (
    "send an image as the body with Content-Type: image/jpeg (or application/octet-stream), or "
    "several as the files of a form (multipart/form-data)"
)


@dataclass(frozen=True)
class Upload:
    """The images of a request.

    Attributes:
        images: name and bytes of each, in their order.
        fields: what a form says beside its files.
    """

    images: tuple[tuple[str, bytes], ...]
    fields: dict[str, str]


class BodyReader:
    """Reads bodies, and knows how many bytes of them are in memory.

    Args:
        settings: with the limits.
    """

    def __init__(self, settings: Settings) -> None:
        self._most, self._most_held = settings.max_body, settings.most_held
        self._seconds = settings.body_timeout
        self._held = 0

    async def read(self, request: Request) -> bytes:
        """Return the body of a request.

        Raises:
            Refusal: it is too large (413), too slow (408), cut short (400), or there is no memory
                for it now (503).
        """
        declared = request.headers.get("content-length", "")
        if declared.isdigit() and int(declared) > self._most:
            raise self._too_large(f"{int(declared):,}")
        chunks: list[bytes] = []
        size = 0
        stream = request.stream()
        try:
            async with asyncio.timeout(self._seconds):
                while True:
                    async with asyncio.timeout(_PAUSE):
                        chunk = await anext(stream, None)
                    if chunk is None:
                        break
                    size += len(chunk)
                    if size > self._most:
                        raise self._too_large("more")
                    self._hold(request, len(chunk))
                    chunks.append(chunk)
        except TimeoutError:
            raise Refusal(
                408,
                f"the request came too slowly: it may take {self._seconds:g} s and pause for "
                f"{_PAUSE:g} s; send it again.",
                reason="slow",
                close=True,
            ) from None
        except ClientDisconnect:
            raise Refusal(
                400, "the connection ended within the request.", reason="cut-short", close=True
            ) from None
        return b"".join(chunks)

    def release(self, request: Request) -> None:
        """Count the body of a request as gone."""
        self._held -= request.scope.pop(HELD, 0)

    def _hold(self, request: Request, count: int) -> None:
        if self._held + count > self._most_held:
            raise Refusal(
                503,
                "the requests that are being answered take all the memory for them; try again "
                "later.",
                reason="memory",
                retry_after=1,
            )
        self._held += count
        request.scope[HELD] = request.scope.get(HELD, 0) + count

    def _too_large(self, received: str) -> Refusal:
        return Refusal(
            413,
            f"a request may have at most {self._most:,} bytes, received {received}; send smaller "
            "images, or fewer at a time.",
            reason="too-large",
        )


async def uploaded(request: Request, reader: BodyReader, *, most: int) -> Upload:
    """Return the images in a request's body.

    Args:
        request: with one image as its body, or a form with files.
        reader: of the service.
        most: images that a request may have.

    Raises:
        Refusal: there are none (400), too many or too large (413), or of another type (415).
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == _MULTIPART:
        return await _form(request, await reader.read(request), most=most)
    if kind not in _RAW and not kind.startswith("image/"):
        raise Refusal(
            415, f"images were expected, received {kind[:100]!r}; {_HOW}.", reason="content-type"
        )
    body = await reader.read(request)
    if not body:
        raise Refusal(400, f"an image was expected, received no bytes; {_HOW}.", reason="empty")
    return Upload(((_LONE_NAME, body),), {})


class _InMemory(MultiPartParser):
    """Keeps files in memory, where the body of the request is already."""

    spool_max_size = 0  # of SpooledTemporaryFile: no limit


async def _form(request: Request, body: bytes, *, most: int) -> Upload:
    async def whole() -> AsyncGenerator[bytes, None]:
        yield body

    try:
        form = await _InMemory(request.headers, whole(), max_files=most, max_fields=_FIELDS).parse()
    except MultiPartException as error:
        too_many = "Too many files" in error.message
        raise Refusal(
            413 if too_many else 400,
            f"the form cannot be read: {error.message} A form with files was expected, as curl -F "
            "image=@photo.jpg sends it.",
            reason="too-many" if too_many else "form",
        ) from None
    images: list[tuple[str, bytes]] = []
    fields: dict[str, str] = {}
    for name, value in form.multi_items():
        if isinstance(value, UploadFile):
            assert isinstance(value.file, SpooledTemporaryFile)
            images.append((value.filename or _LONE_NAME, value.file.read()))
            value.file.close()
        elif name in fields:
            raise Refusal(400, f"the form has {name[:100]!r} twice; give it once.")
        else:
            fields[name] = value
    if not images:
        raise Refusal(
            400,
            "the form has no file; with curl, an @ stands before its name: -F image=@photo.jpg.",
            reason="empty",
        )
    return Upload(tuple(images), fields)
