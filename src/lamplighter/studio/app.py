"""The studio as a web application."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.responses import HTMLResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from lamplighter.errors import LamplighterError
from lamplighter.machine import usable_cores
from lamplighter.studio.api import (
    audit,
    clinic,
    collect,
    data_map,
    gallery,
    opening,
    results,
    take_away,
    training,
    try_it,
)
from lamplighter.studio.calls import tell_error
from lamplighter.studio.security import Guard, inline_hashes

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.requests import Request

    from lamplighter.studio.studio import Studio

_VIEWS = (gallery, opening, audit, clinic, data_map, training, results, try_it, collect, take_away)
PAGES = Path(__file__).with_name("pages")


def make_app(studio: Studio, *, token: str, port: int) -> Starlette:
    """Return the application.

    Args:
        studio: what it shows; it is closed with the application.
        token: the secret that the address of the page holds.
        port: where it will listen.
    """
    page = _with_preloads((PAGES / "index.html").read_text("utf-8"))

    async def index(request: Request) -> HTMLResponse:
        return HTMLResponse(page)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        yield
        studio.close()

    guard = Middleware(Guard, token=token, port=port, policy=_policy(page))
    app = Starlette(
        routes=[
            Route("/", index),
            *(route for view in _VIEWS for route in view.routes),
            Mount("/pages", StaticFiles(directory=PAGES)),
        ],
        middleware=[guard],
        exception_handlers={
            HTTPException: tell_error,
            LamplighterError: tell_error,
            Exception: tell_error,
        },
        lifespan=lifespan,
    )
    app.state.studio = studio
    app.state.hands = asyncio.Semaphore(usable_cores())  # that make pictures
    return app


def _with_preloads(page: str) -> str:
    """Return the page with its modules named, so that they are fetched at once, not one by one."""
    names = sorted(path.relative_to(PAGES).as_posix() for path in (PAGES / "js").rglob("*.js"))
    links = "\n".join(f'<link rel="modulepreload" href="/pages/{name}">' for name in names)
    return page.replace("</head>", f"{links}\n</head>")


def _policy(page: str) -> str:
    """Return what the page may do: run its own scripts, show its own pictures, ask its server."""
    return (
        f"default-src 'none'; script-src 'self' {inline_hashes(page)}; "
        "style-src 'self' 'unsafe-inline'; "
        "img-src 'self' data: blob:; media-src 'self' blob:; connect-src 'self'; "
        "frame-src 'self'; worker-src 'self' blob:; font-src 'self'; base-uri 'none'; "
        "form-action 'none'; frame-ancestors 'none'"
    )
