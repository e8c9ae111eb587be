"""The images, their labels, and every step that a person takes with them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request  # noqa: TC002 - Starlette looks at what is annotated
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from lamplighter.studio.calls import Fields, RequestError, call, in_address
from lamplighter.studio.project import modified
from lamplighter.studio.thumbnails import LARGE_SIDE, Picture, picture

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lamplighter.studio.studio import Studio
    from lamplighter.workspace.journal import Step

_STEPS = 200  # of the history that are shown


def state(studio: Studio, fields: Fields) -> dict[str, Any]:
    """Return what a page has to know first."""
    return studio.state()


def files(studio: Studio, fields: Fields) -> dict[str, Any]:
    """Return all files as columns: row i of each is about the same file."""
    table = studio.project.table()
    split_names = sorted(set(table.files.splits))
    number = {name: place for place, name in enumerate(split_names)}
    return {
        "name": table.files.name,
        "root": str(table.files.root),
        "scan": table.scan,
        "paths": table.files.paths,
        "split_names": split_names,
        "splits": [number[split] for split in table.files.splits],
        "notes": table.files.notes,
        "left_out": [[one.path, one.reason] for one in table.files.set_aside],
        **labels(studio, fields),
    }


def labels(studio: Studio, fields: Fields) -> dict[str, Any]:
    """Return the label of each row (-1: none), the classes, and why rows are set aside."""
    table = studio.project.table()
    return {
        "scan": table.scan,
        "change": table.change,
        "class_names": table.files.class_names,
        "labels": table.files.labels.tolist(),
        "aside": {str(table.rows[path]): reason for path, reason in table.aside.items()},
    }


def order(studio: Studio, fields: Fields) -> dict[str, Any]:
    """Return of each row which it is by the name of its file, or by when that was changed last."""
    table, by = studio.project.table(), fields.text("by")
    if by == "name":
        keys: list[Any] = [path.rpartition("/")[2] for path in table.files.paths]
    elif by == "newest":
        keys = [-modified(file) for file in table.files.files]
    else:
        raise RequestError(f"'by' must be name or newest, received {by!r}.")
    ranks = [0] * len(keys)
    for rank, row in enumerate(sorted(range(len(keys)), key=keys.__getitem__)):
        ranks[row] = rank
    return {"scan": table.scan, "ranks": ranks}


def set_label(studio: Studio, fields: Fields) -> dict[str, Any]:
    """Give files a class; null takes their label away."""
    step = studio.project.workspace.label(fields.texts("paths"), fields.optional_text("class"))
    return _done(studio, [step])


def set_aside(studio: Studio, fields: Fields) -> dict[str, Any]:
    """Leave files out."""
    step = studio.project.workspace.set_aside(fields.texts("paths"), fields.text("reason"))
    return _done(studio, [step])


def keep(studio: Studio, fields: Fields) -> dict[str, Any]:
    """Take files back that were set aside."""
    return _done(studio, [studio.project.workspace.keep(fields.texts("paths"))])


def change_classes(studio: Studio, fields: Fields) -> dict[str, Any]:
    """Add a class, rename one, or merge some into another."""
    workspace, do = studio.project.workspace, fields.text("do")
    if do == "add":
        step = workspace.add_class(fields.text("name"))
    elif do == "rename":
        step = workspace.rename_class(fields.text("old"), fields.text("new"))
    elif do == "merge":
        step = workspace.merge_classes(fields.texts("names"), fields.text("into"))
    else:
        raise RequestError(f"'do' must be add, rename or merge, received {do!r}.")
    return _done(studio, [step])


def undo(studio: Studio, fields: Fields) -> dict[str, Any]:
    """Undo the last steps; where `last` is no longer the last one, nothing is undone."""
    last = fields.integer("last", -1)
    count = fields.integer("count", 1)
    steps = studio.project.workspace.undo(count, last=None if last < 0 else last)
    return _done(studio, steps)


def redo(studio: Studio, fields: Fields) -> dict[str, Any]:
    """Make steps once more that were undone."""
    return _done(studio, studio.project.workspace.redo(fields.integer("count", 1)))


def steps(studio: Studio, fields: Fields) -> dict[str, Any]:
    """Return the history, from the oldest step to those that can be redone."""
    history = studio.project.workspace.steps(_STEPS)
    return {"steps": [_step(step) for step in history]}


def thumbnail(studio: Studio, fields: Fields) -> Picture:
    """Return the thumbnail of a file."""
    return studio.thumbnails.thumbnail(studio.project.file(fields.text("path")))


def image(studio: Studio, fields: Fields) -> Picture:
    """Return a file as a picture that fills a window."""
    return picture(studio.project.file(fields.text("path")), LARGE_SIDE)


def _pictured(function: Callable[[Studio, Fields], Picture]) -> Callable[[Request], Any]:
    """Return an endpoint for a picture: pages keep it for a minute, while people look around.

    Large images take much memory while they are decoded: no more of them at once than cores. Who
    scrolls asks for pictures and drops them again, which are then not made.
    """

    async def endpoint(request: Request) -> Response:
        fields, studio = Fields(in_address(request)), request.app.state.studio
        async with request.app.state.hands:
            if await request.is_disconnected():
                return Response(status_code=400)
            made = await run_in_threadpool(function, studio, fields)
        headers = {"cache-control": "private, max-age=60"}
        return Response(made.data, media_type=made.media_type, headers=headers)

    return endpoint


async def events(request: Request) -> Response:
    """Tell a page what happens, for as long as it listens."""
    listening = request.app.state.studio.events.listen()
    return StreamingResponse(listening, media_type="text/event-stream")


def stop(studio: Studio, fields: Fields) -> dict[str, Any]:
    """Stop the job of a kind."""
    job = studio.jobs.find(fields.text("kind"))
    if job is not None:
        job.stop()
    return {}


def _done(studio: Studio, made: Sequence[Step | None]) -> dict[str, Any]:
    """Return what was done, in words, and the numbers of the table after it."""
    numbers = studio.project.labels_changed()
    return {**numbers, "steps": [_step(step) for step in made if step is not None]}


def _step(step: Step) -> dict[str, Any]:
    return {
        "id": step.id,
        "time": step.time,
        "sentence": step.action.sentence,
        "done": step.done,
    }


routes = [
    Route("/api/state", call(state)),
    Route("/api/events", events),
    Route("/api/stop", call(stop), methods=["POST"]),
    Route("/api/files", call(files)),
    Route("/api/labels", call(labels)),
    Route("/api/order", call(order)),
    Route("/api/thumbnail", _pictured(thumbnail)),
    Route("/api/image", _pictured(image)),
    Route("/api/label", call(set_label), methods=["POST"]),
    Route("/api/aside", call(set_aside), methods=["POST"]),
    Route("/api/keep", call(keep), methods=["POST"]),
    Route("/api/classes", call(change_classes), methods=["POST"]),
    Route("/api/undo", call(undo), methods=["POST"]),
    Route("/api/redo", call(redo), methods=["POST"]),
    Route("/api/steps", call(steps)),
]
