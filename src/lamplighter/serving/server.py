"""`serve`: a process that listens, answers until it is told to end, and then loses nothing."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import signal
import socket
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import uvicorn
from prometheus_client import disable_created_metrics
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from lamplighter.errors import ServiceError
from lamplighter.serving import logs
from lamplighter.serving.app import make_app
from lamplighter.serving.logs import log
from lamplighter.serving.service import Service

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

    from lamplighter.serving.settings import Settings

_HEAD_SECONDS = 10.0  # within which the head of a request has to arrive
_KEEP_ALIVE = 30  # seconds that a connection may lie idle
_LINGER = 1.0  # seconds that connections stay open, at the end, for what is on its way on them
_TRIES, _BETWEEN = 20, 0.1  # of binding: what a killed service leaves open ends within a second
_BACKLOG = 2048
_MOST_CONNECTIONS, _OTHER_FILES = 4096, 128
_SWITCH = 0.001  # seconds; the event loop waits so long at most for a thread that computes


class Protocol(HttpToolsProtocol):
    """HTTP/1.1, of which a head that comes too slowly ends the connection."""

    _patience: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a first request."""
        super().connection_made(transport)
        self._wait_for_head()

    def data_received(self, data: bytes) -> None:
        """Take what came, and wait for the rest of it if it is part of a head."""
        super().data_received(data)
        if self._is_answering():
            self._stop_waiting()
        elif self._patience is None:
            self._wait_for_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait for nothing more: uvicorn keeps what it knows of a connection that broke."""
        self._stop_waiting()
        self._unset_keepalive_if_required()
        super().connection_lost(exc)

    def _is_answering(self) -> bool:
        cycle: RequestResponseCycle | None = self.cycle  # None before the first request
        return cycle is not None and not cycle.response_complete

    def _wait_for_head(self) -> None:
        self._patience = self.loop.call_later(_HEAD_SECONDS, self._give_up)

    def _stop_waiting(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def _give_up(self) -> None:
        self._patience = None
        if not self._is_answering():
            self.transport.close()


class Server(uvicorn.Server):
    """Ends so that each request that was accepted is answered.

    Args:
        config: of uvicorn.
        service: what answers.
        started: called when it listens.
    """

    def __init__(
        self, config: uvicorn.Config, service: Service, started: Callable[[], None]
    ) -> None:
        super().__init__(config)
        self._service = service
        self._tell_started = started

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to listen."""
        await super().startup(sockets)
        self._tell_started()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to end; Ctrl-C a second time ends at once."""
        if self.should_exit and sig == signal.SIGINT:
            self.force_exit = True
        self.should_exit = True  # and not the signal again, so that the exit status is 0

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Take no new connection, answer what comes on those there are, then end them.

        Answers say from now on that the connection ends with them. A request that was on its way
        on a connection that lay idle would be lost if that were closed at once.
        """
        log(logging.INFO, "ending", waiting=len(self._service.batcher))
        self._service.draining = True
        await asyncio.sleep(0)  # what was accepted in the same moment is there now
        for server in self.servers:
            server.close()
        end = time.monotonic() + _LINGER
        while self.server_state.connections and time.monotonic() < end and not self.force_exit:
            await asyncio.sleep(0.02)
        await super().shutdown(sockets)
        log(logging.INFO, "ended")


def listening(settings: Settings) -> socket.socket:
    """Return a socket that listens where the settings say.

    Raises:
        ServiceError: the port is in use or may not be used, or there is no such address.
    """
    try:
        family, kind, number, _, address = socket.getaddrinfo(
            settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except (OSError, UnicodeError) as error:
        raise ServiceError(
            f"there is no address {settings.host!r} to listen on ({error}); try 127.0.0.1, or "
            "0.0.0.0 for all of this machine."
        ) from error
    for left in reversed(range(_TRIES)):
        bound = socket.socket(family, kind, number)
        if sys.platform != "win32":  # where it would let two listen on one port
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            bound.bind(address)
            bound.listen(_BACKLOG)
        except OSError as error:
            bound.close()
            if error.errno != errno.EADDRINUSE or not left:
                raise _cannot_listen(settings, error) from error
            time.sleep(_BETWEEN)
        else:
            bound.setblocking(False)
            return bound
    raise AssertionError("the last try returns or raises")


def address_of(bound: socket.socket) -> str:
    """Return the address of a listening socket, for a browser."""
    host, port = bound.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def run(
    settings: Settings,
    bound: socket.socket,
    *,
    started: Callable[[], None] = lambda: None,
    until: threading.Event | None = None,
) -> None:
    """Answer requests in this process, until it is told to end.

    Args:
        settings: what the service was told.
        bound: where it listens.
        started: called when it does.
        until: ends it as SIGTERM does, for whoever runs it in a thread.

    Raises:
        LamplighterError: a bundle or the index cannot be used.
    """
    sys.setswitchinterval(_SWITCH)
    disable_created_metrics()  # type: ignore[no-untyped-call]
    service = Service(settings)
    server = Server(_config(settings, service), service, started)
    if until is not None:
        threading.Thread(target=_end_with, args=(server, until), daemon=True).start()
    server.run(sockets=[bound])


def _end_with(server: Server, until: threading.Event) -> None:
    until.wait()
    server.should_exit = True


def _config(settings: Settings, service: Service) -> uvicorn.Config:
    return uvicorn.Config(
        make_app(service),
        http=Protocol,
        loop="asyncio",
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=_most_connections(),
        timeout_keep_alive=_KEEP_ALIVE,
        timeout_graceful_shutdown=int(settings.deadline + settings.body_timeout) + 1,
        backlog=_BACKLOG,
    )


def _most_connections() -> int:
    """Return how many connections fit into the files that this process may have open."""
    with contextlib.suppress(ImportError):
        import resource

        files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        if files != resource.RLIM_INFINITY:
            return max(16, min(_MOST_CONNECTIONS, files - _OTHER_FILES))
    return _MOST_CONNECTIONS


def _cannot_listen(settings: Settings, error: OSError) -> ServiceError:
    where = f"{settings.host}, port {settings.port}"
    if error.errno == errno.EADDRINUSE:
        return ServiceError(
            f"{where} is in use by another program; choose another with --port, or --port 0 for "
            "any that is free."
        )
    if error.errno in (errno.EACCES, errno.EPERM):
        return ServiceError(f"{where} may not be used; choose a --port of 1024 or more.")
    return ServiceError(f"nothing can listen on {where} ({error.strerror}); choose another.")


def serve(settings: Settings, *, started: Callable[[str], Any] = lambda _: None) -> None:
    """Answer requests until SIGTERM or Ctrl-C; returns when all that was accepted is answered.

    Args:
        settings: what the service is told.
        started: called with its address when it listens.

    Raises:
        ServiceError: it cannot listen, or two models have one name.
        LamplighterError: a bundle or the index cannot be used.
    """
    bound = listening(settings)
    address = address_of(bound)
    with bound:
        logs.configure()
        if settings.workers == 1:
            run(settings, bound, started=lambda: started(address))
            return
        from lamplighter.serving.workers import Workers

        Workers(settings, bound).run(started=lambda: started(address))
