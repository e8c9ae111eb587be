"""What happens, told to every open page as it happens (server-sent events)."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

_WAITING = 1000  # events that a page may be behind: one that sleeps is closed, and comes back
_QUIET = 15.0  # seconds after which a sign of life is sent


class Events:
    """Passes events from any thread to the pages that listen."""

    def __init__(self) -> None:
        self._listeners: dict[asyncio.Queue[str | None], asyncio.AbstractEventLoop] = {}
        self._turn = threading.Lock()
        self._closed = False

    def publish(self, kind: str, data: Any) -> None:
        """Tell all pages; `data` is of plain JSON types."""
        text = f"event: {kind}\ndata: {json.dumps(data)}\n\n"
        with self._turn:
            for queue, loop in self._listeners.items():
                with contextlib.suppress(RuntimeError):  # its loop has just ended
                    loop.call_soon_threadsafe(_put, queue, text)

    async def listen(self) -> AsyncIterator[str]:
        """Give the events from now on, as they are sent to one page; ends with `close`."""
        queue: asyncio.Queue[str | None] = asyncio.Queue()
        with self._turn:
            if self._closed:
                return
            self._listeners[queue] = asyncio.get_running_loop()
        try:
            yield "retry: 1000\n\n"
            while True:
                try:
                    text = await asyncio.wait_for(queue.get(), _QUIET)
                except TimeoutError:
                    text = ": still here\n\n"
                if text is None:
                    return
                yield text
        finally:
            with self._turn:
                self._listeners.pop(queue, None)

    def close(self) -> None:
        """End what all pages listen to, now and later."""
        with self._turn:
            self._closed = True
            for queue, loop in self._listeners.items():
                with contextlib.suppress(RuntimeError):
                    loop.call_soon_threadsafe(queue.put_nowait, None)


def _put(queue: asyncio.Queue[str | None], text: str) -> None:
    queue.put_nowait(text if queue.qsize() < _WAITING else None)
