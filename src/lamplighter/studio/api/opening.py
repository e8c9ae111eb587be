"""Folders to open, and photos that are brought to the page."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from lamplighter.datasets.emoji import emoji_files
from lamplighter.errors import DatasetError
from lamplighter.studio.calls import Fields, RequestError, call, in_address, too_large
from lamplighter.studio.places import (
    browsable,
    list_folders,
    new_collection,
    new_place,
    recently_opened,
)
from lamplighter.studio.uploads import TAKEN, largest

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from lamplighter.studio.studio import Studio

_CHUNK = 2**20  # bytes that are written at once


def open_folder(studio: Studio, fields: Fields) -> dict[str, Any]:
    """Open a folder, a zip file or a manifest in place of the one that is open."""
    folder = fields.text("folder")
    if not folder.strip() or "\0" in folder:
        raise RequestError("the path of a folder is wanted, received none; type or choose one.")
    studio.open(folder)
    return studio.state()


def places(studio: Studio, fields: Fields) -> dict[str, Any]:
    """Return where to look for folders, those opened before, and what files may be brought."""
    return {
        "tops": [[name, str(folder)] for name, folder in browsable().items()],
        "recent": recently_opened(),
        "endings": sorted(TAKEN),
    }


def folders(studio: Studio, fields: Fields) -> dict[str, Any]:
    """Return the names of the folders in a folder."""
    return list_folders(fields.text("folder", ""))


def emoji(studio: Studio, fields: Fields) -> dict[str, Any]:
    """Write the embedded emoji to a new folder, and open that."""
    place = new_place("Emoji")
    emoji_files(place)
    studio.open(place)
    return studio.state()


def collection(studio: Studio, fields: Fields) -> dict[str, Any]:
    """Make a new folder without images, with classes to record into, and open it."""
    studio.open(new_collection(fields.text("name"), fields.texts("classes")))
    return studio.state()


def begin_upload(studio: Studio, fields: Fields) -> dict[str, Any]:
    """Make a new folder for photos that are brought."""
    size, count = fields.integer("size"), fields.integer("count")
    return {"id": studio.uploads.begin(fields.text("name"), size=size, count=count)}


def finish_upload(studio: Studio, fields: Fields) -> dict[str, Any]:
    """Open what was brought; copies that cannot be opened are not kept."""
    source = studio.uploads.finish(fields.text("id"))
    try:
        studio.open(source)
    except DatasetError:
        shutil.rmtree(source if source.is_dir() else source.parent, ignore_errors=True)
        raise
    return studio.state()


def cancel_upload(studio: Studio, fields: Fields) -> dict[str, Any]:
    """Remove what was brought so far."""
    studio.uploads.cancel(fields.text("id"))
    return {}


async def upload_file(request: Request) -> Response:
    """Take one photo: the body is its content, and never in memory as a whole."""
    studio: Studio = request.app.state.studio
    fields = Fields(in_address(request))
    key, path = fields.text("id"), fields.text("path")
    most, length = largest(path), request.headers.get("content-length", "")
    if length.isdecimal() and int(length) > most:
        raise too_large(most)
    incoming = await run_in_threadpool(studio.uploads.receive, key, path)
    try:
        async for part in _parts(request):
            await run_in_threadpool(incoming.write, part)
        await run_in_threadpool(incoming.finish)
    except ClientDisconnect:  # the tab was closed, or its person has cancelled
        incoming.abandon()
        return Response(status_code=400)
    except BaseException:
        incoming.abandon()
        raise
    return JSONResponse({})


async def _parts(request: Request) -> AsyncIterator[bytes]:
    """Give a body in parts of about a megabyte: fewer turns of a thread than packets."""
    gathered = bytearray()
    async for packet in request.stream():
        gathered += packet
        if len(gathered) >= _CHUNK:
            yield bytes(gathered)
            gathered.clear()
    yield bytes(gathered)


routes = [
    Route("/api/open", call(open_folder), methods=["POST"]),
    Route("/api/places", call(places)),
    Route("/api/folders", call(folders)),
    Route("/api/emoji", call(emoji), methods=["POST"]),
    Route("/api/collection", call(collection), methods=["POST"]),
    Route("/api/uploads", call(begin_upload), methods=["POST"]),
    Route("/api/uploads/file", upload_file, methods=["POST"]),
    Route("/api/uploads/finish", call(finish_upload), methods=["POST"]),
    Route("/api/uploads/cancel", call(cancel_upload), methods=["POST"]),
]
