"""The images in two dimensions, by what they look like."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
from starlette.responses import HTMLResponse
from starlette.routing import Route

from lamplighter.evaluation.data_map import Method, place
from lamplighter.names import wrong_choice
from lamplighter.studio.calls import Fields, RequestError, call
from lamplighter.studio.features import features_of
from lamplighter.studio.security import inline_hashes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lamplighter.evaluation.data_map import Placed
    from lamplighter.studio.jobs import Job
    from lamplighter.studio.studio import Studio

_FRAME = Path(__file__).parents[1] / "pages/map-frame.html"
_SAMPLE = 4000  # images that t-SNE moves: half a minute on two cores


@dataclass(eq=False)
class _Kept:
    """The last map of the folder."""

    method: str = ""
    placed: Placed | None = None
    paths: tuple[str, ...] = ()


def start_map(studio: Studio, fields: Fields) -> dict[str, Any]:
    """Bring the features of all images in use into the plane."""
    method: Any = fields.text("method", "tsne")
    if method not in get_args(Method):
        raise RequestError(wrong_choice("the method of a map", method, get_args(Method)))
    return studio.jobs.start("map", lambda job: _place(studio, job, method)).to_dict()


def last_map(studio: Studio, fields: Fields) -> dict[str, Any]:
    """Return where each row lies, x and y in -1..1, on the map that was made last."""
    kept, table = studio.kept("map", _Kept), studio.project.table()
    if kept.placed is None:
        return {"made": False}
    points = _in_square(kept.placed.points)
    there = [place for place, path in enumerate(kept.paths) if path in table.rows]
    return {
        "made": True,
        "scan": table.scan,
        "method": kept.method,
        "explained": kept.placed.explained,
        "sample": _SAMPLE if kept.method == "tsne" and len(kept.paths) > _SAMPLE else None,
        "rows": [table.rows[kept.paths[place]] for place in there],
        "x": np.round(points[there, 0], 4).tolist(),
        "y": np.round(points[there, 1], 4).tolist(),
    }


def frame(studio: Studio, fields: Fields) -> HTMLResponse:
    """Return the page that draws the map: it may make code from texts, and fetch nothing.

    The library that draws writes a program for the graphics card and the code that calls it, as
    texts. What may run these is kept apart from the page that asks the studio.
    """
    page = _FRAME.read_text("utf-8")
    policy = (
        f"default-src 'none'; script-src 'self' 'unsafe-eval' {inline_hashes(page)}; "
        "style-src 'self' 'unsafe-inline'; worker-src blob:; base-uri 'none'; "
        "form-action 'none'; frame-ancestors 'self'"
    )
    return HTMLResponse(page, headers={"content-security-policy": policy})


def _place(studio: Studio, job: Job, method: Method) -> dict[str, int]:
    kept = studio.kept("map", _Kept)
    features = features_of(studio, job)
    with job.progress("placing images"):
        placed = place(features.vectors, method, limit=_SAMPLE)
    kept.method, kept.placed, kept.paths = method, placed, features.files.paths
    return {"images": len(features)}


def _in_square(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return points moved and scaled into the square of -1..1; shapes stay as they are."""
    low, high = points.min(axis=0), points.max(axis=0)
    scale = float((high - low).max()) or 1.0
    scaled: NDArray[np.float64] = (points - (low + high) / 2) * (1.9 / scale)
    return scaled


routes = [
    Route("/api/map", call(start_map), methods=["POST"]),
    Route("/api/map", call(last_map)),
    Route("/pages/map-frame.html", call(frame)),
]
