"""The studio at a port of this machine."""

from __future__ import annotations

import contextlib
import logging
import socket
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

PORT = 8642
_PORTS = 20  # after the usual one that are tried
_PATIENCE = 3  # seconds that pages have to finish what they ask when the studio ends


def run_studio(
    source: Path | None = None,
    *,
    host: str = "127.0.0.1",
    port: int | None = None,
    browser: bool = True,
    tell: Callable[[str], None] = print,
) -> None:
    """Show the studio until Ctrl-C.

    Args:
        source: the folder, zip file or manifest to open; None opens none yet.
        host: the address to listen at; others than this machine's make the photos readable for
            whoever has the address with its secret.
        port: where to listen; by default 8642, or the next one that is free.
        browser: open the page.
        tell: takes the lines for the terminal.

    Raises:
        DatasetError: the photos cannot be used.
        OutputError: the port is taken, or there is no such address.
    """
    listening = _listen(host, port)
    try:
        studio = Studio(source)
    except BaseException:
        listening.close()
        raise
    port, token = listening.getsockname()[1], new_token()
    name = f"[{host}]" if ":" in host else host
    address = f"http://{name}:{port}/?token={token}"
    local = host in ("127.0.0.1", "::1", "localhost")
    app = make_app(
        studio, token=token, port=port, hosts=() if local else (name, socket.gethostname())
    )
    tell(f"The studio is at {address}")
    if not local:
        tell(f"It listens at {host}: whoever has this address can see and label the photos.")
    tell("Ctrl-C ends it; every step is kept.")
    logging.getLogger("lamplighter.studio").setLevel(logging.WARNING)
    server = _Server(
        uvicorn.Config(
            app,
            log_level="warning",
            access_log=False,
            lifespan="on",
            timeout_graceful_shutdown=_PATIENCE,
        ),
        studio,
    )
    if browser:
        threading.Thread(target=_open, args=(address,), daemon=True).start()
    with contextlib.suppress(KeyboardInterrupt):
        server.run(sockets=[listening])


class _Server(uvicorn.Server):
    """Ends what pages listen to first: they would keep the server from ending."""

    def __init__(self, config: uvicorn.Config, studio: Studio) -> None:
        super().__init__(config)
        self._studio = studio

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._studio.events.close()
        await super().shutdown(sockets)


def _listen(host: str, port: int | None) -> socket.socket:
    """Return a socket that listens; without a port at the first free one from the usual on."""
    wanted = [port] if port is not None else [*range(PORT, PORT + _PORTS), 0]
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for number in wanted:
        listening = socket.socket(family, socket.SOCK_STREAM)
        if hasattr(socket, "SO_REUSEADDR") and socket.AF_UNIX:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((host, number))
            listening.listen(128)
        except OSError as error:
            listening.close()
            if number != wanted[-1] and isinstance(error, OSError):
                continue
            reason = error.strerror or str(error)
            raise OutputError(
                f"the studio cannot listen at {host}, port {number}: {reason}; another studio may "
                "run there: leave --port out to take a free one."
            ) from error
        return listening
    raise AssertionError  # the last one listens or raises


def _open(address: str) -> None:
    with contextlib.suppress(webbrowser.Error):
        webbrowser.open(address)
