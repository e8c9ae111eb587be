"""Folders to open, and photos that are brought to the page."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.routing import Route

routes: list[Route] = []
