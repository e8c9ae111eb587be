"""`Settings`: what a service is told when it starts."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from lamplighter.errors import ServiceError
from lamplighter.machine import usable_cores

if TYPE_CHECKING:
    from pathlib import Path

MEGABYTE = 2**20
_EXPLAINING = 200  # images with one part covered
_LEAST_TOKEN = 16  # characters; fewer can be tried one by one


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What a service is told when it starts.

    Attributes:
        bundles: the classifiers: paths of bundles, or names of pretrained networks.
        host: the address to listen on.
        port: 0..65535; 0 takes any that is free.
        workers: processes that share the port, at least 1.
        max_batch: most images that one thread computes at a time, at least 1.
        max_delay: seconds that an image waits for others to be computed with it.
        max_queue: most images that wait, at least 1; what comes then is refused with 503.
        deadline: seconds within which a request is answered, from the end of its body on.
        max_body: bytes of a request.
        body_timeout: seconds within which the whole of a request has to arrive.
        index: an index of similar images; None for none.
        explain: whether /explain answers, which costs some 100 images' time for one.
        token: what requests have to bring as a bearer token; None asks for none.
        cors: origins whose pages may ask, such as "https://example.org"; "*" for all.
        allowed_hosts: names that the service may be called by, beside addresses and localhost.
        watch: seconds between two looks at whether a bundle was replaced.

    Raises:
        ServiceError: a value is out of range.
    """

    bundles: tuple[Path, ...]
    host: str = "127.0.0.1"
    port: int = 8000
    workers: int = 1
    max_batch: int = 16
    max_delay: float = 0.0
    max_queue: int = 256
    deadline: float = 30.0
    max_body: int = 32 * MEGABYTE
    body_timeout: float = 60.0
    index: Path | None = None
    explain: bool = False
    token: str | None = field(default=None, repr=False)
    cors: tuple[str, ...] = ()
    allowed_hosts: tuple[str, ...] = ()
    watch: float = 1.0

    def __post_init__(self) -> None:
        if not self.bundles:
            raise ServiceError("a service needs one bundle or more, received none; name one.")
        for name in ("workers", "max_batch", "max_queue", "max_body"):
            if getattr(self, name) < 1:
                raise ServiceError(f"{name} must be at least 1, received {getattr(self, name)}.")
        if not 0 <= self.port < 2**16:
            raise ServiceError(f"port must be in 0..65535, received {self.port}.")
        if not 0 <= self.max_delay < self.deadline:
            raise ServiceError(
                "max_delay must be at least 0 and less than the deadline, received "
                f"{self.max_delay:g} and {self.deadline:g} seconds."
            )
        for name in ("deadline", "body_timeout", "watch"):
            if not getattr(self, name) > 0:
                raise ServiceError(f"{name} must be above 0, received {getattr(self, name)}.")
        if self.token is not None and (
            len(self.token) < _LEAST_TOKEN or not self.token.isascii() or " " in self.token
        ):
            raise ServiceError(
                f"a token must have {_LEAST_TOKEN} or more ASCII characters and no space, received "
                f"one of {len(self.token)}; make one with: openssl rand -hex 32."
            )
        if self.explain and self.max_queue < _EXPLAINING:
            raise ServiceError(
                f"to explain an image takes up to {_EXPLAINING} places in the queue, received a "
                f"max_queue of {self.max_queue}; make it larger."
            )
        for origin in self.cors:
            _check_origin(origin)

    @property
    def threads(self) -> int:
        """How many threads of a process compute: the cores, shared out over the processes."""
        return max(1, usable_cores() // self.workers)

    @property
    def most_held(self) -> int:
        """How many bytes of requests are held in memory at a time, in one process."""
        return max(self.max_body, 64 * MEGABYTE)

    @property
    def is_local(self) -> bool:
        """Whether only this machine can reach the service."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False


def _check_origin(origin: str) -> None:
    parts = urlsplit(origin)
    if origin != "*" and (not parts.scheme or not parts.netloc or parts.path or parts.query):
        raise ServiceError(
            "an origin is a scheme and a host, such as https://example.org, or *; received "
            f"{origin!r}; leave out what follows the host."
        )
