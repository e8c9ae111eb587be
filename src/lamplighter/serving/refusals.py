"""`Refusal`: a request that is not answered, with the status and the sentence that it gets."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lamplighter.errors import ImageError

# The status that says most of a lone image that cannot be used.
_STATUSES = {"not-an-image": 415, "not-read": 415, "needs-package": 415, "too-large": 413}


class Refusal(Exception):  # noqa: N818 - no error of the service
    """A request that is not answered.

    Args:
        status: of HTTP, 400..599.
        message: what was expected, what was received, how to mend it; one line.
        reason: one word for the metrics.
        retry_after: seconds after which to try again; None where that would not help.
        close: close the connection, of which the rest of a body may still come.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        reason: str = "",
        retry_after: float | None = None,
        close: bool = False,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.reason = reason
        self.headers: dict[str, str] = {}
        if retry_after is not None:
            self.headers["Retry-After"] = str(max(1, math.ceil(retry_after)))
        if close:
            self.headers["Connection"] = "close"


def status_of(error: ImageError) -> int:
    """Return the status of a request whose only image cannot be used."""
    return _STATUSES.get(error.fault, 422)
