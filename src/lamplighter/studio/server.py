"""The studio at a port of this machine, for this machine alone."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import socket
import sys
import threading
import webbrowser
from typing import TYPE_CHECKING

import uvicorn

from lamplighter.errors import OutputError
from lamplighter.studio.app import make_app
from lamplighter.studio.security import new_token
from lamplighter.studio.studio import Studio

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

HOST, PORT = "127.0.0.1", 8642
_PORTS = 20  # after the usual one that are tried
_PATIENCE = 3  # seconds that pages have to finish what they ask when the studio ends


def run_studio(
    source: Path | None = None,
    *,
    port: int | None = None,
    browser: bool = True,
    tell: Callable[[str], None] = print,
) -> bool:
    """Show the studio until Ctrl-C.

    Args:
        source: the folder, zip file or manifest to open; None opens none yet.
        port: where to listen; by default 8642, or the next one that is free.
        browser: open the page.
        tell: takes the lines for the terminal.

    Returns:
        Whether all work has ended. A library that cannot be stopped may compute on, whose threads
        would keep the process for as long.

    Raises:
        DatasetError: the photos cannot be used.
        WorkspaceError: the journal cannot be used.
        OutputError: the port is taken, or may not be used.
    """
    listening = _listen(port)
    try:
        studio = Studio(source)
    except BaseException:
        listening.close()
        raise
    port, token = listening.getsockname()[1], new_token()
    address = f"http://{HOST}:{port}/?token={token}"
    app = make_app(studio, token=token, port=port)
    tell(f"The studio is at {address}")
    tell("Ctrl-C ends it; every step is kept.")
    logging.getLogger("lamplighter.studio").setLevel(logging.WARNING)
    server = _Server(
        uvicorn.Config(
            app,
            log_level="critical",  # what goes wrong in an answer `tell_error` tells
            access_log=False,
            lifespan="on",
            timeout_graceful_shutdown=_PATIENCE,
        ),
        studio,
    )
    if browser and _has_screen():
        threading.Thread(target=_open, args=(address,), daemon=True).start()
    with contextlib.suppress(KeyboardInterrupt):
        server.run(sockets=[listening])
    return studio.jobs.have_ended()


class _Server(uvicorn.Server):
    """Ends what pages listen to first: they would keep the server from ending."""

    def __init__(self, config: uvicorn.Config, studio: Studio) -> None:
        super().__init__(config)
        self._studio = studio

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._studio.events.close()
        await super().shutdown(sockets)


def _listen(port: int | None) -> socket.socket:
    """Return a socket that listens; without a port at the first free one from the usual on."""
    wanted = [port] if port is not None else [*range(PORT, PORT + _PORTS), 0]
    for number in wanted:
        # Named as TCP: else asyncio leaves Nagle's algorithm on, which costs each answer 40 ms.
        listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        if os.name == "posix":  # elsewhere it would let two programs listen at one port
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((HOST, number))
            listening.listen(128)
        except OSError as error:
            listening.close()
            if number == wanted[-1]:
                raise OutputError(_not_free(number, error)) from error
            continue
        return listening
    raise AssertionError  # the last one listens or raises


def _not_free(port: int, error: OSError) -> str:
    reason = error.strerror or str(error)
    if error.errno == errno.EADDRINUSE:
        reason = f"{reason}; another studio, or another program, runs there"
    return (
        f"the studio cannot listen at port {port}: {reason}; leave --port out to take a free one."
    )


def _has_screen() -> bool:
    """Return whether a browser can show a page; else one for the terminal might take that."""
    if sys.platform in ("win32", "darwin"):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def _open(address: str) -> None:
    with contextlib.suppress(webbrowser.Error):
        webbrowser.open(address)
