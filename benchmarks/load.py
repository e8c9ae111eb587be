"""A load on an HTTP service: many connections in one event loop, with little work for each."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections import Counter
from dataclasses import dataclass, field


@dataclass
class Outcome:
    """What became of the requests of one load.

    Attributes:
        seconds: how long the load lasted.
        sent: how many requests were sent.
        statuses: how many answers had each status; 0 for none at all.
        latencies: seconds to the end of the answer, by status.
        waited_again: how many 503s said when to try again.
    """

    seconds: float = 0.0
    sent: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    latencies: dict[int, list[float]] = field(default_factory=dict)
    waited_again: int = 0

    @property
    def rate(self) -> float:
        """Images answered a second."""
        return self.statuses[200] / self.seconds

    def percentile(self, percent: float, status: int = 200) -> float:
        """Return a percentile of the latencies, in seconds."""
        values = sorted(self.latencies.get(status, [float("nan")]))
        return values[min(len(values) - 1, int(len(values) * percent / 100))]

    def median(self, status: int = 200) -> float:
        """Return the median latency, in seconds."""
        return statistics.median(self.latencies.get(status, [float("nan")]))


def requests(path: str, images: list[bytes], *, form: bool = False) -> list[bytes]:
    """Return a whole request for each image: as the body, or as the file of a form."""
    made = []
    for image in images:
        kind, body = "image/jpeg", image
        if form:
            kind = "multipart/form-data; boundary=XXXX"
            head = (
                '--XXXX\r\nContent-Disposition: form-data; name="image"; filename="a.jpg"\r\n'
                "Content-Type: image/jpeg\r\n\r\n"
            )
            body = head.encode() + image + b"\r\n--XXXX--\r\n"
        start = (
            f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: {kind}\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        made.append(start.encode() + body)
    return made


class Connection(asyncio.Protocol):
    """One connection, kept open; one request at a time."""

    def __init__(self) -> None:
        self._received = bytearray()
        self._answer: asyncio.Future[tuple[int, bool]] | None = None
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        end = self._received.find(b"\r\n\r\n")
        if end < 0:
            return
        head = bytes(self._received[:end]).lower()
        length = int(head.partition(b"content-length:")[2].split(b"\r\n")[0])
        if len(self._received) >= end + 4 + length:
            status = int(head[9:12])
            self._received.clear()
            self._settle(status, b"retry-after:" in head)

    def connection_lost(self, exc: Exception | None) -> None:
        self.transport = None
        self._settle(0, False)

    async def ask(self, request: bytes) -> tuple[int, bool]:
        """Return the status, 0 where the connection ended, and whether to try again is said."""
        self._answer = asyncio.get_running_loop().create_future()
        if self.transport is None:
            return 0, False
        self.transport.write(request)
        return await self._answer

    def _settle(self, status: int, again: bool) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_result((status, again))


async def _connected(port: int) -> Connection:
    loop = asyncio.get_running_loop()
    _, connection = await loop.create_connection(Connection, "127.0.0.1", port)
    return connection


async def _ask(connection: Connection, request: bytes, outcome: Outcome) -> int:
    outcome.sent += 1
    start = time.perf_counter()
    status, again = await connection.ask(request)
    outcome.latencies.setdefault(status, []).append(time.perf_counter() - start)
    outcome.statuses[status] += 1
    outcome.waited_again += again
    return status


async def _closed(port: int, made: list[bytes], clients: int, seconds: float) -> Outcome:
    outcome, start = Outcome(), time.perf_counter()

    async def client(number: int) -> None:
        connection = await _connected(port)
        turn = number
        while time.perf_counter() - start < seconds:
            await _ask(connection, made[turn % len(made)], outcome)
            turn += clients
        if connection.transport is not None:
            connection.transport.close()

    await asyncio.gather(*map(client, range(clients)))
    outcome.seconds = time.perf_counter() - start
    return outcome


async def _open(port: int, made: list[bytes], rate: float, seconds: float, most: int) -> Outcome:
    outcome, idle, tasks = Outcome(), list[Connection](), set[asyncio.Task[None]]()
    start, count, opened = time.perf_counter(), 0, 0

    async def one(request: bytes) -> None:
        nonlocal opened
        if idle:
            connection = idle.pop()
        else:
            opened += 1
            connection = await _connected(port)
        if await _ask(connection, request, outcome):
            idle.append(connection)
        else:
            opened -= 1

    while (passed := time.perf_counter() - start) < seconds:
        while count < passed * rate:
            if not idle and opened >= most:  # as many as the clients of a benchmark can have
                break
            task = asyncio.create_task(one(made[count % len(made)]))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
            count += 1
            if count % 50 == 0:
                await asyncio.sleep(0)
        await asyncio.sleep(0.001)
    outcome.seconds = time.perf_counter() - start
    await asyncio.gather(*tasks)
    for connection in idle:
        if connection.transport is not None:
            connection.transport.close()
    return outcome


def clients(port: int, made: list[bytes], *, count: int, seconds: float) -> Outcome:
    """Let `count` clients ask, each as soon as it has its answer."""
    return asyncio.run(_closed(port, made, count, seconds))


def arrivals(
    port: int, made: list[bytes], *, rate: float, seconds: float, most: int = 900
) -> Outcome:
    """Let `rate` requests a second arrive, however many are answered."""
    return asyncio.run(_open(port, made, rate, seconds, most))
