"""Images that are recorded into classes."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from starlette.routing import Route

from lamplighter.datasets.recordings import new_recording
from lamplighter.errors import OutputError, WorkspaceError
from lamplighter.files.naming import clean_name, shown
from lamplighter.studio.calls import Fields, RequestError, call, call_with_body
from lamplighter.workspace.collecting import write_frame

if TYPE_CHECKING:
    from lamplighter.studio.studio import Studio

_MOST_FRAME = 2**25  # bytes of an image
_MOST_FRAMES = 100_000  # of one recording
_MOST_BESIDE = 100  # folders of one name that are looked at


class _Recording(NamedTuple):
    """A recording that goes on.

    Attributes:
        name: what its files begin with.
        folder: where they go.
        class_name: the class that they are read as.
    """

    name: str
    folder: Path
    class_name: str


class _Recordings:
    """The recordings of the folder that is open, by name; the last ones are enough."""

    def __init__(self) -> None:
        self._known: dict[str, _Recording] = {}
        self._turn = threading.Lock()

    def add(self, one: _Recording) -> None:
        with self._turn:
            self._known[one.name] = one
            while len(self._known) > _MOST_BESIDE:
                del self._known[next(iter(self._known))]

    def find(self, name: str) -> _Recording:
        with self._turn:
            if name not in self._known:
                raise WorkspaceError("this recording has ended; begin a new one.")
            return self._known[name]


def about(studio: Studio, fields: Fields) -> dict[str, Any]:
    """Return whether images can be recorded into the source that is open, and where else."""
    source = studio.project.source
    return {
        "takes_images": source.is_dir(),
        "source": str(source),
        "beside": str(_beside(source)),
    }


def start(studio: Studio, fields: Fields) -> dict[str, Any]:
    """Begin a recording of a class, which may be a new one."""
    name = clean_name(fields.text("class")).strip()
    split = fields.optional_text("split")
    folder = studio.project.workspace.folder_for(name, split=split)
    one = _Recording(new_recording(), folder, name)
    studio.kept("recordings", _Recordings).add(one)
    return {"recording": one.name, "class": name, "folder": str(folder)}


def frame(studio: Studio, fields: Fields, data: bytes) -> dict[str, Any]:
    """Write one image of a recording."""
    number = fields.integer("number")
    if not 0 < number <= _MOST_FRAMES:
        raise RequestError(f"a recording has at most {_MOST_FRAMES:,} images, received {number}.")
    one = studio.kept("recordings", _Recordings).find(fields.text("recording"))
    path = write_frame(one.folder, one.name, number, data)
    return {"path": path.relative_to(studio.project.workspace.root).as_posix()}


def finish(studio: Studio, fields: Fields) -> dict[str, Any]:
    """Read the folder anew, so that all views have what was recorded."""
    studio.project.rescan()
    return {}


def begin_beside(studio: Studio, fields: Fields) -> dict[str, Any]:
    """Make a new folder beside a source that takes no images, and open it."""
    folder = _beside(studio.project.source)
    try:
        folder.mkdir()
    except OSError as error:
        raise OutputError(
            f"{shown(folder)} cannot be made: {error.strerror or error}; open a new collection "
            "where you may write."
        ) from error
    try:
        studio.open(folder)
    except BaseException:
        folder.rmdir()
        raise
    return studio.state()


def _beside(source: Path) -> Path:
    """Return a folder beside `source` that is not there yet."""
    stem = source.name if source.is_dir() else source.stem
    for number in range(1, _MOST_BESIDE):
        folder = source.absolute().parent / f"{stem}-collected{'' if number == 1 else f'-{number}'}"
        if not folder.exists():
            return folder
    raise OutputError(f"there are {_MOST_BESIDE} collections beside {shown(source)}; open one.")


routes = [
    Route("/api/collect/about", call(about)),
    Route("/api/collect/start", call(start), methods=["POST"]),
    Route("/api/collect/frame", call_with_body(frame, _MOST_FRAME), methods=["POST"]),
    Route("/api/collect/finish", call(finish), methods=["POST"]),
    Route("/api/collect/beside", call(begin_beside), methods=["POST"]),
]
