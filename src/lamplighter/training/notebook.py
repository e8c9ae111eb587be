"""Output in a notebook that is replaced rather than piled up."""

from __future__ import annotations

import base64
import importlib
import secrets
import sys
from typing import Any


def in_notebook() -> bool:
    """Return whether this process runs the cells of a notebook."""
    ipython: Any = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return hasattr(shell, "kernel")


class Place:
    """A place in the output of a cell: what is shown there replaces what was there before."""

    def __init__(self) -> None:
        self._id: str | None = None

    @property
    def used(self) -> bool:
        """Whether something was shown here."""
        return self._id is not None

    def show_text(self, text: str) -> None:
        """Show plain text."""
        self._show({"text/plain": text})

    def empty(self) -> None:
        """Take away what is shown."""
        self._show({"text/plain": "", "text/html": ""})  # empty text alone is drawn as a line

    def show_png(self, png: bytes) -> None:
        """Show a picture, the content of a PNG file."""
        self._show({"image/png": base64.b64encode(png).decode(), "text/plain": "(a picture)"})

    def _show(self, content: dict[str, str]) -> None:
        display: Any = importlib.import_module("IPython.display")
        if self._id is None:
            self._id = secrets.token_hex(8)
            display.display(content, raw=True, display_id=self._id)
        else:
            display.update_display(content, raw=True, display_id=self._id)
