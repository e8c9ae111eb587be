"""Structured logs: one JSON object a line, on stderr."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any

LOGGER = logging.getLogger("lamplighter.serving")
_FIELDS = "fields"  # of a record


def log(level: int, event: str, *, trace: Exception | None = None, **fields: Any) -> None:
    """Log an event.

    Args:
        level: of `logging`.
        event: what happened.
        trace: an error that nobody expected, whose traceback is logged too.
        fields: what there is to say of it, plain JSON types.
    """
    if LOGGER.isEnabledFor(level):
        LOGGER.log(level, event, exc_info=trace, extra={_FIELDS: fields})


class JsonLines(logging.Formatter):
    """Writes a record as one JSON object; `event` says what happened."""

    def format(self, record: logging.LogRecord) -> str:
        """Return one line, whatever characters the record has."""
        time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        fields = getattr(record, _FIELDS, {})
        line = {"time": time, "level": record.levelname.lower(), "event": record.getMessage()}
        if record.exc_info and record.exc_info[1] is not None:
            error = record.exc_info[1]
            fields = {**fields, "error": f"{type(error).__name__}: {error}"}
            fields["traceback"] = self.formatException(record.exc_info).splitlines()
        return json.dumps({**line, "process": record.process, **fields})


def configure() -> None:
    """Send the logs of the service, and warnings of its HTTP server, to stderr."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    for name, level in (("lamplighter", logging.INFO), ("uvicorn", logging.WARNING)):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [handler], False
        logger.setLevel(level)
