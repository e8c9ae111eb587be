"""Clients that ask until they are told to stop, and know of each request what became of it."""

from __future__ import annotations

import http.client
import itertools
import threading
from dataclasses import dataclass, field


@dataclass
class Asked:
    """What clients know of their requests, each by its number.

    Attributes:
        answered: those with a whole answer, and its status.
        lost: those that were sent whole, and of which the connection ended without an answer.
        refused: how many connections were refused.
    """

    answered: dict[str, int] = field(default_factory=dict)
    lost: list[str] = field(default_factory=list)
    refused: int = 0


class Clients:
    """Threads that ask a service, each on a connection that it keeps.

    Args:
        port: of the service on this machine.
        image: what they send.
        count: how many.
    """

    def __init__(self, port, image, count):
        self.asked = Asked()
        self._port, self._image = port, image
        self._stop = threading.Event()
        self._numbers = itertools.count()
        self._threads = [threading.Thread(target=self._ask, daemon=True) for _ in range(count)]
        for thread in self._threads:
            thread.start()

    def stop(self):
        """Have them stop, and return what they know."""
        self._stop.set()
        for thread in self._threads:
            thread.join(30)
        return self.asked

    def _ask(self):
        connection = None
        while not self._stop.is_set():
            number = f"r{next(self._numbers)}"
            headers = {"Content-Type": "image/png", "X-Request-ID": number}
            try:
                if connection is None:
                    connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
                    connection.connect()
            except OSError:
                connection = None
                self.asked.refused += 1
                if self._stop.wait(0.01):
                    return
                continue
            try:
                connection.request("POST", "/predict", self._image, headers)
                answer = connection.getresponse()
                answer.read()
                self.asked.answered[number] = answer.status
                if answer.will_close:
                    connection.close()
                    connection = None
            except (OSError, http.client.HTTPException):
                self.asked.lost.append(number)
                connection.close()
                connection = None
